//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` over vectors of classic buckets and native
//! histograms.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use reba_model::{
    Histogram, Labels, METRIC_NAME,
    float::{format_g, go_quote, parse_go},
    histogram::NanEffect,
};

use super::{
    classic::{ClassicBucket, Repair, bucket_fraction, bucket_quantile},
    notes,
};
use crate::eval::{
    annotations::ForcedMonotonicity,
    value::{Column, KernelContext, Steps, VectorArg, VectorSeries},
    without_metadata,
};

const BUCKET_LABEL: &str = "le";

pub(super) fn histogram_quantile(
    args: Vec<VectorArg>,
    steps: &Steps,
    cx: &mut KernelContext<'_>,
) -> Result<Vec<VectorSeries>, String> {
    let Ok([VectorArg::Scalar(qs), VectorArg::Vector(series)]) = <[VectorArg; 2]>::try_from(args) else {
        return Err("histogram_quantile needs a scalar and a vector".to_owned());
    };
    notes::check_quantiles(cx, &qs, 0);
    let mut out = Vec::new();
    let quantile = Quantile { qs: &qs, pos: cx.pos(1) };
    Input::new(series, 1, cx).apply(steps, cx, &quantile, &mut out);
    Ok(out)
}

pub(super) fn histogram_quantiles(
    args: Vec<VectorArg>,
    steps: &Steps,
    cx: &mut KernelContext<'_>,
) -> Result<Vec<VectorSeries>, String> {
    let wrong = || Err("histogram_quantiles needs a vector, a label and scalars".to_owned());
    let mut args = args.into_iter();
    let (Some(VectorArg::Vector(series)), Some(VectorArg::String(label))) = (args.next(), args.next()) else {
        return wrong();
    };
    let input = Input::new(series, 0, cx);
    let mut out = Vec::new();
    for (i, arg) in args.enumerate() {
        let VectorArg::Scalar(qs) = arg else { return wrong() };
        notes::check_quantiles(cx, &qs, i + 2);
        let mut series = Vec::new();
        input.apply(steps, cx, &Quantile { qs: &qs, pos: cx.pos(0) }, &mut series);
        for s in series {
            label_by_quantile(&s, &label, &qs, &mut out);
        }
    }
    Ok(out)
}

pub(super) fn histogram_fraction(
    args: Vec<VectorArg>,
    steps: &Steps,
    cx: &mut KernelContext<'_>,
) -> Result<Vec<VectorSeries>, String> {
    let Ok([VectorArg::Scalar(lower), VectorArg::Scalar(upper), VectorArg::Vector(series)]) =
        <[VectorArg; 3]>::try_from(args)
    else {
        return Err("histogram_fraction needs two scalars and a vector".to_owned());
    };
    let mut out = Vec::new();
    let fraction = Fraction { lower: &lower, upper: &upper, pos: cx.pos(2) };
    Input::new(series, 2, cx).apply(steps, cx, &fraction, &mut out);
    Ok(out)
}

/// Copies a series once for each value that the quantile has over the steps, with that value as a label.
fn label_by_quantile(s: &VectorSeries, label: &str, qs: &[f64], out: &mut Vec<VectorSeries>) {
    let mut by_value: BTreeMap<String, Column> = BTreeMap::new();
    for (i, q) in qs.iter().enumerate() {
        let column = by_value.entry(open_metrics_float(*q)).or_insert_with(|| Column::absent(qs.len()));
        column.set(i, s.column.get(i));
    }
    for (value, column) in by_value {
        let mut labels = s.labels.to_builder();
        labels.set(label, &value);
        out.push(VectorSeries { labels: labels.build(), drop_name: s.drop_name, column });
    }
}

/// A float with `.0` behind it if it would look like an integer.
fn open_metrics_float(v: f64) -> String {
    let text = format_g(v);
    let integer = v.is_finite() && !text.contains(['e', '.']);
    if integer { text + ".0" } else { text }
}

/// What is computed of each histogram.
trait Figure {
    /// Of the sorted buckets of a classic histogram at step `i`.
    fn of_classic(&self, i: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Repair>);

    /// Of a native histogram at step `i`; the text is a note on what NaN observations did.
    fn of_native(&self, i: usize, h: &Histogram) -> (f64, Option<&'static str>);

    /// Where the vector stands in the query.
    fn pos(&self) -> usize;
}

struct Quantile<'a> {
    qs: &'a [f64],
    pos: usize,
}

