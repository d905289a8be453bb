//! What sources hand their lines to: the pipeline of a job, and the clients behind it.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, StreamLimit, wait},
    config::LimitsConfig,
    entry::Entry,
    metrics::Counters,
    run::NowNs,
    stage::{Bucket, Context, Pipeline},
    status::Board,
};

/// Where entries go behind the pipelines.
pub(crate) struct Outlet {
    pub clients: Vec<Client>,
    pub counters: Arc<Counters>,
    pub streams: StreamLimit,
    pub limits: LimitsConfig,
    pub board: Arc<Board>,
    /// Lines a second, over all files.
    pub bucket: Mutex<Option<Bucket>>,
    /// Ends waits for clients that take nothing.
    pub abort: CancellationToken,
    pub now_ns: NowNs,
}

/// A job that sources hand their lines to.
pub(crate) struct Job {
    pub name: String,
    pub pipeline: Mutex<Pipeline>,
    /// Sources deliver side by side, each in its own order; what stages have held is let go only between them, for it is older
    /// than what they deliver next.
    turns: RwLock<()>,
    pub outlet: Arc<Outlet>,
    /// Ends reading.
    pub stop: CancellationToken,
    pub add_job_label: bool,
}

impl Job {
    pub fn new(
        name: String,
        pipeline: Pipeline,
        outlet: Arc<Outlet>,
        stop: CancellationToken,
        add_job_label: bool,
    ) -> Self {
        let (pipeline, turns) = (Mutex::new(pipeline), RwLock::new(()));
        Job { name, pipeline, turns, outlet, stop, add_job_label }
    }

    /// Runs lines through the pipeline and delivers what comes out; waits until it is durable. `false` if it was aborted.
    pub fn handle(&self, entries: Vec<Entry>) -> bool {
        let turn = self.turns.read();
        let now_ns = (self.outlet.now_ns)();
        let mut out = Vec::with_capacity(entries.len());
        let mut cx = Context::new(now_ns, &self.name, &self.outlet.counters);
        {
            let mut pipeline = self.pipeline.lock();
            for entry in entries {
                pipeline.process(entry, &mut cx, &mut out);
            }
        }
        let delay = cx.delay;
        let delivered = self.deliver(out);
        drop(turn);
        if !delay.is_zero() {
            wait(&self.stop, delay);
        }
        delivered
    }

    /// Delivers what stages have held for long enough, or all of it.
    pub fn release(&self, all: bool) -> bool {
        let _turn = self.turns.write();
        let mut out = Vec::new();
        let mut cx = Context::new((self.outlet.now_ns)(), &self.name, &self.outlet.counters);
        {
            let mut pipeline = self.pipeline.lock();
            if all {
                pipeline.drain(&mut cx, &mut out);
            } else {
                pipeline.tick(&mut cx, &mut out);
            }
        }
        self.deliver(out)
    }

    fn deliver(&self, mut entries: Vec<Entry>) -> bool {
        for entry in &mut entries {
            // A stream needs a label; upstream sends it without, and it is refused.
            if (self.add_job_label && entry.labels.get("job").is_none()) || entry.labels.is_empty() {
                entry.set_label("job", if self.name.is_empty() { "unnamed" } else { &self.name });
            }
        }
        self.outlet.deliver(entries)
    }

    /// Takes tokens for lines of files; lines beyond the limit are dropped, or we wait.
    pub fn limit_lines(&self, entries: &mut Vec<Entry>) {
        let Some((rate, burst, drop)) = self.outlet.limits.readline else { return };
        let now_ns = (self.outlet.now_ns)();
        let mut pause = Duration::ZERO;
        {
            let mut bucket = self.outlet.bucket.lock();
            let bucket = bucket.get_or_insert_with(|| Bucket::full(burst, now_ns));
            if drop {
                let before = entries.len();
                entries.retain(|_| bucket.take(rate, burst, now_ns));
                let lost = (before - entries.len()) as u64;
                self.outlet.counters.add(
                    "logentry_dropped_lines_total",
                    &[("reason", "readline_rate")],
                    lost,
                );
            } else {
                for _ in entries.iter() {
                    pause = bucket.owe(rate, burst, now_ns);
                }
            }
        }
        wait(&self.stop, pause);
    }
}

impl Outlet {
    fn deliver(&self, mut entries: Vec<Entry>) -> bool {
        entries.retain(|e| {
            let admitted = self.streams.admits(&e.labels);
            if !admitted {
                self.counters.add("promtail_dropped_entries_total", &[("reason", "stream_limited")], 1);
            }
            admitted
        });
        if entries.is_empty() {
            return true;
        }
        for client in &self.clients {
            if !client.write(&entries, &self.counters, &self.abort) {
                // Their marks must not go: what was not written has to be read again.
                std::mem::forget(entries);
                return false;
            }
        }
        true
    }
}
