//! Why an evaluation fails.

use reba_model::ChunkError;
use thiserror::Error;

/// Why a query has no result. Texts are upstream's where clients match on them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    /// The data or an argument does not fit the query (422).
    #[error("{0}")]
    Execution(String),
    /// A range query of a type that has no value at each step (400).
    #[error("invalid expression type \"{0}\" for range query, must be Scalar or instant Vector")]
    InvalidType(&'static str),
    /// More samples would be held at once than allowed (422).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The query was cancelled, or its deadline passed; the caller knows which.
    #[error("query was canceled in query execution")]
    Cancelled,
    /// Stored data could not be decoded (500).
    #[error("expanding series: {0}")]
    Chunk(#[from] ChunkError),
    /// A mistake in this program (500).
    #[error("unexpected error: {0}")]
    Bug(&'static str),
}

impl EvalError {
    /// Upstream's error for elements that cannot be told apart any more.
    pub(crate) fn duplicate_labels() -> Self {
        EvalError::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}
