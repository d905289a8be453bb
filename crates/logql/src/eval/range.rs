//! Range aggregations: from rows to series.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use reba_model::{Labels, LogBlock, MatchOp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    EvalError, Grid, GridSeries, RowNeeds, Shown, WindowCursor,
    cells::{Cells, counts},
    columns::{ColumnScratch, found_in_row},
    pushed_grouping, wanted_labels,
};
use crate::{
    pipeline::{ERROR, LineState, Pipeline, Unwrapper, Wanted},
    syntax::{Grouping, RangeAggregation, RangeOp, VectorAggregation},
};

/// One range aggregation over rows that come in any order of blocks. Several of these, one a thread, can share the work and be
/// merged.
#[derive(Clone, Debug)]
pub struct RangeEval {
    pub(super) aggregation: RangeAggregation,
    grid: Grid,
    pub(super) pipeline: Pipeline,
    pub(super) unwrapper: Option<Unwrapper>,
    /// Labels of the answer, where fewer than all of a line's are wanted.
    grouping: Option<Grouping>,
    keeps_errors: bool,
    max_memory: usize,
    /// Bytes of series and samples.
    memory: usize,
    pub(super) needs: Arc<RowNeeds>,
    /// Whether blocks may be taken by columns.
    columnar: bool,
    scratch: ColumnScratch,
    state: LineState,
    by_hash: HashMap<LabelHash, usize, BuildHasherDefault<AsIs>>,
    series: Vec<RangeSeries>,
    pub(super) rows_seen: u64,
    pub(super) rows_passed: u64,
}

#[derive(Clone, Debug)]
struct RangeSeries {
    hash: LabelHash,
    labels: Labels,
    cells: Cells,
}

/// A row that belongs to a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) ns: i64,
    pub(super) value: f64,
    /// Length of its line, where that is wanted.
    pub(super) bytes: usize,
}

/// A hash of labels in whatever order they stand: the sum of the hashes of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct LabelHash(u128);

impl LabelHash {
    /// The half of the hash that the name makes.
    pub(super) fn of_name(name: &str) -> u64 {
        xxh3_64_with_seed(name.as_bytes(), 0)
    }

    pub(super) fn of(name: u64, value: &str) -> Self {
        let high = xxh3_64_with_seed(value.as_bytes(), name);
        let low = xxh3_64_with_seed(value.as_bytes(), !name);
        LabelHash(u128::from(high) << 64 | u128::from(low))
    }

    pub(super) fn and(self, other: LabelHash) -> Self {
        LabelHash(self.0.wrapping_add(other.0))
    }
}

/// Takes what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u128(&mut self, n: u128) {
        self.0 = n as u64;
    }
}

/// How an aggregation is to be evaluated.
#[derive(Clone, Debug)]
pub struct RangeOptions {
    /// Labels that matter.
    pub wanted: Wanted,
    /// Labels of the answer, if the aggregation around allows to keep only those (see [`pushed_grouping`]).
    pub grouping: Option<Grouping>,
    /// Most bytes of samples and series.
    pub max_memory: usize,
    /// Time of the query, Unix nanoseconds, which templates may ask for.
    pub now_ns: i64,
}

impl RangeOptions {
    /// As `around`, the aggregation directly around it, allows; without a limit of memory.
    pub fn of(around: Option<&VectorAggregation>, aggregation: &RangeAggregation) -> Self {
        RangeOptions {
            wanted: wanted_labels(around, aggregation),
            grouping: pushed_grouping(around, aggregation),
            ..RangeOptions::default()
        }
    }
}

impl Default for RangeOptions {
    fn default() -> Self {
        RangeOptions { wanted: Wanted::All, grouping: None, max_memory: usize::MAX, now_ns: 0 }
    }
}

/// What a series takes besides its labels and its cells.
const SERIES_BYTES: usize = size_of::<RangeSeries>() + 40;

