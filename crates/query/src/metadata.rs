//! Questions about names, labels and exemplars: passed on to the store, on the engine's threads.

use reba_model::{Labels, Matcher, Texts, TimeRange};
use reba_storage::{ExemplarSeries, StoreStats};

use crate::{ExecError, QueryEngine};

impl QueryEngine {
    /// Label sets of the series that match any of `sets` and have data near `range`, sorted.
    pub async fn series(&self, sets: Vec<Vec<Matcher>>, range: TimeRange) -> Result<Vec<Labels>, ExecError> {
        self.ask(move |store, budget| Ok(store.series(&sets, range, budget)?)).await
    }

    /// Names of labels of those series, sorted. No set means all series.
    pub async fn label_names(
        &self,
        sets: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<Vec<String>, ExecError> {
        self.ask(move |store, budget| Ok(store.label_names(&sets, range, budget)?)).await
    }

    /// Values of one label of those series, sorted. No set means all series.
    pub async fn label_values(
        &self,
        name: String,
        sets: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<Texts, ExecError> {
        self.ask(move |store, budget| Ok(store.label_values(&name, &sets, range, budget)?)).await
    }

    /// Exemplars of those series.
    pub async fn exemplars(
        &self,
        sets: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<Vec<ExemplarSeries>, ExecError> {
        self.ask(move |store, _| Ok(store.exemplars(&sets, range)?)).await
    }

    /// Sizes and cardinalities of the store; at most `limit` lines a table.
    pub async fn stats(&self, limit: usize) -> Result<StoreStats, ExecError> {
        self.ask(move |store, _| Ok(store.stats(limit))).await
    }
}
