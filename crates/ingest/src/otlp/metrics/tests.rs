use std::collections::BTreeMap;

use proptest::prelude::*;
use reba_model::{Labels, MatchOp, Matcher, SampleColumns, TimeRange, is_stale_nan};
use reba_storage::{Budget, MetricQuerier, SelectHints, SelectRequest};
use reba_testkit::{MemConfig, MemStore};
use serde_json::{Value, json};

use super::*;
use crate::config::Config;

const NOW: i64 = 1_700_000_000_000;

/// The first data point's time as JSON has it.
const AT: &str = "1700000000000000000";

fn config(otlp: &str) -> OtlpConfig {
    Config::parse(&format!("otlp: {otlp}"), std::path::Path::new("prometheus.yml")).unwrap().otlp
}

fn receiver(otlp: &str) -> (Arc<MemStore>, OtlpReceiver) {
    let store = Arc::new(MemStore::new(MemConfig::default()));
    let options = OtlpOptions { lookback_ms: 300_000, max_cached_series: 1000, hash_seed: 7 };
    (Arc::clone(&store), OtlpReceiver::new(store, options, config(otlp)))
}

fn send(receiver: &OtlpReceiver, request: &Value) -> OtlpWritten {
    receiver.handle(Encoding::Json, request.to_string().as_bytes(), "", NOW).unwrap()
}

/// A request of one resource, with one scope and some metrics.
fn request(resource: &Value, metrics: &Value) -> Value {
    let scope = json!({"name": "lib", "version": "1.2", "attributes": attributes(&json!({"team": "a"}))});
    json!({"resourceMetrics": [{"resource": {"attributes": attributes(resource)},
        "scopeMetrics": [{"scope": scope, "schemaUrl": "url", "metrics": metrics}]}]})
}

fn attributes(map: &Value) -> Value {
    let list = map.as_object().unwrap().iter();
    Value::Array(list.map(|(k, v)| json!({"key": k, "value": {"stringValue": v}})).collect())
}

/// Series as text with their samples as text.
fn stored(store: &MemStore) -> BTreeMap<String, Vec<String>> {
    let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    let request = SelectRequest {
        matchers: &all,
        range: TimeRange::ALL,
        hints: &SelectHints::default(),
        budget: &Budget::unlimited(),
    };
    let mut out = BTreeMap::new();
    for series in store.select(&request).unwrap() {
        let mut columns = SampleColumns::default();
        series.read_into(TimeRange::ALL, &mut columns).unwrap();
        let show = |v: f64| if is_stale_nan(v) { "stale".to_owned() } else { v.to_string() };
        let floats = columns.t.iter().zip(&columns.v).map(|(t, v)| format!("{}@{}", show(*v), t - NOW));
        let histograms = columns.h.iter().map(|s| format!("{}@{}", s.h, s.t - NOW));
        out.insert(series.labels.to_string(), floats.chain(histograms).collect());
    }
    out
}

fn is_stored(store: &MemStore, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(s, v)| ((*s).to_owned(), vec![(*v).to_owned()])).collect();
    assert_eq!(stored(store), expected);
}

fn point(value: &Value, labels: &Value) -> Value {
    let mut out = json!({"timeUnixNano": AT, "attributes": attributes(labels)});
    out.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    out
}

fn sum(name: &str, unit: &str, monotonic: bool, points: &[Value]) -> Value {
    json!({"name": name, "unit": unit,
        "sum": {"aggregationTemporality": 2, "isMonotonic": monotonic, "dataPoints": points}})
}

#[test]
fn descriptions_types_and_units_are_kept_by_the_names_in_the_store() {
    let (_, receiver) = receiver("{}");
    let one = || [point(&json!({"asInt": 1}), &json!({}))];
    let histogram =
        json!({"aggregationTemporality": 2, "dataPoints": [point(&json!({"count": "0"}), &json!({}))]});
    let metrics = json!([
        {"name": "memory", "unit": "By", "description": "In use.", "gauge": {"dataPoints": one()}},
        sum("requests", "", true, &one()),
        sum("queue", "{item}", false, &one()),
        {"name": "latency", "unit": "s", "description": "Of requests.", "histogram": histogram},
    ]);
    assert_eq!(send(&receiver, &request(&json!({"service.name": "shop"}), &metrics)).refused, 0);
    let all = receiver.metadata().all().into_iter();
    let all: Vec<_> = all.map(|(name, m)| format!("{name} {} {} {}", m.kind, m.unit, m.help)).collect();
    assert_eq!(
        all,
        [
            "latency_seconds histogram seconds Of requests.",
            "memory_bytes gauge bytes In use.",
            "queue gauge  ",
            "requests_total counter  ",
        ]
    );
}

