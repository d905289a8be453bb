//! From traces to series.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem::take,
};

use reba_model::{
    float,
    spans::{SpanId, TraceId},
};

use super::{
    EvalError, EvalOptions, Grid, algebra,
    cells::{Cells, Sketch},
    compare::Comparison,
    node::Place,
    spanset::{Plan, place},
    value::{Value, key},
};
use crate::{
    syntax::{Field, MetricsAggregate, MetricsExpr, MetricsFunction, Query, Root, Static},
    trace::Trace,
};

/// How much an evaluation may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsLimits {
    /// Series of one aggregate; 0 for no limit. Spans of further ones are left out, and [`MetricsEval::is_truncated`] says so.
    pub max_series: usize,
    /// Points of all series of one aggregate together, series times steps; 0 for no limit.
    pub max_points: usize,
    /// Exemplars of one series.
    pub exemplars: usize,
}

/// A series: a value for every step, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSeries {
    /// Names as the query has them, and values; [`Static::Nil`] of spans without the field.
    pub labels: Vec<(String, Static)>,
    /// One for each step of the grid.
    pub points: Vec<Option<f64>>,
    /// Some of the spans behind it.
    pub exemplars: Vec<Exemplar>,
}

/// A span behind a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// When it began, in nanoseconds.
    pub ns: i64,
    /// What was measured of it; of a count, the series' value at that step.
    pub value: f64,
}

/// An evaluation: traces go in one by one, in any order, on any number of threads (each with its own, merged in the end).
pub struct MetricsEval {
    expr: MetricsExpr,
    grid: Grid,
    aggregates: Vec<Aggregation>,
}

impl MetricsLimits {
    /// How many series there is room for on a grid.
    fn series_on(&self, grid: Grid) -> usize {
        let limit = |n: usize| if n == 0 { usize::MAX } else { n };
        limit(self.max_series).min((limit(self.max_points) / grid.steps().max(1)).max(1))
    }
}

impl MetricsEval {
    /// Makes a query ready.
    ///
    /// # Errors
    /// If the query asks for traces, or has something nobody evaluates.
    pub fn new(
        query: &Query,
        grid: Grid,
        options: &EvalOptions,
        limits: MetricsLimits,
    ) -> Result<MetricsEval, EvalError> {
        let Root::Metrics(expr) = &query.root else {
            return Err(EvalError::WrongKind(
                "query does not make series: add a metrics function, such as rate()",
            ));
        };
        let mut aggregates = Vec::new();
        collect(expr, &mut |aggregate| {
            aggregates.push(Aggregation::new(aggregate, grid, options, limits)?);
            Ok(())
        })?;
        Ok(MetricsEval { expr: expr.clone(), grid, aggregates })
    }

    /// Takes the spans of a trace, of which all must be there.
    ///
    /// # Errors
    /// A structural operator beside `by()`.
    pub fn feed(&mut self, trace: &Trace) -> Result<(), EvalError> {
        self.aggregates.iter_mut().try_for_each(|aggregate| aggregate.feed(trace))
    }

    /// Adds what another evaluation of the same query on the same grid has seen.
    pub fn merge(&mut self, mut other: MetricsEval) {
        self.absorb(&mut other);
    }

    /// Takes over what another evaluation of the same query on the same grid has seen, which then has seen nothing.
    pub fn absorb(&mut self, other: &mut MetricsEval) {
        for (mine, other) in self.aggregates.iter_mut().zip(&mut other.aggregates) {
            mine.absorb(other);
        }
    }

    /// Whether spans were left out because of a limit.
    pub fn is_truncated(&self) -> bool {
        self.aggregates.iter().any(|aggregate| aggregate.truncated)
    }

    /// The series as they stand, ordered by their labels.
    pub fn finish(&self) -> Vec<MetricSeries> {
        let mut leaves = self.aggregates.iter().map(Aggregation::finish);
        algebra::evaluate(&self.expr, self.grid, &mut || leaves.next().unwrap_or_default())
    }
}

/// Calls for each aggregate of an expression, from left to right.
fn collect<'a>(
    expr: &'a MetricsExpr,
    found: &mut impl FnMut(&'a MetricsAggregate) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    match expr {
        MetricsExpr::Number(_) => Ok(()),
        MetricsExpr::Aggregate(aggregate) => found(aggregate),
        MetricsExpr::Second(of, _) => collect(of, found),
        MetricsExpr::Binary { left, right, .. } => {
            collect(left, found)?;
            collect(right, found)
        }
    }
}

/// One function with what it has seen.
struct Aggregation {
    plan: Plan,
    function: MetricsFunction,
    by: Vec<(Field, String)>,
    comparison: Option<Comparison>,
    grid: Grid,
    max_series: usize,
    max_exemplars: usize,
    series: BTreeMap<String, Collected>,
    truncated: bool,
}

