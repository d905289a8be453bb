//! A service instrumented as the README says, asked over its router, its pages parsed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::Extension,
    routing::{get, post},
};
use easymo_commons::{
    Clock, DbQuery, Format, HealthChecks, IdGenerator, MessageStatus, MetricsRegistry, PaymentMethod,
    PaymentOutcome, ProcessStats, QueryType, RegisterError, RejectReason, RideStatus, TraceContext,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt as _;

/// One sample of a page: its name, its labels, its value, its exemplar.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
    exemplar: Option<String>,
}

/// A small strict parser of both text formats, enough for pages without odd characters in their values.
fn parse(page: &str) -> (BTreeMap<String, String>, Vec<Line>) {
    let (mut types, mut lines) = (BTreeMap::new(), Vec::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
        } else if !line.starts_with('#') {
            let (series, rest) = line.split_once("} ").unwrap_or_else(|| panic!("no labels: {line}"));
            let (name, labels) = series.split_once('{').unwrap();
            let (value, exemplar) = match rest.split_once(" # ") {
                Some((value, exemplar)) => (value, Some(exemplar.to_owned())),
                None => (rest, None),
            };
            let labels = labels.split(',').map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (name.to_owned(), value.strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned())
            });
            let value = value.parse().unwrap();
            lines.push(Line { name: name.to_owned(), labels: labels.collect(), value, exemplar });
        }
    }
    (types, lines)
}

fn value(lines: &[Line], name: &str, labels: &[(&str, &str)]) -> f64 {
    let found: Vec<&Line> = lines
        .iter()
        .filter(|l| {
            l.name == name && labels.iter().all(|(n, v)| l.labels.get(*n).map(String::as_str) == Some(v))
        })
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?} in {lines:#?}");
    found[0].value
}

/// A registry whose monotonic clock goes on by 30 ms whenever it is read, and whose process is always the same.
fn registry() -> MetricsRegistry {
    let ticks = Arc::new(AtomicU64::new(0));
    let clock = Clock::new(
        || SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        move || Duration::from_millis(30 * ticks.fetch_add(1, Ordering::Relaxed)),
    );
    let process =
        || Some(ProcessStats { cpu_seconds: 1.5, resident_bytes: 4096.0, ..ProcessStats::default() });
    MetricsRegistry::builder("wallet-service", "test")
        .clock(clock)
        .ids(IdGenerator::seeded(1))
        .process(Arc::new(process))
        .build()
}

