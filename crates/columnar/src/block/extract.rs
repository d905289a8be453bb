//! What a parser of LogQL would take from the lines of a block, from its columns.

use reba_model::{Column, TextColumn, float::parse_go};
use reba_storage::{Extract, LineParser, ValueForm};

use super::{
    BlockError,
    label::{self, Place, Wanted},
    load::Table,
    texts::Texts,
    typed::Format,
    values::Values,
};

/// The wanted values of rows; nothing if only the parser can tell.
pub(super) fn columns(
    table: &mut Table<'_, '_>,
    rows: &[u32],
    extract: &Extract,
) -> Result<Option<Vec<Column>>, BlockError> {
    let mut met = vec![false; table.frame.shapes.len()];
    for row in rows {
        met[table.shape_of[*row as usize] as usize] = true;
    }
    let mut columns = Vec::with_capacity(extract.names.len());
    for shape in table.frame.shapes.iter().zip(&met).filter(|(_, met)| **met).map(|(s, _)| s) {
        match label::place(table.frame, shape, extract.parser, "") {
            Place::Unknown => return Ok(None),
            Place::Refused if extract.errors => return Ok(None),
            _ => {}
        }
    }
    for (name, form) in &extract.names {
        let places = places(table, &met, extract.parser, name);
        for column in places.iter().flatten() {
            table.load(*column)?;
        }
        let numbers = match form {
            ValueForm::Number => numbers(table, rows, &places),
            ValueForm::Text => None,
        };
        columns.push(match numbers {
            Some(numbers) => numbers,
            None => Column::Text(texts(table, rows, &places)?),
        });
    }
    Ok(Some(columns))
}

/// For each shape the columns that may have the value, the first before the others.
fn places(table: &Table<'_, '_>, met: &[bool], parser: LineParser, name: &str) -> Vec<Vec<u32>> {
    let shapes = table.frame.shapes.iter().zip(met);
    shapes
        .map(|(shape, met)| match label::place(table.frame, shape, parser, name) {
            Place::Columns(columns) if *met => columns,
            _ => Vec::new(),
        })
        .collect()
}

/// The values as numbers, if all that are there are numbers.
fn numbers(table: &Table<'_, '_>, rows: &[u32], places: &[Vec<u32>]) -> Option<Column> {
    let mut parsed: Vec<Option<Vec<Number>>> = (0..table.frame.columns.len()).map(|_| None).collect();
    for column in places.iter().flatten() {
        let of = &mut parsed[*column as usize];
        if of.is_none() {
            *of = Some(parsed_column(table, *column)?);
        }
    }
    let number = |row: usize| {
        for column in &places[table.shape_of[row] as usize] {
            let rank = table.ranks(*column).get(row)?;
            match parsed[*column as usize].as_ref()?[rank] {
                Number::Absent => {}
                Number::Is(n) => return Some(Some(n)),
                Number::Not => return None,
            }
        }
        Some(None)
    };
    let mut values = Vec::with_capacity(rows.len());
    let mut present = Vec::with_capacity(rows.len());
    for row in rows {
        let n = number(*row as usize)?;
        present.push(n.is_some());
        values.push(n.unwrap_or(0.0));
    }
    let all = present.iter().all(|p| *p);
    Some(Column::Number { values, present: (!all).then_some(present) })
}

#[derive(Clone, Copy)]
enum Number {
    Absent,
    Is(f64),
    Not,
}

/// The numbers of a column; nothing if it has no numbers by its form.
fn parsed_column(table: &Table<'_, '_>, column: u32) -> Option<Vec<Number>> {
    let head = &table.frame.columns[column as usize];
    match table.loaded(column)? {
        Values::Numbers { format: Format::Ipv4, .. } | Values::Times { .. } => None,
        Values::Numbers { format, numbers } => {
            let number = |n: &i64| format.number(*n).map_or(Number::Not, Number::Is);
            Some(numbers.iter().map(number).collect())
        }
        values => Some(label::each(head, values, Wanted::All(table.ranks(column).len), |value| match value
            .map(parse_go)
        {
            None => Number::Absent,
            Some(Some(n)) => Number::Is(n),
            Some(None) => Number::Not,
        })),
    }
}

fn texts(table: &Table<'_, '_>, rows: &[u32], places: &[Vec<u32>]) -> Result<TextColumn, BlockError> {
    let mut texts = Texts::new(rows.len());
    let mut scratch = String::new();
    for row in rows {
        let row = *row as usize;
        let columns = &places[table.shape_of[row] as usize];
        match columns.as_slice() {
            [] => texts.absent(),
            [column] => texts.push(table, *column, row)?,
            several => {
                // The first that counts; none if none does.
                let counts = |column: &&u32| {
                    let mut raw = Vec::new();
                    let source = table.frame.columns[**column as usize].source;
                    table.push_value(**column, row, &mut raw).is_ok()
                        && label::resolve(source, &String::from_utf8_lossy(&raw), &mut scratch).is_some()
                };
                match several.iter().find(counts) {
                    Some(column) => texts.push(table, *column, row)?,
                    None => texts.absent(),
                }
            }
        }
    }
    texts.finish()
}
