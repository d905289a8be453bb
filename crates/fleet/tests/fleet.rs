//! The fleet as somebody who watches it sees it: over HTTP only.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant, UNIX_EPOCH},
};

use easymo_fleet::{
    Addressing, Fleet, FleetConfig, FleetError, FleetHandle, Incident, IncidentStatus, Service,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Noon in Kigali, so that how much goes on does not depend on when the tests run.
const NOON: Duration = Duration::from_secs(1_700_042_400);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

fn config(speed: f64) -> FleetConfig {
    let usual = FleetConfig::new(1, UNIX_EPOCH + NOON);
    FleetConfig { speed, addressing: Addressing::FreePorts, environment: "test".to_owned(), ..usual }
}

async fn fleet(speed: f64) -> FleetHandle {
    Fleet::start(config(speed)).await.unwrap()
}

fn addr(fleet: &FleetHandle, service: &str) -> SocketAddr {
    fleet.endpoints().iter().find(|e| e.service == service).unwrap().addr
}

/// Sends a request on a connection of its own; returns status and body.
async fn ask(addr: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.contains("chunked") {
        body.split("\r\n").skip(1).step_by(2).collect()
    } else {
        body.to_owned()
    };
    (status, body)
}

/// All samples of a fleet by their series; names begin the series.
#[derive(Default)]
struct Samples(BTreeMap<String, f64>);

impl Samples {
    async fn of(fleet: &FleetHandle) -> Self {
        let mut all = BTreeMap::new();
        for endpoint in fleet.endpoints() {
            let (status, page) = ask(endpoint.addr, "GET", endpoint.metrics_path, "").await;
            assert_eq!(status, 200, "{endpoint:?}");
            for line in page.lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let before = all.insert(series.to_owned(), value.parse().unwrap());
                assert!(before.is_none(), "{series} twice");
            }
        }
        Self(all)
    }

    /// The sum of all series of a metric whose labels contain all of `labels`, written `name="value"`.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let of_metric = |series: &str| series.split('{').next() == Some(metric);
        let matches = |series: &str| of_metric(series) && labels.iter().all(|label| series.contains(label));
        self.0.iter().filter(|(series, _)| matches(series)).map(|(_, value)| value).sum()
    }

    fn label_names(&self, metric: &str) -> BTreeSet<String> {
        let series = self.0.keys().find(|series| series.split('{').next() == Some(metric));
        let series = series.unwrap_or_else(|| panic!("no {metric}"));
        let labels = series.split_once('{').unwrap().1.split("\",");
        labels.map(|label| label.split('=').next().unwrap().to_owned()).collect()
    }
}

