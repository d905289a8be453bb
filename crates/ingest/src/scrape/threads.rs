//! Threads that scrape.
//!
//! A scrape is a dozen short steps: a timer, a request, some reads, a page to parse, a record to write. Where the steps
//! of one scrape meet on several threads, waking them costs more than the steps themselves. So a target belongs to one
//! thread, which does them all; only pages that take long go to threads for blocking work.

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use xxhash_rust::xxh3::xxh3_64;

/// Threads with a runtime each, for as long as a clone exists.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeThreads {
    handles: Vec<Handle>,
    _stop: Arc<DropGuard>,
}

/// Threads for blocking work end after being idle for this long.
const KEEP_IDLE: Duration = Duration::from_secs(1);

/// One thread parses and stores over a million samples a second: it is worth four cores of everything else.
const CORES_A_THREAD: usize = 4;

/// More threads would serve more samples than a store on one machine takes.
const MAX_THREADS: usize = 8;

impl ScrapeThreads {
    /// Starts the threads for a machine of so many cores. If the system has no more threads, there are none, and
    /// targets belong to the runtime of the caller.
    pub fn start(cores: usize) -> Self {
        let stop = CancellationToken::new();
        let count = cores.div_ceil(CORES_A_THREAD).clamp(1, MAX_THREADS);
        let mut handles = Vec::with_capacity(count);
        for n in 0..count {
            match start(n, cores, stop.clone()) {
                Ok(handle) => handles.push(handle),
                Err(e) => tracing::warn!(error = %e, "starting a thread for scraping failed"),
            }
        }
        ScrapeThreads { handles, _stop: Arc::new(stop.drop_guard()) }
    }

    /// The thread of the targets of a job at one address. Must be called within a runtime.
    pub fn of(&self, job: &str, address: &str) -> Handle {
        let hash = xxh3_64(job.as_bytes()) ^ xxh3_64(address.as_bytes());
        let n = hash.checked_rem(self.handles.len() as u64).unwrap_or_default() as usize;
        self.handles.get(n).cloned().unwrap_or_else(Handle::current)
    }
}

fn start(n: usize, cores: usize, stop: CancellationToken) -> io::Result<Handle> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let run = move || {
        // Look-ups of names and large pages are all that blocks here.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(16 + 2 * cores)
            .thread_keep_alive(KEEP_IDLE)
            .build();
        match runtime {
            Ok(runtime) => {
                let _ = sender.send(Ok(runtime.handle().clone()));
                runtime.block_on(stop.cancelled());
                // What still blocks then (a look-up, a write) must not hold up whoever ends the process.
                runtime.shutdown_background();
            }
            Err(e) => {
                let _ = sender.send(Err(e));
            }
        }
    };
    std::thread::Builder::new().name(format!("scrape-{n}")).spawn(run)?;
    receiver.recv().map_err(|_| io::Error::other("the thread died"))?
}
