//! A column of texts as bytes, in the form that fits it: written.

use std::collections::HashMap;

use super::{
    clock::Clock,
    fuse, ints,
    mine::{self, Mined},
    signature::{self, Borders, ByteSet},
    typed::{self, Format, Zeros},
    wire::{push_signed, push_sized, push_varint},
};

pub(super) const CONST: u8 = 0;
pub(super) const DICT: u8 = 1;
pub(super) const NUMBER: u8 = 2;
pub(super) const CLOCK: u8 = 3;
pub(super) const HEX: u8 = 4;
pub(super) const MINED: u8 = 5;
pub(super) const TEXT: u8 = 6;

/// Dictionaries so small that nothing else is tried.
const SMALL_DICT: usize = 32;

/// Bytes an id must have to be worth a filter: shorter ones are read and compared as fast.
const FILTERED_ID: usize = 16;

/// Bytes below which nothing is compressed.
const LEAST_COMPRESSED: usize = 64;

const LEVEL: i32 = 1;

/// What all columns of a block are written with.
pub(super) struct Writer {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    pub(super) signature: signature::Builder,
}

/// Whether the text of a column is in the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Typed,
}

impl Default for Writer {
    fn default() -> Self {
        // Without a compressor texts are stored as they are.
        Writer { zstd: zstd::bulk::Compressor::new(LEVEL).ok(), signature: signature::Builder::new() }
    }
}

impl Writer {
    /// Writes a column. `times` are those of the rows its values are in.
    pub(super) fn column(
        &mut self,
        values: &[&[u8]],
        times: &[i64],
        may_mine: bool,
        out: &mut Vec<u8>,
    ) -> Kind {
        let first = values.first().copied().unwrap_or_default();
        if values.iter().all(|v| *v == first) {
            out.push(CONST);
            out.extend_from_slice(first);
            self.signature.add(first);
            return Kind::Text;
        }
        let dictionary = Dictionary::of(values);
        let small = dictionary.as_ref().is_some_and(|d| d.values.len() <= SMALL_DICT);
        if !small {
            let mut typed = Vec::new();
            let fits = dictionary.as_ref().map_or(usize::MAX, Dictionary::estimate);
            if let Some(set) = write_typed(values, times, &mut typed)
                && typed.len() <= fits
            {
                out.extend(typed);
                let all = &mut self.signature.borders.typed;
                all.iter_mut().zip(set).for_each(|(a, s)| *a |= s);
                return Kind::Typed;
            }
        }
        match dictionary {
            Some(d) if small || d.values.len() <= values.len() / 4 => self.dictionary(&d, out),
            _ => match may_mine.then(|| Mined::of(values)).flatten() {
                Some(mined) => self.mined(&mined, times, out),
                None => self.text(values, out),
            },
        }
        Kind::Text
    }

    fn dictionary(&mut self, dictionary: &Dictionary<'_>, out: &mut Vec<u8>) {
        out.push(DICT);
        push_varint(out, dictionary.values.len() as u64);
        let mut values = Vec::new();
        for value in &dictionary.values {
            push_sized(&mut values, value);
            self.signature.add(value);
        }
        self.packed(&values, out);
        self.codes(&dictionary.codes, dictionary.values.len(), out);
    }

