//! Where lines come from besides files, and where files are named.

mod datagrams;
mod docker;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gelf;
mod journal;
mod push;
mod syslog;
mod tls;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use docker::{Daemon, run as run_docker};
pub(crate) use gelf::Gelf;
pub(crate) use journal::Journal;
pub use push::PushReceiver;
use reba_ingest::discovery::{TargetGroup, TargetGroups, file};
use reba_model::Labels;
pub(crate) use syslog::Syslog;
pub use tls::TlsFiles;
use tokio::sync::watch;

use crate::{config::FileGroup, glob::Glob};

/// Files of targets are read at least so often: a change is wanted sooner than the configured interval says.
const LAZIEST: Duration = Duration::from_secs(5);

/// Whether a read only had to wait for too long.
fn is_pause(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The targets of files: those of the configuration, those of files that name them, and those that discovery finds.
#[derive(Debug)]
pub(crate) struct FileTargets {
    fixed: Vec<Labels>,
    found: Option<watch::Receiver<TargetGroups>>,
    patterns: Vec<Glob>,
    /// What each file said last.
    groups: BTreeMap<PathBuf, Vec<TargetGroup>>,
    next: Option<Instant>,
    told: bool,
}

impl FileTargets {
    pub fn new(
        groups: &[FileGroup],
        file_sd: Vec<(Vec<PathBuf>, Duration)>,
        found: Option<watch::Receiver<TargetGroups>>,
    ) -> Self {
        let files = file_sd.into_iter().flat_map(|(files, _)| files);
        FileTargets {
            fixed: groups.iter().map(|g| g.labels.clone()).collect(),
            found,
            patterns: files.map(|f| Glob::new(&f.to_string_lossy())).collect(),
            groups: BTreeMap::new(),
            next: None,
            told: false,
        }
    }

    /// All targets, if they may have changed.
    pub fn refresh(&mut self) -> Option<Vec<Labels>> {
        let mut changed = !std::mem::replace(&mut self.told, true);
        if !self.patterns.is_empty() && self.next.is_none_or(|at| Instant::now() >= at) {
            changed |= self.read();
            self.next = Some(Instant::now() + LAZIEST);
        }
        if let Some(found) = &mut self.found {
            changed |= found.has_changed().unwrap_or(false);
        }
        if !changed {
            return None;
        }
        let found = self.found.as_mut().map(|f| Arc::clone(&f.borrow_and_update()));
        let found = found.iter().flat_map(|groups| groups.iter());
        let named = self.groups.values().flatten().chain(found).flat_map(file::merged);
        Some(self.fixed.iter().cloned().chain(named).collect())
    }

    /// Reads the files of targets; whether they say something new. One that cannot be read keeps what it said.
    fn read(&mut self) -> bool {
        let mut now = BTreeMap::new();
        for path in self.patterns.iter().flat_map(Glob::files) {
            match file::read(&path) {
                Ok(groups) => {
                    now.insert(path, groups);
                }
                Err(error) => {
                    tracing::warn!(%error, "reading targets from file failed, the last good ones stay");
                    if let Some(old) = self.groups.get(&path) {
                        now.insert(path, old.clone());
                    }
                }
            }
        }
        let changed = now != self.groups;
        self.groups = now;
        changed
    }
}
