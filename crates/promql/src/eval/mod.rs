//! Evaluation: a pure function of a plan, the series its selectors found, and options.
//!
//! 1. [`Plan::new`] resolves times and numbers the selectors;
//! 2. the caller fetches the series of [`Plan::selectors`] from whatever store it has;
//! 3. [`eval`] computes, column by column: each node of the plan yields the elements of a series at all steps at once.

mod aggregate;
pub mod annotations;
mod binary;
mod call;
mod counted;
mod downsampled;
mod error;
mod frames;
mod fused;
mod group;
mod info;
mod labelling;
mod matching;
mod node;
mod parallel;
mod pick;
mod plan;
mod planner;
mod range;
mod reuse;
mod room;
mod select;
mod smooth;
mod totals;
pub mod value;

use reba_model::{HistogramSample, Labels, METRIC_NAME, SampleColumns, Series};

use self::{
    annotations::Annotations,
    counted::Counted,
    node::{Node, NodeKind},
    room::Room,
    value::{Column, MatrixSeries, Steps, Value, VectorSeries, histogram_weight},
};
pub use self::{
    error::EvalError,
    parallel::{Executor, Inline, Threads},
    plan::{Plan, PlanOptions, PlannedSelector, QueryTimes, SelectorHints},
    reuse::reach,
};

/// How a plan is evaluated.
#[derive(Clone, Copy)]
pub struct EvalOptions<'a> {
    /// Samples that may be held at once; a histogram counts for several.
    pub max_samples: usize,
    /// Metric names are removed at the end of the query instead of at each operation (upstream's feature flag
    /// `promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// `rate` and `increase` look at the label `__type__` instead of the metric's name when they doubt that something
    /// is a counter (upstream's feature flag `type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Samples are counted for each step, too ([`Output::samples_per_step`]); that takes a little longer.
    pub samples_per_step: bool,
    /// Where the work runs.
    pub executor: &'a dyn Executor,
    /// Whether to give up. Asked between pieces of work, from any thread.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Default for EvalOptions<'_> {
    /// Upstream's limit of fifty million samples, its defaults, this thread, no cancellation.
    fn default() -> Self {
        EvalOptions {
            max_samples: 50_000_000,
            delayed_name_removal: false,
            type_and_unit_labels: false,
            samples_per_step: false,
            executor: &Inline,
            cancelled: &|| false,
        }
    }
}

impl std::fmt::Debug for EvalOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvalOptions")
            .field("max_samples", &self.max_samples)
            .field("delayed_name_removal", &self.delayed_name_removal)
            .field("type_and_unit_labels", &self.type_and_unit_labels)
            .finish_non_exhaustive()
    }
}

/// What an evaluation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvalStats {
    /// Samples that selectors handed to the expression, summed over all steps (`totalQueryableSamples`). A range selector
    /// hands over its whole window at each step; what does not change with the steps is counted at each of them; a
    /// subquery counts for what it hands over, and not for what it took to compute that.
    pub total_samples: u64,
    /// Most samples held at once (`peakSamples`).
    pub peak_samples: u64,
}

/// The result of a query.
#[derive(Clone, Debug)]
pub struct Output {
    /// The value. Series of a range query are sorted by labels, those of an instant query stand in the query's order.
    /// Every series has at least one element.
    pub value: Value,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: EvalStats,
    /// [`EvalStats::total_samples`] of each step: what an instant query at that time would count. Empty unless
    /// [`EvalOptions::samples_per_step`] is set.
    pub samples_per_step: Vec<u64>,
}

/// Evaluates a plan. `series` has one list for each of [`Plan::selectors`], in their order; a list may hold more than
/// was asked for, in any order, but no series twice.
pub fn eval(plan: &Plan, series: &[Vec<Series>], options: &EvalOptions<'_>) -> Result<Output, EvalError> {
    if series.len() != plan.selectors().len() {
        return Err(EvalError::Bug("one list of series is needed for each selector"));
    }
    let mut evaluator = Evaluator {
        plan,
        series,
        options,
        annotations: Annotations::new(),
        held: 0,
        peak: 0,
        counted: Counted::new(options.samples_per_step.then_some(plan.steps.count)),
    };
    for (planned, found) in plan.selectors().iter().zip(series) {
        downsampled::note(planned, found, &mut evaluator.annotations);
    }
    let value = evaluator.eval(&plan.root, &plan.steps)?;
    let value = evaluator.finish(value)?;
    let Evaluator { annotations, peak, counted, .. } = evaluator;
    let stats = EvalStats { total_samples: counted.total, peak_samples: peak };
    Ok(Output { value, annotations, stats, samples_per_step: counted.steps.unwrap_or_default() })
}

