//! `auto`: a stage of our own for logs that nobody has described.
//!
//! It recognises JSON (pino's numeric levels too), logfmt, the common log format and plain lines with a level word, sets
//! `detected_level` in the metadata, and takes the time that the line says; lines of a stack trace are joined to the line they belong to.

use std::time::Duration;

use jiff::tz::TimeZone;
use reba_model::GoRegex;

use super::{
    Context, Flow,
    extract::{for_each_pair, json_object, of_json},
    join::{Blocks, nanos},
    level::{level_in_words, level_name},
    moment::guess,
};
use crate::entry::Entry;

/// The name of the level in the metadata.
const LEVEL: &str = "detected_level";

/// Keys under which programs write a level.
const LEVEL_KEYS: [&str; 7] = ["level", "severity", "lvl", "loglevel", "log.level", "log_level", "@level"];

/// Keys under which programs write when it was.
const TIME_KEYS: [&str; 6] = ["time", "timestamp", "ts", "@timestamp", "@t", "t"];

/// A time that is farther ahead is no time of the line.
const AHEAD: Duration = Duration::from_secs(3600);

/// Nor is one that is longer ago.
const AGO: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Lines of one trace.
const TRACE_LINES: usize = 1000;

/// How long a trace may take to be written.
const TRACE_WAIT: Duration = Duration::from_millis(500);

/// `auto`
#[derive(Debug)]
pub(crate) struct Auto {
    access: GoRegex,
    exception: GoRegex,
    go_call: GoRegex,
    /// Lines with the traces that follow them, unless traces stay apart.
    blocks: Option<Blocks>,
    times: bool,
}

/// What a line says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    level: Option<&'static str>,
    ns: Option<i64>,
    /// Nothing can follow that belongs to it.
    whole: bool,
}

