//! Which lines contain a text, found out column by column, without putting lines together.
//!
//! A line is literals and values by turns. A needle lies in a literal, in a value, or over some of their borders; every way it
//! could lie there is a list of needs: this value ends with that, the next one is that, …

use std::collections::BTreeMap;

use super::{
    BlockError,
    load::{Ranks, Table},
    signature::Signature,
    typed::Format,
    values::{Dict, Mined, Node, Partly, Patterns, Unpacker, Values},
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

impl<'n> Ways<'n> {
    /// The ways a text of a pattern may meet a need; too many if it has to be written to see. `cannot_hold` says of a hole that
    /// no value of it has these bytes.
    fn of_pattern(literals: &[&[u8]], need: Need<'n>, cannot_hold: impl Fn(usize, &[u8]) -> bool) -> Self {
        let (Some(first), Some(last)) = (literals.first(), literals.last()) else { return Ways::TooMany };
        let never = Ways::Needs(Vec::new());
        let ways = match need {
            Need::Contains(needle) => Ways::of(literals, needle),
            Need::StartsWith([]) | Need::EndsWith([]) => Ways::Always,
            Need::StartsWith(b) => {
                let mut walk = Walk { literals, ways: Vec::new(), steps: 0 };
                walk.literal(0, b, &mut Vec::new());
                match walk.ways.iter().any(Vec::is_empty) {
                    _ if walk.steps > MAX_STEPS || walk.ways.len() > MAX_WAYS => Ways::TooMany,
                    true => Ways::Always,
                    false => Ways::Needs(walk.ways),
                }
            }
            Need::EndsWith(b) if !last.ends_with(b) && !b.ends_with(last) => never,
            Need::EndsWith(_) => Ways::TooMany,
            Need::Equals(b) => {
                let least: usize = literals.iter().map(|l| l.len()).sum();
                match literals.len() {
                    _ if b.len() < least || !b.starts_with(first) || !b.ends_with(last) => never,
                    1 if b == *first => Ways::Always,
                    1 => never,
                    2 => Ways::Needs(vec![vec![(0, Need::Equals(&b[first.len()..b.len() - last.len()]))]]),
                    _ => Ways::TooMany,
                }
            }
        };
        match ways {
            Ways::Needs(mut ways) => {
                ways.retain(|way| !way.iter().any(|(hole, need)| cannot_hold(*hole, need.bytes())));
                Ways::Needs(ways)
            }
            ways => ways,
        }
    }

    /// All needs of all ways.
    fn needs(&self) -> impl Iterator<Item = &(usize, Need<'n>)> {
        let ways = if let Ways::Needs(ways) = self { ways.as_slice() } else { &[] };
        ways.iter().flatten()
    }

    /// Which of `len` texts are so, by the values of their holes, of which those that have needs are there.
    fn meeting(&self, holes: &[Option<&Values<'_>>], len: usize) -> Vec<bool> {
        let Ways::Needs(ways) = self else { return vec![true; len] };
        let mut hits = vec![false; len];
        for way in ways {
            let mut all = vec![true; len];
            for (hole, need) in way {
                match holes[*hole] {
                    Some(values) => {
                        all.iter_mut().zip(meeting(values, len, *need)).for_each(|(a, m)| *a &= m);
                    }
                    None => all.fill(false),
                }
                if !all.contains(&true) {
                    break;
                }
            }
            hits.iter_mut().zip(all).for_each(|(h, a)| *h |= a);
        }
        hits
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
    let rows = table.frame.rows;
    if needle.is_empty() {
        return Ok((vec![true; rows], true));
    }
    let mut exact = true;
    let mut known = Known::new();
    let mut hits = vec![false; rows];
    let frame = table.frame;
    for (shape, head) in frame.shapes.iter().enumerate() {
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
            let way: Vec<(u32, Need<'_>)> =
                way.into_iter().map(|(hole, n)| (head.holes[hole].1, n)).collect();
            let mut possible = true;
            for (column, need) in &way {
                possible = possible && needed(table, &mut known, *column, *need)?;
            }
            if !possible {
                continue;
            }
            let needs: Vec<(&Ranks, &[bool])> =
                way.iter().filter_map(|n| Some((table.ranks(n.0), known.get(n)?.as_deref()?))).collect();
            let meets =
                |row: usize| needs.iter().all(|(ranks, hits)| ranks.get(row).is_some_and(|r| hits[r]));
            for (row, hit) in hits.iter_mut().enumerate() {
                *hit = *hit || (table.shape_of[row] as usize == shape && meets(row));
            }
        }
    }
    Ok((hits, exact))
}

/// For needs of columns which values meet them; nothing if none does.
type Known<'n> = BTreeMap<(u32, Need<'n>), Option<Vec<bool>>>;

/// Finds out which values of a column meet a need; whether any does.
fn needed<'n>(
    table: &mut Table<'_, '_>,
    known: &mut Known<'n>,
    column: u32,
    need: Need<'n>,
) -> Result<bool, BlockError> {
    if let Some(found) = known.get(&(column, need)) {
        return Ok(found.is_some());
    }
    let found = column_meeting(table, column, need)?;
    Ok(known.entry((column, need)).or_insert(found).is_some())
}

/// Which values of a column contain a text; nothing if none does.
pub(super) fn containing(
    table: &mut Table<'_, '_>,
    column: u32,
    needle: &[u8],
) -> Result<Option<Vec<bool>>, BlockError> {
    column_meeting(table, column, Need::Contains(needle))
}

/// Which values of a column meet a need, reading as little of it as that takes; nothing if none does.
fn column_meeting(
    table: &mut Table<'_, '_>,
    column: u32,
    need: Need<'_>,
) -> Result<Option<Vec<bool>>, BlockError> {
    let len = table.ranks(column).len;
    if table.loaded(column).is_none() {
        let node = Node::open(table.frame.columns[column as usize].node)?;
        match &node {
            _ if cannot_hold(&node, need.bytes()) => return Ok(None),
            Node::Const(text) => return Ok(need.holds(text).then(|| vec![true; len])),
            Node::Dict { values, distinct } => {
                let dict =
                    table.apart(|unpacker| Node::dictionary(&mut values.clone(), *distinct, unpacker))?;
                if !(0..dict.len()).any(|i| need.holds(dict.get(i))) {
                    return Ok(None);
                }
            }
            Node::Mined { packed, .. } => {
                let mut partly = match table.partly[column as usize].take() {
                    Some(partly) => partly,
                    None => Box::new(Partly::new(Patterns::open(packed, len)?)),
                };
                let found = table.apart(|unpacker| unread_patterns(&mut partly, len, need, unpacker))?;
                table.partly[column as usize] = Some(partly);
                if let Some(found) = found {
                    return Ok(some_hit(found));
                }
            }
            _ => {}
        }
    }
    Ok(some_hit(meeting(table.load(column)?, len, need)))
}

fn some_hit(hits: Vec<bool>) -> Option<Vec<bool>> {
    hits.contains(&true).then_some(hits)
}

/// Which texts of patterns meet a need, by reading only the holes in question; nothing if that does not tell.
fn unread_patterns(
    partly: &mut Partly<'_>,
    len: usize,
    need: Need<'_>,
    unpacker: &mut Unpacker,
) -> Result<Option<Vec<bool>>, BlockError> {
    let Partly { patterns, order, holes: read } = partly;
    let mut verdicts = Vec::with_capacity(patterns.literals.len());
    for (literals, holes) in patterns.literals.iter().zip(&patterns.holes) {
        let verdict = Ways::of_pattern(literals, need, |hole, bytes| cannot_hold(&holes[hole], bytes));
        let needs_times = |node: &Node<'_>| matches!(node, Node::Clock { relative: true, .. });
        match verdict {
            Ways::TooMany => return Ok(None),
            Ways::Needs(ways) if ways.iter().flatten().any(|(hole, _)| needs_times(&holes[*hole])) => {
                return Ok(None);
            }
            verdict => verdicts.push(verdict),
        }
    }
    if verdicts.iter().all(|v| matches!(v, Ways::Needs(ways) if ways.is_empty())) {
        return Ok(Some(Vec::new()));
    }
    let (codes, ranks, counts) = match order {
        Some(order) => order,
        None => order.insert(patterns.order(len, unpacker)?),
    };
    let mut by_pattern = Vec::with_capacity(verdicts.len());
    for (((verdict, holes), read), count) in verdicts.iter().zip(&patterns.holes).zip(read).zip(counts) {
        let count = *count as usize;
        for (hole, _) in verdict.needs() {
            if read[*hole].is_none() {
                read[*hole] = Some(holes[*hole].read(count, &[], unpacker)?);
            }
        }
        let values: Vec<Option<&Values<'_>>> = read.iter().map(Option::as_ref).collect();
        by_pattern.push(verdict.meeting(&values, count));
    }
    let hit = |(code, rank): (&u32, &u32)| by_pattern[*code as usize].get(*rank as usize) == Some(&true);
    Ok(Some(codes.iter().zip(ranks.iter()).map(hit).collect()))
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
    if let Format::Padded(digits) = format {
        return bytes.len() <= usize::from(digits) && bytes.iter().all(u8::is_ascii_digit);
    }
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
    let mut counts = vec![0usize; mined.patterns.len()];
    mined.codes.iter().for_each(|c| counts[*c as usize] += 1);
    let by_pattern = |pattern: usize| {
        let holes: Vec<Option<&Values<'_>>> = mined.holes[pattern].iter().map(Some).collect();
        match Ways::of_pattern(&mined.patterns[pattern], need, |_, _| false) {
            Ways::TooMany => None,
            ways => Some(ways.meeting(&holes, counts[pattern])),
        }
    };
    let by_pattern: Vec<Option<Vec<bool>>> = (0..counts.len()).map(by_pattern).collect();
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
