//! Reading metrics.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use reba_model::{Exemplar, Labels, Matcher, Series, Texts, TimeRange};
use thiserror::Error;

use crate::ChangeLog;

/// What one query may use, shared by all its threads; also how it is cancelled.
#[derive(Debug)]
pub struct Budget {
    max_series: u64,
    max_bytes: u64,
    series: AtomicU64,
    bytes: AtomicU64,
    cancelled: AtomicBool,
    warnings: Mutex<Vec<String>>,
}

/// Why a query must stop.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BudgetError {
    /// A limit was reached.
    #[error("query exceeded limit `{limit}` of {value}")]
    Exceeded {
        /// The limit's name, as it is spelt in the configuration.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// The client left, or the deadline passed.
    #[error("query was canceled")]
    Cancelled,
}

impl Budget {
    /// A budget of so many series and so many bytes of chunks.
    pub fn new(max_series: u64, max_bytes: u64) -> Self {
        Budget {
            max_series,
            max_bytes,
            series: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            warnings: Mutex::default(),
        }
    }

    /// No limit at all (tests, tools).
    pub fn unlimited() -> Self {
        Self::new(u64::MAX, u64::MAX)
    }

    /// Stops the query at its next check.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`Budget::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Fails if the query was cancelled. Cheap enough for every few hundred samples.
    pub fn check(&self) -> Result<(), BudgetError> {
        if self.is_cancelled() { Err(BudgetError::Cancelled) } else { Ok(()) }
    }

    /// Accounts for series and bytes of chunks that were fetched.
    pub fn spend(&self, series: u64, bytes: u64) -> Result<(), BudgetError> {
        self.check()?;
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed).saturating_add(n);
        if add(&self.series, series) > self.max_series {
            return Err(BudgetError::Exceeded { limit: "query.max_series", value: self.max_series });
        }
        if add(&self.bytes, bytes) > self.max_bytes {
            return Err(BudgetError::Exceeded { limit: "query.max_bytes", value: self.max_bytes });
        }
        Ok(())
    }

    /// Counts from zero again: what was fetched so far has been dropped.
    pub fn start_over(&self) {
        self.series.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Notes something that the result should say besides: a part of it could not be had. The same text is noted once.
    pub fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Takes what [`Budget::warn`] noted.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Series and bytes spent so far.
    pub fn spent(&self) -> (u64, u64) {
        (self.series.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// What the evaluator will do with the series: an engine may use it, or ignore it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectHints {
    /// The range function around the selector (`rate`, …), or empty.
    pub function: String,
    /// Milliseconds between steps; 0 for an instant query.
    pub step: i64,
    /// Milliseconds of the range selector; 0 if there is none.
    pub range: i64,
    /// Labels of the aggregation around the selector.
    pub grouping: Vec<String>,
    /// Whether `grouping` are the labels kept (`by`) or dropped (`without`).
    pub by: bool,
    /// Whether only the newest sample of each series in the range is looked at: a store may leave out the others.
    pub newest: bool,
}

/// A request for series.
#[derive(Clone, Copy, Debug)]
pub struct SelectRequest<'a> {
    /// All must match. At least one does not match the empty text.
    pub matchers: &'a [Matcher],
    /// Samples wanted, both ends included.
    pub range: TimeRange,
    /// What they are wanted for.
    pub hints: &'a SelectHints,
    /// What may be used.
    pub budget: &'a Budget,
}

/// Exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series.
    pub labels: Labels,
    /// Sorted by time.
    pub exemplars: Vec<Exemplar>,
}

/// Why a store could not answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// A limit, or a cancellation.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Stored data could not be read; the text names the file or block.
    #[error("storage: {0}")]
    Storage(String),
}

impl From<reba_model::ChunkError> for QueryError {
    fn from(e: reba_model::ChunkError) -> Self {
        QueryError::Storage(e.to_string())
    }
}

/// One line of a cardinality table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopEntry {
    /// Metric, label, or `label=value`.
    pub name: String,
    /// Count or bytes.
    pub value: u64,
}

/// Sizes and cardinalities of the newest data (`/api/v1/status/tsdb`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Series in the head.
    pub series: u64,
    /// Distinct pairs of label and value in the head.
    pub label_pairs: u64,
    /// Chunks in the head.
    pub chunks: u64,
    /// Oldest time in the head (`i64::MAX` if it is empty).
    pub min_time: i64,
    /// Newest time in the head (`i64::MIN` if it is empty).
    pub max_time: i64,
    /// Metrics with the most series.
    pub series_by_metric: Vec<TopEntry>,
    /// Labels with the most values.
    pub values_by_label: Vec<TopEntry>,
    /// Labels by bytes of their values.
    pub bytes_by_label: Vec<TopEntry>,
    /// Pairs with the most series.
    pub series_by_pair: Vec<TopEntry>,
}

/// The read half of a metric store. Calls may read files: run them on the query pool.
pub trait MetricQuerier: Send + Sync {
    /// Series that match and have samples in the range, each once, in no particular order.
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError>;

    /// Label sets of the series that match any of `sets` and have data near `range`; each once, sorted.
    /// An empty list of sets means every series.
    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError>;

    /// Names of labels of those series, sorted.
    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError>;

    /// Values of one label of those series, sorted.
    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError>;

    /// Exemplars in `range` of the series that match any of `sets`, series sorted by labels.
    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError>;

    /// Sizes and cardinalities; at most `limit` lines a table.
    fn stats(&self, limit: usize) -> StoreStats;

    /// What changed when; `None` if the store does not know, and then no result may be kept.
    ///
    /// A store that has one promises besides that the samples it returns for a time do not depend on the other times
    /// that are asked for, only on the hints: results for the two halves of a range are the result for the range.
    fn change_log(&self) -> Option<&ChangeLog> {
        None
    }

    /// Whether names and values of labels come from memory and maps, without waiting for anybody else's answer. Then a question
    /// of which it is known that it takes little may be asked on any thread.
    fn is_at_hand(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn MetricQuerier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricQuerier")
    }
}
