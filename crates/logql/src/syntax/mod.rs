//! From text to tree and back.

mod ast;
mod error;
mod lexer;
mod parser;
mod pretty;
mod print;
mod token;

pub use ast::*;
pub use error::ParseError;
pub(crate) use parser::TOO_LARGE;

/// Longest query, in bytes, as in upstream's newer releases.
pub const MAX_QUERY_BYTES: usize = 128 << 10;

/// Reads a query.
///
/// # Errors
/// In upstream's words, with line and column. What only shows when a stage is prepared (a regular expression that does not
/// compile) is not found here.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    parser::Parser::new(query)?.query()
}

/// Reads a query that must answer with lines.
pub fn parse_log(query: &str) -> Result<LogExpr, ParseError> {
    match parse(query)? {
        Expr::Log(log) => Ok(log),
        Expr::Metric(_) => Err(ParseError::whole("only log selector is supported")),
    }
}

/// Reads a query that must answer with numbers.
pub fn parse_metric(query: &str) -> Result<MetricExpr, ParseError> {
    match parse(query)? {
        Expr::Metric(metric) => Ok(metric),
        Expr::Log(_) => Err(ParseError::whole("log selector expression not allowed here")),
    }
}

/// Reads a selector without a pipeline: `{app="a", env=~"b.*"}`.
pub fn parse_matchers(query: &str) -> Result<Vec<reba_model::Matcher>, ParseError> {
    let log = parse_log(query)?;
    if log.stages.is_empty() {
        Ok(log.matchers)
    } else {
        Err(ParseError::whole("only label matchers are supported"))
    }
}

#[cfg(test)]
mod tests;
