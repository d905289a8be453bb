//! Log entries on their way from a producer to a store, and columns of them on the way back.
//!
//! Times of entries are Unix **nanoseconds** and are named `ns`, unlike the milliseconds of samples.

use std::{fmt, sync::Arc};

use thiserror::Error;

use crate::Labels;

/// A half-open range of time, `[start, end)`, in Unix nanoseconds; empty when `end <= start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NanoRange {
    /// First nanosecond that belongs to the range.
    pub start: i64,
    /// First nanosecond that no longer does.
    pub end: i64,
}

impl NanoRange {
    /// All of time but its last nanosecond.
    pub const ALL: NanoRange = NanoRange { start: i64::MIN, end: i64::MAX };

    /// The range `[start, end)`.
    pub fn new(start: i64, end: i64) -> Self {
        NanoRange { start, end }
    }

    /// Whether `ns` lies in the range.
    #[inline]
    pub fn contains(&self, ns: i64) -> bool {
        self.start <= ns && ns < self.end
    }

    /// Whether the two ranges share a nanosecond.
    #[inline]
    pub fn overlaps(&self, other: NanoRange) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// What both ranges hold.
    pub fn intersection(&self, other: NanoRange) -> NanoRange {
        NanoRange { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Whether no nanosecond belongs to it.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

/// Whose data it is. Without tenants everything belongs to [`Tenant::single`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

/// Why a text is no tenant.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TenantError {
    /// Longer than [`Tenant::MAX_BYTES`].
    #[error("tenant ID is too long: max 150 characters")]
    TooLong,
    /// A character that could mean something in a path or a header.
    #[error("tenant ID contains unsupported character {0:?}")]
    Character(char),
    /// Empty, `.` or `..`.
    #[error("tenant ID is empty, '.' or '..'")]
    Unsafe,
}

impl Tenant {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 150;

    /// The only tenant of a store without tenants, under upstream's name for it.
    pub fn single() -> Self {
        Tenant(Arc::from("fake"))
    }

    /// Accepts what upstream accepts, and nothing that could lead out of a folder.
    pub fn new(name: &str) -> Result<Self, TenantError> {
        if name.len() > Self::MAX_BYTES {
            return Err(TenantError::TooLong);
        }
        if matches!(name, "" | "." | "..") {
            return Err(TenantError::Unsafe);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        match name.chars().find(|&c| !allowed(c)) {
            Some(c) => Err(TenantError::Character(c)),
            None => Ok(Tenant(Arc::from(name))),
        }
    }

    /// The name; of joined tenants all names, sorted, with `|` between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Several tenants for a reader that asks about all of them at once. Nothing is ever written for such.
    pub fn joined(tenants: impl IntoIterator<Item = Tenant>) -> Self {
        let mut names: Vec<Tenant> = tenants.into_iter().collect();
        names.sort();
        names.dedup();
        match names.as_slice() {
            [] => Tenant::single(),
            [only] => only.clone(),
            many => {
                let names: Vec<&str> = many.iter().map(Tenant::as_str).collect();
                Tenant(Arc::from(names.join(JOINT)))
            }
        }
    }

    /// Whether these are several.
    pub fn is_joined(&self) -> bool {
        self.0.contains(JOINT)
    }

    /// Those that were joined, or itself.
    pub fn parts(&self) -> impl Iterator<Item = Tenant> {
        self.0.split(JOINT).map(|name| Tenant(Arc::from(name)))
    }
}

/// Stands between the names of joined tenants; no name has it.
const JOINT: &str = "|";

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A batch has no room for more; send what it holds.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a batch of log entries holds at most 4 GiB of text")]
pub struct LogBatchFull;

/// What is written together: a push request, what a shipper has read.
///
/// All text lies in one arena, so that an entry costs no allocation; producers reuse the batch for the next write.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    text: String,
    streams: Vec<StreamSpan>,
    entries: Vec<EntrySpan>,
    pairs: Vec<(u32, u32)>,
}

/// A stream and where its entries begin; they end where the next stream's begin.
#[derive(Clone, Debug)]
struct StreamSpan {
    labels: Labels,
    first_entry: u32,
}

/// Where an entry's line and the texts of its metadata end; each begins where the one before it ends.
#[derive(Clone, Copy, Debug)]
struct EntrySpan {
    ns: i64,
    line_start: u32,
    line_end: u32,
    first_pair: u32,
}

impl LogBatch {
    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.streams.clear();
        self.entries.clear();
        self.pairs.clear();
    }

    /// Starts a stream: the entries pushed from here on are its. A stream may come more than once in a batch.
    pub fn begin_stream(&mut self, labels: Labels) {
        self.streams.push(StreamSpan { labels, first_entry: self.entries.len() as u32 });
    }

    /// Adds an entry to the stream begun last; without one, to a stream without labels.
    pub fn push<'a>(
        &mut self,
        ns: i64,
        line: &str,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), LogBatchFull> {
        if self.streams.is_empty() {
            self.begin_stream(Labels::empty());
        }
        let (text_before, pairs_before) = (self.text.len(), self.pairs.len());
        self.text.push_str(line);
        let line_end = self.text.len();
        for (name, value) in metadata {
            self.text.push_str(name);
            let name_end = self.text.len();
            self.text.push_str(value);
            self.pairs.push((name_end as u32, self.text.len() as u32));
        }
        if u32::try_from(self.text.len()).is_err() || u32::try_from(self.entries.len()).is_err() {
            self.text.truncate(text_before);
            self.pairs.truncate(pairs_before);
            return Err(LogBatchFull);
        }
        self.entries.push(EntrySpan {
            ns,
            line_start: text_before as u32,
            line_end: line_end as u32,
            first_pair: pairs_before as u32,
        });
        Ok(())
    }

