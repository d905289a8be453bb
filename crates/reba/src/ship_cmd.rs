//! `reba ship`: the shipper alone, for hosts without a store, and for looking at what a configuration does.

use std::{
    io::{BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use reba_disk::Env;
use reba_http::ProxyEnv;
use reba_ship::{Inspector, Print, ShipConfig, Shipper, Surroundings, printer, system_now_ns};
use tokio::signal::unix::{SignalKind, signal};

use crate::{args::ShipArgs, folder};

/// What receivers see in their logs: some tell senders apart by it.
const USER_AGENT: &str = concat!("promtail/2.9.3 (Reba ", env!("CARGO_PKG_VERSION"), ")");

/// Runs until it is stopped, or until standard input ends.
pub async fn ship(args: &ShipArgs) -> Result<ExitCode> {
    let file = file(&args.config);
    let mut config = ShipConfig::load(&file, &folder::variables_beside(&file)?)?;
    if let Some(positions) = &args.positions {
        positions.clone_into(&mut config.positions.filename);
    }
    if args.check_syntax {
        let mut out = std::io::stdout().lock();
        config.warnings.iter().try_for_each(|warning| writeln!(out, "{warning}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let print: Print = Arc::new(|text| {
        // Whoever has seen enough may leave.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    });
    if args.inspect {
        config.inspect(&Inspector(Arc::clone(&print)));
    }
    if args.dry_run {
        config.dry();
    } else if config.clients.is_empty() {
        anyhow::bail!("{}: key clients: nobody to ship to (--dry-run prints instead)", file.display());
    }
    let around = surroundings(args.dry_run.then(|| printer(print)));
    let shipper = if args.stdin {
        if std::io::stdin().is_terminal() {
            tracing::info!("reading lines from the terminal; Ctrl-D ends");
        }
        Shipper::ship_lines(config, &around, Box::new(BufReader::new(std::io::stdin()))).await?
    } else {
        let shipper = Shipper::start(config, &around).context("start the shipper")?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shipper
    };
    if args.dry_run || args.inspect {
        tell_idle(&shipper);
    }
    shipper.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// A folder of configurations means Promtail's in it.
fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("promtail/promtail-config.yml") } else { path.to_owned() }
}

fn surroundings(store: Option<(Arc<dyn reba_storage::LogAppender>, reba_ship::IsOurs)>) -> Surroundings {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Surroundings {
        env: Env::real(),
        store,
        host: host.trim().to_owned(),
        now_ns: Arc::new(system_now_ns),
        user_agent: USER_AGENT.to_owned(),
        proxies: proxies(),
    }
}

fn proxies() -> ProxyEnv {
    let get = |upper: &str, lower: &str| {
        let mut all = folder::process().filter(|(name, _)| name == upper || name == lower);
        all.next().map(|(_, value)| value)
    };
    ProxyEnv {
        http: get("HTTP_PROXY", "http_proxy"),
        https: get("HTTPS_PROXY", "https_proxy"),
        no_proxy: get("NO_PROXY", "no_proxy"),
    }
}

/// Says which stages found nothing in any line: most often an expression that is wrong.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn tell_idle(shipper: &Shipper) {
    for (job, stages) in shipper.reports() {
        for stage in stages.iter().filter(|s| s.seen > 0 && s.missed == s.seen) {
            eprintln!("job {job}: {} found nothing to do in any of {} lines", stage.path, stage.seen);
        }
    }
}
