//! The frame of a block: which columns and shapes there are, and where their bytes lie (docs/format/log-block.md).

use super::{
    BlockError, BlockSummary, MAX_ROWS, Rows, ints,
    node::{Kind, Writer},
    shape::{Family, Parts, Source},
    wire::{Reader, push_sized, push_varint},
};

const VERSION: u8 = 1;

/// Most bytes of text a block says it stands for.
const MAX_TEXT: u64 = 1 << 30;

/// The bit of a column of which some values have escapes.
const ESCAPED: u8 = 0x80;

/// Blocks of fewer rows are read as fast as a signature of theirs.
const LEAST_SIGNED: usize = 64;

/// Writes a block.
pub(super) fn encode(rows: &Rows<'_>, writer: &mut Writer, out: &mut Vec<u8>) -> BlockSummary {
    let parts = Parts::of(rows);
    let metadata = |pairs: &super::Pairs<'_>| pairs.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
    let text_bytes =
        rows.lines.iter().map(|l| l.len()).sum::<usize>() + rows.metadata.iter().map(metadata).sum::<usize>();
    let summary = BlockSummary {
        rows: rows.times.len() as u32,
        text_bytes: text_bytes as u64,
        first_ns: rows.times.first().copied().unwrap_or(0),
        last_ns: rows.times.last().copied().unwrap_or(0),
    };
    writer.signature.clear();
    let mut body = Body::default();
    let mut directory = Vec::new();
    let mut kinds = Vec::with_capacity(parts.columns.len());
    push_varint(&mut directory, parts.columns.len() as u64);
    for column in &parts.columns {
        let times: Vec<i64> = column.rows.iter().map(|r| rows.times[*r as usize]).collect();
        let start = body.columns.len();
        kinds.push(writer.column(&column.values, &times, true, &mut body.columns));
        let escaped = matches!(column.source, Source::JsonText | Source::LogfmtQuoted)
            && column.values.iter().any(|v| memchr::memchr(b'\\', v).is_some());
        directory.push(column.source as u8 | if escaped { ESCAPED } else { 0 });
        push_sized(&mut directory, column.name.as_bytes());
        push_varint(&mut directory, column.values.iter().map(|v| v.len() as u64).sum());
        push_varint(&mut directory, (body.columns.len() - start) as u64);
    }
    write_shapes(&parts, &kinds, writer, &mut directory);
    ints::encode(rows.times, &mut body.times);
    writer.codes(&parts.shape_of, parts.shapes.len(), &mut body.shape_of);
    writer.codes(&parts.metadata_shape_of, parts.metadata_shapes.len(), &mut body.metadata_of);
    if rows.times.len() >= LEAST_SIGNED {
        writer.signature.write(rows.times.len(), &mut body.signature);
    }
    let sections = [&body.signature, &body.times, &body.shape_of, &body.metadata_of];
    for section in sections {
        push_varint(&mut directory, section.len() as u64);
    }

    out.push(VERSION);
    out.extend(summary.rows.to_le_bytes());
    out.extend(summary.text_bytes.to_le_bytes());
    out.extend(summary.first_ns.to_le_bytes());
    out.extend(summary.last_ns.to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(directory);
    for section in sections {
        out.extend_from_slice(section);
    }
    out.extend(body.columns);
    summary
}

#[derive(Default)]
struct Body {
    signature: Vec<u8>,
    times: Vec<u8>,
    shape_of: Vec<u8>,
    metadata_of: Vec<u8>,
    columns: Vec<u8>,
}

fn write_shapes(parts: &Parts<'_>, kinds: &[Kind], writer: &mut Writer, directory: &mut Vec<u8>) {
    push_varint(directory, parts.shapes.len() as u64);
    for shape in &parts.shapes {
        directory.push(shape.family as u8);
        push_varint(directory, shape.holes.len() as u64);
        for (i, hole) in shape.holes.iter().enumerate() {
            push_sized(directory, &hole.before);
            push_varint(directory, u64::from(hole.column));
            writer.signature.add(&hole.before);
            let behind = shape.holes.get(i + 1).map_or(&shape.tail, |next| &next.before);
            writer.border(kinds[hole.column as usize], &hole.before, behind);
        }
        push_sized(directory, &shape.tail);
        writer.signature.add(&shape.tail);
    }
    push_varint(directory, parts.metadata_shapes.len() as u64);
    for columns in &parts.metadata_shapes {
        push_varint(directory, columns.len() as u64);
        for column in columns {
            push_varint(directory, u64::from(*column));
        }
    }
}

/// A column's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) source: Source,
    /// Whether values may have escapes.
    pub(super) escaped: bool,
    pub(super) name: &'a str,
    /// Bytes of its texts.
    pub(super) text_bytes: u64,
    pub(super) node: &'a [u8],
}