impl RangeEval {
    /// Prepares an aggregation.
    ///
    /// # Errors
    /// A stage that makes no sense.
    pub fn new(aggregation: &RangeAggregation, grid: Grid, options: RangeOptions) -> Result<Self, EvalError> {
        let grouping = aggregation.grouping.clone().or(options.grouping);
        let keeps_errors =
            grouping.as_ref().is_some_and(|g| !g.without && g.labels.iter().any(|l| l == ERROR));
        let needs = RowNeeds::of(aggregation, &options.wanted, grouping.as_ref());
        let pipeline = Pipeline::compile(&aggregation.log.stages, options.wanted, options.now_ns)?;
        Ok(RangeEval {
            columnar: pipeline.is_columnar() && needs.is_columnar(),
            needs: Arc::new(needs),
            pipeline,
            unwrapper: aggregation.unwrap.as_ref().map(Unwrapper::compile).transpose()?,
            aggregation: aggregation.clone(),
            grid,
            grouping,
            keeps_errors,
            max_memory: options.max_memory,
            memory: 0,
            scratch: ColumnScratch::default(),
            state: LineState::default(),
            by_hash: HashMap::default(),
            series: Vec::new(),
            rows_seen: 0,
            rows_passed: 0,
        })
    }

    /// What blocks must come with.
    pub fn needs(&self) -> &RowNeeds {
        &self.needs
    }

    /// Rows in any window, and those of them that passed the pipeline.
    pub fn rows_seen(&self) -> (u64, u64) {
        (self.rows_seen, self.rows_passed)
    }

    /// Takes the rows of a block. It must come with what [`RangeEval::needs`] says.
    ///
    /// # Errors
    /// A line with an error that the query does not allow; a lack of memory.
    pub fn feed(&mut self, block: &LogBlock) -> Result<(), EvalError> {
        if self.columnar {
            let mut scratch = std::mem::take(&mut self.scratch);
            let done = self.feed_columns(block, &mut scratch);
            self.scratch = scratch;
            if let Ok(result) = done {
                return result;
            }
        }
        self.feed_rows(block)
    }

    /// Whether rows can be counted without being seen ([`RangeEval::count`]), and then whether the bytes of their lines matter.
    pub fn counts(&self) -> Option<bool> {
        self.needs.countable.then_some(self.counts_bytes())
    }

    /// Whether rows count for the bytes of their lines.
    pub(super) fn counts_bytes(&self) -> bool {
        matches!(self.aggregation.op, RangeOp::Bytes | RangeOp::BytesRate)
    }

    /// Takes so many rows of a stream, in lines of so many bytes, of which the first and the last time are known; false if that
    /// is not enough to know what they count for, and nothing has been taken.
    ///
    /// # Errors
    /// A lack of memory.
    pub fn count(
        &mut self,
        stream: &Labels,
        (rows, line_bytes): (u64, Option<u64>),
        (first_ns, last_ns): (i64, i64),
    ) -> Result<bool, EvalError> {
        // What a stream has is not to be found in the metadata of a row.
        let of_stream = |names: &Vec<String>| names.iter().all(|name| stream.get(name).is_some());
        let (Some(sizes), Some(true)) = (self.counts(), self.needs.metadata.as_ref().map(of_stream)) else {
            return Ok(false);
        };
        let amount = if sizes { line_bytes } else { Some(rows) };
        let Some((amount, windows)) = amount.zip(self.cursor().shared(first_ns, last_ns)) else {
            return Ok(false);
        };
        if windows.0 >= windows.1 {
            return Ok(true);
        }
        self.rows_seen += rows;
        if !self.pipeline.run(&mut self.state, stream, (first_ns, ""), std::iter::empty()) {
            return Ok(true);
        }
        if self.state.error().is_some() {
            self.rows_seen -= rows;
            return Ok(false);
        }
        self.rows_passed += rows;
        let hash = self.line_hash();
        let index = match self.known(hash) {
            Some(index) => index,
            None => {
                let labels = self.line_labels();
                self.series_of(hash, || labels)?
            }
        };
        let cells = &mut self.series[index].cells;
        let before = cells.bytes();
        cells.add_rows(self.grid.count, (rows as i64, amount as i64), windows);
        self.memory += cells.bytes() - before;
        self.check_memory()?;
        Ok(true)
    }

