//! What is measured.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rand::rngs::StdRng;

use crate::{
    client::{Client, escape},
    data::{self, SERIES_PER_TARGET, Series},
    farm::Farm,
    report::Figure,
    server::{Kind, Programs, Server},
    wire,
};

/// One server and how much it gets.
pub struct Setup<'a> {
    /// The server.
    pub kind: Kind,
    /// The binaries.
    pub programs: &'a Programs,
    /// Where it may write.
    pub scratch: &'a Path,
    /// Divisor of the amount of data.
    pub shrink: usize,
    /// Seed of the data.
    pub seed: u64,
}

/// Samples of one request.
const SAMPLES_PER_REQUEST: usize = 2000;

/// The state of a generated fleet.
struct Fleet {
    targets: Vec<Vec<Series>>,
    labels: Vec<Vec<Vec<u8>>>,
    rng: StdRng,
}

impl Fleet {
    fn new(targets: usize, seed: u64) -> Self {
        let mut rng = data::rng(seed);
        let targets: Vec<Vec<Series>> = (0..targets).map(|n| data::target(n, &mut rng)).collect();
        let labels = targets.iter().map(|t| t.iter().map(wire::label_bytes).collect()).collect();
        Fleet { targets, labels, rng }
    }

    /// Requests for the next `steps` steps, each series' samples of these steps together.
    fn requests(&mut self, start: i64, interval: i64, steps: usize) -> Result<Vec<Bytes>> {
        let mut out = Vec::new();
        let per_request = (SAMPLES_PER_REQUEST / steps).max(1);
        for (n, target) in self.targets.iter_mut().enumerate() {
            // A constant phase for each target, as scrapes have it.
            let phase = (n as i64 * 37) % interval;
            let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::with_capacity(steps); target.len()];
            for i in 0..steps {
                data::step(target, &mut self.rng);
                let t = start + phase + i as i64 * interval;
                for (column, series) in columns.iter_mut().zip(target.iter()) {
                    column.push((t, series.value));
                }
            }
            for (labels, columns) in self.labels[n].chunks(per_request).zip(columns.chunks(per_request)) {
                let mut request = Vec::new();
                for (l, c) in labels.iter().zip(columns) {
                    wire::push_series(&mut request, l, c);
                }
                out.push(Bytes::from(wire::compress(&request)?));
            }
        }
        Ok(out)
    }
}

/// The present time, in milliseconds: servers refuse samples that are far from it.
fn now_ms() -> Result<i64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64)
}

/// Sends requests over two connections.
async fn send_all(port: u16, requests: Vec<Bytes>) -> Result<()> {
    let client = Client::new(port);
    let requests = Arc::new(requests);
    let lanes = (0..2).map(|lane| {
        let (client, requests) = (client.clone(), Arc::clone(&requests));
        async move {
            for body in requests.iter().skip(lane).step_by(2) {
                let status = client.write(body.clone()).await?;
                if status / 100 != 2 {
                    bail!("a write was answered with {status}");
                }
            }
            Ok(())
        }
    });
    let [a, b] = lanes.collect::<Vec<_>>().try_into().ok().context("two lanes")?;
    tokio::try_join!(a, b)?;
    Ok(())
}

/// Waits until the server has stopped working: compactions and merges belong to the bill.
async fn settle(server: &Server, most: Duration) -> Result<()> {
    let mut last = server.usage()?.cpu;
    for _ in 0..most.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let cpu = server.usage()?.cpu;
        if cpu - last < 0.02 {
            return Ok(());
        }
        last = cpu;
    }
    Ok(())
}

/// Remote write: samples per CPU-second, with `per_series` samples of a series in a request.
pub async fn ingest(setup: &Setup<'_>, per_series: usize) -> Result<Vec<Figure>> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let mut fleet = Fleet::new((20 / setup.shrink).max(1), setup.seed);
    let (interval, steps) = (15_000, 160);
    let start = now_ms()? - steps * interval;
    let before = server.usage()?.cpu;
    let mut sent = 0usize;
    for i in (0..steps).step_by(per_series) {
        let requests = fleet.requests(start + i * interval, interval, per_series)?;
        send_all(server.port, requests).await?;
        sent += fleet.targets.len() * SERIES_PER_TARGET * per_series;
    }
    settle(&server, Duration::from_secs(10)).await?;
    let usage = server.usage()?;
    Ok(vec![Figure::more(
        format!("remote write, {per_series} a series: samples per CPU-second"),
        sent as f64 / (usage.cpu - before),
    )])
}

