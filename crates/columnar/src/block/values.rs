//! A column of texts as bytes: read.

use std::borrow::Cow;

use zstd::bulk::Decompressor;

use super::{
    BlockError, MAX_ROWS,
    clock::Clock,
    ints, mine,
    node::{CLOCK, CONST, DASHES, DICT, HEX, MINED, NUMBER, TEXT, UPPER, code_width},
    typed::{Decimal, Format, MAX_SCALE, Zeros},
    wire::Reader,
};

/// Unpacks bytes, as many as it may: a damaged block cannot ask for more memory than it stands for.
#[derive(Default)]
pub(super) struct Unpacker {
    /// Bytes that may still be unpacked.
    pub(super) left: usize,
    /// Made when it is needed, which takes longer than most of what it does then, and handed from block to block.
    pub(super) zstd: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// Reads bytes that may be compressed.
    fn unpacked<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Cow<'a, [u8]>, BlockError> {
        let len = reader.count(self.left)?;
        self.left -= len;
        let packed = reader.sized()?;
        if len == 0 {
            return Ok(Cow::Borrowed(packed));
        }
        self.decompress(packed, len).map(Cow::Owned)
    }

    fn decompress(&mut self, packed: &[u8], len: usize) -> Result<Vec<u8>, BlockError> {
        if len / MAX_GROWTH > packed.len() {
            return Err(BlockError("impossible size"));
        }
        let wrong = |_| BlockError("does not decompress");
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(wrong)?),
        };
        let text = zstd.decompress(packed, len).map_err(wrong)?;
        if text.len() == len { Ok(text) } else { Err(BlockError("decompresses to another size")) }
    }
}

/// How many times its size zstd's format lets a byte grow to, at most.
const MAX_GROWTH: usize = 1 << 16;

