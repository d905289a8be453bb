//! The syntax of PromQL: tree, functions, parser, printer.

mod ast;
mod function;

pub use ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Duration, DurationExpr, Expr, ExprKind,
    MatchCardinality, MatrixSelector, Number, Sign, Span, StringLiteral, Subquery, Unary, ValueType,
    VectorMatching, VectorSelector,
};
pub use function::{Func, Signature, Variadic};
