//! What is wrong with a query.

use std::fmt;

use thiserror::Error;

/// Why a query could not be parsed, in upstream's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, without the position.
    pub message: String,
    /// Line and column (in characters), both from 1.
    pub position: (u32, u32),
}

impl ParseError {
    /// An error at a byte of the query.
    pub(super) fn at(query: &str, pos: usize, message: impl Into<String>) -> Self {
        let before = query.get(..pos).unwrap_or(query);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() as u32 + 1;
        let column = before[line_start..].chars().count() as u32 + 1;
        ParseError { message: message.into(), position: (line, column) }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position;
        write!(f, "parse error at line {line}, col {column}: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// Why a query that parses makes no sense, or not yet.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ValidationError {
    /// Types that do not go together, numbers out of range.
    #[error("{0}")]
    Invalid(String),
    /// The language has it, nobody evaluates it.
    #[error("{0} not yet supported")]
    Unsupported(String),
}

/// Why a query is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// It does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It parses and makes no sense.
    #[error(transparent)]
    Validation(#[from] ValidationError),
}
