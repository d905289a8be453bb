//! A query's result: all of its text in one piece, for a scrape has thousands of values.

use std::ops::Range;

/// A result.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    text: String,
    /// Where each value stands in the text, row by row; absent are nulls. No more than 4 GiB are ever asked for.
    cells: Vec<Option<Range<u32>>>,
}

/// A row of it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'t> {
    text: &'t str,
    cells: &'t [Option<Range<u32>>],
}

impl<'t> Row<'t> {
    /// The value in a column; none, if it is null, or if there is no such column.
    pub fn get(self, column: usize) -> Option<&'t str> {
        let place = self.cells.get(column)?.as_ref()?;
        self.text.get(place.start as usize..place.end as usize)
    }

    /// All values.
    pub fn values(self) -> impl Iterator<Item = Option<&'t str>> {
        (0..self.cells.len()).map(move |column| self.get(column))
    }
}

impl Table {
    /// Names the columns of the rows that follow; those of a statement before are forgotten.
    pub fn name(&mut self, columns: Vec<String>) {
        *self = Table { columns, ..Table::default() };
    }

    /// Adds a row; it has as many values as there are columns.
    pub fn push<'v>(&mut self, values: impl Iterator<Item = Option<&'v str>>) {
        let width = self.columns.len();
        for value in values.chain(std::iter::repeat(None)).take(width) {
            let place = value.map(|value| {
                let start = self.text.len() as u32;
                self.text.push_str(value);
                start..self.text.len() as u32
            });
            self.cells.push(place);
        }
    }

    /// Names of columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.chunks_exact(self.columns.len().max(1)).map(|cells| Row { text: &self.text, cells })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.cells.len() / self.columns.len().max(1)
    }

    /// How much text they have.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
impl Table {
    /// A table for a test.
    pub fn of(columns: &[&str], rows: &[&[Option<&str>]]) -> Self {
        let mut table = Table::default();
        table.name(columns.iter().map(|c| (*c).to_owned()).collect());
        for row in rows {
            table.push(row.iter().copied());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_were_put_and_nulls_are_none() {
        let table = Table::of(&["a", "b"], &[&[Some("x"), None], &[Some(""), Some("yz")], &[Some("short")]]);
        let rows: Vec<Vec<Option<&str>>> = table.rows().map(|row| row.values().collect()).collect();
        assert_eq!(rows, [[Some("x"), None], [Some(""), Some("yz")], [Some("short"), None]]);
        assert_eq!((table.len(), table.bytes()), (3, 8));
        assert_eq!(table.rows().next().and_then(|row| row.get(2)), None);
        assert_eq!(Table::default().rows().count(), 0);
    }
}
