//! Runs upstream's scripts over the RAM store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{ops::ControlFlow, sync::Arc};

use reba_logql::{
    Answer, EvalError, Grid, GridSeries, RangeEval, RangeOptions, evaluate, leaves,
    syntax::{RangeAggregation, VectorAggregation, parse_metric},
};
use reba_model::{LogBatch, Tenant};
use reba_storage::{Budget, LogAppender, LogQuerier, LogRequest, LogWant};
use reba_testkit::{
    LogAnswer, LogScriptEngine, LogTimes, MemLogStore, Tally, conformance_dir, files_with_extension,
    run_log_script,
};

#[derive(Default)]
struct Engine {
    store: MemLogStore,
}

impl Engine {
    fn leaf(
        &self,
        around: Option<&VectorAggregation>,
        a: &RangeAggregation,
        grid: Grid,
    ) -> Result<Vec<GridSeries>, EvalError> {
        let mut eval = RangeEval::new(a, grid, RangeOptions::of(around, a))?;
        let (tenant, want, budget) = (Tenant::single(), LogWant::everything(), Arc::new(Budget::unlimited()));
        let request = LogRequest {
            tenant: &tenant,
            matchers: &a.log.matchers,
            range: grid.rows(a.range, a.offset),
            want: &want,
            budget: &budget,
        };
        for scan in self.store.scan_logs(&request).unwrap() {
            let mut failed = None;
            scan.run(&mut |block| match eval.feed(&block) {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            })
            .unwrap();
            if let Some(e) = failed {
                return Err(e);
            }
        }
        eval.finish()
    }
}

impl LogScriptEngine for Engine {
    fn clear(&mut self) {
        self.store = MemLogStore::default();
    }

    fn load(&mut self, batch: &LogBatch) -> Result<(), String> {
        self.store.append_logs(&Tenant::single(), batch).map(|_| ()).map_err(|e| e.to_string())
    }

    fn query(&mut self, query: &str, times: LogTimes) -> Result<LogAnswer, String> {
        let expr = parse_metric(query).map_err(|e| e.to_string())?;
        let grid = match times {
            LogTimes::Instant(ns) => Grid::instant(ns),
            LogTimes::Range(start, end, step) => Grid::range(start, end, step).map_err(|e| e.to_string())?,
        };
        let leaves = leaves(&expr);
        let around =
            |a| leaves.iter().find(|(leaf, _)| std::ptr::eq(*leaf, a)).and_then(|(_, around)| *around);
        let answer =
            evaluate(&expr, grid, &mut |a| self.leaf(around(a), a, grid)).map_err(|e| e.to_string())?;
        Ok(match answer {
            Answer::Scalar(value) => LogAnswer::Scalar(value),
            Answer::Series(series) if grid.instant => {
                LogAnswer::Vector(series.into_iter().filter_map(|s| Some((s.labels, s.values[0]?))).collect())
            }
            Answer::Series(series) => LogAnswer::Matrix(
                series
                    .into_iter()
                    .map(|s| {
                        let points =
                            s.values.iter().enumerate().filter_map(|(k, v)| Some((grid.time(k), (*v)?)));
                        (s.labels, points.collect())
                    })
                    .collect(),
            ),
        })
    }
}

#[test]
fn every_evaluation_of_the_conformance_scripts_gives_upstreams_result() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "logql") else {
        println!("logql passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    let only = std::env::var("REBA_SCRIPT").unwrap_or_default();
    let mut tally = Tally::default();
    for (name, text) in files_with_extension(&dir, "logqltest").unwrap() {
        if !name.contains(&only) {
            continue;
        }
        for case in run_log_script(&text, &mut Engine::default()).unwrap_or_else(|e| panic!("{name}: {e}")) {
            if let Err(reason) = &case.result {
                println!("failed {name}:{} {}: {reason}", case.line, case.query);
            }
            tally.count(case.result.is_ok());
        }
    }
    println!("\nlogql {tally}");
    assert_eq!(tally.failed, 0, "evaluations differ");
}
