//! Durations that depend on the query they stand in.

use thiserror::Error;

use super::ast::{BinaryOp, Duration, DurationExpr, Expr, ExprKind};

/// Why a duration has no value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DurationError {
    /// For instance the root of a negative number.
    #[error("duration is NaN or infinite")]
    NotFinite,
    /// A range or a step came out as zero or below.
    #[error("duration must be greater than 0")]
    NotPositive,
    /// More than 292 years.
    #[error("duration is out of range")]
    OutOfRange,
    /// `a / 0`
    #[error("division by zero")]
    DivisionByZero,
    /// `a % 0`
    #[error("modulo by zero")]
    ModuloByZero,
}

/// Upstream keeps durations as an `i64` of nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

/// Works out every duration of the tree that was given as an expression; `step_ms` and `range_ms` are those of the
/// query (both 0 for an instant query).
pub fn resolve_durations(expr: &mut Expr, step_ms: i64, range_ms: i64) -> Result<(), DurationError> {
    let query = Query { step: step_ms as f64 / 1000.0, range: range_ms as f64 / 1000.0 };
    query.expr(expr)
}

struct Query {
    step: f64,
    range: f64,
}

impl Query {
    fn expr(&self, expr: &mut Expr) -> Result<(), DurationError> {
        match &mut expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => Ok(()),
            ExprKind::Vector(selector) => self.offset(&mut selector.offset),
            ExprKind::Matrix(matrix) => {
                self.offset(&mut matrix.selector.offset)?;
                self.positive(&mut matrix.range)
            }
            ExprKind::Subquery(subquery) => {
                self.offset(&mut subquery.offset)?;
                subquery.step.as_mut().map_or(Ok(()), |step| self.positive(step))?;
                self.positive(&mut subquery.range)?;
                self.expr(&mut subquery.expr)
            }
            ExprKind::Call(call) => call.args.iter_mut().try_for_each(|arg| self.expr(arg)),
            ExprKind::Aggregate(aggregate) => {
                self.expr(&mut aggregate.expr)?;
                aggregate.param.as_mut().map_or(Ok(()), |param| self.expr(param))
            }
            ExprKind::Binary(binary) => {
                self.expr(&mut binary.lhs)?;
                self.expr(&mut binary.rhs)
            }
            ExprKind::Unary(unary) => self.expr(&mut unary.expr),
            ExprKind::Paren(inner) => self.expr(inner),
        }
    }

    fn offset(&self, duration: &mut Duration) -> Result<(), DurationError> {
        if let Some(expr) = &duration.expr {
            duration.ms = in_ms(self.seconds(expr)?)?;
        }
        Ok(())
    }

    fn positive(&self, duration: &mut Duration) -> Result<(), DurationError> {
        if let Some(expr) = &duration.expr {
            let seconds = self.seconds(expr)?;
            if seconds <= 0.0 {
                return Err(DurationError::NotPositive);
            }
            duration.ms = in_ms(seconds)?;
        }
        Ok(())
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, DurationError> {
        Ok(match expr {
            DurationExpr::Number(number) => number.value,
            DurationExpr::Step => self.step,
            DurationExpr::Range => self.range,
            DurationExpr::Neg(inner) => -self.seconds(inner)?,
            DurationExpr::Paren(inner) => self.seconds(inner)?,
            DurationExpr::MinOf(a, b) => self.seconds(a)?.min(self.seconds(b)?),
            DurationExpr::MaxOf(a, b) => self.seconds(a)?.max(self.seconds(b)?),
            DurationExpr::Binary(op, a, b) => arithmetic(*op, self.seconds(a)?, self.seconds(b)?)?,
        })
    }
}

fn arithmetic(op: BinaryOp, a: f64, b: f64) -> Result<f64, DurationError> {
    match op {
        BinaryOp::Add => Ok(a + b),
        BinaryOp::Sub => Ok(a - b),
        BinaryOp::Mul => Ok(a * b),
        BinaryOp::Div if b == 0.0 => Err(DurationError::DivisionByZero),
        BinaryOp::Div => Ok(a / b),
        BinaryOp::Mod if b == 0.0 => Err(DurationError::ModuloByZero),
        BinaryOp::Mod => Ok(a % b),
        BinaryOp::Pow => Ok(a.powf(b)),
        // The parser lets nothing else through.
        _ => Err(DurationError::NotFinite),
    }
}

fn in_ms(seconds: f64) -> Result<i64, DurationError> {
    if !seconds.is_finite() {
        return Err(DurationError::NotFinite);
    }
    if seconds.abs() > MAX_SECONDS {
        return Err(DurationError::OutOfRange);
    }
    Ok((seconds * 1000.0) as i64)
}
