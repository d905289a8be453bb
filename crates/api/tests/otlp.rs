//! OTLP over gRPC and HTTP, without a socket.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{io::Write as _, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use http_body_util::BodyExt as _;
use reba_api::{
    loki::Intake,
    otlp::{Logs, Metrics, OtlpApi, grpc_router, http_router},
};
use reba_ingest::{
    config::Config,
    loki::{
        LokiReceiver,
        config::{LokiConfig, Size},
        limits::TenantLimits,
    },
    otlp::{
        json::to_protobuf,
        metrics::{OtlpOptions, OtlpReceiver},
        schema::{LOGS_REQUEST, METRICS_REQUEST, Message},
    },
};
use reba_model::{GoRegex, LogBatch, Tenant};
use reba_storage::{AppendError, LogAppender, LogReport, MetricAppender};
use reba_testkit::{MemLogStore, MemStore};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const NOW_MS: i64 = 1_700_000_000_000;
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Takes nothing.
struct Full;

impl LogAppender for Full {
    fn append_logs(&self, _: &Tenant, _: &LogBatch) -> Result<LogReport, AppendError> {
        Err(AppendError::Full("no room".to_owned()))
    }
}

fn logs(store: Arc<dyn LogAppender>, config: LokiConfig) -> Logs {
    let limits = Arc::new(TenantLimits::new(&config));
    let receiver = LokiReceiver::new(store, Arc::clone(&limits), Arc::new(|| NOW_MS * 1_000_000), 1);
    Logs { receiver: Arc::new(receiver), limits, config: Arc::new(ArcSwap::from_pointee(config)) }
}

fn metrics() -> Metrics {
    let options = OtlpOptions { lookback_ms: 300_000, max_cached_series: 1000, hash_seed: 1 };
    let config = Config::parse("", std::path::Path::new("prometheus.yml")).unwrap();
    let store: Arc<dyn MetricAppender> = Arc::new(MemStore::default());
    let receiver = Arc::new(OtlpReceiver::new(store, options, config.otlp));
    Metrics { receiver, clock: Arc::new(|| NOW_MS) }
}

fn api(logs: Option<Logs>) -> Arc<OtlpApi> {
    let cors_origin = GoRegex::anchored("https?://localhost").unwrap();
    Arc::new(OtlpApi { metrics: Some(metrics()), logs, traces: None, intake: Intake::default(), cors_origin })
}

fn config() -> LokiConfig {
    let mut config = LokiConfig::default();
    config.auth_enabled = false;
    config
}

fn whole() -> Arc<OtlpApi> {
    api(Some(logs(Arc::new(MemLogStore::default()), config())))
}

fn log_request(lines: &[&str]) -> Value {
    let record = |line: &&str| json!({"timeUnixNano": (NOW_MS * 1_000_000).to_string(), "body": {"stringValue": line}});
    let records: Vec<Value> = lines.iter().map(record).collect();
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
}

fn metric_request(temporality: u32) -> Value {
    let points = json!([{"timeUnixNano": (NOW_MS * 1_000_000).to_string(), "asDouble": 1}]);
    let sums = json!([
        {"name": "a", "gauge": {"dataPoints": points}},
        {"name": "b", "sum": {"aggregationTemporality": temporality, "dataPoints": points}},
    ]);
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": sums}]}]})
}

fn protobuf(value: &Value, message: &'static Message) -> Vec<u8> {
    to_protobuf(value.to_string().as_bytes(), message).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

/// A message in its frame.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![flag];
    out.extend((message.len() as u32).to_be_bytes());
    out.extend(message);
    out
}

/// `grpc-status`, the headers it stands in, and the message.
async fn call(
    api: &Arc<OtlpApi>,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = grpc_router(Arc::clone(api)).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap();
    let said = body.trailers().cloned().unwrap_or(parts.headers);
    let code = said["grpc-status"].to_str().unwrap().parse().unwrap();
    let bytes = body.to_bytes().to_vec();
    let message = bytes.split_first_chunk::<5>().map_or(Vec::new(), |(_, message)| message.to_vec());
    assert_eq!(bytes.is_empty(), code != 0, "a message comes with success, and with nothing else");
    (code, said, message)
}

/// Status, headers and body.
async fn post(
    router: Router,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn calls_are_stored_however_they_are_compressed() {
    let api = whole();
    let message = protobuf(&log_request(&["a", "b"]), &LOGS_REQUEST);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&message).unwrap();
    for (encoding, body) in [
        ("identity", frame(0, &message)),
        ("gzip", frame(1, &gzip(&message))),
        // A message may be left as it is, whatever the call says.
        ("gzip", frame(0, &message)),
        ("deflate", frame(1, &zlib.finish().unwrap())),
        ("zstd", frame(1, &zstd::encode_all(&message[..], 1).unwrap())),
    ] {
        let (code, _, answer) = call(&api, LOGS, &[("grpc-encoding", encoding)], body).await;
        assert_eq!((code, answer.as_slice()), (0, &b""[..]), "{encoding}");
    }
    let (code, headers, _) = call(&api, LOGS, &[("grpc-encoding", "snappy")], frame(1, b"x")).await;
    assert_eq!(code, 12, "{headers:?}");
    let mut counters = String::new();
    api.logs.as_ref().unwrap().receiver.write_metrics(&mut counters);
    assert!(counters.contains("loki_distributor_lines_received_total{tenant=\"fake\"} 10\n"), "{counters}");
}

