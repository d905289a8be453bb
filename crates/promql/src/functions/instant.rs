//! `irate` and `idelta`: the difference of the last two samples.

use std::sync::Arc;

use reba_model::{CounterResetHint, Histogram};

use super::notes::{self, Operation};
use crate::eval::value::{KernelContext, Point, Window};

pub(super) fn irate(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    compute(w, true, cx)
}

pub(super) fn idelta(w: &Window<'_>, _: &[f64], cx: &mut KernelContext<'_>) -> Point {
    compute(w, false, cx)
}

/// The newest two samples of either kind.
enum Pair<'a> {
    Floats(f64, f64),
    Histograms(&'a Arc<Histogram>, &'a Arc<Histogram>),
    Mixed,
}

/// The last two samples, older first, with the milliseconds between them.
fn last_two<'a>(w: &Window<'a>) -> Option<(Pair<'a>, i64)> {
    let (n, m) = (w.t.len(), w.h.len());
    // How many of the last two are floats: merge from the end.
    let (mut i, mut j) = (n, m);
    while (n - i) + (m - j) < 2 {
        let float_is_newer = match (i.checked_sub(1), j.checked_sub(1)) {
            (Some(a), Some(b)) => w.t[a] > w.h[b].t,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return None,
        };
        if float_is_newer { i -= 1 } else { j -= 1 }
    }
    Some(match (n - i, m - j) {
        (2, _) => (Pair::Floats(w.v[i], w.v[i + 1]), w.t[i + 1] - w.t[i]),
        (0, _) => (Pair::Histograms(&w.h[j].h, &w.h[j + 1].h), w.h[j + 1].t - w.h[j].t),
        _ => (Pair::Mixed, (w.t[i] - w.h[j].t).abs()),
    })
}

fn compute(w: &Window<'_>, is_rate: bool, cx: &mut KernelContext<'_>) -> Point {
    let Some((pair, interval)) = last_two(w).filter(|(_, interval)| *interval != 0) else {
        return Point::Absent;
    };
    let seconds = interval as f64 / 1000.0;
    match pair {
        Pair::Floats(a, b) => {
            let difference = if is_rate && b < a { b } else { b - a };
            Point::Float(if is_rate { difference / seconds } else { difference })
        }
        Pair::Histograms(a, b) => {
            let Some(mut h) = difference(a, b, is_rate, cx) else { return Point::Absent };
            if is_rate {
                h.div(seconds);
            }
            Point::histogram(h)
        }
        Pair::Mixed => {
            notes::mixed_floats_histograms(cx);
            Point::Absent
        }
    }
}

fn difference(a: &Histogram, b: &Histogram, is_rate: bool, cx: &mut KernelContext<'_>) -> Option<Histogram> {
    let gauges = [a, b].map(|h| h.hint == CounterResetHint::Gauge);
    if is_rate && gauges != [false; 2] {
        notes::not_a_counter(cx);
    }
    if !is_rate && gauges != [true; 2] {
        notes::not_a_gauge(cx);
    }
    let mut h = b.clone();
    if !is_rate || !b.detect_reset(a) {
        match h.sub(a) {
            Ok(combined) => notes::combined(cx, combined, Operation::Subtraction),
            Err(_) => {
                notes::mixed_exponential_custom(cx);
                return None;
            }
        }
    }
    h.hint = CounterResetHint::Gauge;
    h.compact(0);
    Some(h)
}

#[cfg(test)]
mod tests {
    use reba_model::{HistogramSample, Labels};

    use super::*;
    use crate::eval::{annotations::Annotations, value::RangeMode};

    fn run(t: &[i64], v: &[f64], h: &[HistogramSample]) -> (Point, Point) {
        let w = Window { t, v, h, start: 0, end: 99_000, mode: RangeMode::Plain };
        let mut cx = KernelContext {
            t: 0,
            labels: &Labels::empty(),
            call_pos: 0,
            arg_pos: &[],
            delayed_name_removal: false,
            annotations: &mut Annotations::new(),
        };
        (irate(&w, &[], &mut cx), idelta(&w, &[], &mut cx))
    }

    #[test]
    fn only_the_last_two_samples_matter() {
        let (t, v) = ([1_000, 5_000, 9_000], [9.0, 2.0, 4.0]);
        assert_eq!(run(&t, &v, &[]), (Point::Float(0.5), Point::Float(2.0)));
        assert_eq!(run(&t[..2], &v[..2], &[]), (Point::Float(0.5), Point::Float(-7.0)));
        assert_eq!(run(&t[..1], &v[..1], &[]), (Point::Absent, Point::Absent));
        let h = |t| HistogramSample { t, h: Arc::new(Histogram { count: t as f64, ..Histogram::default() }) };
        assert_eq!(run(&t, &v, &[h(7_000)]), (Point::Absent, Point::Absent), "mixed");
        assert_eq!(run(&t, &v, &[h(2_000)]).0, Point::Float(0.5), "an older histogram does not matter");
        let (rate, delta) = run(&t[..1], &v[..1], &[h(2_000), h(4_000)]);
        let count = |p: &Point| if let Point::Histogram(h) = p { h.count } else { f64::NAN };
        assert_eq!((count(&rate), count(&delta)), (1_000.0, 2_000.0));
    }
}
