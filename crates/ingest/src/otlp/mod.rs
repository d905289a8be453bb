//! OTLP, the protocol of OpenTelemetry.
//!
//! What metrics, logs and traces share is [`body`] (encodings, compression, answers), [`schema`] and [`json`] (JSON to
//! protobuf by tables) and [`common`] (resources, scopes, attributes). Messages are walked by hand in their protobuf form:
//! nothing of them is copied before it is known to be needed. [`metrics`] makes series of metrics, as upstream does.

pub mod body;
pub mod common;
pub mod json;
pub mod metrics;
mod names;
pub mod schema;

use reba_storage::AppendError;
use thiserror::Error;

use self::json::JsonFault;

/// Most messages in messages that are looked into. A data point is seven messages deep, its attributes' lists and maps
/// come on top, with two messages each.
pub const MAX_DEPTH: usize = 32;

/// Why a request was refused. Nothing of it is stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OtlpError {
    /// Neither protobuf nor JSON.
    #[error("unsupported content type: {0}, supported: [application/json, application/x-protobuf]")]
    ContentType(String),
    /// Compressed in a way that is not known here.
    #[error("unsupported compression: {0}. Only \"gzip\", \"deflate\", \"zstd\" or no compression supported")]
    ContentEncoding(String),
    /// Not what `Content-Encoding` says.
    #[error("{encoding}: {reason}")]
    Compressed {
        /// How it should be compressed.
        encoding: String,
        /// What is wrong.
        reason: String,
    },
    /// Too many bytes.
    #[error("request exceeds the limit of {limit} bytes after decompression")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// Too many samples.
    #[error("request exceeds the limit of {limit} samples")]
    TooManySamples {
        /// What is allowed.
        limit: usize,
    },
    /// No message.
    #[error("byte {offset}: {reason}")]
    Malformed {
        /// Where the fault is, in bytes of the decompressed body.
        offset: usize,
        /// What it is.
        reason: String,
    },
    /// The store takes nothing.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<JsonFault> for OtlpError {
    fn from(fault: JsonFault) -> Self {
        OtlpError::Malformed { offset: fault.offset, reason: fault.reason }
    }
}

impl OtlpError {
    /// The HTTP status to answer with, and the code of the `google.rpc.Status`: the sender tries again after 429 and
    /// 503, and gives up after anything else.
    pub fn status(&self) -> (u16, u32) {
        const INVALID_ARGUMENT: u32 = 3;
        const RESOURCE_EXHAUSTED: u32 = 8;
        const UNAVAILABLE: u32 = 14;
        match self {
            OtlpError::ContentType(_) | OtlpError::ContentEncoding(_) => (415, INVALID_ARGUMENT),
            OtlpError::Compressed { .. } | OtlpError::Malformed { .. } => (400, INVALID_ARGUMENT),
            OtlpError::TooLarge { .. } | OtlpError::TooManySamples { .. } => (413, RESOURCE_EXHAUSTED),
            OtlpError::Append(AppendError::Limit { .. }) => (429, RESOURCE_EXHAUSTED),
            OtlpError::Append(_) => (503, UNAVAILABLE),
        }
    }
}
