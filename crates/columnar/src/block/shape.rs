//! Shapes: what lines have in common, with holes where they differ.

use std::collections::HashMap;

use super::{Pairs, Rows, json, logfmt};

/// Most shapes of a block; lines beyond them are kept whole.
pub(super) const MAX_SHAPES: usize = 1024;

/// Most columns of a block.
pub(super) const MAX_COLUMNS: usize = 4096;

/// Bytes that all shapes of a block may take together.
const MAX_SHAPE_BYTES: usize = 256 << 10;

/// Shapes tried before a line is read from scratch.
const TRIED: usize = 4;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Source {
    /// The whole line.
    Line = 0,
    /// Texts of JSON without quotes, escapes unresolved.
    JsonText = 1,
    /// JSON's numbers, `true`, `false`, `null`.
    JsonBare = 2,
    /// JSON's arrays, as they are written.
    JsonArray = 3,
    /// Values of logfmt without quotes.
    LogfmtBare = 4,
    /// Values of logfmt between quotes, escapes unresolved.
    LogfmtQuoted = 5,
    /// Structured metadata.
    Metadata = 6,
}

/// What a shape's lines are to a parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Family {
    /// No object, no pairs for sure.
    Text = 0,
    /// An object that the JSON parser reads to its end.
    Json = 1,
    /// Pairs that the logfmt parser reads without leaving any out.
    Logfmt = 2,
    /// Begins as an object and is none, or the block has too many shapes.
    Odd = 3,
    /// No object for sure, but there may be pairs in it.
    Pairs = 4,
}

/// A value in a line that was read from scratch.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) start: usize,
    pub(super) end: usize,
    /// What the parser calls it.
    pub(super) name: String,
}

/// A hole, and what stands before it.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) before: Vec<u8>,
    pub(super) source: Source,
    pub(super) column: u32,
}

/// Lines that differ only in their values.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) family: Family,
    pub(super) holes: Vec<Hole>,
    /// What stands behind the last hole.
    pub(super) tail: Vec<u8>,
}

/// Values that belong together, one for each row whose shape has the column.
#[derive(Debug)]
pub(super) struct ColumnText<'a> {
    pub(super) source: Source,
    pub(super) name: String,
    pub(super) values: Vec<&'a [u8]>,
    /// Row of each value.
    pub(super) rows: Vec<u32>,
}

/// Rows, taken apart.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) columns: Vec<ColumnText<'a>>,
    pub(super) shapes: Vec<Shape>,
    /// The shape of each row's line.
    pub(super) shape_of: Vec<u32>,
    /// Columns of metadata that rows have, in their order.
    pub(super) metadata_shapes: Vec<Vec<u32>>,
    pub(super) metadata_shape_of: Vec<u32>,
    finder: Finder,
}

#[derive(Debug, Default)]
struct Finder {
    columns: HashMap<(Source, String, u32), u32>,
    shapes: HashMap<Vec<u8>, u32>,
    metadata: HashMap<Vec<u32>, u32>,
    /// Shapes met last, the latest first.
    latest: Vec<u32>,
    shape_bytes: usize,
    spans: Vec<(u32, u32)>,
}

impl Shape {
    /// Whether the line is of this shape; its values go to `spans`.
    #[inline]
    fn matches(&self, line: &str, spans: &mut Vec<(u32, u32)>) -> bool {
        spans.clear();
        let bytes = line.as_bytes();
        let mut pos = 0;
        for hole in &self.holes {
            let Some(rest) = bytes[pos..].strip_prefix(hole.before.as_slice()) else { return false };
            pos = bytes.len() - rest.len();
            let len = match hole.source {
                Source::JsonText => json::text_len(rest).filter(|len| {
                    memchr::memchr(b'\\', &rest[..*len]).is_none()
                        || json::escapes_are_valid(&line[pos..pos + len])
                }),
                Source::JsonBare => json::bare_len(rest),
                Source::JsonArray if rest.first() == Some(&b'[') => json::array_len(&line[pos..]),
                // A quote would begin a quoted value, which is of another shape.
                Source::LogfmtBare => logfmt::bare_len(rest),
                Source::LogfmtQuoted => logfmt::quoted_len(rest),
                _ => None,
            };
            let Some(len) = len else { return false };
            spans.push((pos as u32, (pos + len) as u32));
            pos += len;
        }
        bytes[pos..] == *self.tail
    }
}

impl<'a> Parts<'a> {
    /// Takes rows apart.
    pub(super) fn of(rows: &Rows<'a>) -> Self {
        let mut parts = Parts::default();
        for (row, line) in rows.lines.iter().enumerate() {
            parts.line(row as u32, line);
        }
        for (row, pairs) in rows.metadata.iter().enumerate() {
            parts.metadata(row as u32, pairs);
        }
        parts
    }

    fn line(&mut self, row: u32, line: &'a str) {
        let mut spans = std::mem::take(&mut self.finder.spans);
        let shape = self.known_shape(line, &mut spans).or_else(|| self.new_shape(line, &mut spans));
        let shape = shape.unwrap_or_else(|| self.whole(line, &mut spans));
        self.shape_of.push(shape);
        for (hole, (start, end)) in self.shapes[shape as usize].holes.iter().zip(&spans) {
            let column = &mut self.columns[hole.column as usize];
            column.values.push(&line.as_bytes()[*start as usize..*end as usize]);
            column.rows.push(row);
        }
        self.finder.spans = spans;
    }

