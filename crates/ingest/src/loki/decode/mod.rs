//! The forms of a push: JSON, the older JSON, and protobuf.
//!
//! A decoder walks over the body once and hands over streams and entries as they come, borrowed from the body; what has escapes
//! goes through one buffer. What is done with them is the business of a [`PushSink`]. Nothing is handed over twice, but much may
//! have been before a fault is met: a sink keeps all to itself until the decoder says that the body is sound.

mod cursor;
mod json;
mod legacy;
mod protobuf;

use reba_model::LogBatchFull;
use thiserror::Error;

pub use self::{json::push_json, legacy::push_legacy_json, protobuf::push_protobuf};

/// Labels of a stream as they were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelsText<'a> {
    /// A selector with nothing but `=`: `{app="x", env="y"}`.
    Selector(&'a str),
    /// An object in JSON: `{"app": "x", "env": "y"}`.
    Object(&'a str),
}

impl LabelsText<'_> {
    /// The bytes, of either form.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            LabelsText::Selector(text) | LabelsText::Object(text) => text.as_bytes(),
        }
    }
}

/// What takes in a push.
pub trait PushSink {
    /// A stream begins, whose entries come next.
    fn stream(&mut self, labels: LabelsText<'_>);

    /// An entry of the stream begun last, at a time in Unix nanoseconds.
    fn entry(&mut self, ns: i64, line: &str, metadata: &Pairs) -> Result<(), LogBatchFull>;
}

/// Why a body is no push, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}byte {offset}: {reason}", Place(*.stream, *.entry))]
pub struct PushFault {
    /// Bytes of the decompressed body before the place.
    pub offset: usize,
    /// Number of the stream, from 0.
    pub stream: Option<usize>,
    /// Number of the entry in it, from 0.
    pub entry: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

/// Where something is in a push.
struct Place(Option<usize>, Option<usize>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Place(Some(stream), Some(entry)) => write!(f, "stream {stream}, entry {entry}: "),
            Place(Some(stream), None) => write!(f, "stream {stream}: "),
            _ => Ok(()),
        }
    }
}

impl PushFault {
    fn new(offset: usize, reason: impl Into<String>) -> Self {
        PushFault { offset, stream: None, entry: None, reason: reason.into() }
    }

    fn in_stream(mut self, number: usize) -> Self {
        self.stream.get_or_insert(number);
        self
    }

    fn in_entry(mut self, number: usize) -> Self {
        self.entry.get_or_insert(number);
        self
    }
}

/// Names and values in one buffer, which is used for one entry after another.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    text: String,
    /// Where each name and its value end.
    ends: Vec<(usize, usize)>,
}

impl Pairs {
    /// No pairs.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds a pair.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
    }

    /// The pairs, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        (0..self.ends.len()).map(|i| {
            let start = if i == 0 { 0 } else { self.ends[i - 1].1 };
            let (name_end, value_end) = self.ends[i];
            (&self.text[start..name_end], &self.text[name_end..value_end])
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of names and values.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Names and values of an object in JSON whose values are texts, in the order in which they stand.
pub fn object_pairs(text: &str, out: &mut Pairs) -> Result<(), PushFault> {
    let mut cursor = cursor::Cursor::new(text);
    json::pairs(&mut cursor, &mut json::Texts::default(), out, "the value of a label, in quotes")?;
    cursor.end()
}

#[cfg(test)]
mod tests;
