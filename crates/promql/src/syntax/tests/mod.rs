//! Tests of the syntax as a whole.

mod conformance;
mod errors;
mod json;
mod printing;
mod random;
mod trees;

use super::{Expr, ParseOptions, parse};

/// Parses with every experimental part switched on.
fn parsed(query: &str) -> Expr {
    parse(query, ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"))
}
