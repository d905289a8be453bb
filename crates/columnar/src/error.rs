//! Errors of opening and maintaining a store.

use reba_disk::DiskError;
use reba_storage::{AdminError, AppendError, QueryError};
use thiserror::Error;

/// Why the store could not be opened or maintained.
#[derive(Debug, Error)]
pub enum ColumnarError {
    /// Files.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has the data directory.
    #[error("data directory {path} is in use by another process")]
    Locked {
        /// The directory.
        path: String,
    },
    /// A part is not what was written. It has been marked and will be set aside.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl ColumnarError {
    /// Whether space ran out.
    pub fn is_full(&self) -> bool {
        matches!(self, ColumnarError::Disk(e) if e.is_full())
    }
}

impl From<ColumnarError> for AdminError {
    fn from(e: ColumnarError) -> Self {
        AdminError(e.to_string())
    }
}

impl From<ColumnarError> for QueryError {
    fn from(e: ColumnarError) -> Self {
        QueryError::Storage(e.to_string())
    }
}

/// What a failure to write means to whoever appended.
pub(crate) fn append_error(e: &DiskError) -> AppendError {
    match e {
        DiskError::Full { .. } => AppendError::Full(e.to_string()),
        DiskError::Poisoned { .. } | DiskError::Io { .. } | DiskError::Corrupt { .. } => {
            AppendError::Poisoned(e.to_string())
        }
    }
}
