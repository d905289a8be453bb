//! Which rows of a block may meet conditions.

use memchr::memmem;
use reba_model::{Labels, float::parse_go};
use reba_storage::{Comparison, Condition, LineParser, TextTest};

use super::{
    BlockError,
    bounds::Bounds,
    contains,
    frame::{Frame, Head},
    fuse, ints,
    label::{self, Place, Wanted},
    load::{Table, full_allowance},
    node::push_id,
    shape::Source,
    signature::Signature,
    values::{Node, Unpacker, Values},
};

/// A question about a label.
#[derive(Clone, Copy)]
enum Test<'t> {
    Text(&'t TextTest),
    Number(Comparison, f64),
}

impl Test<'_> {
    /// What the label's text says; `None` for a row without the label.
    fn holds(self, value: Option<&str>) -> bool {
        match self {
            Test::Text(test) => text_holds(test, value.unwrap_or_default()),
            // What is no number stays, with an error.
            Test::Number(comparison, with) => {
                value.is_some_and(|v| parse_go(v).is_none_or(|n| compare(comparison, n, with)))
            }
        }
    }

    /// Whether rows stay whatever the label is: a line that the parser refuses passes every comparison of numbers.
    fn keeps(self, place: &Place) -> bool {
        matches!(self, Test::Number(..)) && !matches!(place, Place::Columns(_))
    }

    fn refused(self) -> bool {
        match self {
            Test::Text(test) => text_holds(test, ""),
            Test::Number(..) => true,
        }
    }
}

fn text_holds(test: &TextTest, value: &str) -> bool {
    let fold = |t: &str| t.to_ascii_lowercase();
    match test {
        TextTest::Contains(t) => memmem::find(value.as_bytes(), t.as_bytes()).is_some(),
        TextTest::ContainsFold(t) => fold(value).contains(&fold(t)),
        TextTest::NotContains(t) => memmem::find(value.as_bytes(), t.as_bytes()).is_none(),
        TextTest::Equals(t) => value == t,
        TextTest::NotEquals(t) => value != t,
        TextTest::Matches(regex) => regex.is_match(value),
        TextTest::NotMatches(regex) => !regex.is_match(value),
    }
}

pub(super) fn compare(comparison: Comparison, a: f64, b: f64) -> bool {
    match comparison {
        Comparison::Equal => a == b,
        Comparison::NotEqual => a != b,
        Comparison::Less => a < b,
        Comparison::LessOrEqual => a <= b,
        Comparison::Greater => a > b,
        Comparison::GreaterOrEqual => a >= b,
    }
}

/// Names whose meaning depends on more than one label.
fn is_special(name: &str) -> bool {
    name.starts_with("__") || name.ends_with("_extracted")
}

/// Which of the rows that are `live` may meet the condition (of others it says anything); nothing if nothing can be said.
pub(super) fn rows(
    table: &mut Table<'_, '_>,
    stream: &Labels,
    condition: &Condition,
    live: &[bool],
) -> Result<Option<Vec<bool>>, BlockError> {
    match condition {
        Condition::Line(test) => line(table, test),
        Condition::Label { name, parser, test } => {
            labels(table, stream, (name, *parser), Test::Text(test), live)
        }
        Condition::Number { name, parser, comparison, value } => {
            labels(table, stream, (name, *parser), Test::Number(*comparison, *value), live)
        }
        Condition::All(all) => {
            let mut kept = live.to_vec();
            for condition in all {
                let Some(rows) = rows(table, stream, condition, &kept)? else { continue };
                kept.iter_mut().zip(rows).for_each(|(k, r)| *k &= r);
                if !kept.contains(&true) {
                    break;
                }
            }
            Ok(Some(kept))
        }
        Condition::Any(any) => {
            let mut kept = vec![false; table.frame.rows];
            for condition in any {
                let Some(rows) = rows(table, stream, condition, live)? else { return Ok(None) };
                kept.iter_mut().zip(rows).for_each(|(k, r)| *k |= r);
            }
            Ok(Some(kept))
        }
    }
}

