//! Columns of a block, read when they are needed.

use std::cell::OnceCell;

use super::{
    BlockError, ReadCost, Reading,
    frame::{Frame, ShapeHead},
    ints,
    shape::Source,
    values::{Node, Partly, Unpacker, Values, read_codes},
    wire::Reader,
};

/// The value a row has in a column that it does not have.
const NONE: u32 = u32::MAX;

/// Which row has which value of a column.
#[derive(Debug)]
pub(super) struct Ranks {
    /// The value of each row, [`NONE`] without one; not there if every row has the value of its own number.
    of_rows: Option<Vec<u32>>,
    /// How many values there are.
    pub(super) len: usize,
}

impl Ranks {
    #[inline]
    pub(super) fn get(&self, row: usize) -> Option<usize> {
        match &self.of_rows {
            None => Some(row),
            Some(ranks) => (ranks[row] != NONE).then_some(ranks[row] as usize),
        }
    }
}

/// Bytes that a block may unpack at once.
pub(super) fn full_allowance(frame: &Frame<'_>) -> usize {
    // Lengths lie among the texts of dictionaries.
    frame.text_bytes as usize * 2 + (1 << 16)
}

/// A block that is being read.
pub(super) struct Table<'f, 'a> {
    pub(super) frame: &'f Frame<'a>,
    pub(super) shape_of: Vec<u32>,
    pub(super) metadata_of: Vec<u32>,
    times: OnceCell<Vec<i64>>,
    ranks: Vec<OnceCell<Ranks>>,
    columns: Vec<Option<Values<'a>>>,
    /// Of columns that are not loaded what was read of their patterns: conditions that follow one another ask for the same.
    pub(super) partly: Vec<Option<Box<Partly<'a>>>>,
    unpacker: Unpacker,
    pub(super) cost: ReadCost,
    /// What the table was before it was narrowed.
    wide: Option<Wide>,
}

/// A table of all rows of a block, of which some were chosen.
struct Wide {
    /// Those that are the rows of the table now.
    rows: Vec<u32>,
    shape_of: Vec<u32>,
    metadata_of: Vec<u32>,
}

