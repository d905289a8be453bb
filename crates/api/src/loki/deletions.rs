//! Requests to delete, and a file of them: what was asked for happens even if the process dies meanwhile.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use reba_logql::syntax::parse_log;
use reba_model::{NanoRange, Tenant};
use reba_query::logs::{LogQueryEngine, deletion_filter};
use reba_storage::LogAdmin;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Requests that are remembered after they are done, of all tenants; the oldest go.
const MAX_KEPT: usize = 10_000;

/// A request to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// What it is called by.
    pub id: String,
    tenant: String,
    /// A log query.
    pub query: String,
    /// The first time, Unix nanoseconds.
    pub start_ns: i64,
    /// The last time; its whole millisecond belongs to it.
    pub end_ns: i64,
    /// When it was asked for.
    pub created_ns: i64,
    /// Whether the rows are gone.
    pub done: bool,
}

impl Deletion {
    /// A request that has not begun.
    pub fn new(tenant: Tenant, query: &str, start_ns: i64, end_ns: i64, created_ns: i64) -> Self {
        let (tenant, query) = (tenant.to_string(), query.to_owned());
        Deletion { id: String::new(), tenant, query, start_ns, end_ns, created_ns, done: false }
    }
}

/// Why something was not deleted.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// The list of requests could not be written or read.
    #[error("the list of delete requests at {path}: {source}")]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store did not do it; the request stays in the list, and is tried again at the next start.
    #[error("{0}")]
    Store(String),
}

/// What became of a request that somebody takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is gone, and nothing was deleted.
    Yes,
    /// There is none of that name.
    Unknown,
    /// It is done, or about to be.
    TooLate,
}

/// All requests.
pub struct Deletions {
    store: Arc<dyn LogAdmin>,
    engine: Option<Arc<LogQueryEngine>>,
    /// Where the list is kept; without, it ends with the process.
    file: Option<PathBuf>,
    list: Mutex<List>,
    /// One after the other: each reads much.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct List {
    all: Vec<Deletion>,
    /// The names of those that run.
    running: BTreeSet<String>,
}

impl Deletions {
    /// Reads the list of a former process, if `file` is there.
    pub fn open(store: Arc<dyn LogAdmin>, file: Option<PathBuf>) -> Result<Self, DeletionError> {
        let all = match &file {
            Some(path) => read(path).map_err(|source| DeletionError::File { path: path.clone(), source })?,
            None => Vec::new(),
        };
        let list = Mutex::new(List { all, running: BTreeSet::new() });
        Ok(Deletions { store, engine: None, file, list, turn: Mutex::default() })
    }

    /// The same, where selectors find labels that are stored as structured metadata, as queries of `engine` do.
    #[must_use]
    pub fn with_engine(self, engine: Arc<LogQueryEngine>) -> Self {
        Deletions { engine: Some(engine), ..self }
    }

    /// Does what a former process was asked for and did not finish. It may take long.
    pub fn resume(&self) {
        let open: Vec<Deletion> = self.list.lock().all.iter().filter(|d| !d.done).cloned().collect();
        for deletion in open {
            if let Err(error) = self.finish(&deletion) {
                tracing::error!(request = deletion.id, %error, "a delete request could not be carried out");
            }
        }
    }

    /// Writes the request down and carries it out.
    pub fn run(&self, mut deletion: Deletion) -> Result<(), DeletionError> {
        {
            let mut list = self.list.lock();
            deletion.id = list.free_id(&deletion);
            list.all.push(deletion.clone());
            list.forget_some();
            if let Err(e) = self.write(&list) {
                list.all.retain(|d| d.id != deletion.id);
                return Err(e);
            }
        }
        self.finish(&deletion)
    }

    fn finish(&self, deletion: &Deletion) -> Result<(), DeletionError> {
        let _turn = self.turn.lock();
        {
            let mut list = self.list.lock();
            if !list.all.iter().any(|d| d.id == deletion.id) {
                // Taken back while it waited.
                return Ok(());
            }
            list.running.insert(deletion.id.clone());
        }
        let result = self.delete(deletion);
        let mut list = self.list.lock();
        list.running.remove(&deletion.id);
        let rows = result?;
        tracing::info!(
            request = deletion.id,
            tenant = deletion.tenant,
            query = deletion.query,
            rows,
            "deleted log lines"
        );
        for d in list.all.iter_mut().filter(|d| d.id == deletion.id) {
            d.done = true;
        }
        self.write(&list)
    }

    fn delete(&self, deletion: &Deletion) -> Result<u64, DeletionError> {
        let failed = |e: &dyn fmt::Display| DeletionError::Store(e.to_string());
        let tenant = Tenant::new(&deletion.tenant).map_err(|e| failed(&e))?;
        let mut log = parse_log(&deletion.query).map_err(|e| failed(&e))?;
        if let Some(engine) = &self.engine {
            engine.find_demoted(&tenant, &mut log);
        }
        let (matchers, doomed) = deletion_filter(&log).map_err(|e| failed(&e))?;
        let range = NanoRange::new(deletion.start_ns, deletion.end_ns.saturating_add(1_000_000));
        self.store.delete_logs(&tenant, &matchers, range, doomed.as_deref()).map_err(|e| failed(&e))
    }

