//! Why a query about logs has no answer.

use std::time::Duration;

use reba_logql::{EvalError, syntax::ParseError};
use reba_storage::{BudgetError, QueryError};
use thiserror::Error;

use crate::slots::Stopped;

/// Why a query about logs has no answer, split by the status that upstream answers with. Texts are upstream's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// The query makes no sense, breaks a limit, or does not fit the lines it found: 400.
    #[error("{0}")]
    BadRequest(String),
    /// Too many queries wait already: 429.
    #[error("too many outstanding requests")]
    TooManyRequests,
    /// Too many followers: 400, as upstream answers.
    #[error("max concurrent tail requests limit exceeded, count > limit ({count} > {limit})")]
    TooManyTails {
        /// How many there would be.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The client left: 499.
    #[error("The request was cancelled by the client.")]
    Cancelled,
    /// It took too long: 504.
    #[error(
        "Request timed out, decrease the duration of the request or add more label matchers (prefer exact match over \
         regex match) to reduce the amount of data processed."
    )]
    TimedOut,
    /// Stored data could not be read, or there is a mistake in this program: 500.
    #[error("{0}")]
    Internal(String),
}

impl LogError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            LogError::BadRequest(_) | LogError::TooManyTails { .. } => 400,
            LogError::TooManyRequests => 429,
            LogError::Cancelled => 499,
            LogError::TimedOut => 504,
            LogError::Internal(_) => 500,
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        LogError::BadRequest(text.into())
    }

    /// The time range of a query is longer than allowed.
    pub(super) fn too_long(length: Duration, limit: Duration) -> Self {
        let text = |d: Duration| {
            reba_logql::units::format_go_duration(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
        };
        LogError::BadRequest(format!(
            "the query time range exceeds the limit (query length: {}, limit: {})",
            text(length),
            text(limit)
        ))
    }
}

impl From<Stopped> for LogError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TooMany => LogError::TooManyRequests,
            Stopped::TimedOut(_) => LogError::TimedOut,
            Stopped::Cancelled(_) => LogError::Cancelled,
            Stopped::ShutDown => LogError::Internal("query engine is shutting down".to_owned()),
            Stopped::Panicked(text) => LogError::Internal(format!("unexpected error: {text}")),
        }
    }
}

impl From<ParseError> for LogError {
    fn from(e: ParseError) -> Self {
        LogError::BadRequest(e.to_string())
    }
}

impl From<EvalError> for LogError {
    fn from(e: EvalError) -> Self {
        LogError::BadRequest(e.to_string())
    }
}

impl From<QueryError> for LogError {
    fn from(e: QueryError) -> Self {
        match e {
            QueryError::Budget(e) => e.into(),
            QueryError::Storage(_) => LogError::Internal(e.to_string()),
        }
    }
}

impl From<BudgetError> for LogError {
    fn from(e: BudgetError) -> Self {
        match e {
            BudgetError::Cancelled => LogError::Cancelled,
            BudgetError::Exceeded { limit: "query.max_bytes", value } => LogError::BadRequest(format!(
                "the query would read too many bytes (limit: {}); consider adding more specific stream selectors or \
                 reduce the time range of the query",
                reba_logql::units::format_byte_size(value)
            )),
            BudgetError::Exceeded { .. } => LogError::BadRequest(e.to_string()),
        }
    }
}