impl Figure for Quantile<'_> {
    fn of_classic(&self, i: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Repair>) {
        bucket_quantile(self.qs[i], buckets)
    }

    fn of_native(&self, i: usize, h: &Histogram) -> (f64, Option<&'static str>) {
        let (v, effect) = h.quantile(self.qs[i]);
        let note = effect.map(|e| match e {
            NanEffect::Result => "input to histogram_quantile has NaN observations, result is NaN",
            NanEffect::Skew => "input to histogram_quantile has NaN observations, result is skewed higher",
        });
        (v, note)
    }

    fn pos(&self) -> usize {
        self.pos
    }
}

struct Fraction<'a> {
    lower: &'a [f64],
    upper: &'a [f64],
    pos: usize,
}

impl Figure for Fraction<'_> {
    fn of_classic(&self, i: usize, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Repair>) {
        (bucket_fraction(self.lower[i], self.upper[i], buckets), None)
    }

    fn of_native(&self, i: usize, h: &Histogram) -> (f64, Option<&'static str>) {
        let (v, nan_left_out) = h.fraction(self.lower[i], self.upper[i]);
        let note = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        (v, nan_left_out.then_some(note))
    }

    fn pos(&self) -> usize {
        self.pos
    }
}

/// A vector, grouped into classic histograms and native ones.
struct Input {
    series: Vec<VectorSeries>,
    /// By labels without `le`, in order of appearance.
    groups: Vec<Group>,
    /// Series that have native histograms, each with the classic group of the same labels.
    native: Vec<(usize, Option<usize>)>,
}

/// A classic histogram.
struct Group {
    labels: Labels,
    drop_name: bool,
    /// Upper bound and series of each bucket, sorted by bound.
    buckets: Vec<(f64, usize)>,
}

