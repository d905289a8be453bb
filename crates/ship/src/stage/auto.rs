//! `auto`: a stage of our own for logs that nobody has described.
//!
//! It recognises JSON (pino's numeric levels too), logfmt, the common log format and plain lines with a level word, and sets
//! `detected_level` in the metadata; lines of a stack trace are joined to the line they belong to.

use std::time::Duration;

use reba_model::GoRegex;

use super::{
    Flow,
    extract::{for_each_pair, json_object, of_json},
    join::Blocks,
    level::{level_in_words, level_name},
};
use crate::entry::Entry;

/// The name of the level in the metadata.
const LEVEL: &str = "detected_level";

/// Keys under which programs write a level.
const LEVEL_KEYS: [&str; 7] = ["level", "severity", "lvl", "loglevel", "log.level", "log_level", "@level"];

/// `auto`
#[derive(Debug)]
pub(crate) struct Auto {
    status: GoRegex,
    /// Lines with the traces that follow them, unless traces stay apart.
    blocks: Option<Blocks>,
}

impl Auto {
    pub fn new(join_traces: bool) -> Result<Self, String> {
        // Common log format: host ident user [time] "request" status bytes.
        let clf = r#"^\S+ \S+ \S+ \[[^\]]+\] "[^"]*" (?P<status>\d{3}) "#;
        let status = GoRegex::search(clf).map_err(|e| e.to_string())?;
        Ok(Auto { status, blocks: join_traces.then(|| Blocks::new(1_000, Duration::from_millis(500))) })
    }

    pub fn apply(&mut self, entry: &mut Entry, now_ns: i64) -> Flow {
        let continues = continues_trace(&entry.line);
        let level = if continues { None } else { self.level(&entry.line) };
        if let Some(level) = level {
            entry.set_metadata(LEVEL, level.to_owned());
        }
        match &mut self.blocks {
            Some(blocks) => Flow::Instead(blocks.add(std::mem::take(entry), !continues, now_ns)),
            None if level.is_some() => Flow::Next,
            None => Flow::Missed,
        }
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        self.blocks.as_mut().map(|b| b.release(now_ns, all)).unwrap_or_default()
    }

    fn level(&self, line: &str) -> Option<&'static str> {
        let trimmed = line.trim_start();
        if trimmed.starts_with('{')
            && let Some(object) = json_object(trimmed)
        {
            let value = LEVEL_KEYS.iter().find_map(|k| object.get(k)).and_then(|v| of_json(v).text());
            return value.and_then(|v| level_name(&v));
        }
        let mut level = None;
        if line.contains('=') {
            for_each_pair(line, |key, value| {
                if level.is_none() && LEVEL_KEYS.contains(&key) {
                    level = level_name(&value);
                }
            });
        }
        let mut status = None;
        if level.is_none() && line.contains("] \"") {
            self.status.extract(line, |_, code| status = code.parse::<u16>().ok());
        }
        let by_status = status.map(|s| match s {
            500.. => "error",
            400.. => "warn",
            _ => "info",
        });
        level.or(by_status).or_else(|| level_in_words(line))
    }
}

/// Whether a line belongs to a stack trace that began before it.
fn continues_trace(line: &str) -> bool {
    let indented = line.starts_with([' ', '\t']);
    let text = line.trim_start();
    // Java and JavaScript, Python, Go; causes stand at the margin.
    let frame = ["at ", "File \"", "... ", "^", "| "].iter().any(|p| text.starts_with(p));
    (indented && (frame || !text.is_empty()))
        || text.starts_with("Caused by: ")
        || text.starts_with("Suppressed: ")
        || line.starts_with("goroutine ")
        || line == "}"
}
