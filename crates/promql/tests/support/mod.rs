//! A script engine: PromQL over the RAM store, or any other.
#![allow(dead_code)]

use reba_model::{Labels, SampleColumns};
use reba_promql::{
    eval::{
        EvalOptions, Executor, Output, Plan, PlanOptions, QueryTimes, eval,
        value::{Steps, Value, VectorSeries, is_absent},
    },
    syntax::{At, Expr, ExprKind, ParseOptions, VectorSelector, parse, resolve_durations},
};
use reba_storage::{AppendMode, Budget, FloatSample, SelectHints, SelectRequest, WriteBatch};
use reba_testkit::{
    Answer, EvalTimes, LoadedSeries, MemConfig, MemStore, MetricStore, Outcome, ScriptEngine, SeriesValue,
};

/// PromQL over a store, with upstream's test settings.
pub struct MemEngine<'a> {
    make: Box<dyn Fn() -> Box<dyn MetricStore>>,
    store: Box<dyn MetricStore>,
    pub executor: &'a dyn Executor,
    pub samples_per_step: bool,
    pub type_and_unit_labels: bool,
    pub delayed_name_removal: bool,
    pub max_samples: usize,
}

impl<'a> MemEngine<'a> {
    pub fn new(executor: &'a dyn Executor) -> Self {
        Self::over(executor, || Box::new(MemStore::new(MemConfig::default())))
    }

    /// Over stores that `make` opens, each empty.
    pub fn over(executor: &'a dyn Executor, make: impl Fn() -> Box<dyn MetricStore> + 'static) -> Self {
        MemEngine {
            store: make(),
            make: Box::new(make),
            executor,
            samples_per_step: false,
            type_and_unit_labels: false,
            delayed_name_removal: true,
            max_samples: 100_000,
        }
    }

    pub fn output(&self, expr: &str, times: QueryTimes) -> Result<(Output, Steps), String> {
        let mut expr = parse(expr, ParseOptions::all()).map_err(|e| e.to_string())?;
        let (start, end) = times.bounds();
        resolve_durations(&mut expr, times.step(), end.saturating_sub(start)).map_err(|e| e.to_string())?;
        let plan = Plan::new(&expr, times, PlanOptions::default()).map_err(|e| e.to_string())?;
        let budget = Budget::unlimited();
        let mut series = Vec::new();
        for selector in plan.selectors() {
            let hints = SelectHints::default();
            let request = SelectRequest {
                matchers: &selector.matchers,
                range: selector.range,
                hints: &hints,
                budget: &budget,
            };
            series.push(self.store.select(&request).map_err(|e| e.to_string())?);
        }
        let options = EvalOptions {
            max_samples: self.max_samples,
            delayed_name_removal: self.delayed_name_removal,
            samples_per_step: self.samples_per_step,
            type_and_unit_labels: self.type_and_unit_labels,
            executor: self.executor,
            ..EvalOptions::default()
        };
        eval(&plan, &series, &options).map(|out| (out, plan.steps())).map_err(|e| e.to_string())
    }
}

