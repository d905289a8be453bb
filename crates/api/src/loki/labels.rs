//! Labels, their values, and streams.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};

use super::{LokiApi, json, params::Form, query::large_or_small, refusal::Answer, tenant::Asks};
use crate::{
    compress::Encoding,
    json::{write_labels, write_list},
    prometheus::envelope::json_response,
};

/// About how many bytes the labels of a stream take.
const STREAM_BYTES: usize = 200;

/// What a list of names is put into.
type Wrap = fn(&[String]) -> Vec<u8>;

fn success(names: &[String]) -> Vec<u8> {
    json::success(|out| json::write_strings(out, names))
}

/// `/api/prom/…` has `{"values":[…]}`.
fn legacy(names: &[String]) -> Vec<u8> {
    let mut out = br#"{"values":"#.to_vec();
    json::write_strings(&mut out, names);
    out.push(b'}');
    out
}

async fn name_list(api: &LokiApi, asks: Asks, form: &Form, wrap: Wrap) -> Answer {
    let now = api.now_ns();
    let sets = vec![form.selector("query")?];
    let names = api.engine.label_names(asks.0, sets, form.range(now)?, now).await?;
    Ok(json_response(StatusCode::OK, wrap(&names)))
}

async fn value_list(api: &LokiApi, asks: Asks, name: String, form: &Form, wrap: Wrap) -> Answer {
    let now = api.now_ns();
    let sets = vec![form.selector("query")?];
    let values = api.engine.label_values(asks.0, name, sets, form.range(now)?, now).await?;
    Ok(json_response(StatusCode::OK, wrap(&values)))
}

/// `/loki/api/v1/labels` and `/loki/api/v1/label`
pub async fn names(State(api): State<Arc<LokiApi>>, asks: Asks, form: Form) -> Answer {
    name_list(&api, asks, &form, success).await
}

/// `/api/prom/label`
pub async fn legacy_names(State(api): State<Arc<LokiApi>>, asks: Asks, form: Form) -> Answer {
    name_list(&api, asks, &form, legacy).await
}

/// `/loki/api/v1/label/{name}/values`
pub async fn values(
    State(api): State<Arc<LokiApi>>,
    asks: Asks,
    Path(name): Path<String>,
    form: Form,
) -> Answer {
    value_list(&api, asks, name, &form, success).await
}

/// `/api/prom/label/{name}/values`
pub async fn legacy_values(
    State(api): State<Arc<LokiApi>>,
    asks: Asks,
    Path(name): Path<String>,
    form: Form,
) -> Answer {
    value_list(&api, asks, name, &form, legacy).await
}

/// `/loki/api/v1/series`
pub async fn series(
    State(api): State<Arc<LokiApi>>,
    Asks(tenant): Asks,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let now = api.now_ns();
    let streams = api.engine.series(tenant, form.selectors()?, form.range(now)?, now).await?;
    let size = streams.len() * STREAM_BYTES;
    let body = move || {
        json::success(|out| {
            write_list(out, &streams, |out, labels| {
                write_labels(out, labels);
                true
            });
        })
    };
    large_or_small(&api, size, Encoding::accepted(&headers), body).await
}