fn service(registry: &MetricsRegistry) -> Router {
    let routes = Router::new()
        .route("/wallets/{id}", get(|| async { "balance" }))
        .route("/trace", get(|Extension(t): Extension<TraceContext>| async move { t.traceparent() }))
        .route("/fail", post(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/slow", get(std::future::pending::<()>))
        .route("/stream", get(|| async { Body::new(http_body_util::StreamBody::new(stream())) }));
    registry.instrument(routes).route("/metrics", registry.metrics_route())
}

/// A body of 2,000 bytes whose length nobody knows beforehand.
fn stream() -> impl futures::Stream<Item = Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>> {
    futures::stream::iter((0..20).map(|_| Ok(http_body::Frame::data("x".repeat(100).into()))))
}

async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, String, String) {
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let kind = answer.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn requests_are_counted_by_route_template_and_never_by_path() {
    let registry = registry();
    let app = service(&registry);
    for path in ["/wallets/1", "/wallets/2", "/wallets/3"] {
        ask(&app, request("GET", path)).await;
    }
    ask(&app, request("POST", "/fail")).await;
    ask(&app, request("BREW", "/wallets/4")).await;
    let (types, lines) = parse(&registry.expose(Format::Text));
    let wallets = [("method", "GET"), ("route", "/wallets/{id}"), ("status_code", "200")];
    assert_eq!(value(&lines, "http_requests_total", &wallets), 3.0);
    assert_eq!(value(&lines, "http_requests_total", &[("method", "OTHER")]), 1.0);
    assert_eq!(value(&lines, "http_requests_total", &[("route", "/fail"), ("status_code", "500")]), 1.0);
    assert_eq!(types["http_requests_total"], "counter");
    assert_eq!(types["http_request_duration_seconds"], "histogram");
    let bucket = |le| {
        value(
            &lines,
            "http_request_duration_seconds_bucket",
            &[wallets[0], wallets[1], ("le", le), wallets[2]],
        )
    };
    assert_eq!((bucket("0.01"), bucket("0.05"), bucket("1"), bucket("+Inf")), (0.0, 3.0, 3.0, 3.0));
    assert_eq!(value(&lines, "http_response_size_bytes_sum", &wallets[..2]), 21.0);
}

#[tokio::test]
async fn paths_that_nobody_serves_share_one_series() {
    let registry = registry();
    let app = service(&registry);
    for path in ["/nowhere", "/wp-admin", "/%ff"] {
        assert_eq!(ask(&app, request("GET", path)).await.0, StatusCode::NOT_FOUND);
    }
    let (_, lines) = parse(&registry.expose(Format::Text));
    let labels = [("route", "unmatched"), ("status_code", "404")];
    assert_eq!(value(&lines, "http_requests_total", &labels), 3.0);
}

#[test]
fn label_values_are_escaped_in_both_formats() {
    let registry = registry();
    let odd = "a \"quoted\" \\ and\na new line # {x=\"y\"} 1";
    registry.business().track_signup(odd);
    let escaped = r#"user_type="a \"quoted\" \\ and\na new line # {x=\"y\"} 1"} 1"#;
    for format in [Format::Text, Format::OpenMetrics] {
        let page = registry.expose(format);
        assert!(page.lines().any(|line| line.ends_with(escaped)), "{format:?}: {page}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted_as_it_passes() {
    let registry = registry();
    let (_, _, body) = ask(&service(&registry), request("GET", "/stream")).await;
    assert_eq!(body.len(), 2_000);
    let (_, lines) = parse(&registry.expose(Format::Text));
    assert_eq!(value(&lines, "http_response_size_bytes_sum", &[("route", "/stream")]), 2_000.0);
}

#[tokio::test]
async fn every_series_carries_service_and_environment() {
    let registry = registry();
    ask(&service(&registry), request("GET", "/wallets/1")).await;
    registry.business().track_signup("driver");
    let (_, lines) = parse(&registry.expose(Format::Text));
    assert!(lines.len() > 20);
    for line in &lines {
        assert_eq!(line.labels["service"], "wallet-service", "{line:?}");
        assert_eq!(line.labels["environment"], "test", "{line:?}");
    }
    assert_eq!(value(&lines, "process_cpu_seconds_total", &[]), 1.5);
    assert_eq!(value(&lines, "process_resident_memory_bytes", &[]), 4096.0);
}

#[tokio::test]
async fn a_scraper_gets_the_format_and_content_type_it_asked_for() {
    let app = service(&registry());
    ask(&app, request("GET", "/wallets/1")).await;
    let (_, kind, page) = ask(&app, request("GET", "/metrics")).await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!page.contains("# EOF") && !page.contains(" # {"));
    assert!(!page.contains("route=\"/metrics\""), "the scrape itself is not measured");

    let mut asks = request("GET", "/metrics");
    asks.headers_mut().insert("accept", "application/openmetrics-text;version=1.0.0".parse().unwrap());
    let (_, kind, page) = ask(&app, asks).await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("# EOF\n") && page.contains("# TYPE http_requests counter"));
}

#[tokio::test]
async fn a_request_joins_the_senders_trace_and_leaves_it_as_exemplar() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let registry = registry();
    let app = service(&registry);
    let mut asks = request("GET", "/trace");
    asks.headers_mut().insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
    let (_, _, seen) = ask(&app, asks).await;
    assert!(seen.starts_with(&format!("00-{TRACE}-")) && !seen.contains("00f067aa0ba902b7"), "{seen}");
    let (_, lines) = parse(&registry.expose(Format::OpenMetrics));
    let exemplars: Vec<&Line> = lines.iter().filter(|l| l.exemplar.is_some()).collect();
    assert!(exemplars.iter().all(|l| l.exemplar.as_ref().unwrap().contains(TRACE)));
    let names: Vec<&str> = exemplars.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["http_requests_total", "http_request_duration_seconds_bucket"]);
    assert!(exemplars[0].exemplar.as_ref().unwrap().ends_with(" 1.0 1700000000.0"), "{exemplars:?}");
}

#[tokio::test]
async fn a_request_that_is_not_sampled_leaves_no_exemplar() {
    let registry = registry();
    let mut asks = request("GET", "/trace");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    asks.headers_mut().insert("traceparent", parent.parse().unwrap());
    let (_, _, seen) = ask(&service(&registry), asks).await;
    assert!(seen.ends_with("-00"), "{seen}");
    assert!(!registry.expose(Format::OpenMetrics).contains(" # {"));
}

