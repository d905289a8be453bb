//! Properties that hold for any data and any query.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use reba_model::{Histogram, Labels, STALE_NAN, Span, is_stale_nan};
use reba_promql::eval::{Inline, QueryTimes, Threads};
use reba_testkit::{
    Answer, EvalTimes, LoadedSeries, ScriptEngine, SeriesValue, almost_equal, histograms_match,
};
use support::MemEngine;

const MINUTE: i64 = 60_000;

/// A sample: seconds since the one before it, and a value.
type Sample = (i64, f64);

fn sample() -> impl Strategy<Value = Sample> {
    let value = prop_oneof![
        8 => (0u32..1000).prop_map(f64::from),
        2 => (-50i32..50).prop_map(|v| f64::from(v) / 4.0),
        1 => Just(STALE_NAN),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    (prop_oneof![6 => Just(15i64), 1 => 1i64..400], value)
}

fn loaded(labels: &[(&str, &str)], samples: &[Sample]) -> LoadedSeries {
    let mut t = 0;
    let samples = samples.iter().map(|(gap, v)| {
        t += gap * 1000;
        (t, SeriesValue::Float(*v))
    });
    let samples = samples.collect();
    LoadedSeries { labels: Labels::from_pairs(labels.iter().copied()), samples, starts: Vec::new() }
}

fn histogram(n: f64) -> Histogram {
    Histogram {
        count: 3.0 * n,
        sum: 5.0 * n,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n, 2.0 * n],
        ..Histogram::default()
    }
}

fn histograms(labels: &[(&str, &str)], samples: &[Sample]) -> LoadedSeries {
    let mut series = loaded(labels, samples);
    for (i, (_, value)) in series.samples.iter_mut().enumerate() {
        // Every fifth stays a float, if it may stand among them.
        if i % 5 != 4 {
            *value = SeriesValue::Histogram(Arc::new(histogram(i as f64 % 7.0)), false);
        }
    }
    series
}

/// Three series of `m`, one of `n_total`, one of histograms and floats.
fn data() -> impl Strategy<Value = Vec<LoadedSeries>> {
    proptest::collection::vec(proptest::collection::vec(sample(), 0..80), 5).prop_map(|all| {
        vec![
            loaded(&[("__name__", "m"), ("job", "a"), ("host", "1")], &all[0]),
            loaded(&[("__name__", "m"), ("job", "a"), ("host", "2")], &all[1]),
            loaded(&[("__name__", "m"), ("job", "b"), ("host", "1")], &all[2]),
            loaded(&[("__name__", "n_total"), ("job", "a"), ("host", "1")], &all[3]),
            histograms(&[("__name__", "h"), ("job", "a"), ("host", "1")], &all[4]),
        ]
    })
}

fn selector() -> impl Strategy<Value = String> {
    let base = prop_oneof![
        Just("m"),
        Just("n_total"),
        Just("h"),
        Just("m{job=\"a\"}"),
        Just("{__name__=~\"m|n_total\"}"),
        Just("nothing"),
    ];
    let modifier =
        prop_oneof![6 => Just(""), 1 => Just(" offset 1m"), 1 => Just(" offset -45s"), 1 => Just(" @ 300")];
    (base, modifier).prop_map(|(base, modifier)| format!("{base}{modifier}"))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("2".to_owned()),
        Just("0.5".to_owned()),
        Just("-1".to_owned()),
        Just("NaN".to_owned()),
        Just("time()".to_owned()),
        Just("scalar(n_total)".to_owned()),
    ]
}

fn duration() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("1m"), Just("90s"), Just("5m"), Just("7m13s")]
}

