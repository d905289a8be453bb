//! The store of what people make: one file below the data, for all roles that keep something there.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reba_state::SqliteState;
use reba_storage::StateStore;

/// Opens the store, or makes it.
pub async fn open(data: &Path) -> Result<Arc<dyn StateStore>> {
    let path = data.join("state.db");
    let open = move || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        SqliteState::open(&path).with_context(|| format!("open {}", path.display()))
    };
    Ok(Arc::new(tokio::task::spawn_blocking(open).await??))
}
