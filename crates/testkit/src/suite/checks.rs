//! The checks of the suite.

use std::sync::Arc;

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Exemplar, Histogram, Labels, MatchOp, Matcher, STALE_NAN, Span,
    TimeRange,
};
use reba_storage::{
    AppendMode, Budget, FloatSample, RejectReason, SelectHints, SelectRequest, SeriesRef, WriteBatch,
};

use super::{
    HOUR, MakeStore, SuiteConfig,
    dice::Dice,
    pair::{Pair, Row},
};

/// A time that is a multiple of everything: 2023-11-14, 22:00.
const START: i64 = 1_699_999_200_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn series(name: &str, host: u64) -> Labels {
    labels(&[("__name__", name), ("host", &format!("h{host}")), ("job", "node")])
}

fn equal(name: &str, value: &str) -> Vec<Matcher> {
    vec![Matcher::equal(name, value)]
}

fn name(value: &str) -> Vec<Matcher> {
    equal("__name__", value)
}

pub(super) fn floats_come_back(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let values =
        [0.0, -0.0, 1.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, STALE_NAN, 1e-300];
    for (i, v) in values.into_iter().enumerate() {
        let t = START + 15_000 * i as i64;
        let rows: Vec<Row> = (0..5).map(|host| Row::Float(series("up", host), t, v + host as f64)).collect();
        pair.append(&rows, AppendMode::Partial)?;
        // The marker is stored as it is, not as the sum of itself and something.
        pair.append(&[Row::Float(series("marked", 0), t, v)], AppendMode::AllOrNothing)?;
    }
    for range in [
        TimeRange::ALL,
        TimeRange::new(START + 15_000, START + 45_000),
        TimeRange::new(START + 15_001, START + 44_999),
        TimeRange::new(START - 10, START - 1),
        TimeRange::new(START, START),
    ] {
        pair.same_selection(&name("up"), range)?;
        pair.same_selection(&name("marked"), range)?;
    }
    pair.same_labels(Vec::new())
}

pub(super) fn older_samples_are_refused(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let row = |host, seconds: i64, v| Row::Float(series("m", host), START + seconds * 1000, v);
    pair.append(&[row(0, 10, 1.0), row(1, 10, 1.0)], AppendMode::Partial)?;
    // An older one, the same again, another value at the same time, and a good one.
    let mixed = [row(0, 9, 5.0), row(0, 10, 1.0), row(1, 10, 2.0), row(1, 11, 3.0), row(1, 11, 3.0)];
    pair.append(&mixed, AppendMode::Partial)?;
    // Far behind the newest sample of the store, in order or not.
    pair.append(&[row(2, 20 - HOUR, 1.0), row(0, -HOUR, 1.0)], AppendMode::Partial)?;
    pair.append(&[row(3, 12 * 3600, 1.0)], AppendMode::Partial)?;
    pair.append(&[row(4, 60, 1.0), row(0, 5, 1.0), row(0, 12 * 3600 - 3000, 1.0)], AppendMode::Partial)?;
    pair.same_selection(&name("m"), TimeRange::ALL)
}

pub(super) fn all_or_nothing(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let row = |host, seconds: i64, v| Row::Float(series("m", host), START + seconds * 1000, v);
    pair.append(&[row(0, 10, 1.0)], AppendMode::AllOrNothing)?;
    let bad = [row(1, 10, 1.0), row(0, 9, 1.0), row(2, 10, 1.0)];
    if pair.append(&bad, AppendMode::AllOrNothing)? != 0 {
        return Err("samples were appended".to_owned());
    }
    pair.same_selection(&name("m"), TimeRange::ALL)?;
    pair.append(&bad, AppendMode::Partial)?;
    pair.same_selection(&name("m"), TimeRange::ALL)
}

pub(super) fn out_of_order_window(make: MakeStore<'_>) -> Result<(), String> {
    let config = SuiteConfig { out_of_order_window: 600_000, accept_back: HOUR };
    let pair = Pair::new(make, config);
    let row = |host, seconds: i64| Row::Float(series("m", host), START + seconds * 1000, seconds as f64);
    for seconds in [1000, 1030, 990, 1010, 1010, 1060, 401, 700, 1045] {
        pair.append(&[row(0, seconds), row(1, seconds + 1)], AppendMode::Partial)?;
    }
    pair.append(&[row(0, 100), row(0, 1020), row(0, 459)], AppendMode::Partial)?;
    pair.append(&[row(0, 1021), row(0, 459)], AppendMode::AllOrNothing)?;
    for (from, to) in [(0, 2000), (990, 1030), (402, 1009), (1046, 1059)] {
        pair.same_selection(&name("m"), TimeRange::new(START + from * 1000, START + to * 1000))?;
    }
    Ok(())
}