/// A column whose form is known, and whose values have not been read.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    Const(&'a [u8]),
    Dict { values: Reader<'a>, distinct: usize },
    Number { format: Format, min: i64, max: i64, packed: Reader<'a> },
    Clock { clock: Clock<'a>, relative: bool, packed: Reader<'a> },
    Hex { form: u8, len: usize, filter: &'a [u8], ids: &'a [u8] },
    Mined { longest_typed: u64, packed: Reader<'a> },
    Text { packed: Reader<'a> },
}

impl<'a> Node<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let mut reader = Reader::new(bytes);
        Ok(match reader.byte()? {
            CONST => Node::Const(reader.rest),
            DICT => Node::Dict { distinct: reader.count(MAX_ROWS)?, values: reader },
            NUMBER => {
                let format = format(&mut reader)?;
                Node::Number { format, min: reader.signed()?, max: reader.signed()?, packed: reader }
            }
            CLOCK => {
                let clock = Clock::read_form(&mut reader)?;
                Node::Clock { clock, relative: reader.byte()? == 1, packed: reader }
            }
            HEX => {
                let form = reader.byte()?;
                let len = reader.count(128)?;
                if form > UPPER | DASHES || len == 0 || (form & DASHES != 0 && len != 16) {
                    return Err(BlockError("impossible form of ids"));
                }
                Node::Hex { form, len, filter: reader.sized()?, ids: reader.rest }
            }
            MINED => Node::Mined { longest_typed: reader.varint()?, packed: reader },
            TEXT => Node::Text { packed: reader },
            _ => return Err(BlockError("unknown form of column")),
        })
    }

    /// The texts of a dictionary.
    pub(super) fn dictionary(
        values: &mut Reader<'a>,
        distinct: usize,
        unpacker: &mut Unpacker,
    ) -> Result<Dict<'a>, BlockError> {
        let text = unpacker.unpacked(values)?;
        let mut reader = Reader::new(&text);
        let mut ends = Vec::with_capacity(distinct);
        let mut joined = Vec::with_capacity(text.len());
        for _ in 0..distinct {
            joined.extend_from_slice(reader.sized()?);
            ends.push(joined.len() as u32);
        }
        Ok(Dict { text: Cow::Owned(joined), ends })
    }

    /// Whether its `len` values cannot be read without the times of their rows.
    pub(super) fn needs_times(&self, len: usize) -> Result<bool, BlockError> {
        Ok(match self {
            Node::Clock { relative, .. } => *relative,
            Node::Mined { packed, .. } => {
                let patterns = Patterns::open(packed, len)?;
                patterns.holes.iter().flatten().any(|node| matches!(node, Node::Clock { relative: true, .. }))
            }
            _ => false,
        })
    }

    /// Reads `len` values; `times` are those of their rows, empty if they are not needed.
    pub(super) fn read(
        &self,
        len: usize,
        times: &[i64],
        unpacker: &mut Unpacker,
    ) -> Result<Values<'a>, BlockError> {
        Ok(match self {
            Node::Const(text) => Values::Const(text),
            Node::Dict { values, distinct } => {
                let mut reader = *values;
                let dict = Self::dictionary(&mut reader, *distinct, unpacker)?;
                Values::Dict { dict, codes: read_codes(&mut reader, *distinct, len, unpacker)? }
            }
            Node::Number { format, packed, .. } => {
                Values::Numbers { format: *format, numbers: ints::decode(&mut packed.clone(), len)? }
            }
            Node::Clock { clock, relative, packed } => {
                let mut read = ints::decode(&mut packed.clone(), len)?;
                if *relative {
                    if times.len() != len {
                        return Err(BlockError("times of rows are missing"));
                    }
                    let unit = clock.unit_ns();
                    for (time, ns) in read.iter_mut().zip(times) {
                        *time = time.wrapping_add(ns.div_euclid(unit));
                    }
                }
                Values::Times { clock: *clock, times: read }
            }
            Node::Hex { form, len: id, ids, .. } => {
                check_ids(ids, *id, len)?;
                Values::Ids { form: *form, len: *id, ids: Cow::Borrowed(ids) }
            }
            Node::Mined { packed, .. } => {
                Values::Mined(Patterns::open(packed, len)?.read(len, times, unpacker)?)
            }
            Node::Text { packed } => {
                let mut reader = *packed;
                let lengths = ints::decode(&mut reader, len)?;
                let text = unpacker.unpacked(&mut reader)?;
                let ends = ends(&lengths, text.len())?;
                Values::Text(Dict { text, ends })
            }
        })
    }
}

impl<'a> Node<'a> {
    /// Reads those of `len` values that are at the places `wanted`, which rise; `times` are those of the rows of these.
    pub(super) fn pick(
        &self,
        len: usize,
        wanted: &[u32],
        times: &[i64],
        unpacker: &mut Unpacker,
    ) -> Result<Values<'a>, BlockError> {
        if wanted.last().is_some_and(|last| *last as usize >= len) {
            return Err(BlockError("value is missing"));
        }
        Ok(match self {
            Node::Const(text) => Values::Const(text),
            Node::Dict { values, distinct } => {
                let mut reader = *values;
                let dict = Self::dictionary(&mut reader, *distinct, unpacker)?;
                Values::Dict { dict, codes: pick_codes(&mut reader, *distinct, len, wanted, unpacker)? }
            }
            Node::Number { format, packed, .. } => {
                let numbers = ints::pick(&mut packed.clone(), len, wanted)?;
                Values::Numbers { format: *format, numbers }
            }
            Node::Clock { clock, relative, packed } => {
                let mut read = ints::pick(&mut packed.clone(), len, wanted)?;
                if *relative {
                    let unit = clock.unit_ns();
                    read.iter_mut().zip(times).for_each(|(t, ns)| *t = t.wrapping_add(ns.div_euclid(unit)));
                }
                Values::Times { clock: *clock, times: read }
            }
            Node::Hex { form, len: id, ids, .. } => {
                check_ids(ids, *id, len)?;
                let one = |i: &u32| &ids[*i as usize * id..(*i as usize + 1) * id];
                let picked = wanted.iter().flat_map(one).copied().collect();
                Values::Ids { form: *form, len: *id, ids: Cow::Owned(picked) }
            }
            Node::Mined { packed, .. } => {
                Values::Mined(Patterns::open(packed, len)?.pick(len, wanted, times, unpacker)?)
            }
            Node::Text { .. } => match self.read(len, &[], unpacker)? {
                Values::Text(all) => {
                    let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(wanted.len()));
                    for i in wanted {
                        text.extend_from_slice(all.get(*i as usize));
                        ends.push(text.len() as u32);
                    }
                    Values::Text(Dict { text: Cow::Owned(text), ends })
                }
                other => other,
            },
        })
    }
}

