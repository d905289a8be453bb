//! From a query for series to series.

use std::ops::ControlFlow;

use reba_model::{NanoRange, Tenant};
use reba_traceql::{
    FetchPlan, Grid, MetricSeries, MetricsEval, MetricsLimits, Trace,
    syntax::{MetricsExpr, MetricsFunction, Pipeline, Query, Root, Static, parse_valid},
};

use super::{
    TraceError, TraceStats,
    scans::{Context, Worker},
    search::check_range,
    want,
};

/// A query for series over a range of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeTraceMetrics {
    /// Whose.
    pub tenant: Tenant,
    /// TraceQL.
    pub query: String,
    /// Unix nanoseconds; moved back to a multiple of the step.
    pub start_ns: i64,
    /// Unix nanoseconds; moved ahead to a multiple of the step.
    pub end_ns: i64,
    /// Nanoseconds between values.
    pub step_ns: i64,
    /// Most exemplars of the answer; the query may ask for fewer (`with(exemplars=…)`).
    pub exemplars: usize,
}

/// A query for series of one value each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstantTraceMetrics {
    /// Whose.
    pub tenant: Tenant,
    /// TraceQL.
    pub query: String,
    /// Unix nanoseconds.
    pub start_ns: i64,
    /// Unix nanoseconds.
    pub end_ns: i64,
}

/// Series of a query.
#[derive(Clone, Debug)]
pub struct TraceMetricsOutput {
    /// Ordered by their labels.
    pub series: Vec<MetricSeries>,
    /// Time of each point, Unix nanoseconds.
    pub times: Vec<i64>,
    /// Whether series were left out because of a limit.
    pub truncated: bool,
    /// What it cost.
    pub stats: TraceStats,
    /// What could not be had.
    pub warnings: Vec<String>,
}

pub(super) fn range(
    asked: &RangeTraceMetrics,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let query = parse_valid(&asked.query)?;
    check_range(NanoRange::new(asked.start_ns, asked.end_ns), context.limits.max_metrics_range)?;
    let grid = Grid::range(asked.start_ns, asked.end_ns, asked.step_ns)?;
    answer(&query, grid, exemplars(&query, asked.exemplars.min(context.limits.max_exemplars)), context)
}

pub(super) fn instant(
    asked: &InstantTraceMetrics,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let query = parse_valid(&asked.query)?;
    check_range(NanoRange::new(asked.start_ns, asked.end_ns), context.limits.max_metrics_range)?;
    let grid = Grid::instant(asked.start_ns, asked.end_ns)?;
    answer(&query, grid, 0, context)
}

/// The hint `exemplars`: a number, or whether there should be any.
fn exemplars(query: &Query, most: usize) -> usize {
    match query.hints.iter().find(|hint| hint.name == "exemplars").map(|hint| &hint.value) {
        Some(Static::Bool(false)) => 0,
        Some(Static::Int(n)) => usize::try_from(*n).unwrap_or(0).min(most),
        _ => most,
    }
}

fn answer(
    query: &Query,
    grid: Grid,
    exemplars: usize,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let options = context.options(0);
    let limits = MetricsLimits {
        max_series: context.limits.max_series,
        max_points: context.limits.max_points,
        exemplars,
    };
    let make = || {
        let eval = MetricsEval::new(query, grid, &options, limits)?;
        Ok(Evaluator(eval))
    };
    // Says what is wrong with the query before anything is read.
    make()?;
    let Root::Metrics(expr) = &query.root else {
        return Err(TraceError::bad("query does not make series: add a metrics function, such as rate()"));
    };
    let mut functions = Vec::new();
    collect(expr, &mut functions);
    let want = want::of_metrics(&FetchPlan::of(query), &functions, options.anchored_regex);
    let (first, last) = grid.bounds();
    let (evaluators, stats) = context.run(&want, NanoRange::new(first, last.saturating_add(1)), &make)?;
    let mut evaluators = evaluators.into_iter().map(|Evaluator(eval)| eval);
    let Some(mut eval) = evaluators.next() else {
        return Err(TraceError::Internal("no thread took part".to_owned()));
    };
    evaluators.for_each(|other| eval.merge(other));
    let truncated = eval.is_truncated();
    let mut series = eval.finish();
    spread(&mut series, exemplars);
    Ok(TraceMetricsOutput {
        series,
        times: (0..grid.steps()).map(|step| grid.time(step)).collect(),
        truncated,
        stats: context.finished(stats),
        warnings: context.budget.take_warnings(),
    })
}

/// The aggregates of an expression, from left to right.
fn collect<'a>(expr: &'a MetricsExpr, found: &mut Vec<(&'a Pipeline, &'a MetricsFunction)>) {
    match expr {
        MetricsExpr::Number(_) => {}
        MetricsExpr::Aggregate(aggregate) => found.push((&aggregate.pipeline, &aggregate.function)),
        MetricsExpr::Second(of, _) => collect(of, found),
        MetricsExpr::Binary { left, right, .. } => {
            collect(left, found);
            collect(right, found);
        }
    }
}

/// Keeps so many exemplars of all series together, as even a share of each as can be.
fn spread(series: &mut [MetricSeries], most: usize) {
    let with = series.iter().filter(|s| !s.exemplars.is_empty()).count();
    let share = most.checked_div(with).unwrap_or(0).max(1);
    let mut left = most;
    for one in series.iter_mut() {
        let keep = share.min(left).min(one.exemplars.len());
        // Of those kept the times are spread as those of all were.
        let all = one.exemplars.len();
        if keep < all {
            one.exemplars = (0..keep).filter_map(|i| one.exemplars.get(i * all / keep).copied()).collect();
        }
        left -= keep;
    }
}

struct Evaluator(MetricsEval);

impl Worker for Evaluator {
    fn take(&mut self, trace: &Trace) -> Result<ControlFlow<()>, TraceError> {
        self.0.feed(trace)?;
        Ok(ControlFlow::Continue(()))
    }
}
