//! What is read at the moment, for the pages that show it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use reba_model::Labels;

/// One target: a file, a container, a journal, a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// The job it belongs to.
    pub job: String,
    /// `file`, `docker`, `journal`, `syslog`, `gelf`, `push` or `stdin`.
    pub kind: &'static str,
    /// Labels before relabelling.
    pub discovered: Labels,
    /// Labels of its entries, as far as they are known before a line is read.
    pub labels: Labels,
    /// How far it is read, in words.
    pub details: String,
    /// Whether it is read.
    pub ready: bool,
}

/// All targets, by the source that tells of them.
#[derive(Debug, Default)]
pub(crate) struct Board {
    sources: Mutex<BTreeMap<String, (Vec<TargetStatus>, usize)>>,
}

impl Board {
    /// What a source reads now; `count` counts those as well that are not told of one by one.
    pub fn set(&self, source: &str, targets: Vec<TargetStatus>, count: usize) {
        self.sources.lock().insert(source.to_owned(), (targets, count));
    }

    /// One target that is all of its source.
    pub fn one(&self, target: TargetStatus) {
        self.set(&format!("{} {}", target.kind, target.job), vec![target], 1);
    }

    /// Forgets a source.
    pub fn remove(&self, source: &str) {
        self.sources.lock().remove(source);
    }

    /// All of them, ordered by source.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.sources.lock().values().flat_map(|(targets, _)| targets.iter().cloned()).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sources.lock().values().map(|(_, count)| count).sum()
    }
}
