//! Reba's logs beside their peers: the same lines, the same questions, one run, ratios.
//!
//! The unit is the CPU-second of the server process (user + system, from /proc): it survives a noisy machine, which wall time
//! does not. What each server promises on SIGKILL is printed with the figures.

mod data;
mod follow;
mod queries;
mod report;
mod server;
mod wire;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use bench_common::{client::Client, machine};
use bytes::Bytes;
use clap::Parser;
use tokio::sync::{Mutex, mpsc};

use data::{Generator, Truth};
use queries::Span;
use report::Report;
use server::{Kind, Programs, Server};
use wire::Form;

/// What to measure, and how much of it.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
struct Args {
    /// Scenarios: load (push, size, memory, questions), json (pushes of JSON), follow, kill.
    #[arg(long, value_delimiter = ',', default_value = "load,json,follow,kill")]
    only: Vec<String>,
    /// Servers: reba, victoria-logs, loki.
    #[arg(long, value_delimiter = ',', default_value = "reba,victoria-logs,loki")]
    servers: Vec<String>,
    /// Divides the amount of data: 1 is 1.2 GB of lines.
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Fail if a promise of docs/performance.md was not kept.
    #[arg(long)]
    verdict: bool,
    /// Seed of all data.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where servers keep their data while they are measured.
    #[arg(long, default_value = "target/bench-logs")]
    scratch: PathBuf,
    /// Reba's binary.
    #[arg(long, env = "REBA", default_value = "target/release/reba")]
    reba: PathBuf,
    /// VictoriaLogs' binary; without it, it is left out.
    #[arg(long, env = "VICTORIA_LOGS")]
    victoria_logs: Option<PathBuf>,
    /// Loki's binary; without it, it is left out.
    #[arg(long, env = "LOKI")]
    loki: Option<PathBuf>,
}

/// How long a server that was just started is left alone.
const SETTLES: Duration = Duration::from_secs(40);

/// Bytes of lines, and about how long one is.
const BYTES: u64 = 1_200_000_000;
const LINE_BYTES: u64 = 450;

/// How long before now the lines begin: all of them are in the past.
const AGO_NS: i64 = 5 * 3_600_000_000_000;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let programs = Programs {
        reba: args.reba.clone(),
        victoria_logs: args.victoria_logs.clone(),
        loki: args.loki.clone(),
    };
    fs::create_dir_all(&args.scratch)?;
    let mut report = Report::default();
    report.head(machine::line());
    for kind in Kind::ALL {
        if !args.servers.iter().any(|s| s == kind.name()) {
            continue;
        }
        if let Err(reason) = programs.path(kind) {
            eprintln!("{reason}");
            report.head(reason);
            continue;
        }
        for scenario in &args.only {
            let began = Instant::now();
            // One server's failure must not take the figures of the others along.
            if let Err(e) = run(scenario, kind, &programs, &args, &mut report).await {
                report.note(format!("{scenario} on {}: {e:#}", kind.name()));
            }
            eprintln!("{scenario} on {} took {} s", kind.name(), began.elapsed().as_secs());
        }
    }
    println!("{}", report.text());
    let (text, missed) = report.verdicts();
    println!("{text}");
    if args.verdict && missed > 0 {
        bail!("{missed} promises were not kept");
    }
    Ok(())
}

async fn run(
    scenario: &str,
    kind: Kind,
    programs: &Programs,
    args: &Args,
    report: &mut Report,
) -> Result<()> {
    let bytes = BYTES / args.shrink.max(1);
    let scratch = args.scratch.join(scenario);
    let start = || Server::start(kind, programs, &scratch);
    match scenario {
        "load" => load(&start().await?, kind.form(), args.seed, bytes, report).await,
        // Its own form is JSON already.
        "json" if kind == Kind::VictoriaLogs => Ok(()),
        "json" => load(&start().await?, Form::Json, args.seed, bytes / 4, report).await,
        "follow" => follow::follow(&start().await?, now_ns, report).await,
        "kill" => kill(start().await?, args.seed, report).await,
        other => bail!("unknown scenario {other}"),
    }
}

