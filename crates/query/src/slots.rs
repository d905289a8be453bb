//! Who may run when, and for how long: the same for every kind of query.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reba_storage::Budget;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout_at,
};

use crate::{Stage, guard::CancelOnDrop, pool::Pool};

/// Without a limit a query may take so long.
const A_DAY: Duration = Duration::from_secs(86_400);

/// Why work did not come to its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Too many wait already.
    TooMany,
    /// The deadline passed.
    TimedOut(Stage),
    /// Somebody stopped it.
    Cancelled(Stage),
    /// The threads are gone.
    ShutDown,
    /// It panicked; with what.
    Panicked(String),
}

/// Threads for queries, and the queue before them. Dropping it waits for the threads.
#[derive(Debug)]
pub(crate) struct Slots {
    pool: Pool,
    waiting: AtomicUsize,
    max_queued: usize,
}

impl Slots {
    /// Starts `threads` threads; as much work runs at a time as the semaphores of [`Slots::run`] admit, together no more.
    pub(crate) fn start(threads: usize, max_queued: usize) -> io::Result<Slots> {
        Ok(Slots { pool: Pool::start(threads)?, waiting: AtomicUsize::new(0), max_queued: max_queued.max(1) })
    }

    /// Runs `work` once `slots` has room, and waits for it until the deadline (0: none). If the future is dropped, the deadline
    /// passes, or `killed` is notified, the budget is cancelled, and the slot is given back when the work has noticed.
    pub(crate) async fn run<T, E>(
        &self,
        slots: &Arc<Semaphore>,
        timeout: Duration,
        (budget, killed): (Arc<Budget>, &Notify),
        work: impl FnOnce(&Arc<Budget>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Stopped> + Send + 'static,
    {
        let deadline = tokio::time::Instant::now() + if timeout.is_zero() { A_DAY } else { timeout };
        let _guard = CancelOnDrop(Arc::clone(&budget));
        let slot = {
            let _waits = self.wait_in_line()?;
            let slot = stoppable(deadline, killed, Stage::Queue, Arc::clone(slots).acquire_owned()).await?;
            slot.map_err(|_| Stopped::ShutDown)?
        };
        let (answer, answered) = oneshot::channel();
        let job = move || complete(slot, answer, || work(&budget));
        if !self.pool.submit(Box::new(job)) {
            return Err(Stopped::ShutDown.into());
        }
        stoppable(deadline, killed, Stage::Evaluation, answered).await?.map_err(|_| Stopped::ShutDown)?
    }

    /// A place in the queue, if it is not too long.
    fn wait_in_line(&self) -> Result<Waits<'_>, Stopped> {
        let waits = Waits(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_queued {
            return Err(Stopped::TooMany);
        }
        Ok(waits)
    }
}

/// Waits for `future` until the deadline, or until somebody stops the query.
async fn stoppable<T>(
    deadline: tokio::time::Instant,
    killed: &Notify,
    stage: Stage,
    future: impl Future<Output = T>,
) -> Result<T, Stopped> {
    tokio::select! {
        biased;
        () = killed.notified() => Err(Stopped::Cancelled(stage)),
        result = timeout_at(deadline, future) => result.map_err(|_| Stopped::TimedOut(stage)),
    }
}

/// Counts one that waits; dropping it counts it out.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a job to its end. The slot is free before the answer is there, so that who got it can ask again at once.
fn complete<T, E: From<Stopped>>(
    slot: OwnedSemaphorePermit,
    answer: oneshot::Sender<Result<T, E>>,
    work: impl FnOnce() -> Result<T, E>,
) {
    let result = caught(work);
    drop(slot);
    // Nobody may be waiting any more.
    let _ = answer.send(result);
}

/// A panic becomes an error.
pub(crate) fn caught<T, E: From<Stopped>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref()).into()))
}

fn panicked(panic: &(dyn Any + Send)) -> Stopped {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "query panicked");
    Stopped::Panicked(text)
}