fn check_ids(ids: &[u8], id: usize, len: usize) -> Result<(), BlockError> {
    if ids.len() == id * len { Ok(()) } else { Err(BlockError("wrong number of ids")) }
}

fn format(reader: &mut Reader<'_>) -> Result<Format, BlockError> {
    let zeros = match reader.byte()? {
        0 => return Ok(Format::Int),
        1 => return Ok(Format::Ipv4),
        2 => Zeros::Kept,
        3 => Zeros::Cut,
        4 => Zeros::CutToOne,
        5 => match reader.byte()? {
            digits @ 1..=18 => return Ok(Format::Padded(digits)),
            _ => return Err(BlockError("impossible number of digits")),
        },
        _ => return Err(BlockError("unknown form of numbers")),
    };
    match reader.byte()? {
        scale @ 0..=MAX_SCALE => Ok(Format::Decimal(Decimal { scale, zeros })),
        _ => Err(BlockError("impossible scale")),
    }
}

fn ends(lengths: &[i64], total: usize) -> Result<Vec<u32>, BlockError> {
    let wrong = BlockError("texts are longer than their text");
    let mut end = 0u64;
    let ends = lengths.iter().map(|len| {
        end = end.checked_add(u64::try_from(*len).map_err(|_| wrong)?).ok_or(wrong)?;
        if end > total as u64 { Err(wrong) } else { Ok(end as u32) }
    });
    ends.collect()
}

/// Reads `len` codes below `distinct`.
pub(super) fn read_codes(
    reader: &mut Reader<'_>,
    distinct: usize,
    len: usize,
    unpacker: &mut Unpacker,
) -> Result<Vec<u32>, BlockError> {
    let codes: Vec<u32> = match reader.byte()? {
        0 => {
            let mut codes = Vec::with_capacity(len);
            ints::unpack(reader, len, code_width(distinct), &mut codes, |code| code as u32)?;
            codes
        }
        1 => unpacker.decompress(reader.sized()?, len)?.into_iter().map(u32::from).collect(),
        _ => return Err(BlockError("unknown form of codes")),
    };
    if codes.iter().any(|c| *c as usize >= distinct) {
        return Err(BlockError("code without a meaning"));
    }
    Ok(codes)
}

/// Reads those of `len` codes below `distinct` that are at the places `wanted`.
fn pick_codes(
    reader: &mut Reader<'_>,
    distinct: usize,
    len: usize,
    wanted: &[u32],
    unpacker: &mut Unpacker,
) -> Result<Vec<u32>, BlockError> {
    if reader.rest.first() != Some(&0) {
        let all = read_codes(reader, distinct, len, unpacker)?;
        return Ok(wanted.iter().map(|i| all[*i as usize]).collect());
    }
    reader.byte()?;
    let width = code_width(distinct);
    let packed = reader.take((len * width as usize).div_ceil(8))?;
    let code = |i: &u32| match ints::bits(packed, *i as usize, width) {
        code if code < distinct as u64 => Ok(code as u32),
        _ => Err(BlockError("code without a meaning")),
    };
    wanted.iter().map(code).collect()
}

