//! Why a push was refused, or a part of it.

use reba_storage::AppendError;
use thiserror::Error;

/// Why a push was refused, or a part of it: what to answer. After a 400 with several faults what was right is in the store.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct PushError {
    /// The HTTP status. Senders try again after 429 and 5xx, and give up after anything else.
    pub status: u16,
    /// Plain text.
    pub message: String,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl PushError {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        PushError { status: 400, message: message.into(), retry_after_s: None }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("request exceeds the limit of {limit} bytes after decompression");
        PushError { status: 413, message, retry_after_s: None }
    }

    pub(super) fn too_fast(message: impl Into<String>) -> Self {
        PushError { status: 429, message: message.into(), retry_after_s: Some(1) }
    }
}

impl From<AppendError> for PushError {
    fn from(e: AppendError) -> Self {
        match e {
            AppendError::Limit { .. } => PushError::too_fast(e.to_string()),
            AppendError::Poisoned(_) => {
                PushError { status: 500, message: e.to_string(), retry_after_s: None }
            }
            AppendError::Full(_) | AppendError::Closed => {
                PushError { status: 503, message: e.to_string(), retry_after_s: Some(5) }
            }
        }
    }
}
