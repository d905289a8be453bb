//! Grouping by columns: the series of a value is looked up once a block, not once a row.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use reba_model::{Column, Labels, LogBlock, TextColumn};

use super::{
    EvalError, RangeEval,
    range::{LabelHash, Row},
};
use crate::{
    pipeline::{Complicated, Source, Sources},
    syntax::RangeOp,
};

/// Memory that serves block after block.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnScratch {
    rows: Vec<u32>,
    numbers: Vec<f64>,
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
        let ColumnScratch { rows, numbers } = scratch;
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
        Ok(self.add_rows(block, (rows, numbers), &fixed, &keys))
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

    fn add_rows(
        &mut self,
        block: &LogBlock,
        (rows, numbers): (&[u32], &[f64]),
        fixed: &[(&str, &str)],
        keys: &[Key<'_>],
    ) -> Result<(), EvalError> {
        let base = fixed.iter().fold(LabelHash::default(), |sum, (name, value)| {
            sum.and(LabelHash::of(LabelHash::of_name(name), value))
        });
        let sizes = matches!(self.aggregation.op, RangeOp::Bytes | RangeOp::BytesRate);
        let mut cursor = self.cursor();
        // One column of codes, or none: the series of each code.
        let mut by_code = match keys {
            [] => vec![UNKNOWN],
            [Key { values: KeyValues::Codes { hashes, .. }, .. }] => vec![UNKNOWN; hashes.len()],
            _ => Vec::new(),
        };
        let mut before = (LabelHash::default(), UNKNOWN);
        for (i, row) in rows.iter().enumerate() {
            let at = *row as usize;
            let code = match keys {
                [Key { values: KeyValues::Codes { codes, hashes, .. }, .. }] => {
                    (codes[at] as usize).min(hashes.len() - 1)
                }
                _ => 0,
            };
            let mut series = by_code.get(code).copied().unwrap_or(UNKNOWN);
            if series == UNKNOWN {
                let hash = keys.iter().fold(base, |sum, key| sum.and(key.hash(at)));
                if before != (hash, before.1) || before.1 == UNKNOWN {
                    before = (hash, self.series_of(hash, || labels_of(fixed, keys, at))?);
                }
                series = before.1;
                if let Some(slot) = by_code.get_mut(code) {
                    *slot = series;
                }
            }
            let ns = block.times[at];
            let bytes = if sizes { line_bytes(block, at) } else { 0 };
            let value = numbers.get(i).copied().unwrap_or(0.0);
            self.add(series, Row { ns, value, bytes }, cursor.windows(ns))?;
        }
        Ok(())
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

fn labels_of(fixed: &[(&str, &str)], keys: &[Key<'_>], row: usize) -> Labels {
    let differing = keys.iter().filter_map(|key| Some((key.name, key.value(row)?)));
    let mut pairs: Vec<(&str, &str)> = fixed.iter().copied().chain(differing).collect();
    pairs.sort_unstable();
    Labels::from_sorted_verbatim(pairs)
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