    /// The streams in the order they were begun, those without entries too.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = LogStream<'_>> {
        (0..self.streams.len()).map(|i| LogStream { batch: self, index: i })
    }

    /// How many entries the batch holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of lines and metadata.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// An entry by its number, counted over all streams.
    ///
    /// # Panics
    /// If there is no such entry.
    pub fn entry(&self, index: usize) -> LogEntry<'_> {
        let span = self.entries[index];
        let next_pair = self.entries.get(index + 1).map_or(self.pairs.len(), |e| e.first_pair as usize);
        LogEntry {
            ns: span.ns,
            line: &self.text[span.line_start as usize..span.line_end as usize],
            text: &self.text,
            pairs: &self.pairs[span.first_pair as usize..next_pair],
            pairs_start: span.line_end,
        }
    }
}

/// One stream of a [`LogBatch`].
#[derive(Clone, Copy, Debug)]
pub struct LogStream<'a> {
    batch: &'a LogBatch,
    index: usize,
}

impl<'a> LogStream<'a> {
    /// What the stream is identified by.
    pub fn labels(&self) -> &'a Labels {
        &self.batch.streams[self.index].labels
    }

    /// Its entries, in the order they were pushed.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = LogEntry<'a>> + use<'a> {
        let batch = self.batch;
        let first = batch.streams[self.index].first_entry as usize;
        let end = batch.streams.get(self.index + 1).map_or(batch.entries.len(), |s| s.first_entry as usize);
        (first..end).map(move |i| batch.entry(i))
    }
}

/// One entry of a [`LogBatch`].
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line as it was sent.
    pub line: &'a str,
    text: &'a str,
    pairs: &'a [(u32, u32)],
    pairs_start: u32,
}

impl<'a> LogEntry<'a> {
    /// Structured metadata, in the order it was sent.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + use<'a> {
        let (text, pairs, first) = (self.text, self.pairs, self.pairs_start);
        (0..pairs.len()).map(move |i| {
            let start = if i == 0 { first } else { pairs[i - 1].1 };
            let (name_end, value_end) = pairs[i];
            (&text[start as usize..name_end as usize], &text[name_end as usize..value_end as usize])
        })
    }
}

/// Texts of rows, some of which may have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextColumn {
    /// The same text in every row.
    Const {
        /// The text.
        value: Arc<str>,
        /// How many rows.
        rows: usize,
    },
    /// Few distinct texts.
    Dict {
        /// The distinct texts.
        values: Vec<Arc<str>>,
        /// For each row an index into `values`, or [`TextColumn::ABSENT`].
        codes: Vec<u32>,
    },
    /// Every row has a text of its own.
    Plain {
        /// The texts, one after another.
        text: String,
        /// Where each ends in `text`; it begins where the one before it ends.
        ends: Vec<u32>,
    },
}

impl TextColumn {
    /// The code of a row without a text.
    pub const ABSENT: u32 = u32::MAX;