/// A shape: texts and columns by turns.
#[derive(Clone, Debug)]
pub(super) struct ShapeHead<'a> {
    pub(super) family: Family,
    /// What stands before each hole, and the hole's column.
    pub(super) holes: Vec<(&'a [u8], u32)>,
    pub(super) tail: &'a [u8],
}

/// A frame that makes sense: every column a shape names is there, and no shape names one twice.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    pub(super) rows: usize,
    pub(super) text_bytes: u64,
    /// Time of the first and the last row, as the frame says.
    pub(super) first_ns: i64,
    pub(super) last_ns: i64,
    pub(super) columns: Vec<Head<'a>>,
    pub(super) shapes: Vec<ShapeHead<'a>>,
    pub(super) metadata_shapes: Vec<Vec<u32>>,
    pub(super) signature: &'a [u8],
    pub(super) times: &'a [u8],
    pub(super) shape_of: &'a [u8],
    pub(super) metadata_of: &'a [u8],
    /// Bytes of the frame itself.
    pub(super) bytes: u64,
}

impl<'a> Frame<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let mut body = Reader::new(bytes);
        if body.byte()? != VERSION {
            return Err(BlockError("unknown version"));
        }
        let (rows, text_bytes) = (body.u32()? as usize, body.u64()?);
        let (first_ns, last_ns) = (body.u64()? as i64, body.u64()? as i64);
        let len = body.u32()? as usize;
        let mut directory = Reader::new(body.take(len)?);
        if rows > MAX_ROWS || text_bytes > MAX_TEXT {
            return Err(BlockError("impossible size"));
        }
        let mut columns = Vec::new();
        let mut lengths = Vec::new();
        for _ in 0..directory.count(len)? {
            let byte = directory.byte()?;
            let (source, escaped) = (source(byte & !ESCAPED)?, byte & ESCAPED != 0);
            let (name, text_bytes) = (directory.text()?, directory.varint()?);
            lengths.push(directory.count(bytes.len())?);
            columns.push(Head { source, escaped, name, text_bytes, node: &[] });
        }
        let mut frame = Frame {
            rows,
            text_bytes,
            first_ns,
            last_ns,
            columns,
            shapes: Vec::new(),
            metadata_shapes: Vec::new(),
            signature: &[],
            times: &[],
            shape_of: &[],
            metadata_of: &[],
            bytes: (bytes.len() - body.rest.len()) as u64,
        };
        frame.read_shapes(&mut directory, len)?;
        let mut section = || body.take(directory.count(bytes.len())?);
        frame.signature = section()?;
        frame.times = section()?;
        frame.shape_of = section()?;
        frame.metadata_of = section()?;
        for (column, len) in frame.columns.iter_mut().zip(lengths) {
            column.node = body.take(len)?;
        }
        Ok(frame)
    }

    fn read_shapes(&mut self, directory: &mut Reader<'a>, len: usize) -> Result<(), BlockError> {
        // The shape that named a column last.
        let mut named = vec![0usize; self.columns.len()];
        let mut column = |directory: &mut Reader<'a>, shape: usize, metadata: bool| {
            let column = directory.varint()?;
            let head = usize::try_from(column).ok().and_then(|c| self.columns.get(c));
            let known = head.is_some_and(|h| (h.source == Source::Metadata) == metadata);
            if !known || named[column as usize] == shape {
                return Err(BlockError("shape with an impossible column"));
            }
            named[column as usize] = shape;
            Ok(column as u32)
        };
        for shape in 1..=directory.count(len)? {
            let family = family(directory.byte()?)?;
            let holes = (0..directory.count(len)?)
                .map(|_| Ok((directory.sized()?, column(directory, shape, false)?)))
                .collect::<Result<_, BlockError>>()?;
            self.shapes.push(ShapeHead { family, holes, tail: directory.sized()? });
        }
        for shape in 1..=directory.count(len)? {
            let columns = (0..directory.count(len)?).map(|_| column(directory, shape, true));
            self.metadata_shapes.push(columns.collect::<Result<_, _>>()?);
        }
        Ok(())
    }
}

fn source(byte: u8) -> Result<Source, BlockError> {
    use Source::{JsonArray, JsonBare, JsonText, Line, LogfmtBare, LogfmtQuoted, Metadata};
    let all = [Line, JsonText, JsonBare, JsonArray, LogfmtBare, LogfmtQuoted, Metadata];
    all.get(usize::from(byte)).copied().ok_or(BlockError("unknown kind of column"))
}

fn family(byte: u8) -> Result<Family, BlockError> {
    use Family::{Json, Logfmt, Odd, Pairs, Text};
    [Text, Json, Logfmt, Odd, Pairs].get(usize::from(byte)).copied().ok_or(BlockError("unknown kind of line"))
}
