//! Pipelines over columns: filters asked once for each distinct value instead of once for each row.
//!
//! Everything here is for blocks in which nothing goes wrong. Whatever would leave an error in a row, or depends on more than one
//! column says, is given up with [`Complicated`], before anything has changed, and done row by row.

use reba_model::{Column, LogBlock, TextColumn};

use super::{
    Pipeline, Step, Unwrapper,
    filters::{Constant, LabelTest, LineTest, parse_float},
    state::{ERROR, ERROR_DETAILS},
};
use crate::syntax::{Conversion, LabelPick};

/// Not to be done by columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complicated;

/// Where the values of a label stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'b> {
    /// No row has the label.
    Absent,
    /// All rows have the same value.
    Const(&'b str),
    /// Texts.
    Text(&'b TextColumn),
    /// Numbers, and which rows have one.
    Numbers(&'b [f64], Option<&'b [bool]>),
}

/// The labels of a block's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'b> {
    pub(crate) block: &'b LogBlock,
    /// The names of the extracted columns; empty if there are none.
    pub(crate) names: &'b [(String, bool)],
}

impl<'b> Sources<'b> {
    /// The labels of a block, if each stands in one place.
    pub(crate) fn new(block: &'b LogBlock, names: &'b [(String, bool)]) -> Result<Self, Complicated> {
        // Metadata under a name of the stream goes by another name.
        if block.metadata.iter().any(|(name, _)| block.stream.get(name).is_some()) {
            return Err(Complicated);
        }
        Ok(Sources { block, names })
    }

    /// Where a label stands: the stream's keeps its name before that of metadata, that before a found one.
    pub(crate) fn of(&self, name: &str) -> Result<Source<'b>, Complicated> {
        if name == ERROR || name == ERROR_DETAILS {
            return Ok(Source::Absent);
        }
        if let Some(value) = self.block.stream.get(name) {
            return Ok(Source::Const(value));
        }
        let metadata = self.block.metadata.iter().find(|(n, _)| &**n == name).map(|(_, column)| column);
        let found = self.names.iter().position(|(n, _)| n == name);
        let found = found.and_then(|i| self.block.extracted.as_ref()?.get(i));
        Ok(match (metadata, found) {
            (None, None) => Source::Absent,
            (Some(column), None) => text(column),
            (Some(column), Some(_)) if !matches!(column, TextColumn::Dict { .. }) => text(column),
            // Some rows have it as metadata, others in the line.
            (Some(_), Some(_)) => return Err(Complicated),
            (None, Some(Column::Text(column))) => text(column),
            (None, Some(Column::Number { values, present })) => Source::Numbers(values, present.as_deref()),
        })
    }
}

fn text(column: &TextColumn) -> Source<'_> {
    match column {
        TextColumn::Const { value, .. } => Source::Const(value),
        column => Source::Text(column),
    }
}

/// What is known of one distinct value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Yes,
    No,
}

/// Keeps the rows for whose value `holds` says so; each distinct value is asked about once.
fn retain(
    source: Source<'_>,
    rows: &mut Vec<u32>,
    mut holds: impl FnMut(Option<&str>) -> Result<bool, Complicated>,
) -> Result<(), Complicated> {
    match source {
        Source::Absent | Source::Const(_) => {
            let value = if let Source::Const(value) = source { Some(value) } else { None };
            if !rows.is_empty() && !holds(value)? {
                rows.clear();
            }
        }
        Source::Text(TextColumn::Dict { values, codes }) => {
            let mut verdicts = vec![Verdict::Unknown; values.len() + 1];
            let mut kept = 0;
            for i in 0..rows.len() {
                let row = rows[i];
                let code = (codes[row as usize] as usize).min(values.len());
                if verdicts[code] == Verdict::Unknown {
                    let yes = holds(values.get(code).map(|v| &**v))?;
                    verdicts[code] = if yes { Verdict::Yes } else { Verdict::No };
                }
                rows[kept] = row;
                kept += usize::from(verdicts[code] == Verdict::Yes);
            }
            rows.truncate(kept);
        }
        Source::Text(column) => {
            let mut kept = 0;
            for i in 0..rows.len() {
                let row = rows[i];
                rows[kept] = row;
                kept += usize::from(holds(column.get(row as usize))?);
            }
            rows.truncate(kept);
        }
        Source::Numbers(..) => return Err(Complicated),
    }
    Ok(())
}

impl LineTest {
    fn keep(&self, block: &LogBlock, rows: &mut Vec<u32>) -> Result<(), Complicated> {
        let lines = block.lines.as_ref().ok_or(Complicated)?;
        retain(text(lines), rows, |line| Ok(self.passes(line.unwrap_or(""))))
    }
}