fn range(vector: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = String> {
    let plain = (prop_oneof![Just("m"), Just("n_total"), Just("h"), Just("{host=\"1\"}")], duration());
    let offset = prop_oneof![4 => Just(""), 1 => Just(" offset 2m"), 1 => Just(" @ 240")];
    prop_oneof![
        3 => (plain, offset).prop_map(|((s, d), o)| format!("{s}[{d}]{o}")),
        1 => (vector, duration(), prop_oneof![Just("30s"), Just("1m"), Just("")])
            .prop_map(|(v, d, s)| format!("({v})[{d}:{s}]")),
    ]
}

const RANGE_FUNCTIONS: [&str; 18] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "changes",
    "resets",
    "deriv",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "stddev_over_time",
    "present_over_time",
    "mad_over_time",
];
const ELEMENT_FUNCTIONS: [&str; 12] = [
    "abs",
    "ceil",
    "exp",
    "sgn",
    "histogram_count",
    "histogram_avg",
    "hour",
    "timestamp",
    "sqrt",
    "-",
    "+",
    "absent",
];
const AGGREGATIONS: [&str; 9] =
    ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile(0.3,"];
const OPERATORS: [&str; 16] = [
    "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">=", "> bool", "and", "or", "unless", "!= bool",
];

fn vector() -> impl Strategy<Value = String> {
    let leaf = selector().boxed();
    leaf.prop_recursive(4, 24, 3, |inner| {
        let grouping = prop_oneof![Just(""), Just(" by (job)"), Just(" without (host)"), Just(" by (__name__)")];
        let matching = prop_oneof![
            3 => Just(""),
            1 => Just(" on (job)"),
            1 => Just(" ignoring (host)"),
            1 => Just(" on (job, host)"),
        ];
        let aggregation = prop::sample::select(&AGGREGATIONS[..]);
        prop_oneof![
            3 => (prop::sample::select(&RANGE_FUNCTIONS[..]), range(inner.clone()))
                .prop_map(|(f, r)| format!("{f}({r})")),
            2 => (prop::sample::select(&ELEMENT_FUNCTIONS[..]), inner.clone()).prop_map(|(f, v)| format!("{f}({v})")),
            2 => (aggregation, inner.clone(), grouping).prop_map(|(op, v, by)| match op.strip_suffix(',') {
                Some(op) => format!("{op}, {v}){by}"),
                None => format!("{op}({v}){by}"),
            }),
            1 => (prop::sample::select(&["topk", "bottomk", "limitk"][..]), inner.clone())
                .prop_map(|(op, v)| format!("count({op}(2, {v}))")),
            2 => (inner.clone(), prop::sample::select(&OPERATORS[..]), matching, inner.clone()).prop_map(
                |(l, op, matching, r)| format!("({l}) {op}{matching} ({r})")
            ),
            2 => (inner.clone(), prop::sample::select(&OPERATORS[..12]), scalar())
                .prop_map(|(v, op, s)| format!("({v}) {op} {s}")),
            1 => (inner.clone(), scalar()).prop_map(|(v, s)| format!("clamp_min({v}, {s})")),
            1 => inner.clone().prop_map(|v| format!("histogram_quantile(0.9, {v})")),
            1 => inner.clone().prop_map(|v| format!("label_replace({v}, \"dst\", \"x$1\", \"job\", \"(.*)\")")),
            1 => inner.prop_map(|v| format!("count_values(\"v\", {v})")),
        ]
    })
}

/// Elements of an answer by time and labels.
type Elements = BTreeMap<(i64, String), SeriesValue>;

fn elements(answer: Answer, t: i64) -> Elements {
    let mut out = Elements::new();
    match answer {
        Answer::Scalar(v) => {
            out.insert((t, "{}".to_owned()), SeriesValue::Float(v));
        }
        Answer::String(_) => {}
        Answer::Vector(series) | Answer::Matrix(series) => {
            for (labels, samples) in series {
                for (t, v) in samples.t.iter().zip(&samples.v) {
                    out.insert((*t, labels.to_string()), SeriesValue::Float(*v));
                }
                for s in samples.h {
                    out.insert((s.t, labels.to_string()), SeriesValue::Histogram(s.h, false));
                }
            }
        }
    }
    out
}

fn same_elements(a: &Elements, b: &Elements) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((ka, va), (kb, vb))| {
            ka == kb
                && match (va, vb) {
                    (SeriesValue::Float(x), SeriesValue::Float(y)) => almost_equal(*x, *y),
                    (SeriesValue::Histogram(x, _), SeriesValue::Histogram(y, _)) => {
                        histograms_match(x, y, false)
                    }
                    _ => false,
                }
        })
}

