//! The spans of a trace in the order in which people read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::query::tempo::{attribute_text, long};

/// A span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// Its id, in hex.
    pub id: String,
    /// That of the span that caused it; empty for a root.
    pub parent: String,
    /// Who did it.
    pub service: String,
    /// What was done.
    pub name: String,
    /// When it began.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// Whether it failed.
    pub failed: bool,
    /// Why.
    pub why: String,
}

/// A line that somebody wrote meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// When.
    pub ns: i64,
    /// Which span it says that it is of; may be empty.
    pub span_id: String,
    /// Who wrote it.
    pub service: String,
    /// `error`, `info`, …; empty if nobody says.
    pub level: &'static str,
    /// What it says.
    pub text: String,
}

/// A trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Its id: 32 hex digits.
    pub id: String,
    /// Its spans by start.
    pub spans: Vec<Span>,
}

/// What stands in a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// A span.
    Span(&'a Span),
    /// A note.
    Note(&'a Note),
}

impl Trace {
    /// Reads the answer of `/api/traces/{id}`.
    pub fn read(answer: &Value) -> Result<Trace> {
        let mut trace = Trace::default();
        for batch in answer["batches"].as_array().into_iter().flatten() {
            let attributes = batch["resource"]["attributes"].as_array().into_iter().flatten();
            let name =
                attributes.filter(|a| a["key"] == "service.name").map(|a| attribute_text(&a["value"])).next();
            let service = name.unwrap_or_default();
            let scopes = batch["scopeSpans"].as_array().into_iter().flatten();
            for span in scopes.flat_map(|scope| scope["spans"].as_array().into_iter().flatten()) {
                trace.id = hex(&span["traceId"]);
                trace.spans.push(read_span(span, &service));
            }
        }
        if trace.spans.is_empty() {
            bail!("it has no spans");
        }
        trace.spans.sort_by(|a, b| (a.start_ns, &a.id).cmp(&(b.start_ns, &b.id)));
        Ok(trace)
    }

    /// When the first span began and the last one ended.
    pub fn range(&self) -> (i64, i64) {
        let start = self.spans.iter().map(|s| s.start_ns).min().unwrap_or(0);
        let end = self.spans.iter().map(|s| s.end_ns).max().unwrap_or(0);
        (start, end.max(start))
    }

    /// Its services.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|s| s.service.as_str()).collect()
    }

    /// Every span below the one that caused it, and every note below its span, each with how deep it lies: what is next to each
    /// other by time. Spans whose cause is not there, or is one of those that they caused, stand at the top.
    pub fn rows<'a>(&'a self, notes: &'a [Note]) -> Vec<(usize, Item<'a>)> {
        let ids: BTreeMap<&str, usize> =
            self.spans.iter().enumerate().map(|(i, s)| (s.id.as_str(), i)).collect();
        let mut below = Below::new();
        for (i, span) in self.spans.iter().enumerate() {
            let parent = ids.get(span.parent.as_str()).copied().filter(|parent| *parent != i);
            below.entry(parent).or_default().push((span.start_ns, Ok(i)));
        }
        for (i, note) in notes.iter().enumerate() {
            let place = ids.get(note.span_id.as_str()).copied().or_else(|| self.around(note));
            below.entry(place).or_default().push((note.ns, Err(i)));
        }
        for items in below.values_mut() {
            items.sort_by_key(|(ns, _)| *ns);
        }
        let mut rows = Vec::new();
        let mut seen = vec![false; self.spans.len()];
        walk(None, &below, &mut seen, |depth, item| rows.push((depth, self.item(item, notes))));
        // Spans that caused each other in a ring hang below none.
        for i in 0..self.spans.len() {
            if !seen.get(i).copied().unwrap_or(true) {
                rows.push((0, self.item(Ok(i), notes)));
                if let Some(seen) = seen.get_mut(i) {
                    *seen = true;
                }
                walk(Some(i), &below, &mut seen, |depth, item| {
                    rows.push((depth + 1, self.item(item, notes)));
                });
            }
        }
        rows
    }

    fn item<'a>(&'a self, item: Result<usize, usize>, notes: &'a [Note]) -> Item<'a> {
        match item {
            Ok(span) => Item::Span(&self.spans[span]),
            Err(note) => Item::Note(&notes[note]),
        }
    }

    /// The shortest span of the note's service that ran then.
    fn around(&self, note: &Note) -> Option<usize> {
        let runs = |s: &Span| s.service == note.service && (s.start_ns..=s.end_ns).contains(&note.ns);
        let all = self.spans.iter().enumerate().filter(|(_, s)| runs(s));
        all.min_by_key(|(_, s)| s.end_ns - s.start_ns).map(|(i, _)| i)
    }
}

