//! Reba beside its peers: the same samples, the same queries, one run, ratios.
//!
//! The unit is the CPU-second of the server process (user + system, from /proc): it survives a noisy machine, which wall
//! time does not. Every server gets the same bytes; caches of results are off; what each one promises on SIGKILL is
//! printed with the figures, since speed bought with durability is no speed.

mod client;
mod data;
mod farm;
mod report;
mod scenarios;
mod server;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

use report::Report;
use server::{Kind, Programs};

/// What to measure, and how much of it.
#[derive(Debug, Parser)]
struct Args {
    /// Scenarios: ingest, ingest10, scrape, queries, memory.
    #[arg(long, value_delimiter = ',', default_value = "ingest,ingest10,scrape,queries,memory")]
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
    let mut report = Report::new(&kinds);
    for scenario in &args.only {
        for kind in &kinds {
            let setup = scenarios::Setup {
                kind: *kind,
                programs: &programs,
                scratch: &args.scratch,
                shrink: args.shrink.max(1),
                seed: args.seed,
            };
            let figures = match scenario.as_str() {
                "ingest" => scenarios::ingest(&setup, 1).await,
                "ingest10" => scenarios::ingest(&setup, 10).await,
                "scrape" => scenarios::scrape(&setup).await,
                "queries" => scenarios::queries(&setup).await,
                "memory" => scenarios::memory(&setup).await,
                other => bail!("unknown scenario {other}"),
            };
            report.add(*kind, figures.with_context(|| format!("{scenario} on {}", kind.name()))?);
        }
        println!("{scenario} done");
    }
    println!("{}", report.text());
    Ok(())
}

fn kinds(args: &Args, programs: &Programs) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for name in &args.servers {
        let (kind, path) = match name.as_str() {
            "reba" => (Kind::Reba, &programs.reba),
            "prometheus" => (Kind::Prometheus, &programs.prometheus),
            "victoria-metrics" => (Kind::VictoriaMetrics, &programs.victoria_metrics),
            other => bail!("unknown server {other}"),
        };
        if !path.exists() {
            bail!("{} is missing: run `make build` and `scripts/peers.sh --bench`", path.display());
        }
        kinds.push(kind);
    }
    Ok(kinds)
}