#[tokio::test]
async fn a_sender_that_leaves_early_is_counted() {
    let registry = registry();
    let waiting = service(&registry).oneshot(request("GET", "/slow"));
    assert!(tokio::time::timeout(Duration::from_millis(5), waiting).await.is_err());
    let (_, lines) = parse(&registry.expose(Format::Text));
    assert_eq!(value(&lines, "http_requests_total", &[("route", "/slow"), ("status_code", "499")]), 1.0);
}

#[test]
fn a_failed_payment_raises_both_counters_and_moves_no_money() {
    let registry = registry();
    let business = registry.business();
    business.track_payment(PaymentMethod::Momo, 12.5, PaymentOutcome::Success);
    business.track_payment(PaymentMethod::Momo, 80.0, PaymentOutcome::Failed { error_code: "timeout" });
    let (_, lines) = parse(&registry.expose(Format::Text));
    assert_eq!(value(&lines, "payment_transactions_total", &[("status", "success")]), 1.0);
    assert_eq!(value(&lines, "payment_transactions_total", &[("status", "failed")]), 1.0);
    assert_eq!(
        value(&lines, "payment_failures_total", &[("payment_method", "momo"), ("error_code", "timeout")]),
        1.0
    );
    assert_eq!(value(&lines, "payment_amount_usd_sum", &[("payment_method", "momo")]), 12.5);
}

/// The names, types and labels of the metrics contract.
const CONTRACT: &[(&str, &str, &[&str])] = &[
    ("ride_requests_total", "counter", &["status", "service_type"]),
    ("ride_requests_accepted_total", "counter", &["service_type"]),
    ("ride_requests_rejected_total", "counter", &["service_type", "reason"]),
    ("ride_duration_seconds", "histogram", &["service_type"]),
    ("active_rides", "gauge", &["service_type"]),
    ("payment_transactions_total", "counter", &["status", "payment_method"]),
    ("payment_amount_usd", "histogram", &["payment_method"]),
    ("payment_failures_total", "counter", &["payment_method", "error_code"]),
    ("whatsapp_messages_total", "counter", &["status", "message_type"]),
    ("whatsapp_delivery_failures_total", "counter", &["error_code"]),
    ("db_connections_active", "gauge", &["database"]),
    ("db_query_duration_seconds", "histogram", &["query_type", "table"]),
    ("db_errors_total", "counter", &["error_type"]),
    ("user_signups_total", "counter", &["user_type"]),
    ("active_users", "gauge", &["user_type"]),
    ("user_sessions", "gauge", &["user_type"]),
    ("agents_online", "gauge", &["agent_type"]),
    ("agent_response_time_seconds", "histogram", &["agent_type"]),
];

#[test]
fn the_business_metrics_are_those_of_the_contract() {
    let registry = registry();
    let business = registry.business();
    business.track_ride_request("moto", RideStatus::Pending);
    business.track_ride_accepted("moto");
    business.track_ride_rejected("moto", RejectReason::NoDriver);
    business.ride_started("moto");
    business.ride_completed("moto", Duration::from_secs(700));
    business.track_payment(PaymentMethod::Card, 1.0, PaymentOutcome::Success);
    business.track_payment(PaymentMethod::Card, 1.0, PaymentOutcome::Failed { error_code: "x" });
    business.track_whatsapp_message("text", MessageStatus::Failed { error_code: "131026" });
    business.set_db_connections("easymo", 3);
    business
        .track_db_query(DbQuery { query_type: QueryType::Select, table: "rides" }, Duration::from_millis(3));
    business.track_db_error("timeout");
    business.track_signup("driver");
    business.set_active_users("driver", 4);
    business.set_user_sessions("driver", 5);
    business.set_agents_online("booking", 6);
    business.track_agent_response("booking", Duration::from_secs(2));
    let (types, lines) = parse(&registry.expose(Format::Text));
    for (name, kind, labels) in CONTRACT {
        assert_eq!(types.get(*name).map(String::as_str), Some(*kind), "{name}");
        let sample = if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() };
        let line = lines.iter().find(|l| l.name == sample).unwrap();
        let mut expected: Vec<&str> = [*labels, &["service", "environment"]].concat();
        expected.sort_unstable();
        assert_eq!(line.labels.keys().collect::<Vec<_>>(), expected, "{name}");
    }
    let rides: Vec<String> = lines
        .iter()
        .filter(|l| l.name == "ride_duration_seconds_bucket")
        .map(|l| l.labels["le"].clone())
        .collect();
    assert_eq!(rides, ["60", "300", "600", "1200", "1800", "3600", "7200", "+Inf"]);
}

