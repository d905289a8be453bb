//! `/api/metrics/query_range` and `/api/metrics/query`

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use reba_ingest::traces::config::TempoConfig;
use reba_query::traces::{InstantTraceMetrics, RangeTraceMetrics};

use super::{TempoApi, json, params::Form, proto, tenant::Owner, trace::answer};
use crate::loki::{Answer, Refusal};

/// `/api/metrics/query_range`
pub async fn range(
    State(api): State<Arc<TempoApi>>,
    Owner(tenant): Owner,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let range = form.range((api.clock_ns)())?;
    let config = api.config.load_full();
    let asked = RangeTraceMetrics {
        tenant,
        query: query(&form),
        start_ns: range.start,
        end_ns: range.end,
        step_ns: form.step(range)?,
        exemplars: form.count("exemplars", config.query_frontend.metrics.max_exemplars)?,
    };
    check_steps(&asked, &config)?;
    let output = api.engine.metrics_range(asked).await?;
    answer(&headers, output, json::series, proto::series).await
}

/// `/api/metrics/query`
pub async fn instant(
    State(api): State<Arc<TempoApi>>,
    Owner(tenant): Owner,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let range = form.range((api.clock_ns)())?;
    let asked = InstantTraceMetrics { tenant, query: query(&form), start_ns: range.start, end_ns: range.end };
    let output = api.engine.metrics_instant(asked).await?;
    answer(&headers, output, json::values, proto::values).await
}

/// `q`, and what upstream takes in its place.
fn query(form: &Form) -> String {
    let q = form.value("q");
    if q.is_empty() { form.value("query").to_owned() } else { q.to_owned() }
}

/// Refuses series of more steps than allowed.
pub fn check_steps(asked: &RangeTraceMetrics, config: &TempoConfig) -> Result<(), Refusal> {
    let most = config.query_frontend.metrics.max_intervals as i64;
    let steps = asked.end_ns.saturating_sub(asked.start_ns) / asked.step_ns.max(1);
    if most > 0 && steps > most {
        return Err(Refusal::bad(format!(
            "step too small for the range: {steps} intervals exceed the limit of {most} (query_frontend.metrics.max_intervals)"
        )));
    }
    Ok(())
}
