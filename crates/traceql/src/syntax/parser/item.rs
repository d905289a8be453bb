//! What stands between operators outside braces: spansets, numbers, series. Which of them it is decides what an operator means.

use super::{Parsed, Parser, operator, pipeline};
use crate::numbers::negated;
use crate::syntax::{
    ast::{
        MetricsExpr, Op, Pipeline, Relation, RelationMode, ScalarExpr, ScalarFilter, SecondStage,
        SpansetExpr, SpansetOp, Stage, Static,
    },
    error::ParseError,
    lexer::Token,
};

/// An operand, or what operators have made of operands.
pub(super) enum Item {
    Spanset(SpansetExpr),
    /// A whole pipeline; in parentheses it becomes a spanset.
    Pipeline(Pipeline),
    /// A number for each spanset.
    Scalar(ScalarExpr),
    Filter(ScalarFilter),
    /// A literal, or arithmetic on literals. Arithmetic on durations goes with aggregates but not with series.
    Number {
        value: Static,
        of_durations: bool,
    },
    Metrics(MetricsExpr),
}

/// What a sign means between spansets.
fn spanset_op(sign: &str) -> Option<SpansetOp> {
    match sign {
        "&&" => return Some(SpansetOp::And),
        "||" => return Some(SpansetOp::Or),
        _ => {}
    }
    let (mode, rest) = match sign.as_bytes() {
        [b'!', ..] => (RelationMode::Negated, &sign[1..]),
        [b'&', ..] => (RelationMode::Union, &sign[1..]),
        _ => (RelationMode::Plain, sign),
    };
    let relation = match rest {
        ">" => Relation::Child,
        "<" => Relation::Parent,
        ">>" => Relation::Descendant,
        "<<" => Relation::Ancestor,
        "~" => Relation::Sibling,
        _ => return None,
    };
    Some(SpansetOp::Related(relation, mode))
}

fn precedence(sign: &str) -> Option<u8> {
    match sign {
        "&&" | "||" => Some(1),
        "+" | "-" => Some(3),
        "*" | "/" | "%" => Some(4),
        "^" => Some(5),
        _ if spanset_op(sign).is_some() => Some(2),
        _ => operator(sign).filter(|op| op.is_comparison() && !op.is_regex()).map(|_| 2),
    }
}

