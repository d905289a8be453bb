//! Writing a batch that was decoded with the help of a cache of series.

use reba_storage::{AppendError, AppendMode, AppendReport, MetricAppender, RejectReason, WriteBatch};

use crate::series_cache::SeriesCache;

/// Writes what is right in a batch. `None`: the store has dropped a series that the cache still knew; nothing is written,
/// the cache is empty, and the batch is to be decoded again without it.
pub(crate) fn append_in_part(
    appender: &dyn MetricAppender,
    batch: &WriteBatch,
    cache: &SeriesCache,
    cached: bool,
) -> Result<Option<AppendReport>, AppendError> {
    if batch.is_empty() {
        return Ok(Some(AppendReport::default()));
    }
    // Most batches are right as a whole; and before anything is written, it shows whether the cache was.
    let report = appender.append(batch, AppendMode::AllOrNothing)?;
    if cached && report.rejected.iter().any(|r| r.reason == RejectReason::UnknownSeries) {
        cache.clear();
        return Ok(None);
    }
    if report.rejected.is_empty() {
        return Ok(Some(report));
    }
    appender.append(batch, AppendMode::Partial).map(Some)
}
