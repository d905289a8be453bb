//! Functions of range vectors: windows that move over sorted columns.

use reba_model::{Chunk, CounterResetHint, Histogram, Labels, SampleColumns, Series};

use super::{
    EvalOptions, Evaluator,
    annotations::Annotations,
    column_samples,
    counted::Counted,
    downsampled,
    error::EvalError,
    frames::Frames,
    node::{CallNode, Node, NodeKind, SubqueryNode, When},
    parallel::map_pieces,
    plan::PlannedSelector,
    room::{Room, charge},
    select::{read_samples, strip_stale},
    value::{
        Column, KernelContext, RangeKernel, RangeMode, Steps, Value, VectorSeries, Window, histogram_weight,
        is_absent,
    },
    without_metadata,
};
use crate::{
    functions::{
        check_arguments,
        rolling::{RollingKernel, rolling_kernel},
        rollups::{RollupRanges, rollup_kernel},
    },
    syntax::Func,
};

/// The range vector that a function is applied to.
enum Source<'a> {
    /// From a selector.
    Stored { series: Vec<&'a Series>, planned: &'a PlannedSelector },
    /// From a subquery.
    Computed { series: Vec<VectorSeries>, steps: Steps },
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self {
            Source::Stored { series, .. } => series.len(),
            Source::Computed { series, .. } => series.len(),
        }
    }

    /// Reads series `i` into `out`, without staleness markers; returns its labels and whether its name is to go.
    fn read(&self, i: usize, out: &mut SampleColumns) -> Result<(&Labels, bool), EvalError> {
        match self {
            Source::Stored { series, planned } => {
                read_samples(series[i], planned, out)?;
                strip_stale(out);
                Ok((&series[i].labels, false))
            }
            Source::Computed { series, steps } => {
                column_samples(&series[i].column, steps, out);
                Ok((&series[i].labels, series[i].drop_name))
            }
        }
    }
}

/// A range vector, and which range of it each step sees.
struct Ranged<'a> {
    source: Source<'a>,
    when: When,
    range: i64,
    mode: RangeMode,
}

/// One call of a range function on all series.
struct RangeCall<'a> {
    kernel: RangeKernel,
    /// A form of the kernel that takes all windows of a column of floats at once.
    rolling: Option<RollingKernel>,
    func: Func,
    when: When,
    range: i64,
    mode: RangeMode,
    lookback: i64,
    steps: Steps,
    /// Scalar arguments, one column each, and where all arguments stand.
    args: Vec<Vec<f64>>,
    call_pos: usize,
    arg_pos: &'a [usize],
    range_pos: usize,
    room: Room,
    /// Counts nothing: every piece counts on its own.
    counted: Counted,
    options: &'a EvalOptions<'a>,
}

/// What a worker hands back.
struct Piece {
    series: Vec<VectorSeries>,
    annotations: Annotations,
    counted: Counted,
    frames: Frames,
}

impl<'a> Evaluator<'a> {
    /// Evaluates a subquery: its own steps, and its series at these. Hints about counter resets are removed, for
    /// samples may have been left out or repeated.
    pub(super) fn eval_subquery(
        &mut self,
        node: &SubqueryNode,
        steps: &Steps,
    ) -> Result<(Steps, Vec<VectorSeries>), EvalError> {
        let inner = node.steps(steps);
        if inner.count == 0 {
            return Ok((inner, Vec::new()));
        }
        let mut series = match self.eval(&node.expr, &inner)? {
            Value::Vector(series) => series,
            Value::Scalar(v) => {
                vec![VectorSeries { labels: Labels::empty(), drop_name: false, column: Column::floats(v) }]
            }
            _ => return Err(EvalError::Bug("a subquery of neither vector nor scalar")),
        };
        for h in series.iter_mut().flat_map(|s| s.column.h.iter_mut().flatten()) {
            if matches!(h.hint, CounterResetHint::CounterReset | CounterResetHint::NotCounterReset) {
                let unknown = Histogram { hint: CounterResetHint::Unknown, ..Histogram::clone(h) };
                *h = unknown.into();
            }
        }
        Ok((inner, series))
    }