/// Reads all samples again and again until `check` is content; panics when it never is.
async fn until(fleet: &FleetHandle, what: &str, mut check: impl FnMut(&Samples) -> bool) -> Samples {
    let end = Instant::now() + PATIENCE;
    loop {
        let samples = Samples::of(fleet).await;
        if check(&samples) {
            return samples;
        }
        assert!(Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every metric of the contract by a series that it must have, and its labels.
const CONTRACT: &[(&str, &[&str])] = &[
    ("http_request_duration_seconds_count", &["method", "route", "status_code"]),
    ("http_requests_total", &["method", "route", "status_code"]),
    ("http_request_size_bytes_count", &["method", "route"]),
    ("http_response_size_bytes_count", &["method", "route"]),
    ("ride_requests_total", &["status", "service_type"]),
    ("ride_requests_accepted_total", &["service_type"]),
    ("ride_requests_rejected_total", &["service_type", "reason"]),
    ("ride_duration_seconds_count", &["service_type"]),
    ("active_rides", &["service_type"]),
    ("payment_transactions_total", &["status", "payment_method"]),
    ("payment_amount_usd_count", &["payment_method"]),
    ("payment_failures_total", &["payment_method", "error_code"]),
    ("whatsapp_messages_total", &["status", "message_type"]),
    ("whatsapp_delivery_failures_total", &["error_code"]),
    ("db_connections_active", &["database"]),
    ("db_query_duration_seconds_count", &["query_type", "table"]),
    ("db_errors_total", &["error_type"]),
    ("user_signups_total", &["user_type"]),
    ("active_users", &["user_type"]),
    ("user_sessions", &["user_type"]),
    ("agents_online", &["agent_type"]),
    ("agent_response_time_seconds_count", &["agent_type"]),
];

#[tokio::test]
async fn every_metric_of_the_contract_appears_moves_and_agrees_with_the_others() {
    let fleet = fleet(20.0).await;
    let all_there = |s: &Samples| CONTRACT.iter().all(|(metric, _)| s.sum(metric, &[]) > 0.0);
    let first = until(&fleet, "all metrics have values", all_there).await;
    for (metric, labels) in CONTRACT {
        let expected = labels.iter().chain(&["service", "environment"]).map(|l| (*l).to_owned()).collect();
        assert_eq!(first.label_names(metric), expected, "{metric}");
    }
    let services: BTreeSet<&str> =
        first.0.keys().filter_map(|s| s.split("service=\"").nth(1)?.split('"').next()).collect();
    assert_eq!(services, Service::ALL.map(Service::name).into());
    let moved = |s: &Samples| {
        CONTRACT
            .iter()
            .all(|(metric, _)| s.sum(metric, &[]) != first.sum(metric, &[]) || *metric == "agents_online")
    };
    let last = until(&fleet, "all metrics move", moved).await;
    check_consistency(&last);
    fleet.shutdown().await;
}

fn check_consistency(s: &Samples) {
    let failed = s.sum("payment_transactions_total", &["status=\"failed\""]);
    let succeeded = s.sum("payment_transactions_total", &["status=\"success\""]);
    assert_eq!(s.sum("payment_failures_total", &[]), failed);
    assert_eq!(s.sum("payment_amount_usd_count", &[]), succeeded);
    assert!(failed < 0.1 * succeeded, "{failed} of {succeeded}");
    let sent = |status: &str| s.sum("whatsapp_messages_total", &[status]);
    assert_eq!(s.sum("whatsapp_delivery_failures_total", &[]), sent("status=\"failed\""));
    assert_eq!(sent("status=\"sent\""), sent("status=\"failed\"") + sent("status=\"delivered\""));
    assert!(sent("status=\"read\"") <= sent("status=\"delivered\""));
    let decided = s.sum("ride_requests_accepted_total", &[]) + s.sum("ride_requests_rejected_total", &[]);
    // ranking-service is scraped after agent-core: a few requests came in between.
    assert!(decided <= s.sum("ride_requests_total", &["status=\"pending\""]) + 20.0);
    assert!(s.sum("ride_requests_accepted_total", &[]) > 0.75 * decided);
    assert!(s.sum("user_sessions", &[]) >= s.sum("active_users", &[]));
    assert_eq!(s.sum("http_requests_total", &[]), s.sum("http_request_duration_seconds_count", &[]));
    let errors = s.sum("http_requests_total", &["status_code=\"5"]);
    assert!(errors < 0.02 * s.sum("http_requests_total", &[]), "{errors}");
    assert!(s.sum("process_resident_memory_bytes", &["service=\"agent-core\""]) < 5e8);
    assert!(s.sum("process_cpu_seconds_total", &["service=\"agent-core\""]) > 0.0);
}

/// What changed of a ratio of two sums between two readings.
fn ratio(before: &Samples, now: &Samples, part: (&str, &[&str]), whole: (&str, &[&str])) -> f64 {
    let change = |(metric, labels): (&str, &[&str])| now.sum(metric, labels) - before.sum(metric, labels);
    if change(whole) < 60.0 { f64::NAN } else { change(part) / change(whole) }
}

#[tokio::test]
async fn each_incident_drives_its_ratio_over_the_alerts_limit_and_stopping_it_heals() {
    const DECIDED: (&str, &[&str]) = ("ride_requests_total", &["status=\"pending\""]);
    const SENT: (&str, &[&str]) = ("whatsapp_messages_total", &["status=\"sent\""]);
    const BUYER: (&str, &[&str]) = ("http_requests_total", &["service=\"buyer-service\""]);
    const ERRORS: (&str, &[&str]) =
        ("http_requests_total", &["service=\"buyer-service\"", "status_code=\"5"]);
    let fleet = fleet(20.0).await;
    let names = ["payments-down", "whatsapp-delivery-failures", "low-ride-acceptance", "error-burst"];
    let ratios = |before: &Samples, now: &Samples| {
        [
            ratio(before, now, ("payment_failures_total", &[]), ("payment_transactions_total", &[])),
            ratio(before, now, ("whatsapp_delivery_failures_total", &[]), SENT),
            ratio(before, now, ("ride_requests_rejected_total", &[]), DECIDED),
            ratio(before, now, ERRORS, BUYER),
        ]
    };
    for name in names {
        assert!(fleet.incidents().start(name, None).await.unwrap().active);
    }
    let before = Samples::of(&fleet).await;
    let ill = [0.4, 0.3, 0.45, 0.2];
    until(&fleet, "ill", |now| ratios(&before, now).iter().zip(ill).all(|(ratio, limit)| *ratio > limit))
        .await;
    for name in names {
        assert!(!fleet.incidents().stop(name).await.unwrap().active);
    }
    // What was under way when the incidents ended may still fail.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = Samples::of(&fleet).await;
    let well = [0.10, 0.10, 0.30, 0.05];
    until(&fleet, "well", |now| ratios(&before, now).iter().zip(well).all(|(ratio, limit)| *ratio < limit))
        .await;
    fleet.shutdown().await;
}

#[tokio::test]
async fn incidents_of_resources_pass_their_alerts_limits_for_the_service_they_strike_only() {
    let fleet = fleet(20.0).await;
    let control = fleet.incidents();
    for name in ["pool-exhaustion", "memory-leak", "cpu-burn", "slow-database"] {
        control.start(name, None).await.unwrap();
    }
    let before = Samples::of(&fleet).await;
    let started = Instant::now();
    let slow = |s: &Samples, le| s.sum("http_request_duration_seconds_bucket", &["insurance-service", le]);
    let ill = until(&fleet, "resources run out", |s| {
        let burned = s.sum("process_cpu_seconds_total", &["ranking-service"])
            - before.sum("process_cpu_seconds_total", &["ranking-service"]);
        s.sum("db_connections_active", &["easymo_wallet"]) > 80.0
            && s.sum("process_resident_memory_bytes", &["service=\"agent-core\""]) > 2e9
            && burned > 0.8
            && slow(s, "+Inf") - before_slow(&before, "+Inf") > 5.0
            && (slow(s, "le=\"1\"") - before_slow(&before, "le=\"1\""))
                < 0.5 * (slow(s, "+Inf") - before_slow(&before, "+Inf"))
    })
    .await;
    let burned = ill.sum("process_cpu_seconds_total", &["vendor-service"])
        - before.sum("process_cpu_seconds_total", &["vendor-service"]);
    assert!(burned < 0.4 * started.elapsed().as_secs_f64(), "{burned}");
    for service in Service::ALL {
        let label = format!("service=\"{}\"", service.name());
        if service != Service::Wallet {
            assert!(ill.sum("db_connections_active", &[&label]) < 80.0, "{label}");
        }
        if service != Service::AgentCore {
            assert!(ill.sum("process_resident_memory_bytes", &[&label]) < 1e9, "{label}");
        }
    }
    for name in ["pool-exhaustion", "memory-leak", "cpu-burn", "slow-database"] {
        control.stop(name).await.unwrap();
    }
    until(&fleet, "resources are back", |s| {
        s.sum("db_connections_active", &["easymo_wallet"]) < 40.0
            && s.sum("process_resident_memory_bytes", &["service=\"agent-core\""]) < 1e9
    })
    .await;
    fleet.shutdown().await;
}

fn before_slow(before: &Samples, le: &str) -> f64 {
    before.sum("http_request_duration_seconds_bucket", &["insurance-service", le])
}

#[tokio::test]
async fn a_service_that_is_down_refuses_connections_while_the_others_go_on_and_comes_back() {
    let fleet = fleet(10.0).await;
    let (wallet, control) = (addr(&fleet, "wallet-service"), fleet.control_addr());
    assert_eq!(ask(wallet, "GET", "/health", "").await.0, 200);

    let (status, body) = ask(control, "POST", "/incidents/service-down/start", "").await;
    assert_eq!(status, 200, "{body}");
    let status: IncidentStatus = serde_json::from_str(&body).unwrap();
    assert!(status.active && status.service.as_deref() == Some("wallet-service"));
    let refused = TcpStream::connect(wallet).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for endpoint in fleet.endpoints().iter().filter(|e| e.addr != wallet) {
        let (status, page) = ask(endpoint.addr, "GET", endpoint.metrics_path, "").await;
        let errors: f64 = page
            .lines()
            .filter(|l| l.starts_with("http_requests_total") && l.contains("status_code=\"5"))
            .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum();
        assert!(status == 200 && errors < 5.0, "{} passes the failure on: {errors}", endpoint.service);
    }

    let (moved, _) = ask(control, "POST", "/incidents/service-down/start?service=buyer-service", "").await;
    assert_eq!(moved, 200);
    assert!(TcpStream::connect(addr(&fleet, "buyer-service")).await.is_err());
    assert_eq!(ask(wallet, "GET", "/health", "").await.0, 200, "back, since the incident moved");

    assert_eq!(ask(control, "POST", "/incidents/service-down/stop", "").await.0, 200);
    assert_eq!(ask(addr(&fleet, "buyer-service"), "GET", "/health", "").await.0, 200);
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_control_server_names_what_it_does_not_know() {
    let fleet = fleet(1.0).await;
    let control = fleet.control_addr();
    let (status, body) = ask(control, "GET", "/incidents", "").await;
    let all: Vec<IncidentStatus> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, all.len()), (200, Incident::ALL.len()));
    assert!(all.iter().all(|incident| !incident.active));
    for (path, expected, says) in [
        ("/incidents/rain/start", 404, "payments-down"),
        ("/incidents/rain/stop", 404, "unknown incident"),
        ("/incidents/service-down/start?service=nobody", 400, "wallet-service"),
        ("/incidents/slow-database/start?service=buyer-service", 400, "takes none"),
    ] {
        let (status, body) = ask(control, "POST", path, "").await;
        assert!(status == expected && body.contains(says), "{path}: {status} {body}");
    }
    for name in ["error-burst", "error-burst"] {
        assert_eq!(
            ask(control, "POST", &format!("/incidents/{name}/start"), "").await.0,
            200,
            "twice is once"
        );
    }
    assert_eq!(ask(control, "POST", "/incidents/memory-leak/stop", "").await.0, 200, "off stays off");
    let (_, services) = ask(control, "GET", "/services", "").await;
    assert!(services.contains("admin-app") && services.contains("/api/metrics"));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_trace_travels_from_service_to_service() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fleet = fleet(1.0).await;
    let headers = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    let accept = "accept: application/openmetrics-text\r\n";
    let (vendor, buyer) = (addr(&fleet, "vendor-service"), addr(&fleet, "buyer-service"));
    let end = Instant::now() + PATIENCE;
    loop {
        // A catalog is the buyer's question to the vendor; others' requests may take the exemplar's place.
        let (status, _) = ask(buyer, "GET", "/catalog", &headers).await;
        assert!(status == 200 || status == 500, "{status}");
        let spans: Vec<Option<String>> = [
            (ask(buyer, "GET", "/metrics", accept).await.1, "route=\"/catalog\""),
            (ask(vendor, "GET", "/metrics", accept).await.1, "route=\"/products\""),
        ]
        .map(|(page, route)| {
            let mut lines = page.lines().filter(|l| l.contains(route) && l.contains(TRACE));
            Some(lines.next()?.split("span_id=\"").nth(1)?.split('"').next()?.to_owned())
        })
        .into();
        if let [Some(buyer), Some(vendor)] = &spans[..] {
            assert_ne!(buyer, vendor, "each service has a span of its own");
            break;
        }
        assert!(Instant::now() < end, "the trace was lost: {spans:?}");
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn two_fleets_of_one_seed_decide_alike() {
    let pay = async |fleet: &FleetHandle| {
        let mut outcomes = Vec::new();
        for n in 0..40 {
            let headers = format!(
                "traceparent: 00-{:032x}-00f067aa0ba902b7-01\r\ntracestate: easymo={:x}\r\n",
                n + 1,
                n * n
            );
            outcomes.push(ask(addr(fleet, "wallet-service"), "POST", "/topups", &headers).await.0);
        }
        outcomes
    };
    let (first, second) = (fleet(4.0).await, fleet(4.0).await);
    first.incidents().start("payments-down", None).await.unwrap();
    second.incidents().start("payments-down", None).await.unwrap();
    let (a, b) = tokio::join!(pay(&first), pay(&second));
    assert_eq!(a, b);
    assert!(a.contains(&201) && a.contains(&402), "{a:?}");
    tokio::join!(first.shutdown(), second.shutdown());
}

#[tokio::test]
async fn shutting_down_frees_every_address_and_ends_every_task() {
    let fleet = fleet(20.0).await;
    let addrs: Vec<SocketAddr> =
        fleet.endpoints().iter().map(|e| e.addr).chain([fleet.control_addr()]).collect();
    let control = fleet.incidents().clone();
    tokio::time::sleep(Duration::from_millis(200)).await;
    fleet.shutdown().await;
    for addr in addrs {
        assert!(TcpStream::connect(addr).await.is_err(), "{addr}");
    }
    assert!(control.stop("payments-down").await.is_err(), "the supervisor has ended");
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(alive <= 2, "{alive} tasks are left");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let start = |config| async { Fleet::start(config).await.unwrap_err() };
    for speed in [0.0, -1.0, f64::NAN, 1e9] {
        assert!(matches!(start(config(speed)).await, FleetError::OutOfRange { name: "speed", .. }));
    }
    let beyond = FleetConfig { addressing: Addressing::Documented { port_offset: 65_000 }, ..config(1.0) };
    assert!(matches!(start(beyond).await, FleetError::PortOffset { .. }));
    let taken = tokio::net::TcpListener::bind("127.0.1.1:0").await.unwrap();
    let port_offset = taken.local_addr().unwrap().port() - 3000;
    let colliding = FleetConfig { addressing: Addressing::Documented { port_offset }, ..config(1.0) };
    assert!(matches!(start(colliding).await, FleetError::Bind { name: "agent-core", .. }));
}
