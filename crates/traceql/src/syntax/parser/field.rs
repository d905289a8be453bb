//! Expressions on one span, between braces.

use super::{Parsed, Parser, operator};
use crate::numbers::negated;
use crate::syntax::ast::{FieldExpr, Op, UnaryOp};

/// How strongly the sign before an expression binds: more than `+`, less than `*`.
const UNARY: u8 = 4;

fn precedence(op: Op) -> u8 {
    match op {
        Op::And | Op::Or => 1,
        Op::Add | Op::Sub => 3,
        Op::Mul | Op::Div | Op::Mod => 5,
        Op::Pow => 6,
        _ => 2,
    }
}

impl Parser<'_> {
    /// An expression whose operators all bind at least as strongly as `least`; 0 for any.
    pub(super) fn field_expr(&mut self, least: u8) -> Parsed<FieldExpr> {
        let mut left = self.field_operand()?;
        while let Some(op) = self.sign().and_then(operator) {
            let strength = precedence(op);
            if strength < least {
                break;
            }
            self.take_operator()?;
            // Only powers bind to the right.
            let inner = if op == Op::Pow { strength } else { strength + 1 };
            let right = self.deeper(|p| p.field_expr(inner))?;
            left = FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) };
        }
        Ok(left)
    }

    fn field_operand(&mut self) -> Parsed<FieldExpr> {
        if self.eat("(") {
            let inner = self.deeper(|p| p.field_expr(0))?;
            self.expect(")")?;
            return Ok(inner);
        }
        let unary = match self.sign() {
            Some("-") => Some(UnaryOp::Neg),
            Some("!") => Some(UnaryOp::Not),
            _ => None,
        };
        if let Some(op) = unary {
            self.take_operator()?;
            let operand = self.deeper(|p| p.field_expr(UNARY))?;
            return Ok(match &operand {
                FieldExpr::Static(value) if op == UnaryOp::Neg => {
                    negated(value).map_or(FieldExpr::Unary(op, Box::new(operand)), FieldExpr::Static)
                }
                _ => FieldExpr::Unary(op, Box::new(operand)),
            });
        }
        if let Some(value) = self.literal() {
            return Ok(FieldExpr::Static(value));
        }
        self.field().map(FieldExpr::Field)
    }
}
