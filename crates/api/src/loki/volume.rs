//! How much there is: `index/stats`, `index/volume`, `index/volume_range`.

use std::{io::Write as _, sync::Arc};

use axum::{extract::State, http::StatusCode};
use reba_model::Tenant;
use reba_query::logs::{VolumeBy, VolumeQuery};

use super::{
    LokiApi, json,
    params::Form,
    refusal::{Answer, Refusal},
    tenant::Asks,
};
use crate::prometheus::envelope::json_response;

/// `/loki/api/v1/index/stats`
pub async fn stats(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    let now = api.now_ns();
    let stats = api.engine.stored_stats(tenant, form.selector("query")?, form.range(now)?, now).await?;
    let mut body = Vec::new();
    let _ = write!(
        body,
        r#"{{"streams":{},"chunks":{},"bytes":{},"entries":{}}}"#,
        stats.streams, stats.chunks, stats.bytes, stats.entries
    );
    Ok(json_response(StatusCode::OK, body))
}

/// `/loki/api/v1/index/volume`
pub async fn volume(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    answer(&api, tenant, &form, false).await
}

/// `/loki/api/v1/index/volume_range`
pub async fn volume_range(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    answer(&api, tenant, &form, true).await
}

async fn answer(api: &LokiApi, tenant: Tenant, form: &Form, over_time: bool) -> Answer {
    let now = api.now_ns();
    let range = form.range(now)?;
    let by = match form.value("aggregateBy") {
        "" | "series" => VolumeBy::Series,
        "labels" => VolumeBy::Labels,
        _ => return Err(Refusal::bad("invalid aggregation option")),
    };
    let query = VolumeQuery {
        tenant,
        matchers: form.selector("query")?,
        range,
        target_labels: form.names("targetLabels"),
        by,
        limit: form.limit()?,
        step: if over_time { Some(form.step(range)?) } else { None },
    };
    let data = api.engine.volume(query, now).await?;
    Ok(json_response(StatusCode::OK, json::volumes(&data)))
}
