//! Runs scripts on any engine and compares.

use std::sync::Arc;

use reba_model::{
    CounterResetHint, Histogram, HistogramSample, Labels, SampleColumns, notation::SeriesValue,
};

use crate::{
    compare::{almost_equal, histograms_match},
    script::{Command, Eval, EvalTimes, ExpectKind, LoadedSeries, parse_script},
};

/// The value of a query.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A number.
    Scalar(f64),
    /// A string.
    String(String),
    /// Series with one sample each, in the order of the result.
    Vector(Vec<(Labels, SampleColumns)>),
    /// Series with their samples.
    Matrix(Vec<(Labels, SampleColumns)>),
}

/// What a query gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its value.
    pub answer: Answer,
    /// Warnings as they are shown, all of them.
    pub warnings: Vec<String>,
    /// Infos as they are shown, all of them.
    pub infos: Vec<String>,
}

/// What runs a script: a store and a query language over it.
pub trait ScriptEngine {
    /// Forgets all series.
    fn clear(&mut self);

    /// Adds series.
    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), String>;

    /// Runs a query; an error is the text that a user would see.
    fn query(&mut self, expr: &str, times: EvalTimes) -> Result<Outcome, String>;

    /// The expression with every selector pinned to `t`, and the times at which it must give the same; `None` if its
    /// result depends on the time of evaluation anyway.
    fn pinned(&self, expr: &str, t: i64) -> Option<(String, Vec<i64>)>;

    /// Whether the expression needs experimental syntax or functions.
    fn is_experimental(&self, expr: &str) -> bool;
}

/// Why an evaluation failed.
pub type Failure = String;

/// One evaluation of a script.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// Its line, from 1.
    pub line: usize,
    /// Its expression.
    pub expr: String,
    /// Whether it needs experimental syntax or functions.
    pub experimental: bool,
    /// Whether it passed.
    pub result: Result<(), Failure>,
}

/// Runs a script. A failing `load` makes all evaluations up to the next `clear` fail.
pub fn run_script(text: &str, engine: &mut dyn ScriptEngine) -> Result<Vec<CaseResult>, crate::ScriptError> {
    let mut results = Vec::new();
    let mut broken: Option<String> = None;
    engine.clear();
    for command in parse_script(text)? {
        match command {
            Command::Clear => {
                engine.clear();
                broken = None;
            }
            Command::Load(load) => {
                let series: Vec<LoadedSeries> = load.series.into_iter().map(with_stored_hints).collect();
                if let Err(e) = engine.load(&series) {
                    broken = Some(format!("load of line {} failed: {e}", load.line));
                }
            }
            Command::Eval(eval) => {
                let result = match &broken {
                    Some(reason) => Err(reason.clone()),
                    None => check(&eval, engine),
                };
                let experimental = engine.is_experimental(&eval.expr);
                results.push(CaseResult { line: eval.line, expr: eval.expr, experimental, result });
            }
        }
    }
    Ok(results)
}

/// Hints as upstream's store hands them out, which the scripts expect: a gauge stays one; a sample that continues the
/// one before it certainly comes after no reset; nothing is known of any other, a reset included.
fn with_stored_hints(mut series: LoadedSeries) -> LoadedSeries {
    let mut previous: Option<Arc<Histogram>> = None;
    for (_, value) in &mut series.samples {
        let SeriesValue::Histogram(h, _) = value else {
            previous = None;
            continue;
        };
        let hint = match (&previous, h.hint) {
            (_, CounterResetHint::Gauge) => CounterResetHint::Gauge,
            (Some(previous), hint) if continues(h, previous, hint) => CounterResetHint::NotCounterReset,
            _ => CounterResetHint::Unknown,
        };
        *h = Arc::new(Histogram { hint, ..Histogram::clone(h) });
        let ends = hint == CounterResetHint::Gauge || reba_model::is_stale_nan(h.sum);
        previous = if ends { None } else { Some(Arc::clone(h)) };
    }
    series
}

/// Whether a histogram would stand in one chunk of counters with the one before it.
fn continues(h: &Histogram, previous: &Histogram, hint: CounterResetHint) -> bool {
    if reba_model::is_stale_nan(h.sum) {
        return true;
    }
    let unhinted = Histogram { hint: CounterResetHint::Unknown, ..h.clone() };
    hint != CounterResetHint::CounterReset
        && h.schema == previous.schema
        && h.zero_threshold == previous.zero_threshold
        && h.custom_values == previous.custom_values
        && !unhinted.detect_reset(previous)
}

