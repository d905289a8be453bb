//! What a query about logs gives.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::Labels;

use super::LogStats;

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct LogOutput {
    /// The value.
    pub data: LogData,
    /// What it cost.
    pub stats: LogStats,
    /// What the answer should say besides: a part of the data could not be had.
    pub warnings: Vec<String>,
}

/// The value of a query. Times are Unix nanoseconds.
#[derive(Clone, Debug)]
pub enum LogData {
    /// Lines, in the order of the answer: by time in the direction that was asked for.
    Streams(Vec<Line>),
    /// Series with a value each (metric query for one time), in the order of the answer.
    Vector {
        /// The time of the query.
        ns: i64,
        /// The series.
        samples: Vec<(Labels, f64)>,
    },
    /// Series with values at times (metric query for a range), sorted by labels.
    Matrix(Vec<MatrixSeries>),
    /// A number (one time, nothing but numbers in the query).
    Scalar {
        /// The time of the query.
        ns: i64,
        /// The number.
        value: f64,
    },
}

impl LogData {
    /// As it is named in the field `resultType` of an answer.
    pub fn result_type(&self) -> &'static str {
        match self {
            LogData::Streams(_) => "streams",
            LogData::Vector { .. } => "vector",
            LogData::Matrix(_) => "matrix",
            LogData::Scalar { .. } => "scalar",
        }
    }

    /// Lines or points.
    pub fn entries(&self) -> usize {
        match self {
            LogData::Streams(lines) => lines.len(),
            LogData::Vector { samples, .. } => samples.len(),
            LogData::Matrix(series) => series.iter().map(|s| s.points.len()).sum(),
            LogData::Scalar { .. } => 1,
        }
    }
}

/// A series of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Unix nanoseconds and values, by rising time.
    pub points: Vec<(i64, f64)>,
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line as the pipeline left it.
    pub text: String,
    /// Its labels as the pipeline left them.
    pub labels: Arc<LineLabels>,
}

/// The labels of a line, by where they come from. Empty values are left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct LineLabels {
    /// All of them.
    pub all: Labels,
    /// Those of the stream.
    pub stream: Labels,
    /// Structured metadata.
    pub metadata: Labels,
    /// What stages made, errors included.
    pub parsed: Labels,
}

/// Lines with the same labels.
#[derive(Clone, Debug)]
pub struct StreamView<'a> {
    /// The labels.
    pub labels: Labels,
    /// The lines, in the order of the answer.
    pub lines: Vec<&'a Line>,
}

impl StreamView<'_> {
    /// The lines by their labels, sorted by those: by all labels, or, `categorized`, by those of the stream only (for clients that
    /// ask for `categorize-labels`).
    pub fn group(lines: &[Line], categorized: bool) -> Vec<StreamView<'_>> {
        let mut groups: BTreeMap<Vec<(&str, &str)>, StreamView<'_>> = BTreeMap::new();
        for line in lines {
            let labels = if categorized { &line.labels.stream } else { &line.labels.all };
            groups
                .entry(labels.iter().collect())
                .or_insert_with(|| StreamView { labels: labels.clone(), lines: Vec::new() })
                .lines
                .push(line);
        }
        groups.into_values().collect()
    }
}
