//! Labels of rows: where a parser of LogQL would find them, without running it.

use super::{
    frame::{Frame, Head, ShapeHead},
    json,
    shape::{Family, Source},
    values::Values,
};
use reba_storage::LineParser;

/// Where a shape's lines have a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the first of these columns that has a value that counts; without one they have no such label.
    Columns(Vec<u32>),
    /// The parser refuses the line.
    Refused,
    /// Only the parser can tell.
    Unknown,
}

/// Where a parser finds the label `name` in lines of a shape.
pub(super) fn place(frame: &Frame<'_>, shape: &ShapeHead<'_>, parser: LineParser, name: &str) -> Place {
    match (parser, shape.family) {
        (LineParser::Json, Family::Json) | (LineParser::Logfmt, Family::Logfmt) => {
            let columns = shape.holes.iter().map(|(_, column)| *column);
            let named = columns.filter(|c| {
                let head = &frame.columns[*c as usize];
                head.name == name && head.source != Source::JsonArray
            });
            Place::Columns(named.collect())
        }
        // Words without values only, which the parser leaves out.
        (LineParser::Logfmt, Family::Text) => Place::Columns(Vec::new()),
        (LineParser::Json, Family::Text | Family::Logfmt | Family::Pairs) => Place::Refused,
        _ => Place::Unknown,
    }
}

/// What the parser makes of a value as it is stored; nothing if it does not count.
pub(super) fn resolve<'s>(source: Source, raw: &'s str, scratch: &'s mut String) -> Option<&'s str> {
    let escaped = || memchr::memchr(b'\\', raw.as_bytes()).is_some();
    match source {
        Source::JsonBare if raw == "null" => None,
        Source::JsonArray | Source::Line => None,
        Source::LogfmtBare | Source::LogfmtQuoted if raw.is_empty() => None,
        Source::JsonText if escaped() => {
            scratch.clear();
            json::unescape(raw, scratch)?;
            Some(scratch)
        }
        Source::LogfmtQuoted if escaped() => {
            scratch.clear();
            reba_model::logfmt::unquote(raw, scratch);
            (!scratch.is_empty()).then_some(scratch)
        }
        _ => Some(raw),
    }
}

/// Whether a value counts whatever it is.
pub(super) fn always_counts(head: &Head<'_>, values: &Values<'_>) -> bool {
    match (head.source, values) {
        (_, Values::Numbers { .. }) => numbers_count(head),
        (Source::JsonText | Source::Metadata, _) => true,
        (Source::JsonBare | Source::LogfmtBare, Values::Times { .. } | Values::Ids { .. }) => true,
        (Source::LogfmtQuoted, Values::Ids { .. }) => !head.escaped,
        _ => false,
    }
}

/// The same, of a column that holds numbers.
pub(super) fn numbers_count(head: &Head<'_>) -> bool {
    match head.source {
        Source::JsonText | Source::Metadata | Source::JsonBare | Source::LogfmtBare => true,
        Source::LogfmtQuoted => !head.escaped,
        Source::JsonArray | Source::Line => false,
    }
}

/// Which values of a column somebody wants to know of.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'w> {
    All(usize),
    Some(&'w [bool]),
}

impl Wanted<'_> {
    fn len(self) -> usize {
        match self {
            Wanted::All(len) => len,
            Wanted::Some(wanted) => wanted.len(),
        }
    }

    fn holds(self, i: usize) -> bool {
        match self {
            Wanted::All(_) => true,
            Wanted::Some(wanted) => wanted[i],
        }
    }
}

/// Hands over what the parser makes of each value of a column, once for each distinct one where that is known; the answers
/// by value. Of values that are not wanted it says anything.
pub(super) fn each<T: Copy>(
    head: &Head<'_>,
    values: &Values<'_>,
    wanted: Wanted<'_>,
    mut answer: impl FnMut(Option<&str>) -> T,
) -> Vec<T> {
    let len = wanted.len();
    let mut scratch = String::new();
    let unwanted = answer(None);
    let mut of = |raw: &[u8]| {
        let raw = std::str::from_utf8(raw).unwrap_or_default();
        answer(resolve(head.source, raw, &mut scratch))
    };
    match values {
        Values::Const(text) => vec![of(text); len],
        Values::Dict { dict, codes } => {
            let answers: Vec<T> = (0..dict.len()).map(|i| of(dict.get(i))).collect();
            codes.iter().map(|c| answers[*c as usize]).collect()
        }
        Values::Text(texts) => {
            (0..len).map(|i| if wanted.holds(i) { of(texts.get(i)) } else { unwanted }).collect()
        }
        _ => {
            let mut text = Vec::new();
            let mut at = |i| {
                if !wanted.holds(i) {
                    return unwanted;
                }
                text.clear();
                values.push(i, &mut text);
                of(&text)
            };
            (0..len).map(&mut at).collect()
        }
    }
}