fn check(eval: &Eval, engine: &mut dyn ScriptEngine) -> Result<(), Failure> {
    let EvalTimes::Instant(t) = eval.times else {
        let Some(outcome) = expected_outcome(eval, &eval.expr, eval.times, engine)? else { return Ok(()) };
        return compare(eval, &outcome.answer);
    };
    let t = eval.range_vector.map_or(t, |(_, end, _)| end);
    let mut variants = vec![(eval.expr.clone(), t)];
    if let Some((expr, times)) = engine.pinned(&eval.expr, t) {
        variants.extend(times.into_iter().map(|t| (expr.clone(), t)));
    }
    for (expr, t) in variants {
        check_instant(eval, &expr, t, engine).map_err(|e| format!("{e} [{expr} @ {t}]"))?;
    }
    Ok(())
}

/// Checks an instant query, and that the middle of a range query gives the same.
fn check_instant(eval: &Eval, expr: &str, t: i64, engine: &mut dyn ScriptEngine) -> Result<(), Failure> {
    let times = EvalTimes::Instant(t);
    let Some(outcome) = expected_outcome(eval, expr, times, engine)? else { return Ok(()) };
    compare(eval, &outcome.answer)?;
    let about_query = ["start()", "end()", "range()", "step()"].iter().any(|f| expr.contains(f));
    let ordered = eval.expects(ExpectKind::Ordered);
    if eval.range_vector.is_some() || eval.string.is_some() || about_query || ordered {
        return Ok(());
    }
    let minute = 60_000;
    let range = EvalTimes::Range { start: t - minute, end: t + minute, step: minute };
    let outcome = engine.query(expr, range).map_err(|e| format!("range mode: {e}"))?;
    let Answer::Matrix(matrix) = outcome.answer else { return Err("range mode: no matrix".to_owned()) };
    check_sorted(&matrix)?;
    let middle: Vec<(Labels, SampleColumns)> = matrix
        .into_iter()
        .map(|(labels, samples)| (labels, only_at(&samples, t)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    let answer = match (eval.scalar, middle.first()) {
        (Some(_), Some((_, samples))) => Answer::Scalar(samples.v.first().copied().unwrap_or(f64::NAN)),
        _ => Answer::Vector(middle),
    };
    compare(eval, &answer).map_err(|e| format!("range mode: {e}"))
}

fn only_at(samples: &SampleColumns, t: i64) -> SampleColumns {
    let mut out = SampleColumns::default();
    for (at, v) in samples.t.iter().zip(&samples.v).filter(|(at, _)| **at == t) {
        out.push(*at, *v);
    }
    out.h.extend(samples.h.iter().filter(|h| h.t == t).cloned());
    out
}

/// Runs the query; `None` if it failed as expected.
fn expected_outcome(
    eval: &Eval,
    expr: &str,
    times: EvalTimes,
    engine: &mut dyn ScriptEngine,
) -> Result<Option<Outcome>, Failure> {
    let fails = eval.expects(ExpectKind::Fail);
    match engine.query(expr, times) {
        Ok(_) if fails => Err("expected an error, but there was none".to_owned()),
        Ok(outcome) => {
            check_annotations(eval, &outcome)?;
            Ok(Some(outcome))
        }
        Err(e) if !fails => Err(format!("unexpected error: {e}")),
        Err(e) => {
            let mut expected = eval.expects.iter().filter(|x| x.kind == ExpectKind::Fail);
            match expected.find(|x| !x.text.matches(&e)) {
                Some(x) => Err(format!("expected error {:?}, got {e:?}", x.text)),
                None => Ok(None),
            }
        }
    }
}

fn check_annotations(eval: &Eval, outcome: &Outcome) -> Result<(), Failure> {
    let sorts = [
        (ExpectKind::Warn, ExpectKind::NoWarn, &outcome.warnings),
        (ExpectKind::Info, ExpectKind::NoInfo, &outcome.infos),
    ];
    for (some, none, actual) in sorts {
        if eval.expects(none) && !actual.is_empty() {
            return Err(format!("unexpected annotations {actual:?}"));
        }
        let expected: Vec<_> = eval.expects.iter().filter(|e| e.kind == some).map(|e| &e.text).collect();
        if let Some(missing) = expected.iter().find(|e| !actual.iter().any(|a| e.matches(a))) {
            return Err(format!("expected annotation {missing:?}, found {actual:?}"));
        }
        let surplus = actual.iter().find(|a| !expected.iter().any(|e| e.matches(a)));
        if let (false, Some(surplus)) = (expected.is_empty(), surplus) {
            return Err(format!("unexpected annotation {surplus:?}"));
        }
    }
    Ok(())
}

fn compare(eval: &Eval, answer: &Answer) -> Result<(), Failure> {
    match (answer, eval.scalar) {
        (Answer::String(s), _) => match &eval.string {
            Some(expected) if expected == s => Ok(()),
            expected => Err(format!("expected string {expected:?}, got {s:?}")),
        },
        (Answer::Scalar(v), Some(expected)) if almost_equal(expected, *v) => Ok(()),
        (Answer::Scalar(v), expected) => Err(format!("expected scalar {expected:?}, got {v}")),
        (_, Some(_)) => Err("expected a scalar, got a vector or matrix".to_owned()),
        (Answer::Vector(series), None) => compare_vector(eval, series),
        (Answer::Matrix(series), None) => compare_matrix(eval, series),
    }
}

fn compare_vector(eval: &Eval, series: &[(Labels, SampleColumns)]) -> Result<(), Failure> {
    let ordered = eval.expects(ExpectKind::Ordered);
    for (i, (labels, samples)) in series.iter().enumerate() {
        let at = eval.series.iter().position(|(l, _)| l == labels);
        let at = at.ok_or_else(|| format!("unexpected series {labels} {}", show(samples)))?;
        if ordered && at != i {
            return Err(format!("expected series {labels} at position {at}, but it was at {i}"));
        }
        let expected = eval.series[at].1.first().unwrap_or(&SeriesValue::Omitted);
        let equal = match (expected, samples.v.first(), samples.h.first()) {
            (SeriesValue::Float(e), Some(v), None) => almost_equal(*e, *v),
            (SeriesValue::Histogram(e, hint), None, Some(h)) => histograms_match(e, &h.h, *hint),
            _ => false,
        };
        if !equal {
            return Err(format!("expected {} for {labels}, got {}", show_value(expected), show(samples)));
        }
    }
    missing(eval, series)
}

fn missing(eval: &Eval, series: &[(Labels, SampleColumns)]) -> Result<(), Failure> {
    match eval.series.iter().find(|(labels, _)| !series.iter().any(|(l, _)| l == labels)) {
        Some((labels, values)) => {
            let values: Vec<String> = values.iter().map(show_value).collect();
            Err(format!("expected series {labels} {} not found", values.join(" ")))
        }
        None => Ok(()),
    }
}

fn compare_matrix(eval: &Eval, series: &[(Labels, SampleColumns)]) -> Result<(), Failure> {
    if eval.expects(ExpectKind::Ordered) {
        return Err("expected an ordered result, got a matrix".to_owned());
    }
    check_sorted(series)?;
    let (start, end, step) = match (eval.range_vector, eval.times) {
        (Some(range), _) => range,
        (None, EvalTimes::Range { start, end, step }) => (start, end, step),
        (None, EvalTimes::Instant(_)) => return Err("got a matrix from an instant query".to_owned()),
    };
    for (labels, samples) in series {
        let expected = eval.series.iter().find(|(l, _)| l == labels);
        let (_, values) = expected.ok_or_else(|| format!("unexpected series {labels} {}", show(samples)))?;
        let mut floats = Vec::new();
        let mut hists = Vec::new();
        for (i, value) in values.iter().enumerate() {
            let t = start + i as i64 * step;
            if t > end {
                return Err(format!("more values expected for {labels} than there are steps"));
            }
            match value {
                SeriesValue::Omitted => {}
                SeriesValue::Float(v) => floats.push((t, *v)),
                SeriesValue::Histogram(h, hint) => hists.push((t, h, *hint)),
            }
        }
        let same_floats = floats.len() == samples.t.len()
            && floats
                .iter()
                .zip(samples.t.iter().zip(&samples.v))
                .all(|(e, (t, v))| e.0 == *t && almost_equal(e.1, *v));
        let same_hists = hists.len() == samples.h.len()
            && hists
                .iter()
                .zip(&samples.h)
                .all(|((t, e, hint), HistogramSample { t: at, h })| t == at && histograms_match(e, h, *hint));
        if !same_floats || !same_hists {
            let values: Vec<String> = values.iter().map(show_value).collect();
            return Err(format!("expected {} for {labels}, got {}", values.join(" "), show(samples)));
        }
    }
    missing(eval, series)
}

fn check_sorted(series: &[(Labels, SampleColumns)]) -> Result<(), Failure> {
    if series.is_sorted_by(|a, b| a.0 <= b.0) { Ok(()) } else { Err("series are not sorted".to_owned()) }
}

fn show_value(value: &SeriesValue) -> String {
    match value {
        SeriesValue::Omitted => "_".to_owned(),
        SeriesValue::Float(v) => v.to_string(),
        SeriesValue::Histogram(h, _) => format!("{} ({:?})", h.notation(), h.hint),
    }
}

fn show(samples: &SampleColumns) -> String {
    let floats = samples.t.iter().zip(&samples.v).map(|(t, v)| format!("{v}@{t}"));
    let hists = samples.h.iter().map(|s| format!("{}@{} ({:?})", s.h.notation(), s.t, s.h.hint));
    floats.chain(hists).collect::<Vec<_>>().join(" ")
}
