//! The threads on which queries run.
//!
//! There is one thread for each query that is admitted, not one for each core. With as many threads as cores, two
//! heavy dashboards would keep alert rules waiting for minutes; so the system shares the cores among all admitted
//! queries instead, and the number admitted is bounded by the engine.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use parking_lot::Mutex;

/// One piece of work. It does not panic.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Enough for the deepest query that the parser lets through, without optimisation. Only what is touched takes
/// memory.
const STACK_BYTES: usize = 32 << 20;

/// So many threads that work off jobs; dropping it waits for them.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads. As many jobs as there are threads can be queued, which is all that the engine
    /// admits.
    pub(crate) fn start(threads: usize) -> io::Result<Pool> {
        let (jobs, queue) = sync_channel::<Job>(threads);
        let queue = Arc::new(Mutex::new(queue));
        let start = |i: usize| {
            let queue = Arc::clone(&queue);
            Builder::new().name(format!("query-{i}")).stack_size(STACK_BYTES).spawn(move || work(&queue))
        };
        let threads = (0..threads).map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Pool { jobs: Some(jobs), threads })
    }

    /// Hands a job to the next free thread. Returns false if there is no room for it.
    pub(crate) fn submit(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }
}

/// Works off jobs until nobody can send any more.
fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        // Only the wait is under the lock, not the job.
        let next = queue.lock().recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked is gone already.
            let _ = thread.join();
        }
    }
}