struct Collected {
    labels: Vec<(String, Static)>,
    cells: Cells,
    /// By step: exemplars are spread over time.
    exemplars: BTreeMap<usize, Exemplar>,
}

impl Aggregation {
    fn new(
        aggregate: &MetricsAggregate,
        grid: Grid,
        options: &EvalOptions,
        limits: MetricsLimits,
    ) -> Result<Aggregation, EvalError> {
        let comparison = match &aggregate.function {
            MetricsFunction::Compare(compare) => {
                Some(Comparison::new(compare, grid, options, limits.series_on(grid))?)
            }
            _ => None,
        };
        Ok(Aggregation {
            plan: Plan::new(&aggregate.pipeline, options)?,
            function: aggregate.function.clone(),
            by: aggregate.by.iter().map(|field| (field.clone(), field.to_string())).collect(),
            comparison,
            grid,
            max_series: limits.series_on(grid),
            max_exemplars: limits.exemplars,
            series: BTreeMap::new(),
            truncated: false,
        })
    }

    fn feed(&mut self, trace: &Trace) -> Result<(), EvalError> {
        for set in self.plan.run(trace)? {
            for i in set.spans {
                let Some(place) = place(trace, i) else { continue };
                let Some(step) = self.grid.index(place.span.start_ns) else { continue };
                match &mut self.comparison {
                    Some(comparison) => comparison.add(place, step),
                    None => self.add(place, step),
                }
            }
        }
        self.truncated |= self.comparison.as_ref().is_some_and(|c| c.truncated);
        Ok(())
    }

    fn add(&mut self, place: Place<'_>, step: usize) {
        let mut values: Vec<Static> =
            self.by.iter().map(|(field, _)| place.field(field).single().to_static()).collect();
        let mut measured = None;
        if let Some(field) = self.function.field() {
            let value = place.field(field).single();
            let Some(number) = value.number() else { return };
            // Durations are shown in seconds; histograms have powers of two of nanoseconds.
            let duration = matches!(value, Value::Duration(_));
            let unit = if duration { 1e9 } else { 1.0 };
            if let MetricsFunction::HistogramOverTime(_) = self.function {
                if number <= 0.0 {
                    return;
                }
                values.push(Static::Float(number.log2().ceil().exp2() / unit));
            }
            measured = Some(number / unit);
        }
        let full = self.series.len() >= self.max_series;
        let series = match self.series.entry(key(&values)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => {
                self.truncated = true;
                return;
            }
            Entry::Vacant(new) => new.insert(Collected {
                labels: labelled(&self.function, &self.by, values),
                cells: self.function.cells(self.grid.steps()),
                exemplars: BTreeMap::new(),
            }),
        };
        series.cells.add(step, measured.unwrap_or(1.0));
        let exemplar = Exemplar {
            trace_id: place.span.trace_id,
            span_id: place.span.span_id,
            ns: place.span.start_ns,
            value: measured.unwrap_or(f64::NAN),
        };
        series.keep(step, exemplar, self.max_exemplars);
    }

    fn absorb(&mut self, other: &mut Aggregation) {
        self.truncated |= take(&mut other.truncated);
        if let (Some(mine), Some(others)) = (&mut self.comparison, &mut other.comparison) {
            mine.absorb(others);
        }
        for (key, others) in take(&mut other.series) {
            let full = self.series.len() >= self.max_series;
            match self.series.entry(key) {
                Entry::Occupied(mine) => {
                    let mine = mine.into_mut();
                    mine.cells.merge(others.cells);
                    for (step, exemplar) in others.exemplars {
                        mine.keep(step, exemplar, self.max_exemplars);
                    }
                }
                Entry::Vacant(new) if !full => {
                    new.insert(others);
                }
                Entry::Vacant(_) => self.truncated = true,
            }
        }
    }

    /// Whether it says how many spans there are: none of all spans is a number too.
    fn counts_all(&self) -> bool {
        self.by.is_empty() && matches!(self.function, MetricsFunction::Rate | MetricsFunction::CountOverTime)
    }

    fn finish(&self) -> Vec<MetricSeries> {
        if let Some(comparison) = &self.comparison {
            return comparison.finish();
        }
        let seconds = self.grid.step_ns() as f64 / 1e9;
        if self.series.is_empty() && self.counts_all() {
            let labels = labelled(&self.function, &self.by, Vec::new());
            return vec![MetricSeries {
                labels,
                points: vec![Some(0.0); self.grid.steps()],
                exemplars: Vec::new(),
            }];
        }
        self.series.values().flat_map(|series| series.finish(&self.function, seconds)).collect()
    }
}