#[test]
fn two_pages_of_a_service_that_did_not_change_are_equal() {
    let registry = registry();
    for route in ["c", "a", "b", "e", "d"] {
        registry.business().track_signup(route);
    }
    assert_eq!(registry.expose(Format::Text), registry.expose(Format::Text));
    let page = registry.expose(Format::Text);
    let users: Vec<&str> = page.lines().filter(|l| l.starts_with("user_signups_total")).collect();
    assert!(users.is_sorted(), "{users:?}");
}

#[test]
fn metrics_of_ones_own_are_checked_when_registered() {
    let registry = registry();
    let counter = registry.counter("tips_total", "Tips given", ["currency"]).unwrap();
    counter.inc(["rwf"]);
    let (_, lines) = parse(&registry.expose(Format::Text));
    assert_eq!(value(&lines, "tips_total", &[("currency", "rwf")]), 1.0);
    let again = registry.counter("tips_total", "Tips given", ["currency"]);
    assert_eq!(again.unwrap_err(), RegisterError::Duplicate("tips".into()));
    assert_eq!(registry.counter("tips", "", ["x"]).unwrap_err(), RegisterError::NoTotal("tips".into()));
    assert_eq!(registry.gauge("1st", "", ["x"]).unwrap_err(), RegisterError::InvalidName("1st".into()));
    assert_eq!(registry.gauge("ok", "", ["a:b"]).unwrap_err(), RegisterError::InvalidName("a:b".into()));
    assert!(registry.gauge("active_rides", "", ["x"]).is_err(), "the contract's names are taken");
}

#[tokio::test]
async fn requests_in_flight_requests_sent_and_health_are_told() {
    let metrics = MetricsRegistry::new("wallet-service", "test");
    let inside = metrics.clone();
    let page = get(move || async move { inside.expose(Format::Text) });
    let app = metrics.instrument(Router::new().route("/page", page)).route("/health", metrics.health_route());
    let ask = |path: &'static str| {
        let app = app.clone();
        async move {
            let answer = app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        }
    };
    let in_flight = |page: &str| {
        parse(page).1.into_iter().find(|line| line.name == "http_requests_in_flight").unwrap().value
    };
    // The request that asks is under way while it is answered.
    assert_eq!(in_flight(&ask("/page").await), 1.0);
    assert_eq!(in_flight(&metrics.expose(Format::Text)), 0.0);
    assert_eq!(ask("/health").await, r#"{"checks":{},"service":"wallet-service","status":"ok"}"#);
    metrics.client().track(&http::Method::POST, "momo.example", Some(201), Duration::from_millis(20));
    metrics.client().track(&http::Method::POST, "momo.example", None, Duration::from_millis(20));
    let (_, lines) = parse(&metrics.expose(Format::Text));
    let sent: Vec<_> = lines.iter().filter(|line| line.name == "http_client_requests_total").collect();
    let statuses: Vec<&str> = sent.iter().map(|line| line.labels["status_code"].as_str()).collect();
    assert_eq!(sent.len(), 2);
    assert!(statuses.contains(&"201") && statuses.contains(&"error"), "{statuses:?}");
}

#[tokio::test]
async fn a_failed_or_late_check_makes_the_service_unhealthy_without_telling_strangers_why() {
    let checks = HealthChecks::new()
        .check("redis", || async { Ok::<_, Infallible>(()) })
        .check("postgres", || async { Err("password of easymo at 10.0.0.7 refused") })
        .check("whatsapp", std::future::pending::<Result<(), Infallible>>)
        .patience(Duration::from_millis(20));
    let app = Router::new().route("/health", registry().health_route_with(checks));
    let (status, kind, body) = ask(&app, request("GET", "/health")).await;
    assert_eq!((status, kind.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "application/json"));
    assert_eq!(
        body,
        r#"{"checks":{"postgres":"failed","redis":"ok","whatsapp":"no answer within 20 ms"},"service":"wallet-service","status":"failing"}"#
    );
}
