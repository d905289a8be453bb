//! Which lines contain a text, found out column by column, without putting lines together.
//!
//! A line is literals and values by turns. A needle lies in a literal, in a value, or over some of their borders; every way it
//! could lie there is a list of needs: this value ends with that, the next one is that, …

use std::collections::BTreeMap;

use super::{
    BlockError,
    load::Table,
    signature::Signature,
    typed::Format,
    values::{Dict, Mined, Node, Values},
};

/// What a value must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need<'n> {
    Contains(&'n [u8]),
    StartsWith(&'n [u8]),
    EndsWith(&'n [u8]),
    Equals(&'n [u8]),
}

/// Most ways that are followed up; with more, nothing is said.
const MAX_WAYS: usize = 256;

/// Most steps on the way to them.
const MAX_STEPS: usize = 1 << 15;

/// The ways a needle may lie in a line.
enum Ways<'n> {
    /// A literal contains it.
    Always,
    /// All needs of one of these.
    Needs(Vec<Vec<(usize, Need<'n>)>>),
    TooMany,
}

impl<'n> Ways<'n> {
    /// `literals` are one more than there are values between them.
    fn of(literals: &[&[u8]], needle: &'n [u8]) -> Self {
        let finder = memchr::memmem::Finder::new(needle);
        if literals.iter().any(|l| finder.find(l).is_some()) {
            return Ways::Always;
        }
        let values = literals.len().saturating_sub(1);
        let mut ways: Vec<_> = (0..values).map(|v| vec![(v, Need::Contains(needle))]).collect();
        let mut walk = Walk { literals, ways: Vec::new(), steps: 0 };
        for (value, literal) in literals.iter().take(values).enumerate() {
            // From within the literal before the value.
            let most = literal.len().min(needle.len() - 1);
            for len in 1..=most {
                if literal.ends_with(&needle[..len]) {
                    walk.value(value, &needle[len..], &mut Vec::new());
                }
            }
            // From within the value, to the literal behind it.
            for len in 1..needle.len() {
                walk.literal(value + 1, &needle[len..], &mut vec![(value, Need::EndsWith(&needle[..len]))]);
            }
        }
        if walk.steps > MAX_STEPS || walk.ways.len() > MAX_WAYS {
            return Ways::TooMany;
        }
        ways.append(&mut walk.ways);
        Ways::Needs(ways)
    }
}

struct Walk<'l, 'n> {
    literals: &'l [&'l [u8]],
    ways: Vec<Vec<(usize, Need<'n>)>>,
    steps: usize,
}

impl<'n> Walk<'_, 'n> {
    /// `rest`, not empty, begins where a value does.
    fn value(&mut self, value: usize, rest: &'n [u8], needs: &mut Vec<(usize, Need<'n>)>) {
        if value + 1 >= self.literals.len() {
            return;
        }
        needs.push((value, Need::StartsWith(rest)));
        self.ways.push(needs.clone());
        needs.pop();
        for len in 0..rest.len() {
            needs.push((value, Need::Equals(&rest[..len])));
            self.literal(value + 1, &rest[len..], needs);
            needs.pop();
        }
    }

    /// `rest`, not empty, begins where a literal does.
    fn literal(&mut self, literal: usize, rest: &'n [u8], needs: &mut Vec<(usize, Need<'n>)>) {
        self.steps += 1;
        if self.steps > MAX_STEPS || needs.len() > 16 {
            self.steps = usize::MAX / 2;
            return;
        }
        let text = self.literals[literal];
        if text.starts_with(rest) {
            self.ways.push(needs.clone());
        } else if let Some(rest) = rest.strip_prefix(text) {
            self.value(literal, rest, needs);
        }
    }
}

/// Which lines contain the needle, and whether that is exact: otherwise some of them may not.
pub(super) fn lines(table: &mut Table<'_, '_>, needle: &[u8]) -> Result<(Vec<bool>, bool), BlockError> {
    let rows = table.times.len();
    if needle.is_empty() {
        return Ok((vec![true; rows], true));
    }
    let mut exact = true;
    let mut known = Known::new();
    let mut hits = vec![false; rows];
    let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); table.frame.shapes.len()];
    table.shape_of.iter().enumerate().for_each(|(row, shape)| rows_of[*shape as usize].push(row as u32));
    let frame = table.frame;
    for (head, rows) in frame.shapes.iter().zip(rows_of).filter(|(_, rows)| !rows.is_empty()) {
        let literals: Vec<&[u8]> = head.holes.iter().map(|(before, _)| *before).chain([head.tail]).collect();
        let ways = match Ways::of(&literals, needle) {
            Ways::Always => vec![Vec::new()],
            Ways::TooMany => {
                exact = false;
                vec![Vec::new()]
            }
            Ways::Needs(ways) => ways,
        };
        for way in ways {
            let mut columns = Vec::with_capacity(way.len());
            let mut possible = true;
            for (hole, need) in way {
                let column = head.holes[hole].1;
                possible = possible && needed(table, &mut known, column, need)?;
                columns.push((column, need));
            }
            if !possible {
                continue;
            }
            for row in rows.iter().map(|r| *r as usize) {
                let meets = |(column, need): &(u32, Need<'_>)| {
                    let rank = table.loaded(*column).and_then(|l| l.rank(row));
                    rank.is_some_and(|rank| known[&(*column, *need)].1[rank])
                };
                hits[row] = hits[row] || columns.iter().all(meets);
            }
        }
    }
    Ok((hits, exact))
}