    fn mined(&mut self, mined: &Mined<'_>, times: &[i64], out: &mut Vec<u8>) {
        let patterns = &mined.patterns;
        let mut children = Vec::new();
        let (mut hole, mut longest_typed) = (0, 0);
        for (pattern, places) in patterns.iter().zip(&mined.places) {
            for literal in pattern {
                self.signature.add(literal);
            }
            let times: Vec<i64> = places.iter().map(|p| times[*p as usize]).collect();
            for around in pattern.windows(2) {
                let mut child = Vec::new();
                let values = &mined.holes[hole];
                let kind = self.column(values, &times, false, &mut child);
                push_sized(&mut children, &child);
                self.border(kind, around[0], around[1]);
                if kind == Kind::Typed {
                    longest_typed = values.iter().map(|v| v.len()).max().unwrap_or(0).max(longest_typed);
                }
                hole += 1;
            }
            // Holes side by side: a border may be anywhere.
            if pattern.len() > 2 && pattern[1..pattern.len() - 1].iter().any(|literal| literal.is_empty()) {
                self.signature.borders.before_text = [u64::MAX; 4];
            }
        }
        out.push(MINED);
        push_varint(out, longest_typed as u64);
        mine::write_patterns(patterns, out);
        self.codes(&mined.codes, patterns.len(), out);
        out.extend(children);
    }

    /// Notes what stands next to a hole.
    pub(super) fn border(&mut self, kind: Kind, before: &[u8], behind: &[u8]) {
        let borders: &mut Borders = &mut self.signature.borders;
        let (before_set, behind_set): (&mut ByteSet, &mut ByteSet) = match kind {
            Kind::Text => (&mut borders.before_text, &mut borders.behind_text),
            Kind::Typed => (&mut borders.before_typed, &mut borders.behind_typed),
        };
        if let Some(byte) = before.last() {
            signature::insert(before_set, *byte);
        }
        if let Some(byte) = behind.first() {
            signature::insert(behind_set, *byte);
        }
    }

    fn text(&mut self, values: &[&[u8]], out: &mut Vec<u8>) {
        out.push(TEXT);
        let lengths: Vec<i64> = values.iter().map(|v| v.len() as i64).collect();
        ints::encode(&lengths, out);
        let mut text = Vec::with_capacity(values.iter().map(|v| v.len()).sum());
        for value in values {
            text.extend_from_slice(value);
            self.signature.add(value);
        }
        self.packed(&text, out);
    }

    /// Writes bytes, compressed if that pays: length now, length before, bytes; a length before of 0 says that they are as they
    /// were.
    fn packed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.len() >= LEAST_COMPRESSED
            && let Some(compressed) = self.zstd.as_mut().and_then(|z| z.compress(bytes).ok())
            && compressed.len() < bytes.len() - bytes.len() / 16
        {
            push_varint(out, bytes.len() as u64);
            push_sized(out, &compressed);
        } else {
            push_varint(out, 0);
            push_sized(out, bytes);
        }
    }

    /// Writes codes below `distinct`: bits, or bytes compressed if some codes are far more frequent than others.
    pub(super) fn codes(&mut self, codes: &[u32], distinct: usize, out: &mut Vec<u8>) {
        let width = code_width(distinct);
        let bits = codes.len() * width as usize;
        if distinct <= 256 && entropy_bits(codes, distinct) * 1.1 + 600.0 < bits as f64 {
            let bytes: Vec<u8> = codes.iter().map(|c| *c as u8).collect();
            if let Some(compressed) = self.zstd.as_mut().and_then(|z| z.compress(&bytes).ok())
                && compressed.len() * 8 < bits
            {
                out.push(1);
                push_sized(out, &compressed);
                return;
            }
        }
        out.push(0);
        ints::pack(codes.iter().map(|c| u64::from(*c)), width, out);
    }
}

/// Bits of a code.
pub(super) fn code_width(distinct: usize) -> u32 {
    usize::BITS - distinct.saturating_sub(1).leading_zeros()
}

fn entropy_bits(codes: &[u32], distinct: usize) -> f64 {
    let mut counts = vec![0u32; distinct];
    for code in codes {
        counts[*code as usize] += 1;
    }
    let n = codes.len() as f64;
    counts.into_iter().filter(|c| *c > 0).map(|c| f64::from(c) * (n / f64::from(c)).log2()).sum()
}

/// Distinct texts of a column.
struct Dictionary<'a> {
    values: Vec<&'a [u8]>,
    codes: Vec<u32>,
}