/// Passes over `len` codes below `distinct`.
fn skip_codes(reader: &mut Reader<'_>, distinct: usize, len: usize) -> Result<(), BlockError> {
    match reader.byte()? {
        0 => reader.take((len * code_width(distinct) as usize).div_ceil(8)).map(drop),
        1 => reader.sized().map(drop),
        _ => Err(BlockError("unknown form of codes")),
    }
}

/// Texts one after another.
#[derive(Debug)]
pub(super) struct Dict<'a> {
    pub(super) text: Cow<'a, [u8]>,
    pub(super) ends: Vec<u32>,
}

impl Dict<'_> {
    #[inline]
    pub(super) fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start as usize..self.ends[i] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Values of a column.
#[derive(Debug)]
pub(super) enum Values<'a> {
    Const(&'a [u8]),
    Dict { dict: Dict<'a>, codes: Vec<u32> },
    Numbers { format: Format, numbers: Vec<i64> },
    Times { clock: Clock<'a>, times: Vec<i64> },
    Ids { form: u8, len: usize, ids: Cow<'a, [u8]> },
    Mined(Mined<'a>),
    Text(Dict<'a>),
}

/// Values by pattern.
#[derive(Debug)]
pub(super) struct Mined<'a> {
    pub(super) patterns: Vec<Vec<&'a [u8]>>,
    pub(super) codes: Vec<u32>,
    /// Which of its pattern's values each value is.
    pub(super) ranks: Vec<u32>,
    /// For each pattern the columns of its holes.
    pub(super) holes: Vec<Vec<Values<'a>>>,
}

/// For each value its pattern, and which of the pattern's values it is; and how many values each pattern has.
type Order = (Vec<u32>, Vec<u32>, Vec<u32>);

/// A column of patterns of which no values have been read.
pub(super) struct Patterns<'a> {
    pub(super) literals: Vec<Vec<&'a [u8]>>,
    codes: Reader<'a>,
    /// For each pattern the columns of its holes.
    pub(super) holes: Vec<Vec<Node<'a>>>,
}

/// The patterns of a column, and what was read of their values so far.
pub(super) struct Partly<'a> {
    pub(super) patterns: Patterns<'a>,
    pub(super) order: Option<Order>,
    /// By pattern and hole.
    pub(super) holes: Vec<Vec<Option<Values<'a>>>>,
}

impl<'a> Partly<'a> {
    pub(super) fn new(patterns: Patterns<'a>) -> Self {
        let holes = patterns.holes.iter().map(|holes| holes.iter().map(|_| None).collect()).collect();
        Partly { patterns, order: None, holes }
    }
}

impl<'a> Patterns<'a> {
    /// Looks at the forms of a column of `len` values.
    pub(super) fn open(packed: &Reader<'a>, len: usize) -> Result<Self, BlockError> {
        let mut reader = *packed;
        let literals = mine::read_patterns(&mut reader)?;
        let codes = reader;
        skip_codes(&mut reader, literals.len(), len)?;
        let hole = |reader: &mut Reader<'a>| match Node::open(reader.sized()?)? {
            Node::Mined { .. } => Err(BlockError("patterns within patterns")),
            node => Ok(node),
        };
        let holes = literals.iter().map(|pattern| (1..pattern.len()).map(|_| hole(&mut reader)).collect());
        Ok(Patterns { holes: holes.collect::<Result<_, _>>()?, codes, literals })
    }

    /// Reads which value is of which pattern.
    pub(super) fn order(&self, len: usize, unpacker: &mut Unpacker) -> Result<Order, BlockError> {
        let codes = read_codes(&mut self.codes.clone(), self.literals.len(), len, unpacker)?;
        let mut counts = vec![0u32; self.literals.len()];
        let rank = |code: &u32| {
            let count = &mut counts[*code as usize];
            *count += 1;
            *count - 1
        };
        let ranks = codes.iter().map(rank).collect();
        Ok((codes, ranks, counts))
    }

    /// Reads only the values at the places `wanted`, and of the holes only those of their patterns.
    fn pick(
        self,
        len: usize,
        wanted: &[u32],
        times: &[i64],
        unpacker: &mut Unpacker,
    ) -> Result<Mined<'a>, BlockError> {
        let (all_codes, all_ranks, counts) = self.order(len, unpacker)?;
        let patterns = counts.len();
        let mut wanted_of: Vec<Vec<u32>> = vec![Vec::new(); patterns];
        let mut times_of: Vec<Vec<i64>> = vec![Vec::new(); patterns];
        let (mut codes, mut ranks) = (Vec::with_capacity(wanted.len()), Vec::with_capacity(wanted.len()));
        for (n, i) in wanted.iter().enumerate() {
            let code = all_codes[*i as usize];
            let of = &mut wanted_of[code as usize];
            codes.push(code);
            ranks.push(of.len() as u32);
            of.push(all_ranks[*i as usize]);
            times_of[code as usize].extend(times.get(n));
        }
        let mut holes = Vec::with_capacity(patterns);
        for (i, nodes) in self.holes.iter().enumerate() {
            let of_pattern = |node: &Node<'a>| {
                if wanted_of[i].is_empty() {
                    return Ok(Values::Const(&[]));
                }
                node.pick(counts[i] as usize, &wanted_of[i], &times_of[i], unpacker)
            };
            holes.push(nodes.iter().map(of_pattern).collect::<Result<_, BlockError>>()?);
        }
        Ok(Mined { patterns: self.literals, codes, ranks, holes })
    }

    fn read(self, len: usize, times: &[i64], unpacker: &mut Unpacker) -> Result<Mined<'a>, BlockError> {
        let (codes, ranks, counts) = self.order(len, unpacker)?;
        let mut times_of: Vec<Vec<i64>> = vec![Vec::new(); counts.len()];
        for (code, ns) in codes.iter().zip(times) {
            times_of[*code as usize].push(*ns);
        }
        let mut holes = Vec::with_capacity(self.holes.len());
        for (nodes, (count, times)) in self.holes.iter().zip(counts.iter().zip(&times_of)) {
            let columns = nodes.iter().map(|node| node.read(*count as usize, times, unpacker));
            holes.push(columns.collect::<Result<_, BlockError>>()?);
        }
        Ok(Mined { patterns: self.literals, codes, ranks, holes })
    }
}

