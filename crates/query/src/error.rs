//! Why a query has no result.

use std::fmt;

use reba_promql::{
    eval::EvalError,
    syntax::{DurationError, ParseError},
};
use reba_storage::{BudgetError, QueryError};
use thiserror::Error;

use crate::slots::Stopped;

/// Where a query was when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for others to finish.
    Queue,
    /// Fetching and evaluating.
    Evaluation,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Queue => "query queue",
            Stage::Evaluation => "expression evaluation",
        })
    }
}

/// Why a query has no result, split as upstream's API splits it. Texts are upstream's, for clients match on them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// The query makes no sense; the same query never will.
    #[error("{0}")]
    BadData(String),
    /// The data does not fit the query, or a limit was reached.
    #[error("{0}")]
    Execution(String),
    /// The query was stopped from outside.
    #[error("query was canceled in {0}")]
    Canceled(Stage),
    /// The query took too long.
    #[error("query timed out in {0}")]
    Timeout(Stage),
    /// Stored data could not be read, or there is a mistake in this program.
    #[error("{0}")]
    Internal(String),
}

impl From<Stopped> for ExecError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::TooMany => ExecError::Execution("too many queries wait already".to_owned()),
            Stopped::TimedOut(stage) => ExecError::Timeout(stage),
            Stopped::Cancelled(stage) => ExecError::Canceled(stage),
            Stopped::ShutDown => ExecError::Internal("query engine is shutting down".to_owned()),
            Stopped::Panicked(text) => ExecError::Internal(format!("unexpected error: {text}")),
        }
    }
}

impl From<ParseError> for ExecError {
    fn from(e: ParseError) -> Self {
        ExecError::BadData(e.to_string())
    }
}

impl From<DurationError> for ExecError {
    fn from(e: DurationError) -> Self {
        ExecError::BadData(e.to_string())
    }
}

impl From<EvalError> for ExecError {
    fn from(e: EvalError) -> Self {
        match &e {
            EvalError::InvalidType(_) => ExecError::BadData(e.to_string()),
            EvalError::Cancelled => ExecError::Canceled(Stage::Evaluation),
            EvalError::Chunk(_) | EvalError::Bug(_) => ExecError::Internal(e.to_string()),
            _ => ExecError::Execution(e.to_string()),
        }
    }
}

impl From<QueryError> for ExecError {
    fn from(e: QueryError) -> Self {
        match e {
            QueryError::Budget(e) => e.into(),
            QueryError::Storage(_) => ExecError::Internal(e.to_string()),
        }
    }
}

impl From<BudgetError> for ExecError {
    fn from(e: BudgetError) -> Self {
        match e {
            BudgetError::Cancelled => ExecError::Canceled(Stage::Evaluation),
            BudgetError::Exceeded { .. } => ExecError::Execution(e.to_string()),
        }
    }
}
