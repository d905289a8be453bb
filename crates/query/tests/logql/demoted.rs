//! Labels with too many values: pushed as labels, stored as metadata, found as labels.

use std::sync::Arc;

use reba_ingest::loki::{
    LokiReceiver, PushHead,
    config::{LokiConfig, Variables},
    demoted,
    limits::TenantLimits,
};
use reba_model::{Labels, Matcher, NanoRange, Tenant};
use reba_query::logs::{
    Direction, LogData, LogEngineConfig, LogQueryEngine, LogTails, RangeLogQuery, StreamView,
};
use reba_storage::{DemotedLabels, LogAppender};
use reba_testkit::{MemLogStore, log_rows};

const SECOND: i64 = 1_000_000_000;
const NOW: i64 = 1_700_000_000 * SECOND;

fn limits() -> Arc<TenantLimits> {
    let text = "limits_config: {discover_log_levels: false, high_cardinality_values_per_hour: 3}";
    let config = LokiConfig::parse(text, std::path::Path::new("loki.yml"), &Variables::default()).unwrap().0;
    Arc::new(TenantLimits::new(&config))
}

fn push(appender: Arc<dyn LogAppender>, names: &Arc<DemotedLabels>, streams: &[(&str, &str)]) {
    let receiver = LokiReceiver::new(appender, limits(), Arc::new(|| NOW), 7).with_demoted(Arc::clone(names));
    for (number, (labels, line)) in (0..).zip(streams) {
        let time = NOW - SECOND + number;
        let body = format!(r#"{{"streams":[{{"stream":{labels},"values":[["{time}","{line}"]]}}]}}"#);
        let head = PushHead { content_type: Some("application/json"), content_encoding: None };
        receiver.push(&Tenant::single(), head, body.as_bytes()).unwrap();
    }
}

const STREAMS: [(&str, &str); 8] = [
    (r#"{"app":"a","trace_id":"x"}"#, "one"),
    (r#"{"app":"a","trace_id":"y"}"#, "two"),
    (r#"{"app":"b"}"#, "three"),
    // The fourth value is one too many: the ones before it are labels of streams, and stay so.
    (r#"{"app":"c","shop":"1"}"#, "four"),
    (r#"{"app":"c","shop":"2"}"#, "five"),
    (r#"{"app":"c","shop":"3"}"#, "six"),
    (r#"{"app":"c","shop":"4"}"#, "more"),
    (r#"{"trace_id":"z"}"#, "seven"),
];

fn engine(store: &Arc<MemLogStore>, demoted: Arc<DemotedLabels>) -> LogQueryEngine {
    LogQueryEngine::new(Arc::clone(store) as _, LogEngineConfig { demoted, ..LogEngineConfig::default() })
        .unwrap()
}

async fn ask(engine: &LogQueryEngine, query: &str) -> LogData {
    let query = RangeLogQuery {
        tenant: Tenant::single(),
        query: query.to_owned(),
        start: NOW - 60 * SECOND,
        end: NOW,
        step: SECOND,
        interval: 0,
        limit: 100,
        direction: Direction::Forward,
        timeout: None,
    };
    engine.range(query, NOW).await.unwrap().data
}

async fn lines(engine: &LogQueryEngine, query: &str) -> Vec<String> {
    match ask(engine, query).await {
        LogData::Streams(lines) => lines.into_iter().map(|line| line.text).collect(),
        other => panic!("{other:?}"),
    }
}

fn equal(name: &str, value: &str) -> Matcher {
    reba_logql::syntax::parse_matchers(&format!("{{{name}=\"{value}\"}}")).unwrap().remove(0)
}

#[tokio::test]
async fn selectors_find_labels_wherever_they_are_stored_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demoted.json");
    let store = Arc::new(MemLogStore::default());
    push(Arc::clone(&store) as _, &demoted::open(file.clone()).unwrap(), &STREAMS);
    let streams = log_rows(&*store, &Tenant::single(), &[], NanoRange::ALL).unwrap();
    assert_eq!(streams.len(), 7, "{:?}", streams.keys());

    // Another process, which knows what the file says.
    let engine = engine(&store, demoted::open(file).unwrap());
    for (query, expected) in [
        (r#"{app="a",trace_id="x"}"#, vec!["one"]),
        (r#"{trace_id="y"}"#, vec!["two"]),
        (r#"{trace_id=~"x|z"}"#, vec!["one", "seven"]),
        (r#"{app="a",trace_id!="x"}"#, vec!["two"]),
        (r#"{app=~".+",trace_id=""}"#, vec!["three", "four", "five", "six", "more"]),
        (r#"{shop=~"1|4"}"#, vec!["four", "more"]),
        (r#"{app="c",shop!="2"} |= "s""#, vec!["six"]),
    ] {
        assert_eq!(lines(&engine, query).await, expected, "{query}");
    }
    let query = r#"sum by (shop) (count_over_time({shop=~".+"}[1m]))"#;
    match ask(&engine, query).await {
        LogData::Matrix(series) => {
            let shops: Vec<&str> = series.iter().map(|s| s.labels.value("shop")).collect();
            assert_eq!(shops, ["1", "2", "3", "4"]);
        }
        other => panic!("{other:?}"),
    }
    let LogData::Streams(found) = ask(&engine, r#"{trace_id="x"}"#).await else { panic!() };
    let views = StreamView::group(&found, false);
    assert_eq!(views[0].labels, Labels::from_pairs([("app", "a"), ("trace_id", "x")]));
}

#[tokio::test]
async fn names_values_and_series_are_listed_as_before() {
    let names = Arc::new(DemotedLabels::default());
    let store = Arc::new(MemLogStore::default());
    push(Arc::clone(&store) as _, &names, &STREAMS);
    let engine = engine(&store, names);
    let (tenant, range) = (Tenant::single(), NanoRange::new(NOW - 60 * SECOND, NOW));
    let labels = engine.label_names(tenant.clone(), vec![], range, NOW).await.unwrap();
    assert_eq!(labels, ["app", "shop", "trace_id"]);
    let of_b = vec![vec![equal("app", "b")]];
    assert_eq!(engine.label_names(tenant.clone(), of_b, range, NOW).await.unwrap(), ["app"]);
    for (name, sets, expected) in [
        ("trace_id", vec![], vec!["x", "y", "z"]),
        ("trace_id", vec![vec![equal("app", "a")]], vec!["x", "y"]),
        ("trace_id", vec![vec![equal("trace_id", "x")]], vec!["x"]),
        ("shop", vec![], vec!["1", "2", "3", "4"]),
        ("app", vec![], vec!["a", "b", "c"]),
    ] {
        let values = engine.label_values(tenant.clone(), name.to_owned(), sets, range, NOW).await.unwrap();
        assert_eq!(values, expected, "{name}");
    }
    let sets = vec![vec![equal("trace_id", "y")], vec![equal("app", "c")]];
    let series = engine.series(tenant, sets, range, NOW).await.unwrap();
    let series: Vec<String> = series.iter().map(ToString::to_string).collect();
    for expected in [r#"{app="a", trace_id="y"}"#, r#"{app="c", shop="1"}"#, r#"{app="c", shop="4"}"#] {
        assert!(series.iter().any(|s| s == expected), "{expected} {series:?}");
    }
    assert!(!series.iter().any(|s| s.contains("\"b\"") || s.contains("\"x\"")), "{series:?}");
}

#[tokio::test]
async fn followers_find_them_too() {
    let names = Arc::new(DemotedLabels::default());
    let store: Arc<dyn LogAppender> = Arc::new(MemLogStore::default());
    names.add(&Tenant::single(), "trace_id").unwrap();
    let tails = LogTails::with_demoted(store, 1, Arc::clone(&names));
    let mut tail = tails.follow(Tenant::single(), r#"{trace_id="y"}"#, NOW).unwrap();
    push(Arc::clone(&tails) as _, &names, &STREAMS);
    let frame = tail.next().await.unwrap();
    assert_eq!(frame.lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["two"]);
}
