//! Patterns in free text: what stays the same, with holes where words with digits are.

use std::collections::HashMap;

use super::BlockError;
use super::wire::{Reader, push_sized, push_varint};

/// Most patterns of a column.
pub(super) const MAX_PATTERNS: usize = 256;

/// Texts of one pattern, below which it does not pay to have it.
const FEW: u32 = 4;

const MAX_HOLES: usize = 64;

/// Texts of a column by pattern.
#[derive(Debug, Default)]
pub(super) struct Mined<'a> {
    /// For each pattern the texts before its holes and behind the last one.
    pub(super) patterns: Vec<Vec<&'a [u8]>>,
    /// Pattern of each text.
    pub(super) codes: Vec<u32>,
    /// For each hole of each pattern, in order, its values.
    pub(super) holes: Vec<Vec<&'a [u8]>>,
    /// For each pattern the places of its texts.
    pub(super) places: Vec<Vec<u32>>,
}

impl<'a> Mined<'a> {
    /// The patterns of most of the texts, if there are such; the others are of a pattern that is one hole.
    pub(super) fn of(texts: &[&'a [u8]]) -> Option<Self> {
        let mut spans: Vec<(u32, u32)> = Vec::with_capacity(texts.len() * 2);
        let mut firsts = Vec::with_capacity(texts.len() + 1);
        let mut hashes = Vec::with_capacity(texts.len());
        let mut seen: HashMap<u64, (u32, u32)> = HashMap::new();
        for (i, text) in texts.iter().enumerate() {
            firsts.push(spans.len());
            let hash = holes(text, &mut spans);
            hashes.push(hash);
            seen.entry(hash).or_insert((i as u32, 0)).1 += 1;
        }
        firsts.push(spans.len());
        let mut frequent: Vec<(u64, u32, u32)> =
            seen.into_iter().map(|(h, (first, n))| (h, first, n)).collect();
        frequent.retain(|(_, _, n)| *n >= FEW);
        // The most frequent first; the place of the first text makes the order definite.
        frequent.sort_unstable_by_key(|(_, first, n)| (u32::MAX - n, *first));
        frequent.truncate(MAX_PATTERNS - 1);
        let covered: u32 = frequent.iter().map(|(_, _, n)| n).sum();
        if (covered as usize) < texts.len() / 2 || texts.is_empty() {
            return None;
        }
        let spans_of = |i: usize| &spans[firsts[i]..firsts[i + 1]];
        let mut mined = Mined::default();
        let mut pattern_of: HashMap<u64, u32> = HashMap::new();
        for (hash, first, _) in frequent {
            let first = first as usize;
            pattern_of.insert(hash, mined.patterns.len() as u32);
            mined.patterns.push(literals(texts[first], spans_of(first)));
        }
        mined.patterns.push(vec![&[], &[]]);
        mined.sort(texts, |i| (pattern_of.get(&hashes[i]).copied(), spans_of(i)));
        // One hole for everything is no pattern.
        let idle = mined.patterns.iter().zip(&mined.places).any(|(p, places)| {
            p.len() == 2 && p[0].is_empty() && p[1].is_empty() && places.len() == texts.len()
        });
        (!idle).then_some(mined)
    }

    fn sort<'s>(&mut self, texts: &[&'a [u8]], of: impl Fn(usize) -> (Option<u32>, &'s [(u32, u32)])) {
        let rest = self.patterns.len() as u32 - 1;
        let mut first_holes = Vec::with_capacity(self.patterns.len());
        for pattern in &self.patterns {
            first_holes.push(self.holes.len());
            self.holes.resize_with(self.holes.len() + pattern.len() - 1, Vec::new);
            self.places.push(Vec::new());
        }
        for (i, text) in texts.iter().enumerate() {
            let (pattern, spans) = of(i);
            // Two patterns of one hash are as good as impossible, but nobody vouches for it.
            let pattern = pattern.filter(|p| is_of(&self.patterns[*p as usize], text, spans)).unwrap_or(rest);
            self.codes.push(pattern);
            self.places[pattern as usize].push(i as u32);
            let holes = &mut self.holes[first_holes[pattern as usize]..];
            if pattern == rest {
                holes[0].push(text);
            } else {
                for (hole, (start, end)) in holes.iter_mut().zip(spans) {
                    hole.push(&text[*start as usize..*end as usize]);
                }
            }
        }
    }
}

fn literals<'a>(text: &'a [u8], spans: &[(u32, u32)]) -> Vec<&'a [u8]> {
    let mut from = 0;
    let mut pieces: Vec<&[u8]> = Vec::with_capacity(spans.len() + 1);
    for (start, end) in spans {
        pieces.push(&text[from..*start as usize]);
        from = *end as usize;
    }
    pieces.push(&text[from..]);
    pieces
}

fn is_of(pattern: &[&[u8]], text: &[u8], spans: &[(u32, u32)]) -> bool {
    let mut from = 0;
    pattern.len() == spans.len() + 1
        && pattern[..spans.len()].iter().zip(spans).all(|(literal, (start, end))| {
            let same = text[from..*start as usize] == **literal;
            from = *end as usize;
            same
        })
        && text[from..] == *pattern[spans.len()]
}

