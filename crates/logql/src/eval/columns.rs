//! Grouping by columns: the series of a value is looked up once a block, not once a row.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use reba_model::{Column, Labels, LogBlock, TextColumn};

use super::{
    EvalError, RangeEval,
    range::{LabelHash, Row},
};
use crate::pipeline::{Complicated, Source, Sources};

/// Memory that serves block after block.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnScratch {
    rows: Vec<u32>,
    numbers: Vec<f64>,
    hashes: Vec<LabelHash>,
    series: Vec<usize>,
}

/// The label of a series, with its values in the rows of a block.
struct Key<'b> {
    name: &'b str,
    values: KeyValues<'b>,
}

enum KeyValues<'b> {
    /// A hash for each code; the last one for rows without a value.
    Codes {
        values: &'b [Arc<str>],
        codes: &'b [u32],
        hashes: Vec<LabelHash>,
    },
    Each(&'b TextColumn, u64),
}

/// No series looked up yet.
const UNKNOWN: usize = usize::MAX;

/// Rows whose series are looked up together. With a million series each is a walk through memory that nobody has near: one after
/// the other they would wait for each other.
const TOGETHER: usize = 256;

impl RangeEval {
    /// Takes the rows of a block by columns.
    pub(super) fn feed_columns(
        &mut self,
        block: &LogBlock,
        scratch: &mut ColumnScratch,
    ) -> Result<Result<(), EvalError>, Complicated> {
        let needs = Arc::clone(&self.needs);
        let names = match (&needs.extract, &block.extracted) {
            (Some(extract), Some(_)) => extract.names.as_slice(),
            (Some(_), None) => return Err(Complicated),
            (None, _) => &[],
        };
        let sources = Sources::new(block, names)?;
        let ColumnScratch { rows, numbers, .. } = scratch;
        rows.clear();
        let mut cursor = self.cursor();
        for (row, ns) in block.times.iter().enumerate() {
            let (first, end) = cursor.windows(*ns);
            if first < end {
                rows.push(row as u32);
            }
        }
        let seen = rows.len() as u64;
        self.pipeline.keep(sources, rows)?;
        numbers.clear();
        if let Some(unwrapper) = &self.unwrapper {
            unwrapper.keep(sources, rows, numbers)?;
        }
        let (fixed, keys) = self.keys(sources)?;
        self.rows_seen += seen;
        self.rows_passed += rows.len() as u64;
        let rows = Found { block, sizes: self.counts_bytes(), fixed, keys };
        Ok(match rows.keys.as_slice() {
            [] | [Key { values: KeyValues::Codes { .. }, .. }] => self.add_by_code(&rows, scratch),
            _ => self.add_by_value(&rows, scratch),
        })
    }

    /// The labels of the series: those that all rows share, and those that differ.
    #[expect(clippy::type_complexity, reason = "two lists of labels")]
    fn keys<'b>(&self, sources: Sources<'b>) -> Result<(Vec<(&'b str, &'b str)>, Vec<Key<'b>>), Complicated> {
        let block = sources.block;
        let stream = block.stream.iter().map(|(name, _)| name);
        let metadata = block.metadata.iter().map(|(name, _)| &**name);
        let found = sources.names.iter().map(|(name, _)| name.as_str());
        let names: BTreeSet<&'b str> =
            stream.chain(metadata).chain(found).filter(|n| self.keeps(n)).collect();
        let (mut fixed, mut keys) = (Vec::new(), Vec::new());
        for name in names {
            let values = match sources.of(name)? {
                Source::Absent => continue,
                Source::Const(value) => {
                    fixed.push((name, value));
                    continue;
                }
                Source::Text(TextColumn::Dict { values, codes }) => {
                    let seed = LabelHash::of_name(name);
                    let hashes = values.iter().map(|value| LabelHash::of(seed, value));
                    let hashes = hashes.chain([LabelHash::default()]).collect();
                    KeyValues::Codes { values, codes, hashes }
                }
                Source::Text(column) => KeyValues::Each(column, LabelHash::of_name(name)),
                // A number has lost how it was written.
                Source::Numbers(..) => return Err(Complicated),
            };
            keys.push(Key { name, values });
        }
        Ok((fixed, keys))
    }

    /// Adds rows that differ by one column of codes or by nothing: the series is looked up once a code.
    fn add_by_code(&mut self, found: &Found<'_>, scratch: &ColumnScratch) -> Result<(), EvalError> {
        let (base, mut cursor) = (found.base(), self.cursor());
        let (codes, hashes) = match found.keys.first().map(|key| &key.values) {
            Some(KeyValues::Codes { codes, hashes, .. }) => (*codes, hashes.as_slice()),
            _ => (&[][..], &[LabelHash::default()][..]),
        };
        let mut by_code = vec![UNKNOWN; hashes.len()];
        for (i, row) in scratch.rows.iter().enumerate() {
            let at = *row as usize;
            let code = codes.get(at).map_or(0, |code| (*code as usize).min(hashes.len() - 1));
            if by_code[code] == UNKNOWN {
                by_code[code] = self.series_of(base.and(hashes[code]), || found.labels(at))?;
            }
            let row = found.row(at, scratch.numbers.get(i));
            self.add(by_code[code], row, cursor.windows(row.ns))?;
        }
        Ok(())
    }

    /// Adds rows of which each may have a series of its own.
    fn add_by_value(&mut self, found: &Found<'_>, scratch: &mut ColumnScratch) -> Result<(), EvalError> {
        let ColumnScratch { rows, numbers, hashes, series } = scratch;
        let (base, mut cursor) = (found.base(), self.cursor());
        for (n, rows) in rows.chunks(TOGETHER).enumerate() {
            let hash = |row: &u32| found.keys.iter().fold(base, |sum, key| sum.and(key.hash(*row as usize)));
            hashes.clear();
            hashes.extend(rows.iter().map(hash));
            series.clear();
            series.extend(hashes.iter().map(|hash| self.known(*hash).unwrap_or(UNKNOWN)));
            for (i, (row, known)) in rows.iter().zip(&*series).enumerate() {
                let at = *row as usize;
                let series = match *known {
                    UNKNOWN => self.series_of(hashes[i], || found.labels(at))?,
                    known => known,
                };
                let row = found.row(at, numbers.get(n * TOGETHER + i));
                self.add(series, row, cursor.windows(row.ns))?;
            }
        }
        Ok(())
    }
}