impl Auto {
    pub fn new(join_traces: bool, times: bool) -> Result<Self, String> {
        let expression = |text: &str| GoRegex::search(text).map_err(|e| e.to_string());
        Ok(Auto {
            // Common log format: host ident user [time] "request" status bytes.
            access: expression(r#"^\S+ \S+ \S+ \[(?P<time>[^\]]+)\] "[^"]*" (?P<status>\d{3}) "#)?,
            exception: expression(
                r"^(?:Exception in thread .*|(?:[\w$]+\.)*[A-Z][\w$]*(?:Exception|Error|Throwable|Interrupt|Exit|Warning)(?:: .*)?)$",
            )?,
            go_call: expression(r"^(?:created by )?[\w./$*()\[\]{}-]+\(.*\)(?: in goroutine \d+)?$")?,
            blocks: join_traces.then(|| Blocks::new(TRACE_LINES, TRACE_WAIT)),
            times,
        })
    }

    pub fn apply(&mut self, entry: &mut Entry, cx: &Context<'_>) -> Flow {
        let open = self.blocks.as_ref().and_then(|b| b.open(&entry.labels));
        let continues = self.continues(&entry.line, open);
        let said = if continues { Said::default() } else { self.read(&entry.line, cx.now_ns) };
        if let Some(level) = said.level {
            entry.set_metadata(LEVEL, level.to_owned());
        }
        if let Some(ns) = said.ns.filter(|_| self.times) {
            entry.ns = ns;
        }
        match &mut self.blocks {
            Some(blocks) if said.whole => Flow::Instead(blocks.alone(std::mem::take(entry))),
            Some(blocks) => Flow::Instead(blocks.add(std::mem::take(entry), !continues, cx.now_ns)),
            None if said == Said::default() => Flow::Missed,
            None => Flow::Next,
        }
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        self.blocks.as_mut().map(|b| b.release(now_ns, all)).unwrap_or_default()
    }

    /// Level and time of a line.
    fn read(&self, line: &str, now_ns: i64) -> Said {
        let trimmed = line.trim_start();
        if trimmed.starts_with('{')
            && let Some(object) = json_object(trimmed)
        {
            let text =
                |keys: &[&str]| keys.iter().find_map(|k| object.get(k)).and_then(|v| of_json(v).text());
            let level = text(&LEVEL_KEYS).and_then(|v| level_name(&v));
            return Said { level, ns: text(&TIME_KEYS).and_then(|t| moment(&t, now_ns)), whole: true };
        }
        let mut said = Said::default();
        if line.contains('=') {
            for_each_pair(line, |key, value| {
                if said.level.is_none() && LEVEL_KEYS.contains(&key) {
                    said.level = level_name(&value);
                } else if said.ns.is_none() && TIME_KEYS.contains(&key) {
                    said.ns = moment(&value, now_ns);
                }
            });
        }
        if said.level.is_none() && line.contains("] \"") {
            self.access.extract(line, |name, value| match name {
                "status" => said.level = value.parse().ok().map(level_of_status),
                _ => said.ns = moment(value, now_ns),
            });
        }
        said.ns = said.ns.or_else(|| leading_time(line, now_ns));
        said.level = said.level.or_else(|| level_in_words(line));
        if said.level.is_none() && (line.starts_with(TRACEBACK) || self.exception.is_match(line)) {
            said.level = Some("error");
        }
        said
    }

    /// Whether a line belongs to what is open: a message, with the stack trace that follows it.
    fn continues(&self, line: &str, open: Option<&str>) -> bool {
        if continues_anything(line) {
            return true;
        }
        let Some(open) = open else { return false };
        let before = open.rsplit('\n').next().unwrap_or(open);
        // Java and JavaScript write the message, then the exception, then its frames.
        if self.exception.is_match(line) && !open.contains('\n') && level_in_words(open).is_some() {
            return true;
        }
        if line.starts_with(TRACEBACK) {
            return !open.contains('\n') || before.is_empty();
        }
        if open.contains(TRACEBACK) {
            // The exception stands at the margin, behind the indented frames; between two tracebacks there are sentences.
            let ends = before.starts_with([' ', '\t']) && looks_like_exception(line);
            return ends
                || line.is_empty()
                || line.ends_with("another exception occurred:")
                || line.ends_with("following exception:");
        }
        let go = open.starts_with("panic: ") || open.starts_with("fatal error: ");
        go && (line.is_empty()
            || line.starts_with("exit status ")
            || line.starts_with("[signal ")
            || self.go_call.is_match(line))
    }
}

const TRACEBACK: &str = "Traceback (most recent call last):";

/// What a line that is indented or begins as frames do belongs to, stands before it.
fn continues_anything(line: &str) -> bool {
    let text = line.trim_start();
    (line.starts_with([' ', '\t']) && !text.is_empty())
        || text.starts_with("Caused by: ")
        || text.starts_with("Suppressed: ")
        || line.starts_with("goroutine ")
        || line == "}"
}

/// `name.of.Exception`, or that with a colon and a text.
fn looks_like_exception(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    let letters = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    !name.is_empty() && name.chars().all(letters) && name.starts_with(char::is_alphabetic)
}

fn level_of_status(status: u16) -> &'static str {
    match status {
        500.. => "error",
        400.. => "warn",
        _ => "info",
    }
}

/// A time that a line of now can have.
fn moment(text: &str, now_ns: i64) -> Option<i64> {
    let (ns, _) = guess(text, &TimeZone::UTC, now_ns)?;
    let possible = now_ns.saturating_sub(nanos(AGO))..=now_ns.saturating_add(nanos(AHEAD));
    possible.contains(&ns).then_some(ns)
}

/// The time with its zone at the beginning of a plain line, in brackets or not. One without a zone may be of any place.
fn leading_time(line: &str, now_ns: i64) -> Option<i64> {
    let line = line.strip_prefix('[').unwrap_or(line);
    let word = line.split([' ', ']', '\t']).next()?;
    let zoned = word.ends_with('Z') || word.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    (word.len() >= 20 && word.as_bytes().get(10) == Some(&b'T') && zoned).then(|| moment(word, now_ns))?
}
