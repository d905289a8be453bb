//! Upstream's scripts through the whole path: the push API, the store of columns, the query API.

use std::sync::Arc;

use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Env, FaultFs, ManualClock};
use reba_ingest::loki::config::{LokiConfig, Size, Span};
use reba_model::{Labels, LogBatch, float};
use reba_query::logs::{LogEngineConfig, LogLimits};
use reba_testkit::{
    LogAnswer, LogScriptEngine, LogTimes, Tally, conformance_dir, files_with_extension, run_log_script,
};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Api, NOW, with_tenants};

struct Engine {
    runtime: Runtime,
    api: Api,
    /// Every `clear` begins a new tenant of the same store.
    tenant: usize,
}

impl Engine {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOW / 1_000_000));
        let env = Env { fs: Arc::new(FaultFs::new()), clock };
        let store = Arc::new(Columnar::open(&env, "/logs", ColumnarConfig::default()).unwrap());
        // The scripts name times that are no multiples of their steps, and have more series than upstream's limit.
        let limits = LogLimits { max_query_series: 0, ..LogLimits::default() };
        let engine = LogEngineConfig { limits, cores: 2, align_to_step: false, ..LogEngineConfig::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Engine { runtime, api: Api::over(store, config(), engine), tenant: 0 }
    }

    fn tenant(&self) -> String {
        format!("t{}", self.tenant)
    }
}

/// Takes lines of 1970, without adding anything to them.
fn config() -> LokiConfig {
    let mut config = with_tenants(true);
    let limits = &mut config.limits;
    limits.reject_old_samples = false;
    limits.reject_old_samples_max_age = Span::ZERO;
    limits.discover_log_levels = false;
    limits.high_cardinality_labels = Vec::new();
    limits.high_cardinality_values_per_hour = 0;
    limits.ingestion_rate_mb = 0.0;
    limits.per_stream_rate_limit = Size(0);
    limits.max_global_streams_per_user = 0;
    config
}

fn object<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.map(|(n, v)| (n.to_owned(), json!(v))).collect::<Map<_, _>>())
}

impl LogScriptEngine for Engine {
    fn clear(&mut self) {
        self.tenant += 1;
    }

    fn load(&mut self, batch: &LogBatch) -> Result<(), String> {
        let streams: Vec<Value> = batch
            .streams()
            .map(|stream| {
                let values: Vec<Value> = stream
                    .entries()
                    .map(|e| match e.metadata().len() {
                        0 => json!([e.ns.to_string(), e.line]),
                        _ => json!([e.ns.to_string(), e.line, object(e.metadata())]),
                    })
                    .collect();
                json!({"stream": object(stream.labels().iter()), "values": values})
            })
            .collect();
        let reply = self.runtime.block_on(self.api.push_json(&self.tenant(), &json!({"streams": streams})));
        if reply.status == 204 { Ok(()) } else { Err(format!("{}: {}", reply.status, reply.text())) }
    }

    fn query(&mut self, query: &str, times: LogTimes) -> Result<LogAnswer, String> {
        let seconds = |ns: i64| format!("{:.3}", ns as f64 / 1e9);
        let (path, mut params) = match times {
            LogTimes::Instant(ns) => ("/loki/api/v1/query", vec![("time", seconds(ns))]),
            LogTimes::Range(start, end, step) => (
                "/loki/api/v1/query_range",
                vec![("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step))],
            ),
        };
        params.push(("query", query.to_owned()));
        let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let reply = self.runtime.block_on(self.api.get_as(&self.tenant(), path, &params));
        if reply.status != 200 {
            return Err(reply.text().trim_end().to_owned());
        }
        Ok(answer(&reply.json()["data"]))
    }
}

fn answer(data: &Value) -> LogAnswer {
    let result = &data["result"];
    let labels = |series: &Value| {
        // Sorted by their names; some values are empty.
        let pairs = series["metric"].as_object().unwrap().iter();
        Labels::from_sorted_verbatim(pairs.map(|(n, v)| (n.as_str(), v.as_str().unwrap())))
    };
    let value = |point: &Value| float::parse_go(point[1].as_str().unwrap()).unwrap();
    let ns = |point: &Value| (point[0].as_f64().unwrap() * 1000.0).round() as i64 * 1_000_000;
    let series = || result.as_array().unwrap().iter();
    match data["resultType"].as_str().unwrap() {
        "scalar" => LogAnswer::Scalar(value(result)),
        "vector" => LogAnswer::Vector(series().map(|s| (labels(s), value(&s["value"]))).collect()),
        "matrix" => LogAnswer::Matrix(
            series()
                .map(|s| {
                    let points = s["values"].as_array().unwrap().iter();
                    (labels(s), points.map(|p| (ns(p), value(p))).collect())
                })
                .collect(),
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn every_evaluation_gives_upstreams_result_over_the_push_and_the_query_api() {
    let given = std::env::var("REBA_CONFORMANCE").ok();
    let Some(dir) = conformance_dir(given.as_deref(), env!("CARGO_MANIFEST_DIR"), "logql") else {
        println!("logql through the api passed 0 failed 0 skipped 1 (no conformance data)");
        return;
    };
    let only = std::env::var("REBA_SCRIPT").unwrap_or_default();
    let (mut tally, mut engine) = (Tally::default(), Engine::new());
    for (name, text) in files_with_extension(&dir, "logqltest").unwrap() {
        if !name.contains(&only) {
            continue;
        }
        for case in run_log_script(&text, &mut engine).unwrap_or_else(|e| panic!("{name}: {e}")) {
            if let Err(reason) = &case.result {
                println!("failed {name}:{} {}: {reason}", case.line, case.query);
            }
            tally.count(case.result.is_ok());
        }
    }
    println!("\nlogql through the api {tally}");
    assert_eq!(tally.failed, 0, "evaluations differ");
}