impl ScriptEngine for MemEngine<'_> {
    fn clear(&mut self) {
        self.store = (self.make)();
    }

    fn load(&mut self, series: &[LoadedSeries]) -> Result<(), String> {
        for s in series {
            let mut batch = WriteBatch::default();
            let r = self.store.series_ref(&s.labels).map_err(|e| e.to_string())?;
            for (t, value) in &s.samples {
                match value {
                    SeriesValue::Float(v) => batch.floats.push(FloatSample { series: r, t: *t, v: *v }),
                    SeriesValue::Histogram(h, _) => batch.histograms.push((r, *t, h.clone())),
                    SeriesValue::Omitted => {}
                }
            }
            // Histograms before floats that are older would be out of order: write by time.
            let mut rows: Vec<(i64, WriteBatch)> = Vec::new();
            rows.extend(
                batch.floats.iter().map(|f| (f.t, WriteBatch { floats: vec![*f], ..WriteBatch::default() })),
            );
            rows.extend(
                batch
                    .histograms
                    .iter()
                    .map(|h| (h.1, WriteBatch { histograms: vec![h.clone()], ..WriteBatch::default() })),
            );
            rows.sort_by_key(|r| r.0);
            let single_kind = batch.floats.is_empty() || batch.histograms.is_empty();
            let batches = if single_kind { vec![batch] } else { rows.into_iter().map(|r| r.1).collect() };
            for batch in batches {
                let report =
                    self.store.append(&batch, AppendMode::AllOrNothing).map_err(|e| e.to_string())?;
                if let Some(rejected) = report.rejected.first() {
                    return Err(format!("{} {}", s.labels, rejected.reason));
                }
            }
        }
        Ok(())
    }

    fn query(&mut self, expr: &str, times: EvalTimes) -> Result<Outcome, String> {
        let times = match times {
            EvalTimes::Instant(t) => QueryTimes::Instant { t },
            EvalTimes::Range { start, end, step } => QueryTimes::Range { start, end, step },
        };
        let (out, steps) = self.output(expr, times)?;
        let answer = match (out.value, times) {
            (Value::Scalar(v), QueryTimes::Instant { .. }) => Answer::Scalar(v[0]),
            (Value::Scalar(v), _) => Answer::Matrix(vec![(Labels::empty(), from_floats(&v, &steps))]),
            (Value::String(s), _) => Answer::String(s),
            (Value::Matrix(series), _) => {
                Answer::Matrix(series.into_iter().map(|s| (s.labels, s.samples)).collect())
            }
            (Value::Vector(series), QueryTimes::Instant { .. }) => Answer::Vector(samples(series, &steps)),
            (Value::Vector(series), _) => Answer::Matrix(samples(series, &steps)),
        };
        let (warnings, infos) = (out.annotations.warnings(expr, 0), out.annotations.infos(expr, 0));
        Ok(Outcome { answer, warnings, infos })
    }

    fn pinned(&self, expr: &str, t: i64) -> Option<(String, Vec<i64>)> {
        let mut parsed = parse(expr, ParseOptions::all()).ok()?;
        if !pin(&mut parsed, t) {
            return None;
        }
        let times = if t == 0 { vec![-1000, 0, 1000] } else { vec![-10 * t, 0, t / 5, t, 10 * t] };
        Some((parsed.to_string(), times))
    }

    fn is_experimental(&self, expr: &str) -> bool {
        parse(expr, ParseOptions::default()).is_err() && parse(expr, ParseOptions::all()).is_ok()
    }
}

fn from_floats(v: &[f64], steps: &Steps) -> SampleColumns {
    let mut out = SampleColumns::default();
    for (i, v) in v.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
        out.push(steps.at(i), *v);
    }
    out
}

fn samples(series: Vec<VectorSeries>, steps: &Steps) -> Vec<(Labels, SampleColumns)> {
    let one = |s: VectorSeries| {
        let mut out = from_floats(&s.column.v, steps);
        for i in 0..steps.count {
            if let Some(h) = s.column.histogram(i) {
                out.h.push(reba_model::HistogramSample { t: steps.at(i), h: h.clone() });
            }
        }
        (s.labels, out)
    };
    series.into_iter().map(one).collect()
}

/// Pins every selector that is not pinned yet; false if a function depends on the time of evaluation.
fn pin(expr: &mut Expr, t: i64) -> bool {
    let pin_selector = |s: &mut VectorSelector| s.at = s.at.or(Some(At::Timestamp(t)));
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(s) => {
            pin_selector(s);
            true
        }
        ExprKind::Matrix(m) => {
            pin_selector(&mut m.selector);
            true
        }
        ExprKind::Subquery(s) => {
            // What is inside of a pinned subquery stays as it is.
            s.at = s.at.or(Some(At::Timestamp(t)));
            let mut safe = true;
            s.expr.walk(&mut |e| safe &= is_safe(e));
            safe
        }
        ExprKind::Call(call) => {
            let safe = !depends_on_time(call.func.name());
            call.args.iter_mut().fold(safe, |safe, arg| pin(arg, t) && safe)
        }
        ExprKind::Aggregate(a) => {
            let safe = pin(&mut a.expr, t);
            a.param.as_mut().is_none_or(|p| pin(p, t)) && safe
        }
        ExprKind::Binary(b) => {
            let safe = pin(&mut b.lhs, t);
            pin(&mut b.rhs, t) && safe
        }
        ExprKind::Unary(u) => pin(&mut u.expr, t),
        ExprKind::Paren(inner) => pin(inner, t),
    }
}

fn is_safe(expr: &Expr) -> bool {
    !matches!(&expr.kind, ExprKind::Call(call) if depends_on_time(call.func.name()))
}

/// Functions whose result may change with the time of evaluation though their arguments do not.
fn depends_on_time(name: &str) -> bool {
    let names = [
        "days_in_month",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "end",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "range",
        "start",
        "step",
        "time",
        "timestamp",
    ];
    names.contains(&name)
}