    /// Takes the rows of a block one by one, each through the whole pipeline: what [`RangeEval::feed`] may do in a shorter way.
    ///
    /// # Errors
    /// As [`RangeEval::feed`].
    pub fn feed_line_by_line(&mut self, block: &LogBlock) -> Result<(), EvalError> {
        self.feed_rows(block)
    }

    /// Takes a block row by row.
    fn feed_rows(&mut self, block: &LogBlock) -> Result<(), EvalError> {
        let mut cursor = self.cursor();
        for (row, ns) in block.times.iter().enumerate() {
            let windows = cursor.windows(*ns);
            if windows.0 < windows.1 {
                self.row(block, row, *ns, windows)?;
            }
        }
        Ok(())
    }

    pub(super) fn cursor(&self) -> WindowCursor {
        WindowCursor::new(self.grid, self.aggregation.range, self.aggregation.offset)
    }

    /// Runs the pipeline over a row, into `state`.
    fn run_pipeline(&mut self, block: &LogBlock, row: usize, ns: i64) -> bool {
        let line = block.lines.as_ref().and_then(|lines| lines.get(row));
        let metadata = block.metadata.iter().filter_map(|(name, column)| Some((&**name, column.get(row)?)));
        let state = &mut self.state;
        match (&self.needs.extract, &block.extracted, line) {
            // The line, if it is there, is what knows best.
            (Some(extract), Some(columns), None) => {
                let found = found_in_row(&extract.names, columns, row);
                let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (*n, &**v)).collect();
                self.pipeline.run_with(state, &block.stream, (ns, ""), metadata, Some(&found))
            }
            (_, _, line) => self.pipeline.run(state, &block.stream, (ns, line.unwrap_or("")), metadata),
        }
    }

    fn row(
        &mut self,
        block: &LogBlock,
        row: usize,
        ns: i64,
        windows: (usize, usize),
    ) -> Result<(), EvalError> {
        self.rows_seen += 1;
        if !self.run_pipeline(block, row, ns) {
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
            let series = Shown(&self.state.final_labels()).to_string();
            return Err(EvalError::Pipeline { error: error.to_owned(), series });
        }
        self.rows_passed += 1;
        let line = block.lines.as_ref().and_then(|lines| lines.get(row)).unwrap_or("");
        let bytes = self.state.line(line).len();
        let hash = self.line_hash();
        let index = match self.known(hash) {
            Some(index) => index,
            None => {
                let labels = self.line_labels();
                self.series_of(hash, || labels)?
            }
        };
        self.add(index, Row { ns, value, bytes }, windows)
    }

    /// Adds a row to a series.
    #[inline]
    pub(super) fn add(&mut self, series: usize, row: Row, windows: (usize, usize)) -> Result<(), EvalError> {
        let amount = if self.counts_bytes() { row.bytes as i64 } else { 1 };
        let cells = &mut self.series[series].cells;
        let before = cells.bytes();
        cells.add(self.grid.count, (row.ns, row.value, amount), windows);
        self.memory += cells.bytes() - before;
        self.check_memory()
    }

    fn check_memory(&self) -> Result<(), EvalError> {
        if self.memory > self.max_memory {
            return Err(EvalError::Memory { limit: self.max_memory });
        }
        Ok(())
    }

    /// The series of this hash, if there is one.
    #[inline]
    pub(super) fn known(&self, hash: LabelHash) -> Option<usize> {
        self.by_hash.get(&hash).copied()
    }

    /// The series of this hash; a new one gets `labels`.
    pub(super) fn series_of(
        &mut self,
        hash: LabelHash,
        labels: impl FnOnce() -> Labels,
    ) -> Result<usize, EvalError> {
        if let Some(index) = self.known(hash) {
            return Ok(index);
        }
        let labels = labels();
        let cells = Cells::new(self.aggregation.op, self.unwrapper.is_some());
        self.push(RangeSeries { hash, labels, cells })
    }

    fn push(&mut self, series: RangeSeries) -> Result<usize, EvalError> {
        self.memory += SERIES_BYTES + series.labels.memory_bytes() + series.cells.bytes();
        self.check_memory()?;
        self.by_hash.insert(series.hash, self.series.len());
        self.series.push(series);
        Ok(self.series.len() - 1)
    }

    /// Whether a label of the line belongs to the series.
    pub(super) fn keeps(&self, name: &str) -> bool {
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

    /// The hash of the labels of the line in `state`.
    fn line_hash(&self) -> LabelHash {
        let errors = self.state.error().map(|e| (ERROR, e));
        let labels = self.state.labels().map(|(name, value, _)| (name, value)).chain(errors);
        let kept = labels.filter(|(name, _)| self.keeps(name));
        kept.fold(LabelHash::default(), |sum, (name, value)| {
            sum.and(LabelHash::of(LabelHash::of_name(name), value))
        })
    }

    fn line_labels(&self) -> Labels {
        let all = self.state.final_labels();
        Labels::from_sorted_verbatim(all.iter().filter(|(name, _)| self.keeps(name)))
    }

    /// Takes over what another one, of the same aggregation, has found in other rows.
    ///
    /// # Errors
    /// A lack of memory.
    pub fn merge(&mut self, other: RangeEval) -> Result<(), EvalError> {
        self.max_memory = self.max_memory.saturating_add(other.max_memory);
        self.rows_seen += other.rows_seen;
        self.rows_passed += other.rows_passed;
        if self.series.is_empty() {
            (self.series, self.by_hash) = (other.series, other.by_hash);
            self.memory += other.memory;
            return self.check_memory();
        }
        for theirs in other.series {
            match self.known(theirs.hash) {
                Some(mine) => {
                    let cells = &mut self.series[mine].cells;
                    let before = cells.bytes();
                    cells.merge(theirs.cells);
                    self.memory += cells.bytes() - before;
                    self.check_memory()?;
                }
                None => drop(self.push(theirs)?),
            }
        }
        Ok(())
    }

    /// Leaves only series of which `k` may be the largest, or smallest, if there is but one step: those that are certainly not need
    /// not be put together. Of equal ones all stay.
    pub fn keep_extremes(&mut self, k: usize, largest: bool) {
        let aggregation = &self.aggregation;
        let sums = counts(aggregation.op, self.unwrapper.is_some()) && aggregation.op != RangeOp::Absent;
        if k == 0 || k >= self.series.len() || self.grid.count != 1 || !sums {
            return;
        }
        let value = |s: &RangeSeries| s.cells.first_sum(aggregation).map(|v| if largest { v } else { -v });
        let Some(least) = kth(self.series.iter().filter_map(value), k) else { return };
        self.series.retain(|s| value(s).is_some_and(|v| v >= least));
        // The places have changed; nothing is added any more.
        self.by_hash = HashMap::default();
    }

    /// The series of the answer, those without a value left out.
    ///
    /// # Errors
    /// A lack of memory: at every step every series has room for a value.
    pub fn finish(self) -> Result<Vec<GridSeries>, EvalError> {
        let (aggregation, grid) = (&self.aggregation, self.grid);
        let values = self.series.len().saturating_mul(grid.count).saturating_mul(size_of::<Option<f64>>());
        if values > self.max_memory && aggregation.op != RangeOp::Absent {
            return Err(EvalError::Memory { limit: self.max_memory });
        }
        let series = self
            .series
            .into_iter()
            .map(|s| GridSeries { labels: s.labels, values: s.cells.finish(aggregation, grid) });
        if aggregation.op == RangeOp::Absent {
            return Ok(absent(aggregation, grid, series));
        }
        Ok(series.filter(|s| s.values.iter().any(Option::is_some)).collect())
    }
}

