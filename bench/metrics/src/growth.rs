//! Growth: what ingest, a restart and each query cost with ten, a hundred and a thousand times a thousand series.

use std::time::Duration;

use anyhow::Result;

use crate::{
    data::SERIES_PER_TARGET,
    measure::{Effort, measure, wait_visible},
    paths::{escape, instant, range},
    report::Outcome,
    scenarios::{Fleet, Setup, send_all, settle},
    server::Server,
};

/// Targets of a thousand series.
const SIZES: [usize; 3] = [10, 100, 1000];

const INTERVAL: i64 = 15_000;

/// Steps of each batch: the first makes the series.
const NEW: usize = 1;
const KNOWN: [usize; 4] = [10, 10, 10, 10];

/// Measures one server at every size.
pub async fn growth(setup: &Setup<'_>) -> Result<Outcome> {
    let mut out = Outcome::default();
    for targets in SIZES {
        // A peer that cannot stand a size keeps its points of the smaller ones.
        if let Err(e) = at_size(setup, (targets / setup.shrink).max(1), &mut out).await {
            out.note(format!("growth to {targets} k series on {}: {e:#}", setup.kind.name()));
        }
    }
    Ok(out)
}

async fn at_size(setup: &Setup<'_>, targets: usize, out: &mut Outcome) -> Result<()> {
    let mut server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let idle = server.usage()?;
    let mut fleet = Fleet::new(targets, setup.seed);
    fleet.forget_names();
    let series = targets * SERIES_PER_TARGET;
    let steps = NEW + KNOWN.iter().sum::<usize>();
    let mut at = setup.end - steps as i64 * INTERVAL;

    send_all(server.port, fleet.requests(at, INTERVAL, NEW)?).await?;
    at += NEW as i64 * INTERVAL;
    settle(&server, Duration::from_secs(10)).await?;
    let created = server.usage()?;
    out.grow("first sample of each series: CPU ms", series, (created.cpu - idle.cpu) * 1e3);
    for steps in KNOWN {
        send_all(server.port, fleet.requests(at, INTERVAL, steps)?).await?;
        at += steps as i64 * INTERVAL;
    }
    settle(&server, Duration::from_secs(30)).await?;
    let filled = server.usage()?;
    out.grow("40 samples of each series: CPU ms", series, (filled.cpu - created.cpu) * 1e3);
    let end = setup.end - INTERVAL;
    let count = "count(container_cpu_usage_seconds_total)";
    wait_visible(&server, count, end, series / 2).await?;
    out.grow("memory: anonymous MB", series, server.usage()?.anonymous / 1e6);

    let effort = Effort { times: 3, least: Duration::from_secs(1), most: Duration::from_secs(10) };
    for (name, path) in queries(end) {
        match measure(&server, &path, effort).await {
            Ok(run) => out.grow(name, series, run.cpu),
            Err(e) => out.note(format!("{name} of {series} series on {}: {e:#}", setup.kind.name())),
        }
    }
    server.restart_after_kill(setup.programs).await?;
    wait_visible(&server, count, end, series / 2).await?;
    out.grow("restart after SIGKILL: CPU ms", series, server.usage()?.cpu * 1e3);
    Ok(())
}

/// The dashboard's queries over five minutes, and some that ask for one target only.
fn queries(end: i64) -> Vec<(&'static str, String)> {
    let from = end - 300_000;
    let five_minutes = |expr: &str| range(expr, from, end, 15);
    let one = "{instance=\"10.0.0.1:9100\"}";
    vec![
        ("sum by(status) rate, 2.5 %: CPU ms", five_minutes("sum by(status)(rate(http_requests_total[2m]))")),
        (
            "sum by(namespace) rate, half: CPU ms",
            five_minutes("sum by(namespace)(rate(container_cpu_usage_seconds_total[2m]))"),
        ),
        (
            "histogram_quantile, 5 %: CPU ms",
            five_minutes(
                "histogram_quantile(0.99, sum by(le,route)(rate(http_request_duration_seconds_bucket[2m])))",
            ),
        ),
        (
            "topk by pod, half, instant: CPU ms",
            instant("topk(10, sum by(pod)(rate(container_cpu_usage_seconds_total[2m])))", end),
        ),
        ("instant selector, 10 %: CPU ms", instant("config_value", end)),
        (
            "sum rate with a regex, 5 %: CPU ms",
            five_minutes("sum(rate(container_cpu_usage_seconds_total{pod=~\"svc-1[0-9]-.*\"}[2m]))"),
        ),
        (
            "label values of pod: CPU ms",
            format!("/api/v1/label/pod/values?start={}&end={}", from / 1000, end / 1000),
        ),
        (
            "sum rate of one target: CPU ms",
            five_minutes(&format!("sum(rate(container_cpu_usage_seconds_total{one}[2m]))")),
        ),
        (
            "series of one target: CPU ms",
            format!("/api/v1/series?match[]={}&start={}&end={}", escape(one), from / 1000, end / 1000),
        ),
    ]
}
