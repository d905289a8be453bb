//! The same answers from columns as from lines, for any lines and many queries.

use std::sync::Arc;

use proptest::prelude::*;
use reba_logql::syntax::parse_metric;
use reba_logql::{Answer, EvalError, Grid, GridSeries, RangeEval, RangeOptions, evaluate, leaves};
use reba_model::{Labels, LogBatch, Tenant};
use reba_query::logs::{Direction, LogData, LogEngineConfig, LogLimits, LogQueryEngine, RangeLogQuery};
use reba_storage::{Budget, LogAppender, LogQuerier, LogRequest, LogWant};
use reba_testkit::MemLogStore;
use std::ops::ControlFlow;

use crate::store::ColumnStore;

/// A row: seconds, line, metadata.
type Row = (i64, String, Vec<(&'static str, String)>);

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-9]{1,3}",
        2 => Just("1.50".to_owned()),
        2 => prop_oneof![Just("error"), Just("info"), Just("a"), Just("b")].prop_map(str::to_owned),
        1 => Just(String::new()),
        1 => prop_oneof![Just("5s"), Just("1.5KB"), Just("NaN"), Just("10.0.0.1")].prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("level"), Just("n"), Just("m"), Just("app"), Just("md"), Just("n_extracted")]
}

fn line() -> impl Strategy<Value = String> {
    let pairs = prop::collection::vec((name(), value(), any::<bool>()), 0..5);
    (pairs, 0..20u8).prop_map(|(pairs, kind)| {
        let json = |(k, v, quoted): &(&str, String, bool)| {
            let bare = !quoted && v.parse::<u32>().is_ok() && (v == "0" || !v.starts_with('0'));
            if bare { format!(r#""{k}":{v}"#) } else { format!(r#""{k}":"{v}""#) }
        };
        let logfmt = |(k, v, _): &(&str, String, bool)| format!("{k}={v}");
        let all = |f: &dyn Fn(&(&'static str, String, bool)) -> String, by: &str| {
            pairs.iter().map(f).collect::<Vec<_>>().join(by)
        };
        match kind {
            0 => format!("{{{}", all(&json, ",")),
            1 => format!("{{{}}} x", all(&json, ",")),
            2..6 => all(&logfmt, " "),
            _ => format!("{{{}}}", all(&json, ",")),
        }
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let metadata =
        prop::collection::vec((prop_oneof![Just("md"), Just("level"), Just("app")], value()), 0..2);
    prop::collection::vec((0..200i64, line(), metadata), 1..25)
}

fn store(rows: &[Row]) -> Arc<MemLogStore> {
    let store = MemLogStore::default();
    let mut batch = LogBatch::default();
    for (app, part) in [("x", 0), ("y", 1)] {
        batch.begin_stream(Labels::from_pairs([("app", app)]));
        for (i, (second, line, metadata)) in rows.iter().enumerate() {
            if i % 3 == part || part == 0 {
                let metadata = metadata.iter().map(|(n, v)| (*n, v.as_str()));
                batch.push(second * 1_000_000_000, line, metadata).unwrap();
            }
        }
    }
    store.append_logs(&Tenant::single(), &batch).unwrap();
    Arc::new(store)
}

const QUERIES: &[&str] = &[
    "sum by (level) (count_over_time({app=~\".+\"} | json [1m]))",
    "sum by (level, md) (rate({app=~\".+\"} | json | n > 5 [1m]))",
    "sum by (app) (count_over_time({} | json | level=\"error\" or n < 100 [50s]))",
    "sum(count_over_time({} | json | level=~\"err.*\" and n != 5 [50s]))",
    "sum by (level) (sum_over_time({} | json | unwrap n | __error__=\"\" [1m]))",
    "sum by (level) (sum_over_time({} | json | unwrap n [1m]))",
    "max by (md) (max_over_time({} | json | level!=\"\" | unwrap n | n < 200 | __error__=\"\" [1m]))",
    "quantile_over_time(0.5, {} | json | __error__=\"\" | unwrap n | __error__=\"\" [2m]) by (level)",
    "sum by (n) (bytes_over_time({} | json | md=\"a\" [1m]))",
    "sum by (level) (count_over_time({} |= \"e\" | logfmt | n >= 10 [1m]))",
    "avg_over_time({} | logfmt | unwrap duration(n) | __error__=\"\" [1m]) by (app, m)",
    "sum by (m) (count_over_time({} | logfmt | n > 5s or level=\"info\" [1m]))",
    "sum by (m) (count_over_time({} | json | n > 1KB [1m]))",
    "sum by (m) (count_over_time({} | json | n = ip(\"10.0.0.0/8\") [1m]))",
    "sum by (__error__) (count_over_time({} | json | level=\"info\" [1m]))",
    "sum by (md) (count_over_time({} | json | drop __error__ | level != \"info\" [1m]))",
    "sum by (x) (count_over_time({} | json | label_format x=level | x=\"info\" [1m]))",
    "sum by (n_extracted) (count_over_time({} | json [1m]))",
    "sum by (app_extracted, level) (count_over_time({} | json | m=\"1\" [1m]))",
    "count_over_time({} | md=\"a\" [1m])",
    "rate({app=\"x\"}[1m])",
    "sum without (md) (count_over_time({}[30s]))",
    "sum by (md, level) (bytes_rate({} |~ \"(?i)err\" != \"info\" [1m]))",
    "absent_over_time({app=\"x\"} | json | level=\"error\" [30s])",
    "avg by (level) (count_over_time({} | json | __error__=\"\" [1m]))",
    "topk(2, sum by (n) (count_over_time({} | json | n!=\"\" [2m])))",
    "sum by (level) (count_over_time({} | json [1m])) / ignoring (level) group_left sum(count_over_time({}[1m]))",
    "first_over_time({} | json | unwrap m | __error__=\"\" [1m]) by (level)",
    "sum by (level) (count_over_time({} | json | keep level, n | n=\"5\" [1m]))",
    "sum(count_over_time({}[1m]))",
    "sum by (app) (rate({} | app=\"x\" [45s] offset 10s))",
    "sum(bytes_over_time({}[30s]))",
    "sum by (app) (bytes_rate({} | drop md [7s]))",
    "sum by (app, md) (count_over_time({}[1m]))",
    "sum by (app) (count_over_time({} | keep md [1m]))",
    "count_over_time({} | json | logfmt | level=\"error\" | __error__=\"\" [1m])",
];

/// The answer without an engine, a plan or a column: every line through the whole pipeline, nothing grouped before its time.
pub fn plainly(store: &dyn LogQuerier, query: &str, grid: Grid) -> Result<Answer, String> {
    let expr = parse_metric(query).unwrap();
    let around = leaves(&expr);
    let answer = evaluate(&expr, grid, &mut |a| {
        let around = around.iter().find(|(leaf, _)| std::ptr::eq(*leaf, a)).and_then(|(_, around)| *around);
        let mut eval = RangeEval::new(a, grid, RangeOptions::of(around, a))?;
        let (tenant, want, budget) = (Tenant::single(), LogWant::everything(), Arc::new(Budget::unlimited()));
        let (range, matchers) = (grid.rows(a.range, a.offset), &a.log.matchers);
        let request = LogRequest { tenant: &tenant, matchers, range, want: &want, budget: &budget };
        let mut failed: Option<EvalError> = None;
        for scan in store.scan_logs(&request).unwrap() {
            scan.run(&mut |block| {
                if let Err(e) = eval.feed_line_by_line(&block) {
                    failed.get_or_insert(e);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        failed.map_or_else(|| eval.finish(), Err)
    });
    answer.map_err(|e| e.to_string())
}

pub fn by_engine(store: Arc<dyn LogQuerier>, query: &str, grid: Grid) -> Result<LogData, String> {
    let limits = LogLimits { max_query_series: 0, ..LogLimits::default() };
    let config =
        LogEngineConfig { limits, align_to_step: false, max_concurrency: 1, ..LogEngineConfig::default() };
    let engine = LogQueryEngine::new(store, config).unwrap();
    let asked = RangeLogQuery {
        tenant: Tenant::single(),
        query: query.to_owned(),
        start: grid.start,
        end: grid.time(grid.count - 1),
        step: grid.step,
        interval: 0,
        limit: 100,
        direction: Direction::Backward,
        timeout: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(engine.range(asked, 0)).map(|output| output.data).map_err(|e| e.to_string())
}

/// The kind of an error; which line of several it is about may differ.
fn kind(error: &str) -> String {
    error.split(" for series").next().unwrap_or_default().to_owned()
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

pub fn compare(
    query: &str,
    expected: &Result<Answer, String>,
    got: &Result<LogData, String>,
    grid: Grid,
) -> Result<(), TestCaseError> {
    match (expected, got) {
        (Err(a), Err(b)) => prop_assert_eq!(kind(a), kind(b), "{}", query),
        (Ok(Answer::Series(expected)), Ok(LogData::Matrix(got))) => {
            let labels = |s: &GridSeries| s.labels.clone();
            let expected_labels: Vec<Labels> = expected.iter().map(labels).collect();
            let got_labels: Vec<Labels> = got.iter().map(|s| s.labels.clone()).collect();
            prop_assert_eq!(expected_labels, got_labels, "{}", query);
            for (expected, got) in expected.iter().zip(got) {
                let values = expected.values.iter().enumerate();
                let points: Vec<(i64, f64)> =
                    values.filter_map(|(k, v)| Some((grid.time(k), (*v)?))).collect();
                let same = points.len() == got.points.len()
                    && points.iter().zip(&got.points).all(|(a, b)| a.0 == b.0 && close(a.1, b.1));
                prop_assert!(same, "{}: {:?} {:?} {:?}", query, expected.labels, points, got.points);
            }
        }
        (expected, got) => prop_assert!(false, "{}: {:?} {:?}", query, expected, got),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn columns_and_conditions_change_no_answer(rows in rows()) {
        let store = store(&rows);
        let second = 1_000_000_000;
        let grid = Grid::range(20 * second, 200 * second, 30 * second).unwrap();
        for query in QUERIES {
            let expected = plainly(&*store, query, grid);
            let lines = by_engine(Arc::clone(&store) as Arc<dyn LogQuerier>, query, grid);
            compare(query, &expected, &lines, grid)?;
            let columns = Arc::new(ColumnStore { inner: Arc::clone(&store) });
            compare(query, &expected, &by_engine(columns, query, grid), grid)?;
        }
    }
}
