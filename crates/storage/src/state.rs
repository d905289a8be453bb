//! The state store: small documents that people make and that must not be lost: silences, the notification log, users,
//! sessions, dashboards.
//!
//! What a document means is its owner's business; here it is bytes under a key in a space. A space belongs to one owner, who
//! names it (`silences`, `dashboards`, …).

use thiserror::Error;

/// The largest body a document may have, bytes.
pub const DOCUMENT_LIMIT: usize = 16 << 20;

/// How many older versions of a document are kept, where they are kept at all.
pub const HISTORY_KEPT: usize = 100;

/// A document as it is, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name in its space.
    pub key: String,
    /// One more with every write, from one. A document that is written after it was deleted begins again.
    pub version: u64,
    /// When it was written, Unix milliseconds, as the writer said.
    pub at_ms: i64,
    /// What it says.
    pub body: Vec<u8>,
}

/// One step of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// Writes a document.
    Put {
        /// Where.
        space: String,
        /// Its name.
        key: String,
        /// What it says, at most [`DOCUMENT_LIMIT`] bytes.
        body: Vec<u8>,
        /// When, Unix milliseconds.
        at_ms: i64,
        /// The version it must have now; zero if it must not exist. None: whatever there is.
        expected: Option<u64>,
        /// Whether the version that is replaced can be had from [`StateStore::history`]; the newest [`HISTORY_KEPT`] can.
        keep_history: bool,
    },
    /// Removes a document and its history. One that does not exist is no error.
    Delete {
        /// Where.
        space: String,
        /// Its name.
        key: String,
        /// The version it must have now; zero if it must not exist. None: whatever there is.
        expected: Option<u64>,
    },
}

impl StateChange {
    /// Writes a document whatever there is, without a history.
    pub fn put(space: &str, key: &str, body: Vec<u8>, at_ms: i64) -> Self {
        let (space, key) = (space.to_owned(), key.to_owned());
        StateChange::Put { space, key, body, at_ms, expected: None, keep_history: false }
    }

    /// Removes a document whatever its version.
    pub fn delete(space: &str, key: &str) -> Self {
        StateChange::Delete { space: space.to_owned(), key: key.to_owned(), expected: None }
    }
}

/// Why the state store did not do it. Nothing of the write was done.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// Somebody else wrote in between: read it again.
    #[error("{space}/{key} is at version {current}, not at {expected}")]
    Conflict {
        /// Where.
        space: String,
        /// Which document.
        key: String,
        /// The version it has; zero if it does not exist.
        current: u64,
        /// The version the writer thought it had.
        expected: u64,
    },
    /// The body is larger than [`DOCUMENT_LIMIT`].
    #[error("{space}/{key} has {bytes} bytes; a document may have {DOCUMENT_LIMIT}")]
    TooLarge {
        /// Where.
        space: String,
        /// Which document.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// The store could not read or write, for the disk is full or broken. Another try may succeed.
    #[error("the state store: {0}")]
    Unavailable(String),
}

/// Keeps documents. Calls block for the disk: run them on a blocking thread.
pub trait StateStore: Send + Sync {
    /// The document, if there is one.
    fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError>;

    /// All documents of a space, sorted by key.
    fn list(&self, space: &str) -> Result<Vec<Document>, StateError>;

    /// Makes all of the changes, in order, or none; when this returns they survive the loss of power. Returns the new version
    /// of each, zero for a removed one.
    fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError>;

    /// Older versions of a document that were kept, the newest first; without the version it has now.
    fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError>;
}
