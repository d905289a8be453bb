//! What is wrong with a query.

use std::fmt;

use super::ast::Span;

/// Why a query could not be parsed. Shown as `1:5: parse error: …`, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The part of the query that is wrong.
    pub span: Span,
    /// What is wrong, without the position.
    pub message: String,
    /// Line and column (in bytes) of the first byte, both from 1; none if the query is empty.
    pub position: Option<(u32, u32)>,
}

impl ParseError {
    pub(super) fn new(query: &str, span: Span, message: String) -> Self {
        let position = (!query.is_empty()).then(|| line_and_column(query, span.start));
        ParseError { span, message, position }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{line}:{column}")?,
            None => f.write_str("unknown position")?,
        }
        write!(f, ": parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// Line and column, both from 1, of a byte of the query.
pub fn line_and_column(query: &str, pos: u32) -> (u32, u32) {
    let before = query.as_bytes().get(..pos as usize).unwrap_or(query.as_bytes());
    let last_break = memchr::memrchr(b'\n', before);
    let lines = memchr::memchr_iter(b'\n', before).count();
    (lines as u32 + 1, (before.len() - last_break.map_or(0, |at| at + 1)) as u32 + 1)
}
