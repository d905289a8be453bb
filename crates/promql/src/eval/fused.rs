//! Aggregations of range functions, such as `sum by (job) (rate(m[5m]))`, without the vector in between.
//!
//! Each series is decoded, its windows are computed and added to its group at once. Nobody sees what the function gave for
//! one series, so it gets neither labels nor a column of its own. The order of additions is that of the long way, so that
//! every bit of the result is, too.

use std::collections::HashMap;

use reba_model::{Chunk, Labels, METRIC_NAME, MatchOp, SampleColumns, Series};

use super::{
    EvalOptions, Evaluator, METADATA_LABELS,
    annotations::Annotations,
    counted::Counted,
    error::EvalError,
    frames::Frames,
    node::{AggregateNode, CallNode, MatrixNode, NodeKind},
    parallel::map_pieces,
    plan::PlannedSelector,
    range::doubt_counter,
    room::Room,
    select::{read_samples, strip_stale},
    totals::{Context, Totals},
    value::{RangeMode, Steps, VectorSeries, is_absent},
};
use crate::{
    functions::rolling::{RollingKernel, rolling_kernel},
    syntax::{AggregateOp as Op, Func},
};

/// Values computed before they are added up, if one thread does all: they stay in its cache.
const VALUES_AT_ONCE: usize = 16_384;

/// As many for each thread, if several share the work.
const VALUES_PER_THREAD: usize = 262_144;

/// More labels of a group are left to the long way.
const MAX_LABELS: usize = 32;

/// A range function below an aggregation.
struct Fused<'a> {
    kernel: RollingKernel,
    matrix: &'a MatrixNode,
    planned: &'a PlannedSelector,
    steps: Steps,
    room: Room,
    /// Counts nothing: every piece counts on its own.
    counted: Counted,
    options: &'a EvalOptions<'a>,
}

/// The function's values for consecutive series, a column each, one behind the other.
struct Values {
    v: Vec<f64>,
    counted: Counted,
}

impl Evaluator<'_> {
    /// Evaluates an aggregation together with the range function below; `None` if that is not what stands there, or if the
    /// series are not floats of one metric.
    pub(super) fn eval_fused(
        &mut self,
        node: &AggregateNode,
        steps: &Steps,
    ) -> Result<Option<Vec<VectorSeries>>, EvalError> {
        let Some((call, matrix, kernel)) = self.fusible(node) else { return Ok(None) };
        let planned = self.planned(matrix.selector)?;
        let has_one_name = planned
            .matchers
            .iter()
            .any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty());
        if !has_one_name {
            return Ok(None);
        }
        let series = self.selected(matrix.selector)?;
        if !series.iter().all(|s| is_plain(s)) {
            return Ok(None);
        }
        let fused = Fused {
            kernel,
            matrix,
            planned,
            steps: *steps,
            room: self.room(),
            counted: self.counted.empty(),
            options: self.options,
        };
        let mut sums = Sums::new(node, steps.count);
        for batch in series.chunks(fused.batch()) {
            let pieces = map_pieces(self.options.executor, batch, |part| fused.values(part))?;
            let mut rest = batch.iter();
            for piece in pieces {
                self.counted.add(&piece.counted);
                for (column, series) in piece.v.chunks_exact(steps.count).zip(&mut rest) {
                    sums.add(column, &series.labels, &fused.room)?;
                }
            }
        }
        if let Some(labels) = &sums.example {
            let pos = call.arg_pos.first().copied().unwrap_or(node.expr.pos);
            doubt_counter(call.func, pos, labels, self.options, &mut self.annotations);
        }
        Ok(Some(sums.finish(node.expr.pos, &mut self.annotations)))
    }

    /// The parts of an aggregation that can be evaluated at once.
    fn fusible<'n>(&self, node: &'n AggregateNode) -> Option<(&'n CallNode, &'n MatrixNode, RollingKernel)> {
        let sums_up = !matches!(
            node.op,
            Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio | Op::Quantile | Op::CountValues
        );
        let by_name = !node.without && node.grouping.iter().any(|l| METADATA_LABELS.contains(&l.as_str()));
        if !sums_up || by_name || node.grouping.len() > MAX_LABELS || self.options.delayed_name_removal {
            return None;
        }
        let NodeKind::Call(call) = &node.expr.kind else { return None };
        let [arg] = call.args.as_slice() else { return None };
        let NodeKind::Matrix(matrix) = &arg.kind else { return None };
        // These keep the name, or look at all series together.
        let special = matches!(call.func, Func::LastOverTime | Func::FirstOverTime | Func::AbsentOverTime);
        if special || matrix.mode != RangeMode::Plain {
            return None;
        }
        rolling_kernel(call.func).map(|kernel| (call, matrix, kernel))
    }
}

