//! `reba`: configuration, wiring, reload and shutdown; no logic worth a unit test lives here, but for what only a
//! terminal needs.

mod alert_check;
mod alert_history;
mod alertmanager;
mod alertmanager_flags;
mod alertmanager_settings;
mod alertmanagers;
mod alerts;
mod args;
mod backtest;
mod backup;
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
mod man;
mod metrics;
mod otlp;
mod own_logs;
mod own_spans;
mod progress;
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
mod signals;
mod span_store;
mod state;
mod status;
mod store;
mod tail;
mod tempo;
mod test_rules;
mod trace;
mod transfer;
mod transfer_alerts;
mod upstream;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{CommandFactory as _, Parser as _};
use easymo_fleet::{InboxConfig, InboxHandle};
use jiff::Timestamp;
use reba_collect::FlagError;

use alertmanager_flags::AlertmanagerFlags;
use logging::Spoken;

use shift::Demo;
use signals::Signals;

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

/// Commands that serve until they are stopped; the others are tools.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
async fn dispatch(cli: Cli) -> Result<ExitCode> {
    let speak_as_told = || speak(&cli.log, cli.log_format);
    match cli.command {
        Command::Run(mut args) => {
            let Some(flags) = own_flags(&mut args) else { return Ok(WRONG_CONFIGURATION.into()) };
            let filter = flags.log().unwrap_or(&cli.log);
            let own = speak(filter, flags.log_format().unwrap_or(cli.log_format));
            let Some(own) = own else { return Ok(WRONG_CONFIGURATION.into()) };
            let mut signals = Signals::catch()?;
            let Some(configured) = configure(&args, &flags, &Demo::default()) else {
                return Ok(WRONG_CONFIGURATION.into());
            };
            let running = signals.wait_for(Box::pin(run::start(configured, &args.data, own))).await?;
            // Not through the log, which is kept and shown.
            eprint!("{}", running.made_up_password());
            until_stopped(&running, signals).await;
            running.shutdown().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) if args.command.is_none() => {
            let Some(own) = speak_as_told() else { return Ok(WRONG_CONFIGURATION.into()) };
            Box::pin(demonstrate(args, own)).await
        }
        Command::Ship(args) => match speak_as_told() {
            Some(_) => ship_cmd::ship(&args).await,
            None => Ok(WRONG_CONFIGURATION.into()),
        },
        command => {
            let (text, ok) = Box::pin(tool(command)).await?;
            print(&text)?;
            Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Writes to standard output. Whoever has seen enough may leave.
fn print(text: &str) -> Result<()> {
    tail::write(text.as_bytes()).or_else(|e| if tail::is_broken_pipe(&e) { Ok(()) } else { Err(e) })
}

/// Reba with the simulated fleet and an inbox for what its alerts send.
async fn demonstrate(args: DemoArgs, own: Spoken) -> Result<ExitCode> {
    let mut signals = Signals::catch()?;
    let (data, offset) = (&args.run.data, args.run.port_offset);
    // First of all: what alerts shall reach must be there before the first of them.
    let inbox = InboxHandle::start(InboxConfig::documented(offset)?).await?;
    let changes = demo::changes(&inbox, offset);
    let Some(configured) = configure(&args.run, &AlertmanagerFlags::default(), &changes) else {
        return Ok(WRONG_CONFIGURATION.into());
    };
    let fleet = demo::fleet(&args, configured.takes_traces()).await?;
    let running = signals.wait_for(Box::pin(run::start(configured, data, own))).await?;
    let program = std::env::args().next().unwrap_or_else(|| "reba".to_owned());
    print(&demo::welcome(&running, &fleet, &inbox, offset, &program))?;
    until_stopped(&running, signals).await;
    // Whoever sends stops before those who receive.
    fleet.shutdown().await;
    let stopped = running.shutdown().await;
    inbox.shutdown().await;
    stopped.map(|()| ExitCode::SUCCESS)
}

/// Does what a command asks for and ends: the text for standard output, and whether all is well.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
async fn tool(command: Command) -> Result<(String, bool)> {
    let said = |text: String| Ok((text, true));
    match command {
        Command::Run(_) | Command::Ship(_) | Command::Demo(DemoArgs { command: None, .. }) => {
            anyhow::bail!("this command serves")
        }
        Command::Demo(DemoArgs { command: Some(command), .. }) => match command {
            DemoCommand::Incident(args) => said(demo::incident(&args).await?),
            DemoCommand::Inbox(args) => demo_inbox::show(&args).await.map(|()| (String::new(), true)),
        },
        Command::Check(args) => check::check(&args.config, args.output),
        Command::Query(args) => {
            let (text, remarks) = match args.language {
                QueryLanguage::Promql(args) => query::promql(&args).await?,
                QueryLanguage::Logql(args) => query::logql::logql(&args).await?,
                QueryLanguage::Traceql(args) => (query::traceql::traceql(&args).await?, Vec::new()),
                QueryLanguage::Active(args) => (query::active::list(&args).await?, Vec::new()),
                QueryLanguage::Kill(args) => (query::active::kill(&args).await?, Vec::new()),
            };
            print(&text)?;
            for remark in remarks {
                eprintln!("{remark}");
            }
            said(String::new())
        }
        Command::Trace(args) => {
            let (text, remarks) = trace::trace(&args).await?;
            for remark in remarks {
                eprintln!("{remark}");
            }
            Ok((text.clone().unwrap_or_default(), text.is_some()))
        }
        Command::Tail(args) => tail::tail(&args).await.map(|()| (String::new(), true)),
        Command::Status(args) => status::status(&args).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "reba", &mut script);
            said(String::from_utf8(script)?)
        }
        Command::Man { dir, date } => {
            let date = date.map_or_else(|| Ok(Timestamp::now()), Timestamp::from_second)?;
            man::write(Cli::command(), &dir, date)?;
            said(String::new())
        }
        Command::Alerts(args) => alerts::alerts(&args).await,
        Command::Silence(args) => said(alerts::silence(&args).await?),
        Command::Export(args) => {
            eprintln!("{}", transfer::export(&args)?);
            said(String::new())
        }
        Command::Import(args) => said(format!("{}\n", transfer::import(&args)?)),
        Command::Backup(args) => said(tokio::task::spawn_blocking(move || backup::back_up(&args)).await??),
        Command::Restore(args) => said(tokio::task::spawn_blocking(move || backup::restore(&args)).await??),
        Command::Rules(args) => {
            let RulesAction::Backtest(args) = args.action;
            backtest::backtest(&args).await
        }
        Command::Test(args) => {
            let TestSubject::Rules(args) = args.subject;
            test_rules::rules(&args.files, &args.run).await
        }
    }
}

/// Starts logging; says what is wrong with the filter.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn speak(filter: &str, format: args::LogFormat) -> Option<Spoken> {
    logging::init(filter, format).inspect_err(|e| eprintln!("reba: {e:#}")).ok()
}

