//! A day of samples, its size on disk, and the queries of a dashboard, with a check that the servers say the same.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    client::{Client, escape},
    data::SERIES_PER_TARGET,
    report::{Figure, Outcome},
    scenarios::{Fleet, Setup, send_all, settle},
    server::{Kind, Server},
};

/// A day of samples, then its size and the dashboard's queries.
pub async fn queries(setup: &Setup<'_>) -> Result<Outcome> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let targets = (40 / setup.shrink).max(1);
    let mut fleet = Fleet::new(targets, setup.seed);
    let (interval, steps, per_series) = (30_000, 2880, 10);
    let start = setup.end - steps * interval;
    for i in (0..steps).step_by(per_series) {
        send_all(server.port, fleet.requests(start + i * interval, interval, per_series)?).await?;
    }
    settle(&server, Duration::from_secs(30)).await?;
    let mut out = Outcome::default();
    let last = setup.end - 60_000;
    // Ten samples in five minutes, of every series.
    let expected = targets * SERIES_PER_TARGET * 10;
    if let Err(e) =
        wait_visible(&server, "sum(count_over_time({__name__=~\".+\"}[5m]))", last, expected).await
    {
        out.note(format!("{}: {e:#}", setup.kind.name()));
    }
    let samples = targets as f64 * SERIES_PER_TARGET as f64 * steps as f64;
    let disk = settled_disk(&server).await?;
    out.add(Figure::less("24 h at 30 s: bytes per sample, all files", disk / samples));
    for (name, path) in dashboard(start, last) {
        match median_of(&server, &path, 7).await {
            Ok(run) => {
                out.add(Figure::less(format!("{name}: CPU ms"), run.cpu));
                out.add(Figure::less(format!("{name}: wall ms"), run.wall));
                out.answers.push((name, run.total));
            }
            Err(e) => out.note(format!("{name} on {}: {e:#}", setup.kind.name())),
        }
    }
    Ok(out)
}

/// Waits until the instant query `expr` at `t` says `expected`: some servers show samples seconds after they took them.
pub async fn wait_visible(server: &Server, expr: &str, t: i64, expected: usize) -> Result<Duration> {
    let client = Client::new(server.port);
    let path = format!("/api/v1/query?query={}&time={}&nocache=1", escape(expr), t / 1000);
    let started = Instant::now();
    let mut seen = f64::NAN;
    while started.elapsed() < Duration::from_secs(60) {
        if let Ok(answer) = instant_total(&client, &path).await {
            seen = answer;
            // Older servers count a sample at the very start of a range, too.
            if seen >= expected as f64 {
                return Ok(started.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("{expr} is {seen} after a minute, not {expected}")
}

/// What the answer to a query comes to.
pub async fn instant_total(client: &Client, path: &str) -> Result<f64> {
    let (status, body) = client.get(path).await?;
    if status != 200 {
        bail!("status {status}");
    }
    total(&body)
}

/// Bytes of all files, once they have stopped to change.
async fn settled_disk(server: &Server) -> Result<f64> {
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
        if same == 8 {
            break;
        }
    }
    Ok(last as f64)
}

/// The nine queries of the dashboard, as paths.
fn dashboard(start: i64, end: i64) -> Vec<(&'static str, String)> {
    let hour = end - 3_600_000;
    let range = |expr: &str, from: i64, step: u32| {
        format!(
            "/api/v1/query_range?query={}&start={}&end={}&step={step}",
            escape(expr),
            from / 1000,
            end / 1000
        )
    };
    let instant = |expr: &str| format!("/api/v1/query?query={}&time={}", escape(expr), end / 1000);
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

/// How a query went.
struct Run {
    /// Median wall milliseconds.
    wall: f64,
    /// Mean CPU milliseconds.
    cpu: f64,
    /// What the answer comes to.
    total: f64,
}

/// Runs a query `times` times after two warm-ups.
async fn median_of(server: &Server, path: &str, times: usize) -> Result<Run> {
    let client = Client::new(server.port);
    let mut answer = 0.0;
    // `nocache` is VictoriaMetrics' switch; the others ignore it.
    let path = format!("{path}&nocache=1");
    for _ in 0..2 {
        let (status, body) = client.get(&path).await?;
        if status != 200 {
            bail!("status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        }
        answer = total(&body)?;
    }
    if answer == 0.0 {
        bail!("the answer is empty");
    }
    // A clock tick is ten milliseconds: cheap queries run until some hundred ticks are spent.
    let mut walls = Vec::new();
    let before = server.usage()?.cpu;
    let began = Instant::now();
    while walls.len() < times || (began.elapsed() < Duration::from_millis(1500) && walls.len() < 500) {
        let started = Instant::now();
        client.get(&path).await?;
        walls.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (server.usage()?.cpu - before) * 1e3 / walls.len() as f64;
    walls.sort_by(f64::total_cmp);
    Ok(Run { wall: walls[walls.len() / 2], cpu, total: answer })
}

/// The sum of all values of an answer (a time step counts by its value alone), or the number of strings in a list.
fn total(body: &[u8]) -> Result<f64> {
    let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
    let data = &answer["data"];
    if let Some(list) = data.as_array() {
        return Ok(list.len() as f64);
    }
    let value = |pair: &Value| pair[1].as_str().and_then(|v| v.parse::<f64>().ok()).filter(|v| v.is_finite());
    let series = data["result"].as_array().context("the answer has no result")?;
    Ok(series
        .iter()
        .map(|s| match s["values"].as_array() {
            Some(values) => values.iter().filter_map(value).sum(),
            None => value(&s["value"]).unwrap_or(0.0),
        })
        .sum())
}
