//! Backups: files with their checksums, in a folder or a compressed archive; and bringing them back.
//!
//! A backup holds the files of a data folder, then `SHA256SUMS` (as `sha256sum -c` reads it), then `reba-backup.json`, whose presence
//! says that it is whole (`docs/format/backup.md`). Where the files come from is for others to know; this module knows no store.

mod list;
mod read;
mod restore;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use list::{SourceFile, below};
pub use restore::{RESTORING, Restored, restore, unfinished, verify};
pub use write::write;

/// Names and sums of all other files.
const SUMS: &str = "SHA256SUMS";

/// What the backup is; the last file that is written.
const ABOUT: &str = "reba-backup.json";

/// The form of backups that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// How an archive's name ends.
const ARCHIVE: &str = ".tar.zst";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The form of the backup.
    pub format: u32,
    /// The version of the program that made it.
    pub version: String,
    /// When it was made (RFC 3339).
    pub taken_at: String,
    /// How many files of data it holds.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 of `SHA256SUMS`, in hexadecimal digits.
    pub sums: String,
}

/// Why a backup was not made, or not brought back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Something is there already, and nothing is overwritten.
    #[error("{} {reason}", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What that means.
        reason: &'static str,
    },
    /// It is no backup, or not a whole one, or not as it was.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl BackupError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| BackupError::Io { path: path.to_owned(), cause }
    }

    fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        BackupError::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

/// Told how much of the work is done: bytes, and how many there are.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Whether a backup of this name is an archive rather than a folder.
fn is_archive(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(ARCHIVE)
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(BackupError::io(folder))
}
