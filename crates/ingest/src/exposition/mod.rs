//! Parsers of the formats in which targets expose metrics.
//!
//! The two text formats yield [`Event`]s that borrow from the page; a sample comes with the bytes of its series, which
//! a caller that has seen them before need not parse ([`series_labels`] does). Protobuf has its own walker
//! ([`protobuf`]). All parsers are loops over the bytes; what they accept is what Prometheus 3 accepts.

pub mod protobuf;

mod format;
mod labels;
mod openmetrics;
mod scan;
mod text;
mod value;

use std::borrow::Cow;

use reba_model::MetricType;
use thiserror::Error;

pub use self::{
    format::{ContentTypeError, ExpositionFormat},
    labels::{LabelsError, exemplar_labels, series_labels},
    value::format_openmetrics_float,
};
use self::{openmetrics::OpenMetrics, scan::Scan, text::Text};

/// Why a page cannot be read, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line} (byte {at}): {what}")]
pub struct ParseError {
    /// Offset in the page.
    pub at: usize,
    /// Line of the page, from 1.
    pub line: usize,
    /// What was expected, or found.
    pub what: String,
}

impl ParseError {
    /// An error at a place of `page`.
    pub(crate) fn new(page: &[u8], at: usize, what: impl Into<String>) -> Self {
        let at = at.min(page.len());
        let line = 1 + memchr::memchr_iter(b'\n', &page[..at]).count();
        ParseError { at, line, what: what.into() }
    }
}

/// One entry of a text page.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// `# TYPE`
    Type {
        /// The metric family.
        family: Cow<'a, str>,
        /// Its type.
        kind: MetricType,
    },
    /// `# HELP`
    Help {
        /// The metric family.
        family: Cow<'a, str>,
        /// The text, unescaped.
        text: Cow<'a, str>,
    },
    /// `# UNIT`
    Unit {
        /// The metric family.
        family: Cow<'a, str>,
        /// The unit.
        unit: Cow<'a, str>,
    },
    /// A comment, or an empty line.
    Comment,
    /// A sample.
    Sample(TextSample<'a>),
}

/// A sample with the bytes that name its series.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample<'a> {
    /// Name and labels as they are written.
    pub series: &'a [u8],
    /// Unix milliseconds, if the page says when.
    pub t: Option<i64>,
    /// The value; a NaN is the one that [`reba_model::NORMAL_NAN_BITS`] is.
    pub v: f64,
    /// OpenMetrics only.
    pub exemplar: Option<TextExemplar<'a>>,
}

/// An exemplar with its labels as they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextExemplar<'a> {
    /// The label set with its braces; [`exemplar_labels`] reads it.
    pub labels: &'a [u8],
    /// The observed value.
    pub v: f64,
    /// Unix milliseconds.
    pub t: Option<i64>,
}

/// Reads a text page entry by entry. Entries stand one behind the other without gaps: [`TextParser::position`] before
/// and after one are its bytes, and reading may begin at any entry.
#[derive(Clone, Debug)]
pub enum TextParser<'a> {
    /// Text 0.0.4.
    Text(Text<'a>),
    /// OpenMetrics.
    OpenMetrics(OpenMetrics<'a>),
}

impl<'a> TextParser<'a> {
    /// A parser at the beginning of a page of text 0.0.4.
    pub fn text(page: &'a [u8]) -> Self {
        TextParser::Text(Text { scan: Scan::new(page) })
    }

    /// A parser at the beginning of a page of OpenMetrics 1.0.
    pub fn openmetrics(page: &'a [u8]) -> Self {
        TextParser::OpenMetrics(OpenMetrics { scan: Scan::new(page), done: false })
    }

    /// Where the next entry begins.
    pub fn position(&self) -> usize {
        self.scan().at
    }

    /// Goes to the entry that begins at `at`.
    pub fn seek(&mut self, at: usize) {
        match self {
            TextParser::Text(p) => p.scan.at = at,
            TextParser::OpenMetrics(p) => (p.scan.at, p.done) = (at, false),
        }
    }

    /// Reads an entry; `None` at the end of a complete page.
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        match self {
            TextParser::Text(p) => p.next_event(),
            TextParser::OpenMetrics(p) => p.next_event(),
        }
    }

    /// Reads the rest of a sample's entry, from behind the bytes of its series (at the current position): value,
    /// timestamp, exemplar.
    pub fn rest_of_sample(&mut self, series: &'a [u8]) -> Result<TextSample<'a>, ParseError> {
        match self {
            TextParser::Text(p) => p.rest_of_sample(series),
            TextParser::OpenMetrics(p) => p.rest_of_sample(series),
        }
    }

    fn scan(&self) -> &Scan<'a> {
        match self {
            TextParser::Text(p) => &p.scan,
            TextParser::OpenMetrics(p) => &p.scan,
        }
    }
}
