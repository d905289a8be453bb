//! What Telegraf and other writers of InfluxDB's line protocol call: `/write`, `/api/v2/write`, `/ping`, `/health` and
//! `/query`, each also below `/influx`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reba_ingest::influx::{InfluxRequest, Precision};
use serde_json::json;

use super::PrometheusApi;

/// What we say we are: the last version whose clients ask no more than is here.
const VERSION: [(HeaderName, &str); 1] = [(HeaderName::from_static("x-influxdb-version"), "1.8.0")];

/// Whose form an error has.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    V1,
    V2,
}

/// The routes.
pub fn routes() -> Router<Arc<PrometheusApi>> {
    let v1 = |State(api): State<Arc<PrometheusApi>>,
              Query(parameters): Query<Parameters>,
              request: Request| { write(api, parameters, request, Dialect::V1) };
    let v2 = |State(api): State<Arc<PrometheusApi>>,
              Query(parameters): Query<Parameters>,
              request: Request| { write(api, parameters, request, Dialect::V2) };
    Router::new()
        .route("/write", post(v1))
        .route("/influx/write", post(v1))
        .route("/api/v2/write", post(v2))
        .route("/influx/api/v2/write", post(v2))
        .route("/ping", get(ping))
        .route("/influx/ping", get(ping))
        .route("/health", get(health))
        .route("/influx/health", get(health))
        .route("/query", get(databases).post(databases))
        .route("/influx/query", get(databases).post(databases))
}

/// Parameters of a write: `db` and `precision` are looked at, others are for authorisation and retention.
type Parameters = HashMap<String, String>;

async fn write(
    api: Arc<PrometheusApi>,
    parameters: Parameters,
    request: Request,
    dialect: Dialect,
) -> Response {
    let text = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let Some(precision) = Precision::parse(&text("precision")) else {
        return refusal(dialect, 400, &format!("invalid precision {:?}", text("precision")));
    };
    let db = text("db");
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let (influx, now) = (Arc::clone(&api.influx), api.now_ms());
    let work = move |body: &[u8]| match influx
        .handle(body, InfluxRequest { db: &db, precision, content_encoding: &encoding, now })
    {
        Ok(written) if written.refused == 0 => (StatusCode::NO_CONTENT, VERSION).into_response(),
        Ok(written) => {
            let text = format!("partial write: {} dropped={}", written.reason, written.refused);
            refusal(dialect, 400, &text)
        }
        Err(e) => refusal(dialect, e.status(), &e.to_string()),
    };
    api.take(request, work).await
}

fn refusal(dialect: Dialect, status: u16, text: &str) -> Response {
    let body = match dialect {
        Dialect::V1 => json!({ "error": text }),
        Dialect::V2 => {
            let code = match status {
                400..500 => "invalid",
                503 => "unavailable",
                _ => "internal error",
            };
            json!({ "code": code, "message": text })
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, VERSION, Json(body)).into_response()
}

async fn ping() -> Response {
    (StatusCode::NO_CONTENT, VERSION).into_response()
}

async fn health() -> Response {
    let body = json!({"name": "reba", "message": "ready for writes", "status": "pass", "checks": []});
    (VERSION, Json(body)).into_response()
}

/// Writers create their database, or ask whether it is there, before they write.
async fn databases() -> Response {
    let series = json!([{"name": "databases", "columns": ["name"], "values": [["_internal"]]}]);
    (VERSION, Json(json!({"results": [{"statement_id": 0, "series": series}]}))).into_response()
}