/// Rows of a block that passed the pipeline, and what their series are called.
struct Found<'b> {
    block: &'b LogBlock,
    /// Whether the lengths of lines matter.
    sizes: bool,
    /// Labels that all rows share.
    fixed: Vec<(&'b str, &'b str)>,
    /// Those that differ.
    keys: Vec<Key<'b>>,
}

impl Found<'_> {
    /// The hash of what all rows share.
    fn base(&self) -> LabelHash {
        let hash = |(name, value): &(&str, &str)| LabelHash::of(LabelHash::of_name(name), value);
        self.fixed.iter().map(hash).fold(LabelHash::default(), LabelHash::and)
    }

    fn row(&self, at: usize, number: Option<&f64>) -> Row {
        let bytes = if self.sizes { line_bytes(self.block, at) } else { 0 };
        Row { ns: self.block.times[at], value: number.copied().unwrap_or(0.0), bytes }
    }

    fn labels(&self, at: usize) -> Labels {
        let differing = self.keys.iter().filter_map(|key| Some((key.name, key.value(at)?)));
        let mut pairs: Vec<(&str, &str)> = self.fixed.iter().copied().chain(differing).collect();
        pairs.sort_unstable();
        Labels::from_sorted_verbatim(pairs)
    }
}

fn line_bytes(block: &LogBlock, row: usize) -> usize {
    block.lines.as_ref().and_then(|lines| lines.get(row)).map_or(0, str::len)
}

impl Key<'_> {
    fn hash(&self, row: usize) -> LabelHash {
        match &self.values {
            KeyValues::Codes { codes, hashes, .. } => hashes[(codes[row] as usize).min(hashes.len() - 1)],
            KeyValues::Each(column, seed) => {
                column.get(row).map_or_else(LabelHash::default, |value| LabelHash::of(*seed, value))
            }
        }
    }

    fn value(&self, row: usize) -> Option<&str> {
        match &self.values {
            KeyValues::Codes { values, codes, .. } => values.get(codes[row] as usize).map(|v| &**v),
            KeyValues::Each(column, _) => column.get(row),
        }
    }
}

/// The values of a row that a parser would have found, as text.
pub(super) fn found_in_row<'b>(
    names: &'b [(String, bool)],
    columns: &'b [Column],
    row: usize,
) -> Vec<(&'b str, Cow<'b, str>)> {
    let value = |column: &'b Column| match column {
        Column::Text(texts) => texts.get(row).map(Cow::Borrowed),
        Column::Number { values, present } => {
            let there = present.as_ref().is_none_or(|p| p[row]);
            there.then(|| Cow::Owned(reba_model::float::format_f(values[row])))
        }
    };
    names
        .iter()
        .zip(columns)
        .filter_map(|((name, _), column)| Some((name.as_str(), value(column)?)))
        .collect()
}
