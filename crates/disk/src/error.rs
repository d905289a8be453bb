//! Errors, split by what the caller can do.

use std::{io, path::Path};

use thiserror::Error;

/// Why something could not be read or made durable.
#[derive(Debug, Error)]
pub enum DiskError {
    /// No space (or no quota) is left. Nothing that was written before is lost; the same call may succeed later.
    #[error("no space left for {path}")]
    Full {
        /// The file.
        path: String,
    },
    /// A write or fsync failed earlier, so that nothing can be promised any more until the files are opened anew.
    #[error("{path} takes no more writes: {reason}")]
    Poisoned {
        /// The file.
        path: String,
        /// What failed.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {what} {path}: {cause}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// The bytes are not what was written.
    #[error("{path} is corrupt at byte {at}: {what}")]
    Corrupt {
        /// The file.
        path: String,
        /// Offset in the file.
        at: u64,
        /// What was found.
        what: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, DiskError>;

impl DiskError {
    /// Wraps an error of the operating system, telling a full disk from the rest.
    pub fn io(what: &'static str, path: &Path, cause: io::Error) -> Self {
        let path = path.display().to_string();
        if is_full(&cause) { DiskError::Full { path } } else { DiskError::Io { what, path, cause } }
    }

    /// Whether the file or directory does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, DiskError::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    /// Whether space ran out.
    pub fn is_full(&self) -> bool {
        matches!(self, DiskError::Full { .. })
    }
}

fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
