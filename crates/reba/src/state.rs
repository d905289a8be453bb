//! The store of what people make: one file below the data, for all roles that keep something there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use reba_state::SqliteState;
use reba_storage::{Document, StateChange, StateError, StateStore};

/// The store, as long as it is open with a lock that tells tools to keep off.
struct Locked {
    store: SqliteState,
    _lock: File,
}

impl StateStore for Locked {
    fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError> {
        self.store.get(space, key)
    }

    fn list(&self, space: &str) -> Result<Vec<Document>, StateError> {
        self.store.list(space)
    }

    fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError> {
        self.store.write(changes)
    }

    fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError> {
        self.store.history(space, key, limit)
    }
}

/// Opens the store, or makes it. Several processes may: SQLite writes for one at a time.
pub async fn open(data: &Path) -> Result<Arc<dyn StateStore>> {
    let data = data.to_owned();
    let open = move || open_with(&data, File::try_lock_shared);
    tokio::task::spawn_blocking(open).await?
}

/// Opens the store for a tool that must be alone with it.
pub fn open_alone(data: &Path) -> Result<Arc<dyn StateStore>> {
    open_with(data, File::try_lock)
}

fn open_with(data: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Arc<dyn StateStore>> {
    fs::create_dir_all(data).with_context(|| data.display().to_string())?;
    let path = data.join("state.lock");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("{}: the state store is in use", data.display()),
        Err(TryLockError::Error(e)) => return Err(e).with_context(|| path.display().to_string()),
    }
    let path = data.join("state.db");
    let store = SqliteState::open(&path).with_context(|| format!("open {}", path.display()))?;
    Ok(Arc::new(Locked { store, _lock: file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_is_kept_off_while_the_store_is_open_and_processes_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let running = open(dir.path()).await.unwrap();
        let another = open(dir.path()).await.unwrap();
        assert!(open_alone(dir.path()).err().unwrap().to_string().contains("in use"));
        drop((running, another));
        let tool = open_alone(dir.path()).unwrap();
        assert!(open(dir.path()).await.is_err());
        tool.write(&[StateChange::put("space", "key", b"{}".to_vec(), 0)]).unwrap();
        assert!(tool.get("space", "key").unwrap().is_some());
    }
}
