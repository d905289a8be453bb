//! The query engine as rules see it.

use std::sync::Arc;

use futures::future::BoxFuture;
use reba_promql::eval::value::{Column, Point};
use reba_query::{ExecError, InstantQuery, QueryData, QueryEngine, QueryOutput, RangeQuery};

use crate::{
    backtest::{RangeRequest, RangeSeries},
    querier::{GroupName, RuleQuerier, RuleQueryError, RuleSample, SampleValue},
};

/// Runs the queries of rules on a [`QueryEngine`].
#[derive(Clone)]
pub struct EngineQuerier {
    engine: Arc<QueryEngine>,
    watch: Option<Watch>,
}

/// Sees the queries of rules when they have ended: the group, the query, its time, and its outcome.
pub type Watch = Arc<dyn Fn(GroupName<'_>, &str, i64, &Result<QueryOutput, ExecError>) + Send + Sync>;

impl EngineQuerier {
    /// A querier on `engine`.
    pub fn new(engine: Arc<QueryEngine>) -> Self {
        EngineQuerier { engine, watch: None }
    }

    /// The same, and `watch` sees what rules ask.
    #[must_use]
    pub fn with_watch(self, watch: Watch) -> Self {
        EngineQuerier { watch: Some(watch), ..self }
    }

    async fn ask(&self, query: &str, t: i64) -> Result<QueryOutput, ExecError> {
        let query = InstantQuery {
            query: query.to_owned(),
            time: t,
            timeout: None,
            lookback_delta: None,
            per_step_stats: false,
        };
        self.engine.instant(query).await
    }

    /// The points of a range query, for [`crate::backtest`].
    pub async fn range(&self, request: RangeRequest) -> Result<Vec<RangeSeries>, RuleQueryError> {
        let RangeRequest { query, start, end, step } = request;
        let query = RangeQuery {
            query,
            start,
            end,
            step,
            timeout: None,
            lookback_delta: None,
            no_cache: true,
            per_step_stats: false,
        };
        let output = self.engine.range(query).await.map_err(|e| RuleQueryError(e.to_string()))?;
        let QueryData::Range { steps, series } = output.data else {
            return Err(RuleQueryError("rule result is not a vector or scalar".to_owned()));
        };
        let points = |column: &Column| {
            let value = |i| match column.get(i) {
                Point::Float(v) => Some(SampleValue::Float(v)),
                Point::Histogram(h) => Some(SampleValue::Histogram(h)),
                Point::Absent => None,
            };
            (0..column.len()).filter_map(|i| Some((steps.at(i), value(i)?))).collect()
        };
        Ok(series.into_iter().map(|s| RangeSeries { points: points(&s.column), labels: s.labels }).collect())
    }
}

impl std::fmt::Debug for EngineQuerier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineQuerier")
    }
}

impl RuleQuerier for EngineQuerier {
    fn instant<'a>(
        &'a self,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        Box::pin(async move {
            let output = self.ask(query, t).await.map_err(|e| RuleQueryError(e.to_string()))?;
            samples(output.data)
        })
    }

    fn instant_for<'a>(
        &'a self,
        group: GroupName<'a>,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        Box::pin(async move {
            let result = self.ask(query, t).await;
            if let Some(watch) = &self.watch {
                watch(group, query, t, &result);
            }
            samples(result.map_err(|e| RuleQueryError(e.to_string()))?.data)
        })
    }
}

fn samples(data: QueryData) -> Result<Vec<RuleSample>, RuleQueryError> {
    match data {
        QueryData::Scalar { v, .. } => {
            Ok(vec![RuleSample { labels: reba_model::Labels::empty(), value: SampleValue::Float(v) }])
        }
        QueryData::Vector { series, .. } => {
            let mut samples = Vec::with_capacity(series.len());
            for element in series {
                let value = match element.column.get(0) {
                    Point::Float(v) => SampleValue::Float(v),
                    Point::Histogram(h) => SampleValue::Histogram(h),
                    Point::Absent => continue,
                };
                samples.push(RuleSample { labels: element.labels, value });
            }
            Ok(samples)
        }
        _ => Err(RuleQueryError("rule result is not a vector or scalar".to_owned())),
    }
}