impl Parser<'_> {
    /// Operands and operators that bind at least as strongly as `least`; 0 for any.
    pub(super) fn item(&mut self, least: u8) -> Parsed<Item> {
        let mut left = self.operand()?;
        while let Some(sign) = self.sign() {
            let Some(strength) = precedence(sign).filter(|s| *s >= least) else { break };
            let pos = self.take_operator()?;
            let inner = if sign == "^" { strength } else { strength + 1 };
            let right = self.deeper(|p| p.item(inner))?;
            left = self.combine(sign, pos, left, right)?;
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Item> {
        match self.peek().clone() {
            Token::Sign("{") => self.filter().map(Item::Spanset),
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.deeper(Self::sequence)?;
                self.expect(")")?;
                Ok(match inner {
                    Item::Pipeline(pipeline) => Item::Spanset(as_spanset(pipeline)),
                    other => other,
                })
            }
            Token::Sign("-") => {
                self.next += 1;
                let value = self.number()?;
                let value = negated(&value).ok_or_else(|| self.unexpected())?;
                Ok(Item::Number { value, of_durations: false })
            }
            Token::Int(_) | Token::Float(_) | Token::Duration(_) => {
                let value = self.number()?;
                Ok(Item::Number { value, of_durations: false })
            }
            Token::Ident(word) if word == "minInt" || word == "maxInt" => {
                let value = self.literal().ok_or_else(|| self.unexpected())?;
                Ok(Item::Number { value, of_durations: false })
            }
            Token::Ident(word) if pipeline::aggregate(&word).is_some() => self.aggregate().map(Item::Scalar),
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Parsed<Static> {
        match self.peek() {
            Token::Int(_) | Token::Float(_) | Token::Duration(_) => {
                self.literal().ok_or_else(|| self.unexpected())
            }
            _ => Err(self.unexpected()),
        }
    }

    /// What an operator between two items makes.
    fn combine(&self, sign: &str, pos: usize, left: Item, right: Item) -> Parsed<Item> {
        let wrong = || Err(ParseError::at(self.query, pos, format!("syntax error: unexpected {sign}")));
        let (left, right) = match (left, right) {
            (Item::Spanset(left), Item::Spanset(right)) => {
                let Some(op) = spanset_op(sign) else { return wrong() };
                let (left, right) = (Box::new(left), Box::new(right));
                return Ok(Item::Spanset(SpansetExpr::Binary { op, left, right }));
            }
            others => others,
        };
        let Some(op) = operator(sign) else { return wrong() };
        match (left, right) {
            (Item::Metrics(left), Item::Number { value, of_durations: false }) if op.is_comparison() => {
                Ok(Item::Metrics(MetricsExpr::Second(Box::new(left), SecondStage::Filter(op, value))))
            }
            (left @ Item::Metrics(_), right) | (left, right @ Item::Metrics(_)) => {
                match (as_metrics(left), as_metrics(right)) {
                    (Some(left), Some(right)) if matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div) => {
                        let (left, right) = (Box::new(left), Box::new(right));
                        Ok(Item::Metrics(MetricsExpr::Binary { op, left, right }))
                    }
                    _ => wrong(),
                }
            }
            (Item::Number { value: l, of_durations: a }, Item::Number { value: r, of_durations: b })
                if op.is_arithmetic() =>
            {
                let of_durations = matches!(l, Static::Duration(_)) || matches!(r, Static::Duration(_));
                match crate::numbers::arithmetic(op, &l, &r) {
                    Some(value) if is_finite(&value) => {
                        Ok(Item::Number { value, of_durations: of_durations || a || b })
                    }
                    _ => Err(ParseError::at(self.query, pos, "arithmetic on literals has no finite result")),
                }
            }
            // A number goes behind a comparison, never alone before it.
            (Item::Number { .. }, _) if op.is_comparison() => wrong(),
            (left, right) => match (as_scalar(left), as_scalar(right)) {
                (Some(left), Some(right)) if op.is_arithmetic() => {
                    Ok(Item::Scalar(ScalarExpr::Binary { op, left: Box::new(left), right: Box::new(right) }))
                }
                (Some(left), Some(right)) if op.is_comparison() => {
                    Ok(Item::Filter(ScalarFilter { op, left, right }))
                }
                _ => wrong(),
            },
        }
    }
}

fn is_plain(value: &Static) -> bool {
    !matches!(value, Static::Duration(_))
}

fn is_finite(value: &Static) -> bool {
    !matches!(value, Static::Float(v) if !v.is_finite()) && !matches!(value, Static::Nil)
}

fn as_scalar(item: Item) -> Option<ScalarExpr> {
    match item {
        Item::Scalar(scalar) => Some(scalar),
        Item::Number { value, .. } => Some(ScalarExpr::Static(value)),
        _ => None,
    }
}

fn as_metrics(item: Item) -> Option<MetricsExpr> {
    match item {
        Item::Metrics(metrics) => Some(metrics),
        Item::Number { value, of_durations: false } if is_plain(&value) => Some(MetricsExpr::Number(value)),
        _ => None,
    }
}

/// Parentheses around a lone spanset mean nothing more.
fn as_spanset(mut pipeline: Pipeline) -> SpansetExpr {
    if pipeline.stages.len() == 1
        && matches!(pipeline.stages.first(), Some(Stage::Spanset(_)))
        && let Some(Stage::Spanset(only)) = pipeline.stages.pop()
    {
        return only;
    }
    SpansetExpr::Pipeline(pipeline)
}