    /// Evaluates a function whose argument `index` is a range vector.
    pub(super) fn eval_range_call(
        &mut self,
        call: &CallNode,
        pos: usize,
        index: usize,
        steps: &Steps,
    ) -> Result<Value, EvalError> {
        let Some(kernel) = crate::functions::range_kernel(call.func) else {
            return Err(EvalError::Bug("a function of ranges without kernel"));
        };
        let mut args = Vec::new();
        for (i, arg) in call.args.iter().enumerate() {
            if i != index {
                args.push(self.eval_scalar(arg, steps)?);
            }
        }
        let Ranged { source, when, range, mode } = self.range_source(&call.args[index], steps)?;
        let range_call = RangeCall {
            kernel,
            rolling: rolling_kernel(call.func),
            func: call.func,
            when,
            range,
            mode,
            lookback: self.plan.options.lookback,
            steps: *steps,
            args,
            call_pos: pos,
            arg_pos: &call.arg_pos,
            range_pos: call.arg_pos.get(index).copied().unwrap_or(pos),
            room: self.room(),
            counted: self.counted.empty(),
            options: self.options,
        };
        let items: Vec<usize> = (0..source.len()).collect();
        let pieces = map_pieces(self.options.executor, &items, |part| range_call.run(&source, part))?;
        let mut out = Vec::new();
        for piece in pieces {
            self.annotations.merge(piece.annotations);
            self.counted.add(&piece.counted);
            out.extend(piece.series);
        }
        if call.func == Func::AbsentOverTime {
            return Ok(Value::Vector(super::call::absent(&out, &call.absent, steps)));
        }
        let out = if self.options.delayed_name_removal { out } else { unite_strictly(out)? };
        Ok(Value::Vector(out))
    }

    fn range_source(&mut self, node: &Node, steps: &Steps) -> Result<Ranged<'a>, EvalError> {
        match &node.kind {
            NodeKind::Matrix(m) => {
                let planned = self.planned(m.selector)?;
                let series = self.selected(m.selector)?;
                let source = Source::Stored { series, planned };
                Ok(Ranged { source, when: m.when, range: m.range, mode: m.mode })
            }
            NodeKind::Subquery(s) => {
                // Its windows are counted when they are taken.
                let ((inner, series), _) = self.count_apart(|e| e.eval_subquery(s, steps))?;
                let source = Source::Computed { series, steps: inner };
                Ok(Ranged { source, when: s.when, range: s.range, mode: RangeMode::Plain })
            }
            _ => Err(EvalError::Bug("a range vector was expected")),
        }
    }
}

/// Fails if any two series have equal labels, even at different steps, as upstream does for functions of ranges.
fn unite_strictly(series: Vec<VectorSeries>) -> Result<Vec<VectorSeries>, EvalError> {
    let before = series.len();
    let united = super::group::unite(series)?;
    if united.len() == before { Ok(united) } else { Err(EvalError::duplicate_labels()) }
}