/// Floats as they came, of a series whose labels but for the name tell it from all others of that name.
fn is_plain(series: &Series) -> bool {
    let is_plain = |c: &Chunk| !c.has_histograms() && c.resolution().is_none();
    series.chunks.iter().all(is_plain)
        && METADATA_LABELS.iter().all(|l| *l == METRIC_NAME || series.labels.get(l).is_none())
}

impl Fused<'_> {
    /// Series whose values are computed before they are added up.
    fn batch(&self) -> usize {
        let width = self.options.executor.width();
        let values = if width == 1 { VALUES_AT_ONCE } else { VALUES_PER_THREAD * width };
        (values / self.steps.count).max(1)
    }

    fn values(&self, part: &[&Series]) -> Result<Values, EvalError> {
        let mut out =
            Values { v: Vec::with_capacity(part.len() * self.steps.count), counted: self.counted.empty() };
        let mut frames = Frames::new(&self.steps, self.matrix.when, self.matrix.range);
        let mut samples = SampleColumns::default();
        for series in part {
            if (self.options.cancelled)() {
                return Err(EvalError::Cancelled);
            }
            read_samples(series, self.planned, &mut samples)?;
            strip_stale(&mut samples);
            frames.find(&samples.t);
            out.counted.windows(&frames.samples, frames.total);
            self.room.fits(frames.widest)?;
            frames.apply(self.kernel, &samples.v, &mut out.v);
        }
        Ok(out)
    }
}

/// The running totals of all groups.
struct Sums<'a> {
    node: &'a AggregateNode,
    steps: usize,
    /// Numbers of groups by the packed text of their labels.
    ids: HashMap<String, usize>,
    labels: Vec<Labels>,
    totals: Vec<Totals>,
    /// The labels of a group, packed.
    key: String,
    /// Labels of any series that has a value.
    example: Option<Labels>,
}

impl<'a> Sums<'a> {
    fn new(node: &'a AggregateNode, steps: usize) -> Self {
        Sums {
            node,
            steps,
            ids: HashMap::new(),
            labels: Vec::new(),
            totals: Vec::new(),
            key: String::new(),
            example: None,
        }
    }

    /// Adds what the function gave for a series.
    fn add(&mut self, column: &[f64], labels: &Labels, room: &Room) -> Result<(), EvalError> {
        if column.iter().all(|v| is_absent(*v)) {
            return Ok(());
        }
        if self.example.is_none() {
            self.example = Some(labels.clone());
        }
        let group = self.group(labels, room)?;
        self.totals[group].add_column(column);
        Ok(())
    }

    /// The group of a series.
    fn group(&mut self, labels: &Labels, room: &Room) -> Result<usize, EvalError> {
        self.key.clear();
        for pair in labels.packed_pairs().filter(|p| p.name != METRIC_NAME) {
            if self.node.grouping.iter().any(|l| l == pair.name) != self.node.without {
                self.key.push_str(pair.packed);
            }
        }
        if let Some(group) = self.ids.get(&self.key) {
            return Ok(*group);
        }
        room.take(self.steps)?;
        let labels =
            Labels::from_packed(&self.key).ok_or(EvalError::Bug("pairs of packed labels are no labels"))?;
        let group = self.totals.len();
        self.ids.insert(self.key.clone(), group);
        self.labels.push(labels);
        self.totals.push(Totals::new(self.node.op, self.steps));
        Ok(group)
    }

    fn finish(self, pos: usize, annotations: &mut Annotations) -> Vec<VectorSeries> {
        let mut cx = Context { op: self.node.op, pos, annotations };
        let of_group = |(total, labels): (Totals, Labels)| VectorSeries {
            labels,
            drop_name: false,
            column: total.finish(&mut cx),
        };
        self.totals.into_iter().zip(self.labels).map(of_group).filter(|s| !s.column.is_all_absent()).collect()
    }
}
