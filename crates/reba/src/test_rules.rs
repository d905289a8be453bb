//! `reba test rules`: unit tests of rules, in promtool's format, on the real store and the real query engine.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use reba_disk::{Env, FaultFs, SystemClock};
use reba_model::{
    GoRegex,
    notation::{SeriesValue, parse_series},
};
use reba_query::{EngineConfig, QueryEngine};
use reba_rules::{
    EngineQuerier, FileOptions, SampleValue,
    unit_test::{InputValues, TestStore, Workshop, run_file},
};
use reba_tsdb::{Tsdb, TsdbConfig};

use crate::folder::variables_beside;

/// The tests of all files whose names match one of `run`: the text to print, and whether all passed.
pub async fn rules(files: &[PathBuf], run: &[String]) -> Result<(String, bool)> {
    let selection = (!run.is_empty()).then(|| run.join("|"));
    let selection = selection.map(|text| GoRegex::search(&text).with_context(|| format!("--run {text:?}")));
    let selection = selection.transpose()?;
    let selected = |name: &str| selection.as_ref().is_none_or(|regex| regex.is_match(name));
    let (mut out, mut ok) = (String::new(), true);
    let (mut passed, mut failed) = (0, 0);
    for file in files {
        // Writing to a text does not fail.
        let _ = writeln!(out, "Unit Testing:  {}", file.display());
        let workshop = Workshop {
            new_store: &new_store,
            parse_series: &series,
            options: FileOptions::default(),
            variables: variables_beside(file)?,
        };
        match run_file(file, &workshop, &selected).await {
            Err(error) => {
                ok = false;
                let _ = writeln!(out, "  FAILED:\n{error}");
            }
            Ok(results) => {
                let bad: Vec<_> = results.iter().filter(|r| !r.failures.is_empty()).collect();
                (passed, failed) = (passed + results.len() - bad.len(), failed + bad.len());
                if bad.is_empty() {
                    out.push_str("  SUCCESS\n");
                } else {
                    out.push_str("  FAILED:\n");
                }
                for test in bad {
                    let _ = writeln!(out, "  {}:\n{}\n", test.name, test.failures.join("\n"));
                }
            }
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed");
    Ok((out, ok && failed == 0))
}

/// The store that `reba run` has, in memory: what the tests prove holds there.
fn new_store(interval: i64) -> Result<TestStore, String> {
    let env = Env { fs: Arc::new(FaultFs::new()), clock: Arc::new(SystemClock::new()) };
    let config = TsdbConfig { shards: 1, ..TsdbConfig::unbounded() };
    let store = Tsdb::open(&env, "/", config, &|_, _| {}).map_err(|e| e.to_string())?;
    let store = Arc::new(store);
    let config = EngineConfig { subquery_step_ms: interval, ..EngineConfig::default() };
    let engine = QueryEngine::new(Arc::clone(&store) as _, config).map_err(|e| e.to_string())?;
    let querier = Arc::new(EngineQuerier::new(Arc::new(engine)));
    Ok(TestStore { store: Arc::clone(&store) as _, appender: store, querier })
}

fn series(line: &str) -> Result<InputValues, String> {
    let line = parse_series(line).map_err(|e| e.to_string())?;
    let value = |v: SeriesValue| match v {
        SeriesValue::Omitted => None,
        SeriesValue::Float(v) => Some(SampleValue::Float(v)),
        SeriesValue::Histogram(h, _) => Some(SampleValue::Histogram(h)),
    };
    Ok((line.labels, line.values.into_iter().map(value).collect()))
}
