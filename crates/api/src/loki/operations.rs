//! What operators ask: `/ready`, `/metrics`, `/config`, `/services`, `/log_level`, `/flush`, rings, the version.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use axum::{
    extract::{OriginalUri, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use reba_ingest::loki::config::ConfigView;
use serde_json::json;

use super::{
    COMPATIBLE_VERSION, LokiApi,
    params::Form,
    refusal::{Answer, Refusal, blocking},
    tenant::Asks,
};
use crate::{build, exposition::Page, prometheus::envelope::json_response};

/// `/ready`
pub async fn ready(State(api): State<Arc<LokiApi>>) -> Answer {
    if api.readiness.is_ready() {
        return Ok(text("ready\n".to_owned()));
    }
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Some services are not Running:\nStopping: 1"))
}

/// `/loki/api/v1/status/buildinfo`: a bare object.
pub async fn buildinfo() -> Response {
    json_response(StatusCode::OK, build::info(COMPATIBLE_VERSION).to_string().into_bytes())
}

/// `/metrics`
pub async fn metrics(State(api): State<Arc<LokiApi>>) -> Answer {
    // The store lists its files for this.
    let page = blocking(move || Ok(write_metrics(&api))).await?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, page).into_response())
}

fn write_metrics(api: &LokiApi) -> String {
    let mut page = Page::new();
    let build = build::labels(&COMPATIBLE_VERSION);
    page.gauge("loki_build_info", "Always 1; the labels say what runs.").with(&build, 1.0);
    page.gauge("loki_querier_tail_active", "Followers.").value(api.tails.following() as f64);
    let queries = api.engine.active_queries();
    page.gauge("reba_logs_queries_active", "Queries about logs that run or wait.")
        .value(queries.len() as f64);
    api.http.write(&mut page);
    if let Some(ruler) = &api.ruler {
        super::ruler::write_metrics(&mut page, ruler);
    }
    for source in &api.metrics {
        source(&mut page);
    }
    let mut text = page.finish();
    api.receiver.write_metrics(&mut text);
    text
}

/// `/config`, `/config?mode=diff` (what differs from the defaults), `/config?mode=defaults`
pub async fn config(State(api): State<Arc<LokiApi>>, form: Form) -> Response {
    let view = match form.value("mode") {
        "diff" => ConfigView::Diff,
        "defaults" => ConfigView::Defaults,
        _ => ConfigView::Whole,
    };
    let yaml = api.config.load().to_yaml(view);
    ([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], yaml).into_response()
}

/// Parts that upstream names, all of which are in this one process.
const SERVICES: [&str; 12] = [
    "server",
    "store",
    "ring",
    "distributor",
    "ingester",
    "querier",
    "query-frontend",
    "query-scheduler",
    "compactor",
    "ruler",
    "runtime-config",
    "analytics",
];

/// `/services`
pub async fn services(State(api): State<Arc<LokiApi>>) -> Response {
    let state = if api.readiness.is_ready() { "Running" } else { "Stopping" };
    let mut lines = String::new();
    for name in SERVICES {
        let state = match name {
            // Nothing is ever reported to anybody.
            "analytics" => "Terminated",
            "ruler" if api.ruler.is_none() => "Terminated",
            _ => state,
        };
        let _ = writeln!(lines, "{name} => {state}");
    }
    text(lines)
}

/// GET `/log_level`
pub async fn log_level(State(api): State<Arc<LokiApi>>) -> Response {
    let level = api.log_level.as_ref().map_or_else(|| "info".to_owned(), |l| l.get());
    let body = json!({ "message": format!("Current log level is {level}") });
    json_response(StatusCode::OK, body.to_string().into_bytes())
}

/// POST `/log_level`
pub async fn set_log_level(State(api): State<Arc<LokiApi>>, form: Form) -> Response {
    let level = form.value("log_level").to_owned();
    let known = matches!(level.as_str(), "debug" | "info" | "warn" | "error");
    let result = match &api.log_level {
        _ if !known => Err(format!("unrecognized log level {level:?}")),
        Some(hook) => hook.set(&level),
        None => Err("the log level cannot be changed".to_owned()),
    };
    let (status, body) = match result {
        Ok(()) => {
            (StatusCode::OK, json!({ "message": format!("Log level set to {level}"), "status": "success" }))
        }
        Err(e) => (StatusCode::BAD_REQUEST, json!({ "message": e, "status": "failed" })),
    };
    json_response(status, body.to_string().into_bytes())
}

/// `/flush`, and what upstream has for an ingester that is about to end: what is in memory goes into files. The process lives
/// on; its supervisor ends it.
pub async fn flush(State(api): State<Arc<LokiApi>>) -> Answer {
    blocking(move || api.admin.flush_logs().map_err(|e| Refusal::internal(e.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Every ring and the list of members: there is one member, this process.
pub async fn ring(State(api): State<Arc<LokiApi>>, OriginalUri(uri): OriginalUri) -> Response {
    let state = if api.readiness.is_ready() { "ACTIVE" } else { "LEAVING" };
    let name: String =
        uri.path().trim_matches('/').chars().filter(|c| c.is_ascii_alphabetic() || *c == '/').collect();
    let columns =
        BTreeMap::from([("Instance ID", "reba"), ("State", state), ("Tokens", "1"), ("Ownership", "100%")]);
    let cells = |tag: &str, texts: &mut dyn Iterator<Item = &&str>| {
        texts.fold(String::new(), |mut row, text| {
            let _ = write!(row, "<{tag}>{text}</{tag}>");
            row
        })
    };
    Html(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ring: {name}</title></head>\n\
         <body><h1>{name}</h1><p>One process, one member.</p>\n\
         <table border=\"1\"><tr>{}</tr><tr>{}</tr></table></body></html>\n",
        cells("th", &mut columns.keys()),
        cells("td", &mut columns.values()),
    ))
    .into_response()
}

/// `/loki/api/v1/drilldown-limits`
pub async fn drilldown(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks) -> Answer {
    let limits = api.engine.limits_of(&tenant);
    let seconds = |d: std::time::Duration| format!("{}s", d.as_secs());
    let body = json!({
        "limits": {
            "max_entries_limit_per_query": limits.max_entries,
            "max_query_bytes_read": limits.max_bytes_read,
            "max_query_length": seconds(limits.max_query_length),
            "max_query_lookback": seconds(limits.max_query_lookback),
            "max_query_range": seconds(limits.max_query_range),
            "max_query_series": limits.max_query_series,
            "query_timeout": seconds(limits.timeout),
            "volume_enabled": true,
            "volume_max_series": limits.volume_max_series,
        },
        "pattern_ingester_enabled": true,
        "version": COMPATIBLE_VERSION,
    });
    Ok(json_response(StatusCode::OK, body.to_string().into_bytes()))
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
