//! Columns of a block, read when they are needed.

use super::{
    BlockError, ReadCost,
    frame::Frame,
    ints,
    shape::Source,
    values::{Allowance, Node, Values, read_codes},
    wire::Reader,
};

/// The value a row has in a column that it does not have.
pub(super) const NONE: u32 = u32::MAX;

/// A column's values, and which row has which.
#[derive(Debug)]
pub(super) struct Loaded<'a> {
    pub(super) values: Values<'a>,
    /// The value of each row, [`NONE`] without one; not there if every row has the value of its own number.
    pub(super) ranks: Option<Vec<u32>>,
    /// How many values there are.
    pub(super) len: usize,
}

impl Loaded<'_> {
    #[inline]
    pub(super) fn rank(&self, row: usize) -> Option<usize> {
        match &self.ranks {
            None => Some(row),
            Some(ranks) => (ranks[row] != NONE).then_some(ranks[row] as usize),
        }
    }
}

/// A block that is being read.
pub(super) struct Table<'f, 'a> {
    pub(super) frame: &'f Frame<'a>,
    pub(super) times: Vec<i64>,
    pub(super) shape_of: Vec<u32>,
    pub(super) metadata_of: Vec<u32>,
    columns: Vec<Option<Loaded<'a>>>,
    allowance: Allowance,
    pub(super) cost: ReadCost,
}

impl<'f, 'a> Table<'f, 'a> {
    pub(super) fn open(frame: &'f Frame<'a>) -> Result<Self, BlockError> {
        let rows = frame.rows;
        let codes = |bytes: &'a [u8], distinct| read_codes(&mut Reader::new(bytes), distinct, rows);
        Ok(Table {
            times: ints::decode(&mut Reader::new(frame.times), rows)?,
            shape_of: codes(frame.shape_of, frame.shapes.len())?,
            metadata_of: codes(frame.metadata_of, frame.metadata_shapes.len())?,
            columns: (0..frame.columns.len()).map(|_| None).collect(),
            // Lengths lie among the texts of dictionaries.
            allowance: Allowance(frame.text_bytes as usize * 2 + (1 << 16)),
            cost: ReadCost {
                bytes_read: frame.bytes
                    + (frame.times.len() + frame.shape_of.len() + frame.metadata_of.len()) as u64,
                bytes_decoded: 0,
            },
            frame,
        })
    }

    /// Reads a column, unless it has been.
    pub(super) fn load(&mut self, column: u32) -> Result<&Loaded<'a>, BlockError> {
        let column = column as usize;
        if self.columns[column].is_none() {
            self.columns[column] = Some(self.read(column)?);
        }
        self.columns[column].as_ref().ok_or(BlockError("column is missing"))
    }

    /// A column that has been loaded.
    pub(super) fn loaded(&self, column: u32) -> Option<&Loaded<'a>> {
        self.columns[column as usize].as_ref()
    }

    fn read(&mut self, column: usize) -> Result<Loaded<'a>, BlockError> {
        let head = self.frame.columns[column];
        self.cost.bytes_read += head.node.len() as u64;
        self.cost.bytes_decoded += head.text_bytes;
        let (codes, has) = self.owners(column as u32);
        let node = Node::open(head.node)?;
        if has.iter().all(|h| *h) {
            let values = node.read(&self.times, &mut self.allowance)?;
            return Ok(Loaded { values, ranks: None, len: self.times.len() });
        }
        let mut times = Vec::new();
        let mut ranks = Vec::with_capacity(codes.len());
        for (code, ns) in codes.iter().zip(&self.times) {
            if has[*code as usize] {
                ranks.push(times.len() as u32);
                times.push(*ns);
            } else {
                ranks.push(NONE);
            }
        }
        let values = node.read(&times, &mut self.allowance)?;
        Ok(Loaded { values, ranks: Some(ranks), len: times.len() })
    }

    /// The shape of each row, and which shapes have the column.
    fn owners(&self, column: u32) -> (&[u32], Vec<bool>) {
        if self.frame.columns[column as usize].source == Source::Metadata {
            let has = self.frame.metadata_shapes.iter().map(|s| s.contains(&column)).collect();
            return (&self.metadata_of, has);
        }
        let has = self.frame.shapes.iter().map(|s| s.holes.iter().any(|(_, c)| *c == column)).collect();
        (&self.shape_of, has)
    }

    /// Reads all columns of the lines of these rows.
    pub(super) fn load_lines(&mut self, rows: &[u32]) -> Result<(), BlockError> {
        let mut needed = vec![false; self.frame.shapes.len()];
        for row in rows {
            needed[self.shape_of[*row as usize] as usize] = true;
        }
        for (shape, _) in self.frame.shapes.iter().zip(needed).filter(|(_, n)| *n) {
            for (_, column) in &shape.holes {
                self.load(*column)?;
            }
        }
        Ok(())
    }

    /// Writes the line of a row, whose columns have been loaded.
    pub(super) fn push_line(&self, row: usize, out: &mut Vec<u8>) -> Result<(), BlockError> {
        let shape = &self.frame.shapes[self.shape_of[row] as usize];
        for (before, column) in &shape.holes {
            out.extend_from_slice(before);
            self.push_value(*column, row, out)?;
        }
        out.extend_from_slice(shape.tail);
        self.check_size(out)
    }

    /// Writes a row's value of a column, which has been loaded.
    pub(super) fn push_value(&self, column: u32, row: usize, out: &mut Vec<u8>) -> Result<(), BlockError> {
        let missing = BlockError("value is missing");
        let loaded = self.loaded(column).ok_or(missing)?;
        loaded.values.push(loaded.rank(row).ok_or(missing)?, out);
        self.check_size(out)
    }

    /// What is written is never more than what was encoded.
    fn check_size(&self, out: &[u8]) -> Result<(), BlockError> {
        if out.len() as u64 > self.frame.text_bytes {
            return Err(BlockError("has more text than it says"));
        }
        Ok(())
    }
}

/// Text that has been written piece by piece.
pub(super) fn text(bytes: Vec<u8>) -> Result<String, BlockError> {
    String::from_utf8(bytes).map_err(|_| BlockError("is not UTF-8"))
}