impl RangeCall<'_> {
    fn run(&self, source: &Source<'_>, part: &[usize]) -> Result<Piece, EvalError> {
        let mut piece = Piece {
            series: Vec::new(),
            annotations: Annotations::new(),
            counted: self.counted.empty(),
            frames: Frames::new(&self.steps, self.when, self.range),
        };
        let mut samples = SampleColumns::default();
        for i in part {
            if (self.options.cancelled)() {
                return Err(EvalError::Cancelled);
            }
            let (labels, drop_name, column) = match self.apply_rollups(source, *i, &mut piece)? {
                Some((labels, column)) => (labels, false, column),
                None => {
                    let (labels, drop_name) = source.read(*i, &mut samples)?;
                    (labels, drop_name, self.apply(&samples, labels, &mut piece)?)
                }
            };
            if column.is_all_absent() {
                continue;
            }
            self.room.take(charge(&column))?;
            if column.v.iter().any(|v| !is_absent(*v)) {
                doubt_counter(self.func, self.range_pos, labels, self.options, &mut piece.annotations);
            }
            let keeps_name = matches!(self.func, Func::LastOverTime | Func::FirstOverTime);
            let drops = drop_name || !keeps_name;
            let labels = match (drops, self.options.delayed_name_removal) {
                (true, false) => without_metadata(labels),
                _ => labels.clone(),
            };
            let drop_name = drops && self.options.delayed_name_removal;
            piece.series.push(VectorSeries { labels, drop_name, column });
        }
        Ok(piece)
    }

    /// Applies the form of the function for rollups to series `i`; `None` if there is none, or if the series is not
    /// downsampled, or has histograms.
    fn apply_rollups<'s>(
        &self,
        source: &'s Source<'_>,
        i: usize,
        piece: &mut Piece,
    ) -> Result<Option<(&'s Labels, Column)>, EvalError> {
        let Source::Stored { series, planned } = source else { return Ok(None) };
        let series: &'s Series = series[i];
        let histograms = || series.chunks.iter().any(Chunk::has_histograms);
        let Some(kernel) = rollup_kernel(self.func).filter(|_| self.mode == RangeMode::Plain) else {
            return Ok(None);
        };
        if !downsampled::is_downsampled(series) || histograms() {
            return Ok(None);
        }
        let mut rollups = downsampled::rollups(series, planned.range)?;
        rollups.retain(|r| !r.is_stale());
        let ends: Vec<i64> = self.steps.iter().map(|t| self.when.time(t)).collect();
        let ranges = RollupRanges { rollups: &rollups, ends: &ends, range: self.range };
        self.room.fits(ranges.widest())?;
        for (i, rollups) in ranges.widths().enumerate() {
            piece.counted.at(i, rollups as u64);
        }
        let mut out = Vec::with_capacity(ends.len());
        kernel(&ranges, &mut out);
        Ok(Some((&series.labels, Column::floats(out))))
    }

    /// Applies the kernel to every window of one series.
    fn apply(
        &self,
        samples: &SampleColumns,
        labels: &Labels,
        piece: &mut Piece,
    ) -> Result<Column, EvalError> {
        if let Some(rolling) = self.rolling
            && self.mode == RangeMode::Plain
            && samples.h.is_empty()
        {
            return self.apply_rolling(rolling, samples, piece);
        }
        let mut column = Column::absent(self.steps.count);
        let mut args = vec![0.0; self.args.len()];
        let (before, after) = match self.mode {
            RangeMode::Plain => (0, 0),
            RangeMode::Anchored => (self.lookback, 0),
            RangeMode::Smoothed => (self.lookback, self.lookback),
        };
        let mut floats = Bounds::default();
        let mut hists = Bounds::default();
        for i in 0..self.steps.count {
            let t = self.steps.at(i);
            let end = self.when.time(t);
            let start = end.saturating_sub(self.range);
            let (from, to) = (start.saturating_sub(before), end.saturating_add(after));
            floats.advance(&samples.t, from, to, |t| *t);
            hists.advance(&samples.h, from, to, |s| s.t);
            if floats.is_empty() && hists.is_empty() {
                continue;
            }
            let window = Window {
                t: &samples.t[floats.from..floats.to],
                v: &samples.v[floats.from..floats.to],
                h: &samples.h[hists.from..hists.to],
                start,
                end,
                mode: self.mode,
            };
            let weight = window_weight(&window);
            piece.counted.at(i, weight as u64);
            self.room.fits(weight)?;
            for (arg, scalar) in args.iter_mut().zip(&self.args) {
                *arg = scalar[i];
            }
            check_arguments(self.func, &args).map_err(EvalError::Execution)?;
            let mut cx = KernelContext {
                t,
                labels,
                call_pos: self.call_pos,
                arg_pos: self.arg_pos,
                delayed_name_removal: self.options.delayed_name_removal,
                annotations: &mut piece.annotations,
            };
            column.set(i, (self.kernel)(&window, &args, &mut cx));
        }
        Ok(column)
    }

    /// Applies a kernel to all windows of a series of floats.
    fn apply_rolling(
        &self,
        rolling: RollingKernel,
        samples: &SampleColumns,
        piece: &mut Piece,
    ) -> Result<Column, EvalError> {
        let frames = &mut piece.frames;
        frames.find(&samples.t);
        piece.counted.windows(&frames.samples, frames.total);
        self.room.fits(frames.widest)?;
        let mut out = Vec::with_capacity(self.steps.count);
        frames.apply(rolling, &samples.v, &mut out);
        Ok(Column::floats(out))
    }
}

/// Notes that the argument of `rate` or `increase`, which stands at `pos`, may be no counter. `labels` are those of a series
/// that has floats.
pub(super) fn doubt_counter(
    func: Func,
    pos: usize,
    labels: &Labels,
    options: &EvalOptions<'_>,
    annotations: &mut Annotations,
) {
    let name = labels.metric_name();
    if !matches!(func, Func::Rate | Func::Increase) || name.is_empty() {
        return;
    }
    if options.type_and_unit_labels {
        let kind = labels.value("__type__");
        if kind != "counter" && kind != "histogram" {
            let text = format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", \
                 got {kind:?}: {name:?}"
            );
            annotations.info(pos, text);
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
        let name = reba_model::float::go_quote(name);
        annotations.info(
            pos,
            format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}"),
        );
    }
}

fn window_weight(window: &Window<'_>) -> usize {
    window.t.len() + window.h.iter().map(|s| histogram_weight(&s.h)).sum::<usize>()
}

/// The samples `from..to` of a column that lie in a window; windows move forward only.
#[derive(Default)]
struct Bounds {
    from: usize,
    to: usize,
}

impl Bounds {
    /// Moves to the samples with `start < t <= end`.
    #[inline]
    fn advance<T>(&mut self, samples: &[T], start: i64, end: i64, time: impl Fn(&T) -> i64) {
        while samples.get(self.to).is_some_and(|s| time(s) <= end) {
            self.to += 1;
        }
        while self.from < self.to && time(&samples[self.from]) <= start {
            self.from += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.from == self.to
    }
}