impl LabelTest {
    /// Keeps the rows that pass.
    fn keep(&self, sources: Sources<'_>, rows: &mut Vec<u32>) -> Result<(), Complicated> {
        match self {
            LabelTest::Text(matcher) => {
                retain(sources.of(&matcher.name)?, rows, |value| Ok(matcher.matches(value.unwrap_or(""))))
            }
            LabelTest::Converted { name, op, with } => match (sources.of(name)?, with) {
                (Source::Numbers(values, present), Constant::Number(number)) => {
                    rows.retain(|row| {
                        let row = *row as usize;
                        present.is_none_or(|p| p[row]) && op.holds(values[row], *number)
                    });
                    Ok(())
                }
                (source, with) => retain(source, rows, |value| match value {
                    Some(value) => with.compares(value, *op).map_err(|_| Complicated),
                    None => Ok(false),
                }),
            },
            LabelTest::Ip { name, negated, pattern } => retain(sources.of(name)?, rows, |value| {
                Ok(value.is_some_and(|value| pattern.matches(value) != *negated))
            }),
            LabelTest::And(left, right) => {
                left.keep(sources, rows)?;
                right.keep(sources, rows)
            }
            LabelTest::Or(left, right) => {
                let mut by_left = rows.clone();
                left.keep(sources, &mut by_left)?;
                // The right side is asked only about rows that the left side does not let pass.
                let mut passed = by_left.iter().copied().peekable();
                rows.retain(|row| passed.next_if_eq(row).is_none());
                right.keep(sources, rows)?;
                rows.extend(by_left);
                rows.sort_unstable();
                Ok(())
            }
        }
    }
}

impl Pipeline {
    /// Whether all stages but the parser are filters.
    pub(crate) fn is_columnar(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Line(_) | Step::Label(_) | Step::Json => true,
            Step::Logfmt { strict, keep_empty } => !strict && !keep_empty,
            Step::Drop(picks) => picks.iter().all(is_error),
            _ => false,
        })
    }

    /// Keeps the rows that pass all filters.
    pub(crate) fn keep(&self, sources: Sources<'_>, rows: &mut Vec<u32>) -> Result<(), Complicated> {
        for step in &self.steps {
            if rows.is_empty() {
                break;
            }
            match step {
                Step::Line(test) => test.keep(sources.block, rows)?,
                Step::Label(test) => test.keep(sources, rows)?,
                // The columns are what the parser finds, and there is no error to be dropped.
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_error(pick: &LabelPick) -> bool {
    matches!(pick, LabelPick::Name(name) if name == ERROR || name == ERROR_DETAILS)
}

impl Unwrapper {
    /// The numbers of the rows; rows without one, and those that the filters behind drop, leave `rows`.
    pub(crate) fn keep(
        &self,
        sources: Sources<'_>,
        rows: &mut Vec<u32>,
        numbers: &mut Vec<f64>,
    ) -> Result<(), Complicated> {
        let source = sources.of(&self.label)?;
        // Which rows have a number; that it is one shows before the filters behind are asked.
        if let Source::Numbers(_, present) = source {
            rows.retain(|row| present.is_none_or(|p| p[*row as usize]));
        } else {
            retain(source, rows, |value| match value {
                None | Some("") => Ok(false),
                Some(value) => self.number(value).map(|_| true).map_err(|_| Complicated),
            })?;
        }
        for filter in &self.filters {
            filter.keep(sources, rows)?;
        }
        numbers.clear();
        numbers.reserve(rows.len());
        let number = |value: &str| self.number(value).map_err(|_| Complicated);
        match source {
            Source::Absent => {}
            Source::Const(_) if rows.is_empty() => {}
            Source::Const(value) => numbers.resize(rows.len(), number(value)?),
            Source::Numbers(values, _) => numbers.extend(rows.iter().map(|row| values[*row as usize])),
            Source::Text(TextColumn::Dict { values, codes }) => {
                let mut known: Vec<Option<f64>> = vec![None; values.len()];
                for row in rows.iter() {
                    let code = codes[*row as usize] as usize;
                    let value = match known[code] {
                        Some(value) => value,
                        None => *known[code].insert(number(&values[code])?),
                    };
                    numbers.push(value);
                }
            }
            Source::Text(column) => {
                for row in rows.iter() {
                    numbers.push(number(column.get(*row as usize).unwrap_or(""))?);
                }
            }
        }
        Ok(())
    }

    pub(super) fn number(&self, text: &str) -> Result<f64, String> {
        match self.conversion {
            Conversion::Float => parse_float(text),
            Conversion::Bytes => crate::units::byte_size(text).map(|bytes| bytes as f64),
            Conversion::Duration | Conversion::DurationSeconds => {
                crate::units::go_duration(text).map(|ns| ns as f64 / 1e9)
            }
        }
    }
}