/// Scraping pages of a thousand series every two seconds.
pub async fn scrape(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let count = (100 / setup.shrink).max(1);
    let farm = Farm::start(count, setup.seed).await?;
    let targets = vec![farm.address.clone(); count];
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &targets).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (cpu, pages) = (server.usage()?.cpu, farm.served());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (usage, served) = (server.usage()?, farm.served() - pages);
    let samples = (served * SERIES_PER_TARGET) as f64;
    Ok(vec![
        Figure::more("scrape of 1,000-series pages: samples per CPU-second", samples / (usage.cpu - cpu)),
        Figure::less(format!("scrape of {count} k series: resident MB"), usage.resident / 1e6),
    ])
}

/// A day of samples, then its size and the dashboard's queries.
pub async fn queries(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let targets = (40 / setup.shrink).max(1);
    let mut fleet = Fleet::new(targets, setup.seed);
    let (interval, steps, per_series) = (30_000, 2880, 10);
    let end = now_ms()?;
    let start = end - steps * interval;
    for i in (0..steps).step_by(per_series) {
        send_all(server.port, fleet.requests(start + i * interval, interval, per_series)?).await?;
    }
    settle(&server, Duration::from_secs(30)).await?;
    let samples = targets as f64 * SERIES_PER_TARGET as f64 * steps as f64;
    let mut figures =
        vec![Figure::less("24 h at 30 s: bytes per sample, all files", server.disk_bytes() as f64 / samples)];
    for (name, path) in dashboard(start, end - 60_000) {
        let (wall, cpu, bytes) = median_of(&server, &path, 7).await.with_context(|| name.to_owned())?;
        figures.push(Figure::less(format!("{name}: CPU ms"), cpu));
        figures.push(Figure::less(format!("{name}: wall ms"), wall));
        if bytes < 100 {
            bail!("{name}: the answer of {} is empty", setup.kind.name());
        }
    }
    Ok(figures)
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

/// Median wall and mean CPU milliseconds of `times` runs after a warm-up, and the size of the answer.
async fn median_of(server: &Server, path: &str, times: usize) -> Result<(f64, f64, usize)> {
    let client = Client::new(server.port);
    let mut bytes = 0;
    // `nocache` is VictoriaMetrics' switch; the others ignore it.
    let path = format!("{path}&nocache=1");
    for _ in 0..2 {
        let (status, body) = client.get(&path).await?;
        if status != 200 {
            bail!("status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        }
        bytes = body.len();
    }
    let mut walls = Vec::new();
    let before = server.usage()?.cpu;
    for _ in 0..times {
        let started = std::time::Instant::now();
        client.get(&path).await?;
        walls.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (server.usage()?.cpu - before) * 1e3 / times as f64;
    walls.sort_by(f64::total_cmp);
    Ok((walls[times / 2], cpu, bytes))
}

/// Resident memory with many active series.
pub async fn memory(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let idle = server.usage()?;
    let targets = (500 / setup.shrink).max(1);
    let mut fleet = Fleet::new(targets, setup.seed);
    let (interval, per_series) = (15_000, 4);
    let start = now_ms()? - 20 * interval;
    for i in (0..20).step_by(per_series) {
        send_all(server.port, fleet.requests(start + i * interval, interval, per_series)?).await?;
    }
    settle(&server, Duration::from_secs(30)).await?;
    let series = (targets * SERIES_PER_TARGET) as f64;
    let usage = server.usage()?;
    Ok(vec![
        Figure::less("idle: resident MB", idle.resident / 1e6),
        Figure::less(
            format!("{targets} k active series: anonymous bytes a series"),
            usage.anonymous / series,
        ),
        Figure::less(format!("{targets} k active series: resident MB"), usage.resident / 1e6),
    ])
}