#[tokio::test]
async fn what_is_refused_in_part_is_said_with_success() {
    let mut config = config();
    config.limits.max_line_size = Size(1 << 10);
    let api = api(Some(logs(Arc::new(MemLogStore::default()), config)));
    let delta = protobuf(&metric_request(1), &METRICS_REQUEST);
    let (code, _, answer) = call(&api, METRICS, &[], frame(0, &delta)).await;
    // ExportMetricsServiceResponse { partial_success { rejected_data_points: 1, error_message: … } }
    assert_eq!((code, &answer[2..5]), (0, &[0x08, 1, 0x12][..]), "{answer:?}");
    let cumulative = protobuf(&metric_request(2), &METRICS_REQUEST);
    assert_eq!(call(&api, METRICS, &[], frame(0, &cumulative)).await.2, b"");

    let json = [("content-type", "application/json")];
    let body = metric_request(1).to_string().into_bytes();
    let (status, _, answer) = post(http_router(Arc::clone(&api)), "/v1/metrics", &json, body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedDataPoints"]), (200, &json!("1")));

    let long = "x".repeat(2000);
    let body = log_request(&["good", &long]);
    let (code, _, answer) = call(&api, LOGS, &[], frame(0, &protobuf(&body, &LOGS_REQUEST))).await;
    assert_eq!((code, &answer[..1]), (0, &[0x0a][..]));
    let (status, _, answer) = post(http_router(api), "/v1/logs", &json, body.to_string().into_bytes()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedLogRecords"]), (200, &json!("1")));
}

#[tokio::test]
async fn answers_are_in_the_encoding_of_the_request() {
    let http = || http_router(whole());
    let (json, binary) = ("application/json", "application/x-protobuf");
    let body = log_request(&["a"]);
    let (status, headers, answer) =
        post(http(), "/v1/logs", &[("content-type", json)], body.to_string().into_bytes()).await;
    assert_eq!(
        (status, &headers["content-type"], answer.as_slice()),
        (200, &json.parse().unwrap(), &br#"{"partialSuccess":{}}"#[..])
    );
    let packed = gzip(&protobuf(&body, &LOGS_REQUEST));
    let sent = [("content-type", binary), ("content-encoding", "gzip")];
    let (status, headers, answer) = post(http(), "/v1/logs", &sent, packed).await;
    assert_eq!((status, &headers["content-type"], answer.len()), (200, &binary.parse().unwrap(), 0));
    let (status, _, answer) = post(http(), "/v1/metrics", &[("content-type", json)], b"[]".to_vec()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["code"]), (400, &json!(3)));
    let (status, _, answer) =
        post(http(), "/v1/logs", &[("content-type", binary)], b"\x0a\xff".to_vec()).await;
    assert_eq!((status, &answer[..2]), (400, &b"\x08\x03"[..]));
    assert_eq!(post(http(), "/v1/logs", &[("content-type", "text/plain")], Vec::new()).await.0, 415);
}

#[tokio::test]
async fn a_full_store_acknowledges_nothing_and_asks_senders_to_come_again() {
    let api = api(Some(logs(Arc::new(Full), config())));
    let body = log_request(&["a"]);
    let (code, headers, _) = call(&api, LOGS, &[], frame(0, &protobuf(&body, &LOGS_REQUEST))).await;
    assert_eq!((code, headers.contains_key("grpc-status-details-bin")), (14, true));
    let json = [("content-type", "application/json")];
    let (status, headers, _) = post(http_router(api), "/v1/logs", &json, body.to_string().into_bytes()).await;
    assert_eq!((status, &headers["retry-after"]), (503, &"5".parse().unwrap()));
}

#[tokio::test]
async fn too_much_at_once_is_refused_with_the_time_to_come_again() {
    let mut config = config();
    config.limits.per_stream_rate_limit = Size(1 << 10);
    config.limits.per_stream_rate_limit_burst = Size(1 << 10);
    let api = api(Some(logs(Arc::new(MemLogStore::default()), config)));
    let body = protobuf(&log_request(&[&"x".repeat(5000)]), &LOGS_REQUEST);
    let (code, headers, _) = call(&api, LOGS, &[], frame(0, &body)).await;
    assert_eq!((code, headers.contains_key("grpc-status-details-bin")), (8, true), "{headers:?}");
    let sent = [("content-type", "application/x-protobuf")];
    let (status, headers, _) = post(http_router(api), "/v1/logs", &sent, body).await;
    assert_eq!((status, headers.contains_key("retry-after")), (429, true));
}

#[tokio::test]
async fn tenants_are_named_and_nobody_writes_for_two() {
    let api = api(Some(logs(Arc::new(MemLogStore::default()), LokiConfig::default())));
    let body = frame(0, &protobuf(&log_request(&["a"]), &LOGS_REQUEST));
    for (tenant, want) in [("", 16), ("a", 0), ("a|b", 3), ("a/b", 3)] {
        let headers = [("x-scope-orgid", tenant)];
        let headers = if tenant.is_empty() { &[][..] } else { &headers[..] };
        assert_eq!(call(&api, LOGS, headers, body.clone()).await.0, want, "{tenant}");
    }
}

#[tokio::test]
async fn lokis_pusher_takes_its_message_without_snappy() {
    let api = whole();
    // PushRequest { streams { labels: {a="b"}, entries { timestamp { seconds: 1_700_000_000 }, line: "hello" } } }
    let mut entry = vec![0x0a, 6, 0x08];
    entry.extend([0x80, 0xe2, 0xcf, 0xaa, 0x06]);
    entry.extend(b"\x12\x05hello");
    let mut stream = vec![0x0a, 7];
    stream.extend(b"{a=\"b\"}");
    stream.extend([0x12, entry.len() as u8]);
    stream.extend(entry);
    let mut push = vec![0x0a, stream.len() as u8];
    push.extend(stream);
    let (code, headers, answer) = call(&api, "/logproto.Pusher/Push", &[], frame(0, &push)).await;
    assert_eq!((code, answer.len()), (0, 0), "{headers:?}");
    let gzipped = frame(1, &gzip(&push));
    assert_eq!(call(&api, "/logproto.Pusher/Push", &[("grpc-encoding", "gzip")], gzipped).await.0, 0);
    assert_eq!(call(&api, "/logproto.Pusher/Push", &[], frame(0, &push[..9])).await.0, 3);
    let mut counters = String::new();
    api.logs.as_ref().unwrap().receiver.write_metrics(&mut counters);
    assert!(counters.contains("loki_distributor_lines_received_total{tenant=\"fake\"} 2\n"), "{counters}");
}

#[tokio::test]
async fn what_is_not_here_says_so() {
    let api = api(None);
    let body = frame(0, &protobuf(&log_request(&["a"]), &LOGS_REQUEST));
    for path in [LOGS, TRACES, "/logproto.Pusher/Push", "/grpc.health.v1.Health/Check"] {
        assert_eq!(call(&api, path, &[], body.clone()).await.0, 12, "{path}");
    }
    let json = [("content-type", "application/json")];
    for (path, want) in [("/v1/logs", 501), ("/v1/traces", 501), ("/", 501), ("/v1", 501), ("/v2/logs", 404)]
    {
        let (status, _, _) = post(http_router(Arc::clone(&api)), path, &json, b"{}".to_vec()).await;
        assert_eq!(status, want, "{path}");
    }
    // Somebody who mistook one port for the other.
    assert_eq!(post(grpc_router(api), "/v1/logs", &json, b"{}".to_vec()).await.0, 415);
}

#[tokio::test]
async fn bombs_and_bodies_beyond_the_limit_are_refused() {
    let mut config = config();
    config.server.grpc_server_max_recv_msg_size = Some(Size(10 << 10));
    let api = api(Some(logs(Arc::new(MemLogStore::default()), config)));
    let large = vec![b'a'; 1 << 20];
    let gz = [("grpc-encoding", "gzip")];
    assert_eq!(call(&api, LOGS, &[], frame(0, &large)).await.0, 8);
    assert_eq!(call(&api, LOGS, &gz, frame(1, &gzip(&large))).await.0, 8);
    assert_eq!(call(&api, "/logproto.Pusher/Push", &gz, frame(1, &gzip(&large))).await.0, 8);
    let bomb = gzip(&vec![0; 40 << 20]);
    assert_eq!(call(&api, METRICS, &gz, frame(1, &bomb)).await.0, 8);
    let sent = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    assert_eq!(post(http_router(Arc::clone(&api)), "/v1/metrics", &sent, bomb).await.0, 413);
    assert_eq!(post(http_router(api), "/v1/logs", &sent[..1], large).await.0, 413);
}

#[tokio::test]
async fn pages_of_trusted_origins_may_ask_to_send() {
    for (origin, want) in [("http://localhost", true), ("http://evil.example", false)] {
        let request = Request::options("/v1/logs")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-scope-orgid");
        let answer = http_router(whole()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), want, "{origin}");
    }
}
