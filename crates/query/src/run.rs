//! One query from its text to its result, on one thread of the pool.

use std::time::Instant;

use reba_model::{Chunk, Labels, Series};
use reba_promql::{
    eval::{
        EvalOptions, Output, Plan, PlanOptions, PlannedSelector, QueryTimes,
        annotations::MAX_SHOWN,
        eval, reach,
        value::{Column, Steps, Value, VectorSeries},
    },
    syntax::{parse, resolve_durations},
};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};

use crate::{EngineConfig, ExecError, QueryData, QueryOutput, QueryStats, helpers::Helpers};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) query: String,
    pub(crate) times: QueryTimes,
    pub(crate) plan: PlanOptions,
    /// The result is neither taken from others nor kept.
    pub(crate) no_cache: bool,
    /// Samples are counted for each step.
    pub(crate) per_step_stats: bool,
}

/// What decides whether a result may be kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// See [`reach`]; none for what depends on more than its step.
    pub(crate) reach: Option<i64>,
    /// Nothing was fetched but floats, of series whose labels do not say types and units.
    pub(crate) only_floats: bool,
}

/// What it is answered from.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) store: &'a dyn MetricQuerier,
    pub(crate) config: &'a EngineConfig,
    pub(crate) helpers: &'a Helpers,
    pub(crate) budget: &'a Budget,
}

impl Task {
    /// Answers the query. `stats` says what it cost even if it fails.
    pub(crate) fn run(
        &self,
        context: Context<'_>,
        stats: &mut QueryStats,
    ) -> Result<(QueryOutput, Facts), ExecError> {
        let start = Instant::now();
        let prepared = self.prepare(context);
        stats.timings.query_preparation = start.elapsed();
        (stats.series, stats.bytes) = context.budget.spent();
        let (plan, series, facts) = prepared?;

        let evaluation = Instant::now();
        let options = EvalOptions {
            max_samples: context.config.limits.max_samples,
            delayed_name_removal: context.config.delayed_name_removal,
            type_and_unit_labels: context.config.type_and_unit_labels,
            samples_per_step: self.per_step_stats,
            executor: context.helpers,
            cancelled: &|| context.budget.is_cancelled(),
        };
        let output = eval(&plan, &series, &options);
        stats.timings.inner_eval = evaluation.elapsed();
        stats.timings.eval_total = start.elapsed();
        let Output { value, annotations, stats: eval_stats, samples_per_step } = output?;
        stats.add_evaluation(eval_stats);
        let output = QueryOutput {
            data: self.data(value, plan.steps()),
            warnings: [context.budget.take_warnings(), annotations.warnings(&self.query, MAX_SHOWN)].concat(),
            infos: annotations.infos(&self.query, MAX_SHOWN),
            stats: *stats,
            samples_per_step: plan.steps().iter().zip(samples_per_step).collect(),
        };
        Ok((output, facts))
    }

    /// Everything before the evaluation: parse, plan, fetch.
    fn prepare(&self, context: Context<'_>) -> Result<(Plan, Vec<Vec<Series>>, Facts), ExecError> {
        context.budget.check()?;
        let mut expr = parse(&self.query, context.config.syntax)?;
        let untouched = (!self.no_cache && !context.config.delayed_name_removal).then(|| expr.clone());
        let (first, last) = self.times.bounds();
        resolve_durations(&mut expr, self.times.step(), last.saturating_sub(first))?;
        let plan = Plan::new(&expr, self.times, self.plan)?;
        let reach = untouched.as_ref().and_then(reach);
        let series = fetch(plan.selectors(), context)?;
        let only_floats = reach.is_some() && series.iter().flatten().all(has_only_floats);
        Ok((plan, series, Facts { reach, only_floats }))
    }

    /// The value in the shape of the result.
    fn data(&self, value: Value, steps: Steps) -> QueryData {
        let t = match self.times {
            QueryTimes::Instant { t } => t,
            QueryTimes::Range { .. } => return range_data(value, steps),
        };
        match value {
            Value::Scalar(v) => QueryData::Scalar { t, v: v.first().copied().unwrap_or(f64::NAN) },
            Value::Vector(series) => QueryData::Vector { t, series },
            Value::Matrix(series) => QueryData::Matrix(series),
            Value::String(v) => QueryData::String { t, v },
        }
    }
}

/// A range query gives series in any case. The plan has refused what has no value at each step.
fn range_data(value: Value, steps: Steps) -> QueryData {
    let series = match value {
        Value::Vector(series) => series,
        Value::Scalar(v) => {
            let (labels, column) = (Labels::empty(), Column::floats(v));
            vec![VectorSeries { labels, drop_name: false, column }]
        }
        Value::Matrix(_) | Value::String(_) => Vec::new(),
    };
    QueryData::Range { steps, series }
}

/// Labels that go together with the name: see `Names` in `reach`.
const TYPE_LABELS: [&str; 2] = ["__type__", "__unit__"];

fn has_only_floats(series: &Series) -> bool {
    // What was downsampled is read in windows that may reach over the ends of a range.
    let is_plain = |chunk: &Chunk| !chunk.has_histograms() && chunk.resolution().is_none();
    series.chunks.iter().all(is_plain) && TYPE_LABELS.iter().all(|name| series.labels.get(name).is_none())
}

/// The series of every selector; equal selectors are fetched once.
fn fetch(selectors: &[PlannedSelector], context: Context<'_>) -> Result<Vec<Vec<Series>>, ExecError> {
    let mut fetched: Vec<Vec<Series>> = Vec::with_capacity(selectors.len());
    for (i, selector) in selectors.iter().enumerate() {
        let same = selectors[..i].iter().position(|earlier| is_same(earlier, selector));
        let series = match same.and_then(|j| fetched.get(j)) {
            Some(series) => series.clone(),
            None => select(selector, context)?,
        };
        fetched.push(series);
    }
    Ok(fetched)
}

fn is_same(a: &PlannedSelector, b: &PlannedSelector) -> bool {
    a.range == b.range && a.matchers == b.matchers && a.hints == b.hints
}

fn select(selector: &PlannedSelector, context: Context<'_>) -> Result<Vec<Series>, ExecError> {
    context.budget.check()?;
    let hints = SelectHints {
        function: selector.hints.function.to_owned(),
        step: selector.hints.step,
        range: selector.hints.range,
        grouping: selector.hints.grouping.clone(),
        by: selector.hints.by,
        newest: selector.hints.newest,
    };
    let request = SelectRequest {
        matchers: &selector.matchers,
        range: selector.range,
        hints: &hints,
        budget: context.budget,
    };
    Ok(context.store.select(&request)?)
}