/// The `k`-th largest number, if there are more than so many; `k` is not 0.
fn kth(numbers: impl Iterator<Item = f64>, k: usize) -> Option<f64> {
    // Twice as many as wanted, and back to those again: no list of all of them is needed.
    let (mut largest, mut seen) = (Vec::new(), 0usize);
    let mut least = f64::NEG_INFINITY;
    let shrink = |largest: &mut Vec<f64>| {
        let (_, least, _) = largest.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        let least = *least;
        largest.truncate(k);
        least
    };
    for n in numbers {
        seen += 1;
        if largest.len() < k || n > least {
            largest.push(n);
            if largest.len() >= k.saturating_mul(2) {
                least = shrink(&mut largest);
            }
        }
    }
    (seen > k).then(|| shrink(&mut largest))
}

/// 1 at every step where no series has a value, under the labels that the selector says must be equal.
fn absent(
    aggregation: &RangeAggregation,
    grid: Grid,
    series: impl Iterator<Item = GridSeries>,
) -> Vec<GridSeries> {
    let mut values = vec![Some(1.0); grid.count];
    for one in series {
        for (slot, _) in values.iter_mut().zip(one.values).filter(|(_, value)| value.is_some()) {
            *slot = None;
        }
    }
    if values.iter().all(Option::is_none) {
        return Vec::new();
    }
    let equal = aggregation.log.matchers.iter().filter(|m| m.op == MatchOp::Equal);
    let labels = Labels::from_pairs(equal.map(|m| (m.name.as_str(), m.value.as_str())));
    vec![GridSeries { labels, values }]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use reba_model::TextColumn;

    use super::*;
    use crate::syntax::{Expr, MetricExpr, parse};

    /// A count for each user, over rows whose users stand in their metadata.
    fn counting() -> RangeEval {
        let Ok(Expr::Metric(expr)) = parse(r#"sum by (user) (count_over_time({a="b"}[1000s]))"#) else {
            panic!("is a metric query")
        };
        let MetricExpr::Vector(around) = &expr else { panic!("is an aggregation") };
        let (aggregation, _) = crate::leaves(&expr)[0];
        RangeEval::new(
            aggregation,
            Grid::instant(900_000_000_000),
            RangeOptions::of(Some(around), aggregation),
        )
        .unwrap()
    }

    fn block(users: &[u16]) -> LogBlock {
        let names: Vec<String> = users.iter().map(|user| format!("u{user}")).collect();
        let mut end = 0;
        let ends = names.iter().map(|name| {
            end += name.len() as u32;
            end
        });
        let column = TextColumn::Plain { ends: ends.collect(), text: names.concat() };
        LogBlock {
            stream: Labels::from_pairs([("a", "b")]),
            times: (0..users.len() as i64).collect(),
            lines: None,
            metadata: vec![(Arc::from("user"), column)],
            extracted: None,
        }
    }

    fn counts_of(series: Vec<GridSeries>) -> BTreeMap<String, u64> {
        let one = |s: GridSeries| Some((s.labels.get("user")?.to_owned(), s.values[0]? as u64));
        series.into_iter().filter_map(one).collect()
    }

    proptest! {
        #[test]
        fn rows_shared_out_and_merged_count_as_those_of_one(
            users in prop::collection::vec(0u16..400, 0..1200), cut in 0usize..1200, k in 0usize..20, largest: bool,
        ) {
            let (first, second) = users.split_at(cut.min(users.len()));
            let mut merged = counting();
            for share in [first, second] {
                let mut worker = counting();
                worker.feed(&block(share)).unwrap();
                merged.merge(worker).unwrap();
            }
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            for user in &users {
                *expected.entry(format!("u{user}")).or_default() += 1;
            }
            prop_assert_eq!(counts_of(merged.clone().finish().unwrap()), expected.clone());

            merged.keep_extremes(k, largest);
            let kept = counts_of(merged.finish().unwrap());
            if k > 0 && k < expected.len() {
                let mut counts: Vec<u64> = expected.values().copied().collect();
                counts.sort_unstable();
                let least = if largest { counts[counts.len() - k] } else { counts[k - 1] };
                expected.retain(|_, n| if largest { *n >= least } else { *n <= least });
            }
            prop_assert_eq!(kept, expected);
        }
    }
}