impl<'a> Dictionary<'a> {
    /// The distinct texts, unless nearly all are.
    fn of(values: &[&'a [u8]]) -> Option<Self> {
        let mut places: HashMap<&[u8], u32, Hasher> = HashMap::default();
        let mut dictionary = Dictionary { values: Vec::new(), codes: Vec::with_capacity(values.len()) };
        let mut latest: (&[u8], u32) = (&[], u32::MAX);
        for (i, value) in values.iter().enumerate() {
            if *value != latest.0 || latest.1 == u32::MAX {
                let next = dictionary.values.len() as u32;
                let code = *places.entry(value).or_insert(next);
                if code == next {
                    dictionary.values.push(value);
                    if dictionary.values.len() > SMALL_DICT * 2 + i / 2 {
                        return None;
                    }
                }
                latest = (value, code);
            }
            dictionary.codes.push(latest.1);
        }
        Some(dictionary)
    }

    /// About how many bytes it takes.
    fn estimate(&self) -> usize {
        let texts: usize = self.values.iter().map(|v| v.len() + 1).sum();
        texts + self.codes.len() * code_width(self.values.len()) as usize / 8
    }
}

/// Hashes short texts in one go.
#[derive(Clone, Copy, Default)]
struct Hasher(u64);

impl std::hash::BuildHasher for Hasher {
    type Hasher = Hasher;

