//! What `reba query` is told.

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    client::At,
    query::{logql::LogqlArgs, traceql::TraceqlArgs},
};

/// Options of `query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The language.
    #[command(subcommand)]
    pub language: QueryLanguage,
}

/// Query languages.
#[derive(Debug, Subcommand)]
pub enum QueryLanguage {
    /// PromQL, now or over a range.
    #[command(after_help = "\
Examples:
  reba query promql up
  reba query promql 'sum(rate(http_requests_total[5m]))' --since 1h
  reba query promql 'up == 0' --output json
  reba query promql up --start 2026-01-01T00:00:00Z --end 2026-01-01T01:00:00Z --step 1m --output csv")]
    Promql(PromqlArgs),
    /// TraceQL: traces, or series made of their spans.
    #[command(after_help = "\
Examples:
  reba query traceql '{ resource.service.name = \"wallet-service\" && status = error }'
  reba query traceql '{ duration > 1s }' --since 1h --output ids
  reba query traceql '{ kind = server } | quantile_over_time(duration, .99) by (resource.service.name)' --since 30m")]
    Traceql(TraceqlArgs),
    /// LogQL: lines, or numbers made of them.
    #[command(after_help = "\
Examples:
  reba query logql '{service=\"wallet-service\"} |= \"failed\"' --since 10m
  reba query logql '{service=\"wallet-service\"} | json | level=\"error\"' --output raw | jq .err.message
  reba query logql 'sum by (service) (count_over_time({level=\"error\"} [5m]))'
  reba query logql 'sum by (service) (rate({level=\"error\"} [1m]))' --since 1h
  reba query logql '{level=\"error\"}' --start 2026-01-01T00:00:00Z --direction forward -n 5000 --output jsonl

Exit codes: 0 answered, also with nothing; 1 no answer, or the query was refused; 2 wrong command line.")]
    Logql(LogqlArgs),
    /// List the queries that run or wait.
    #[command(after_help = "\
Examples:
  reba query active
  reba query active --output json")]
    Active(ActiveArgs),
    /// Stop queries by their numbers, as `reba query active` shows them.
    #[command(after_help = "\
Examples:
  reba query kill 17
  reba query kill 17 18")]
    Kill(KillArgs),
}

/// Options of `query active`.
#[derive(Debug, Args)]
pub struct ActiveArgs {
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
    /// How the list is printed.
    #[arg(long, default_value = "table", value_name = "FORMAT")]
    pub output: ListFormat,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Columns.
    Table,
    /// The API's JSON.
    Json,
}

/// Options of `query kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// The numbers.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<u64>,
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
}

/// Options of `query promql`.
#[derive(Debug, Args)]
pub struct PromqlArgs {
    /// The expression.
    #[arg(allow_hyphen_values = true)]
    pub expr: String,
    /// Where to ask.
    #[command(flatten)]
    pub at: At,
    /// The moment of an instant query (seconds or RFC 3339; now, if absent).
    #[arg(long, conflicts_with_all = ["start", "since"], value_name = "TIME")]
    pub time: Option<String>,
    /// A range of this length that ends now.
    #[arg(long, conflicts_with = "start", value_name = "DURATION")]
    pub since: Option<String>,
    /// Start of the range.
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// End of the range (now, if absent).
    #[arg(long, requires = "start", value_name = "TIME")]
    pub end: Option<String>,
    /// Distance of two points (a 100th of the range, if absent).
    #[arg(long, value_name = "DURATION")]
    pub step: Option<String>,
    /// How the answer is printed; a range is drawn unless told otherwise.
    #[arg(long, value_name = "FORMAT")]
    pub output: Option<OutputFormat>,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns.
    Table,
    /// One small picture a series (ranges only).
    Plot,
    /// The API's JSON.
    Json,
    /// Comma-separated values.
    Csv,
}
