//! The metric store as the rules of one tenant see it.

use std::sync::Arc;

use reba_model::{Labels, Matcher, Series, Texts, TimeRange};
use reba_storage::{
    AppendError, AppendMode, AppendReport, Budget, ExemplarSeries, MetricAppender, MetricQuerier, QueryError,
    SelectRequest, SeriesRef, StoreStats, WriteBatch,
};

/// The label that keeps the series of tenants apart.
pub const TENANT_LABEL: &str = "tenant";

/// Puts the label `tenant` on every series that is written, and sees only series that have it, without it.
///
/// The metric store knows no tenants. Two of them may well record series of the same name, and must not read each other's.
pub(super) struct TenantStore {
    pub tenant: String,
    pub appender: Arc<dyn MetricAppender>,
    pub store: Arc<dyn MetricQuerier>,
}

impl TenantStore {
    fn matcher(&self) -> Matcher {
        Matcher::equal(TENANT_LABEL, self.tenant.as_str())
    }

    fn sets(&self, sets: &[Vec<Matcher>]) -> Vec<Vec<Matcher>> {
        if sets.is_empty() {
            return vec![vec![self.matcher()]];
        }
        sets.iter().map(|set| set.iter().cloned().chain([self.matcher()]).collect()).collect()
    }
}

fn unmarked(labels: &Labels) -> Labels {
    labels.without(&[TENANT_LABEL])
}

impl MetricAppender for TenantStore {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut marked = labels.to_builder();
        marked.set(TENANT_LABEL, &self.tenant);
        self.appender.series_ref(&marked.build())
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        self.appender.append(batch, mode)
    }
}

impl MetricQuerier for TenantStore {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Vec<Series>, QueryError> {
        let mut matchers = request.matchers.to_vec();
        matchers.push(self.matcher());
        let request = SelectRequest {
            matchers: &matchers,
            range: request.range,
            hints: request.hints,
            budget: request.budget,
        };
        let mut found = self.store.select(&request)?;
        // A store may return more than was asked for: only here can it still be told.
        found.retain(|series| series.labels.value(TENANT_LABEL) == self.tenant);
        for series in &mut found {
            series.labels = unmarked(&series.labels);
        }
        Ok(found)
    }

    fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, QueryError> {
        let found = self.store.series(&self.sets(sets), range, budget)?;
        let mut found: Vec<Labels> = found.iter().map(unmarked).collect();
        found.sort();
        Ok(found)
    }

    fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, QueryError> {
        let mut names = self.store.label_names(&self.sets(sets), range, budget)?;
        names.retain(|name| name != TENANT_LABEL);
        Ok(names)
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Texts, QueryError> {
        if name == TENANT_LABEL {
            return Ok(Texts::default());
        }
        self.store.label_values(name, &self.sets(sets), range, budget)
    }

    fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Vec<ExemplarSeries>, QueryError> {
        let mut found = self.store.exemplars(&self.sets(sets), range)?;
        for series in &mut found {
            series.labels = unmarked(&series.labels);
        }
        Ok(found)
    }

    fn stats(&self, limit: usize) -> StoreStats {
        self.store.stats(limit)
    }
}