    fn build_hasher(&self) -> Self::Hasher {
        Hasher(0)
    }
}

impl std::hash::Hasher for Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_usize(&mut self, n: usize) {
        self.0 = (self.0 ^ n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Writes values that are all numbers, times or ids of one form; returns the bytes that may occur in them.
fn write_typed(values: &[&[u8]], times: &[i64], out: &mut Vec<u8>) -> Option<ByteSet> {
    let first = *values.first()?;
    if !first.first().is_some_and(|b| b.is_ascii_hexdigit() || *b == b'-') {
        return None;
    }
    if let Some((format, numbers)) = typed::numbers(values) {
        write_numbers(format, &numbers, out);
        return Some(set_of(b"0123456789-."));
    }
    if let Some((format, numbers)) = typed::padded(values) {
        write_numbers(format, &numbers, out);
        return Some(set_of(b"0123456789"));
    }
    if let Some(numbers) = values.iter().map(|v| typed::ipv4(v)).collect::<Option<Vec<_>>>() {
        write_numbers(Format::Ipv4, &numbers, out);
        return Some(set_of(b"0123456789."));
    }
    if let Some((clock, read)) = Clock::read_all(values) {
        write_times(&clock, &read, times, out);
        let mut set = set_of(b"0123456789-T: t.,");
        first[19..].iter().for_each(|b| signature::insert(&mut set, *b));
        return Some(set);
    }
    write_hex(values, out)
}

fn set_of(bytes: &[u8]) -> ByteSet {
    let mut set = ByteSet::default();
    for byte in bytes {
        signature::insert(&mut set, *byte);
    }
    set
}

fn write_numbers(format: Format, numbers: &[i64], out: &mut Vec<u8>) {
    out.push(NUMBER);
    match format {
        Format::Int => out.push(0),
        Format::Ipv4 => out.push(1),
        Format::Decimal(form) => {
            let zeros = match form.zeros {
                Zeros::Kept => 2,
                Zeros::Cut => 3,
                Zeros::CutToOne => 4,
            };
            out.extend([zeros, form.scale]);
        }
        Format::Padded(digits) => out.extend([5, digits]),
    }
    push_signed(out, numbers.iter().copied().min().unwrap_or(0));
    push_signed(out, numbers.iter().copied().max().unwrap_or(0));
    ints::encode(numbers, out);
}

fn write_times(clock: &Clock<'_>, read: &[i64], times: &[i64], out: &mut Vec<u8>) {
    out.push(CLOCK);
    clock.write_form(out);
    let unit = clock.unit_ns();
    let relative: Vec<i64> =
        read.iter().zip(times).map(|(r, ns)| r.wrapping_sub(ns.div_euclid(unit))).collect();
    let span = |all: &[i64]| {
        let (min, max) = (all.iter().min().copied(), all.iter().max().copied());
        max.unwrap_or(0).wrapping_sub(min.unwrap_or(0)) as u64
    };
    let nearer = span(&relative) < span(read);
    out.push(u8::from(nearer));
    ints::encode(if nearer { &relative } else { read }, out);
}

/// Bit 0 of a form of ids: upper case. Bit 1: with dashes.
pub(super) const UPPER: u8 = 1;
pub(super) const DASHES: u8 = 2;

const NO_DIGIT: u8 = 0x80;
const LOWER_DIGITS: [u8; 256] = digit_values(b'a');
const UPPER_DIGITS: [u8; 256] = digit_values(b'A');

/// The value of each byte as a hexadecimal digit whose letters begin with this one.
const fn digit_values(first_letter: u8) -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut i = 0;
    while i < 16 {
        let digit = if i < 10 { b'0' + i } else { first_letter + i - 10 };
        values[digit as usize] = i;
        i += 1;
    }
    values
}

/// Fewest digits of an id.
const LEAST_ID: usize = 6;

fn write_hex(values: &[&[u8]], out: &mut Vec<u8>) -> Option<ByteSet> {
    let len = values.first()?.len();
    let dashes = len == 36 && values[0][8] == b'-';
    let alike = values.iter().all(|v| v.len() == len);
    if !alike || !(LEAST_ID..=256).contains(&len) || (!dashes && len % 2 == 1) {
        return None;
    }
    let letter = |v: &&&[u8]| v.iter().find(|b| b.is_ascii_alphabetic()).copied();
    let upper = values.iter().find_map(|v| letter(&v)).is_some_and(|b| b.is_ascii_uppercase());
    let form = u8::from(upper) | if dashes { DASHES } else { 0 };
    let mut raw = Vec::with_capacity(values.len() * len / 2);
    for value in values {
        push_id(value, form, &mut raw)?;
    }
    let id = raw.len() / values.len();
    out.push(HEX);
    out.push(form);
    push_varint(out, id as u64);
    let mut filter = Vec::new();
    if id >= FILTERED_ID {
        let hashes = raw.chunks_exact(id).map(fuse::hash).collect();
        if !fuse::build(hashes, &mut filter) {
            filter.clear();
        }
    }
    push_sized(out, &filter);
    out.extend(raw);
    Some(set_of(match (upper, dashes) {
        (false, false) => b"0123456789abcdef",
        (false, true) => b"0123456789abcdef-",
        (true, false) => b"0123456789ABCDEF",
        (true, true) => b"0123456789ABCDEF-",
    }))
}

/// The bytes of an id in hexadecimal digits; nothing if the text is none of this form.
pub(super) fn push_id(text: &[u8], form: u8, out: &mut Vec<u8>) -> Option<()> {
    let values = if form & UPPER != 0 { &UPPER_DIGITS } else { &LOWER_DIGITS };
    let mut pairs = |digits: &[u8]| -> Option<()> {
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut wrong = rest.len() as u8 * NO_DIGIT;
        out.extend(pairs.iter().map(|[high, low]| {
            let (high, low) = (values[usize::from(*high)], values[usize::from(*low)]);
            wrong |= (high | low) & NO_DIGIT;
            high << 4 | low & 15
        }));
        (wrong == 0).then_some(())
    };
    if form & DASHES == 0 {
        return pairs(text);
    }
    if text.len() != 36 {
        return None;
    }
    for (i, group) in text.split(|b| *b == b'-').enumerate() {
        if group.len() != *[8, 4, 4, 4, 12].get(i)? {
            return None;
        }
        pairs(group)?;
    }
    Some(())
}
