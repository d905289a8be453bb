//! The command line.

mod query;
mod role;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use query::{ActiveArgs, KillArgs, ListFormat, OutputFormat, PromqlArgs, QueryArgs, QueryLanguage};
pub use role::Role;

use crate::{
    alerts::{AlertsArgs, SilenceArgs},
    backup::{BackupArgs, RestoreArgs},
    client::At,
    demo::IncidentArgs,
    demo_inbox::InboxArgs,
    status::StatusArgs,
    tail::TailArgs,
    trace::TraceArgs,
    upstream::UpstreamFlags,
};

/// Prometheus, Grafana, Loki, Promtail, Tempo, Alertmanager and the exporters in one program.
#[derive(Debug, Parser)]
#[command(name = "reba", version, max_term_width = 110, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  reba demo                                    Reba with the simulated EasyMO fleet
  reba run --config monitoring/                the real thing
  reba check --config monitoring/              is this folder right?
  reba test rules monitoring/prometheus/alerts_test.yml
  reba rules backtest monitoring/prometheus/alerts.yml --since 7d
  reba query promql 'sum(rate(http_requests_total[5m])) by (service)'
  reba tail wallet-service
  reba backup /mnt/backups/today.tar.zst

Environment:
  REBA_LOG            as --log
  REBA_PORT_OFFSET    as --port-offset: what listens, and where commands ask
  REBA_USER           as --user: NAME:PASSWORD, where a role lets in nobody else
  REBA_TENANT         as --tenant
  NO_COLOR            no colours, whatever the terminal can do

Exit codes: 0 done; 1 failed; 2 wrong command line or configuration.")]
pub struct Cli {
    /// What is logged: a level, or targets with levels (`info,reba_ingest=debug`).
    #[arg(
        long,
        alias = "log.level",
        global = true,
        default_value = "info",
        env = "REBA_LOG",
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    pub log: String,
    /// How it is written.
    #[arg(
        long,
        alias = "log.format",
        global = true,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[value(alias = "logfmt")]
    Text,
    /// For machines: a JSON object a line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the targets of a configuration folder.
    #[command(after_help = "\
Examples:
  reba run --config monitoring/ --data /var/lib/reba
  reba run --config monitoring/ --only prometheus --port-offset 10000
  reba run --only node -- --collector.systemd --path.rootfs=/host
  reba run --only redis -- --help              the flags of an exporter
  reba run --only alertmanager -- --config.file=/etc/prometheus/alertmanager.yml --storage.path=/var/lib/reba

Signals: SIGHUP reads the configuration again; SIGINT and SIGTERM stop in order.")]
    Run(RunArgs),
    /// Run with the simulated EasyMO fleet, and switch its incidents on and off.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
Examples:
  reba demo
  reba demo incident list
  reba demo incident start payments-down
  reba demo incident stop payments-down
  reba demo inbox --follow"
    )]
    Demo(DemoArgs),
    /// Check a configuration folder without starting anything.
    #[command(after_help = "\
Examples:
  reba check --config monitoring/
  reba check --config monitoring/ --output json

Exit codes: 0 all right; 1 something is wrong (each line names file, line and key).")]
    Check(CheckArgs),
    /// Ask a running Reba (or Prometheus, or Loki).
    #[command(after_help = "\
Examples:
  reba query promql 'sum(rate(http_requests_total[5m]))' --since 1h
  reba query logql '{service=\"wallet-service\"} |= \"failed\"' --since 10m
  reba query traceql '{ status = error }'")]
    Query(QueryArgs),
    /// Show the last lines of logs, and new ones as they come.
    #[command(after_help = "\
Examples:
  reba tail                                               everything
  reba tail wallet-service                                what one service writes
  reba tail '{service=\"wallet-service\"} | json | status >= 400'
  reba tail '{level=\"error\"}' --since 10m -n 50 --no-follow -C 3
  reba tail wallet-service --output jsonl | jq .line

A lost connection is made again; no line is left out or comes twice. Colours are for terminals only, and NO_COLOR \
switches them off. On a terminal, characters that it would obey are shown as \\x1b.

