//! `reba`: configuration, wiring, reload and shutdown; no logic worth a unit test lives here, but for what only a
//! terminal needs.

mod alertmanagers;
mod args;
mod backtest;
mod check;
mod client;
mod config;
mod demo;
mod demo_inbox;
mod door;
mod exporters;
mod folder;
mod grafana;
mod log_rules;
mod log_settings;
mod logging;
mod loki;
mod metrics;
mod otlp;
mod own_logs;
mod prometheus;
mod promtail;
mod push;
mod query;
mod reload;
mod remote;
mod retention;
mod run;
mod settings;
mod shift;
mod ship_cmd;
mod state;
mod store;
mod tail;
mod test_rules;
mod transfer;
mod upstream;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser as _;
use easymo_fleet::{InboxConfig, InboxHandle};
use reba_collect::FlagError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use logging::Spoken;

use shift::Demo;

use args::{Cli, Command, DemoArgs, DemoCommand, QueryLanguage, RulesAction, RunArgs, TestSubject};

/// Gives memory back to the system and scales with threads. It is built without huge pages (`no_thp`): many small things of
/// different ages never fill pages of 2 MiB, so that these cost a third to a half of the memory and made nothing faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a wrong command line or configuration.
const WRONG_CONFIGURATION: u8 = 2;

#[expect(clippy::print_stderr, reason = "the last word of a command-line tool")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two providers linked into one process make rustls panic at the first connection: ours is chosen here, first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Threads for blocking work take turns, so that by default every one that a start-up needed lives for ever, and each
    // holds some memory of its own.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.enable_all().thread_keep_alive(Duration::from_secs(1)).build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("reba: cannot start the runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("reba: {e:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
async fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Run(args) => {
            let Some(own) = speak(&cli.log, cli.log_format) else { return Ok(WRONG_CONFIGURATION.into()) };
            let hangup = signal(SignalKind::hangup())?;
            let Some(configured) = configure(&args, &Demo::default()) else {
                return Ok(WRONG_CONFIGURATION.into());
            };
            let running = Box::pin(run::start(configured, &args.data, own)).await?;
            // Not through the log, which is kept and shown.
            eprint!("{}", running.made_up_password());
            until_stopped(running, hangup).await
        }
        Command::Demo(DemoArgs { command: Some(DemoCommand::Incident(args)), .. }) => {
            print!("{}", demo::incident(&args).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(DemoArgs { command: Some(DemoCommand::Inbox(args)), .. }) => {
            demo_inbox::show(&args).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => {
            let Some(own) = speak(&cli.log, cli.log_format) else { return Ok(WRONG_CONFIGURATION.into()) };
            let hangup = signal(SignalKind::hangup())?;
            let (data, offset) = (&args.run.data, args.run.port_offset);
            // First of all: what alerts shall reach must be there before the first of them.
            let inbox = InboxHandle::start(InboxConfig::documented(offset)?).await?;
            let changes = demo::changes(&inbox, offset);
            let Some(configured) = configure(&args.run, &changes) else {
                return Ok(WRONG_CONFIGURATION.into());
            };
            let fleet = demo::fleet(&args).await?;
            let running = Box::pin(run::start(configured, data, own)).await?;
            print!("{}", demo::welcome(&running, &fleet, &inbox, offset));
            let code = until_stopped(running, hangup).await;
            fleet.shutdown().await;
            inbox.shutdown().await;
            code
        }
        Command::Ship(args) => match speak(&cli.log, cli.log_format) {
            Some(_) => ship_cmd::ship(&args).await,
            None => Ok(WRONG_CONFIGURATION.into()),
        },
        Command::Check(args) => {
            let (text, ok) = check::check(&args.config, args.output)?;
            print!("{text}");
            Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Query(args) => {
            let (text, remarks) = match args.language {
                QueryLanguage::Promql(args) => query::promql(&args).await?,
                QueryLanguage::Logql(args) => query::logql::logql(&args).await?,
                QueryLanguage::Active(args) => (query::active::list(&args).await?, Vec::new()),
                QueryLanguage::Kill(args) => (query::active::kill(&args).await?, Vec::new()),
            };
            // Whoever has seen enough may leave.
            tail::write(text.as_bytes())
                .or_else(|e| if tail::is_broken_pipe(&e) { Ok(()) } else { Err(e) })?;
            for remark in remarks {
                eprintln!("{remark}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Tail(args) => {
            tail::tail(&args).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(args) => {
            eprintln!("{}", transfer::export(&args)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(args) => {
            println!("{}", transfer::import(&args)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Rules(args) => {
            let RulesAction::Backtest(args) = args.action;
            let (text, ok) = backtest::backtest(&args).await?;
            print!("{text}");
            Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Test(args) => {
            let TestSubject::Rules(args) = args.subject;
            let (text, ok) = test_rules::rules(&args.files, &args.run).await?;
            print!("{text}");
            Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Starts logging; says what is wrong with the filter.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn speak(filter: &str, format: args::LogFormat) -> Option<Spoken> {
    logging::init(filter, format).inspect_err(|e| eprintln!("reba: {e:#}")).ok()
}

/// Reads the configuration; says what is wrong with it.
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command-line tool")]
fn configure(args: &RunArgs, demo: &Demo) -> Option<run::Configured> {
    let complain = |e: &anyhow::Error| {
        if let Some(FlagError::Help(text)) = e.downcast_ref() {
            print!("{text}");
            std::process::exit(0);
        }
        eprintln!("reba: {e:#}");
    };
    run::configure(args, demo).inspect_err(complain).ok()
}

/// Serves until a signal, or somebody who asks over HTTP, wants the end; `hangup` reads the configuration again. It is
/// caught since before the start, for it would end a process that does not expect it.
async fn until_stopped(running: run::Running, mut hangup: Signal) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = running.stop.cancelled() => break,
            _ = hangup.recv() => {
                // The reason of a failure was logged; the old configuration goes on.
                let _ = running.reload().await;
            }
        }
    }
    tracing::info!("stopping");
    running.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}
