//! What is measured of writing: remote write and scraping.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rand::rngs::StdRng;

use crate::{
    client::Client,
    data::{self, SERIES_PER_TARGET, Series},
    farm::Farm,
    report::{Figure, Outcome},
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
    /// Newest time of pushed samples, in milliseconds: the same for all servers, so that their answers can be compared.
    pub end: i64,
    /// Shorter waits, for a look at what a change did.
    pub quick: bool,
}

/// Samples of one request.
const SAMPLES_PER_REQUEST: usize = 2000;

const REMOTE_WRITE: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// The value that ends a series: a NaN with these bits.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// The state of a generated fleet.
pub struct Fleet {
    /// Series by target.
    pub targets: Vec<Vec<Series>>,
    labels: Vec<Vec<Vec<u8>>>,
    rng: StdRng,
}

impl Fleet {
    /// A fleet of `targets` targets.
    pub fn new(targets: usize, seed: u64) -> Self {
        let mut rng = data::rng(seed);
        let targets: Vec<Vec<Series>> = (0..targets).map(|n| data::target(n, &mut rng)).collect();
        let labels = targets.iter().map(|t| t.iter().map(wire::label_bytes).collect()).collect();
        Fleet { targets, labels, rng }
    }

    /// Forgets the names as text, which requests do not need: a million series would take a gigabyte here.
    pub fn forget_names(&mut self) {
        for series in self.targets.iter_mut().flatten() {
            series.labels = Vec::new();
        }
    }

    /// Replaces a tenth of the series; the requests say at `t` that the old ones have ended.
    pub fn renew(&mut self, round: usize, t: i64) -> Result<Vec<Bytes>> {
        let mut out = Vec::new();
        for (n, (target, labels)) in self.targets.iter_mut().zip(&mut self.labels).enumerate() {
            let mut request = Vec::new();
            for l in labels.iter().skip(round % data::ROUNDS).step_by(data::ROUNDS) {
                wire::push_series(&mut request, l, &[(t, f64::from_bits(STALE))]);
            }
            out.push(Bytes::from(wire::compress(&request)?));
            data::renew(target, n, round);
            let renewed = target.iter().zip(labels).skip(round % data::ROUNDS).step_by(data::ROUNDS);
            renewed.for_each(|(series, l)| *l = wire::label_bytes(series));
        }
        Ok(out)
    }

    /// Requests for the next `steps` steps, each series' samples of these steps together.
    pub fn requests(&mut self, start: i64, interval: i64, steps: usize) -> Result<Vec<Bytes>> {
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

/// Sends requests over two connections.
pub async fn send_all(port: u16, requests: Vec<Bytes>) -> Result<()> {
    let client = Client::new(port);
    let requests = Arc::new(requests);
    let lanes = (0..2).map(|lane| {
        let (client, requests) = (client.clone(), Arc::clone(&requests));
        async move {
            for body in requests.iter().skip(lane).step_by(2) {
                let (status, _) = client.post("/api/v1/write", &REMOTE_WRITE, body.clone()).await?;
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
pub async fn settle(server: &Server, most: Duration) -> Result<()> {
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
pub async fn ingest(setup: &Setup<'_>, per_series: usize) -> Result<Outcome> {
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &[]).await?;
    let mut fleet = Fleet::new((20 / setup.shrink).max(1), setup.seed);
    let (interval, steps) = (15_000, 160);
    let start = setup.end - steps * interval;
    let before = server.usage()?.cpu;
    let mut sent = 0usize;
    for i in (0..steps).step_by(per_series) {
        let requests = fleet.requests(start + i * interval, interval, per_series)?;
        send_all(server.port, requests).await?;
        sent += fleet.targets.len() * SERIES_PER_TARGET * per_series;
    }
    settle(&server, Duration::from_secs(if setup.quick { 4 } else { 10 })).await?;
    let usage = server.usage()?;
    let mut out = Outcome::default();
    out.add(Figure::more(
        format!("remote write, {per_series} a series: samples per CPU-second"),
        sent as f64 / (usage.cpu - before),
    ));
    Ok(out)
}

/// Scraping pages of a thousand series every two seconds.
pub async fn scrape(setup: &Setup<'_>) -> Result<Outcome> {
    let count = (100 / setup.shrink).max(1);
    let farm = Farm::start(count, setup.seed).await?;
    let targets = vec![farm.address.clone(); count];
    let server = Server::start(setup.kind, setup.programs, setup.scratch, &targets).await?;
    let (warm_up, length) = if setup.quick { (5, 8) } else { (15, 30) };
    tokio::time::sleep(Duration::from_secs(warm_up)).await;
    let (cpu, pages) = (server.usage()?.cpu, farm.served());
    tokio::time::sleep(Duration::from_secs(length)).await;
    let (usage, served) = (server.usage()?, farm.served() - pages);
    let samples = (served * SERIES_PER_TARGET) as f64;
    let mut out = Outcome::default();
    out.add(Figure::more(
        "scrape of 1,000-series pages: samples per CPU-second",
        samples / (usage.cpu - cpu),
    ));
    out.add(Figure::less(format!("scrape of {count} k series: resident MB"), usage.resident / 1e6));
    Ok(out)
}
