//! `/api/search`

mod legacy;

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use reba_ingest::traces::config::TempoConfig;
use reba_model::Tenant;
use reba_query::traces::TraceSearch;

use super::{TempoApi, json, params::Form, proto, tenant::Owner, trace::answer};
use crate::loki::{Answer, Refusal};

pub use legacy::query as query_of_tags;

/// Spans shown of each spanset, if nobody says.
pub const SPANS_PER_SPANSET: usize = 3;

/// Parameters that are not tags.
const OWN: [&str; 8] = ["q", "tags", "minDuration", "maxDuration", "limit", "start", "end", "spss"];

/// `/api/search`
pub async fn search(
    State(api): State<Arc<TempoApi>>,
    Owner(tenant): Owner,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let asked = asked(&form, tenant, &api)?;
    let output = api.engine.search(asked).await?;
    answer(&headers, output, json::search, proto::search).await
}

fn asked(form: &Form, tenant: Tenant, api: &TempoApi) -> Result<TraceSearch, Refusal> {
    let config = &api.config.load();
    let (q, tags) = (form.value("q"), form.value("tags"));
    if !q.is_empty() && !tags.is_empty() {
        return Err(Refusal::bad("invalid request: can't specify tags and q in the same query"));
    }
    let query = if q.is_empty() {
        let mut pairs = legacy::pairs(tags).map_err(|e| Refusal::bad(format!("invalid tags: {e}")))?;
        // Grafana of old had tags among the parameters.
        let bare = form.iter().filter(|(name, _)| !OWN.contains(name));
        pairs.extend(bare.map(|(name, value)| (name.to_owned(), value.to_owned())));
        legacy::query(&pairs, api.engine.config().anchored_regex)
    } else {
        q.to_owned()
    };
    let (min_duration_ns, max_duration_ns) = (form.duration("minDuration")?, form.duration("maxDuration")?);
    if matches!((min_duration_ns, max_duration_ns), (Some(min), Some(max)) if max <= min) {
        return Err(Refusal::bad("invalid maxDuration: must be greater than minDuration"));
    }
    Ok(TraceSearch {
        tenant,
        query,
        range: form.seconds()?,
        limit: form.positive("limit", config.query_frontend.search.default_result_limit)?,
        spans_per_spanset: spans_per_spanset(form.count("spss", SPANS_PER_SPANSET)?, config)?,
        min_duration_ns,
        max_duration_ns,
    })
}

/// Spans shown of each spanset; upstream refuses more than allowed.
pub fn spans_per_spanset(asked: usize, config: &TempoConfig) -> Result<usize, Refusal> {
    let most = config.query_frontend.search.max_spans_per_span_set;
    if most != 0 && (asked > most || asked == 0) {
        return Err(Refusal::bad(format!("spans per span set exceeds {most}. received {asked}")));
    }
    Ok(asked)
}
