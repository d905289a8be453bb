//! What operators ask: `/ready`, `/metrics`, `/status`, `/flush`, the version.

use std::{fmt::Write as _, sync::Arc, sync::atomic::Ordering};

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_ingest::traces::{Counters, config::ConfigView};
use reba_model::Tenant;

use super::{COMPATIBLE_VERSION, TempoApi, params::Form};
use crate::{
    build,
    exposition::Page,
    loki::{Answer, Refusal, blocking},
    prometheus::envelope::json_response,
};

/// Parts that upstream names, all of which are in this one process.
const SERVICES: [&str; 8] = [
    "server",
    "store",
    "distributor",
    "ingester",
    "querier",
    "query-frontend",
    "compactor",
    "metrics-generator",
];

/// What is answered, as `/status/endpoints` lists it.
const ENDPOINTS: [&str; 25] = [
    "GET /api/traces/{traceID}",
    "GET /api/v2/traces/{traceID}",
    "GET /api/search",
    "GET /api/search/tags",
    "GET /api/v2/search/tags",
    "GET /api/search/tag/{tagName}/values",
    "GET /api/v2/search/tag/{tagName}/values",
    "GET /api/metrics/query",
    "GET /api/metrics/query_range",
    "GET /api/echo",
    "GET /api/status/buildinfo",
    "GET /ready",
    "GET /metrics",
    "GET /status",
    "GET /status/version",
    "GET /status/services",
    "GET /status/endpoints",
    "GET /status/config",
    "GET /status/runtime_config",
    "GET /status/overrides",
    "GET /status/overrides/{tenant}",
    "GET /status/usage-stats",
    "gRPC tempopb.StreamingQuerier",
    "gRPC tempopb.Querier/FindTraceByID",
    "POST /flush",
];

/// `/ready`
pub async fn ready(State(api): State<Arc<TempoApi>>) -> Answer {
    if api.readiness.is_ready() {
        return Ok(text("ready\n".to_owned()));
    }
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Some services are not Running:\nStopping: 1"))
}

/// `/api/status/buildinfo`
pub async fn buildinfo() -> Response {
    json_response(StatusCode::OK, build::info(COMPATIBLE_VERSION).to_string().into_bytes())
}

/// `/status`: all pages.
pub async fn status(State(api): State<Arc<TempoApi>>) -> Response {
    text(["version", "services", "endpoints"].map(|page| page_text(&api, page)).join("\n"))
}

/// `/status/{page}`
pub async fn status_page(
    State(api): State<Arc<TempoApi>>,
    Path(page): Path<String>,
    form: Form,
) -> Result<Response, Refusal> {
    match page.as_str() {
        "version" | "services" | "endpoints" => Ok(text(page_text(&api, &page))),
        "config" => Ok(yaml(api.config.load().to_yaml(view(&form)))),
        "runtime_config" | "overrides" => Ok(yaml(api.config.load().limits_yaml(view(&form)))),
        "usage-stats" => Ok(text("usage is never reported to anybody\n".to_owned())),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "page not found")),
    }
}

fn page_text(api: &TempoApi, page: &str) -> String {
    match page {
        "version" => format!("tempo, version {COMPATIBLE_VERSION} (Reba {})\n", env!("CARGO_PKG_VERSION")),
        "services" => {
            let state = if api.readiness.is_ready() { "Running" } else { "Stopping" };
            SERVICES.iter().fold(String::new(), |mut all, name| {
                let _ = writeln!(all, "{name}: {state}");
                all
            })
        }
        _ => ENDPOINTS.join("\n") + "\n",
    }
}

/// `/status/overrides/{tenant}`: the limits of a tenant.
pub async fn tenant_overrides(State(api): State<Arc<TempoApi>>, Path(tenant): Path<String>) -> Answer {
    let tenant = Tenant::new(&tenant).map_err(|e| Refusal::bad(e.to_string()))?;
    Ok(yaml(api.config.load().tenant_limits_yaml(&tenant)))
}

fn view(form: &Form) -> ConfigView {
    match form.value("mode") {
        "diff" => ConfigView::Diff,
        "defaults" => ConfigView::Defaults,
        _ => ConfigView::Whole,
    }
}

/// `/flush`: what is in memory goes into files.
pub async fn flush(State(api): State<Arc<TempoApi>>) -> Answer {
    blocking(move || api.admin.flush_spans().map_err(|e| Refusal::internal(e.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Everything else.
pub async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// `/metrics`
pub async fn metrics(State(api): State<Arc<TempoApi>>) -> Answer {
    // The store lists its files for this.
    let page = blocking(move || Ok(write_metrics(&api))).await?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, page).into_response())
}

fn write_metrics(api: &TempoApi) -> String {
    let mut page = Page::new();
    let build = build::labels(&COMPATIBLE_VERSION);
    page.gauge("tempo_build_info", "Always 1; the labels say what runs.").with(&build, 1.0);
    page.gauge("reba_traces_queries_active", "Queries about traces that run or wait.")
        .value(api.engine.active_queries().len() as f64);
    write_received(&mut page, api);
    api.http.write_as("tempo_request_duration_seconds", &mut page);
    for source in &api.metrics {
        source(&mut page);
    }
    page.finish()
}

fn write_received(page: &mut Page, api: &TempoApi) {
    let get = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed) as f64;
    let by_tenant = |page: &mut Page, value: &dyn Fn(&Counters, usize) -> f64| {
        api.receiver.each_tenant(|tenant, counters, live| {
            page.with(&[("tenant", &tenant)], value(counters, live));
        });
    };
    page.counter("tempo_distributor_spans_received_total", "Spans that came, stored or not.");
    by_tenant(page, &|c, _| get(&c.spans));
    page.counter("tempo_distributor_bytes_received_total", "Bytes of the requests that brought them.");
    by_tenant(page, &|c, _| get(&c.bytes));
    page.counter(
        "tempo_distributor_attributes_truncated_total",
        "Attributes cut to distributor.max_attribute_bytes.",
    );
    by_tenant(page, &|c, _| get(&c.truncated));
    page.gauge(
        "tempo_ingester_live_traces",
        "Traces that had a span just now, where their number or size has a limit.",
    );
    by_tenant(page, &|_, live| live as f64);
    page.counter("tempo_discarded_spans_total", "Spans that are not stored.");
    api.receiver.each_tenant(|tenant, c, _| {
        let reasons = [
            ("rate_limited", &c.rate_limited),
            ("live_traces_exceeded", &c.live_traces),
            ("trace_too_large", &c.too_large),
            ("invalid", &c.invalid),
            ("internal_error", &c.internal),
        ];
        for (reason, n) in reasons {
            page.with(&[("reason", &reason), ("tenant", &tenant)], get(n));
        }
    });
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn yaml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], text).into_response()
}