pub(super) fn unknown_references(make: MakeStore<'_>) -> Result<(), String> {
    let store = make(SuiteConfig::IN_ORDER);
    let known = store.series_ref(&series("m", 0)).map_err(|e| e.to_string())?;
    if store.series_ref(&series("m", 0)) != Ok(known) || store.series_ref(&series("m", 1)) == Ok(known) {
        return Err("references and label sets do not correspond".to_owned());
    }
    let unknown = SeriesRef(std::num::NonZeroU64::MAX);
    let float = |series, t| FloatSample { series, t, v: 1.0 };
    let batch =
        WriteBatch { floats: vec![float(unknown, START), float(known, START)], ..WriteBatch::default() };
    let report = store.append(&batch, AppendMode::Partial).map_err(|e| e.to_string())?;
    let rejected: Vec<_> = report.rejected.iter().map(|r| (r.index, r.reason)).collect();
    if report.appended != 1 || rejected != [(0, RejectReason::UnknownSeries)] {
        return Err(format!("got {report:?}"));
    }
    Ok(())
}

/// A histogram with a few buckets on both sides.
fn exponential(n: u64) -> Histogram {
    let n = n as f64;
    Histogram {
        schema: 2,
        zero_threshold: 1e-6,
        zero_count: 1.0,
        count: 1.0 + 6.0 * n,
        sum: 17.25 * n,
        positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 4, length: 1 }],
        positive_buckets: vec![n, 2.0 * n, n],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0 * n],
        ..Histogram::default()
    }
}

fn custom(n: u64) -> Histogram {
    let n = n as f64;
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0 * n,
        sum: 4.5 * n,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        positive_buckets: vec![n; 3],
        custom_values: vec![0.5, 1.0],
        ..Histogram::default()
    }
}

pub(super) fn histograms(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let row = |host, i: u64, h| Row::Histogram(series("h", host), START + 15_000 * i as i64, Arc::new(h));
    for i in 0..300 {
        let gauge = Histogram { hint: CounterResetHint::Gauge, ..exponential(300 - i) };
        // A counter reset at 200.
        pair.append(
            &[row(0, i, exponential(i % 200)), row(1, i, custom(i)), row(2, i, gauge)],
            AppendMode::Partial,
        )?;
    }
    let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
    pair.append(&[row(0, 300, stale)], AppendMode::Partial)?;
    // Fewer buckets than the spans promise; a count that does not fit; the same again; an older one.
    let broken = Histogram { positive_buckets: vec![1.0], ..exponential(1) };
    let miscounted = Histogram { count: 1.0, ..exponential(7) };
    let odd =
        [row(1, 301, broken), row(1, 301, miscounted), row(2, 299, exponential(9)), row(1, 299, custom(299))];
    pair.append(&odd, AppendMode::Partial)?;
    pair.append(&[row(1, 100, custom(100))], AppendMode::Partial)?;
    for (from, to) in [(0, 400), (0, 0), (100, 220), (250, 299)] {
        let range = TimeRange::new(START + 15_000 * from, START + 15_000 * to);
        pair.same_selection(&name("h"), range)?;
    }
    Ok(())
}

pub(super) fn mixed_series(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    for i in 0..40u64 {
        let t = START + 15_000 * i as i64;
        let row = if (i / 5) % 2 == 0 {
            Row::Float(series("mixed", 0), t, i as f64)
        } else {
            Row::Histogram(series("mixed", 0), t, Arc::new(exponential(i)))
        };
        pair.append(&[row], AppendMode::Partial)?;
    }
    pair.same_selection(&name("mixed"), TimeRange::ALL)?;
    pair.same_selection(&name("mixed"), TimeRange::new(START + 60_000, START + 120_000))
}

