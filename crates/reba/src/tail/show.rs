//! Lines for people and for programs.

use std::fmt::Write as _;

use clap::ValueEnum;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::{escape, event::Event};
use crate::query::loki::Row;

/// The widest that the column of services becomes.
const SERVICE_WIDTH: usize = 22;

/// Form of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TailFormat {
    /// Time, level, service, message, and what else a JSON line says.
    Pretty,
    /// The lines as they were written.
    Raw,
    /// A JSON object a line: timestamp, labels, line.
    Jsonl,
    /// Columns: time, level, service, the line.
    Table,
}

/// What a line is when lines around those that match are shown too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Only matching lines are shown.
    Alone,
    /// It matches.
    Match,
    /// It stands before or after one that matches.
    Around,
}

/// Turns lines into text.
#[derive(Debug)]
pub struct Printer {
    format: TailFormat,
    /// Whether the reader is a terminal: then nothing in a line may be obeyed.
    terminal: bool,
    colour: bool,
    zone: TimeZone,
    /// Of the column of services so far.
    service: usize,
}

impl Printer {
    /// `colour` without `terminal` makes no sense but does no harm.
    pub fn new(format: TailFormat, terminal: bool, colour: bool, zone: TimeZone) -> Self {
        Printer { format, terminal, colour, zone, service: 0 }
    }

    /// What stands before the first line.
    pub fn header(&self) -> &'static str {
        match self.format {
            TailFormat::Table => "TIME                     LEVEL  SERVICE                 LINE\n",
            _ => "",
        }
    }

    /// What stands between groups of lines.
    pub fn gap(&self) -> &'static str {
        if self.format == TailFormat::Jsonl { "" } else { "--\n" }
    }

    /// Appends a line.
    pub fn row(&mut self, row: &Row, place: Place, out: &mut String) {
        match self.format {
            TailFormat::Raw if self.terminal => out.push_str(&escape::lines(&row.line)),
            TailFormat::Raw => out.push_str(&row.line),
            TailFormat::Jsonl => {
                let json = jsonl(row, place);
                // JSON leaves some characters alone that a terminal does not.
                out.push_str(&if self.terminal { escape::one_line(&json) } else { json.into() });
            }
            TailFormat::Table => self.table(row, place, out),
            TailFormat::Pretty => self.pretty(row, place, out),
        }
        out.push('\n');
    }

    fn table(&self, row: &Row, place: Place, out: &mut String) {
        let event = Event::of(&row.line, &row.labels);
        let level = event.level.unwrap_or("-");
        let service = pad(&escape::one_line(&event.service), SERVICE_WIDTH);
        let line = escape::one_line(&row.line);
        let (on, off) = self.paint(event.level, place);
        let _ = write!(out, "{}  {on}{level:<5}{off}  {service}  {line}", self.time(row.ns));
    }

    fn pretty(&mut self, row: &Row, place: Place, out: &mut String) {
        let event = Event::of(&row.line, &row.labels);
        let service = escape::one_line(&event.service);
        self.service = self.service.max(service.width().min(SERVICE_WIDTH));
        let mark = match place {
            Place::Alone => "",
            Place::Match => "> ",
            Place::Around => "  ",
        };
        let (on, off) = self.paint(event.level, place);
        let (dim, plain) = if self.colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let level = event.level.unwrap_or("").to_ascii_uppercase();
        let _ = write!(out, "{mark}{dim}{}{plain} {on}{level:<5}{off}", self.time(row.ns));
        if self.service > 0 {
            let _ = write!(out, " {}", pad(&service, self.service));
        }
        let message = escape::one_line(&event.message);
        let _ = if place == Place::Around {
            write!(out, " {dim}{message}{plain}")
        } else {
            write!(out, " {message}")
        };
        if !event.fields.is_empty() {
            let fields =
                event.fields.iter().map(|(k, v)| format!("{}={}", escape::one_line(k), escape::one_line(v)));
            let _ = write!(out, "  {dim}{}{plain}", fields.collect::<Vec<_>>().join(" "));
        }
        for line in event.blocks.iter().flat_map(|block| block.lines()) {
            let _ = write!(out, "\n{mark}    {dim}{}{plain}", escape::one_line(line));
        }
    }

    /// What switches the colour of a level on and off.
    fn paint(&self, level: Option<&str>, place: Place) -> (&'static str, &'static str) {
        let on = match level {
            _ if !self.colour => return ("", ""),
            _ if place == Place::Around => "\x1b[2m",
            Some("fatal" | "critical") => "\x1b[1;31m",
            Some("error") => "\x1b[31m",
            Some("warn") => "\x1b[33m",
            Some("info") => "\x1b[32m",
            Some("debug" | "trace") => "\x1b[36m",
            _ => return ("", ""),
        };
        (on, "\x1b[0m")
    }

    /// In the user's zone, to the millisecond.
    fn time(&self, ns: i64) -> String {
        let time = Timestamp::from_nanosecond(i128::from(ns));
        let text = |t: Timestamp| t.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        time.map_or_else(|_| ns.to_string(), text)
    }
}