/// What lies below each span (none: at the top), with its time: the number of a span, or as an error that of a note.
type Below = BTreeMap<Option<usize>, Vec<(i64, Result<usize, usize>)>>;

/// Visits what lies below a span, depth first, each span once. Traces may be deeper than a stack.
fn walk(
    from: Option<usize>,
    below: &Below,
    seen: &mut [bool],
    mut visit: impl FnMut(usize, Result<usize, usize>),
) {
    let items = |of: Option<usize>| below.get(&of).map_or(&[][..], Vec::as_slice);
    let mut open = vec![items(from).iter()];
    while let Some(level) = open.last_mut() {
        let Some((_, item)) = level.next() else {
            open.pop();
            continue;
        };
        let depth = open.len() - 1;
        match *item {
            Err(_) => visit(depth, *item),
            Ok(span) => {
                if !std::mem::replace(&mut seen[span], true) {
                    visit(depth, *item);
                    open.push(items(Some(span)).iter());
                }
            }
        }
    }
}

fn read_span(span: &Value, service: &str) -> Span {
    Span {
        id: hex(&span["spanId"]),
        parent: hex(&span["parentSpanId"]),
        service: service.to_owned(),
        name: span["name"].as_str().unwrap_or("").to_owned(),
        start_ns: long(&span["startTimeUnixNano"]),
        end_ns: long(&span["endTimeUnixNano"]),
        failed: span["status"]["code"] == "STATUS_CODE_ERROR" || span["status"]["code"] == 2,
        why: span["status"]["message"].as_str().unwrap_or("").to_owned(),
    }
}

/// Ids are base64 in the API's JSON.
fn hex(id: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(id.as_str().unwrap_or("")).unwrap_or_default();
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: i64, end: i64) -> Span {
        Span {
            id: id.to_owned(),
            parent: parent.to_owned(),
            service: "api".to_owned(),
            start_ns: start,
            end_ns: end,
            ..Span::default()
        }
    }

    fn shown(trace: &Trace, notes: &[Note]) -> Vec<String> {
        let text = |(depth, item): &(usize, Item<'_>)| match item {
            Item::Span(span) => format!("{depth}{}", span.id),
            Item::Note(note) => format!("{depth}\"{}\"", note.text),
        };
        trace.rows(notes).iter().map(text).collect()
    }

    #[test]
    fn spans_and_notes_stand_below_their_cause_by_time() {
        let trace = Trace {
            id: String::new(),
            spans: vec![
                span("a", "", 0, 100),
                span("b", "a", 10, 50),
                span("c", "a", 60, 70),
                span("d", "gone", 80, 90),
            ],
        };
        let note = |span_id: &str, ns, text: &str| Note {
            ns,
            span_id: span_id.to_owned(),
            service: "api".to_owned(),
            text: text.to_owned(),
            level: "",
        };
        let notes = [note("a", 55, "x"), note("", 65, "y"), note("", 500, "z")];
        assert_eq!(shown(&trace, &notes), ["0a", "1b", "1\"x\"", "1c", "2\"y\"", "0d", "0\"z\""]);
    }

    #[test]
    fn a_ring_of_causes_and_a_very_deep_trace_are_walked_to_their_end() {
        let ring = Trace {
            id: String::new(),
            spans: vec![span("a", "b", 0, 1), span("b", "a", 1, 2), span("c", "c", 2, 3)],
        };
        assert_eq!(shown(&ring, &[]), ["0c", "0a", "1b"]);
        let deep: Vec<Span> =
            (0..50_000).map(|i| span(&i.to_string(), &(i - 1).to_string(), i64::from(i), 60_000)).collect();
        let deep = Trace { id: String::new(), spans: deep };
        assert_eq!(deep.rows(&[]).last().map(|(depth, _)| *depth), Some(49_999));
    }
}
