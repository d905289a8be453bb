//! From text to tree and back.

mod ast;
mod error;
mod lexer;
mod parser;
mod print;
mod validate;

pub use ast::*;
pub use error::{ParseError, QueryError, ValidationError};
pub use validate::validate;

/// Longest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 128 << 10;

/// Reads a query without asking whether its types go together.
///
/// # Errors
/// With line and column, in upstream's form.
pub fn parse(query: &str) -> Result<Query, ParseError> {
    parser::Parser::new(query)?.query()
}

/// Reads a query and checks it: what everybody but a test of the grammar wants.
pub fn parse_valid(query: &str) -> Result<Query, QueryError> {
    let query = parse(query)?;
    validate(&query)?;
    Ok(query)
}

/// Reads a single field as it stands in a query (`.a`, `span.http.route`, `name`, `span:kind`).
pub fn parse_field(text: &str) -> Result<Field, ParseError> {
    parser::Parser::new(text)?.only_field()
}

#[cfg(test)]
mod tests;
