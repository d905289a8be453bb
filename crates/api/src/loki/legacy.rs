//! `/api/prom/query`: lines as the first versions of Loki answered.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use reba_model::float::go_quote;
use reba_query::logs::LogData;

use super::{
    LokiApi, json,
    params::Form,
    query::{large_or_small, range_query},
    refusal::{Answer, Refusal},
    tenant::Asks,
};
use crate::compress::Encoding;

/// `/api/prom/query`
pub async fn query(
    State(api): State<Arc<LokiApi>>,
    Asks(tenant): Asks,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let now = api.now_ns();
    let mut query = range_query(&form, tenant, now)?;
    if let Some(regexp) = form.get("regexp") {
        query.query = format!("{} |~ {}", query.query, go_quote(regexp));
    }
    let output = api.engine.range(query, now).await?;
    let size = json::size(&output.data) + 4096;
    let LogData::Streams(lines) = output.data else {
        let text = format!(
            "legacy endpoints only support streams result type, current type is {}",
            output.data.result_type()
        );
        return Err(Refusal::bad(text));
    };
    let stats = output.stats;
    large_or_small(&api, size, Encoding::accepted(&headers), move || json::legacy_output(&lines, &stats))
        .await
}
