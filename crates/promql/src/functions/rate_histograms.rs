//! Increases of native histograms.

use std::borrow::Cow;

use reba_model::{CounterResetHint, Histogram, HistogramSample};

use super::notes::{self, Operation};
use crate::eval::value::KernelContext;

/// The last histogram minus the first, with what was lost in resets of a counter added. `None`, with a warning, if
/// exponential and custom buckets are mixed. `samples` are at least two.
pub(super) fn increase(
    samples: &[HistogramSample],
    is_counter: bool,
    cx: &mut KernelContext<'_>,
) -> Option<Histogram> {
    let [first, second, ..] = samples else { return None };
    let last = samples.last()?;
    let is_gauge = |s: &HistogramSample| s.h.hint == CounterResetHint::Gauge;
    let mut not_a_counter = is_counter && (is_gauge(first) || is_gauge(last));
    // After a reset right behind the first one it does not matter, nor does its layout.
    let mut base = Cow::Borrowed(&*first.h);
    if is_counter && second.h.detect_reset(&base) {
        base = Cow::Owned(Histogram {
            schema: second.h.schema,
            custom_values: second.h.custom_values.clone(),
            ..Histogram::default()
        });
    }
    let custom = base.uses_custom_buckets();
    if last.h.uses_custom_buckets() != custom {
        if not_a_counter {
            notes::not_a_counter(cx);
        }
        notes::mixed_exponential_custom(cx);
        return None;
    }
    let mut schema = last.h.schema.min(base.schema);
    if is_counter {
        for s in &samples[1..samples.len() - 1] {
            not_a_counter |= is_gauge(s);
            schema = schema.min(s.h.schema);
            if s.h.uses_custom_buckets() != custom {
                notes::mixed_exponential_custom(cx);
                return None;
            }
        }
    }
    if not_a_counter {
        notes::not_a_counter(cx);
    }
    let mut total = last.h.copy_to_schema(schema);
    notes::combined(cx, total.sub(&base).ok()?, Operation::Subtraction);
    if is_counter {
        let mut previous: &Histogram = &base;
        for s in &samples[1..] {
            if s.h.detect_reset(previous) {
                notes::combined(cx, total.add(previous).ok()?, Operation::Addition);
            }
            previous = &s.h;
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        notes::not_a_gauge(cx);
    }
    total.hint = CounterResetHint::Gauge;
    total.compact(0);
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reba_model::{Labels, histogram::parse_notation};

    use super::*;
    use crate::eval::annotations::Annotations;

    fn run(texts: &[&str], is_counter: bool) -> (Option<Histogram>, Vec<String>) {
        let samples: Vec<HistogramSample> = texts
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
        let h = increase(&samples, is_counter, &mut cx);
        let mut notes = annotations.warnings("m", 0);
        notes.extend(annotations.infos("m", 0));
        (h, notes)
    }

    fn gauge(s: &str) -> Histogram {
        Histogram { hint: CounterResetHint::Gauge, ..parse_notation(s).unwrap().0 }
    }

    #[test]
    fn resets_are_added_back() {
        let (h, notes) = run(
            &[
                "{{count:4 sum:4 buckets:[1 3]}}",
                "{{count:9 sum:9 buckets:[5 4]}}",
                "{{count:2 sum:1 buckets:[2]}}",
            ],
            true,
        );
        assert_eq!(h, Some(gauge("{{count:7 sum:6 buckets:[6 1]}}")));
        assert!(notes.is_empty());
        let (h, notes) = run(&["{{count:4 buckets:[4]}}", "{{count:9 buckets:[9]}}"], false);
        assert_eq!(h, Some(gauge("{{count:5 buckets:[5]}}")));
        assert_eq!(notes, ["PromQL warning: this native histogram metric is not a gauge: \"m\" (1:1)"]);
    }

    #[test]
    fn a_first_histogram_before_a_reset_is_ignored_whatever_its_buckets() {
        let custom = "{{schema:-53 count:99 custom_values:[1] buckets:[99]}}";
        let (h, notes) = run(&[custom, "{{count:1 buckets:[1]}}", "{{count:3 buckets:[3]}}"], true);
        assert_eq!(h, Some(gauge("{{count:3 buckets:[3]}}")));
        assert!(notes.is_empty());
        let (h, notes) = run(&["{{count:1 buckets:[1]}}", "{{count:3 buckets:[3]}}", custom], true);
        assert_eq!(h, None);
        assert_eq!(
            notes,
            [
                "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas \
              for metric name \"m\" (1:1)"
            ]
        );
    }
}
