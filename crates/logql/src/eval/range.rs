//! Range aggregations: from rows to series.

use std::collections::HashMap;

use reba_model::{Labels, LogBlock, MatchOp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{EvalError, Grid, GridSeries, Shown, samples};
use crate::{
    pipeline::{ERROR, LineState, Pipeline, Unwrapper, Wanted},
    syntax::{Grouping, RangeAggregation, RangeOp},
};

/// One range aggregation over rows that come in any order of blocks. Several of these, one a thread, can share the work and be
/// merged.
#[derive(Clone, Debug)]
pub struct RangeEval {
    aggregation: RangeAggregation,
    grid: Grid,
    pipeline: Pipeline,
    unwrapper: Option<Unwrapper>,
    /// Labels of the answer, where fewer than all of a line's are wanted.
    grouping: Option<Grouping>,
    keeps_errors: bool,
    max_series: usize,
    state: LineState,
    by_hash: HashMap<u128, usize>,
    series: Vec<RangeSeries>,
}

#[derive(Clone, Debug)]
struct RangeSeries {
    labels: Labels,
    cells: Cells,
}

/// What is known of a series.
#[derive(Clone, Debug)]
enum Cells {
    /// For sums of whole numbers: how the sum changes from one step to the next, and how the number of rows does.
    Changes { sums: Vec<i64>, rows: Vec<i64> },
    /// Everything, for functions that need it.
    Samples(Vec<(i64, f64)>),
}

/// How an aggregation is to be evaluated.
#[derive(Clone, Debug)]
pub struct RangeOptions {
    /// Labels that matter.
    pub wanted: Wanted,
    /// Labels of the answer, if the aggregation around allows to keep only those (it does for sums of counts): `by` or
    /// `without`.
    pub grouping: Option<Grouping>,
    /// Most series.
    pub max_series: usize,
    /// Time of the query, Unix nanoseconds, which templates may ask for.
    pub now_ns: i64,
}

impl Default for RangeOptions {
    fn default() -> Self {
        RangeOptions { wanted: Wanted::All, grouping: None, max_series: usize::MAX, now_ns: 0 }
    }
}

impl RangeEval {
    /// Prepares an aggregation.
    ///
    /// # Errors
    /// A stage that makes no sense.
    pub fn new(aggregation: &RangeAggregation, grid: Grid, options: RangeOptions) -> Result<Self, EvalError> {
        let grouping = aggregation.grouping.clone().or(options.grouping);
        let keeps_errors =
            grouping.as_ref().is_some_and(|g| !g.without && g.labels.iter().any(|l| l == ERROR));
        Ok(RangeEval {
            pipeline: Pipeline::compile(&aggregation.log.stages, options.wanted, options.now_ns)?,
            unwrapper: aggregation.unwrap.as_ref().map(Unwrapper::compile).transpose()?,
            aggregation: aggregation.clone(),
            grid,
            grouping,
            keeps_errors,
            max_series: options.max_series,
            state: LineState::default(),
            by_hash: HashMap::new(),
            series: Vec::new(),
        })
    }

    /// Takes the rows of a block. It must come with lines.
    ///
    /// # Errors
    /// A line with an error that the query does not allow; too many series.
    pub fn feed(&mut self, block: &LogBlock) -> Result<(), EvalError> {
        for (row, ns) in block.times.iter().enumerate() {
            let windows = self.grid.windows(*ns, self.aggregation.range, self.aggregation.offset);
            if windows.0 < windows.1 {
                self.row(block, row, *ns, windows)?;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        block: &LogBlock,
        row: usize,
        ns: i64,
        windows: (usize, usize),
    ) -> Result<(), EvalError> {
        let line = block.lines.as_ref().and_then(|lines| lines.get(row)).unwrap_or("");
        let metadata = block.metadata.iter().filter_map(|(name, column)| Some((&**name, column.get(row)?)));
        if !self.pipeline.run(&mut self.state, &block.stream, (ns, line), metadata) {
            return Ok(());
        }
        let value = match &self.unwrapper {
            Some(unwrapper) => match unwrapper.run(&mut self.state) {
                Some(value) => value,
                None => return Ok(()),
            },
            None => 0.0,
        };
        if let (Some(error), false) = (self.state.error(), self.keeps_errors) {
            let series = Shown(&self.state.final_labels(true)).to_string();
            return Err(EvalError::Pipeline { error: error.to_owned(), series });
        }
        let bytes = self.state.line(line).len();
        let index = self.series_index()?;
        self.series[index].cells.add(&self.aggregation, (ns, value, bytes), windows);
        Ok(())
    }

    /// The series of the line in `state`.
    fn series_index(&mut self) -> Result<usize, EvalError> {
        let hash = self.series_hash();
        if let Some(index) = self.by_hash.get(&hash) {
            return Ok(*index);
        }
        if self.series.len() == self.max_series {
            return Err(EvalError::Series { limit: self.max_series });
        }
        let labels = self.series_labels();
        let cells = Cells::new(self.aggregation.op, self.unwrapper.is_some(), self.grid.count);
        self.series.push(RangeSeries { labels, cells });
        self.by_hash.insert(hash, self.series.len() - 1);
        Ok(self.series.len() - 1)
    }

    /// Whether a label of the line belongs to the series.
    fn keeps(&self, name: &str) -> bool {
        match &self.grouping {
            Some(Grouping { without: false, labels }) => labels.iter().any(|l| l == name),
            Some(Grouping { without: true, labels }) => {
                !self.is_unwrapped(name) && !labels.iter().any(|l| l == name)
            }
            None => !self.is_unwrapped(name),
        }
    }

    fn is_unwrapped(&self, name: &str) -> bool {
        self.unwrapper.as_ref().is_some_and(|u| u.label() == name)
    }

    /// A hash of the labels in whatever order they stand: the sum of the hashes of each.
    fn series_hash(&self) -> u128 {
        let errors = self.state.error().map(|e| (ERROR, e));
        let labels = self.state.labels().map(|(name, value, _)| (name, value)).chain(errors);
        labels.filter(|(name, _)| self.keeps(name)).fold(0u128, |sum, (name, value)| {
            let name_hash = xxh3_64_with_seed(name.as_bytes(), 0);
            let high = xxh3_64_with_seed(value.as_bytes(), name_hash);
            let low = xxh3_64_with_seed(value.as_bytes(), !name_hash);
            sum.wrapping_add(u128::from(high) << 64 | u128::from(low))
        })
    }

    fn series_labels(&self) -> Labels {
        let all = self.state.final_labels(true);
        Labels::from_sorted_verbatim(all.iter().filter(|(name, _)| self.keeps(name)))
    }

    /// Takes over what another one, of the same aggregation, has found in other rows.
    ///
    /// # Errors
    /// Too many series.
    pub fn merge(&mut self, other: RangeEval) -> Result<(), EvalError> {
        let hashes: HashMap<usize, u128> =
            other.by_hash.iter().map(|(hash, index)| (*index, *hash)).collect();
        for (index, theirs) in other.series.into_iter().enumerate() {
            let hash = hashes.get(&index).copied().unwrap_or_default();
            match self.by_hash.get(&hash) {
                Some(mine) => self.series[*mine].cells.merge(theirs.cells),
                None if self.series.len() == self.max_series => {
                    return Err(EvalError::Series { limit: self.max_series });
                }
                None => {
                    self.by_hash.insert(hash, self.series.len());
                    self.series.push(theirs);
                }
            }
        }
        Ok(())
    }

    /// The series of the answer, those without a value left out.
    pub fn finish(self) -> Vec<GridSeries> {
        let aggregation = &self.aggregation;
        let grid = self.grid;
        let series = self
            .series
            .into_iter()
            .map(|s| GridSeries { labels: s.labels, values: s.cells.finish(aggregation, grid) });
        if aggregation.op == RangeOp::Absent {
            return absent(aggregation, grid, series.collect());
        }
        series.filter(|s| s.values.iter().any(Option::is_some)).collect()
    }
}

impl Cells {
    fn new(op: RangeOp, unwrapped: bool, steps: usize) -> Self {
        let whole = matches!(op, RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent)
            || (op == RangeOp::Rate && !unwrapped);
        if whole {
            Cells::Changes { sums: vec![0; steps + 1], rows: vec![0; steps + 1] }
        } else {
            Cells::Samples(Vec::new())
        }
    }

    fn add(
        &mut self,
        aggregation: &RangeAggregation,
        (ns, value, bytes): (i64, f64, usize),
        (first, end): (usize, usize),
    ) {
        match self {
            Cells::Changes { sums, rows } => {
                let n = match aggregation.op {
                    RangeOp::Bytes | RangeOp::BytesRate => bytes as i64,
                    _ => 1,
                };
                sums[first] += n;
                sums[end] -= n;
                rows[first] += 1;
                rows[end] -= 1;
            }
            Cells::Samples(samples) => samples.push((ns, value)),
        }
    }

    fn merge(&mut self, other: Cells) {
        match (self, other) {
            (Cells::Changes { sums, rows }, Cells::Changes { sums: theirs, rows: their_rows }) => {
                sums.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
                rows.iter_mut().zip(their_rows).for_each(|(a, b)| *a += b);
            }
            (Cells::Samples(samples), Cells::Samples(theirs)) => samples.extend(theirs),
            // Both come from one aggregation, which has one kind.
            _ => {}
        }
    }

    fn finish(self, aggregation: &RangeAggregation, grid: Grid) -> Vec<Option<f64>> {
        match self {
            Cells::Changes { sums, rows } => {
                let per_second = matches!(aggregation.op, RangeOp::Rate | RangeOp::BytesRate);
                let divisor = if per_second { aggregation.range as f64 / 1e9 } else { 1.0 };
                let (mut sum, mut count) = (0, 0);
                let steps = sums.into_iter().zip(rows).take(grid.count);
                steps
                    .map(|(change, row_change)| {
                        sum += change;
                        count += row_change;
                        (count > 0).then(|| sum as f64 / divisor)
                    })
                    .collect()
            }
            Cells::Samples(mut samples) => {
                samples.sort_by_key(|(ns, _)| *ns);
                windows_over(&samples, aggregation, grid)
            }
        }
    }
}

/// Evaluates every window over samples sorted by time.
fn windows_over(samples: &[(i64, f64)], aggregation: &RangeAggregation, grid: Grid) -> Vec<Option<f64>> {
    let (mut from, mut to) = (0, 0);
    let parameter = aggregation.parameter.unwrap_or(f64::NAN);
    (0..grid.count)
        .map(|k| {
            let end = grid.time(k).saturating_sub(aggregation.offset);
            let start = end.saturating_sub(aggregation.range);
            while samples.get(to).is_some_and(|(ns, _)| *ns <= end) {
                to += 1;
            }
            while from < to && samples[from].0 <= start {
                from += 1;
            }
            let window = &samples[from..to];
            (!window.is_empty())
                .then(|| samples::over(aggregation.op, parameter, window, aggregation.range, end))
        })
        .collect()
}

/// 1 at every step where no series has a value, under the labels that the selector says must be equal.
fn absent(aggregation: &RangeAggregation, grid: Grid, series: Vec<GridSeries>) -> Vec<GridSeries> {
    let values: Vec<Option<f64>> =
        (0..grid.count).map(|k| series.iter().all(|s| s.values[k].is_none()).then_some(1.0)).collect();
    if values.iter().all(Option::is_none) {
        return Vec::new();
    }
    let equal = aggregation.log.matchers.iter().filter(|m| m.op == MatchOp::Equal);
    let labels = Labels::from_pairs(equal.map(|m| (m.name.as_str(), m.value.as_str())));
    vec![GridSeries { labels, values }]
}
