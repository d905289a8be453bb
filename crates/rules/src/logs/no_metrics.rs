//! What stands in for the metric store where there is none.

use std::num::NonZeroU64;

use reba_model::{Labels, Matcher, Series, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ExemplarSeries, MetricAppender, MetricQuerier, QueryError,
    SelectRequest, SeriesRef, StoreStats, WriteBatch,
};

/// Forgets what it is given and knows nothing: alerts about logs work with it, recording rules are in vain, and after a restart
/// alerts wait anew.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl MetricAppender for NoMetrics {
    fn series_ref(&self, _: &Labels) -> Result<SeriesRef, AppendError> {
        Ok(SeriesRef(NonZeroU64::MIN))
    }

    fn append(&self, batch: &WriteBatch, _: AppendMode) -> Result<AppendReport, AppendError> {
        Ok(AppendReport { appended: batch.floats.len() + batch.histograms.len(), ..AppendReport::default() })
    }
}

impl MetricQuerier for NoMetrics {
    fn select(&self, _: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        Ok(Vec::new())
    }

    fn series(&self, _: &[Vec<Matcher>], _: TimeRange, _: &Budget) -> Result<Vec<Labels>, QueryError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: TimeRange, _: &Budget) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Vec<Matcher>],
        _: TimeRange,
        _: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn exemplars(&self, _: &[Vec<Matcher>], _: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        Ok(Vec::new())
    }

    fn stats(&self, _: usize) -> StoreStats {
        StoreStats::default()
    }
}