fn engine_with<'a>(executor: &'a dyn reba_promql::eval::Executor, data: &[LoadedSeries]) -> MemEngine<'a> {
    let mut engine = MemEngine::new(executor);
    engine.load(data).unwrap();
    engine
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// A range query is nothing but instant queries at its steps.
    #[test]
    fn a_range_query_gives_at_each_step_what_an_instant_query_gives(data in data(), query in vector()) {
        let mut engine = engine_with(&Inline, &data);
        let (start, step, count) = (2 * MINUTE, 40_000, 12);
        let end = start + step * (count - 1);
        let range = engine.query(&query, EvalTimes::Range { start, end, step });
        let mut merged = Elements::new();
        let mut failed = false;
        for i in 0..count {
            let t = start + step * i;
            match engine.query(&query, EvalTimes::Instant(t)) {
                Ok(outcome) => merged.extend(elements(outcome.answer, t)),
                Err(_) => failed = true,
            }
        }
        match range {
            Ok(outcome) => {
                prop_assert!(!failed, "{query}: a step fails, the range does not");
                let found = elements(outcome.answer, 0);
                prop_assert!(same_elements(&found, &merged), "{query}: range {found:?}\ninstant {merged:?}");
            }
            Err(e) => prop_assert!(failed, "{query}: the range fails ({e}), no step does"),
        }
    }

    /// What is counted at a step does not show that a range was evaluated at once.
    #[test]
    fn a_step_counts_the_samples_that_an_instant_query_counts(data in data(), query in vector()) {
        let mut engine = engine_with(&Inline, &data);
        engine.samples_per_step = true;
        let (start, step, count) = (2 * MINUTE, 40_000, 8);
        let Ok((range, _)) = engine.output(&query, QueryTimes::Range { start, end: start + step * (count - 1), step }) else {
            return Ok(());
        };
        let at = |i| engine.output(&query, QueryTimes::Instant { t: start + step * i }).unwrap().0;
        let instants: Vec<u64> = (0..count).map(|i| at(i).stats.total_samples).collect();
        prop_assert_eq!(&range.samples_per_step, &instants, "{}", query);
        prop_assert_eq!(range.stats.total_samples, instants.iter().sum::<u64>());
        engine.samples_per_step = false;
        let times = QueryTimes::Range { start, end: start + step * (count - 1), step };
        let (plain, _) = engine.output(&query, times).unwrap();
        prop_assert_eq!((plain.stats, plain.samples_per_step.len()), (range.stats, 0));
    }

    /// Many series, for a few are never spread over threads.
    #[test]
    fn any_number_of_threads_gives_the_same(data in data(), query in vector()) {
        let copies = (0..60).flat_map(|copy| data.iter().map(move |s| {
            let mut labels = s.labels.to_builder();
            labels.set("host", &format!("{}-{copy}", s.labels.value("host")));
            LoadedSeries { labels: labels.build(), ..s.clone() }
        }));
        let copies: Vec<LoadedSeries> = copies.collect();
        let times = EvalTimes::Range { start: 0, end: 20 * MINUTE, step: 3 * MINUTE };
        let one = engine_with(&Inline, &copies).query(&query, times);
        let three = engine_with(&Threads(3), &copies).query(&query, times);
        match (one, three) {
            (Ok(a), Ok(b)) => {
                prop_assert_eq!(&a.warnings, &b.warnings);
                prop_assert!(same_elements(&elements(a.answer, 0), &elements(b.answer, 0)));
            }
            (a, b) => prop_assert_eq!(a.err(), b.err()),
        }
    }

    /// The textbook's rate: look at every sample of the window, for every step anew.
    #[test]
    fn rates_are_those_of_a_loop_over_all_samples(samples in proptest::collection::vec(sample(), 0..120)) {
        let series = loaded(&[("__name__", "n_total")], &samples);
        let mut engine = engine_with(&Inline, std::slice::from_ref(&series));
        let (start, step, end, range) = (0, 35_000, 25 * MINUTE, 3 * MINUTE);
        let found = engine.query("rate(n_total[3m])", EvalTimes::Range { start, end, step }).unwrap();
        let mut expected = Elements::new();
        for t in (start..=end).step_by(step as usize) {
            let window: Vec<(i64, f64)> = series
                .samples
                .iter()
                .filter_map(|(at, v)| match v {
                    SeriesValue::Float(v) if !is_stale_nan(*v) && *at > t - range && *at <= t => Some((*at, *v)),
                    _ => None,
                })
                .collect();
            if let Some(rate) = naive_rate(&window, t, range) {
                expected.insert((t, "{}".to_owned()), SeriesValue::Float(rate));
            }
        }
        let found = elements(found.answer, 0);
        prop_assert!(same_elements(&found, &expected), "found {found:?}\nexpected {expected:?}");
    }

    /// Selectors and sums, worked out sample by sample.
    #[test]
    fn sums_are_those_of_the_newest_samples(data in data()) {
        let mut engine = engine_with(&Inline, &data);
        let (start, step, end) = (0, 50_000, 25 * MINUTE);
        let found = engine.query("sum by (job) (m)", EvalTimes::Range { start, end, step }).unwrap();
        let mut expected = Elements::new();
        for t in (start..=end).step_by(step as usize) {
            for series in &data[..3] {
                let newest = series.samples.iter().rfind(|(at, _)| *at <= t);
                let Some((at, SeriesValue::Float(v))) = newest else { continue };
                if is_stale_nan(*v) || *at <= t - 5 * MINUTE {
                    continue;
                }
                let key = (t, series.labels.only(&["job"]).to_string());
                let sum = match expected.get(&key) {
                    Some(SeriesValue::Float(sum)) => sum + v,
                    _ => *v,
                };
                expected.insert(key, SeriesValue::Float(sum));
            }
        }
        let found = elements(found.answer, 0);
        prop_assert!(same_elements(&found, &expected), "found {found:?}\nexpected {expected:?}");
    }
}