/// The state of one evaluation.
struct Evaluator<'a> {
    plan: &'a Plan,
    series: &'a [Vec<Series>],
    options: &'a EvalOptions<'a>,
    annotations: Annotations,
    /// Samples held by results that are still needed.
    held: usize,
    /// Most samples held at once.
    peak: u64,
    /// Samples that selectors handed over.
    counted: Counted,
}

impl Evaluator<'_> {
    /// Evaluates a node at `steps`, of which there is at least one.
    fn eval(&mut self, node: &Node, steps: &Steps) -> Result<Value, EvalError> {
        self.go_on()?;
        // A worker keeps several columns of so many steps.
        if steps.count > self.options.max_samples / 4 {
            return Err(EvalError::TooManySamples);
        }
        let held = self.held;
        let value = self.eval_kind(node, steps)?;
        // What the operands held is gone by now; only the result remains.
        self.held = held;
        self.hold(weight(&value))?;
        Ok(value)
    }

    fn eval_kind(&mut self, node: &Node, steps: &Steps) -> Result<Value, EvalError> {
        match &node.kind {
            NodeKind::Number(v) => Ok(Value::Scalar(vec![*v; steps.count])),
            NodeKind::String(s) => Ok(Value::String(s.value.clone())),
            NodeKind::Vector(vector) => self.select_vector(vector, node.pos, steps).map(Value::Vector),
            NodeKind::Matrix(matrix) => self.select_matrix(matrix, steps).map(Value::Matrix),
            NodeKind::Subquery(subquery) => {
                let ((inner, series), samples) = self.count_apart(|e| e.eval_subquery(subquery, steps))?;
                // Nothing takes it over but the result: it counts for what it took.
                self.counted.at(steps.count - 1, samples);
                Ok(Value::Matrix(series.into_iter().map(|s| to_matrix(s, &inner)).collect()))
            }
            NodeKind::Call(call) => self.eval_call(call, node.pos, steps),
            NodeKind::Aggregate(aggregate) => {
                self.eval_aggregate(aggregate, node.pos, steps).map(Value::Vector)
            }
            NodeKind::Binary(binary) => self.eval_binary(binary, node.pos, steps),
            NodeKind::Negate(inner) => {
                let value = self.eval(inner, steps)?;
                self.negate(value, steps)
            }
            NodeKind::Info(info) => self.eval_info(info, steps).map(Value::Vector),
            NodeKind::StepInvariant(inner) => {
                let once = Steps::instant(steps.start);
                let (value, samples) = self.count_apart(|e| e.eval(inner, &once))?;
                (0..steps.count).for_each(|i| self.counted.at(i, samples));
                Ok(repeat(value, steps.count))
            }
        }
    }

    /// Does something at other steps, and says how many samples selectors handed over in the course of it.
    fn count_apart<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, EvalError>,
    ) -> Result<(T, u64), EvalError> {
        let outer = std::mem::take(&mut self.counted);
        let result = work(self);
        let inner = std::mem::replace(&mut self.counted, outer);
        Ok((result?, inner.total))
    }

    /// Accounts for samples that are held from now on.
    fn hold(&mut self, samples: usize) -> Result<(), EvalError> {
        self.held = self.held.saturating_add(samples);
        self.peak = self.peak.max(self.held as u64);
        if self.held > self.options.max_samples { Err(EvalError::TooManySamples) } else { Ok(()) }
    }

    /// Fails if the query was cancelled.
    fn go_on(&self) -> Result<(), EvalError> {
        if (self.options.cancelled)() { Err(EvalError::Cancelled) } else { Ok(()) }
    }

    /// Room for the samples that may still be held.
    fn room(&self) -> Room {
        Room::new(self.options.max_samples.saturating_sub(self.held))
    }

    /// Evaluates an operand that must be a vector.
    fn eval_vector(&mut self, node: &Node, steps: &Steps) -> Result<Vec<VectorSeries>, EvalError> {
        match self.eval(node, steps)? {
            Value::Vector(series) => Ok(series),
            _ => Err(EvalError::Bug("an instant vector was expected")),
        }
    }

    /// Evaluates an operand that must be a scalar.
    fn eval_scalar(&mut self, node: &Node, steps: &Steps) -> Result<Vec<f64>, EvalError> {
        match self.eval(node, steps)? {
            Value::Scalar(v) => Ok(v),
            _ => Err(EvalError::Bug("a scalar was expected")),
        }
    }

    /// Marks a series as having lost its name, or takes the name away at once.
    fn drop_name(&self, labels: &mut Labels, drop_name: &mut bool) {
        if self.options.delayed_name_removal {
            *drop_name = true;
        } else {
            *labels = without_metadata(labels);
        }
    }

    /// Unites series that have the same labels; they must not have elements at the same step.
    ///
    /// With delayed name removal an instant query is not checked before its end, as upstream does it.
    fn unite(&self, series: Vec<VectorSeries>, steps: &Steps) -> Result<Vec<VectorSeries>, EvalError> {
        if self.options.delayed_name_removal && steps.count == 1 { Ok(series) } else { group::unite(series) }
    }

    /// Takes away the names that were marked, and brings the result into its final order.
    fn finish(&self, value: Value) -> Result<Value, EvalError> {
        match value {
            Value::Vector(mut series) => {
                for s in series.iter_mut().filter(|s| s.drop_name) {
                    s.labels = without_metadata(&s.labels);
                    s.drop_name = false;
                }
                series.retain(|s| !s.column.is_all_absent());
                let mut series = group::unite(series)?;
                if !self.plan.is_instant() {
                    series.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                Ok(Value::Vector(series))
            }
            Value::Matrix(mut series) => {
                for s in series.iter_mut().filter(|s| s.drop_name) {
                    s.labels = without_metadata(&s.labels);
                    s.drop_name = false;
                }
                series.retain(|s| !s.samples.is_empty());
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                if series.windows(2).any(|w| w[0].labels == w[1].labels) {
                    return Err(EvalError::duplicate_labels());
                }
                Ok(Value::Matrix(series))
            }
            other => Ok(other),
        }
    }
}

