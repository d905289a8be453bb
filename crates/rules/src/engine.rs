//! The query engine as rules see it.

use std::sync::Arc;

use futures::future::BoxFuture;
use reba_promql::eval::value::Point;
use reba_query::{InstantQuery, QueryData, QueryEngine};

use crate::querier::{RuleQuerier, RuleQueryError, RuleSample, SampleValue};

/// Runs the queries of rules on a [`QueryEngine`].
#[derive(Clone)]
pub struct EngineQuerier(Arc<QueryEngine>);

impl EngineQuerier {
    /// A querier on `engine`.
    pub fn new(engine: Arc<QueryEngine>) -> Self {
        EngineQuerier(engine)
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
            let query =
                InstantQuery { query: query.to_owned(), time: t, timeout: None, lookback_delta: None };
            let output = self.0.instant(query).await.map_err(|e| RuleQueryError(e.to_string()))?;
            samples(output.data)
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
