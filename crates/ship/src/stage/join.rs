//! The stages that make one entry of several lines: `multiline`, `cri`, `docker`.

use std::{collections::HashMap, time::Duration};

use reba_model::{GoRegex, Labels};

use super::{Context, Flow, extract::json_object, moment::Timestamp};
use crate::entry::{Entry, Value};

/// Longest entry that joined pieces make.
const MAX_JOINED: usize = 16 << 20;

/// How long a cut line waits for its next piece.
const PIECE_WAIT: Duration = Duration::from_secs(2);

/// Blocks of lines, one for each set of labels.
#[derive(Debug)]
pub(crate) struct Blocks {
    max_lines: usize,
    max_wait_ns: i64,
    open: HashMap<Labels, Block>,
}

#[derive(Debug)]
struct Block {
    /// The lines so far in one; none when the block was full and the next line opens another like it.
    entry: Option<Entry>,
    /// What the first line had besides its text.
    like: Entry,
    lines: usize,
    last_ns: i64,
}

impl Blocks {
    pub fn new(max_lines: usize, max_wait: Duration) -> Self {
        Blocks { max_lines, max_wait_ns: nanos(max_wait), open: HashMap::new() }
    }

    /// Adds a line; returns the block before it if this line begins one, and its own if that is full now.
    pub fn add(&mut self, entry: Entry, begins: bool, now_ns: i64) -> Vec<Entry> {
        let Some(block) = self.open.get_mut(&entry.labels).filter(|_| !begins) else {
            if !begins {
                // Nothing has begun here yet.
                return vec![entry];
            }
            let mut like = entry.clone();
            (like.line, like.marks) = (String::new(), crate::entry::Marks::default());
            let key = entry.labels.clone();
            let block = Block { entry: Some(entry), like, lines: 1, last_ns: now_ns };
            let before = self.open.insert(key.clone(), block).and_then(|b| b.entry);
            return before.into_iter().chain(self.full(&key)).collect();
        };
        let key = entry.labels.clone();
        block.lines += 1;
        block.last_ns = now_ns;
        match &mut block.entry {
            Some(first) => {
                first.line.push('\n');
                first.line.push_str(&entry.line);
                first.marks.join(entry.marks);
                for (name, value) in entry.metadata {
                    if !first.metadata.iter().any(|(n, _)| *n == name) {
                        first.metadata.push((name, value));
                    }
                }
            }
            None => {
                let like = block.like.clone();
                block.entry = Some(Entry { line: entry.line, marks: entry.marks, ..like });
            }
        }
        self.full(&key).into_iter().collect()
    }

    /// The block that a line with these labels could join.
    pub fn open(&self, labels: &Labels) -> Option<&str> {
        Some(&self.open.get(labels)?.entry.as_ref()?.line)
    }

    /// A line that is a block of its own, behind the one that is open.
    pub fn alone(&mut self, entry: Entry) -> Vec<Entry> {
        let before = self.open.remove(&entry.labels).and_then(|b| b.entry);
        before.into_iter().chain([entry]).collect()
    }

    fn full(&mut self, key: &Labels) -> Option<Entry> {
        let block = self.open.get_mut(key)?;
        let bytes = block.entry.as_ref().map_or(0, |e| e.line.len());
        if block.lines < self.max_lines && bytes < MAX_JOINED {
            return None;
        }
        block.lines = 0;
        block.entry.take()
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        let due = |b: &Block| all || now_ns.saturating_sub(b.last_ns) >= self.max_wait_ns;
        let mut out: Vec<Entry> = self.open.extract_if(|_, b| due(b)).filter_map(|(_, b)| b.entry).collect();
        out.sort_by_key(|e| e.ns);
        out
    }
}

pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// `multiline`
#[derive(Debug)]
pub(crate) struct Multiline {
    pub firstline: GoRegex,
    pub blocks: Blocks,
}

impl Multiline {
    pub fn apply(&mut self, entry: &mut Entry, now_ns: i64) -> Flow {
        let begins = self.firstline.is_match(&entry.line);
        Flow::Instead(self.blocks.add(std::mem::take(entry), begins, now_ns))
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        self.blocks.release(now_ns, all)
    }
}

/// Lines that were cut, waiting for their rest.
#[derive(Debug)]
pub(crate) struct Pieces {
    waiting: HashMap<Labels, (Entry, i64)>,
    pub limit: usize,
    /// Bytes from which on a line is cut for good; 0 is no limit but our own.
    pub max_bytes: usize,
    pub wait_ns: i64,
}