Exit codes: 0 done, interrupted, or nobody reads any more; 1 no answer, or the query was refused; 2 wrong command line.")]
    Tail(TailArgs),
    /// Say what runs, how it is, and what needs attention.
    #[command(after_help = "\
Examples:
  reba status
  reba status --port-offset 10000 --output json
  REBA_USER=watch:tower reba status --url https://easymo-1:9090

Exit codes: 0 it runs and is ready; 1 it does not run, or a role is not ready.")]
    Status(StatusArgs),
    /// Look at alerts: what fires, what happened, and whether a drill reaches people.
    #[command(after_help = "\
Examples:
  reba alerts list
  reba alerts history --since 7d
  reba alerts drill ServiceDown")]
    Alerts(AlertsArgs),
    /// Keep alerts quiet: once, until they are resolved, or again and again.
    #[command(after_help = "\
Examples:
  reba silence add ServiceDown service=wallet-service --for 2h --comment 'release 1.4'
  reba silence list")]
    Silence(SilenceArgs),
    /// Show a trace as a waterfall, with the lines that its services wrote.
    #[command(after_help = "\
Examples:
  reba trace 4bf92f3577b34da6a3ce929d0e0e4736
  reba trace 123e4567-e89b-12d3-a456-426614174000 --no-logs
  reba query traceql '{ status = error }' --since 10m --output ids | head -1 | xargs reba trace

Exit codes: 0 found; 1 there is no such trace, or no answer; 2 wrong command line.")]
    Trace(TraceArgs),
    /// Write stored samples as OpenMetrics with timestamps.
    #[command(after_help = "\
Examples:
  reba export --data data > all.om
  reba export --data data --match 'up' --match '{job=\"rides\"}' --start 2026-01-01T00:00:00Z > rides.om

The store must not be in use. `reba import openmetrics` and `promtool tsdb create-blocks-from openmetrics` read the \
output. Native histograms and staleness markers have no form in it: how many were left out is said at the end.")]
    Export(ExportArgs),
    /// Bring samples of any age into a store, or an Alertmanager's state along.
    #[command(after_help = "\
Examples:
  reba import prometheus /var/lib/prometheus/snapshots/20260101T000000Z-0123456789abcdef --data data
  reba import openmetrics all.om --data data
  reba import alertmanager /var/lib/prometheus/alertmanager --data data

Lines of a Loki and dashboards of a Grafana come along without this command: docs/moving-data.md says how.")]
    Import(ImportArgs),
    /// Copy everything that is kept: metrics, logs, traces and state.
    #[command(after_help = "\
Examples:
  reba backup /mnt/backups/2026-01-01.tar.zst
  reba backup /mnt/backups/2026-01-01 --data /var/lib/reba           a folder instead of an archive

Reba may run: it makes copies of what it has at that moment, everything acknowledged included, and goes on; only its own user \
and root are given them. It may also be stopped, or have been killed. Configuration files are not in a backup, nor is what waits \
to be sent to other stores. `sha256sum -c SHA256SUMS` checks a backup in a folder, `reba restore --check` any.

Exit codes: 0 done; 1 the target exists, something cannot be read or written, or there is no data.")]
    Backup(BackupArgs),
    /// Bring a backup back.
    #[command(after_help = "\
Examples:
  reba restore /mnt/backups/2026-01-01.tar.zst --data /var/lib/reba
  reba restore /mnt/backups/2026-01-01.tar.zst --check               is it whole? nothing is written

The data folder must be empty. Nothing is in its place before all of it has been compared with its checksums; a restore that was \
killed is begun again, or finished, by the next one, and `reba run` does not start on a half of one.

Exit codes: 0 done; 1 the data folder is not empty, or the backup is damaged.")]
    Restore(RestoreArgs),
    /// Collect logs and ship them, without a store: Promtail's program.
    #[command(after_help = "\
Examples:
  reba ship --config monitoring/
  reba ship --config promtail-config.yml --dry-run
  tail -n 20 app.log | reba ship --config promtail-config.yml --stdin --dry-run --inspect

Exit codes: 0 stopped, or standard input ended; 1 the configuration is wrong, or nothing can be shipped.")]
    Ship(ShipArgs),
    /// Work with rules.
    #[command(after_help = "\
