//! The query engine as rules see it.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use reba_promql::eval::value::{Point, VectorSeries};
use reba_query::{InstantQuery, QueryData, QueryEngine};
use reba_rules::{RuleQuerier, RuleQueryError, RuleSample, SampleValue};

/// Evaluates the expressions of rules.
pub struct EngineQuerier {
    engine: Arc<QueryEngine>,
}

impl EngineQuerier {
    /// A querier on `engine`.
    pub fn new(engine: Arc<QueryEngine>) -> Self {
        EngineQuerier { engine }
    }
}

impl RuleQuerier for EngineQuerier {
    fn instant<'a>(
        &'a self,
        query: &'a str,
        t: i64,
    ) -> BoxFuture<'a, Result<Vec<RuleSample>, RuleQueryError>> {
        async move {
            let query =
                InstantQuery { query: query.to_owned(), time: t, timeout: None, lookback_delta: None };
            let output = self.engine.instant(query).await.map_err(|e| RuleQueryError(e.to_string()))?;
            match output.data {
                QueryData::Scalar { v, .. } => {
                    Ok(vec![RuleSample { labels: reba_model::Labels::empty(), value: SampleValue::Float(v) }])
                }
                QueryData::Vector { series, .. } => Ok(series.into_iter().filter_map(sample).collect()),
                _ => Err(RuleQueryError("rule result is not a vector or scalar".to_owned())),
            }
        }
        .boxed()
    }
}

fn sample(series: VectorSeries) -> Option<RuleSample> {
    let value = match series.column.get(0) {
        Point::Absent => return None,
        Point::Float(v) => SampleValue::Float(v),
        Point::Histogram(h) => SampleValue::Histogram(h),
    };
    Some(RuleSample { labels: series.labels, value })
}