impl Mined<'_> {
    /// Writes a text.
    pub(super) fn push(&self, i: usize, out: &mut Vec<u8>) {
        let (code, rank) = (self.codes[i] as usize, self.ranks[i] as usize);
        let literals = &self.patterns[code];
        for (literal, hole) in literals.iter().zip(&self.holes[code]) {
            out.extend_from_slice(literal);
            hole.push(rank, out);
        }
        out.extend_from_slice(literals.last().copied().unwrap_or_default());
    }
}

impl Values<'_> {
    /// Writes the text of a value; there must be one.
    pub(super) fn push(&self, i: usize, out: &mut Vec<u8>) {
        match self {
            Values::Const(text) => out.extend_from_slice(text),
            Values::Dict { dict, codes } => out.extend_from_slice(dict.get(codes[i] as usize)),
            Values::Numbers { format, numbers } => format.push(numbers[i], out),
            Values::Times { clock, times } => clock.push(times[i], out),
            Values::Ids { form, len, ids } => push_hex(&ids[i * len..(i + 1) * len], *form, out),
            Values::Mined(mined) => mined.push(i, out),
            Values::Text(texts) => out.extend_from_slice(texts.get(i)),
        }
    }
}

/// Writes the bytes of an id in hexadecimal digits.
fn push_hex(id: &[u8], form: u8, out: &mut Vec<u8>) {
    let digits: &[u8; 16] = if form & UPPER == 0 { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
    for (i, byte) in id.iter().enumerate() {
        if form & DASHES != 0 && matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
    }
}
