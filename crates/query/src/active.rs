//! Which queries there are right now.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reba_promql::eval::QueryTimes;
use reba_storage::Budget;
use tokio::sync::Notify;

/// A query that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveQuery {
    /// Names it as long as it is active; no later query gets the same number.
    pub id: u64,
    /// The text of the query.
    pub query: String,
    /// The times it asks for.
    pub times: QueryTimes,
    /// How long ago it was asked.
    pub age: Duration,
    /// Whether it runs; otherwise it waits.
    pub running: bool,
}

/// All active queries.
#[derive(Debug, Default)]
pub(crate) struct ActiveQueries {
    next: AtomicU64,
    queries: Mutex<BTreeMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    query: String,
    times: QueryTimes,
    since: Instant,
    running: Arc<AtomicBool>,
    budget: Arc<Budget>,
    killed: Arc<Notify>,
}

impl Entry {
    /// Stops the work, and tells who waits for it.
    fn kill(&self) {
        self.budget.cancel();
        self.killed.notify_one();
    }
}

impl ActiveQueries {
    /// Lists a query until the registration is dropped. `killed` is notified if somebody stops it.
    pub(crate) fn register(
        self: &Arc<Self>,
        query: &str,
        times: QueryTimes,
        budget: &Arc<Budget>,
        since: Instant,
        killed: &Arc<Notify>,
    ) -> Registration {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let running = Arc::new(AtomicBool::new(false));
        let (query, budget, killed) = (query.to_owned(), Arc::clone(budget), Arc::clone(killed));
        let entry = Entry { query, times, since, running: Arc::clone(&running), budget, killed };
        self.queries.lock().insert(id, entry);
        Registration { id, running, list: Arc::clone(self) }
    }

    /// The queries, oldest first.
    pub(crate) fn list(&self) -> Vec<ActiveQuery> {
        let queries = self.queries.lock();
        queries
            .iter()
            .map(|(id, entry)| ActiveQuery {
                id: *id,
                query: entry.query.clone(),
                times: entry.times,
                age: entry.since.elapsed(),
                running: entry.running.load(Ordering::Relaxed),
            })
            .collect()
    }

    /// Stops a query. Returns whether it was there.
    pub(crate) fn kill(&self, id: u64) -> bool {
        self.queries.lock().get(&id).map(Entry::kill).is_some()
    }

    /// Stops them all.
    pub(crate) fn kill_all(&self) {
        self.queries.lock().values().for_each(Entry::kill);
    }
}

/// Keeps a query listed.
#[derive(Debug)]
pub(crate) struct Registration {
    id: u64,
    running: Arc<AtomicBool>,
    list: Arc<ActiveQueries>,
}

impl Registration {
    /// The query left the queue.
    pub(crate) fn start(&self) {
        self.running.store(true, Ordering::Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.list.queries.lock().remove(&self.id);
    }
}