/// At least `width` cells wide.
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The keys are logcli's.
pub fn jsonl(row: &Row, place: Place) -> String {
    let labels: serde_json::Map<String, serde_json::Value> =
        row.labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut object = json!({ "labels": labels, "line": row.line, "timestamp": utc(row.ns) });
    if place == Place::Around {
        object["context"] = true.into();
    }
    object.to_string()
}

/// RFC 3339 in UTC, to the nanosecond.
pub fn utc(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;

    const NS: i64 = 1_709_208_001_234_567_891;

    fn row(line: &str) -> Row {
        let labels = Labels::from_pairs([("service", "wallet-service"), ("level", "error")]);
        Row { ns: NS, line: line.to_owned(), labels, stream: None }
    }

    fn shown(format: TailFormat, terminal: bool, line: &str, place: Place) -> String {
        let mut out = String::new();
        Printer::new(format, terminal, terminal, TimeZone::UTC).row(&row(line), place, &mut out);
        out
    }

    #[test]
    fn pretty_lines_have_time_level_service_message_and_fields() {
        let line = r#"{"level":50,"msg":"payment failed","amount":12.5,"err":{"stack":"E: x\n    at y"}}"#;
        assert_eq!(
            shown(TailFormat::Pretty, false, line, Place::Alone),
            "2024-02-29 12:00:01.234 ERROR wallet-service payment failed  amount=12.5\n    err.stack: E: x\n        at y\n"
        );
        let coloured = shown(TailFormat::Pretty, true, line, Place::Alone);
        assert!(coloured.contains("\x1b[31mERROR\x1b[0m"), "{coloured:?}");
        assert!(shown(TailFormat::Pretty, false, "x", Place::Match).starts_with("> 2024"));
    }

    #[test]
    fn programs_get_lines_as_they_are_and_terminals_nothing_to_obey() {
        let evil = "a\u{1b}[2Jb\u{9b}0m";
        assert_eq!(shown(TailFormat::Raw, false, evil, Place::Alone), format!("{evil}\n"));
        assert_eq!(shown(TailFormat::Raw, true, evil, Place::Alone), "a\\x1b[2Jb\\u{9b}0m\n");
        assert_eq!(
            shown(TailFormat::Raw, true, "a\nb\n", Place::Alone),
            "a\nb\n\n",
            "its own line break stays"
        );
        let object: serde_json::Value =
            serde_json::from_str(&shown(TailFormat::Jsonl, false, evil, Place::Around)).unwrap();
        assert_eq!(object["line"], evil);
        assert_eq!(object["context"], true);
        assert_eq!(object["labels"]["service"], "wallet-service");
        assert_eq!(object["timestamp"], "2024-02-29T12:00:01.234567891Z");
        for format in [TailFormat::Pretty, TailFormat::Table, TailFormat::Jsonl, TailFormat::Raw] {
            for line in [
                evil.to_owned(),
                format!("{{\"msg\":\"x\",\"\\u001bk\":\"\\u001b]0;\\u0007\\u009b\"}}{evil}"),
            ] {
                let out = shown(format, true, &line, Place::Alone);
                let bare = ["\x1b[0m", "\x1b[2m", "\x1b[31m"].iter().fold(out, |out, on| out.replace(on, ""));
                assert!(!bare.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{format:?} {bare:?}");
            }
        }
        let evil_json = r#"{"msg":"x\u001b[2J","\u001bk":"\u001b]0;\u0007 \u009b","s":"a\n\u001bc"}"#;
        let out = shown(TailFormat::Pretty, false, evil_json, Place::Alone);
        assert!(!out.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{out:?}");
    }

    #[test]
    fn a_table_keeps_a_line_a_line() {
        let out = shown(TailFormat::Table, false, "a\nb", Place::Alone);
        assert_eq!(out, "2024-02-29 12:00:01.234  error  wallet-service          a\\nb\n");
        let header = Printer::new(TailFormat::Table, false, false, TimeZone::UTC).header();
        assert_eq!(header.find("LINE"), out.find("a\\nb"));
        assert_eq!(header.find("LEVEL"), out.find("error"));
    }
}
