//! Reba beside its peers: the same samples, the same queries, one run, ratios.
//!
//! The unit is the CPU-second of the server process (user + system, from /proc): it survives a noisy machine, which wall
//! time does not. Every server gets the same bytes; caches of results are off; what each one promises on SIGKILL is
//! printed with the figures, since speed bought with durability is no speed.

mod client;
mod data;
mod farm;
mod lifecycle;
mod machine;
mod queries;
mod report;
mod scenarios;
mod server;
mod wire;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use report::Report;
use server::{Kind, Programs};

/// What to measure, and how much of it.
#[derive(Debug, Parser)]
struct Args {
    /// Scenarios: ingest, ingest10, scrape, queries, memory (with restart), kill.
    #[arg(long, value_delimiter = ',', default_value = "ingest,ingest10,scrape,queries,memory,kill")]
    only: Vec<String>,
    /// Servers: reba, prometheus, victoria-metrics.
    #[arg(long, value_delimiter = ',', default_value = "reba,prometheus,victoria-metrics")]
    servers: Vec<String>,
    /// Divides the amount of data: 1 is what docs/performance.md quotes.
    #[arg(long, default_value_t = 1)]
    shrink: usize,
    /// Seed of all data.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where servers keep their data while they are measured.
    #[arg(long, default_value = "target/bench-metrics")]
    scratch: PathBuf,
    /// Reba's binary.
    #[arg(long, default_value = "target/release/reba")]
    reba: PathBuf,
    /// Debian's prometheus.
    #[arg(long, default_value = "target/peers/usr/bin/prometheus")]
    prometheus: PathBuf,
    /// VictoriaMetrics.
    #[arg(long, env = "VICTORIA_METRICS", default_value = "target/peers/usr/bin/victoria-metrics")]
    victoria_metrics: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a command-line tool")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let programs = Programs {
        reba: args.reba.clone(),
        prometheus: args.prometheus.clone(),
        victoria_metrics: args.victoria_metrics.clone(),
    };
    let kinds = kinds(&args, &programs)?;
    println!("{}", machine::line());
    for kind in &kinds {
        println!("{}", programs.version(*kind));
    }
    let mut report = Report::new(&kinds);
    for scenario in &args.only {
        let end = now_ms()? / 60_000 * 60_000;
        for kind in &kinds {
            let setup = scenarios::Setup {
                kind: *kind,
                programs: &programs,
                scratch: &args.scratch,
                shrink: args.shrink.max(1),
                seed: args.seed,
                end,
            };
            let outcome = match scenario.as_str() {
                "ingest" => scenarios::ingest(&setup, 1).await,
                "ingest10" => scenarios::ingest(&setup, 10).await,
                "scrape" => scenarios::scrape(&setup).await,
                "queries" => queries::queries(&setup).await,
                "memory" => lifecycle::memory(&setup).await,
                "kill" => lifecycle::kill(&setup).await,
                other => bail!("unknown scenario {other}"),
            };
            // One server's failure must not take the figures of the others along.
            match outcome {
                Ok(outcome) => report.add(*kind, outcome),
                Err(e) => report.note(format!("{scenario} on {}: {e:#}", kind.name())),
            }
            println!("{scenario} on {} done", kind.name());
        }
    }
    report.judge_answers();
    println!("{}", report.text());
    Ok(())
}

/// The present time: servers refuse samples that are far from it.
fn now_ms() -> Result<i64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64)
}

fn kinds(args: &Args, programs: &Programs) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for name in &args.servers {
        let kind = match name.as_str() {
            "reba" => Kind::Reba,
            "prometheus" => Kind::Prometheus,
            "victoria-metrics" => Kind::VictoriaMetrics,
            other => bail!("unknown server {other}"),
        };
        let path = programs.path(kind);
        if !path.exists() {
            bail!("{} is missing: run `make build` and `scripts/peers.sh --bench`", path.display());
        }
        kinds.push(kind);
    }
    Ok(kinds)
}