fn naive_rate(window: &[(i64, f64)], end: i64, range: i64) -> Option<f64> {
    let ((first_t, first), (last_t, last)) = (*window.first()?, *window.last()?);
    if window.len() < 2 {
        return None;
    }
    let mut increase = last - first;
    for pair in window.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(last_t - first_t);
    let average_gap = sampled / (window.len() - 1) as f64;
    let (mut to_start, mut to_end) = (seconds(first_t - (end - range)), seconds(end - last_t));
    let threshold = average_gap * 1.1;
    if to_start >= threshold {
        to_start = average_gap / 2.0;
    }
    // A counter is not extended below zero.
    if increase > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    if to_end >= threshold {
        to_end = average_gap / 2.0;
    }
    Some(increase * ((sampled + to_start + to_end) / sampled) / seconds(range))
}

#[test]
fn a_query_as_high_as_the_parser_allows_fits_on_the_stack() {
    let mut engine = engine_with(&Inline, &[loaded(&[("__name__", "m")], &[(15, 1.0)])]);
    let times = EvalTimes::Range { start: 0, end: MINUTE, step: 15_000 };
    for query in [
        vec!["m"; 380].join(" + "),
        vec!["1"; 380].join(" + "),
        format!("{}m{}", "abs(".repeat(120), ")".repeat(120)),
        format!("{}m{}", "sum(".repeat(100), ")".repeat(100)),
        format!("{}m{}", "rate(".repeat(40), "[1m:15s])".repeat(40)),
    ] {
        let outcome = engine.query(&query, times);
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

#[test]
fn times_at_the_ends_of_time_do_not_panic() {
    let mut engine = engine_with(&Inline, &[loaded(&[("__name__", "m")], &[(15, 1.0); 20])]);
    let queries = [
        "m",
        "m offset 292y",
        "m offset -292y @ 9223372036854775",
        "rate(m[292y])",
        "rate(vector(time())[5m:1m])",
        "deriv(vector(time())[10m:1m] offset -10m)",
        "predict_linear(vector(1)[5m:1m], 1e300)",
        "sum_over_time(timestamp(m)[5m:1m] @ -9223372036854775)",
        "hour() + year() + days_in_month()",
        "range() + start() + end() + step()",
        "absent(m) or m",
        "topk(9e18, m)",
    ];
    for query in queries {
        for t in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
            let _ = engine.query(query, EvalTimes::Instant(t));
        }
        let whole = EvalTimes::Range { start: i64::MIN, end: i64::MAX, step: i64::MAX };
        let _ = engine.query(query, whole);
        let _ = engine.query(query, EvalTimes::Range { start: 0, end: 600_000, step: 0 });
    }
}

#[test]
fn a_query_that_would_hold_too_many_samples_is_refused() {
    let mut engine = engine_with(&Inline, &[loaded(&[("__name__", "m")], &[(15, 1.0); 200])]);
    for query in ["m[1y:1ms]", "sum_over_time(vector(1)[100y:1s])", "rate(m[1y:1ms])"] {
        let e = engine.query(query, EvalTimes::Instant(20 * MINUTE)).unwrap_err();
        assert!(e.contains("too many samples"), "{query}: {e}");
    }
    let times = EvalTimes::Range { start: 0, end: 1_000_000_000, step: 1 };
    assert!(engine.query("m", times).unwrap_err().contains("too many samples"));
}
