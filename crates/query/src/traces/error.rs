//! Why a query about traces has no answer.

use reba_storage::{BudgetError, QueryError};
use reba_traceql::{EvalError, syntax};
use thiserror::Error;

use crate::slots::Stopped;

/// Why a query about traces has no answer, split by the status that upstream answers with.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TraceError {
    /// The query makes no sense, or breaks a limit: 400.
    #[error("{0}")]
    BadRequest(String),
    /// Too many queries wait already: 429.
    #[error("too many outstanding requests")]
    TooManyRequests,
    /// The client left: 499.
    #[error("context canceled")]
    Cancelled,
    /// It took too long: 504.
    #[error("the query took too long: make its time range shorter, or say more of what it looks for")]
    TimedOut,
    /// Stored data could not be read, or there is a mistake in this program: 500.
    #[error("{0}")]
    Internal(String),
}

impl TraceError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            TraceError::BadRequest(_) => 400,
            TraceError::TooManyRequests => 429,
            TraceError::Cancelled => 499,
            TraceError::TimedOut => 504,
            TraceError::Internal(_) => 500,
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        TraceError::BadRequest(text.into())
    }
}

impl From<syntax::QueryError> for TraceError {
    fn from(e: syntax::QueryError) -> Self {
        TraceError::BadRequest(format!("invalid TraceQL query: {e}"))
    }
}

impl From<EvalError> for TraceError {
    fn from(e: EvalError) -> Self {
        TraceError::BadRequest(format!("invalid TraceQL query: {e}"))
    }
}

impl From<Stopped> for TraceError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TooMany => TraceError::TooManyRequests,
            Stopped::TimedOut(_) => TraceError::TimedOut,
            Stopped::Cancelled(_) => TraceError::Cancelled,
            Stopped::ShutDown => TraceError::Internal("query engine is shutting down".to_owned()),
            Stopped::Panicked(text) => TraceError::Internal(format!("unexpected error: {text}")),
        }
    }
}

impl From<QueryError> for TraceError {
    fn from(e: QueryError) -> Self {
        match e {
            QueryError::Budget(e) => e.into(),
            QueryError::Storage(_) => TraceError::Internal(e.to_string()),
        }
    }
}

impl From<BudgetError> for TraceError {
    fn from(e: BudgetError) -> Self {
        match e {
            BudgetError::Cancelled => TraceError::Cancelled,
            BudgetError::Exceeded { .. } => TraceError::BadRequest(e.to_string()),
        }
    }
}
