//! Rows and columns of a block for those who asked.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{Labels, LogBlock, NanoRange, TextColumn};
use reba_storage::{LogWant, MetadataWant};

use super::{
    BlockError, OwnedRow, Reading, extract,
    frame::Frame,
    load::{Table, text},
    select,
    shape::Source,
    texts::Texts,
};

/// Of a block, this part of the rows or less is put together row by row.
const FEW: usize = 4;

/// And with this part or less no more conditions are looked at.
const VERY_FEW: usize = 128;

/// All rows as they were written.
pub(super) fn rows(frame: &Frame<'_>, reading: &mut Reading) -> Result<Vec<OwnedRow>, BlockError> {
    let mut table = Table::open(frame, reading)?;
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
        let size =
            line.len() + metadata.iter().map(|(n, v): &(String, String)| n.len() + v.len()).sum::<usize>();
        left = left.checked_sub(size as u64).ok_or(BlockError("has more text than it says"))?;
        rows.push(OwnedRow { ns: table.times()?[row], line: text(line)?, metadata });
    }
    table.close(reading);
    Ok(rows)
}

/// The rows that are wanted, as far as they are.
pub(super) fn read(
    frame: &Frame<'_>,
    stream: &Labels,
    range: NanoRange,
    want: &LogWant,
    reading: &mut Reading,
) -> Result<Option<LogBlock>, BlockError> {
    let mut table = Table::open(frame, reading)?;
    let block = selected(&mut table, stream, range, want);
    table.close(reading);
    block
}

fn selected(
    table: &mut Table<'_, '_>,
    stream: &Labels,
    range: NanoRange,
    want: &LogWant,
) -> Result<Option<LogBlock>, BlockError> {
    let frame = table.frame;
    let mut live = vec![true; frame.rows];
    // Times are read when they are needed.
    if !range.contains(frame.first_ns) || !range.contains(frame.last_ns) {
        live.iter_mut().zip(table.times()?).for_each(|(live, ns)| *live = range.contains(*ns));
    }
    for condition in &want.conditions {
        match live.iter().filter(|l| **l).count() {
            0 => return Ok(None),
            // The reader tries what is left as fast.
            count if count * VERY_FEW <= frame.rows => break,
            _ => {}
        }
        if let Some(kept) = select::rows(table, stream, condition, &live)? {
            live.iter_mut().zip(kept).for_each(|(live, kept)| *live &= kept);
        }
    }
    if !live.contains(&true) {
        return Ok(None);
    }
    let times = table.times()?;
    let is_row = |r: &u32| live[*r as usize] && range.contains(times[*r as usize]);
    let mut rows: Vec<u32> = (0..frame.rows as u32).filter(is_row).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.len() * FEW <= frame.rows {
        let count = rows.len() as u32;
        table.narrow(rows)?;
        rows = (0..count).collect();
    }
    let extracted = match &want.extract {
        Some(extract) => extract::columns(table, &rows, extract)?,
        None => None,
    };
    let by_reader = want.extract.is_some() && extracted.is_none();
    let lines = if want.lines || by_reader { Some(lines(table, &rows)?) } else { None };
    let metadata = metadata(table, &rows, &want.metadata)?;
    let all = table.times()?;
    let times = rows.iter().map(|r| all[*r as usize]).collect();
    Ok(Some(LogBlock { stream: stream.clone(), times, lines, metadata, extracted }))
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
            self.load(*column)?;
            let ranks = self.ranks(*column);
            for (pick, row) in picks.iter_mut().zip(rows) {
                if pick.is_none() && ranks.get(*row as usize).is_some() {
                    *pick = Some(*column);
                }
            }
        }
        Ok(picks)
    }
}

/// The text that each row has in the column picked for it, as it is stored.
fn text_column(table: &Table<'_, '_>, rows: &[u32], picks: &[Option<u32>]) -> Result<TextColumn, BlockError> {
    let mut texts = Texts::new(rows.len());
    for (row, pick) in rows.iter().zip(picks) {
        match pick {
            Some(column) => texts.push(table, *column, *row as usize)?,
            None => texts.absent(),
        }
    }
    texts.finish()
}
