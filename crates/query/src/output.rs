//! What a query gives.

use reba_promql::eval::value::{MatrixSeries, Steps, VectorSeries};

use crate::QueryStats;

/// The result of a query.
#[derive(Clone, Debug)]
pub struct QueryOutput {
    /// The value.
    pub data: QueryData,
    /// Warnings, ready to be shown.
    pub warnings: Vec<String>,
    /// Infos, ready to be shown.
    pub infos: Vec<String>,
    /// What the query cost.
    pub stats: QueryStats,
    /// [`QueryStats::total_samples`] of each step, with its time; empty unless that was wanted.
    pub samples_per_step: Vec<(i64, u64)>,
}

/// A time and a value as JSON.
const BYTES_PER_POINT: u64 = 24;

/// The value of a query. Times are Unix milliseconds.
#[derive(Clone, Debug)]
pub enum QueryData {
    /// A number (instant queries).
    Scalar {
        /// The time of the query.
        t: i64,
        /// The number.
        v: f64,
    },
    /// A text (instant queries).
    String {
        /// The time of the query.
        t: i64,
        /// The text.
        v: String,
    },
    /// An instant vector (instant queries), in the order that the query gave it.
    Vector {
        /// The time of the query.
        t: i64,
        /// Each with a column of one slot, which is never empty.
        series: Vec<VectorSeries>,
    },
    /// A range vector (instant queries), sorted by labels.
    Matrix(Vec<MatrixSeries>),
    /// A vector at every step (range queries), sorted by labels; a scalar is one series without labels.
    Range {
        /// The steps.
        steps: Steps,
        /// Each with a slot a step, of which at least one is not empty.
        series: Vec<VectorSeries>,
    },
}

impl QueryData {
    /// About how many points there are; empty slots of ranges count.
    pub fn points(&self) -> usize {
        match self {
            QueryData::Scalar { .. } | QueryData::String { .. } => 1,
            QueryData::Vector { series, .. } => series.len(),
            QueryData::Matrix(series) => series.iter().map(|s| s.samples.t.len() + s.samples.h.len()).sum(),
            QueryData::Range { steps, series } => series.len() * steps.count,
        }
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        match self {
            QueryData::Scalar { .. } | QueryData::String { .. } => 1,
            QueryData::Vector { series, .. } | QueryData::Range { series, .. } => series.len(),
            QueryData::Matrix(series) => series.len(),
        }
    }

    /// About how many bytes there are when it is written down.
    pub fn bytes(&self) -> u64 {
        let labels: usize = match self {
            QueryData::Scalar { .. } => 0,
            QueryData::String { v, .. } => v.len(),
            QueryData::Vector { series, .. } | QueryData::Range { series, .. } => {
                series.iter().map(|s| s.labels.memory_bytes()).sum()
            }
            QueryData::Matrix(series) => series.iter().map(|s| s.labels.memory_bytes()).sum(),
        };
        labels as u64 + self.points() as u64 * BYTES_PER_POINT
    }

    /// As it is named in the field `resultType` of an answer.
    pub fn result_type(&self) -> &'static str {
        match self {
            QueryData::Scalar { .. } => "scalar",
            QueryData::String { .. } => "string",
            QueryData::Vector { .. } => "vector",
            QueryData::Matrix(_) | QueryData::Range { .. } => "matrix",
        }
    }
}