impl Pieces {
    pub fn new(limit: usize, max_bytes: usize, wait: Duration) -> Self {
        Pieces { waiting: HashMap::new(), limit, max_bytes, wait_ns: nanos(wait) }
    }

    /// Adds a piece; returns what is complete: the line, if `last`, or everything that waited when too many do.
    fn add(&mut self, entry: Entry, last: bool, now_ns: i64) -> Vec<Entry> {
        let mut out = Vec::new();
        let whole = match self.waiting.remove(&entry.labels) {
            Some((mut first, _)) => {
                first.line.push_str(&entry.line);
                first.marks.join(entry.marks);
                first
            }
            None => entry,
        };
        let max = if self.max_bytes == 0 { MAX_JOINED } else { self.max_bytes.min(MAX_JOINED) };
        let whole = cut(whole, max);
        if last {
            return vec![whole];
        }
        if self.waiting.len() >= self.limit {
            out = self.release(now_ns, true);
        }
        self.waiting.insert(whole.labels.clone(), (whole, now_ns));
        out
    }

    fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        let due = |since: i64| all || now_ns.saturating_sub(since) >= self.wait_ns;
        let mut out: Vec<Entry> =
            self.waiting.extract_if(|_, (_, since)| due(*since)).map(|(_, (e, _))| e).collect();
        out.sort_by_key(|e| e.ns);
        out
    }
}

fn cut(mut entry: Entry, max: usize) -> Entry {
    if entry.line.len() > max {
        let end = (0..=max).rev().find(|i| entry.line.is_char_boundary(*i)).unwrap_or(0);
        entry.line.truncate(end);
    }
    entry
}

/// `docker`: the lines of Docker's json-file driver.
#[derive(Debug)]
pub(crate) struct Docker {
    time: Timestamp,
    pieces: Pieces,
}

impl Docker {
    pub fn new() -> Self {
        Docker { time: Timestamp::rfc3339("timestamp"), pieces: Pieces::new(10_000, 0, PIECE_WAIT) }
    }

    pub fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        let Some(object) = json_object(&entry.line) else { return Flow::Missed };
        let text = |key: &str| object.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        if let Some(stream) = text("stream") {
            entry.set_label("stream", &stream);
            entry.extracted.set("stream", Value::Text(stream));
        }
        if let Some(time) = text("time") {
            entry.extracted.set("timestamp", Value::Text(time));
            self.time.apply(entry, cx);
        }
        let Some(log) = text("log") else { return Flow::Missed };
        // Docker cuts lines at 16 KiB; the last piece has the end of the line.
        let ended = log.strip_suffix('\n').map(|l| l.strip_suffix('\r').unwrap_or(l).to_owned());
        let last = ended.is_some();
        entry.line = ended.unwrap_or(log);
        entry.extracted.set("output", Value::Text(entry.line.clone()));
        Flow::Instead(self.pieces.add(std::mem::take(entry), last, cx.now_ns))
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        self.pieces.release(now_ns, all)
    }
}

/// `cri`: `<time> <stream> <P|F> <text>`.
#[derive(Debug)]
pub(crate) struct Cri {
    time: Timestamp,
    pieces: Pieces,
}

impl Cri {
    pub fn new(max_partial_lines: usize, max_bytes: usize) -> Self {
        // Upstream waits for ever; so may a file whose writer was killed. An hour is for ever.
        let pieces = Pieces::new(max_partial_lines.max(1), max_bytes, Duration::from_secs(3600));
        Cri { time: Timestamp::rfc3339("time"), pieces }
    }

    pub fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        let mut parts = entry.line.splitn(4, ' ');
        let (Some(time), Some(stream), Some(flags), Some(content)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Flow::Missed;
        };
        if !matches!(stream, "stdout" | "stderr") || flags.is_empty() {
            return Flow::Missed;
        }
        let (time, stream, flags) = (time.to_owned(), stream.to_owned(), flags.to_owned());
        let content = content.to_owned();
        for (name, value) in [("time", &time), ("stream", &stream), ("flags", &flags), ("content", &content)]
        {
            entry.extracted.set(name, Value::Text(value.clone()));
        }
        entry.set_label("stream", &stream);
        self.time.apply(entry, cx);
        entry.line = content;
        // More flags may follow behind a colon.
        let partial = flags.split(':').next() == Some("P");
        Flow::Instead(self.pieces.add(std::mem::take(entry), !partial, cx.now_ns))
    }

    pub fn release(&mut self, now_ns: i64, all: bool) -> Vec<Entry> {
        self.pieces.release(now_ns, all)
    }
}
