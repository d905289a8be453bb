//! Writing and reading logs.
//!
//! A reader asks for *scans*: independent pieces of work, each a pure function of immutable data, which it runs on as many
//! threads as it likes, in any order, and leaves off when it has enough. What the reader will do with the rows travels along
//! ([`LogWant`]), so that an engine can skip blocks, columns and lines that could not matter.

use std::{fmt, ops::ControlFlow, sync::Arc};

use reba_model::{GoRegex, Labels, LogBatch, LogBlock, Matcher, NanoRange, Tenant};

use crate::{AdminError, AppendError, Budget, QueryError};

/// What became of a batch of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Entries that are now in the store.
    pub appended: usize,
    /// Entries the store had already: same stream, time, line and metadata. They are not an error.
    pub duplicates: usize,
}

/// The write half of a log store. Calls may block for the write-ahead log.
pub trait LogAppender: Send + Sync {
    /// Writes a batch, in any order of time. When this returns, the batch survives the death of the process.
    ///
    /// Limits, rates and ages are the business of whoever took the entries in: a store takes what it is given.
    fn append_logs(&self, tenant: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError>;
}

/// The parser a pipeline begins with, as far as an engine may take part in it. Its meaning is LogQL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineParser {
    /// `| json` without expressions: nested keys joined by `_`, the first of a name wins, arrays and nulls left out.
    Json,
    /// `| logfmt` without flags.
    Logfmt,
}

/// A question about one text.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// Contains it (not empty).
    Contains(String),
    /// Contains it, whatever the case of ASCII letters.
    ContainsFold(String),
    /// Does not contain it.
    NotContains(String),
    /// Equals it.
    Equals(String),
    /// Does not equal it.
    NotEquals(String),
    /// The expression matches, in the way it was compiled (anchored or not).
    Matches(Arc<GoRegex>),
    /// The expression does not match.
    NotMatches(Arc<GoRegex>),
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Something that must hold for a row to matter. An engine may leave out rows for which it is certainly false.
#[derive(Clone, Debug)]
pub enum Condition {
    /// About the raw line.
    Line(TextTest),
    /// About the label `name` as it stands after the parser: the stream's label of that name, else structured metadata, else
    /// what the parser finds in the line; absent reads as the empty text.
    Label {
        /// The label.
        name: String,
        /// The parser before the condition, if any.
        parser: Option<LineParser>,
        /// The question.
        test: TextTest,
    },
    /// A number in the same place. Rows where the label does not parse as a number, or whose line the parser refuses, are to be
    /// kept (LogQL keeps them, with an error); rows without the label may go.
    Number {
        /// The label.
        name: String,
        /// The parser before the condition, if any.
        parser: Option<LineParser>,
        /// How it is compared.
        comparison: Comparison,
        /// What it is compared with.
        value: f64,
    },
    /// At least one of them.
    Any(Vec<Condition>),
    /// All of them.
    All(Vec<Condition>),
}

/// In which form a reader would like a parsed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// As the parser gives it.
    Text,
    /// As a number; text again if one of the block's values is none.
    Number,
}

/// What the parser should take from the lines, if the engine can do that without them.
#[derive(Clone, Debug)]
pub struct Extract {
    /// The parser.
    pub parser: LineParser,
    /// Wanted names, as the parser makes them (before `_extracted` is put behind a name that the stream has too).
    pub names: Vec<(String, ValueForm)>,
    /// Whether the reader must know which lines the parser refuses: then a block with such lines has to come with lines.
    pub errors: bool,
}

/// Which structured metadata is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataWant {
    /// All of it.
    All,
    /// These names only; an empty list is none.
    Names(Vec<String>),
}

/// What the reader will do with the rows.
#[derive(Clone, Debug)]
pub struct LogWant {
    /// Whether the lines are needed.
    pub lines: bool,
    /// Which metadata is needed.
    pub metadata: MetadataWant,
    /// Parsed values that would make the lines unnecessary. With `lines` false and `extract` given, a block comes with either
    /// all of the values, or its lines.
    pub extract: Option<Extract>,
    /// All must hold for a row to matter.
    pub conditions: Vec<Condition>,
}

impl LogWant {
    /// Everything of every row.
    pub fn everything() -> Self {
        LogWant { lines: true, metadata: MetadataWant::All, extract: None, conditions: Vec::new() }
    }
}

