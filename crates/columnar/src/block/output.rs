//! Rows and columns of a block for those who asked.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{Labels, LogBlock, NanoRange, TextColumn};
use reba_storage::{LogWant, MetadataWant};

use super::{
    BlockError, OwnedRow, ReadCost,
    frame::Frame,
    load::{Table, text},
    shape::Source,
    values::Values,
};

/// All rows as they were written.
pub(super) fn rows(frame: &Frame<'_>) -> Result<Vec<OwnedRow>, BlockError> {
    let mut table = Table::open(frame)?;
    let all: Vec<u32> = (0..frame.rows as u32).collect();
    table.load_lines(&all)?;
    for columns in &frame.metadata_shapes {
        for column in columns {
            table.load(*column)?;
        }
    }
    let mut rows = Vec::with_capacity(frame.rows);
    let mut left = frame.text_bytes;
    for row in 0..frame.rows {
        let mut line = Vec::new();
        table.push_line(row, &mut line)?;
        let columns = &frame.metadata_shapes[table.metadata_of[row] as usize];
        let metadata = columns.iter().map(|column| {
            let mut value = Vec::new();
            table.push_value(*column, row, &mut value)?;
            Ok((frame.columns[*column as usize].name.to_owned(), text(value)?))
        });
        let metadata = metadata.collect::<Result<Vec<_>, BlockError>>()?;
        let size = line.len() + metadata.iter().map(|(n, v): &(String, String)| n.len() + v.len()).sum::<usize>();
        left = left.checked_sub(size as u64).ok_or(BlockError("has more text than it says"))?;
        rows.push(OwnedRow { ns: table.times[row], line: text(line)?, metadata });
    }
    Ok(rows)
}

/// The rows that are wanted, as far as they are.
pub(super) fn read(
    frame: &Frame<'_>,
    stream: &Labels,
    range: NanoRange,
    want: &LogWant,
    cost: &mut ReadCost,
) -> Result<Option<LogBlock>, BlockError> {
    let mut table = Table::open(frame)?;
    let rows: Vec<u32> = (0..frame.rows as u32).filter(|r| range.contains(table.times[*r as usize])).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let lines = Some(lines(&mut table, &rows)?);
    let metadata = metadata(&mut table, &rows, &want.metadata)?;
    cost.bytes_read += table.cost.bytes_read;
    cost.bytes_decoded += table.cost.bytes_decoded;
    let times = rows.iter().map(|r| table.times[*r as usize]).collect();
    Ok(Some(LogBlock { stream: stream.clone(), times, lines, metadata, extracted: None }))
}

/// The lines of rows.
pub(super) fn lines(table: &mut Table<'_, '_>, rows: &[u32]) -> Result<TextColumn, BlockError> {
    table.load_lines(rows)?;
    let mut out = Vec::new();
    let mut ends = Vec::with_capacity(rows.len());
    for row in rows {
        table.push_line(*row as usize, &mut out)?;
        ends.push(out.len() as u32);
    }
    plain(out, ends)
}

/// A column of texts that have been written one after another.
pub(super) fn plain(out: Vec<u8>, ends: Vec<u32>) -> Result<TextColumn, BlockError> {
    let text = text(out)?;
    if ends.iter().any(|end| !text.is_char_boundary(*end as usize)) {
        return Err(BlockError("is not UTF-8"));
    }
    Ok(TextColumn::Plain { text, ends })
}

/// The metadata of rows by name; of two values of one name in a row the first.
pub(super) fn metadata(
    table: &mut Table<'_, '_>,
    rows: &[u32],
    want: &MetadataWant,
) -> Result<Vec<(Arc<str>, TextColumn)>, BlockError> {
    let mut by_name: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (column, head) in table.frame.columns.iter().enumerate() {
        let wanted = match want {
            MetadataWant::All => true,
            MetadataWant::Names(names) => names.iter().any(|n| n == head.name),
        };
        if head.source == Source::Metadata && wanted {
            by_name.entry(head.name).or_default().push(column as u32);
        }
    }
    let mut columns = Vec::with_capacity(by_name.len());
    for (name, sources) in by_name {
        let picks = table.first_of(rows, &sources)?;
        if picks.iter().any(Option::is_some) {
            columns.push((Arc::from(name), text_column(table, rows, &picks)?));
        }
    }
    Ok(columns)
}

impl Table<'_, '_> {
    /// For each row the first of the columns that it has.
    fn first_of(&mut self, rows: &[u32], columns: &[u32]) -> Result<Vec<Option<u32>>, BlockError> {
        let mut picks = vec![None; rows.len()];
        for column in columns {
            let loaded = self.load(*column)?;
            for (pick, row) in picks.iter_mut().zip(rows) {
                if pick.is_none() && loaded.rank(*row as usize).is_some() {
                    *pick = Some(*column);
                }
            }
        }
        Ok(picks)
    }
}

/// The text that each row has in the column picked for it, as it is stored.
fn text_column(
    table: &Table<'_, '_>,
    rows: &[u32],
    picks: &[Option<u32>],
) -> Result<TextColumn, BlockError> {
    let mut out = Vec::new();
    let mut ends = Vec::with_capacity(rows.len());
    if picks.iter().all(Option::is_some) && !is_dictionary(table, picks) {
        for (row, column) in rows.iter().zip(picks.iter().flatten()) {
            table.push_value(*column, *row as usize, &mut out)?;
            ends.push(out.len() as u32);
        }
        return plain(out, ends);
    }
    // Texts by column and code, where there are codes; a text for each row otherwise.
    let mut known: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    let (mut values, mut codes) = (Vec::new(), Vec::with_capacity(rows.len()));
    for (row, pick) in rows.iter().zip(picks) {
        let Some(column) = pick else {
            codes.push(TextColumn::ABSENT);
            continue;
        };
        let code = table.loaded(*column).and_then(|loaded| match &loaded.values {
            Values::Const(_) => Some(0),
            Values::Dict { codes, .. } => loaded.rank(*row as usize).map(|rank| codes[rank]),
            _ => None,
        });
        let next = values.len() as u32;
        let index = code.map_or(next, |code| *known.entry((*column, code)).or_insert(next));
        if index == next {
            let mut value = Vec::new();
            table.push_value(*column, *row as usize, &mut value)?;
            values.push(Arc::from(text(value)?));
        }
        codes.push(index);
    }
    Ok(TextColumn::Dict { values, codes })
}

fn is_dictionary(table: &Table<'_, '_>, picks: &[Option<u32>]) -> bool {
    picks.first().copied().flatten().and_then(|column| table.loaded(column)).is_some_and(|loaded| {
        matches!(loaded.values, Values::Const(_) | Values::Dict { .. })
    })
}
