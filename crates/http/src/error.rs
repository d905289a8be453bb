//! Why a request failed.

use std::{error::Error, path::PathBuf};

use thiserror::Error;

use crate::MemoryExceeded;

/// Why a request has no answer, or none that can be used.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The configuration cannot be used: a certificate that is none, an unknown proxy scheme. It must be changed.
    #[error("{0}")]
    Config(String),
    /// No connection: the name is not known, nobody listens, TLS or a proxy refuses. It may come about later. Requests tell
    /// it as [`HttpError::Transport`], with method and URL.
    #[error("{0}")]
    Connect(String),
    /// A file with a credential or a certificate cannot be read.
    #[error("unable to read file {}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The request took too long, from the first byte sent to the last received.
    #[error("{request}: context deadline exceeded")]
    Timeout {
        /// Method and URL.
        request: String,
    },
    /// No connection, or it broke.
    #[error("{request}: {reason}")]
    Transport {
        /// Method and URL.
        request: String,
        /// The innermost cause.
        reason: String,
    },
    /// The answer redirects too often, or to nowhere.
    #[error("{request}: {reason}")]
    Redirect {
        /// Method and URL.
        request: String,
        /// What is wrong.
        reason: String,
    },
    /// The body, decompressed, is longer than asked for.
    #[error("body size limit exceeded")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The bodies of several requests together are longer than their shared memory.
    #[error(transparent)]
    Memory(#[from] MemoryExceeded),
    /// The body's encoding is unknown or broken.
    #[error("{0}")]
    Encoding(String),
    /// No OAuth 2.0 token could be had.
    #[error("oauth2: cannot fetch token: {0}")]
    Token(String),
}

/// The text of the innermost cause, which says what happened; the outer ones say where.
pub(crate) fn root_cause(e: &(dyn Error + 'static)) -> String {
    let mut cause = e;
    // Bounded, since nothing forbids an error to be its own source.
    for _ in 0..16 {
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    cause.to_string()
}
