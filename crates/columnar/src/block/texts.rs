//! Text columns for readers, built value by value.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::TextColumn;

use super::{
    BlockError, label,
    load::{Table, text},
    output,
    shape::Source,
    values::Values,
};

/// A column that is being built: with codes while the values come from dictionaries, as plain text otherwise.
pub(super) struct Texts {
    rows: usize,
    /// Codes of stored values, by column and stored code.
    known: BTreeMap<(u32, u32), u32>,
    /// The column that the codes in `direct` are of, and its codes: most often there is but one column.
    direct: (u32, Vec<u32>),
    values: Vec<Arc<str>>,
    codes: Vec<u32>,
    plain: Vec<u8>,
    ends: Vec<u32>,
    scratch: String,
}

/// Not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;

impl Texts {
    pub(super) fn new(rows: usize) -> Self {
        Texts {
            rows,
            known: BTreeMap::new(),
            direct: (u32::MAX, Vec::new()),
            values: Vec::new(),
            codes: Vec::with_capacity(rows),
            plain: Vec::new(),
            ends: Vec::new(),
            scratch: String::new(),
        }
    }

    /// A row without a text.
    pub(super) fn absent(&mut self) {
        self.codes.push(TextColumn::ABSENT);
    }

    /// Adds the row's value of a column, which has been loaded, as a parser has it; a row without a text if it does not count.
    pub(super) fn push(&mut self, table: &Table<'_, '_>, column: u32, row: usize) -> Result<(), BlockError> {
        let missing = BlockError("value is missing");
        let loaded = table.loaded(column).ok_or(missing)?;
        let rank = table.ranks(column).get(row).ok_or(missing)?;
        let source = table.frame.columns[column as usize].source;
        let (stored, distinct) = match loaded {
            Values::Const(_) => (0, 1),
            Values::Dict { codes, dict } => (codes[rank], dict.len()),
            values => {
                let start = self.plain.len();
                values.push(rank, &mut self.plain);
                return self.end_plain(table, start, source);
            }
        };
        let code = self.code(column, stored, distinct);
        if code != UNKNOWN {
            self.codes.push(code);
            return Ok(());
        }
        let mut raw = Vec::new();
        loaded.push(rank, &mut raw);
        let raw = text(raw)?;
        let code = match label::resolve(source, &raw, &mut self.scratch) {
            Some(value) => {
                self.values.push(Arc::from(value));
                self.values.len() as u32 - 1
            }
            None => TextColumn::ABSENT,
        };
        self.note(column, stored, code);
        self.codes.push(code);
        Ok(())
    }

    fn code(&mut self, column: u32, stored: u32, distinct: usize) -> u32 {
        if self.direct.0 == u32::MAX {
            self.direct = (column, vec![UNKNOWN; distinct]);
        }
        if self.direct.0 == column {
            return self.direct.1[stored as usize];
        }
        self.known.get(&(column, stored)).copied().unwrap_or(UNKNOWN)
    }

    fn note(&mut self, column: u32, stored: u32, code: u32) {
        if self.direct.0 == column {
            self.direct.1[stored as usize] = code;
        } else {
            self.known.insert((column, stored), code);
        }
    }

    /// A text has been written behind `start`.
    fn end_plain(&mut self, table: &Table<'_, '_>, start: usize, source: Source) -> Result<(), BlockError> {
        let raw = std::str::from_utf8(&self.plain[start..]).map_err(|_| BlockError("is not UTF-8"))?;
        let len = match label::resolve(source, raw, &mut self.scratch) {
            Some(value) => value.len(),
            None => {
                self.plain.truncate(start);
                self.absent();
                return Ok(());
            }
        };
        // Resolving escapes makes a text shorter, if anything; then it is in the scratch.
        if len != raw.len() {
            self.plain.truncate(start);
            self.plain.extend_from_slice(self.scratch.as_bytes());
        }
        if self.plain.len() as u64 > table.frame.text_bytes {
            return Err(BlockError("has more text than it says"));
        }
        // Codes of plain texts are their numbers, behind a mark until all rows are there.
        self.codes.push(PLAIN | self.ends.len() as u32);
        self.ends.push(self.plain.len() as u32);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<TextColumn, BlockError> {
        if self.ends.len() == self.rows {
            return output::plain(self.plain, self.ends);
        }
        if self.values.len() == 1 && self.codes.iter().all(|c| *c == 0) {
            return Ok(TextColumn::Const { value: Arc::clone(&self.values[0]), rows: self.rows });
        }
        let text = text(self.plain)?;
        for code in &mut self.codes {
            if *code & PLAIN != 0 && *code != TextColumn::ABSENT {
                let i = (*code & !PLAIN) as usize;
                let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
                let value = text.get(start..self.ends[i] as usize).ok_or(BlockError("is not UTF-8"))?;
                *code = self.values.len() as u32;
                self.values.push(Arc::from(value));
            }
        }
        Ok(TextColumn::Dict { values: self.values, codes: self.codes })
    }
}

/// The mark of a plain text among codes; a block has far fewer rows.
const PLAIN: u32 = 1 << 31;
