//! The logs of the fleet, as somebody who follows the files sees them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant, UNIX_EPOCH},
};

use easymo_fleet::{Addressing, Fleet, FleetConfig, FleetHandle, LogFiles, Service};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Noon in Kigali, so that how much goes on does not depend on when the tests run.
const NOON: Duration = Duration::from_secs(1_700_042_400);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn fleet(dir: &Path) -> FleetHandle {
    let config = FleetConfig {
        speed: 20.0,
        addressing: Addressing::FreePorts,
        logs: Some(LogFiles::below(dir)),
        ..FleetConfig::new(1, UNIX_EPOCH + NOON)
    };
    Fleet::start(config).await.unwrap()
}

fn text(dir: &Path, service: Service) -> String {
    fs::read_to_string(dir.join(format!("{}.log", service.name()))).unwrap_or_default()
}

fn lines(dir: &Path, service: Service) -> Vec<Value> {
    text(dir, service)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")))
        .collect()
}

fn of_event(dir: &Path, service: Service, event: &str) -> Vec<Value> {
    lines(dir, service).into_iter().filter(|line| line["event"] == event).collect()
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The sum of a metric on a service's page.
async fn sum(addr: SocketAddr, metric: &str) -> usize {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    let series = page.lines().filter(|line| line.split('{').next() == Some(metric));
    series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as usize).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_fails_is_counted_and_written_down_with_its_trace_and_stack() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path()).await;
    fleet.incidents().start("payments-down", None).await.unwrap();
    let failed = || of_event(dir.path(), Service::Wallet, "payment_failed");
    until("ten payments failed", || failed().len() >= 10).await;
    let wallet = fleet.endpoints().iter().find(|e| e.service == "wallet-service").unwrap().addr;
    let (before, counted) = (failed().len(), sum(wallet, "payment_failures_total").await);
    // A payment is counted a moment before it is written down.
    until("as many lines as failures", || failed().len() >= counted).await;
    assert!(counted >= before, "{counted} {before}");

    let line = failed().into_iter().find(|line| line["error_code"] == "provider_unavailable").unwrap();
    assert_eq!(line["level"], 50);
    assert!(line["err"]["stack"].as_str().unwrap().contains("\n    at "), "{line}");
    assert!(line["phone"].as_str().unwrap().contains("******"), "{line}");
    let ids = ["trace_id", "span_id"].map(|id| line[id].as_str().unwrap().len());
    assert_eq!(ids, [32, 16]);
    // The request that failed is of the same trace and the same user.
    let same = |other: &Value| other["trace_id"] == line["trace_id"] && other["user_id"] == line["user_id"];
    until("the request is written down", || {
        of_event(dir.path(), Service::Wallet, "request_refused")
            .iter()
            .any(|refused| same(refused) && refused["status"] == 402)
    })
    .await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_writes_a_file_and_two_of_them_write_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet(dir.path()).await;
    until("files of all services", || Service::ALL.iter().all(|s| text(dir.path(), *s).lines().count() > 1))
        .await;
    fleet.incidents().start("service-down", Some("agent-core")).await.unwrap();
    let unreachable = || of_event(dir.path(), Service::Message, "upstream_unreachable");
    until("others miss agent-core", || !unreachable().is_empty()).await;
    fleet.shutdown().await;

    let exit = of_event(dir.path(), Service::AgentCore, "process_exit");
    assert_eq!(exit.len(), 1);
    assert_eq!(unreachable()[0]["upstream"], "agent-core");
    let voice = text(dir.path(), Service::VoiceBridge);
    assert!(voice.lines().next().unwrap().contains("Z INFO [server] listening on 127.0.0.1:"), "{voice}");
    assert!(text(dir.path(), Service::Support).starts_with("listening on 127.0.0.1:"));
    for service in Service::ALL {
        if !matches!(service, Service::VoiceBridge | Service::Support) {
            let services: BTreeSet<String> = lines(dir.path(), service)
                .iter()
                .map(|l| l["service"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(services, BTreeSet::from([service.name().to_owned()]));
        }
    }
}
