//! Sums and means of native histograms over a window.

use reba_model::{
    CounterResetHint, Histogram, HistogramSample,
    histogram::{Combined, HistogramSum, IncompatibleSchemas},
};

use super::notes::{self, Operation};
use crate::eval::value::{KernelContext, Point};

/// What to tell about a sum once it is complete.
#[derive(Default)]
struct Seen {
    reset: bool,
    no_reset: bool,
    bounds_reconciled: bool,
}

impl Seen {
    fn hint(&mut self, hint: CounterResetHint) {
        self.reset |= hint == CounterResetHint::CounterReset;
        self.no_reset |= hint == CounterResetHint::NotCounterReset;
    }

    fn combined(&mut self, combined: Combined) {
        self.bounds_reconciled |= combined.bounds_reconciled;
    }

    fn tell(&self, cx: &mut KernelContext<'_>) {
        if self.reset && self.no_reset {
            notes::hint_collision(cx, Operation::Aggregation);
        }
        if self.bounds_reconciled {
            notes::bounds_reconciled(cx, Operation::Aggregation);
        }
    }
}

pub(super) fn sum(h: &[HistogramSample], cx: &mut KernelContext<'_>) -> Point {
    finish(h, cx, |first, rest, seen| {
        let mut sum = HistogramSum::new(first);
        for sample in rest {
            seen.hint(sample.h.hint);
            seen.combined(sum.add(&sample.h)?);
        }
        Ok(sum.finish())
    })
}

pub(super) fn avg(h: &[HistogramSample], cx: &mut KernelContext<'_>) -> Point {
    let Some(original) = h.first().map(|s| &*s.h) else { return Point::Absent };
    finish(h, cx, |first, rest, seen| {
        if rest.is_empty() {
            return Ok(first);
        }
        let mut sum = HistogramSum::new(first);
        for (i, sample) in rest.iter().enumerate() {
            seen.hint(sample.h.hint);
            seen.combined(sum.add(&sample.h)?);
            if sum.rough().has_overflow() {
                let mut before = HistogramSum::new(Histogram::clone(original));
                for earlier in &rest[..i] {
                    before.add(&earlier.h)?;
                }
                return moving_mean(before, &rest[i..], (i + 1) as f64, seen);
            }
        }
        sum.div((rest.len() + 1) as f64);
        Ok(sum.finish())
    })
}

/// From the histogram on with which the sum would overflow, the mean is moved by each next one instead.
fn moving_mean(
    mut mean: HistogramSum,
    rest: &[HistogramSample],
    mut count: f64,
    seen: &mut Seen,
) -> Result<Histogram, IncompatibleSchemas> {
    mean.div(count);
    for sample in rest {
        count += 1.0;
        seen.hint(sample.h.hint);
        mean.mul((count - 1.0) / count);
        let mut share = Histogram::clone(&sample.h);
        share.div(count);
        seen.combined(mean.add(&share)?);
    }
    Ok(mean.finish())
}

fn finish(
    h: &[HistogramSample],
    cx: &mut KernelContext<'_>,
    fold: impl Fn(Histogram, &[HistogramSample], &mut Seen) -> Result<Histogram, IncompatibleSchemas>,
) -> Point {
    let Some((first, rest)) = h.split_first() else { return Point::Absent };
    let mut seen = Seen::default();
    seen.hint(first.h.hint);
    match fold(Histogram::clone(&first.h), rest, &mut seen) {
        Ok(result) => {
            seen.tell(cx);
            Point::histogram(result)
        }
        Err(IncompatibleSchemas) => {
            notes::mixed_exponential_custom(cx);
            Point::Absent
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reba_model::{Labels, parse_notation};

    use super::*;
    use crate::eval::annotations::Annotations;

    fn run(texts: &[&str]) -> (Option<[Histogram; 2]>, Vec<String>) {
        let h: Vec<HistogramSample> = texts
            .iter()
            .enumerate()
            .map(|(i, s)| HistogramSample { t: i as i64, h: Arc::new(parse_notation(s).unwrap().0) })
            .collect();
        let mut annotations = Annotations::new();
        let mut cx = KernelContext {
            t: 0,
            labels: &Labels::from_pairs([("__name__", "m")]),
            call_pos: 0,
            arg_pos: &[],
            delayed_name_removal: false,
            annotations: &mut annotations,
        };
        let both = match (sum(&h, &mut cx), avg(&h, &mut cx)) {
            (Point::Histogram(a), Point::Histogram(b)) => Some([Histogram::clone(&a), Histogram::clone(&b)]),
            _ => None,
        };
        let mut notes = annotations.warnings("m", 0);
        notes.extend(annotations.infos("m", 0));
        (both, notes)
    }

    fn h(s: &str) -> Histogram {
        parse_notation(s).unwrap().0
    }

    #[test]
    fn buckets_are_summed_and_averaged() {
        let (got, notes) = run(&["{{count:2 sum:1 buckets:[2]}}", "{{count:6 sum:3 offset:1 buckets:[6]}}"]);
        let want = [h("{{count:8 sum:4 buckets:[2 6]}}"), h("{{count:4 sum:2 buckets:[1 3]}}")];
        assert_eq!((got, notes), (Some(want), Vec::new()));
    }

    #[test]
    fn a_mean_survives_sums_that_overflow() {
        let (got, _) = run(&["{{count:1e308 buckets:[1e308]}}"; 3]);
        let [sum, mean] = got.unwrap();
        assert_eq!(sum.count, f64::INFINITY);
        assert!(
            (mean.count / 1e308 - 1.0).abs() < 1e-12
                && (mean.positive_buckets[0] / 1e308 - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn what_does_not_fit_is_noted() {
        let (got, notes) =
            run(&["{{count:1 counter_reset_hint:reset}}", "{{count:1 counter_reset_hint:not_reset}}"]);
        assert_eq!(got.unwrap()[0].hint, CounterResetHint::Unknown);
        assert_eq!(notes, ["PromQL warning: conflicting counter resets during histogram aggregation (1:1)"]);
        let custom = "{{schema:-53 count:3 custom_values:[1 2] buckets:[1 2]}}";
        let (_, notes) = run(&[custom, "{{schema:-53 count:1 custom_values:[2] buckets:[1]}}"]);
        assert_eq!(
            notes,
            ["PromQL info: mismatched custom buckets were reconciled during aggregation (1:1)"]
        );
        let (got, notes) = run(&[custom, "{{count:1}}"]);
        assert_eq!(got, None);
        assert_eq!(
            notes,
            [
                "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas \
              for metric name \"m\" (1:1)"
            ]
        );
    }
}
