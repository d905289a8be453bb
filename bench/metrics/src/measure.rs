//! Running a query often enough to know what it costs, and reading what the answer comes to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{client::Client, paths, server::Server};

/// How often a query runs.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// At least so often.
    pub times: usize,
    /// At least so long: a tick of the clock of `/proc` is ten milliseconds, of which cheap queries need many.
    pub least: Duration,
    /// No further run is begun after this time.
    pub most: Duration,
}

/// How a query went.
pub struct Run {
    /// Median wall milliseconds.
    pub wall: f64,
    /// Mean CPU milliseconds.
    pub cpu: f64,
    /// What the answer comes to.
    pub total: f64,
}

/// Runs of cheap queries at most.
const MOST_RUNS: usize = 500;

/// Runs a query after two warm-ups, or one if it takes long.
pub async fn measure(server: &Server, path: &str, effort: Effort) -> Result<Run> {
    let client = Client::new(server.port);
    let mut answer = 0.0;
    // `nocache` is VictoriaMetrics' switch; the others ignore it.
    let path = format!("{path}&nocache=1");
    let began = Instant::now();
    for _ in 0..2 {
        answer = total_of(&client, &path).await?;
        if began.elapsed() > effort.most / 4 {
            break;
        }
    }
    if answer == 0.0 {
        bail!("the answer is empty");
    }
    let mut walls = Vec::new();
    let before = server.usage()?.cpu;
    let began = Instant::now();
    while walls.len() < effort.times || (began.elapsed() < effort.least && walls.len() < MOST_RUNS) {
        let started = Instant::now();
        client.get(&path).await?;
        walls.push(started.elapsed().as_secs_f64() * 1e3);
        if began.elapsed() > effort.most {
            break;
        }
    }
    let cpu = (server.usage()?.cpu - before) * 1e3 / walls.len() as f64;
    walls.sort_by(f64::total_cmp);
    Ok(Run { wall: walls[walls.len() / 2], cpu, total: answer })
}

/// Waits until the instant query `expr` at `t` says `expected`: some servers show samples seconds after they took them.
pub async fn wait_visible(server: &Server, expr: &str, t: i64, expected: usize) -> Result<()> {
    let client = Client::new(server.port);
    let path = format!("{}&nocache=1", paths::instant(expr, t));
    let started = Instant::now();
    let mut seen = f64::NAN;
    while started.elapsed() < Duration::from_secs(60) {
        if let Ok(answer) = total_of(&client, &path).await {
            seen = answer;
            // Older servers count a sample at the very start of a range, too.
            if seen >= expected as f64 {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("{expr} is {seen} after a minute, not {expected}")
}

/// What the answer to a query comes to.
pub async fn total_of(client: &Client, path: &str) -> Result<f64> {
    let (status, body) = client.get(path).await?;
    if status != 200 {
        bail!("status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
    }
    total(&body)
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Result { result: Vec<Row> },
    List(Vec<serde::de::IgnoredAny>),
}

#[derive(Deserialize)]
struct Row {
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// The sum of all values of an answer (a time step counts by its value alone), or the number of entries in a list.
fn total(body: &[u8]) -> Result<f64> {
    let answer: Answer = serde_json::from_slice(body).context("the answer cannot be read")?;
    let rows = match answer.data {
        Data::List(list) => return Ok(list.len() as f64),
        Data::Result { result } => result,
    };
    let number = |(_, v): &(f64, String)| v.parse::<f64>().ok().filter(|v| v.is_finite());
    Ok(rows.iter().flat_map(|r| r.value.iter().chain(&r.values)).filter_map(number).sum())
}
