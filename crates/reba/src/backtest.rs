//! `reba rules backtest`: asks for the data, and prints what the alerts would have done.

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail};
use futures::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use reba_api::prometheus::backtest_json;
use reba_query::{EngineConfig, QueryEngine};
use reba_rules::{
    EngineQuerier, FileOptions, RuleFile, RuleQueryError,
    backtest::{self, RangeRequest, RangeSeries, RuleHistory, Span},
};

use crate::{
    args::{BacktestArgs, BacktestFormat, Role},
    client::Server,
    folder::variables_beside,
    query::{answer, escape, parse_duration, parse_time, seconds, width},
    transfer,
};

type Answer = Result<Vec<RangeSeries>, RuleQueryError>;

/// The text to print, and whether every rule was replayed.
pub async fn backtest(args: &BacktestArgs) -> Result<(String, bool)> {
    let now = Timestamp::now().as_millisecond();
    let end = args.until.as_deref().map_or(Ok(now), |text| parse_time("--until", text))?;
    let start = end.saturating_sub(parse_duration("--since", &args.since)?);
    let span = Span { start, end, interval: parse_duration("--interval", &args.interval)? };
    if span.interval == 0 {
        bail!("--interval must be above zero");
    }
    let files = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let mut histories = Vec::new();
    if let Some(data) = &args.data {
        let querier = querier(data, span.interval)?;
        let fetch = |request: RangeRequest| -> BoxFuture<'_, Answer> { Box::pin(querier.range(request)) };
        for file in &files {
            histories.extend(backtest::replay(file, span, &fetch).await);
        }
    } else {
        let server = args.at.server(Role::Prometheus)?;
        // One error, rather than one for every rule, if nobody is there.
        server.send(Method::GET, "/-/ready").await?;
        let fetch = |request: RangeRequest| -> BoxFuture<'_, Answer> { Box::pin(ask(&server, request)) };
        for file in &files {
            histories.extend(backtest::replay(file, span, &fetch).await);
        }
    }
    let ok = histories.iter().all(|h| h.error.is_none());
    let text = match args.output {
        BacktestFormat::Json => format!("{:#}\n", backtest_json(&histories, span)),
        BacktestFormat::Table => to_text(&histories, span),
    };
    Ok((text, ok))
}

fn read(path: &Path) -> Result<RuleFile> {
    match RuleFile::load(path, &variables_beside(path)?, &FileOptions::default()) {
        Ok((file, _)) => Ok(file),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}

/// A query engine on a store that is not in use.
fn querier(data: &Path, interval: i64) -> Result<EngineQuerier> {
    if !data.join("metrics").is_dir() {
        bail!("{}: no store is there (--data)", data.display());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = EngineConfig { subquery_step_ms: interval, cores, ..EngineConfig::default() };
    let store = Arc::new(transfer::open(data)?);
    Ok(EngineQuerier::new(Arc::new(QueryEngine::new(store, config)?)))
}

/// Asks a server for a range.
async fn ask(server: &Server, request: RangeRequest) -> Answer {
    let fail = |e: anyhow::Error| RuleQueryError(format!("{e:#}"));
    let RangeRequest { query, start, end, step } = request;
    let times = format!("start={}&end={}&step={}", seconds(start), seconds(end), seconds(step));
    let path = format!("/api/v1/query_range?query={}&{times}", escape(&query));
    let (_, body) = server.send(Method::GET, &path).await.map_err(fail)?;
    answer::read_range(&body).map_err(fail)
}

fn to_text(histories: &[RuleHistory], span: Span) -> String {
    let mut out = String::new();
    if histories.iter().any(|h| !h.alerts.is_empty()) {
        out.push_str(&backtest::table(histories, span));
        out.push('\n');
        // Names stand behind the line, so that it may have half of the width.
        out.push_str(&backtest::timelines(histories, span, (width() / 2).max(40)));
        out.push('\n');
    }
    for history in histories {
        if let Some((error, times)) = &history.error {
            out.push_str(&format!("{}: {times} evaluations failed, at last with: {error}\n", history.alert));
        }
    }
    let silent = histories.iter().filter(|h| h.alerts.is_empty()).count();
    out.push_str(&format!("{} alerting rules, {silent} of them silent\n", histories.len()));
    out
}