impl Input {
    /// Groups the series; notes those whose bound cannot be read.
    fn new(series: Vec<VectorSeries>, arg: usize, cx: &mut KernelContext<'_>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_labels: HashMap<Labels, usize> = HashMap::new();
        for (i, s) in series.iter().enumerate() {
            let has_floats =
                !s.column.has_histograms() || (0..s.column.len()).any(|i| is_float(&s.column, i));
            if !has_floats {
                continue;
            }
            let le = s.labels.value(BUCKET_LABEL);
            let Some(upper) = parse_go(le) else {
                note_bad_bucket(&s.labels, le, arg, cx);
                continue;
            };
            let labels = s.labels.without(&[BUCKET_LABEL]);
            let group = *by_labels.entry(labels).or_insert_with_key(|labels| {
                groups.push(Group { labels: labels.clone(), drop_name: s.drop_name, buckets: Vec::new() });
                groups.len() - 1
            });
            groups[group].buckets.push((upper, i));
        }
        for g in &mut groups {
            g.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let has_native = |s: &VectorSeries| s.column.has_histograms();
        let native = series.iter().enumerate().filter(|(_, s)| has_native(s));
        let native = native.map(|(i, s)| (i, by_labels.get(&s.labels).copied())).collect();
        Input { series, groups, native }
    }

    /// Computes the figure of every histogram at every step.
    fn apply(
        &self,
        steps: &Steps,
        cx: &mut KernelContext<'_>,
        figure: &impl Figure,
        out: &mut Vec<VectorSeries>,
    ) {
        let mut partner: Vec<Option<usize>> = vec![None; self.groups.len()];
        for (series, group) in &self.native {
            let s = &self.series[*series];
            let mut column = Column::absent(steps.count);
            for i in 0..steps.count {
                let Some(h) = s.column.histogram(i) else { continue };
                if group.is_some_and(|g| self.group_has(g, i)) {
                    note_mixed(&s.labels, figure.pos(), cx);
                } else {
                    column.v[i] = of_native(h, i, &s.labels, figure, cx);
                }
            }
            if let Some(g) = group {
                partner[*g] = Some(*series);
            }
            out.push(renamed(&s.labels, s.drop_name, column, cx));
        }
        let mut buckets = Vec::new();
        for (group, native) in self.groups.iter().zip(partner) {
            let mut column = Column::absent(steps.count);
            for i in 0..steps.count {
                // With a native histogram of the same labels nobody knows which one is meant.
                if native.is_some_and(|n| self.series[n].column.histogram(i).is_some()) {
                    continue;
                }
                buckets.clear();
                for (upper, series) in &group.buckets {
                    let c = &self.series[*series].column;
                    if is_float(c, i) {
                        buckets.push(ClassicBucket { upper: *upper, count: c.v[i] });
                    }
                }
                if buckets.is_empty() {
                    continue;
                }
                let (v, repair) = figure.of_classic(i, &mut buckets);
                column.v[i] = v;
                if let Some(repair) = repair {
                    note_repair(&group.labels, repair, steps.at(i), figure.pos(), cx);
                }
            }
            out.push(renamed(&group.labels, group.drop_name, column, cx));
        }
    }

    fn group_has(&self, group: usize, step: usize) -> bool {
        self.groups[group].buckets.iter().any(|(_, s)| is_float(&self.series[*s].column, step))
    }
}

/// A series of the result: its name goes, now or at the end of the query.
fn renamed(labels: &Labels, drop_name: bool, column: Column, cx: &KernelContext<'_>) -> VectorSeries {
    if cx.delayed_name_removal {
        VectorSeries { labels: labels.clone(), drop_name: true, column }
    } else {
        VectorSeries { labels: without_metadata(labels), drop_name, column }
    }
}

fn is_float(column: &Column, step: usize) -> bool {
    !crate::eval::value::is_absent(column.v[step])
}

fn of_native(
    h: &Arc<Histogram>,
    step: usize,
    labels: &Labels,
    figure: &impl Figure,
    cx: &mut KernelContext<'_>,
) -> f64 {
    let (v, note) = figure.of_native(step, h);
    if let Some(note) = note {
        cx.annotations.info(figure.pos(), notes::for_metric(note, shown_name(labels, cx)));
    }
    v
}

/// The name that notes show: none once names are dropped.
fn shown_name<'a>(labels: &'a Labels, cx: &KernelContext<'_>) -> &'a str {
    if cx.delayed_name_removal { labels.value(METRIC_NAME) } else { "" }
}

fn note_bad_bucket(labels: &Labels, le: &str, arg: usize, cx: &mut KernelContext<'_>) {
    let text = format!("bucket label \"le\" is missing or has a malformed value of {}", go_quote(le));
    let text = notes::for_metric(&text, shown_name(labels, cx));
    cx.annotations.warn(cx.pos(arg), text);
}

fn note_mixed(labels: &Labels, pos: usize, cx: &mut KernelContext<'_>) {
    let text = "vector contains a mix of classic and native histograms";
    let text = notes::for_metric(text, shown_name(labels, cx));
    cx.annotations.warn(pos, text);
}

fn note_repair(labels: &Labels, repair: Repair, t: i64, pos: usize, cx: &mut KernelContext<'_>) {
    let text = "input to histogram_quantile needed to be fixed for monotonicity \
                (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    let detail = ForcedMonotonicity {
        min_t: t,
        max_t: t,
        min_bucket: repair.min_bucket,
        max_bucket: repair.max_bucket,
        max_diff: repair.max_diff,
        count: 1,
    };
    let text = notes::for_metric(text, shown_name(labels, cx));
    cx.annotations.info_forced_monotonicity(pos, text, detail);
}

#[cfg(test)]
mod tests {
    use reba_model::parse_notation;

    use super::*;
    use crate::eval::{annotations::Annotations, value::VectorKernel};

    fn classic(le: &str, counts: &[f64]) -> VectorSeries {
        let labels = Labels::from_pairs([("__name__", "h_bucket"), ("job", "a"), ("le", le)]);
        VectorSeries { labels, drop_name: false, column: Column::floats(counts.to_vec()) }
    }

    fn native(name: &str, text: &str, steps: usize) -> VectorSeries {
        let mut column = Column::absent(steps);
        for i in 0..steps {
            column.set(i, crate::eval::value::Point::histogram(parse_notation(text).unwrap().0));
        }
        VectorSeries {
            labels: Labels::from_pairs([("__name__", name), ("job", "a")]),
            drop_name: false,
            column,
        }
    }