Examples:
  reba rules backtest monitoring/prometheus/alerts.yml --since 7d")]
    Rules(RulesArgs),
    /// Run the unit tests of rules.
    #[command(after_help = "\
Examples:
  reba test rules monitoring/prometheus/alerts_test.yml")]
    Test(TestArgs),
    /// Print what a shell needs to complete this program's words.
    #[command(after_help = "\
Examples:
  reba completions bash > ~/.local/share/bash-completion/completions/reba
  reba completions zsh > \"${fpath[1]}/_reba\"
  reba completions fish > ~/.config/fish/completions/reba.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    #[command(after_help = "\
Examples:
  reba man /usr/local/share/man/man1")]
    Man {
        /// The folder, which must exist.
        dir: PathBuf,
        /// The day that stands in them, Unix seconds (today, if absent): the same pages come out of the same program.
        #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
        date: Option<i64>,
    },
}

/// Options of `run` and `demo`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The configuration folder: prometheus/prometheus.yml and so on; what is missing has defaults.
    #[arg(long, alias = "config.file", default_value = "monitoring", value_name = "DIR")]
    pub config: PathBuf,
    /// Where data is kept.
    #[arg(long, alias = "storage.tsdb.path", default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
    /// Start only these roles: an edge agent is `--only promtail`.
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    pub only: Vec<Role>,
    /// Address that every role listens on.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    pub bind: IpAddr,
    /// Added to every port, so that two can run side by side.
    #[arg(long, default_value_t = 0, env = "REBA_PORT_OFFSET", value_name = "N")]
    pub port_offset: u16,
    /// Prometheus' flags, for those who bring a unit file along.
    #[command(flatten)]
    pub upstream: UpstreamFlags,
    /// Flags of the one exporter that --only names, or of alertmanager, as its upstream spells them: `--only node -- --collector.systemd`.
    #[arg(last = true, value_name = "FLAG")]
    pub exporter_flags: Vec<String>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What to do with a demo that runs.
    #[command(subcommand)]
    pub command: Option<DemoCommand>,
    /// As for `run`.
    #[command(flatten)]
    pub run: RunArgs,
    /// The same seed gives the same rides.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// How many times faster than life the fleet lives.
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub speed: f64,
}

/// Sub-commands of `demo`.
#[derive(Debug, Subcommand)]
pub enum DemoCommand {
    /// List, start and stop incidents.
    #[command(after_help = "\
Examples:
  reba demo incident list
  reba demo incident start payments-down
  reba demo incident stop payments-down")]
    Incident(IncidentArgs),
    /// Show what arrived in the demo's inbox: e-mails, and messages to Slack, PagerDuty, Opsgenie and webhooks.
    #[command(after_help = "\
Examples:
  reba demo inbox
  reba demo inbox --follow
  reba demo inbox 3                the third message, in full
  reba demo inbox --output json | jq '.messages[].subject'")]
    Inbox(InboxArgs),
}

/// Options of `ship`.
#[derive(Debug, Args)]
pub struct ShipArgs {
    /// The configuration, or a folder with promtail/promtail-config.yml.
    #[arg(long, alias = "config.file", default_value = "monitoring", value_name = "PATH")]
    pub config: PathBuf,
    /// Print entries instead of sending them; places in files are not written down.
    #[arg(long)]
    pub dry_run: bool,
    /// Print what each stage does to each entry.
    #[arg(long)]
    pub inspect: bool,
    /// Read lines from standard input instead of the configured sources, through the first job.
    #[arg(long)]
    pub stdin: bool,
    /// Only say whether the configuration is right, and what has no effect.
    #[arg(long)]
    pub check_syntax: bool,
    /// The positions file, instead of the configured one.
    #[arg(long, alias = "positions.file", value_name = "FILE")]
    pub positions: Option<PathBuf>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration folder, or a prometheus.yml.
    #[arg(long, default_value = "monitoring", value_name = "PATH")]
    pub config: PathBuf,
    /// How findings are printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub output: CheckFormat,
}