    /// A tenant's requests, oldest first.
    pub fn list(&self, tenant: &Tenant) -> Vec<Deletion> {
        self.list.lock().all.iter().filter(|d| d.tenant == tenant.as_str()).cloned().collect()
    }

    /// Takes a request back that has not begun.
    pub fn cancel(&self, tenant: &Tenant, id: &str) -> Result<Cancelled, DeletionError> {
        let mut list = self.list.lock();
        let Some(at) = list.all.iter().position(|d| d.tenant == tenant.as_str() && d.id == id) else {
            return Ok(Cancelled::Unknown);
        };
        if list.all[at].done || list.running.contains(id) {
            return Ok(Cancelled::TooLate);
        }
        list.all.remove(at);
        self.write(&list)?;
        Ok(Cancelled::Yes)
    }

    fn write(&self, list: &List) -> Result<(), DeletionError> {
        let Some(path) = &self.file else { return Ok(()) };
        write(path, &list.all).map_err(|source| DeletionError::File { path: path.clone(), source })
    }
}

impl List {
    /// A short name that no other request has.
    fn free_id(&self, d: &Deletion) -> String {
        let text = format!("{}\n{}\n{}\n{}\n{}", d.tenant, d.query, d.start_ns, d.end_ns, d.created_ns);
        let first = xxh3_64(text.as_bytes()) as u32;
        let names = (0..=u32::MAX).map(|i| format!("{:08x}", first.wrapping_add(i)));
        names.into_iter().find(|id| self.all.iter().all(|d| d.id != *id)).unwrap_or_default()
    }

    fn forget_some(&mut self) {
        let mut surplus = self.all.len().saturating_sub(MAX_KEPT);
        self.all.retain(|d| {
            let goes = surplus > 0 && d.done;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

impl fmt::Debug for Deletions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deletions").field("file", &self.file).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Vec<Deletion>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// The whole file anew beside the old one, which it then replaces.
fn write(path: &Path, all: &[Deletion]) -> io::Result<()> {
    let new = path.with_extension("tmp");
    let mut file = fs::File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(all)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use reba_model::{Labels, LogBatch, Matcher};
    use reba_storage::{AdminError, Budget, LogAppender as _, LogQuerier as _, RowFilter};
    use reba_testkit::MemLogStore;

    use super::*;

    fn store(lines: &[&str]) -> Arc<MemLogStore> {
        let store = MemLogStore::default();
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", "a")]));
        for (i, line) in lines.iter().enumerate() {
            batch.push(i as i64 * 1_000_000_000, line, []).unwrap();
        }
        store.append_logs(&Tenant::single(), &batch).unwrap();
        Arc::new(store)
    }

    fn left(store: &MemLogStore) -> u64 {
        let budget = Budget::unlimited();
        let streams = store.streams(&Tenant::single(), &[], NanoRange::ALL, &budget).unwrap();
        streams.iter().map(|s| s.entries).sum()
    }

    fn deletion(query: &str) -> Deletion {
        Deletion::new(Tenant::single(), query, 0, 5_000_000_000, 9)
    }

    #[test]
    fn what_matches_is_gone_when_the_request_is_done() {
        let store = store(&["keep", "secret one", "secret two"]);
        let deletions = Deletions::open(Arc::clone(&store) as _, None).unwrap();
        deletions.run(deletion(r#"{app="a"} |= "secret""#)).unwrap();
        assert_eq!(left(&store), 1);
        let list = deletions.list(&Tenant::single());
        assert!(list.len() == 1 && list[0].done && list[0].id.len() == 8, "{list:?}");
        assert_eq!(deletions.list(&Tenant::new("other").unwrap()), []);
        assert_eq!(deletions.cancel(&Tenant::single(), &list[0].id).unwrap(), Cancelled::TooLate);
        assert_eq!(deletions.cancel(&Tenant::single(), "x").unwrap(), Cancelled::Unknown);
    }

    /// A store whose disk is full.
    struct Full;

    impl LogAdmin for Full {
        fn delete_logs(
            &self,
            _: &Tenant,
            _: &[Matcher],
            _: NanoRange,
            _: Option<&RowFilter>,
        ) -> Result<u64, AdminError> {
            Err(AdminError("the disk is full".to_owned()))
        }

        fn flush_logs(&self) -> Result<(), AdminError> {
            Ok(())
        }
    }

    #[test]
    fn what_could_not_be_done_is_done_by_the_next_process_unless_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("deletes.json"));
        let deletions = Deletions::open(Arc::new(Full), file.clone()).unwrap();
        assert!(
            deletions.run(deletion("{app=\"a\"} |= \"x\"")).unwrap_err().to_string().contains("disk is full")
        );
        assert!(deletions.run(deletion("{app=\"a\"} |= \"y\"")).is_err());
        let ids: Vec<String> = deletions.list(&Tenant::single()).into_iter().map(|d| d.id).collect();
        assert_eq!(deletions.cancel(&Tenant::single(), &ids[1]).unwrap(), Cancelled::Yes);

        let store = store(&["x", "y"]);
        let deletions = Deletions::open(Arc::clone(&store) as _, file.clone()).unwrap();
        deletions.resume();
        assert_eq!(left(&store), 1);
        let list = Deletions::open(store, file).unwrap().list(&Tenant::single());
        assert!(list.len() == 1 && list[0].done, "{list:?}");
    }
}