    fn run(
        kernel: VectorKernel,
        args: Vec<VectorArg>,
        delayed: bool,
    ) -> (Vec<(String, Vec<f64>)>, Vec<String>) {
        let mut annotations = Annotations::new();
        let mut cx = KernelContext {
            t: 0,
            labels: &Labels::empty(),
            call_pos: 0,
            arg_pos: &[0, 0, 0],
            delayed_name_removal: delayed,
            annotations: &mut annotations,
        };
        let steps = Steps { start: 0, interval: 1000, count: 2 };
        let out = kernel(args, &steps, &mut cx).unwrap();
        let mut notes = annotations.warnings("q", 0);
        notes.extend(annotations.infos("q", 0));
        (out.into_iter().map(|s| (s.labels.to_string(), s.column.v)).collect(), notes)
    }

    #[test]
    fn buckets_are_grouped_by_the_other_labels_and_sorted_by_bound() {
        let series = vec![
            classic("+Inf", &[4.0, 8.0]),
            classic("10", &[4.0, 4.0]),
            classic("2", &[2.0, 2.0]),
            classic("x", &[1.0, 1.0]),
        ];
        let args = vec![VectorArg::Scalar(vec![0.5, 0.5]), VectorArg::Vector(series.clone())];
        let (out, notes) = run(histogram_quantile, args, false);
        assert_eq!(out, [("{job=\"a\"}".to_owned(), vec![2.0, 10.0])]);
        assert_eq!(
            notes,
            ["PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" (1:1)"]
        );
        let bounds = [0.0, f64::INFINITY].map(|b| VectorArg::Scalar(vec![b; 2]));
        let [lower, _] = bounds;
        let args = vec![lower, VectorArg::Scalar(vec![2.0, 2.0]), VectorArg::Vector(series)];
        assert_eq!(run(histogram_fraction, args, false).0[0].1, [0.5, 0.25]);
    }

    #[test]
    fn a_label_says_which_quantile_it_is() {
        let series = vec![classic("2", &[2.0, 2.0]), classic("+Inf", &[2.0, 2.0])];
        let args = vec![
            VectorArg::Vector(series),
            VectorArg::String("q".to_owned()),
            VectorArg::Scalar(vec![0.5, 0.5]),
            VectorArg::Scalar(vec![1.0, 2.0]),
        ];
        let (out, notes) = run(histogram_quantiles, args, true);
        let labels: Vec<&str> = out.iter().map(|(l, _)| l.as_str()).collect();
        let of = |q: &str| format!("{{__name__=\"h_bucket\", job=\"a\", q=\"{q}\"}}");
        assert_eq!(labels, [of("0.5"), of("1.0"), of("2.0")]);
        assert_eq!(out[0].1, [1.0, 1.0]);
        assert_eq!((out[1].1[0], out[2].1[1]), (2.0, f64::INFINITY));
        assert_eq!(notes, ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:1)"]);
    }

    #[test]
    fn where_classic_and_native_have_the_same_labels_neither_counts() {
        let native = native("h_bucket", "{{count:4 sum:4 buckets:[4]}}", 2);
        let series = vec![classic("1", &[2.0, crate::eval::value::ABSENT]), native];
        let args = vec![VectorArg::Scalar(vec![1.0, 1.0]), VectorArg::Vector(series)];
        let (out, notes) = run(histogram_quantile, args, true);
        assert!(out.iter().all(|(_, v)| crate::eval::value::is_absent(v[0])));
        assert_eq!(out[0].1[1], 1.0, "the second step has the native one only");
        assert_eq!(
            notes,
            [
                "PromQL warning: vector contains a mix of classic and native histograms for metric name \"h_bucket\" (1:1)"
            ]
        );
    }

    #[test]
    fn repairs_and_nan_observations_are_noted() {
        let series = vec![
            classic("1", &[2.0, 2.0]),
            classic("2", &[1.0, 2.0]),
            classic("+Inf", &[4.0, 4.0]),
            native("n", "{{count:15 sum:NaN buckets:[12]}}", 2),
        ];
        let args = vec![VectorArg::Scalar(vec![0.81, 0.5]), VectorArg::Vector(series)];
        let (_, notes) = run(histogram_quantile, args, false);
        assert_eq!(
            notes,
            [
                "PromQL info: input to histogram_quantile has NaN observations, result is NaN (1:1)",
                "PromQL info: input to histogram_quantile has NaN observations, result is skewed higher (1:1)",
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets 2 \
                 to 2, with a max diff of 1, over 1 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z (1:1)",
            ]
        );
    }
}
