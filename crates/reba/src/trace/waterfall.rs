//! A line for each span and each note.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use unicode_width::UnicodeWidthStr as _;

use super::tree::{Item, Note, Trace};
use crate::{query::render::shortened, tail::escape::one_line};

/// The widest that the column of services becomes.
const SERVICE_WIDTH: usize = 20;

/// The deepest that lines are moved to the right.
const MAX_INDENT: usize = 20;

/// Columns of the bar.
const BAR: usize = 30;

/// The whole text.
pub fn print(trace: &Trace, notes: &[Note], width: usize, zone: &TimeZone) -> String {
    let (start, end) = trace.range();
    let failed = trace.spans.iter().filter(|s| s.failed).count();
    let when = Timestamp::from_nanosecond(i128::from(start));
    let when = when.map(|t| t.to_zoned(zone.clone()).strftime("%F %T%.3f").to_string()).unwrap_or_default();
    let mut out = format!(
        "trace {}  {when}  {}  {} spans of {} services, {failed} failed\n\n",
        trace.id,
        duration(end - start),
        trace.spans.len(),
        trace.services().len(),
    );
    let service = trace.services().iter().map(|s| s.width()).max().unwrap_or(0).clamp(7, SERVICE_WIDTH);
    // Twelve columns were left for an axis that is not here.
    let name = (width + 12).saturating_sub(service + BAR + 16).clamp(24, 80);
    for (depth, item) in trace.rows(notes) {
        let indent = "  ".repeat(depth.min(MAX_INDENT));
        match item {
            Item::Span(span) => {
                let text = format!("{indent}{}{}", if span.failed { "! " } else { "" }, one_line(&span.name));
                let _ = writeln!(
                    out,
                    "{}  {}  {}  {:>9}{}",
                    fitted(&one_line(&span.service), service),
                    fitted(&text, name),
                    bar(start, end, span.start_ns, span.end_ns),
                    duration(span.end_ns - span.start_ns),
                    if span.why.is_empty() { String::new() } else { format!("  {}", one_line(&span.why)) },
                );
            }
            Item::Note(note) => {
                let at = duration(note.ns - start);
                let level = note.level.to_ascii_uppercase();
                let text = format!("{indent}· {at} {level} {}", one_line(&note.text));
                let _ = writeln!(out, "{}  {text}", fitted(&one_line(&note.service), service));
            }
        }
    }
    out
}

/// A text in exactly so many columns.
fn fitted(text: &str, columns: usize) -> String {
    let text = shortened(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(text.width()));
    text + &blanks
}

/// When a span ran in a trace.
fn bar(start: i64, end: i64, from: i64, to: i64) -> String {
    let length = (end.saturating_sub(start)).max(1) as f64;
    let column = |ns: i64| ((ns.saturating_sub(start)) as f64 / length * BAR as f64).clamp(0.0, BAR as f64);
    let first = (column(from) as usize).min(BAR - 1);
    // Even the shortest is seen.
    let last = (column(to).ceil() as usize).clamp(first + 1, BAR);
    format!("{}{}{}", "·".repeat(first), "█".repeat(last - first), "·".repeat(BAR - last))
}

/// Nanoseconds, as exactly as people want them.
fn duration(ns: i64) -> String {
    let (sign, n) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs() as f64);
    match n {
        n if n < 1e3 => format!("{sign}{n}ns"),
        n if n < 1e6 => format!("{sign}{:.1}µs", n / 1e3),
        n if n < 1e9 => format!("{sign}{:.1}ms", n / 1e6),
        n => format!("{sign}{:.2}s", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::Span, *};

    #[test]
    fn a_trace_is_a_waterfall_with_its_notes() {
        let span = |id: &str, parent: &str, service: &str, start, end, failed| Span {
            id: id.to_owned(),
            parent: parent.to_owned(),
            service: service.to_owned(),
            name: format!("do {id}"),
            start_ns: start,
            end_ns: end,
            failed,
            why: if failed { "timeout".to_owned() } else { String::new() },
        };
        let trace = Trace {
            id: "1f".to_owned(),
            spans: vec![
                span("a", "", "front", 0, 30_000_000, false),
                span("b", "a", "back", 10_000_000, 20_000_000, true),
            ],
        };
        let note = Note {
            ns: 12_000_000,
            span_id: "b".to_owned(),
            service: "back".to_owned(),
            level: "error",
            text: "no\u{1b}".to_owned(),
        };
        let text = print(&trace, &[note], 80, &TimeZone::UTC);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "trace 1f  1970-01-01 00:00:00.000  30.0ms  2 spans of 2 services, 1 failed");
        assert!(
            lines[2].starts_with("front    do a")
                && lines[2].ends_with(&format!("{}     30.0ms", "█".repeat(30))),
            "{text}"
        );
        assert!(lines[3].contains("  ! do b") && lines[3].ends_with("     10.0ms  timeout"), "{text}");
        assert!(
            lines[3].contains(&format!("{}{}{}", "·".repeat(10), "█".repeat(10), "·".repeat(10))),
            "{text}"
        );
        assert_eq!(lines[4].trim_end(), "back         · 12.0ms ERROR no\\x1b");
    }

    #[test]
    fn times_out_of_order_make_no_strange_bars() {
        for (from, to) in [(5, 3), (-10, 100), (200, 300), (i64::MIN, i64::MAX)] {
            assert_eq!(bar(0, 10, from, to).chars().count(), BAR, "{from} {to}");
        }
    }
}
