//! A day of samples, its size on disk, and the queries of a dashboard, with a check that the servers say the same.

use std::time::Duration;

use anyhow::Result;

use crate::{
    client::Client,
    data::SERIES_PER_TARGET,
    measure::{Effort, measure, wait_visible},
    paths,
    report::{Figure, Outcome},
    scenarios::{Fleet, Setup, send_all, settle},
    server::{Kind, Server},
};

/// How long after the day its size is looked at, in time of the data: heads are blocks then, and blocks are merged. Few series go on.
const LATER_MS: i64 = 10 * 3_600_000;

const INTERVAL: i64 = 30_000;

/// A day of samples, the dashboard's queries, and the day's size when it has settled.
pub async fn queries(setup: &Setup<'_>) -> Result<Outcome> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let targets = (40 / setup.shrink).max(1);
    let mut fleet = Fleet::new(targets, setup.seed);
    let (steps, per_series) = (2880, 10);
    let end = setup.end - LATER_MS;
    let start = end - steps * INTERVAL;
    for i in (0..steps).step_by(per_series) {
        send_all(server.port, fleet.requests(start + i * INTERVAL, INTERVAL, per_series)?).await?;
    }
    settle(&server, Duration::from_secs(if setup.quick { 5 } else { 30 })).await?;
    let mut out = Outcome::default();
    let last = end - 60_000;
    // Ten samples in five minutes, of every series.
    let expected = targets * SERIES_PER_TARGET * 10;
    if let Err(e) =
        wait_visible(&server, "sum(count_over_time({__name__=~\".+\"}[5m]))", last, expected).await
    {
        out.note(format!("{}: {e:#}", setup.kind.name()));
    }
    let effort = Effort {
        times: 7,
        least: Duration::from_millis(if setup.quick { 400 } else { 1500 }),
        most: Duration::from_secs(60),
    };
    for (name, path) in dashboard(start, last) {
        match measure(&server, &path, effort).await {
            Ok(run) => {
                out.add(Figure::less(format!("{name}: CPU ms"), run.cpu));
                out.add(Figure::less(format!("{name}: wall ms"), run.wall));
                out.answers.push((name, run.total));
            }
            Err(e) => out.note(format!("{name} on {}: {e:#}", setup.kind.name())),
        }
    }
    let later = go_on(&server, setup.seed, end).await?;
    let samples = targets as f64 * SERIES_PER_TARGET as f64 * steps as f64 + later as f64;
    let disk = settled_disk(&server, setup.quick).await?;
    out.add(Figure::less("24 h at 30 s, ten hours later: bytes per sample, all files", disk / samples));
    Ok(out)
}

/// One target goes on for [`LATER_MS`]; the number of its samples.
async fn go_on(server: &Server, seed: u64, end: i64) -> Result<usize> {
    let mut fleet = Fleet::new(1, seed + 1);
    let (steps, per_series) = (LATER_MS / INTERVAL, 40);
    for i in (0..steps).step_by(per_series) {
        send_all(server.port, fleet.requests(end + i * INTERVAL, INTERVAL, per_series)?).await?;
    }
    Ok(steps as usize * SERIES_PER_TARGET)
}

/// Bytes of all files, once they have stopped to change.
async fn settled_disk(server: &Server, quick: bool) -> Result<f64> {
    if server.kind == Kind::VictoriaMetrics {
        Client::new(server.port).get("/internal/force_flush").await?;
    }
    let mut same = 0;
    let mut last = 0;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = server.disk_bytes();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same == if quick { 2 } else { 8 } {
            break;
        }
    }
    Ok(last as f64)
}

/// The nine queries of the dashboard, as paths.
fn dashboard(start: i64, end: i64) -> Vec<(&'static str, String)> {
    let hour = end - 3_600_000;
    let range = |expr: &str, from: i64, step: u32| paths::range(expr, from, end, step);
    let instant = |expr: &str| paths::instant(expr, end);
    vec![
        (
            "q1 sum by(status) rate, 1 k series, 1 h",
            range("sum by(status)(rate(http_requests_total[5m]))", hour, 15),
        ),
        (
            "q2 sum by(namespace) rate, 20 k series, 1 h",
            range("sum by(namespace)(rate(container_cpu_usage_seconds_total[5m]))", hour, 15),
        ),
        (
            "q3 histogram_quantile by le,route, 2 k series, 1 h",
            range(
                "histogram_quantile(0.99, sum by(le,route)(rate(http_request_duration_seconds_bucket[5m])))",
                hour,
                15,
            ),
        ),
        (
            "q4 topk of sum by(pod) rate, 20 k series, instant",
            instant("topk(10, sum by(pod)(rate(container_cpu_usage_seconds_total[5m])))"),
        ),
        ("q5 instant selector, 20 k series", instant("container_cpu_usage_seconds_total")),
        (
            "q6 label values of pod",
            format!("/api/v1/label/pod/values?start={}&end={}", hour / 1000, end / 1000),
        ),
        (
            "q7 sum rate with a regex, 1 h",
            range("sum(rate(container_cpu_usage_seconds_total{pod=~\"svc-1[0-9]-.*\"}[5m]))", hour, 15),
        ),
        (
            "q8 sum by(status) rate, 1 k series, 24 h",
            range("sum by(status)(rate(http_requests_total[5m]))", start, 60),
        ),
        (
            "q9 sum rate, 20 k series, 24 h",
            range("sum(rate(container_cpu_usage_seconds_total[5m]))", start, 300),
        ),
    ]
}
