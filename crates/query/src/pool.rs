//! The threads on which queries run.
//!
//! There is one thread for each query that is admitted, not one for each core. With as many threads as cores, two
//! heavy dashboards would keep alert rules waiting for minutes; so the system shares the cores among all admitted
//! queries instead, and the number admitted is bounded by the engine.
//!
//! A job goes to the thread that became free last: its stack and its part of the allocator are still in the caches, and
//! one thread is woken for each job, no other. A thread is started when a job comes and none is free: most of the time a few do.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use parking_lot::{Condvar, Mutex};

/// One piece of work. It does not panic.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Enough for the deepest query that the parser lets through, without optimisation. Only what is touched takes
/// memory.
const STACK_BYTES: usize = 32 << 20;

/// Up to so many threads that work off jobs; dropping it waits for them.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Those that have been started.
    threads: Mutex<Vec<JoinHandle<()>>>,
    most: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// One for each thread.
    wake: Vec<Condvar>,
}

#[derive(Default)]
struct State {
    /// What each thread is to do next.
    handed: Vec<Option<Job>>,
    /// Threads that wait, the one that became free last at the end.
    idle: Vec<usize>,
    /// Jobs for which no thread was free.
    queue: VecDeque<Job>,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("idle", &self.idle)
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts the first of at most `most` threads. As many jobs as threads can be queued, which is all that the engine admits.
    pub(crate) fn start(most: usize) -> io::Result<Pool> {
        let handed = (0..most).map(|_| None).collect();
        let state = Mutex::new(State { handed, ..State::default() });
        let shared = Arc::new(Shared { state, wake: (0..most).map(|_| Condvar::new()).collect() });
        let pool = Pool { shared, threads: Mutex::default(), most };
        pool.start_another()?;
        Ok(pool)
    }

    /// Hands a job to a free thread, or queues it for the next. Returns false if there is no room for it.
    pub(crate) fn submit(&self, job: Job) -> bool {
        let mut state = self.shared.state.lock();
        if let Some(thread) = state.idle.pop() {
            state.handed[thread] = Some(job);
            drop(state);
            self.shared.wake[thread].notify_one();
            return true;
        }
        if state.queue.len() >= self.most {
            return false;
        }
        state.queue.push_back(job);
        drop(state);
        if let Err(error) = self.start_another() {
            // The threads there are take it when they are free.
            tracing::warn!(%error, "no further thread for queries");
        }
        true
    }

    /// Starts one more thread, if there may be one.
    fn start_another(&self) -> io::Result<()> {
        let mut threads = self.threads.lock();
        let i = threads.len();
        if i < self.most {
            let shared = Arc::clone(&self.shared);
            let builder = Builder::new().name(format!("query-{i}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || shared.work(i))?);
        }
        Ok(())
    }
}

impl Shared {
    /// Works off jobs until the pool is closed and nothing is left.
    fn work(&self, me: usize) {
        while let Some(job) = self.next(me) {
            job();
        }
    }

    fn next(&self, me: usize) -> Option<Job> {
        let mut state = self.state.lock();
        if let Some(job) = state.queue.pop_front() {
            return Some(job);
        }
        if state.closed {
            return None;
        }
        state.idle.push(me);
        loop {
            self.wake[me].wait(&mut state);
            if let Some(job) = state.handed[me].take() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        for wake in &self.shared.wake {
            wake.notify_one();
        }
        for thread in self.threads.get_mut().drain(..) {
            // A thread that panicked is gone already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn every_job_runs_once_and_a_full_queue_refuses_more() {
        let pool = Pool::start(2).unwrap();
        let (done, results) = sync_channel(100);
        let (release, gate) = sync_channel::<()>(1);
        let gate = Arc::new(Mutex::new(gate));
        let mut taken = 0;
        for i in 0..100 {
            let (done, gate) = (done.clone(), Arc::clone(&gate));
            let job = move || {
                let _ = gate.lock().recv();
                done.send(i).unwrap();
            };
            taken += usize::from(pool.submit(Box::new(job)));
        }
        // Two may run, and two wait; how many the threads have taken from the queue by now is open.
        assert!((2..=4).contains(&taken), "{taken}");
        assert_eq!(pool.threads.lock().len(), 2);
        drop(release);
        drop(pool);
        drop(done);
        assert_eq!(results.iter().count(), taken);
    }

    #[test]
    fn jobs_one_after_the_other_share_a_thread() {
        let pool = Pool::start(8).unwrap();
        let (done, results) = sync_channel(1);
        for _ in 0..20 {
            // The thread is free again a moment after its job is done.
            while pool.shared.state.lock().idle.is_empty() {
                std::thread::yield_now();
            }
            let done = done.clone();
            assert!(pool.submit(Box::new(move || done.send(()).unwrap())));
            results.recv().unwrap();
        }
        assert_eq!(pool.threads.lock().len(), 1);
    }
}