/// Reads the configuration; says what is wrong with it.
fn configure(args: &RunArgs, flags: &AlertmanagerFlags, demo: &Demo) -> Option<run::Configured> {
    run::configure(args, flags, demo).inspect_err(complain).ok()
}

/// Reads Alertmanager's own flags, if there are any; says what is wrong with them.
fn own_flags(args: &mut RunArgs) -> Option<AlertmanagerFlags> {
    AlertmanagerFlags::take(args).map_err(anyhow::Error::from).inspect_err(complain).ok()
}

/// Says what is wrong, or what somebody asked for who wants to know the flags.
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command-line tool")]
fn complain(e: &anyhow::Error) {
    if let Some(FlagError::Help(text)) = e.downcast_ref() {
        print!("{text}");
        std::process::exit(0);
    }
    eprintln!("reba: {e:#}");
}

/// Waits until a signal, or somebody who asks over HTTP, wants the end; a hangup reads the configuration again.
async fn until_stopped(running: &run::Running, mut signals: Signals) {
    loop {
        tokio::select! {
            is_reload = signals.reload() => {
                if !is_reload {
                    break;
                }
                // The reason of a failure was logged; the old configuration goes on.
                let _ = running.reload().await;
            }
            () = running.stop.cancelled() => break,
        }
    }
    tracing::info!("stopping");
}
