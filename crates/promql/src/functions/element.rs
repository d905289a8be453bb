//! Functions of one element: arithmetic on floats, and the figures of histograms.

use std::f64::consts::PI;

use reba_model::Histogram;

use crate::{
    eval::value::{ElementKernel, Point},
    syntax::Func,
};

/// A float function applied to a point; histograms are left out of the result.
#[inline]
fn float(point: Point, f: impl Fn(f64) -> f64) -> Point {
    match point {
        Point::Float(v) => Point::Float(f(v)),
        Point::Histogram(_) | Point::Absent => Point::Absent,
    }
}

/// A figure of a histogram; floats are left out of the result.
#[inline]
fn of_histogram(point: Point, f: impl Fn(&Histogram) -> f64) -> Point {
    match point {
        Point::Histogram(h) => Point::Float(f(&h)),
        Point::Float(_) | Point::Absent => Point::Absent,
    }
}

pub(super) fn kernel(func: Func) -> Option<ElementKernel> {
    Some(match func {
        Func::Abs => |p, _, _| float(p, f64::abs),
        Func::Ceil => |p, _, _| float(p, f64::ceil),
        Func::Floor => |p, _, _| float(p, f64::floor),
        Func::Exp => |p, _, _| float(p, f64::exp),
        Func::Sqrt => |p, _, _| float(p, f64::sqrt),
        Func::Ln => |p, _, _| float(p, f64::ln),
        Func::Log2 => |p, _, _| float(p, f64::log2),
        Func::Log10 => |p, _, _| float(p, f64::log10),
        Func::Sgn => |p, _, _| float(p, sign),
        Func::Round => |p, args, _| round(p, args.first().copied().unwrap_or(1.0)),
        Func::Clamp => |p, args, _| match args {
            [min, max, ..] => clamp(p, *min, *max),
            _ => Point::Absent,
        },
        Func::ClampMin => |p, args, _| match args {
            [min, ..] => clamp(p, *min, f64::INFINITY),
            [] => Point::Absent,
        },
        Func::ClampMax => |p, args, _| match args {
            [max, ..] => clamp(p, f64::NEG_INFINITY, *max),
            [] => Point::Absent,
        },
        Func::HistogramCount => |p, _, _| of_histogram(p, |h| h.count),
        Func::HistogramSum => |p, _, _| of_histogram(p, |h| h.sum),
        Func::HistogramAvg => |p, _, _| of_histogram(p, Histogram::avg),
        Func::HistogramStddev => |p, _, _| of_histogram(p, Histogram::stddev),
        Func::HistogramStdvar => |p, _, _| of_histogram(p, Histogram::stdvar),
        _ => return trigonometric(func),
    })
}

fn trigonometric(func: Func) -> Option<ElementKernel> {
    Some(match func {
        Func::Sin => |p, _, _| float(p, f64::sin),
        Func::Cos => |p, _, _| float(p, f64::cos),
        Func::Tan => |p, _, _| float(p, f64::tan),
        Func::Asin => |p, _, _| float(p, f64::asin),
        Func::Acos => |p, _, _| float(p, f64::acos),
        Func::Atan => |p, _, _| float(p, f64::atan),
        Func::Sinh => |p, _, _| float(p, f64::sinh),
        Func::Cosh => |p, _, _| float(p, f64::cosh),
        Func::Tanh => |p, _, _| float(p, f64::tanh),
        Func::Asinh => |p, _, _| float(p, f64::asinh),
        Func::Acosh => |p, _, _| float(p, f64::acosh),
        Func::Atanh => |p, _, _| float(p, f64::atanh),
        Func::Rad => |p, _, _| float(p, |v| v * PI / 180.0),
        Func::Deg => |p, _, _| float(p, |v| v * 180.0 / PI),
        _ => return None,
    })
}

/// 1, -1, or the value itself if it is a zero or NaN.
fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// To the nearest multiple of `nearest`, ties upwards.
fn round(point: Point, nearest: f64) -> Point {
    let inverse = 1.0 / nearest;
    float(point, |v| (v * inverse + 0.5).floor() / inverse)
}

fn clamp(point: Point, min: f64, max: f64) -> Point {
    if max < min {
        return Point::Absent;
    }
    float(point, |v| go_max(min, go_min(max, v)))
}

/// The larger one; `+Inf` wins over NaN, NaN over everything else.
fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// The smaller one; `-Inf` wins over NaN, NaN over everything else.
fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;
    use crate::eval::{annotations::Annotations, value::KernelContext};

    fn call(func: Func, v: f64, args: &[f64]) -> Option<f64> {
        let mut cx = KernelContext {
            t: 0,
            labels: &Labels::empty(),
            call_pos: 0,
            arg_pos: &[],
            delayed_name_removal: false,
            annotations: &mut Annotations::new(),
        };
        match kernel(func).unwrap()(Point::Float(v), args, &mut cx) {
            Point::Float(v) => Some(v),
            _ => None,
        }
    }

    #[test]
    fn floats_are_computed_one_by_one() {
        for (func, v, args, want) in [
            (Func::Abs, -2.5, &[][..], 2.5),
            (Func::Ceil, -2.5, &[], -2.0),
            (Func::Sgn, -7.0, &[], -1.0),
            (Func::Sgn, -0.0, &[], -0.0),
            (Func::Round, 2.5, &[], 3.0),
            (Func::Round, -2.5, &[], -2.0),
            (Func::Round, 6.0, &[4.0], 8.0),
            (Func::Clamp, 7.0, &[0.0, 5.0], 5.0),
            (Func::ClampMin, -7.0, &[0.0], 0.0),
            (Func::ClampMax, 7.0, &[0.0], 0.0),
            (Func::Deg, PI, &[], 180.0),
            (Func::Rad, 180.0, &[], PI),
            (Func::Log10, 1000.0, &[], 3.0),
        ] {
            assert_eq!(call(func, v, args), Some(want), "{func:?}({v}, {args:?})");
        }
        assert_eq!(call(Func::Clamp, 7.0, &[5.0, 0.0]), None);
        assert!(call(Func::Clamp, f64::NAN, &[0.0, 5.0]).unwrap().is_nan());
        assert!(call(Func::Clamp, 1.0, &[f64::NAN, 5.0]).unwrap().is_nan());
        assert_eq!(call(Func::ClampMin, f64::NAN, &[f64::INFINITY]), Some(f64::INFINITY));
        assert_eq!(call(Func::HistogramCount, 1.0, &[]), None);
    }

    #[test]
    fn zeros_have_an_order() {
        assert!(go_max(0.0, -0.0).is_sign_positive() && go_max(-0.0, 0.0).is_sign_positive());
        assert!(go_min(0.0, -0.0).is_sign_negative() && go_min(-0.0, 0.0).is_sign_negative());
    }
}