/// A request for rows.
#[derive(Clone, Debug)]
pub struct LogRequest<'a> {
    /// Whose.
    pub tenant: &'a Tenant,
    /// About the stream's labels; all must match. None means every stream.
    pub matchers: &'a [Matcher],
    /// Rows wanted.
    pub range: NanoRange,
    /// What for.
    pub want: &'a LogWant,
    /// What may be used; scans keep it.
    pub budget: &'a Arc<Budget>,
}

/// What a scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Blocks looked at.
    pub blocks: u64,
    /// Blocks left out without reading their columns.
    pub blocks_skipped: u64,
    /// Rows in the blocks that were read.
    pub rows: u64,
    /// Bytes read from files or memory.
    pub bytes_read: u64,
    /// Bytes of text they stand for.
    pub bytes_decoded: u64,
}

impl ScanStats {
    /// Adds another scan's.
    pub fn add(&mut self, other: ScanStats) {
        self.blocks += other.blocks;
        self.blocks_skipped += other.blocks_skipped;
        self.rows += other.rows;
        self.bytes_read += other.bytes_read;
        self.bytes_decoded += other.bytes_decoded;
    }
}

/// What an engine knows of rows of one stream without reading them. All of them lie in the requested range.
#[derive(Clone, Copy, Debug)]
pub struct LogHead<'a> {
    /// The stream.
    pub stream: &'a Labels,
    /// How many rows there are, at least one.
    pub rows: u64,
    /// Bytes of their lines, where the reader asked for that and the engine knows it.
    pub line_bytes: Option<u64>,
    /// Time of the first row, Unix nanoseconds.
    pub first_ns: i64,
    /// Time of the last row.
    pub last_ns: i64,
}

/// A reader that counts, and need not see rows of which it knows enough.
pub trait LogCounter {
    /// Whether it needs the bytes of lines.
    fn wants_line_bytes(&self) -> bool;

    /// Whether the rows have been counted. Otherwise they are to be handed over.
    fn count(&mut self, head: &LogHead<'_>) -> bool;

    /// Takes rows, until it breaks off.
    fn visit(&mut self, block: LogBlock) -> ControlFlow<()>;
}

/// One independent piece of a request.
pub trait LogScan: Send {
    /// Where its rows may lie in time: a reader who wants the newest hundred starts with the scan that ends last, and leaves
    /// off when no other reaches into what it has.
    fn range(&self) -> NanoRange;

    /// Hands over the blocks, each with at least one row, until the reader breaks off.
    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError>;

    /// As [`LogScan::run`], for a reader to whom no condition on lines or metadata matters: of some blocks it may be told how
    /// many rows they have, instead of being given them. Every row is counted or handed over, not both.
    fn run_counting(self: Box<Self>, counter: &mut dyn LogCounter) -> Result<ScanStats, QueryError> {
        self.run(&mut |block| counter.visit(block))
    }
}

/// One stream and how much of it lies in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The stream.
    pub labels: Labels,
    /// Entries; an estimate where a block lies across the border of the range.
    pub entries: u64,
    /// Bytes of lines and metadata, estimated likewise.
    pub bytes: u64,
    /// Blocks (chunks, in upstream's statistics).
    pub blocks: u64,
}

/// The read half of a log store. Calls may read files: run them on the query pool.
pub trait LogQuerier: Send + Sync {
    /// The scans that together yield every row that matters, each once.
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError>;

    /// Streams that match any of `sets` and have data near `range`, each once, sorted by labels. An empty list of sets means
    /// every stream.
    fn streams(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError>;

    /// Tenants that have data, sorted.
    fn tenants(&self) -> Vec<Tenant>;
}

impl fmt::Debug for dyn LogQuerier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogQuerier")
    }
}

/// One row, as a deletion sees it.
#[derive(Clone, Copy, Debug)]
pub struct LogRow<'a> {
    /// The stream.
    pub stream: &'a Labels,
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line.
    pub line: &'a str,
    /// Structured metadata.
    pub metadata: &'a [(&'a str, &'a str)],
}

/// Which rows of matching streams are meant.
pub type RowFilter = dyn Fn(LogRow<'_>) -> bool + Send + Sync;

/// What an administrator may do to a log store.
pub trait LogAdmin: Send + Sync {
    /// Removes the rows in `range` of matching streams for which `doomed` says so (all, without it), durably; when this
    /// returns no query sees them any more. Returns how many there were.
    fn delete_logs(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: NanoRange,
        doomed: Option<&RowFilter>,
    ) -> Result<u64, AdminError>;

    /// Writes what is only in memory and in the write-ahead log into parts.
    fn flush_logs(&self) -> Result<(), AdminError>;
}
