//! The state store on SQLite: small documents that people make and that must not be lost.
//!
//! One connection behind a lock: the store is asked a few times a second, and SQLite writes one at a time anyway. A write is on
//! the disk (WAL, `synchronous=FULL`) before it returns. The file is told in `docs/format/state.md`.
//!
//! This crate does not know what the documents mean.

use std::{
    fs::{OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use reba_storage::{DOCUMENT_LIMIT, Document, HISTORY_KEPT, StateChange, StateError, StateStore};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use thiserror::Error;

/// "REBA": so that a file of somebody else is not taken for ours.
const APPLICATION_ID: i32 = 0x5245_4241;

/// The steps from one version of the schema to the next; the version of a file is how many it has taken.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE document (
        space TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (space, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE history (
        space TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (space, key, version)
    ) STRICT;
"];

/// How long a statement waits for another process (`sqlite3`, a backup) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the file was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite refuses it: it is damaged, or no database.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It is a database of another program.
    #[error("{}: this is a database of another program (application id {id:#x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose.
        id: i32,
    },
    /// A newer Reba wrote it.
    #[error("{}: its schema {found} is newer than what this version of Reba knows ({})", path.display(), MIGRATIONS.len())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
    },
}

/// The state store in one file.
#[derive(Debug)]
pub struct SqliteState {
    connection: Mutex<Connection>,
}

impl SqliteState {
    /// Opens the file, or makes it, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        // Made before SQLite makes it: the files beside it take its mode.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
        let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        let (id, version) = identity(&connection).map_err(sqlite)?;
        if id != 0 && id != APPLICATION_ID {
            return Err(OpenError::Foreign { path: path.to_owned(), id });
        }
        if version > MIGRATIONS.len() {
            return Err(OpenError::Newer { path: path.to_owned(), found: version });
        }
        prepare(&mut connection, version).map_err(sqlite)?;
        Ok(SqliteState { connection: Mutex::new(connection) })
    }

    /// Writes a consistent copy to a file that does not exist yet, for a backup. Others can go on meanwhile.
    pub fn copy_to(&self, path: &Path) -> Result<(), StateError> {
        let target =
            path.to_str().ok_or_else(|| StateError::Unavailable("the path is no UTF-8".to_owned()))?;
        self.connection.lock().execute("VACUUM INTO ?1", params![target]).map_err(unavailable)?;
        Ok(())
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<(i32, usize)> {
    let id = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // A negative one is none of ours.
    Ok((id, usize::try_from(version).unwrap_or(usize::MAX)))
}

/// Sets how the file is written, and takes the steps to the present schema.
fn prepare(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
}

impl StateStore for SqliteState {
    fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError> {
        let connection = self.connection.lock();
        let sql = "SELECT key, version, at_ms, body FROM document WHERE space = ?1 AND key = ?2";
        let mut statement = connection.prepare(sql).map_err(unavailable)?;
        statement.query_row(params![space, key], document).optional().map_err(unavailable)
    }

    fn list(&self, space: &str) -> Result<Vec<Document>, StateError> {
        let connection = self.connection.lock();
        let sql = "SELECT key, version, at_ms, body FROM document WHERE space = ?1 ORDER BY key";
        let mut statement = connection.prepare(sql).map_err(unavailable)?;
        let rows = statement.query_map(params![space], document).map_err(unavailable)?;
        rows.collect::<Result<_, _>>().map_err(unavailable)
    }

    fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError> {
        let mut connection = self.connection.lock();
        let behavior = TransactionBehavior::Immediate;
        let transaction = connection.transaction_with_behavior(behavior).map_err(unavailable)?;
        // Whoever leaves early drops the transaction, which rolls it back.
        let versions = changes.iter().map(|change| apply(&transaction, change)).collect::<Result<_, _>>()?;
        transaction.commit().map_err(unavailable)?;
        Ok(versions)
    }

    fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError> {
        let connection = self.connection.lock();
        let sql = "SELECT key, version, at_ms, body FROM history WHERE space = ?1 AND key = ?2 \
                   ORDER BY version DESC LIMIT ?3";
        let mut statement = connection.prepare(sql).map_err(unavailable)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![space, key, limit], document).map_err(unavailable)?;
        rows.collect::<Result<_, _>>().map_err(unavailable)
    }
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let version: i64 = row.get(1)?;
    Ok(Document { key: row.get(0)?, version: version.unsigned_abs(), at_ms: row.get(2)?, body: row.get(3)? })
}

/// Takes one step of a write; returns the document's new version.
fn apply(transaction: &Transaction<'_>, change: &StateChange) -> Result<u64, StateError> {
    let (StateChange::Put { space, key, expected, .. } | StateChange::Delete { space, key, expected }) =
        change;
    let current = current_version(transaction, space, key)?;
    if let Some(expected) = *expected
        && expected != current
    {
        return Err(StateError::Conflict { space: space.clone(), key: key.clone(), current, expected });
    }
    match change {
        StateChange::Put { body, at_ms, keep_history, .. } => {
            if body.len() > DOCUMENT_LIMIT {
                return Err(StateError::TooLarge {
                    space: space.clone(),
                    key: key.clone(),
                    bytes: body.len(),
                });
            }
            if *keep_history {
                keep(transaction, space, key).map_err(unavailable)?;
            }
            let version = current + 1;
            put(transaction, (space, key), version, *at_ms, body).map_err(unavailable)?;
            Ok(version)
        }
        StateChange::Delete { .. } => {
            for sql in [
                "DELETE FROM document WHERE space = ?1 AND key = ?2",
                "DELETE FROM history WHERE space = ?1 AND key = ?2",
            ] {
                transaction
                    .prepare(sql)
                    .and_then(|mut s| s.execute(params![space, key]))
                    .map_err(unavailable)?;
            }
            Ok(0)
        }
    }
}

fn current_version(transaction: &Transaction<'_>, space: &str, key: &str) -> Result<u64, StateError> {
    let sql = "SELECT version FROM document WHERE space = ?1 AND key = ?2";
    let mut statement = transaction.prepare(sql).map_err(unavailable)?;
    let found: Option<i64> =
        statement.query_row(params![space, key], |row| row.get(0)).optional().map_err(unavailable)?;
    Ok(found.map_or(0, i64::unsigned_abs))
}

/// Copies the document as it is to its history, and forgets what is too old there.
fn keep(transaction: &Transaction<'_>, space: &str, key: &str) -> rusqlite::Result<()> {
    let copy = "INSERT INTO history SELECT space, key, version, at_ms, body FROM document WHERE space = ?1 AND key = ?2";
    transaction.prepare(copy)?.execute(params![space, key])?;
    let forget = "DELETE FROM history WHERE space = ?1 AND key = ?2 AND version NOT IN \
                  (SELECT version FROM history WHERE space = ?1 AND key = ?2 ORDER BY version DESC LIMIT ?3)";
    let kept = i64::try_from(HISTORY_KEPT).unwrap_or(i64::MAX);
    transaction.prepare(forget)?.execute(params![space, key, kept])?;
    Ok(())
}

fn put(
    transaction: &Transaction<'_>,
    (space, key): (&str, &str),
    version: u64,
    at_ms: i64,
    body: &[u8],
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO document (space, key, version, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (space, key) DO UPDATE SET version = ?3, at_ms = ?4, body = ?5";
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    transaction.prepare(sql)?.execute(params![space, key, version, at_ms, body])?;
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn unavailable(error: rusqlite::Error) -> StateError {
    StateError::Unavailable(error.to_string())
}