fn line(table: &mut Table<'_, '_>, test: &TextTest) -> Result<Option<Vec<bool>>, BlockError> {
    Ok(match test {
        TextTest::Contains(needle) | TextTest::Equals(needle) => {
            Some(contains::lines(table, needle.as_bytes())?.0)
        }
        TextTest::NotContains(needle) => match contains::lines(table, needle.as_bytes())? {
            (hits, true) => Some(hits.into_iter().map(|h| !h).collect()),
            _ => None,
        },
        // The reader of the lines is as fast.
        TextTest::ContainsFold(_)
        | TextTest::NotEquals(_)
        | TextTest::Matches(_)
        | TextTest::NotMatches(_) => None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The value does not count.
    Absent,
    Yes,
    No,
}

fn yes_or_no(holds: bool) -> Verdict {
    if holds { Verdict::Yes } else { Verdict::No }
}

/// Of the numbers of a column, this part or less is picked out rather than reading all of them.
const PICKED: usize = 6;

fn labels(
    table: &mut Table<'_, '_>,
    stream: &Labels,
    (name, parser): (&str, Option<LineParser>),
    test: Test<'_>,
    live: &[bool],
) -> Result<Option<Vec<bool>>, BlockError> {
    if is_special(name) {
        return Ok(None);
    }
    let rows = table.frame.rows;
    let frame = table.frame;
    let places: Vec<Place> = frame
        .shapes
        .iter()
        .map(|shape| parser.map_or(Place::Columns(Vec::new()), |p| label::place(frame, shape, p, name)))
        .collect();
    let kept_anyway: Vec<bool> = places.iter().map(|place| test.keeps(place)).collect();
    let kept_anyway = |table: &Table<'_, '_>, row: usize| kept_anyway[table.shape_of[row] as usize];
    if let Some(value) = stream.get(name) {
        let holds = test.holds(Some(value));
        return Ok(Some((0..rows).map(|row| holds || kept_anyway(table, row)).collect()));
    }
    let metadata: Vec<Option<u32>> =
        frame.metadata_shapes.iter().map(|columns| metadata_column(frame, columns, name)).collect();
    let mut verdicts: Vec<Option<Verdicts>> = vec![None; frame.columns.len()];
    let columns = places.iter().filter_map(|p| if let Place::Columns(c) = p { Some(c) } else { None });
    for column in columns.flatten().chain(metadata.iter().flatten()) {
        if verdicts[*column as usize].is_none() {
            verdicts[*column as usize] = Some(judged(table, *column, test, live)?);
        }
    }
    let (absent, refused) = (test.holds(None), test.refused());
    let verdict = |row: usize, column: u32| {
        let rank = table.ranks(column).get(row);
        match (rank, &verdicts[column as usize]) {
            (Some(rank), Some(verdicts)) => verdicts.of(rank),
            _ => Verdict::Absent,
        }
    };
    if let Some(Verdicts::Each(verdicts)) =
        only_column(table, &places, &metadata).and_then(|c| verdicts[c].as_ref())
    {
        let holds = |v: &Verdict| *v == Verdict::Yes || (*v == Verdict::Absent && absent);
        return Ok(Some(verdicts.iter().map(holds).collect()));
    }
    let one = |row: usize| {
        if !live[row] {
            return false;
        }
        if kept_anyway(table, row) {
            return true;
        }
        if let Some(column) = metadata[table.metadata_of[row] as usize] {
            return verdict(row, column) != Verdict::No;
        }
        match &places[table.shape_of[row] as usize] {
            Place::Unknown => true,
            Place::Refused => refused,
            Place::Columns(columns) => {
                let found = columns.iter().map(|c| verdict(row, *c)).find(|v| *v != Verdict::Absent);
                found.map_or(absent, |v| v == Verdict::Yes)
            }
        }
    };
    Ok(Some((0..rows).map(one).collect()))
}

/// The column that all rows have, if the label is there and nowhere else.
fn only_column(table: &Table<'_, '_>, places: &[Place], metadata: &[Option<u32>]) -> Option<usize> {
    let Some(Place::Columns(first)) = places.first() else { return None };
    let [column] = first.as_slice() else { return None };
    let alone = places.iter().all(|p| matches!(p, Place::Columns(c) if c == first))
        && metadata.iter().all(Option::is_none)
        && table.ranks(*column).len == table.frame.rows;
    alone.then_some(*column as usize)
}

/// What a test says to the values of a column.
#[derive(Clone)]
enum Verdicts {
    All(Verdict),
    Each(Vec<Verdict>),
}

impl Verdicts {
    fn of(&self, rank: usize) -> Verdict {
        match self {
            Verdicts::All(verdict) => *verdict,
            Verdicts::Each(verdicts) => verdicts[rank],
        }
    }
}

fn judged(
    table: &mut Table<'_, '_>,
    column: u32,
    test: Test<'_>,
    live: &[bool],
) -> Result<Verdicts, BlockError> {
    let head = table.frame.columns[column as usize];
    let counts = matches!(head.source, Source::JsonText | Source::Metadata);
    if let Test::Text(TextTest::Contains(text)) = test
        && counts
        && !head.escaped
        && !text.is_empty()
    {
        return Ok(match contains::containing(table, column, text.as_bytes())? {
            Some(hits) => Verdicts::Each(hits.into_iter().map(yes_or_no).collect()),
            None => Verdicts::All(Verdict::No),
        });
    }
    if let Test::Number(comparison, with) = test
        && let Some(verdicts) = picked(table, column, comparison, with, live)?
    {
        return Ok(Verdicts::Each(verdicts));
    }
    table.load(column)?;
    let ranks = table.ranks(column);
    let mut wanted = vec![false; ranks.len];
    let live_rows = live.iter().enumerate().filter(|(_, live)| **live);
    live_rows.filter_map(|(row, _)| ranks.get(row)).for_each(|rank| wanted[rank] = true);
    let values = table.load(column)?;
    Ok(Verdicts::Each(judge(&head, values, &wanted, test)))
}

/// The same of numbers of which only a few are wanted, without reading the others; nothing if it is another column.
fn picked(
    table: &mut Table<'_, '_>,
    column: u32,
    comparison: Comparison,
    with: f64,
    live: &[bool],
) -> Result<Option<Vec<Verdict>>, BlockError> {
    let head = table.frame.columns[column as usize];
    let Node::Number { format, packed, .. } = Node::open(head.node)? else { return Ok(None) };
    let bounds = Bounds::of(format, comparison, with).filter(|_| label::numbers_count(&head));
    let (Some(bounds), None) = (bounds, table.loaded(column)) else { return Ok(None) };
    let ranks = table.ranks(column);
    let live_rows = live.iter().enumerate().filter(|(_, live)| **live);
    let wanted: Vec<u32> = live_rows.filter_map(|(row, _)| ranks.get(row)).map(|rank| rank as u32).collect();
    if wanted.len() * PICKED > ranks.len {
        return Ok(None);
    }
    let mut verdicts = vec![Verdict::No; ranks.len];
    for (rank, n) in wanted.iter().zip(ints::pick(&mut packed.clone(), ranks.len, &wanted)?) {
        verdicts[*rank as usize] = yes_or_no(bounds.holds(n));
    }
    table.cost.bytes_read += head.node.len() as u64;
    Ok(Some(verdicts))
}

fn metadata_column(frame: &Frame<'_>, columns: &[u32], name: &str) -> Option<u32> {
    columns.iter().copied().find(|c| frame.columns[*c as usize].name == name)
}

/// What a test says to each value of a column that is wanted.
fn judge(head: &Head<'_>, values: &Values<'_>, wanted: &[bool], test: Test<'_>) -> Vec<Verdict> {
    let len = wanted.len();
    let verdict = yes_or_no;
    if let (Test::Number(comparison, with), Values::Numbers { format, numbers }) = (test, values)
        && label::always_counts(head, values)
        && let Some(bounds) = Bounds::of(*format, comparison, with)
    {
        return numbers.iter().map(|n| verdict(bounds.holds(*n))).collect();
    }
    let equal = match test {
        Test::Text(TextTest::Equals(text)) => Some((text, true)),
        Test::Text(TextTest::NotEquals(text)) => Some((text, false)),
        _ => None,
    };
    let few = matches!(values, Values::Const(_) | Values::Dict { .. });
    if let Some((text, positive)) = equal
        && !few
        && !head.escaped
        && (label::always_counts(head, values) || (positive && text != "null" && !text.is_empty()))
    {
        let hits = contains::equal(values, len, text.as_bytes());
        // A value that does not count is not equal to a text that is something; the next one may be.
        let other = if label::always_counts(head, values) { verdict(!positive) } else { Verdict::Absent };
        return hits.into_iter().map(|hit| if hit { verdict(positive) } else { other }).collect();
    }
    label::each(head, values, Wanted::Some(wanted), |value| match value {
        None => Verdict::Absent,
        some => verdict(test.holds(some)),
    })
}

/// Whether any row may meet the condition, as far as filters, dictionaries and bounds say.
pub(super) fn may_match(
    frame: &Frame<'_>,
    signature: Option<&Signature<'_>>,
    stream: &Labels,
    condition: &Condition,
    unpacker: &mut Unpacker,
) -> Result<bool, BlockError> {
    let mut each = |c: &Condition| may_match(frame, signature, stream, c, unpacker);
    match condition {
        Condition::Line(TextTest::Contains(t) | TextTest::Equals(t)) => match signature {
            Some(signature) => contains::may_contain(frame, signature, t.as_bytes()),
            None => Ok(true),
        },
        Condition::Line(_) => Ok(true),
        Condition::Label { name, parser, test } => {
            labels_may((frame, signature), stream, (name, *parser), Test::Text(test), unpacker)
        }
        Condition::Number { name, parser, comparison, value } => {
            let test = Test::Number(*comparison, *value);
            labels_may((frame, signature), stream, (name, *parser), test, unpacker)
        }
        Condition::All(all) => {
            for condition in all {
                if !each(condition)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Condition::Any(any) => {
            for condition in any {
                if each(condition)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn labels_may(
    (frame, signature): (&Frame<'_>, Option<&Signature<'_>>),
    stream: &Labels,
    (name, parser): (&str, Option<LineParser>),
    test: Test<'_>,
    unpacker: &mut Unpacker,
) -> Result<bool, BlockError> {
    if is_special(name) {
        return Ok(true);
    }
    let mut columns = Vec::new();
    for shape in &frame.shapes {
        let place = parser.map_or(Place::Columns(Vec::new()), |p| label::place(frame, shape, p, name));
        if test.keeps(&place) {
            return Ok(true);
        }
        match place {
            Place::Unknown if stream.get(name).is_none() => return Ok(true),
            Place::Refused if stream.get(name).is_none() && test.refused() => return Ok(true),
            Place::Unknown | Place::Refused => {}
            Place::Columns(found) => columns.extend(found),
        }
    }
    if let Some(value) = stream.get(name) {
        return Ok(test.holds(Some(value)));
    }
    if test.holds(None) {
        return Ok(true);
    }
    let metadata = frame.metadata_shapes.iter().filter_map(|c| metadata_column(frame, c, name));
    columns.extend(metadata);
    columns.sort_unstable();
    columns.dedup();
    for column in columns {
        if column_may(frame, signature, &frame.columns[column as usize], test, unpacker)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn column_may(
    frame: &Frame<'_>,
    signature: Option<&Signature<'_>>,
    head: &Head<'_>,
    test: Test<'_>,
    unpacker: &mut Unpacker,
) -> Result<bool, BlockError> {
    let mut scratch = String::new();
    // Values that do not count leave the row without the label, which was found not to meet the test.
    let mut holds = |raw: &[u8]| {
        let raw = std::str::from_utf8(raw).unwrap_or_default();
        label::resolve(head.source, raw, &mut scratch).is_some_and(|v| test.holds(Some(v)))
    };
    let node = Node::open(head.node)?;
    let wanted = match test {
        Test::Text(TextTest::Equals(text)) if !head.escaped => Some(text.as_bytes()),
        _ => None,
    };
    Ok(match (node, wanted, test) {
        (Node::Const(text), ..) => holds(text),
        (Node::Dict { mut values, distinct }, ..) => {
            unpacker.left = full_allowance(frame);
            let dict = Node::dictionary(&mut values, distinct, unpacker)?;
            (0..dict.len()).any(|i| holds(dict.get(i)))
        }
        (Node::Number { format, min, max, .. }, Some(text), _) => {
            format.parse(text).is_some_and(|n| min <= n && n <= max)
        }
        (Node::Number { format, min, max, .. }, _, Test::Number(comparison, with)) => {
            numbers_may(format.number(min).zip(format.number(max)), comparison, with)
        }
        (Node::Clock { clock, .. }, Some(text), _) => clock.read(text).is_some(),
        (Node::Hex { form, len, filter, .. }, Some(text), _) => {
            let mut id = Vec::new();
            let is_id = push_id(text, form, &mut id).is_some() && id.len() == len;
            is_id && (filter.is_empty() || fuse::may_hold(filter, fuse::hash(&id))?)
        }
        (Node::Mined { .. } | Node::Text { .. }, Some(text), _) => {
            signature.is_none_or(|s| s.may_contain(text)) || head.source == Source::Line
        }
        _ => true,
    })
}

/// Whether a number between these bounds may compare so.
fn numbers_may(bounds: Option<(f64, f64)>, comparison: Comparison, with: f64) -> bool {
    let Some((min, max)) = bounds else { return true };
    match comparison {
        Comparison::Equal => min <= with && with <= max,
        Comparison::NotEqual => min != with || max != with,
        Comparison::Less => min < with,
        Comparison::LessOrEqual => min <= with,
        Comparison::Greater => max > with,
        Comparison::GreaterOrEqual => max >= with,
    }
}
