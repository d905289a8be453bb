//! The suite that every metric store passes, with the RAM store as the oracle.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use reba_disk::FaultFs;
use reba_model::{Labels, Matcher, Series, Texts, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ExemplarSeries, MetricAppender, MetricQuerier, QueryError,
    SelectRequest, SeriesRef, StoreStats, WriteBatch,
};
use reba_testkit::{SuiteConfig, metric_suite};
use reba_tsdb::{Tsdb, TsdbConfig};

fn config(suite: SuiteConfig) -> TsdbConfig {
    TsdbConfig {
        out_of_order_window_ms: suite.out_of_order_window,
        accept_past_ms: suite.accept_back,
        ..TsdbConfig::unbounded()
    }
}

#[test]
fn the_store_does_what_the_ram_store_does() {
    metric_suite(&|suite| Box::new(open(&FaultFs::new(), config(suite)))).unwrap_or_else(|e| panic!("{e}"));
}

/// A store that is maintained after every write, with a head so short that most data is in blocks.
struct Busy(Tsdb);

impl MetricAppender for Busy {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.0.series_ref(labels)
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        let report = self.0.append(batch, mode)?;
        self.0.maintain(i64::MAX).unwrap();
        Ok(report)
    }
}

impl MetricQuerier for Busy {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        self.0.select(request)
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        self.0.series(sets, range, budget)
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        self.0.label_names(sets, range, budget)
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        self.0.label_values(name, sets, range, budget)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        self.0.exemplars(sets, range)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.0.stats(limit)
    }
}

#[test]
fn maintenance_in_between_changes_no_answer() {
    let busy = |suite: SuiteConfig| TsdbConfig {
        // Three times the bound below which in-order samples are refused anyway.
        block_range_ms: 3 * suite.accept_back.min(HOUR),
        checkpoint_bytes: 20_000,
        sealed_memory_bytes: 500,
        ..config(suite)
    };
    metric_suite(&|suite| Box::new(Busy(open(&FaultFs::new(), busy(suite)))))
        .unwrap_or_else(|e| panic!("{e}"));
}
