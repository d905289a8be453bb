//! The syntax of PromQL: tree, functions, parser, printer.

mod ast;
mod check;
mod error;
mod function;
mod json;
mod lexer;
mod literal;
mod parser;
mod print;
mod resolve;
mod token;

pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Duration, DurationExpr, Expr, ExprKind,
    MatchCardinality, MatrixSelector, Number, Sign, Span, StringLiteral, Subquery, Unary, ValueType,
    VectorMatching, VectorSelector,
};
pub use error::{ParseError, line_and_column};
pub use function::{Func, Signature, Variadic};
pub(crate) use literal::quote_bytes;
pub use parser::{ParseOptions, parse, parse_selector};
pub use resolve::{DurationError, resolve_durations};

#[cfg(test)]
mod tests;
