//! Reba's own log lines on their way to its own log store.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use reba_model::{Labels, LogBatch, Tenant};
use reba_storage::LogAppender;
use serde::Deserialize;
use tracing_subscriber::fmt::MakeWriter;

use crate::run::now_ns;

/// Lines that wait. A store that stands still must not hold up whoever says something, least of all itself.
const WAITING: usize = 4096;

/// Lines that are stored at once.
const BATCH: usize = 512;

struct Line {
    ns: i64,
    text: String,
}

/// Takes lines, each a JSON object, from the subscriber.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

/// The other end of [`Lines`]: what was said, in the order in which it was.
pub struct OwnLogs {
    lines: Receiver<Line>,
    lost: Arc<AtomicU64>,
}

/// Both ends.
pub fn channel() -> (Lines, OwnLogs) {
    let (queue, lines) = sync_channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    (Lines { queue, lost: Arc::clone(&lost) }, OwnLogs { lines, lost })
}

impl io::Write for Lines {
    /// The subscriber hands over a line a call.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buf).trim_end().to_owned();
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Line { ns: now_ns(), text }) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl OwnLogs {
    /// Starts the thread that stores them; it lives as long as the process speaks.
    pub fn store(self, appender: Arc<dyn LogAppender>) -> Result<JoinHandle<()>> {
        let run = move || {
            let mut batch = LogBatch::default();
            while let Ok(first) = self.lines.recv() {
                batch.clear();
                let rest = self.lines.try_iter().take(BATCH);
                for line in std::iter::once(first).chain(rest) {
                    batch.begin_stream(labels(&line.text));
                    // A batch of a few hundred lines is never too long.
                    let _ = batch.push(line.ns, &line.text, []);
                }
                // To say here that it failed would be one more line that fails. The store says what is wrong with it.
                if appender.append_logs(&Tenant::single(), &batch).is_err() {
                    self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
            }
        };
        Ok(std::thread::Builder::new().name("own-logs".to_owned()).spawn(run)?)
    }

    /// Counts lines that were not stored.
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }
}

/// The stream of a line.
fn labels(line: &str) -> Labels {
    #[derive(Deserialize)]
    struct Head {
        level: String,
    }
    let level =
        serde_json::from_str::<Head>(line).map_or_else(|_| "unknown".to_owned(), |h| h.level.to_lowercase());
    Labels::from_pairs([("job", "reba"), ("service", "reba"), ("level", &level)])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use reba_model::NanoRange;
    use reba_storage::{Budget, LogQuerier as _};
    use reba_testkit::MemLogStore;

    use super::*;

    #[test]
    fn what_is_said_is_stored_by_level_and_never_holds_up_who_says_it() {
        let (mut lines, own) = channel();
        let lost = own.lost();
        for i in 0..WAITING + 3 {
            let level = if i == 0 { "WARN" } else { "INFO" };
            lines.write_all(format!("{{\"level\":\"{level}\",\"i\":{i}}}\n").as_bytes()).unwrap();
        }
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        drop(lines);
        let store = Arc::new(MemLogStore::default());
        own.store(Arc::clone(&store) as _).unwrap().join().unwrap();
        let budget = Budget::new(u64::MAX, u64::MAX);
        let streams = store.streams(&Tenant::single(), &[], NanoRange::ALL, &budget).unwrap();
        let counts: Vec<_> = streams.iter().map(|s| (s.labels.value("level"), s.entries)).collect();
        assert_eq!(counts, [("info", WAITING as u64 - 1), ("warn", 1)]);
    }
}
