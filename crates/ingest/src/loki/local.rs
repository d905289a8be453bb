//! Entries of shippers in the same process: they are stored as pushed ones are, but nobody could send them again, and so no rate
//! holds them back and no age refuses them.

use std::sync::Arc;

use reba_model::{LogBatch, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport};

use super::{
    LokiReceiver,
    decode::{Pairs, PushSink as _},
    intake::Intake,
    stream::Stream,
};

/// Takes entries of this process for a receiver.
#[derive(Debug)]
pub struct LocalAppender(Arc<LokiReceiver>);

impl LocalAppender {
    /// An appender beside what `receiver` takes from outside.
    pub fn new(receiver: Arc<LokiReceiver>) -> Self {
        LocalAppender(receiver)
    }
}

impl LogAppender for LocalAppender {
    fn append_logs(&self, tenant: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        self.0.with_scratch(|scratch| {
            let mut intake = Intake::local(&self.0, tenant, &mut scratch.batch).map_err(refused)?;
            let mut metadata = Pairs::default();
            for stream in batch.streams() {
                let labels = stream.labels();
                // No push writes labels like this: its texts begin with a bracket.
                let key = format!("local{labels}");
                intake.begin(key.as_bytes(), |_, is_demoted| {
                    let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                    Ok(Arc::new(Stream::new(&pairs, is_demoted)))
                });
                for entry in stream.entries() {
                    metadata.clear();
                    entry.metadata().for_each(|(name, value)| metadata.push(name, value));
                    intake.entry(entry.ns, entry.line, &metadata).map_err(refused)?;
                }
            }
            intake.finish_local()
        })
    }
}

/// A batch that even a single process does not make: too many tenants, or more text than a batch holds with what was added to it.
fn refused<E: std::fmt::Display>(error: E) -> AppendError {
    AppendError::Full(error.to_string())
}