/// For needs of columns whether any value meets them, and then which.
type Known<'n> = BTreeMap<(u32, Need<'n>), (bool, Vec<bool>)>;

/// Finds out which values of a column meet a need; whether any does.
fn needed<'n>(
    table: &mut Table<'_, '_>,
    known: &mut Known<'n>,
    column: u32,
    need: Need<'n>,
) -> Result<bool, BlockError> {
    if let Some((any, _)) = known.get(&(column, need)) {
        return Ok(*any);
    }
    let found = if cannot_hold(&Node::open(table.frame.columns[column as usize].node)?, need.bytes()) {
        (false, Vec::new())
    } else {
        let loaded = table.load(column)?;
        let hits = meeting(&loaded.values, loaded.len, need);
        (hits.contains(&true), hits)
    };
    Ok(known.entry((column, need)).or_insert(found).0)
}

impl<'n> Need<'n> {
    fn bytes(self) -> &'n [u8] {
        match self {
            Need::Contains(b) | Need::StartsWith(b) | Need::EndsWith(b) | Need::Equals(b) => b,
        }
    }

    fn holds(self, value: &[u8]) -> bool {
        match self {
            Need::Contains(b) => memchr::memmem::find(value, b).is_some(),
            Need::StartsWith(b) => value.starts_with(b),
            Need::EndsWith(b) => value.ends_with(b),
            Need::Equals(b) => value == b,
        }
    }
}

/// Whether a column's form alone says that none of its values has these bytes in it.
fn cannot_hold(node: &Node<'_>, bytes: &[u8]) -> bool {
    let all = |allowed: fn(u8) -> bool| bytes.iter().all(|b| allowed(*b));
    match node {
        Node::Number { format, .. } => !number_may_hold(*format, bytes),
        Node::Hex { len, .. } => bytes.len() > len * 2 + 4 || !all(|b| b.is_ascii_hexdigit() || b == b'-'),
        Node::Clock { clock, .. } => !clock.may_hold(bytes),
        _ => false,
    }
}

fn number_may_hold(format: Format, bytes: &[u8]) -> bool {
    let point = format != Format::Int;
    bytes.len() <= 21 && bytes.iter().all(|b| b.is_ascii_digit() || *b == b'-' || (point && *b == b'.'))
}

fn meeting(values: &Values<'_>, len: usize, need: Need<'_>) -> Vec<bool> {
    match values {
        Values::Const(text) => vec![need.holds(text); len],
        Values::Dict { dict, codes } => {
            let hits: Vec<bool> = (0..dict.len()).map(|i| need.holds(dict.get(i))).collect();
            codes.iter().map(|c| hits[*c as usize]).collect()
        }
        Values::Text(texts) => texts_meeting(texts, need),
        Values::Mined(mined) => mined_meeting(mined, need),
        Values::Numbers { format, .. } if !number_may_hold(*format, need.bytes()) => vec![false; len],
        Values::Times { clock, .. } if !clock.may_hold(need.bytes()) => vec![false; len],
        _ => written(values, 0..len, need),
    }
}

/// Writes every value to see.
fn written(values: &Values<'_>, places: impl Iterator<Item = usize>, need: Need<'_>) -> Vec<bool> {
    let mut text = Vec::new();
    places
        .map(|i| {
            text.clear();
            values.push(i, &mut text);
            need.holds(&text)
        })
        .collect()
}

fn texts_meeting(texts: &Dict<'_>, need: Need<'_>) -> Vec<bool> {
    let Need::Contains(needle) = need else {
        return (0..texts.len()).map(|i| need.holds(texts.get(i))).collect();
    };
    // All texts at once, and then the text of each hit, if it is in one.
    let mut hits = vec![false; texts.len()];
    let finder = memchr::memmem::Finder::new(needle);
    let (mut from, mut i) = (0, 0);
    while let Some(at) = texts.text.get(from..).and_then(|rest| finder.find(rest)) {
        let (start, end) = (from + at, from + at + needle.len());
        while i < hits.len() && (texts.ends[i] as usize) <= start {
            i += 1;
        }
        if i == hits.len() {
            break;
        }
        hits[i] |= end <= texts.ends[i] as usize;
        from = if hits[i] { texts.ends[i] as usize } else { start + 1 };
    }
    hits
}