    fn known_shape(&mut self, line: &str, spans: &mut Vec<(u32, u32)>) -> Option<u32> {
        let latest = &mut self.finder.latest;
        let place = latest.iter().position(|s| self.shapes[*s as usize].matches(line, spans))?;
        latest[..=place].rotate_right(1);
        Some(latest[0])
    }

    /// Reads the line from scratch; nothing if it has no values that a parser would find, or there are too many shapes.
    fn new_shape(&mut self, line: &'a str, spans: &mut Vec<(u32, u32)>) -> Option<u32> {
        if u32::try_from(line.len()).is_err() {
            return None;
        }
        let (family, found) = if json::begins_object(line) {
            (Family::Json, json::find(line)?)
        } else {
            (Family::Logfmt, logfmt::find(line)?)
        };
        // The literals and what is in the holes tell shapes apart.
        let mut key = Vec::with_capacity(line.len());
        let mut from = 0;
        spans.clear();
        for value in &found {
            key.extend_from_slice(&line.as_bytes()[from..value.start]);
            key.extend([0xff, value.source as u8]);
            from = value.end;
            spans.push((value.start as u32, value.end as u32));
        }
        key.extend_from_slice(&line.as_bytes()[from..]);
        let shape = match self.finder.shapes.get(&key) {
            Some(shape) => *shape,
            None => self.add_shape(family, line, found, key)?,
        };
        let latest = &mut self.finder.latest;
        latest.truncate(TRIED - 1);
        latest.insert(0, shape);
        Some(shape)
    }

    fn add_shape(&mut self, family: Family, line: &str, found: Vec<Found>, key: Vec<u8>) -> Option<u32> {
        let full = self.shapes.len() + 2 >= MAX_SHAPES
            || self.columns.len() + found.len() + 2 >= MAX_COLUMNS
            || self.finder.shape_bytes + key.len() > MAX_SHAPE_BYTES;
        if full {
            return None;
        }
        self.finder.shape_bytes += key.len();
        let mut holes: Vec<Hole> = Vec::with_capacity(found.len());
        let mut from = 0;
        for value in found {
            let before = line.as_bytes()[from..value.start].to_vec();
            let column = self.column(value.source, value.name, |c| holes.iter().any(|h| h.column == c));
            holes.push(Hole { before, source: value.source, column });
            from = value.end;
        }
        let tail = line.as_bytes()[from..].to_vec();
        Some(self.push_shape(Shape { family, holes, tail }, key))
    }

    fn push_shape(&mut self, shape: Shape, key: Vec<u8>) -> u32 {
        let index = self.shapes.len() as u32;
        self.shapes.push(shape);
        self.finder.shapes.insert(key, index);
        index
    }

    /// The shape that is one hole.
    fn whole(&mut self, line: &str, spans: &mut Vec<(u32, u32)>) -> u32 {
        spans.clear();
        spans.push((0, line.len() as u32));
        // A line that has pairs somewhere, or could be an object up to a point, can only be told by its parser.
        let family = match memchr::memchr(b'=', line.as_bytes()) {
            _ if json::begins_object(line) => Family::Odd,
            Some(_) => Family::Pairs,
            None => Family::Text,
        };
        let key = vec![0xff, family as u8];
        if let Some(shape) = self.finder.shapes.get(&key) {
            return *shape;
        }
        let column = self.column(Source::Line, String::new(), |_| false);
        let hole = Hole { before: Vec::new(), source: Source::Line, column };
        self.push_shape(Shape { family, holes: vec![hole], tail: Vec::new() }, key)
    }

    /// The column of a value; the first of that name that is not taken by another value of the row.
    fn column(&mut self, source: Source, name: String, taken: impl Fn(u32) -> bool) -> u32 {
        for nth in 0.. {
            let next = self.columns.len() as u32;
            let key = (source, name.clone(), nth);
            let column = *self.finder.columns.entry(key).or_insert(next);
            if column == next {
                self.columns.push(ColumnText { source, name, values: Vec::new(), rows: Vec::new() });
                return column;
            }
            if !taken(column) {
                return column;
            }
        }
        0
    }

    fn metadata(&mut self, row: u32, pairs: Pairs<'a>) {
        let latest = self.metadata_shape_of.last().map(|s| &self.metadata_shapes[*s as usize]);
        let same = latest.is_some_and(|columns| {
            columns.len() == pairs.len()
                && columns.iter().zip(pairs).all(|(c, (name, _))| self.columns[*c as usize].name == *name)
        });
        let shape = match self.metadata_shape_of.last() {
            Some(shape) if same => *shape,
            _ => self.metadata_shape(pairs),
        };
        self.metadata_shape_of.push(shape);
        for (column, (_, value)) in self.metadata_shapes[shape as usize].iter().zip(pairs) {
            let column = &mut self.columns[*column as usize];
            column.values.push(value.as_bytes());
            column.rows.push(row);
        }
    }

    fn metadata_shape(&mut self, pairs: Pairs<'a>) -> u32 {
        let mut columns = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            columns.push(self.column(Source::Metadata, (*name).to_owned(), |c| columns.contains(&c)));
        }
        let next = self.metadata_shapes.len() as u32;
        let shape = *self.finder.metadata.entry(columns.clone()).or_insert(next);
        if shape == next {
            self.metadata_shapes.push(columns);
        }
        shape
    }
}
