//! Errors of opening and maintaining a store.

use reba_disk::DiskError;
use reba_storage::AppendError;
use thiserror::Error;

/// Why the store could not be opened or maintained.
#[derive(Debug, Error)]
pub enum TsdbError {
    /// Files.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has the data directory.
    #[error("data directory {path} is in use by another process")]
    Locked {
        /// The directory.
        path: String,
    },
    /// What was given cannot be stored.
    #[error("cannot be stored: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Stored samples could not be decoded.
    #[error("{path}: {reason}")]
    Corrupt {
        /// File or block.
        path: String,
        /// What is wrong.
        reason: String,
    },
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
