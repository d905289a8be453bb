//! Reba beside its peers: the same samples, the same queries, one run, ratios.
//!
//! The unit is the CPU-second of the server process (user + system, from /proc): it survives a noisy machine, which wall
//! time does not. Every server gets the same bytes; caches of results are off; what each one promises on SIGKILL is
//! printed with the figures, since speed bought with durability is no speed.

mod churn;
mod curves;
mod data;
mod farm;
mod growth;
mod guard;
mod idle;
mod lifecycle;
mod measure;
mod paths;
mod queries;
mod report;
mod scenarios;
mod server;
mod soak;
mod verdict;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bench_common::{client, machine};
use clap::Parser;

use report::{Outcome, Report};
use scenarios::Setup;
use server::{Kind, Programs};

/// What to measure, and how much of it.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
struct Args {
    /// Scenarios: ingest, ingest10, scrape, queries, memory (with restart), kill, demo, churn, growth; none: only print what
    /// was measured before.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "ingest,ingest10,scrape,queries,memory,kill,demo,churn,growth"
    )]
    only: Vec<String>,
    /// Servers: reba, prometheus, victoria-metrics.
    #[arg(long, value_delimiter = ',', default_value = "reba,prometheus,victoria-metrics")]
    servers: Vec<String>,
    /// Divides the amount of data: 1 is what docs/performance.md quotes.
    #[arg(long, default_value_t = 1)]
    shrink: usize,
    /// A guard for developers, in less than two minutes: little data, short waits, and a failure when a gain over the peers is
    /// much smaller than `bench/metrics/quick.tsv` says.
    #[arg(long)]
    quick: bool,
    /// With --quick: write the gains down instead.
    #[arg(long, requires = "quick")]
    bless: bool,
    /// Scrapes, rules and dashboard queries for so many minutes; fails if memory keeps growing.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// Fail if a promise of docs/performance.md was not kept.
    #[arg(long)]
    verdict: bool,
    /// Add to the results of the last run instead of starting anew.
    #[arg(long)]
    merge: bool,
    /// Where the picture of the growth is written.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Seed of all data.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where servers keep their data while they are measured, and the results are kept.
    #[arg(long, default_value = "target/bench-metrics")]
    scratch: PathBuf,
    /// Reba's binary.
    #[arg(long, env = "REBA", default_value = "target/release/reba")]
    reba: PathBuf,
    /// Debian's prometheus.
    #[arg(long, default_value = "target/peers/usr/bin/prometheus")]
    prometheus: PathBuf,
    /// VictoriaMetrics.
    #[arg(long, env = "VICTORIA_METRICS", default_value = "target/peers/usr/bin/victoria-metrics")]
    victoria_metrics: PathBuf,
}

const QUICK_GAINS: &str = "bench/metrics/quick.tsv";

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a command-line tool")]
async fn main() -> Result<()> {
    let mut args = Args::parse();
    if args.quick {
        args.only = ["ingest", "ingest10", "scrape", "queries", "memory"].map(str::to_owned).to_vec();
        args.shrink = 20;
        args.merge = false;
        args.scratch.push("quick");
    }
    let programs = Programs {
        reba: args.reba.clone(),
        prometheus: args.prometheus.clone(),
        victoria_metrics: args.victoria_metrics.clone(),
    };
    let kinds = kinds(&args, &programs)?;
    fs::create_dir_all(&args.scratch)?;
    let results = args.scratch.join("results.json");
    let mut report = if args.merge { load(&results)? } else { Report::default() };
    if let Some(minutes) = args.soak {
        args.only = Vec::new();
        for kind in &kinds {
            report.add(*kind, soak::soak(&setup(&args, &programs, *kind)?, minutes).await?);
        }
    }
    if args.only != ["none"] {
        report.head(machine::line());
        for kind in &kinds {
            report.head(programs.version(*kind));
        }
        measure_all(&args, &programs, &kinds, &mut report, &results).await?;
    }
    report.judge_answers();
    fs::write(&results, serde_json::to_vec_pretty(&report)?)?;
    println!("{}", report.text(&kinds));
    if let Some(file) = &args.plot {
        let kinds = [Kind::Reba, Kind::Prometheus, Kind::VictoriaMetrics];
        fs::write(file, curves::svg(report.curves(), &kinds))
            .with_context(|| format!("write {}", file.display()))?;
    }
    judge(&args, &report)
}

async fn measure_all(
    args: &Args,
    programs: &Programs,
    kinds: &[Kind],
    report: &mut Report,
    results: &Path,
) -> Result<()> {
    for scenario in &args.only {
        let end = now_ms()? / 60_000 * 60_000;
        for kind in kinds {
            let setup = Setup { end, ..setup(args, programs, *kind)? };
            let began = std::time::Instant::now();
            // One server's failure must not take the figures of the others along.
            match run(scenario, &setup).await {
                Ok(outcome) => report.add(*kind, outcome),
                Err(e) => report.note(format!("{scenario} on {}: {e:#}", kind.name())),
            }
            eprint_progress(scenario, *kind, began.elapsed().as_secs());
            fs::write(results, serde_json::to_vec_pretty(&report)?)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command-line tool; the tables are its output")]
fn eprint_progress(scenario: &str, kind: Kind, seconds: u64) {
    eprintln!("{scenario} on {} took {seconds} s", kind.name());
}

async fn run(scenario: &str, setup: &Setup<'_>) -> Result<Outcome> {
    match scenario {
        "ingest" => scenarios::ingest(setup, 1).await,
        "ingest10" => scenarios::ingest(setup, 10).await,
        "scrape" => scenarios::scrape(setup).await,
        "queries" => queries::queries(setup).await,
        "memory" => lifecycle::memory(setup).await,
        "kill" => lifecycle::kill(setup).await,
        "demo" => idle::demo(setup).await,
        "churn" => churn::churn(setup).await,
        "growth" => growth::growth(setup).await,
        other => bail!("unknown scenario {other}"),
    }
}

fn setup<'a>(args: &'a Args, programs: &'a Programs, kind: Kind) -> Result<Setup<'a>> {
    Ok(Setup {
        kind,
        programs,
        scratch: &args.scratch,
        shrink: args.shrink.max(1),
        seed: args.seed,
        end: now_ms()? / 60_000 * 60_000,
        quick: args.quick,
    })
}

/// Prints the verdicts; an error where something was to be kept and was not.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn judge(args: &Args, report: &Report) -> Result<()> {
    if args.quick {
        if args.bless {
            return guard::keep(report, Path::new(QUICK_GAINS));
        }
        let worse = guard::regressions(report, Path::new(QUICK_GAINS))?;
        if !worse.is_empty() {
            bail!("slower than it was, beside the peers:\n{}", worse.join("\n"));
        }
        println!("no gain over the peers is much smaller than {QUICK_GAINS} says");
        return Ok(());
    }
    let (text, missed) = verdict::verdicts(report);
    println!("{text}");
    if args.verdict && missed > 0 {
        bail!("{missed} promises were not kept");
    }
    Ok(())
}

fn load(results: &Path) -> Result<Report> {
    let text = fs::read(results).with_context(|| format!("read {}", results.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understand {}", results.display()))
}

/// The present time: servers refuse samples that are far from it.
pub fn now_ms() -> Result<i64> {
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
            bail!("{} is missing: run `make build` and `scripts/peers.sh`", path.display());
        }
        kinds.push(kind);
    }
    Ok(kinds)
}
