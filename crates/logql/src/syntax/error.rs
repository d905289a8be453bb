//! What is wrong with a query.

use std::fmt;

/// Why a query could not be parsed, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, without the position.
    pub message: String,
    /// Line and column (in characters), both from 1; none if it is the query as a whole that makes no sense.
    pub position: Option<(u32, u32)>,
}

impl ParseError {
    /// An error at a byte of the query.
    pub(crate) fn at(query: &str, pos: usize, message: impl Into<String>) -> Self {
        let before = query.get(..pos).unwrap_or(query);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() as u32 + 1;
        let column = before[line_start..].chars().count() as u32 + 1;
        ParseError { message: message.into(), position: Some((line, column)) }
    }

    /// An error of the query as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        ParseError { message: message.into(), position: None }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "parse error at line {line}, col {column}: {}", self.message),
            None => write!(f, "parse error : {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}