    /// A column of plain texts.
    pub fn plain<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for t in texts {
            text.push_str(t);
            ends.push(text.len() as u32);
        }
        TextColumn::Plain { text, ends }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            TextColumn::Const { rows, .. } => *rows,
            TextColumn::Dict { codes, .. } => codes.len(),
            TextColumn::Plain { ends, .. } => ends.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a row, if it has one.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        match self {
            TextColumn::Const { value, rows } => {
                assert!(row < *rows, "row {row} of {rows}");
                Some(value)
            }
            TextColumn::Dict { values, codes } => match codes[row] {
                Self::ABSENT => None,
                code => Some(&values[code as usize]),
            },
            TextColumn::Plain { text, ends } => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                Some(&text[start as usize..ends[row] as usize])
            }
        }
    }
}

/// Values of one name in rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// As text, verbatim.
    Text(TextColumn),
    /// As numbers, where a reader asked for numbers and every text that is there is one.
    Number {
        /// A number a row; anything where the row has none.
        values: Vec<f64>,
        /// Which rows have one; `None` if all have.
        present: Option<Vec<bool>>,
    },
}

/// Rows of one stream, sorted by rising time; rows of one time stand in the order they were written.
#[derive(Clone, Debug)]
pub struct LogBlock {
    /// The stream.
    pub stream: Labels,
    /// Unix nanoseconds of each row.
    pub times: Vec<i64>,
    /// The lines, if they were asked for or are needed.
    pub lines: Option<TextColumn>,
    /// Structured metadata by name.
    pub metadata: Vec<(Arc<str>, TextColumn)>,
    /// What the wanted parser takes from the lines, by wanted name in the order wanted; `None` if the reader has to run the
    /// parser itself, for which the lines are there then.
    pub extracted: Option<Vec<Column>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed() {
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", "a")]));
        batch.push(1, "first", []).unwrap();
        batch.push(2, "", [("k", "v"), ("leer", "")]).unwrap();
        batch.begin_stream(Labels::from_pairs([("app", "b")]));
        batch.begin_stream(Labels::from_pairs([("app", "c")]));
        batch.push(3, "é", [("x", "ü")]).unwrap();

        let seen: Vec<_> = batch
            .streams()
            .map(|s| {
                let entries: Vec<_> =
                    s.entries().map(|e| (e.ns, e.line, e.metadata().collect::<Vec<_>>())).collect();
                (s.labels().value("app").to_owned(), entries)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("a".into(), vec![(1, "first", vec![]), (2, "", vec![("k", "v"), ("leer", "")])]),
                ("b".into(), vec![]),
                ("c".into(), vec![(3, "é", vec![("x", "ü")])]),
            ]
        );
        assert_eq!((batch.len(), batch.text_bytes()), (3, 5 + 2 + 4 + 2 + 1 + 2));
    }

    #[test]
    fn a_tenant_cannot_lead_out_of_its_folder() {
        assert!(Tenant::new("team-a_1.(x)*'!").is_ok());
        assert_eq!(Tenant::new(".."), Err(TenantError::Unsafe));
        assert_eq!(Tenant::new("a/b"), Err(TenantError::Character('/')));
        assert_eq!(Tenant::new(&"a".repeat(151)), Err(TenantError::TooLong));
    }

    #[test]
    fn joined_tenants_are_sorted_and_each_is_there_once() {
        let tenant = |name: &str| Tenant::new(name).unwrap();
        let joined = Tenant::joined([tenant("b"), tenant("a"), tenant("b")]);
        assert_eq!((joined.as_str(), joined.is_joined()), ("a|b", true));
        assert_eq!(joined.parts().collect::<Vec<_>>(), [tenant("a"), tenant("b")]);
        assert_eq!(Tenant::joined([tenant("a"), tenant("a")]), tenant("a"));
        assert!(!tenant("a").is_joined());
    }

    #[test]
    fn a_column_knows_which_rows_have_a_text() {
        let dict = TextColumn::Dict {
            values: vec![Arc::from("a"), Arc::from("b")],
            codes: vec![1, TextColumn::ABSENT, 0],
        };
        assert_eq!([dict.get(0), dict.get(1), dict.get(2)], [Some("b"), None, Some("a")]);
        let plain = TextColumn::plain(["x", "", "yz"]);
        assert_eq!([plain.get(0), plain.get(1), plain.get(2)], [Some("x"), Some(""), Some("yz")]);
    }
}
