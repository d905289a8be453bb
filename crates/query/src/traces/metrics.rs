//! From a query for series to series.

use std::ops::ControlFlow;

use parking_lot::Mutex;
use reba_model::{NanoRange, Tenant};
use reba_traceql::{
    FetchPlan, Grid, MetricSeries, MetricsEval, MetricsLimits, Trace,
    syntax::{MetricsExpr, MetricsFunction, Pipeline, Query, QueryError, Root, Static, parse_valid},
};

use super::{
    Parts, TraceError, TraceStats,
    scans::{Context, Onlooker, Worker},
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
    parts: Option<&Parts<TraceMetricsOutput>>,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let query = parsed(&asked.query)?;
    check_range(NanoRange::new(asked.start_ns, asked.end_ns), context.limits.max_metrics_range)?;
    let grid = Grid::range(asked.start_ns, asked.end_ns, asked.step_ns)?;
    let exemplars = exemplars(&query, asked.exemplars.min(context.limits.max_exemplars));
    answer(&query, (grid, exemplars), parts, context)
}

pub(super) fn instant(
    asked: &InstantTraceMetrics,
    parts: Option<&Parts<TraceMetricsOutput>>,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let query = parsed(&asked.query)?;
    check_range(NanoRange::new(asked.start_ns, asked.end_ns), context.limits.max_metrics_range)?;
    let grid = Grid::instant(asked.start_ns, asked.end_ns)?;
    answer(&query, (grid, 0), parts, context)
}

/// The query, or what is wrong with it, in the words that upstream has for queries for series.
fn parsed(query: &str) -> Result<Query, TraceError> {
    let query = parse_valid(query).map_err(|e| match e {
        QueryError::Parse(e) => TraceError::bad(e.to_string()),
        QueryError::Validation(e) => TraceError::bad(format!("compiling query: {e}")),
    })?;
    match query.root {
        Root::Metrics(_) => Ok(query),
        Root::Search(_) => {
            Err(TraceError::bad("not a metrics query: add a metrics function, such as rate()"))
        }
    }
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
    (grid, exemplars): (Grid, usize),
    parts: Option<&Parts<TraceMetricsOutput>>,
    context: Context<'_>,
) -> Result<TraceMetricsOutput, TraceError> {
    let options = context.options(0);
    let limits = MetricsLimits {
        max_series: context.limits.max_series,
        max_points: context.limits.max_points,
        exemplars,
    };
    let fresh = || MetricsEval::new(query, grid, &options, limits).map_err(TraceError::from);
    // The first one says what is wrong with the query before anything is read.
    let drawn = Mutex::new(fresh()?);
    let Root::Metrics(expr) = &query.root else {
        return Err(TraceError::bad("query does not make series: add a metrics function, such as rate()"));
    };
    let mut functions = Vec::new();
    collect(expr, &mut functions);
    let lasting = series_last(expr);
    let drawing = parts.map(|parts| Drawing { parts, grid, lasting, drawn: &drawn });
    let want = want::of_metrics(&FetchPlan::of(query), &functions, options.anchored_regex);
    let (first, last) = grid.bounds();
    let range = NanoRange::new(first, last.saturating_add(1));
    let make = || Ok(Evaluator { eval: fresh()?, drawing: drawing.as_ref() });
    let onlooker = drawing.as_ref().map(|drawing| drawing as &dyn Onlooker);
    let (evaluators, stats) = context.run(&want, range, &make, onlooker)?;
    let mut evaluators = evaluators.into_iter().map(|evaluator| evaluator.eval);
    let Some(mut eval) = evaluators.next() else {
        return Err(TraceError::Internal("no thread took part".to_owned()));
    };
    evaluators.for_each(|other| eval.merge(other));
    if parts.is_some() {
        // What was shown stays, if there is not room for all.
        let mut shown = drawn.into_inner();
        shown.merge(eval);
        eval = shown;
    }
    let mut output = output(&eval, grid, context.finished(stats));
    spread(&mut output.series, exemplars);
    output.warnings = context.budget.take_warnings();
    Ok(output)
}

fn output(eval: &MetricsEval, grid: Grid, stats: TraceStats) -> TraceMetricsOutput {
    TraceMetricsOutput {
        series: eval.finish(),
        times: (0..grid.steps()).map(|step| grid.time(step)).collect(),
        truncated: eval.is_truncated(),
        stats,
        warnings: Vec::new(),
    }
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

/// Whether a series that is there once stays in the answer. The largest ones, and those above a threshold, change while spans come, and
/// whoever puts parts together keeps what he has seen.
fn series_last(expr: &MetricsExpr) -> bool {
    match expr {
        MetricsExpr::Number(_) => true,
        MetricsExpr::Aggregate(aggregate) => !matches!(aggregate.function, MetricsFunction::Compare(_)),
        MetricsExpr::Second(..) | MetricsExpr::Binary { .. } => false,
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

struct Evaluator<'a> {
    eval: MetricsEval,
    drawing: Option<&'a Drawing<'a>>,
}

impl Worker for Evaluator<'_> {
    fn take(&mut self, trace: &Trace) -> Result<ControlFlow<()>, TraceError> {
        self.eval.feed(trace)?;
        Ok(ControlFlow::Continue(()))
    }

    fn end_of_scan(&mut self) {
        let shows = |drawing: &&Drawing<'_>| drawing.lasting && drawing.parts.is_due();
        if let Some(drawing) = self.drawing.filter(shows) {
            drawing.drawn.lock().absorb(&mut self.eval);
        }
    }
}

/// Shows series as they stand.
struct Drawing<'a> {
    parts: &'a Parts<TraceMetricsOutput>,
    grid: Grid,
    /// Whether what is shown will be part of the answer. If not, only the progress is told.
    lasting: bool,
    /// What threads have handed over.
    drawn: &'a Mutex<MetricsEval>,
}

impl Onlooker for Drawing<'_> {
    fn ended(&self, _scan: usize, stats: TraceStats) {
        self.parts.offer(|| {
            let mut output = output(&self.drawn.lock(), self.grid, stats);
            // Whoever puts parts together would have the same ones again and again.
            output.series.iter_mut().for_each(|series| series.exemplars.clear());
            output.series.retain(|_| self.lasting);
            output
        });
    }
}