pub(super) fn matchers(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let sets = [
        labels(&[("__name__", "a")]),
        labels(&[("__name__", "a"), ("job", "x")]),
        labels(&[("__name__", "a"), ("job", "y"), ("env", "prod")]),
        labels(&[("__name__", "a"), ("job", "xy"), ("env", "dev")]),
        labels(&[("__name__", "b"), ("job", "x"), ("env", "prod")]),
        labels(&[("__name__", "b"), ("job", "x\ny")]),
        labels(&[("__name__", "ab.c"), ("job", "é"), ("with space", "v")]),
        labels(&[("job", "x"), ("only", "labels")]),
    ];
    let rows: Vec<Row> = sets.iter().map(|l| Row::Float(l.clone(), START, 1.0)).collect();
    pair.append(&rows, AppendMode::Partial)?;
    let values = ["", "x", "y", "x|y", "x.*", ".*", ".+", "|x", "(?i)X", "x\ny", "nothing", ".*y"];
    let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    for label in ["job", "env", "none", "with space"] {
        for (op, value) in ops.iter().flat_map(|op| values.map(|v| (*op, v))) {
            let matcher = Matcher::new(op, label, value).map_err(|e| e.to_string())?;
            for others in [name("a"), equal("job", "x"), Vec::new()] {
                let mut all = vec![matcher.clone()];
                all.extend(others);
                // At least one matcher must not match the empty text.
                if all.iter().any(|m| !m.matches_empty()) {
                    pair.same_selection(&all, TimeRange::ALL)?;
                    pair.same_labels(all)?;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn long_series(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let mut dice = Dice::new(7);
    let (mut counter, mut t) = (0.0, START);
    for i in 0..1500u64 {
        // A grid with some jitter and some gaps.
        t += 15_000 + if dice.below(10) == 0 { dice.below(50) as i64 } else { 0 };
        t += if dice.below(200) == 0 { 600_000 } else { 0 };
        counter += dice.below(100) as f64;
        let rows = [
            Row::Float(series("counter", 0), t, counter),
            Row::Float(series("gauge", 0), t, dice.below(1_000_000) as f64 / 1000.0),
            Row::Float(series("odd", 0), t, f64::from_bits(dice.next() >> 2)),
            Row::Float(series("constant", 0), t, 42.0),
            Row::Float(series("flag", 0), t, (i / 100 % 2) as f64),
        ];
        pair.append(&rows, AppendMode::Partial)?;
    }
    for (from, to) in [(START, t), (START + 1_000_000, START + 2_000_000), (t - 100_000, t), (t + 1, t + 2)] {
        pair.same_selection(&equal("job", "node"), TimeRange::new(from, to))?;
    }
    Ok(())
}

pub(super) fn exemplars(make: MakeStore<'_>) -> Result<(), String> {
    let pair = Pair::new(make, SuiteConfig::IN_ORDER);
    let row = |host, seconds: i64, id: &str| {
        let exemplar =
            Exemplar { labels: labels(&[("trace_id", id)]), value: 0.5, t: START + seconds * 1000 };
        Row::Exemplar(series("m", host), exemplar)
    };
    let sample = |host, seconds: i64| Row::Float(series("m", host), START + seconds * 1000, 1.0);
    pair.append(&[sample(0, 0), row(0, 0, "a"), sample(1, 0), row(1, 0, "b")], AppendMode::Partial)?;
    // Newer, the same again, older.
    pair.append(&[sample(0, 10), row(0, 10, "c"), row(0, 10, "c"), row(0, 5, "d")], AppendMode::Partial)?;
    pair.same_labels(name("m"))?;
    pair.same_labels(equal("host", "h1"))?;
    pair.same_labels(Vec::new())
}

pub(super) fn random_batches(make: MakeStore<'_>) -> Result<(), String> {
    for (seed, window) in [(1, 0), (2, 600_000)] {
        let pair = Pair::new(make, SuiteConfig { out_of_order_window: window, accept_back: HOUR });
        let mut dice = Dice::new(seed);
        let mut now = START;
        for _ in 0..150 {
            now += 15_000;
            let mut rows = Vec::new();
            // Times by series, so that no two rows of a batch meet and no late row meets one that is there.
            for host in 0..4 {
                let late = dice.below(6) == 0;
                let t = if late { now - dice.below(300_000) as i64 * 3 - 7 } else { now };
                rows.push(Row::Float(series("r", host), t, dice.below(50) as f64));
            }
            let mode = if dice.below(3) == 0 { AppendMode::AllOrNothing } else { AppendMode::Partial };
            pair.append(&rows, mode)?;
        }
        pair.same_selection(&name("r"), TimeRange::ALL)?;
        let from = START + 300_000;
        pair.same_selection(&name("r"), TimeRange::new(from, from + 1_000_000))?;
    }
    Ok(())
}

pub(super) fn isolation_and_budget(make: MakeStore<'_>) -> Result<(), String> {
    let store = make(SuiteConfig::IN_ORDER);
    let text = |e: reba_storage::AppendError| e.to_string();
    let hosts = 8;
    let refs: Vec<SeriesRef> =
        (0..hosts).map(|h| store.series_ref(&series("pair", h)).map_err(text)).collect::<Result<_, _>>()?;
    let write = |i: i64| {
        let floats =
            refs.iter().map(|r| FloatSample { series: *r, t: START + i * 1000, v: i as f64 }).collect();
        store.append(&WriteBatch { floats, ..WriteBatch::default() }, AppendMode::Partial).map_err(text)
    };
    write(0)?;
    let select = |budget: &Budget| {
        let matchers = name("pair");
        let hints = SelectHints::default();
        store.select(&SelectRequest { matchers: &matchers, range: TimeRange::ALL, hints: &hints, budget })
    };
    let newest = || {
        let mut times = Vec::new();
        for s in select(&Budget::unlimited()).map_err(|e| e.to_string())? {
            times.push(s.chunks.iter().map(|c| c.range().end).max());
        }
        Ok::<_, String>(times)
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..400).try_for_each(|i| write(i).map(|_| ())));
        while !writer.is_finished() {
            let times = newest()?;
            if times.len() != hosts as usize || times.iter().any(|t| *t != times[0]) {
                return Err(format!("a query saw a part of a batch: {times:?}"));
            }
        }
        writer.join().unwrap_or_else(|_| Err("the writer panicked".to_owned()))
    })?;
    if select(&Budget::new(2, u64::MAX)).is_ok() {
        return Err("a limit on series was ignored".to_owned());
    }
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    if select(&cancelled).is_ok() {
        return Err("a cancellation was ignored".to_owned());
    }
    Ok(())
}