impl<'f, 'a> Table<'f, 'a> {
    pub(super) fn open(frame: &'f Frame<'a>, reading: &mut Reading) -> Result<Self, BlockError> {
        let mut unpacker = Unpacker { left: full_allowance(frame), zstd: reading.zstd.take() };
        let mut codes = |bytes: &'a [u8], distinct| {
            read_codes(&mut Reader::new(bytes), distinct, frame.rows, &mut unpacker)
        };
        Ok(Table {
            shape_of: codes(frame.shape_of, frame.shapes.len())?,
            metadata_of: codes(frame.metadata_of, frame.metadata_shapes.len())?,
            times: OnceCell::new(),
            ranks: (0..frame.columns.len()).map(|_| OnceCell::new()).collect(),
            columns: (0..frame.columns.len()).map(|_| None).collect(),
            partly: (0..frame.columns.len()).map(|_| None).collect(),
            unpacker,
            cost: ReadCost {
                bytes_read: frame.bytes
                    + (frame.times.len() + frame.shape_of.len() + frame.metadata_of.len()) as u64,
                bytes_decoded: 0,
            },
            wide: None,
            frame,
        })
    }

    /// Gives back what was lent, and says what reading cost.
    pub(super) fn close(self, reading: &mut Reading) {
        reading.zstd = self.unpacker.zstd;
        reading.cost.bytes_read += self.cost.bytes_read;
        reading.cost.bytes_decoded += self.cost.bytes_decoded;
    }

    /// Runs something that unpacks at most as much as a block may, whatever the table has unpacked.
    pub(super) fn apart<T>(&mut self, run: impl FnOnce(&mut Unpacker) -> T) -> T {
        let left = std::mem::replace(&mut self.unpacker.left, full_allowance(self.frame));
        let result = run(&mut self.unpacker);
        self.unpacker.left = left;
        result
    }

    /// Leaves only some rows, with numbers of their own from 0 on. Of columns that are read from here on, no others are put
    /// together.
    pub(super) fn narrow(&mut self, rows: Vec<u32>) -> Result<(), BlockError> {
        let all = self.times()?;
        let times: Vec<i64> = rows.iter().map(|r| all[*r as usize]).collect();
        let chosen = |of: &[u32]| rows.iter().map(|r| of[*r as usize]).collect();
        let (shape_of, metadata_of) = (chosen(&self.shape_of), chosen(&self.metadata_of));
        self.times = OnceCell::from(times);
        self.ranks.fill_with(OnceCell::new);
        self.columns.fill_with(|| None);
        self.partly.fill_with(|| None);
        // What has been unpacked before is gone.
        self.unpacker.left = full_allowance(self.frame);
        let shape_of = std::mem::replace(&mut self.shape_of, shape_of);
        let metadata_of = std::mem::replace(&mut self.metadata_of, metadata_of);
        self.wide = Some(Wide { rows, shape_of, metadata_of });
        Ok(())
    }

    /// The time of each row.
    pub(super) fn times(&self) -> Result<&[i64], BlockError> {
        if let Some(times) = self.times.get() {
            return Ok(times);
        }
        let read = ints::decode(&mut Reader::new(self.frame.times), self.frame.rows)?;
        Ok(self.times.get_or_init(|| read))
    }

    /// Reads a column, unless it has been.
    pub(super) fn load(&mut self, column: u32) -> Result<&Values<'a>, BlockError> {
        if self.loaded(column).is_none() {
            self.columns[column as usize] = Some(self.read(column)?);
        }
        self.loaded(column).ok_or(BlockError("column is missing"))
    }

    /// A column that has been loaded.
    pub(super) fn loaded(&self, column: u32) -> Option<&Values<'a>> {
        self.columns[column as usize].as_ref()
    }

    fn read(&mut self, column: u32) -> Result<Values<'a>, BlockError> {
        let head = self.frame.columns[column as usize];
        self.cost.bytes_read += head.node.len() as u64;
        self.cost.bytes_decoded += head.text_bytes;
        let node = Node::open(head.node)?;
        let wide = match &self.wide {
            Some(wide) => {
                let ranks = self.ranks_among(column, &wide.shape_of, &wide.metadata_of);
                let wanted: Vec<u32> =
                    wide.rows.iter().filter_map(|r| ranks.get(*r as usize)).map(|r| r as u32).collect();
                Some((ranks.len, wanted))
            }
            None => None,
        };
        let ranks = self.ranks(column);
        let len = wide.as_ref().map_or(ranks.len, |(len, _)| *len);
        let mut times = Vec::new();
        if node.needs_times(len)? {
            let owns = |(row, _): &(usize, &i64)| ranks.get(*row).is_some();
            times.extend(self.times()?.iter().enumerate().filter(owns).map(|(_, ns)| *ns));
        }
        match wide {
            Some((len, wanted)) => node.pick(len, &wanted, &times, &mut self.unpacker),
            None => node.read(len, &times, &mut self.unpacker),
        }
    }

    /// Which row has which value of the column.
    pub(super) fn ranks(&self, column: u32) -> &Ranks {
        self.ranks[column as usize]
            .get_or_init(|| self.ranks_among(column, &self.shape_of, &self.metadata_of))
    }

    /// The same for rows of these shapes.
    fn ranks_among(&self, column: u32, shape_of: &[u32], metadata_of: &[u32]) -> Ranks {
        let (codes, has): (_, Vec<bool>) = match self.frame.columns[column as usize].source {
            Source::Metadata => {
                (metadata_of, self.frame.metadata_shapes.iter().map(|s| s.contains(&column)).collect())
            }
            _ => {
                let has = |s: &ShapeHead<'_>| s.holes.iter().any(|(_, c)| *c == column);
                (shape_of, self.frame.shapes.iter().map(has).collect())
            }
        };
        if has.iter().all(|h| *h) {
            return Ranks { of_rows: None, len: codes.len() };
        }
        let mut len = 0;
        let rank = |code: &u32| {
            let own = if has[*code as usize] { len } else { NONE };
            len += u32::from(own != NONE);
            own
        };
        let of_rows = codes.iter().map(rank).collect();
        Ranks { of_rows: Some(of_rows), len: len as usize }
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
        let values = self.loaded(column).ok_or(missing)?;
        values.push(self.ranks(column).get(row).ok_or(missing)?, out);
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