/// Labels that say what a metric is, and that an operation which changes the metric takes away.
const METADATA_LABELS: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.without(&METADATA_LABELS)
}

/// Samples that a value counts for against the limit.
fn weight(value: &Value) -> usize {
    match value {
        Value::Scalar(v) => v.len(),
        Value::Vector(series) => {
            series.iter().map(|s| room::charge(&s.column) + room::charge_labels(&s.labels)).sum()
        }
        Value::Matrix(series) => series
            .iter()
            .map(|s| {
                let histograms = s.samples.h.iter().map(|h| histogram_weight(&h.h)).sum::<usize>();
                s.samples.t.len() + histograms + room::charge_labels(&s.labels)
            })
            .sum(),
        Value::String(_) => 0,
    }
}

/// Repeats the value of one step at `count` steps.
fn repeat(value: Value, count: usize) -> Value {
    match value {
        Value::Scalar(v) => Value::Scalar(vec![v.first().copied().unwrap_or(f64::NAN); count]),
        Value::Vector(mut series) => {
            for s in &mut series {
                let first = s.column.get(0);
                let mut column = Column::absent(count);
                (0..count).for_each(|i| column.set(i, first.clone()));
                s.column = column;
            }
            Value::Vector(series)
        }
        other => other,
    }
}

/// Elements of a vector as samples at the times of their steps.
fn to_matrix(series: VectorSeries, steps: &Steps) -> MatrixSeries {
    let mut samples = SampleColumns::default();
    column_samples(&series.column, steps, &mut samples);
    MatrixSeries { labels: series.labels, drop_name: series.drop_name, samples }
}

fn column_samples(column: &Column, steps: &Steps, out: &mut SampleColumns) {
    out.clear();
    for (i, v) in column.v.iter().enumerate() {
        if !value::is_absent(*v) {
            out.push(steps.at(i), *v);
        } else if let Some(h) = column.histogram(i) {
            out.h.push(HistogramSample { t: steps.at(i), h: h.clone() });
        }
    }
}
