//! Arithmetic on literals and on what spans hold.

use crate::syntax::{Op, Static};

/// Any number as a float; durations in nanoseconds.
pub(crate) fn as_float(value: &Static) -> Option<f64> {
    match value {
        Static::Int(n) | Static::Duration(n) => Some(*n as f64),
        Static::Float(v) => Some(*v),
        _ => None,
    }
}

/// Computes. Whole numbers stay whole, as upstream has it: `1 / 2` is 0. None of what is no number, and of a whole
/// number divided by zero.
pub(crate) fn arithmetic(op: Op, left: &Static, right: &Static) -> Option<Static> {
    if let (Static::Int(l), Static::Int(r)) = (left, right) {
        let whole = match op {
            Op::Div | Op::Mod if *r == 0 => return None,
            Op::Add => l.checked_add(*r),
            Op::Sub => l.checked_sub(*r),
            Op::Mul => l.checked_mul(*r),
            Op::Div => l.checked_div(*r),
            Op::Mod => l.checked_rem(*r),
            Op::Pow => u32::try_from(*r).ok().and_then(|r| l.checked_pow(r)),
            _ => return None,
        };
        if let Some(whole) = whole {
            return Some(Static::Int(whole));
        }
    }
    let (l, r) = (as_float(left)?, as_float(right)?);
    let value = match op {
        Op::Add => l + r,
        Op::Sub => l - r,
        Op::Mul => l * r,
        Op::Div => l / r,
        Op::Mod => l % r,
        Op::Pow => l.powf(r),
        _ => return None,
    };
    let duration = matches!(left, Static::Duration(_)) || matches!(right, Static::Duration(_));
    match duration {
        true if value.is_nan() => None,
        true => Some(Static::Duration((value as i64).max(-i64::MAX))),
        false => Some(Static::Float(value)),
    }
}

/// The other sign of a number.
pub(crate) fn negated(value: &Static) -> Option<Static> {
    match value {
        Static::Int(n) => n.checked_neg().map(Static::Int),
        Static::Float(v) => Some(Static::Float(-v)),
        Static::Duration(ns) => ns.checked_neg().map(Static::Duration),
        _ => None,
    }
}