/// Pushes lines, and looks at what they cost and take; with the server's own form also at what questions cost.
async fn load(server: &Server, form: Form, seed: u64, bytes: u64, report: &mut Report) -> Result<()> {
    let kind = server.kind;
    // Starting is no part of being idle.
    tokio::time::sleep(SETTLES).await;
    let idle = server.usage()?;
    let start = now_ns() - AGO_NS;
    let mut generator = Generator::new(seed, start, bytes / LINE_BYTES);
    let (sender, receiver) = mpsc::channel(4);
    // Made on a thread of its own, so that the server is not waited for.
    let maker = std::thread::spawn(move || -> Result<(Truth, i64)> {
        let mut end = start;
        while generator.truth.bytes < bytes {
            let (body, _, last) = wire::body(&mut generator, form)?;
            end = last;
            if sender.blocking_send(body).is_err() {
                bail!("nobody pushes any more");
            }
        }
        Ok((generator.truth, end))
    });
    push_all(server, form, receiver).await?;
    let Ok(made) = maker.join() else { bail!("the generator panicked") };
    let (truth, end) = made?;
    server.settle(Duration::from_secs(60)).await?;
    let name = if form == Form::Json { "JSON" } else { "as it likes best" };
    let pushed = server.usage()?;
    report.more(
        kind,
        format!("push, {name}: MB per CPU-second"),
        truth.bytes as f64 / 1e6 / (pushed.cpu - idle.cpu),
    );
    if form != kind.form() {
        return Ok(());
    }
    server.flush().await?;
    server.settle(Duration::from_secs(60)).await?;
    let settled = server.usage()?;
    report.more(
        kind,
        "push, with everything written and merged: MB per CPU-second",
        truth.bytes as f64 / 1e6 / (settled.cpu - idle.cpu),
    );
    report.less(kind, "on disk: bytes a line", server.disk_bytes() as f64 / truth.lines as f64);
    report.less(kind, "memory at its highest while lines come: resident MB", settled.peak / 1e6);
    report.less(kind, "memory at rest after that: resident MB", settled.resident / 1e6);
    report.less(kind, "memory idle, empty: resident MB", idle.resident / 1e6);
    queries::ask_all(server, &truth, Span { start: start - 1, end: end + 1 }, report).await;
    Ok(())
}

/// Pushes bodies over two connections.
async fn push_all(server: &Server, form: Form, receiver: mpsc::Receiver<Bytes>) -> Result<()> {
    let client = Client::new(server.port);
    let receiver = Mutex::new(receiver);
    let lane = || async {
        loop {
            let next = receiver.lock().await.recv().await;
            let Some(body) = next else { return anyhow::Ok(()) };
            push(&client, form, body).await?;
        }
    };
    tokio::try_join!(lane(), lane())?;
    Ok(())
}

async fn push(client: &Client, form: Form, body: Bytes) -> Result<()> {
    let (status, answer) = client.post(form.path(), form.headers(), body).await?;
    if status / 100 != 2 {
        bail!(
            "a push was answered with {status}: {}",
            String::from_utf8_lossy(&answer[..answer.len().min(300)])
        );
    }
    Ok(())
}

/// A steady stream of 30 MB/s, SIGKILL in the midst of it, and how many acknowledged lines are gone.
async fn kill(mut server: Server, seed: u64, report: &mut Report) -> Result<()> {
    const TICK: Duration = Duration::from_millis(35);
    const LENGTH: Duration = Duration::from_secs(15);
    let start = now_ns() - AGO_NS;
    let mut generator = Generator::new(seed, start, 1_000_000);
    let (client, form) = (Client::new(server.port), server.kind.form());
    let (mut acknowledged, mut end) = (0, start);
    let began = Instant::now();
    while began.elapsed() < LENGTH {
        let tick = Instant::now();
        let (body, lines, last) = wire::body(&mut generator, form)?;
        push(&client, form, body).await?;
        acknowledged += lines;
        end = last;
        tokio::time::sleep(TICK.saturating_sub(tick.elapsed())).await;
    }
    server.kill()?;
    let restart = Instant::now();
    server.start_again().await?;
    let span = Span { start: start - 1, end: end + 1 };
    let mut found: f64 = 0.0;
    for i in 0..5 {
        found = found.max(queries::count(&server, span).await.unwrap_or(0.0));
        if i == 0 && found > 0.0 {
            report.less(
                server.kind,
                "SIGKILL: seconds until a question is answered again",
                restart.elapsed().as_secs_f64(),
            );
        }
        if found >= acknowledged as f64 {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    report.less(server.kind, "SIGKILL: acknowledged lines lost", acknowledged as f64 - found);
    report.note(format!("SIGKILL of {}: {acknowledged} lines were acknowledged", server.kind.name()));
    Ok(())
}

/// The present time: servers refuse lines that are far from it.
fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}