/// The labels of a series, out of the values of its fields and, of a histogram, its bucket.
fn labelled(
    function: &MetricsFunction,
    by: &[(Field, String)],
    values: Vec<Static>,
) -> Vec<(String, Static)> {
    let names = by.iter().map(|(_, name)| name.as_str()).chain(["__bucket"]);
    let mut labels: Vec<(String, Static)> = names.map(str::to_owned).zip(values).collect();
    // What is missing is no label, unless there would be none at all.
    let first = labels.first().cloned();
    labels.retain(|(_, value)| *value != Static::Nil);
    if labels.is_empty() {
        labels.extend(first);
    }
    if labels.is_empty() && !matches!(function, MetricsFunction::QuantileOverTime(..)) {
        labels.push((reba_model::METRIC_NAME.to_owned(), Static::Str(function.name().to_owned())));
    }
    labels
}

impl MetricsFunction {
    fn cells(&self, steps: usize) -> Cells {
        match self {
            MetricsFunction::QuantileOverTime(..) => Cells::Sketches(vec![Sketch::default(); steps]),
            MetricsFunction::Rate
            | MetricsFunction::CountOverTime
            | MetricsFunction::HistogramOverTime(_)
            | MetricsFunction::Compare(_) => Cells::Counts(vec![0; steps]),
            _ => Cells::Measures(vec![None; steps]),
        }
    }
}

impl Collected {
    /// Keeps the exemplar with the largest value of each step, of equal ones the earliest, as long as there is room.
    fn keep(&mut self, step: usize, exemplar: Exemplar, most: usize) {
        let full = self.exemplars.len() >= most;
        match self.exemplars.entry(step) {
            Entry::Occupied(mut known) => {
                let old = known.get();
                let order = exemplar.value.total_cmp(&old.value);
                let earlier = (exemplar.ns, exemplar.span_id) < (old.ns, old.span_id);
                if order.is_gt() || (order.is_eq() && earlier) {
                    known.insert(exemplar);
                }
            }
            Entry::Vacant(new) if !full => {
                new.insert(exemplar);
            }
            Entry::Vacant(_) => {}
        }
    }

    fn finish(&self, function: &MetricsFunction, step_seconds: f64) -> Vec<MetricSeries> {
        let Collected { labels, cells, exemplars } = self;
        let points: Vec<Option<f64>> = match cells {
            Cells::Counts(counts) => {
                let unit = if *function == MetricsFunction::Rate { step_seconds } else { 1.0 };
                counts.iter().map(|count| Some(*count as f64 / unit)).collect()
            }
            Cells::Measures(measures) => measures
                .iter()
                .map(|measure| {
                    measure.map(|m| match function {
                        MetricsFunction::MinOverTime(_) => m.min,
                        MetricsFunction::MaxOverTime(_) => m.max,
                        MetricsFunction::SumOverTime(_) => m.sum,
                        _ => m.sum / m.count as f64,
                    })
                })
                .collect(),
            Cells::Sketches(sketches) => {
                let MetricsFunction::QuantileOverTime(_, quantiles) = function else { return Vec::new() };
                return quantiles.iter().map(|q| quantile(*q, labels, sketches, exemplars)).collect();
            }
        };
        let of_step = |(step, exemplar): (&usize, &Exemplar)| {
            let of_count = exemplar.value.is_nan();
            Exemplar {
                value: if of_count { points[*step].unwrap_or(0.0) } else { exemplar.value },
                ..*exemplar
            }
        };
        let exemplars = exemplars.iter().map(of_step).collect();
        vec![MetricSeries { labels: labels.clone(), points, exemplars }]
    }
}

fn quantile(
    q: f64,
    labels: &[(String, Static)],
    sketches: &[Sketch],
    exemplars: &BTreeMap<usize, Exemplar>,
) -> MetricSeries {
    let mut labels = labels.to_vec();
    labels.push(("p".to_owned(), Static::Float(q)));
    MetricSeries {
        labels,
        points: sketches.iter().map(|sketch| sketch.quantile(q)).collect(),
        exemplars: exemplars.values().copied().collect(),
    }
}

/// Labels in Prometheus' form, as older clients read them: `{resource_service_name="api"}`.
pub fn prom_labels(labels: &[(String, Static)]) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        let value = match value {
            Static::Nil => "<nil>".to_owned(),
            Static::Str(text) => text.clone(),
            Static::Float(v) => float::format_g(*v),
            other => other.to_string(),
        };
        let comma = if i == 0 { "" } else { ", " };
        out.push_str(&format!("{comma}{name}={}", float::go_quote(&value)));
    }
    out.push('}');
    out
}