/// Finds the holes of a text; returns a hash of what is between them.
fn holes(text: &[u8], spans: &mut Vec<(u32, u32)>) -> u64 {
    let first = spans.len();
    let (mut pos, mut from, mut hash) = (0, 0, 0u64);
    while pos < text.len() && spans.len() - first < MAX_HOLES {
        if !text[pos].is_ascii_alphanumeric() {
            pos += 1;
            continue;
        }
        match word(text, pos) {
            (end, None) => pos = end,
            (_, Some((start, end))) => {
                hash = mixed(hash, &text[from..start]);
                spans.push((start as u32, end as u32));
                (pos, from) = (end, end);
            }
        }
    }
    mixed(hash, &text[from..])
}

fn mixed(hash: u64, literal: &[u8]) -> u64 {
    (hash.rotate_left(5) ^ xxhash_rust::xxh3::xxh3_64(literal)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The word at `start`: where it ends, and the hole in it.
fn word(text: &[u8], start: usize) -> (usize, Option<(usize, usize)>) {
    let rest = &text[start..];
    let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let end = start + len;
    let Some(first_digit) = rest[..len].iter().position(u8::is_ascii_digit) else {
        // Ids may begin with letters only.
        let id = (len == 8).then(|| uuid_end(text, start)).flatten();
        return (end, id.map(|end| (start, end)));
    };
    if let Some(end) = uuid_end(text, start).or_else(|| time_end(text, start)) {
        return (end, Some((start, end)));
    }
    if is_hex(&rest[..len]) {
        return (end, Some((start, end)));
    }
    let digits = rest[first_digit..len].iter().take_while(|b| b.is_ascii_digit()).count();
    let behind = start + first_digit + digits;
    if first_digit == 0 && (behind == end || rest[digits..len].iter().all(u8::is_ascii_alphabetic)) {
        let hole_end = if behind == end { number_end(text, start, behind) } else { behind };
        return (hole_end, Some((start, hole_end)));
    }
    if behind == end {
        return (end, Some((start + first_digit, end)));
    }
    (end, Some((start, end)))
}

/// Whether a word with digits looks like part of an id: its letters are no constant text then.
fn is_hex(word: &[u8]) -> bool {
    const LEAST: usize = 6;
    let all = |allowed: fn(&u8) -> bool| word.iter().all(|b| b.is_ascii_digit() || allowed(b));
    word.len() >= LEAST
        && word.len().is_multiple_of(2)
        && word.iter().any(u8::is_ascii_alphabetic)
        && (all(|b| (b'a'..=b'f').contains(b)) || all(|b| (b'A'..=b'F').contains(b)))
}

/// The end of a decimal or a dotted address whose first digits end at `end`.
fn number_end(text: &[u8], start: usize, end: usize) -> usize {
    let group = |from: usize| {
        let len = text.get(from + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        (text[from] == b'.' && len > 0).then_some(from + 1 + len)
    };
    let fraction_behind_point = start > 0 && text[start - 1] == b'.';
    let Some(second) = text.get(end).and_then(|_| group(end)) else { return end };
    match text.get(second).and_then(|_| group(second)) {
        None if !fraction_behind_point => second,
        None => end,
        Some(third) => text.get(third).and_then(|_| group(third)).unwrap_or(end),
    }
}

/// The end of a UUID.
fn uuid_end(text: &[u8], start: usize) -> Option<usize> {
    let id = text.get(start..start + 36)?;
    let dashes = [8, 13, 18, 23];
    let right = id
        .iter()
        .enumerate()
        .all(|(i, b)| if dashes.contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() });
    (right && !text.get(start + 36).is_some_and(u8::is_ascii_alphanumeric)).then_some(start + 36)
}

/// The end of a time, without the zone unless it is `Z`.
fn time_end(text: &[u8], start: usize) -> Option<usize> {
    let form = b"0000-00-00?00:00:00";
    let time = text.get(start..start + form.len())?;
    let right = time.iter().zip(form).all(|(b, f)| match f {
        b'0' => b.is_ascii_digit(),
        b'?' => matches!(b, b'T' | b' '),
        _ => b == f,
    });
    right.then_some(())?;
    let mut end = start + form.len();
    if matches!(text.get(end), Some(b'.' | b',')) {
        let digits = text[end + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        end += if digits > 0 { 1 + digits } else { 0 };
    }
    Some(end + usize::from(text.get(end) == Some(&b'Z')))
}

/// Writes patterns.
pub(super) fn write_patterns(patterns: &[Vec<&[u8]>], out: &mut Vec<u8>) {
    push_varint(out, patterns.len() as u64);
    for pattern in patterns {
        push_varint(out, pattern.len() as u64 - 1);
        for literal in pattern {
            push_sized(out, literal);
        }
    }
}

/// Reads patterns.
pub(super) fn read_patterns<'a>(reader: &mut Reader<'a>) -> Result<Vec<Vec<&'a [u8]>>, BlockError> {
    let patterns = reader.count(MAX_PATTERNS)?;
    (0..patterns)
        .map(|_| {
            let holes = reader.count(MAX_HOLES)?;
            (0..=holes).map(|_| reader.sized()).collect()
        })
        .collect()
}
