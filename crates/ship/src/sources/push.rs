//! `loki_push_api`: entries that others push to us. The listener is somebody else's; here is what it calls.

use std::sync::Arc;

use reba_model::{Labels, LabelsBuilder, LogBatch, Relabel, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};

use crate::{config::PushConfig, entry::Entry, job::Job};

/// Takes pushed entries into the pipeline of a job.
#[derive(Clone)]
pub struct PushReceiver {
    /// What the configuration says of its listener.
    pub config: PushConfig,
    relabel: Arc<Vec<Relabel>>,
    job: Arc<Job>,
}

impl PushReceiver {
    pub(crate) fn new(config: PushConfig, relabel: Vec<Relabel>, job: Arc<Job>) -> Self {
        PushReceiver { config, relabel: Arc::new(relabel), job }
    }

    /// Takes a decoded request (`/loki/api/v1/push`) and waits until its entries are durable; `false` if we are stopping.
    /// It may block: call it where that is allowed.
    pub fn push(&self, batch: &LogBatch) -> bool {
        let now_ns = (self.job.outlet.now_ns)();
        let mut entries = Vec::with_capacity(batch.len());
        for stream in batch.streams() {
            // A stream that relabelling drops says nothing of those behind it.
            let Some(labels) = self.labels(Some(stream.labels())) else { continue };
            for e in stream.entries() {
                let ns = if self.config.use_incoming_timestamp { e.ns } else { now_ns };
                let mut entry = Entry::new(ns, e.line, labels.clone());
                entry.metadata = e.metadata().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                entries.push(entry);
            }
        }
        self.job.handle(entries)
    }

    /// Takes lines of text (`/promtail/api/v1/raw`).
    pub fn push_lines(&self, text: &str) -> bool {
        let now_ns = (self.job.outlet.now_ns)();
        let Some(labels) = self.labels(None) else { return true };
        let lines = text.lines().filter(|l| !l.is_empty());
        self.job.handle(lines.map(|l| Entry::new(now_ns, l, labels.clone())).collect())
    }

    /// Labels of the stream and those of the configuration, relabelled; `None` if that drops them.
    fn labels(&self, stream: Option<&Labels>) -> Option<Labels> {
        let mut builder = LabelsBuilder::new();
        for (name, value) in stream.into_iter().flatten().chain(&self.config.labels) {
            builder.set(name, value);
        }
        if !Relabel::apply_all(&self.relabel, &mut builder) {
            return None;
        }
        builder.retain(|n, _| !n.starts_with("__"));
        Some(builder.build())
    }
}

/// As what decodes pushes sees it: a store whose entries go through a pipeline. Whose they are, the pipeline's clients say.
impl LogAppender for PushReceiver {
    fn append_logs(&self, _: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        if self.push(batch) {
            Ok(LogReport { appended: batch.len(), duplicates: 0 })
        } else {
            Err(AppendError::Closed)
        }
    }
}