#[test]
fn gauges_and_sums_get_names_units_job_and_instance() {
    let (store, receiver) = receiver("{}");
    let resource = json!({"service.name": "shop", "service.namespace": "web", "service.instance.id": "i1",
        "host.name": "h"});
    let metrics = json!([
        {"name": "process.memory", "unit": "By", "gauge": {"dataPoints": [point(&json!({"asInt": "7"}), &json!({}))]}},
        sum("http.requests", "1", true, &[
            point(&json!({"asDouble": 2.5}), &json!({"http.method": "GET", "http_method": "x", "__name__": "no"})),
        ]),
        sum("queue", "{item}", false, &[point(&json!({"asInt": 3, "flags": 1}), &json!({"_a": "b"}))]),
    ]);
    let written = send(&receiver, &request(&resource, &metrics));
    assert_eq!(written, OtlpWritten { samples: 4, refused: 0, reason: String::new() });
    is_stored(
        &store,
        &[
            (r#"{__name__="process_memory_bytes", instance="i1", job="web/shop"}"#, "7@0"),
            (
                r#"{__name__="http_requests_total", http_method="GET;x", instance="i1", job="web/shop"}"#,
                "2.5@0",
            ),
            (r#"{__name__="queue", instance="i1", job="web/shop", key_a="b"}"#, "stale@0"),
            (r#"{__name__="target_info", host_name="h", instance="i1", job="web/shop"}"#, "1@0"),
        ],
    );
    assert_eq!(send(&receiver, &request(&resource, &metrics)).refused, 0, "sent twice, it is the same");
}

#[test]
fn a_histogram_is_classic_unless_converted() {
    let metrics = json!([{"name": "latency", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [
        point(&json!({"count": 6, "sum": 2.5, "bucketCounts": [1, 2, 3], "explicitBounds": [0.1, 1],
            "exemplars": [{"timeUnixNano": AT, "asDouble": 0.5, "traceId": "0af7651916cd43dd8448eb211c80319c",
                "spanId": "0000000000000000"}]}), &json!({})),
    ]}}]);
    let (store, classic) = receiver("{}");
    assert_eq!(send(&classic, &request(&json!({}), &metrics)).refused, 0);
    is_stored(
        &store,
        &[
            (r#"{__name__="latency_seconds_sum"}"#, "2.5@0"),
            (r#"{__name__="latency_seconds_count"}"#, "6@0"),
            (r#"{__name__="latency_seconds_bucket", le="0.1"}"#, "1@0"),
            (r#"{__name__="latency_seconds_bucket", le="1"}"#, "3@0"),
            (r#"{__name__="latency_seconds_bucket", le="+Inf"}"#, "6@0"),
        ],
    );
    let found = store.exemplars(&[], TimeRange::ALL).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels.value("le"), "1");
    let trace = Labels::from_pairs([("trace_id", "0af7651916cd43dd8448eb211c80319c")]);
    assert_eq!((&found[0].exemplars[0].labels, found[0].exemplars[0].t), (&trace, NOW));

    let (store, native) = receiver("{convert_histograms_to_nhcb: true}");
    assert_eq!(send(&native, &request(&json!({}), &metrics)).refused, 0);
    let all = stored(&store);
    assert_eq!(all.keys().collect::<Vec<_>>(), [r#"{__name__="latency_seconds"}"#]);
    assert!(all.values().next().unwrap()[0].contains("count:6"), "{all:?}");
}

#[test]
fn exponential_histograms_and_summaries_are_stored() {
    let (store, receiver) = receiver("{}");
    let metrics = json!([
        {"name": "size", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            point(&json!({"count": 4, "sum": 9, "scale": 0, "zeroCount": 1,
                "positive": {"offset": 0, "bucketCounts": ["2", 1]}}), &json!({})),
            point(&json!({"flags": 1, "count": 4}), &json!({"of": "ended"})),
        ]}},
        {"name": "age", "unit": "s", "summary": {"dataPoints": [
            point(&json!({"count": 2, "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1},
                {"quantile": 1, "value": 2}]}), &json!({"quantile": "mine"})),
        ]}},
    ]);
    assert_eq!(send(&receiver, &request(&json!({}), &metrics)).refused, 0);
    let all = stored(&store);
    let histogram = &all[r#"{__name__="size"}"#][0];
    assert!(histogram.contains("count:4") && histogram.contains("(1,2]:2"), "{histogram}");
    assert_eq!(all[r#"{__name__="size", of="ended"}"#], ["stale@0"]);
    assert_eq!(all[r#"{__name__="age_seconds", quantile="0.5"}"#], ["1@0"]);
    assert_eq!(all[r#"{__name__="age_seconds", quantile="1"}"#], ["2@0"]);
    assert_eq!(all[r#"{__name__="age_seconds_sum", quantile="mine"}"#], ["3@0"]);
    assert_eq!(all.len(), 6);
}

#[test]
fn what_is_wrong_is_refused_with_its_reason_and_the_rest_is_stored() {
    let (store, receiver) = receiver("{}");
    let at = |ms: i64| json!({"asInt": 1, "timeUnixNano": (NOW + ms) * 1_000_000});
    let metrics = json!([
        {"name": "delta", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [{}, {}]}},
        sum("ahead", "", false, &[point(&at(700_000), &json!({})), point(&at(5), &json!({}))]),
        sum("@@", "", false, &[point(&at(0), &json!({}))]),
        sum("label", "", false, &[point(&at(0), &json!({"": "x"})), point(&at(0), &json!({}))]),
        {"name": "coarse", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            point(&json!({"scale": -9}), &json!({}))]}},
        {"name": "nothing"},
    ]);
    let written = send(&receiver, &request(&json!({}), &metrics));
    assert_eq!((written.samples, written.refused), (2, 6));
    let reasons: Vec<_> = written.reason.lines().collect();
    for (reason, part) in reasons.iter().zip([
        r#"combination for metric "delta""#,
        "ahead: out of bounds: timestamp is too far in the future",
        "resulted in empty name",
        "label: label name is empty",
        "coarse: cannot convert exponential to native histogram. Scale must be >= -4, was -9",
    ]) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(reasons.len(), 5);
    let all = stored(&store);
    assert_eq!(all.keys().collect::<Vec<_>>(), [r#"{__name__="ahead"}"#, r#"{__name__="label"}"#]);

    // Another value at a time that is taken.
    let metrics = json!([sum(
        "ahead",
        "",
        false,
        &[point(&json!({"asInt": 2, "timeUnixNano": (NOW + 5) * 1_000_000}), &json!({}))]
    )]);
    let written = send(&receiver, &request(&json!({}), &metrics));
    assert_eq!(written.refused, 1);
    assert!(written.reason.starts_with("ahead: "), "{written:?}");
    assert_eq!(receiver.metrics().refused_points.load(Ordering::Relaxed), 7);
}

#[test]
fn resources_and_scopes_become_labels_as_configured() {
    let resource = json!({"service.name": "s", "host.name": "h", "cloud": "c"});
    let metrics =
        json!([sum("a.b", "s", true, &[point(&json!({"asInt": 1}), &json!({"cloud": "own", "x.y": "z"}))])]);
    let cases = [
        (
            "{promote_resource_attributes: [host.name]}",
            r#"{__name__="a_b_seconds_total", cloud="own", host_name="h", job="s", x_y="z"}"#,
        ),
        (
            "{promote_all_resource_attributes: true, ignore_resource_attributes: [host.name]}",
            r#"{__name__="a_b_seconds_total", cloud="own", job="s", service_name="s", x_y="z"}"#,
        ),
        (
            "{translation_strategy: UnderscoreEscapingWithoutSuffixes}",
            r#"{__name__="a_b", cloud="own", job="s", x_y="z"}"#,
        ),
        ("{translation_strategy: NoTranslation}", r#"{__name__="a.b", cloud="own", job="s", "x.y"="z"}"#),
        (
            "{translation_strategy: NoUTF8EscapingWithSuffixes}",
            r#"{__name__="a.b_seconds_total", cloud="own", job="s", "x.y"="z"}"#,
        ),
        (
            "{promote_scope_metadata: true}",
            concat!(
                r#"{__name__="a_b_seconds_total", cloud="own", job="s", otel_scope_name="lib", "#,
                r#"otel_scope_schema_url="url", otel_scope_team="a", otel_scope_version="1.2", x_y="z"}"#
            ),
        ),
    ];
    for (otlp, expected) in cases {
        let (store, receiver) = receiver(otlp);
        assert_eq!(send(&receiver, &request(&resource, &metrics)).refused, 0);
        let all = stored(&store);
        assert!(all.contains_key(expected), "{otlp}: {all:?}");
        let info = all.keys().find(|k| k.contains("target_info")).unwrap();
        assert!(!info.contains("otel_scope") && !info.contains("service"), "{info}");
    }
    let (store, keeping) = receiver("{keep_identifying_resource_attributes: true}");
    send(&keeping, &request(&resource, &metrics));
    let info = r#"{__name__="target_info", cloud="c", host_name="h", job="s", service_name="s"}"#;
    assert!(stored(&store).contains_key(info), "{:?}", stored(&store));
}

#[test]
fn a_new_configuration_holds_from_the_next_request_on() {
    let (store, receiver) = receiver("{}");
    let metrics = json!([sum("a", "s", true, &[point(&json!({"asInt": 1}), &json!({}))])]);
    send(&receiver, &request(&json!({}), &metrics));
    receiver.apply(&config("{translation_strategy: NoTranslation}"));
    send(&receiver, &request(&json!({}), &metrics));
    assert_eq!(
        stored(&store).into_keys().collect::<Vec<_>>(),
        [r#"{__name__="a"}"#, r#"{__name__="a_seconds_total"}"#]
    );
}

#[test]
fn target_info_covers_the_time_of_its_points_and_no_more_than_it_must() {
    let (store, receiver) = receiver("{}");
    let at = |ms: i64| point(&json!({"asInt": 1, "timeUnixNano": (NOW + ms) * 1_000_000}), &json!({}));
    let resource = json!({"service.name": "s", "zone": "z"});
    send(&receiver, &request(&resource, &json!([sum("a", "", false, &[at(-400_000), at(0)])])));
    let info = r#"{__name__="target_info", job="s", zone="z"}"#;
    assert_eq!(stored(&store)[info], ["1@-400000", "1@-250000", "1@-100000", "1@0"]);

    let (store, receiver) = self::receiver("{}");
    let early = point(&json!({"asInt": 1, "timeUnixNano": 1}), &json!({"of": "1970"}));
    let request = request(&resource, &json!([sum("a", "", false, &[early, at(0)])]));
    send(&receiver, &request);
    assert_eq!(stored(&store)[info].len(), 1001);
}

#[test]
fn malformed_requests_are_refused_with_the_byte() {
    let (_, receiver) = receiver("{}");
    let malformed = |encoding, body: &[u8]| receiver.handle(encoding, body, "", NOW).unwrap_err();
    let e = malformed(Encoding::Protobuf, &[0x0a, 0x00, 0x0a, 0x05, 0x01]);
    assert_eq!(e.to_string(), "byte 2: protobuf message ends inside a field (ExportMetricsServiceRequest)");
    assert_eq!(e.status().0, 400);
    let e = malformed(Encoding::Json, br#"{"resourceMetrics": [{"scopeMetrics": 3}]}"#);
    assert!(e.to_string().starts_with("byte 3"), "{e}");
    let many = json!([sum("a", "", false, &vec![json!({}); MAX_SAMPLES + 1])]);
    let e = malformed(Encoding::Json, request(&json!({}), &many).to_string().as_bytes());
    assert_eq!((e.to_string().as_str(), e.status().0), ("request exceeds the limit of 1048576 samples", 413));
}

#[test]
fn an_attribute_of_the_resource_cannot_be_multiplied_without_end() {
    let (_, receiver) = receiver("{promote_all_resource_attributes: true}");
    let points: Vec<_> =
        (0..300).map(|i| point(&json!({"asInt": 1}), &json!({"i": i.to_string()}))).collect();
    let resource = json!({"a": "x".repeat(1_000_000)});
    let written = send(&receiver, &request(&resource, &json!([sum("a", "", false, &points)])));
    assert!((150..200).contains(&written.refused), "{}", written.refused);
    assert!(written.reason.contains("labels of the request take more than 134217728 bytes"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, receiver) = receiver("{}");
        let _ = receiver.write(&bytes, NOW);
    }

    #[test]
    fn a_damaged_request_is_answered(at in 0..2000usize, to: u8) {
        let (_, receiver) = receiver("{promote_scope_metadata: true}");
        let metrics = json!([
            sum("a", "s", true, &[point(&json!({"asInt": 1, "exemplars": [{"asInt": 1}]}), &json!({"k": "v"}))]),
            {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [
                {"count": 3, "bucketCounts": [1, 2], "explicitBounds": [0.5]}]}},
            {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
                {"count": 3, "positive": {"bucketCounts": [1, 2]}}]}},
            {"name": "s", "summary": {"dataPoints": [{"quantileValues": [{"quantile": 1}]}]}},
        ]);
        let text = request(&json!({"service.name": "s", "a": "b"}), &metrics).to_string();
        let mut message = super::super::json::to_protobuf(text.as_bytes(), &schema::METRICS_REQUEST).unwrap();
        let at = at % message.len();
        message[at] = to;
        if let Err(OtlpError::Malformed { offset, .. }) = receiver.write(&message, NOW) {
            prop_assert!(offset <= message.len());
        }
    }
}