/// Form of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A line a finding, its severity at the end.
    Text,
    /// An object: `ok`, and the list of findings.
    Json,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Where the data is kept.
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub data: PathBuf,
    /// Which series; may be given more than once (all, if absent).
    #[arg(long = "match", value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// The first moment (seconds or RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// The last moment.
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Where it comes from.
    #[command(subcommand)]
    pub source: ImportSource,
    /// Where the data is kept.
    #[arg(long, default_value = "data", value_name = "DIR", global = true)]
    pub data: PathBuf,
}

/// What can be imported.
#[derive(Debug, Subcommand)]
pub enum ImportSource {
    /// A file of OpenMetrics whose samples all have timestamps.
    #[command(after_help = "\
Examples:
  reba import openmetrics all.om --data data

The store must not be in use. The file is checked before the first sample is written. Importing it again does no harm.")]
    Openmetrics {
        /// The file.
        file: PathBuf,
    },
    /// The blocks of a Prometheus: its data directory, a snapshot, or one block.
    #[command(after_help = "\
Examples:
  curl -X POST http://prometheus:9090/api/v1/admin/tsdb/snapshot     (with --web.enable-admin-api)
  reba import prometheus /var/lib/prometheus/snapshots/20260101T000000Z-0123456789abcdef --data data

The store must not be in use; Prometheus may be. The newest hours are in Prometheus' log, not in its blocks: a \
snapshot has them. Raise metrics.retention in reba.yml before the next start if older samples than 30 days are to stay.")]
    Prometheus {
        /// The directory.
        dir: PathBuf,
    },
    /// The silences of an Alertmanager, and what its receivers were told: its data folder.
    #[command(after_help = "\
Examples:
  systemctl stop prometheus-alertmanager
  reba import alertmanager /var/lib/prometheus/alertmanager --data data

Alertmanager writes its files when it stops, and every quarter of an hour. Silences keep their ids, and nobody is told again of what \
it has told. No Reba may have the data open. Importing it again does no harm: what is newer stays.")]
    Alertmanager {
        /// The folder with `silences` and `nflog` (`--storage.path`).
        dir: PathBuf,
    },
}

/// Options of `rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub action: RulesAction,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum RulesAction {
    /// When would these alerts have fired?
    #[command(after_help = "\
Examples:
  reba rules backtest monitoring/prometheus/alerts.yml
  reba rules backtest alerts.yml --since 30d --url http://127.0.0.1:9090
  reba rules backtest alerts.yml --since 7d --data data --output json

Every alerting rule is replayed over what is stored, evaluation by evaluation. Expressions that use a recorded series see \
what was recorded, not what a recording rule of these files would have recorded.

Exit codes: 0 all rules were replayed; 1 a file is wrong or a query failed.")]
    Backtest(BacktestArgs),
}

/// Options of `rules backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Rule files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How far back to begin.
    #[arg(long, default_value = "1d", value_name = "DURATION")]
    pub since: String,
    /// The last moment (seconds or RFC 3339; now, if absent).
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// The running Reba or Prometheus to ask.
    #[command(flatten)]
    pub at: At,
    /// A store to ask instead, one that is not in use.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data: Option<PathBuf>,
    /// Distance of evaluations in groups that name none.
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    pub interval: String,
    /// How the answer is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: BacktestFormat,
}

/// Form of a back-test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BacktestFormat {
    /// A table of periods, and a line of time for every alert.
    Table,
    /// A JSON object.
    Json,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// What is tested.
    #[command(subcommand)]
    pub subject: TestSubject,
}

/// What can be tested.
#[derive(Debug, Subcommand)]
pub enum TestSubject {
    /// Recording and alerting rules, in files as `promtool test rules` takes them.
    #[command(after_help = "\
Examples:
  reba test rules monitoring/prometheus/alerts_test.yml
  reba test rules --run 'payments|rides' monitoring/prometheus/*_test.yml

Exit codes: 0 all tests passed; 1 a test failed or a file cannot be read; 2 wrong command line.")]
    Rules(TestRulesArgs),
}

/// Options of `test rules`.
#[derive(Debug, Args)]
pub struct TestRulesArgs {
    /// The files with the tests.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run only the tests whose names match; may be given more than once.
    #[arg(long, value_name = "REGEX")]
    pub run: Vec<String>,
}