fn mined_meeting(mined: &Mined<'_>, need: Need<'_>) -> Vec<bool> {
    let mut by_pattern: Vec<Option<Vec<bool>>> = Vec::with_capacity(mined.patterns.len());
    let mut counts = vec![0usize; mined.patterns.len()];
    mined.codes.iter().for_each(|c| counts[*c as usize] += 1);
    for (pattern, literals) in mined.patterns.iter().enumerate() {
        by_pattern.push(pattern_meeting(literals, &mined.holes[pattern], counts[pattern], need));
    }
    let mut text = Vec::new();
    (0..mined.codes.len())
        .map(|i| match &by_pattern[mined.codes[i] as usize] {
            Some(hits) => hits[mined.ranks[i] as usize],
            None => {
                text.clear();
                mined.push(i, &mut text);
                need.holds(&text)
            }
        })
        .collect()
}

/// Which texts of a pattern meet the need; nothing if they have to be written to see.
fn pattern_meeting(
    literals: &[&[u8]],
    holes: &[Values<'_>],
    len: usize,
    need: Need<'_>,
) -> Option<Vec<bool>> {
    let compatible = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let (first, last) = (literals.first()?, literals.last()?);
    if let Need::Contains(needle) = need {
        let ways = match Ways::of(literals, needle) {
            Ways::Always => return Some(vec![true; len]),
            Ways::TooMany => return None,
            Ways::Needs(ways) => ways,
        };
        let mut hits = vec![false; len];
        for way in ways {
            let mut all = vec![true; len];
            for (hole, need) in way {
                let meets = meeting(&holes[hole], len, need);
                all.iter_mut().zip(meets).for_each(|(a, m)| *a &= m);
                if !all.contains(&true) {
                    break;
                }
            }
            hits.iter_mut().zip(all).for_each(|(h, a)| *h |= a);
        }
        return Some(hits);
    }
    let ends = |literal: &[u8], bytes: &[u8]| literal.ends_with(bytes) || bytes.ends_with(literal);
    let possible = match need {
        Need::StartsWith(b) => compatible(first, b),
        Need::EndsWith(b) => ends(last, b),
        Need::Equals(b) => {
            b.starts_with(first) && b.ends_with(last) && b.len() >= literals.iter().map(|l| l.len()).sum()
        }
        Need::Contains(_) => true,
    };
    match (need, holes) {
        _ if !possible => Some(vec![false; len]),
        (Need::Equals(b), []) => Some(vec![b == *first; len]),
        (Need::Equals(b), [hole]) => {
            Some(meeting(hole, len, Need::Equals(&b[first.len()..b.len() - last.len()])))
        }
        _ => None,
    }
}

/// Which values of a column are this text, as it is stored.
pub(super) fn equal(values: &Values<'_>, len: usize, text: &[u8]) -> Vec<bool> {
    let all = |places: Option<i64>, numbers: &[i64]| match places {
        Some(n) => numbers.iter().map(|v| *v == n).collect(),
        None => vec![false; len],
    };
    match values {
        Values::Numbers { format, numbers } => all(format.parse(text), numbers),
        Values::Times { clock, times } => all(clock.read(text), times),
        Values::Ids { form, len: id, ids } => {
            let mut wanted = Vec::new();
            match super::node::push_id(text, *form, &mut wanted) {
                Some(()) if wanted.len() == *id => ids.chunks_exact(*id).map(|v| v == wanted).collect(),
                _ => vec![false; len],
            }
        }
        _ => meeting(values, len, Need::Equals(text)),
    }
}

/// Whether a line may contain the needle, as far as the signature and the forms of columns say.
pub(super) fn may_contain(
    table: &super::frame::Frame<'_>,
    signature: &Signature<'_>,
    needle: &[u8],
) -> Result<bool, BlockError> {
    if !signature.may_contain(needle) {
        return Ok(false);
    }
    if !signature.is_whole(needle) || signature.may_be_text(needle) {
        return Ok(true);
    }
    // Not part of a text: then of a typed value.
    for head in &table.columns {
        let node = Node::open(head.node)?;
        let may = match &node {
            Node::Number { .. } => !cannot_hold(&node, needle),
            Node::Hex { form, filter, len, .. } => {
                let mut id = Vec::new();
                let whole = super::node::push_id(needle, *form, &mut id).is_some() && id.len() == *len;
                if whole && !filter.is_empty() {
                    super::fuse::may_hold(filter, super::fuse::hash(&id))?
                } else {
                    !cannot_hold(&node, needle)
                }
            }
            Node::Clock { clock, .. } => clock.may_hold(needle),
            Node::Mined { longest_typed, .. } => needle.len() as u64 <= *longest_typed,
            Node::Const(_) | Node::Dict { .. } | Node::Text { .. } => false,
        };
        if may {
            return Ok(true);
        }
    }
    Ok(false)
}
