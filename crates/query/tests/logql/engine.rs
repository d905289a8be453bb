//! The engine: order, limits, errors, followers.

use std::{sync::Arc, time::Duration};

use reba_model::{GoRegex, Labels, LogBatch, Matcher, NanoRange, Tenant};
use reba_query::logs::{
    BlockedPattern, BlockedQuery, Direction, FieldsQuery, InstantLogQuery, LimitsByTenant, Line, LogData,
    LogEngineConfig, LogError, LogLimits, LogOutput, LogQueryEngine, LogTails, PatternsQuery, RangeLogQuery,
    StreamView, VolumeBy, VolumeQuery, deletion_filter,
};
use reba_storage::{
    Budget, BudgetError, LogAppender, LogQuerier, LogRequest, LogRow, LogScan, QueryError, StreamInfo,
};
use reba_testkit::MemLogStore;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

fn single() -> Tenant {
    Tenant::single()
}

/// Two streams with a line each second, `a` on even ones and `b` on odd ones, for four hours.
fn store() -> Arc<MemLogStore> {
    let store = MemLogStore::default();
    let mut batch = LogBatch::default();
    for (app, odd) in [("a", 0), ("b", 1)] {
        batch.begin_stream(Labels::from_pairs([("app", app), ("env", "prod")]));
        for second in (odd..4 * 3600).step_by(2) {
            let level = if second % 10 < 2 { "error" } else { "info" };
            let line = format!(r#"{{"level":"{level}","n":{second},"msg":"hello number {second}"}}"#);
            batch.push(second * SECOND, &line, [("trace_id", format!("t{second}").as_str())]).unwrap();
        }
    }
    store.append_logs(&single(), &batch).unwrap();
    Arc::new(store)
}

fn engine(limits: LogLimits) -> LogQueryEngine {
    let config = LogEngineConfig { limits, cores: 2, ..LogEngineConfig::default() };
    LogQueryEngine::new(store(), config).unwrap()
}

fn query(query: &str) -> RangeLogQuery {
    RangeLogQuery {
        tenant: single(),
        query: query.to_owned(),
        start: 0,
        end: 4 * HOUR,
        step: HOUR,
        interval: 0,
        limit: 5,
        direction: Direction::Backward,
        timeout: None,
    }
}

async fn ask(engine: &LogQueryEngine, query: RangeLogQuery) -> Result<LogOutput, LogError> {
    engine.range(query, 4 * HOUR).await
}

fn lines(output: LogOutput) -> Vec<Line> {
    match output.data {
        LogData::Streams(lines) => lines,
        other => panic!("{other:?}"),
    }
}

fn seconds(lines: &[Line]) -> Vec<i64> {
    lines.iter().map(|line| line.ns / SECOND).collect()
}

#[tokio::test]
async fn the_newest_lines_of_all_streams_come_first_and_only_so_many() {
    let engine = engine(LogLimits::default());
    let output = ask(&engine, query(r#"{env="prod"}"#)).await.unwrap();
    assert!(output.stats.lines < 3000, "the end of the range is enough: {:?}", output.stats);
    assert_eq!(output.stats.entries_returned, 5);
    assert_eq!(seconds(&lines(output)), [14_399, 14_398, 14_397, 14_396, 14_395]);
    let forward = RangeLogQuery { direction: Direction::Forward, ..query(r#"{env="prod"}"#) };
    assert_eq!(seconds(&lines(ask(&engine, forward).await.unwrap())), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn both_directions_give_the_same_lines_if_there_are_few() {
    let engine = engine(LogLimits::default());
    let rare = RangeLogQuery { limit: 5000, ..query(r#"{env="prod"} |= "number 1234""#) };
    let mut backward = lines(ask(&engine, rare.clone()).await.unwrap());
    let forward = RangeLogQuery { direction: Direction::Forward, ..rare };
    let forward = lines(ask(&engine, forward).await.unwrap());
    assert_eq!(forward.len(), 1 + 10);
    backward.reverse();
    assert_eq!(backward, forward);
}

#[tokio::test]
async fn an_interval_leaves_out_lines_that_are_too_close_to_the_one_before() {
    let engine = engine(LogLimits::default());
    let thin = RangeLogQuery { interval: 3000 * SECOND, limit: 100, ..query(r#"{env="prod"}"#) };
    assert_eq!(
        seconds(&lines(ask(&engine, thin.clone()).await.unwrap())),
        [14_399, 11_399, 8_399, 5_399, 2_399]
    );
    let forward = RangeLogQuery { direction: Direction::Forward, ..thin };
    assert_eq!(seconds(&lines(ask(&engine, forward).await.unwrap())), [0, 3000, 6000, 9000, 12_000]);
}

#[tokio::test]
async fn labels_are_told_apart_by_where_they_come_from() {
    let engine = engine(LogLimits::default());
    let one = RangeLogQuery { limit: 1, ..query(r#"{app="b"} | json | n="77""#) };
    let lines = lines(ask(&engine, one).await.unwrap());
    let labels = &lines[0].labels;
    assert_eq!(labels.stream, Labels::from_pairs([("app", "b"), ("env", "prod")]));
    assert_eq!(labels.metadata, Labels::from_pairs([("trace_id", "t77")]));
    assert_eq!(
        labels.parsed,
        Labels::from_pairs([("level", "info"), ("msg", "hello number 77"), ("n", "77")])
    );
    assert_eq!(labels.all.len(), 6);
    assert_eq!(StreamView::group(&lines, true)[0].labels, labels.stream);
    assert_eq!(StreamView::group(&lines, false)[0].labels, labels.all);
}

#[tokio::test]
async fn labels_with_empty_values_are_shown() {
    let engine = engine(LogLimits::default());
    for stage in [r#"json none="a.b""#, "logfmt --keep-empty none", r#"label_format none="""#] {
        let one = RangeLogQuery { limit: 1, ..query(&format!(r#"{{app="b"}} | {stage}"#)) };
        let lines = lines(ask(&engine, one).await.unwrap());
        assert_eq!(lines[0].labels.all.get("none"), Some(""), "{stage}");
        assert_eq!(lines[0].labels.parsed.get("none"), Some(""), "{stage}");
    }
}

#[tokio::test]
async fn metric_queries_are_moved_to_multiples_of_their_step() {
    let engine = engine(LogLimits::default());
    let metric = r#"sum by (level) (count_over_time({env="prod"} | json [1h]))"#;
    let shifted = RangeLogQuery { start: HOUR + 7, end: 3 * HOUR - 7, ..query(metric) };
    let LogData::Matrix(series) = ask(&engine, shifted).await.unwrap().data else { panic!() };
    let shown: Vec<_> = series.iter().map(|s| (s.labels.value("level"), s.points.clone())).collect();
    let points = |n: f64| vec![(HOUR, n), (2 * HOUR, n), (3 * HOUR, n)];
    assert_eq!(shown, [("error", points(720.0)), ("info", points(2880.0))]);
}

#[tokio::test]
async fn the_health_check_of_dashboards_is_answered() {
    let engine = engine(LogLimits::default());
    let check = InstantLogQuery {
        tenant: single(),
        query: "vector(1)+vector(1)".to_owned(),
        ns: 4 * SECOND,
        limit: 100,
        direction: Direction::Backward,
        timeout: None,
    };
    let LogData::Vector { ns, samples } = engine.instant(check.clone(), 4 * SECOND).await.unwrap().data
    else {
        panic!()
    };
    assert_eq!((ns, samples), (4 * SECOND, vec![(Labels::empty(), 2.0)]));
    let number = InstantLogQuery { query: "1+1".to_owned(), ..check.clone() };
    let data = engine.instant(number, 0).await.unwrap().data;
    assert!(matches!(data, LogData::Scalar { value: 2.0, .. }), "{data:?}");
    let lines_of = InstantLogQuery { query: r#"{app="a"}"#.to_owned(), ns: HOUR, ..check };
    let lines = lines(engine.instant(lines_of, HOUR).await.unwrap());
    assert_eq!((lines.len(), lines[0].ns), (15, HOUR - 2 * SECOND));
}

#[tokio::test]
async fn limits_are_refused_in_upstreams_words() {
    let limits = LogLimits {
        max_query_length: Duration::from_secs(7 * 3600),
        max_query_range: Duration::from_secs(3600),
        required_labels: vec!["app".to_owned()],
        minimum_labels: 1,
        max_query_series: 2,
        blocked: vec![
            BlockedQuery { pattern: BlockedPattern::Text(r#"{app="secret"}"#.to_owned()), kinds: Vec::new() },
            BlockedQuery {
                pattern: BlockedPattern::Regex(Arc::new(GoRegex::search("topk.*").unwrap())),
                kinds: Vec::new(),
            },
        ],
        ..LogLimits::default()
    };
    let engine = engine(limits);
    let long = RangeLogQuery { start: -4 * HOUR, ..query(r#"{app="a"}"#) };
    let greedy = RangeLogQuery { limit: 5001, ..query(r#"{app="a"}"#) };
    let backwards = RangeLogQuery { start: HOUR, end: HOUR, ..query(r#"{app="a"}"#) };
    let many = RangeLogQuery { step: SECOND, ..query(r#"rate({app="a"}[1m])"#) };
    for (query, text) in [
        (long, "the query time range exceeds the limit (query length: 8h0m0s, limit: 7h0m0s)"),
        (greedy, "max entries limit per query exceeded, limit > max_entries_limit (5001 > 5000)"),
        (backwards, "end timestamp must not be before or equal to start time"),
        (many, "exceeded maximum resolution of 11,000 points per time series"),
        (
            query(r#"{env="prod"}"#),
            "stream selector is missing required matchers [app], labels present in the query were [env]",
        ),
        (query(r#"rate({app="a"}[2h])"#), "[interval] value exceeds limit: [2h] > [1h]"),
        (query(r#"{app="secret"}"#), "query blocked by policy"),
        (query(r#"topk(1, rate({app="a"}[1m]))"#), "query blocked by policy"),
        (query(r#"{app="a""#), "parse error at line 1"),
        (
            query(r#"sum by (n) (count_over_time({app="a"} | json [1h]))"#),
            "maximum of series (2) reached for a single query",
        ),
        (
            query(r#"sum by (x) (sum_over_time({app="a"} | json | unwrap msg [1h]))"#),
            "pipeline error: 'SampleExtractionErr' for series: '{",
        ),
    ] {
        let error = ask(&engine, query).await.unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(error.status(), 400);
    }
    // The limit is about the answer, not about what it is made of.
    let inner = query(r#"count(sum by (n) (count_over_time({app="a"} | json [1h])))"#);
    assert!(ask(&engine, inner).await.is_ok());
}

#[tokio::test]
async fn what_is_too_long_ago_is_empty() {
    let limits = LogLimits { max_query_lookback: Duration::from_secs(3600), ..LogLimits::default() };
    let seen = engine(limits);
    let old = RangeLogQuery { end: 2 * HOUR, ..query(r#"{app="a"}"#) };
    assert!(lines(ask(&seen, old.clone()).await.unwrap()).is_empty());
    let old = RangeLogQuery { query: r#"rate({app="a"}[1m])"#.to_owned(), ..old };
    assert!(matches!(ask(&seen, old).await.unwrap().data, LogData::Matrix(series) if series.is_empty()));
}

/// A store that answers nothing until it is told to stop.
struct Stuck;

impl LogQuerier for Stuck {
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError> {
        while !request.budget.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(BudgetError::Cancelled.into())
    }

    fn streams(
        &self,
        _: &Tenant,
        _: &[Vec<Matcher>],
        _: NanoRange,
        _: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError> {
        panic!("the store has a bug")
    }

    fn tenants(&self) -> Vec<Tenant> {
        Vec::new()
    }
}

#[tokio::test]
async fn what_takes_too_long_is_504_and_a_full_queue_429_and_a_panic_500() {
    let config = LogEngineConfig { max_concurrency: 1, max_queued: 1, ..LogEngineConfig::default() };
    let engine = LogQueryEngine::new(Arc::new(Stuck), config).unwrap();
    let hurried = |ms| RangeLogQuery { timeout: Some(Duration::from_millis(ms)), ..query(r#"{app="a"}"#) };
    let (running, waiting, refused) =
        tokio::join!(ask(&engine, hurried(50)), ask(&engine, hurried(20)), ask(&engine, hurried(20)));
    assert_eq!(running.unwrap_err(), LogError::TimedOut);
    assert_eq!(waiting.unwrap_err().status(), 504);
    assert_eq!(refused.unwrap_err().status(), 429);
    let names = engine.label_names(single(), Vec::new(), NanoRange::new(0, HOUR), 0).await;
    assert_eq!(names.unwrap_err().status(), 500);
}

#[tokio::test]
async fn a_query_that_runs_is_listed_and_can_be_stopped() {
    let engine = LogQueryEngine::new(Arc::new(Stuck), LogEngineConfig::default()).unwrap();
    let stop = async {
        while !engine.active_queries().iter().any(|q| q.running) {
            tokio::task::yield_now().await;
        }
        let active = engine.active_queries();
        assert_eq!((active.len(), active[0].query.as_str()), (1, r#"{app="a"}"#));
        assert!(engine.kill(active[0].id) && !engine.kill(active[0].id + 1));
    };
    let (answer, ()) = tokio::join!(ask(&engine, query(r#"{app="a"}"#)), stop);
    assert_eq!(answer.unwrap_err(), LogError::Cancelled);
}

#[tokio::test]
async fn joined_tenants_answer_as_one_and_a_label_tells_them_apart() {
    let store = MemLogStore::default();
    let tenant = |name: &str| Tenant::new(name).unwrap();
    for (name, line) in [("one", "x"), ("two", "y"), ("three", "z")] {
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", "a"), ("__tenant_id__", "own")]));
        batch.push(SECOND, line, []).unwrap();
        store.append_logs(&tenant(name), &batch).unwrap();
    }
    let engine = LogQueryEngine::new(Arc::new(store), LogEngineConfig::default()).unwrap();
    let joined = Tenant::joined([tenant("two"), tenant("one")]);
    let lines = async |text: &str| {
        let query = RangeLogQuery { tenant: joined.clone(), ..query(text) };
        let LogData::Streams(lines) = ask(&engine, query).await.unwrap().data else { panic!("no lines") };
        lines.iter().map(|l| format!("{} {}", l.labels.all, l.text)).collect::<Vec<_>>()
    };
    let (one, two) = (
        r#"{__tenant_id__="one", app="a", original___tenant_id__="own"} x"#,
        r#"{__tenant_id__="two", app="a", original___tenant_id__="own"} y"#,
    );
    assert_eq!(lines(r#"{app="a"}"#).await, [one, two]);
    assert_eq!(lines(r#"{app="a", __tenant_id__=~"t.+"}"#).await, [two]);
    assert_eq!(lines(r#"{original___tenant_id__="own", __tenant_id__="one"}"#).await, [one]);
    let range = NanoRange::new(0, HOUR);
    let sets = vec![vec![Matcher::equal("__tenant_id__", "one")]];
    let series = engine.series(joined.clone(), sets, range, HOUR).await.unwrap();
    assert_eq!(series.len(), 1);
    let values =
        engine.label_values(joined.clone(), "__tenant_id__".to_owned(), Vec::new(), range, HOUR).await;
    assert_eq!(values.unwrap(), ["one", "two"]);
    let names = engine.label_names(joined, Vec::new(), range, HOUR).await.unwrap();
    assert_eq!(names, ["__tenant_id__", "app", "original___tenant_id__"]);
}

#[tokio::test]
async fn a_query_that_holds_too_much_is_refused_by_the_limits_name() {
    let engine = engine(LogLimits { max_memory: 100_000, ..LogLimits::default() });
    let greedy = query(r#"quantile_over_time(0.5, {app="a"} | json | unwrap n [4h]) by (app)"#);
    let error = ask(&engine, greedy).await.unwrap_err().to_string();
    assert!(error.starts_with("the query holds more than its"), "{error}");
}

#[tokio::test]
async fn streams_labels_and_volumes_are_told() {
    let engine = engine(LogLimits::default());
    let (range, now) = (NanoRange::new(0, 4 * HOUR), 4 * HOUR);
    let names = engine.label_names(single(), Vec::new(), range, now).await.unwrap();
    assert_eq!(names, ["app", "env"]);
    let only_a = vec![vec![Matcher::equal("app", "a")]];
    let values = engine.label_values(single(), "app".to_owned(), only_a, range, now).await.unwrap();
    assert_eq!(values, ["a"]);
    assert_eq!(engine.series(single(), Vec::new(), range, now).await.unwrap().len(), 2);
    let stats = engine.stored_stats(single(), Vec::new(), range, now).await.unwrap();
    assert_eq!((stats.streams, stats.entries), (2, 14_400));

    let volume = VolumeQuery {
        tenant: single(),
        matchers: vec![Matcher::equal("env", "prod")],
        range,
        target_labels: vec!["app".to_owned()],
        by: VolumeBy::Series,
        limit: 0,
        step: None,
    };
    let LogData::Vector { ns, samples } = engine.volume(volume.clone(), now).await.unwrap() else { panic!() };
    assert_eq!((ns, samples.len()), (4 * HOUR, 2));
    assert_eq!(samples.iter().map(|s| s.1 as u64).sum::<u64>(), stats.bytes);
    // Of labels that are not named all count; who lacks one of those that are named is left out.
    let all = VolumeQuery { target_labels: Vec::new(), by: VolumeBy::Labels, ..volume.clone() };
    let LogData::Vector { samples, .. } = engine.volume(all, now).await.unwrap() else { panic!() };
    assert_eq!(samples.len(), 2);
    let targets = vec!["app".to_owned(), "zone".to_owned()];
    let none = VolumeQuery { target_labels: targets, ..volume.clone() };
    let LogData::Vector { samples, .. } = engine.volume(none, now).await.unwrap() else { panic!() };
    assert_eq!(samples, []);
    let over_time = VolumeQuery { step: Some(HOUR), by: VolumeBy::Labels, ..volume };
    let LogData::Matrix(series) = engine.volume(over_time, now).await.unwrap() else { panic!() };
    assert_eq!((series.len(), series[0].points.len(), series[0].points[1].0), (1, 4, HOUR));
}

#[tokio::test]
async fn fields_and_shapes_of_lines_are_found() {
    let engine = engine(LogLimits::default());
    let range = NanoRange::new(0, 4 * HOUR);
    let query = FieldsQuery {
        tenant: single(),
        query: r#"{app="a"}"#.to_owned(),
        range,
        line_limit: 100,
        limit: 1000,
    };
    let found = engine.detected_fields(query, 4 * HOUR).await.unwrap();
    let shown: Vec<_> = found
        .fields
        .iter()
        .map(|f| (f.label.as_str(), f.kind.as_str(), f.values.len(), f.parsers.len()))
        .collect();
    assert_eq!(
        shown,
        [
            ("level", "string", 2, 1),
            ("msg", "string", 100, 1),
            ("n", "int", 100, 1),
            ("trace_id", "string", 100, 0)
        ]
    );
    assert_eq!(found.fields[0].json_path, ["level"]);
    assert_eq!(found.fields[3].json_path, [""; 0]);
    let query = PatternsQuery { tenant: single(), query: r#"{app="a"}"#.to_owned(), range, step: 2 * HOUR };
    let patterns = engine.patterns(query, 4 * HOUR).await.unwrap();
    assert_eq!(patterns.len(), 1, "{patterns:?}");
    assert_eq!(patterns[0].pattern, r#"{"level":"<_>","n":<_>,"msg":"hello number <_>"}"#);
    assert_eq!(patterns[0].samples, [(0, 3600), (2 * HOUR, 3600)]);
}

#[tokio::test]
async fn a_follower_gets_what_is_written_and_learns_what_it_missed() {
    let store = Arc::new(MemLogStore::default());
    let tails = LogTails::new(Arc::clone(&store) as Arc<dyn LogAppender>, 1);
    let mut tail = tails.follow(single(), r#"{app="a"} |= "x" | json"#, 0).unwrap();
    let full = tails.follow(single(), "{}", 0).unwrap_err();
    assert_eq!(full.to_string(), "max concurrent tail requests limit exceeded, count > limit (2 > 1)");
    assert_eq!(
        tails.follow(single(), "rate({}[1m])", 0).unwrap_err().to_string(),
        "parse error : only log selector is supported"
    );

    let write = |tenant: &Tenant, app: &str, ns: i64, line: &str| {
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", app)]));
        batch.push(ns, line, []).unwrap();
        tails.append_logs(tenant, &batch).unwrap();
    };
    write(&single(), "a", 1, r#"{"k":"x1"}"#);
    write(&single(), "a", 2, r#"{"k":"y"}"#);
    write(&single(), "b", 3, r#"{"k":"x3"}"#);
    write(&Tenant::new("other").unwrap(), "a", 4, r#"{"k":"x4"}"#);
    write(&single(), "a", 5, r#"{"k":"x5"}"#);
    let frame = tail.next().await.unwrap();
    let keys: Vec<&str> = frame.lines.iter().map(|l| l.labels.parsed.value("k")).collect();
    assert_eq!((keys, frame.dropped_count), (vec!["x1", "x5"], 0));

    // A line that the follower has from the history does not come again.
    write(&single(), "a", 6, r#"{"k":"x6"}"#);
    write(&single(), "a", 7, r#"{"k":"x7"}"#);
    let engine = LogQueryEngine::new(store.clone(), LogEngineConfig::default()).unwrap();
    let history = RangeLogQuery { start: 6, end: 7, ..query(r#"{app="a"} |= "x" | json"#) };
    tail.skip(&lines(engine.range(history, 10).await.unwrap()));
    let frame = tail.next().await.unwrap();
    assert_eq!(frame.lines.iter().map(|l| l.ns).collect::<Vec<_>>(), [7]);

    for ns in 100..1300 {
        write(&single(), "a", ns, r#"{"k":"x"}"#);
    }
    let (mut got, mut missed, mut named) = (0, 0, 0);
    while got + missed < 1200 {
        let frame = tail.next().await.unwrap();
        assert!(frame.lines.len() <= 100);
        (got, missed) = (got + frame.lines.len(), missed + frame.dropped_count as usize);
        named += frame.dropped.len();
    }
    assert_eq!((got, missed, named), (64, 1136, 1000));
    drop(tail);
    assert_eq!(tails.following(), 0);
}

#[test]
fn a_deletion_is_about_the_rows_that_the_query_selects() {
    let log = reba_logql::syntax::parse_log(r#"{app="a"} |= "secret" | user="x""#).unwrap();
    let (matchers, filter) = deletion_filter(&log).unwrap();
    assert_eq!(matchers, [Matcher::equal("app", "a")]);
    let (filter, stream) = (filter.unwrap(), Labels::from_pairs([("app", "a")]));
    let doomed = |line, user| filter(LogRow { stream: &stream, ns: 0, line, metadata: &[("user", user)] });
    assert!(doomed("a secret", "x") && !doomed("a secret", "y") && !doomed("nothing", "x"));
}

#[test]
fn limits_can_change_and_differ_by_tenant() {
    let store = Arc::new(MemLogStore::default());
    let engine = LogQueryEngine::new(store, LogEngineConfig::default()).unwrap();
    let tight = Arc::new(LogLimits { max_entries: 3, ..LogLimits::default() });
    let own = Tenant::new("own").unwrap();
    engine.set_limits(LimitsByTenant { others: Arc::default(), tenants: [(own.clone(), tight)].into() });
    let ask = |tenant: Tenant| {
        let query = InstantLogQuery {
            tenant,
            query: r#"{a="b"}"#.to_owned(),
            ns: 1,
            limit: 4,
            direction: Direction::Forward,
            timeout: None,
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(engine.instant(query, 1))
    };
    assert!(ask(Tenant::single()).is_ok());
    assert_eq!(
        ask(own).unwrap_err().to_string(),
        "max entries limit per query exceeded, limit > max_entries_limit (4 > 3)"
    );
}
