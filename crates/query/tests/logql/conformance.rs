//! Upstream's scripts through the engine, with everything that it tells a store.

use std::{sync::Arc, time::Duration};

use reba_model::{LogBatch, Tenant};
use reba_query::logs::{
    Direction, InstantLogQuery, LogData, LogEngineConfig, LogLimits, LogQueryEngine, RangeLogQuery,
};
use reba_storage::{LogAppender, LogQuerier};
use reba_testkit::{
    LogAnswer, LogScriptEngine, LogTimes, MemLogStore, Tally, conformance_dir, files_with_extension,
    run_log_script,
};
use tokio::runtime::Runtime;

use crate::store::ColumnStore;

/// Makes a store of what was written.
type Serve = fn(&Arc<MemLogStore>) -> Arc<dyn LogQuerier>;

struct Engine {
    runtime: Runtime,
    serve: Serve,
    store: Arc<MemLogStore>,
    engine: LogQueryEngine,
}

impl Engine {
    fn new(serve: Serve) -> Self {
        let store = Arc::new(MemLogStore::default());
        let engine = start(serve(&store));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Engine { runtime, serve, store, engine }
    }
}

fn start(store: Arc<dyn LogQuerier>) -> LogQueryEngine {
    let limits = LogLimits { max_query_series: 0, timeout: Duration::from_secs(60), ..LogLimits::default() };
    // The scripts name times that are no multiples of their steps.
    let config = LogEngineConfig {
        limits,
        max_concurrency: 1,
        cores: 2,
        align_to_step: false,
        ..LogEngineConfig::default()
    };
    LogQueryEngine::new(store, config).unwrap()
}

impl LogScriptEngine for Engine {
    fn clear(&mut self) {
        self.store = Arc::new(MemLogStore::default());
        self.engine = start((self.serve)(&self.store));
    }

    fn load(&mut self, batch: &LogBatch) -> Result<(), String> {
        self.store.append_logs(&Tenant::single(), batch).map(|_| ()).map_err(|e| e.to_string())
    }

    fn query(&mut self, query: &str, times: LogTimes) -> Result<LogAnswer, String> {
        let (tenant, query, limit) = (Tenant::single(), query.to_owned(), 100);
        let (direction, timeout) = (Direction::Backward, None);
        let answer = match times {
            LogTimes::Instant(ns) => {
                let query = InstantLogQuery { tenant, query, ns, limit, direction, timeout };
                self.runtime.block_on(self.engine.instant(query, ns))
            }
            LogTimes::Range(start, end, step) => {
                let query =
                    RangeLogQuery { tenant, query, start, end, step, interval: 0, limit, direction, timeout };
                self.runtime.block_on(self.engine.range(query, end))
            }
        };
        Ok(match answer.map_err(|e| e.to_string())?.data {
            LogData::Scalar { value, .. } => LogAnswer::Scalar(value),
            LogData::Vector { samples, .. } => LogAnswer::Vector(samples),
            LogData::Matrix(series) => {
                LogAnswer::Matrix(series.into_iter().map(|s| (s.labels, s.points)).collect())
            }
            LogData::Streams(_) => return Err("lines".to_owned()),
        })
    }
}

fn run(serve: Serve) -> Option<Tally> {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let dir = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "logql")?;
    let only = std::env::var("REBA_SCRIPT").unwrap_or_default();
    let mut tally = Tally::default();
    for (name, text) in files_with_extension(&dir, "logqltest").unwrap() {
        if !name.contains(&only) {
            continue;
        }
        for case in run_log_script(&text, &mut Engine::new(serve)).unwrap_or_else(|e| panic!("{name}: {e}")) {
            if let Err(reason) = &case.result {
                println!("failed {name}:{} {}: {reason}", case.line, case.query);
            }
            tally.count(case.result.is_ok());
        }
    }
    Some(tally)
}

fn check(suite: &str, serve: Serve) {
    let Some(tally) = run(serve) else {
        println!("{suite} passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    println!("\n{suite} {tally}");
    assert_eq!(tally.failed, 0, "evaluations differ");
}

#[test]
fn every_evaluation_gives_upstreams_result_over_lines() {
    check("logql through the engine", |store| Arc::clone(store) as Arc<dyn LogQuerier>);
}

#[test]
fn every_evaluation_gives_upstreams_result_over_columns() {
    check("logql through columns", |store| Arc::new(ColumnStore { inner: Arc::clone(store) }));
}
