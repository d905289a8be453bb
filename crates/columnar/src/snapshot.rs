//! Copies of the store, for backups.

use std::path::PathBuf;

use crate::{Columnar, ColumnarError};

impl Columnar {
    /// Makes a copy of the store, with all that was acknowledged so far, out of hard links in its folder `snapshots/NAME`, which is
    /// returned. It is opened like any store. Appends and queries go on meanwhile.
    ///
    /// # Errors
    /// If what is in memory cannot be written to parts, or files cannot be linked.
    pub fn snapshot(&self, name: &str) -> Result<PathBuf, ColumnarError> {
        self.flush_all()?;
        Ok(self.catalog.snapshot(name)?)
    }
}
