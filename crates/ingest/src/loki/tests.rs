use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use reba_model::{NanoRange, Tenant};
use reba_storage::DemotedLabels;
use reba_testkit::{LogRows, MemLogStore, log_rows};

use super::{config::LokiConfig, *};

/// 2023-11-14T22:13:20Z
const NOW: i64 = 1_700_000_000_000_000_000;

struct Bench {
    store: Arc<MemLogStore>,
    receiver: LokiReceiver,
    now: Arc<AtomicI64>,
    tenant: Tenant,
}

impl Bench {
    fn new(config: &str) -> Self {
        let path = std::path::Path::new("loki.yml");
        let (config, _) = LokiConfig::parse(config, path, &config::Variables::default()).unwrap();
        let store = Arc::new(MemLogStore::default());
        let now = Arc::new(AtomicI64::new(NOW));
        let clock = Arc::clone(&now);
        let limits = Arc::new(TenantLimits::new(&config));
        let now_ns: NowNs = Arc::new(move || clock.load(Ordering::Relaxed));
        let receiver = LokiReceiver::new(Arc::clone(&store) as _, limits, now_ns, 7);
        Bench { store, receiver, now, tenant: Tenant::single() }
    }

    fn with_limits(limits: &str) -> Self {
        Bench::new(&format!("limits_config: {{discover_log_levels: false, {limits}}}\n"))
    }

    fn json(&self, body: &str) -> Result<(), PushError> {
        let head = PushHead { content_type: Some("application/json; charset=utf-8"), content_encoding: None };
        self.receiver.push(&self.tenant, head, body.as_bytes())
    }

    /// Pushes lines of one stream, all of them a second old.
    fn lines(&self, labels: &str, lines: &[&str]) -> Result<(), PushError> {
        let values: Vec<_> = (NOW - 1_000_000_000..)
            .zip(lines)
            .map(|(ns, line)| serde_json::json!([ns.to_string(), line]))
            .collect();
        self.json(&format!(r#"{{"streams":[{{"stream":{labels},"values":{}}}]}}"#, serde_json::json!(values)))
    }

    fn rows(&self) -> LogRows {
        log_rows(&*self.store, &self.tenant, &[], NanoRange::ALL).unwrap()
    }

    /// Lines by stream.
    fn stored(&self) -> BTreeMap<String, Vec<String>> {
        let lines = |rows: Vec<(i64, String, _)>| rows.into_iter().map(|(_, line, _)| line).collect();
        self.rows().into_iter().map(|(labels, rows)| (labels.to_string(), lines(rows))).collect()
    }

    fn metrics(&self) -> String {
        let mut out = String::new();
        self.receiver.write_metrics(&mut out);
        out
    }
}

fn fault(result: Result<(), PushError>) -> (u16, String) {
    result.map_or_else(|e| (e.status, e.message), |()| (204, String::new()))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

#[test]
fn pushes_of_every_encoding_are_stored_in_the_same_stream() {
    let bench = Bench::new("");
    bench.lines(r#"{"b":"x","app":"a","empty":""}"#, &["json level=warn"]).unwrap();
    let body = format!(r#"{{"streams":[{{"stream":{{"app":"a","b":"x"}},"values":[["{NOW}","gzip"]]}}]}}"#);
    let head = PushHead { content_type: Some("application/json"), content_encoding: Some("gzip") };
    bench.receiver.push(&bench.tenant, head, &gzip(body.as_bytes())).unwrap();
    let (mut stream, mut entry, mut request) = (Vec::new(), Vec::new(), Vec::new());
    crate::wire::put_bytes_field(1, br#"{b="x", app="a"}"#, &mut stream);
    crate::wire::put_bytes_field(1, b"\x08\xff\xe1\xcf\xaa\x06", &mut entry);
    crate::wire::put_bytes_field(2, b"protobuf", &mut entry);
    crate::wire::put_bytes_field(2, &entry, &mut stream);
    crate::wire::put_bytes_field(1, &stream, &mut request);
    let block = snap::raw::Encoder::new().compress_vec(&request).unwrap();
    for encoding in [None, Some("snappy")] {
        let head = PushHead { content_type: None, content_encoding: encoding };
        bench.receiver.push(&bench.tenant, head, &block).unwrap();
    }
    let legacy = br#"{"streams":[{"labels":"{app=\"a\",b=\"x\"}","entries":[{"ts":"2023-11-14T22:13:20Z","line":"old"}]}]}"#;
    let head = PushHead { content_type: Some("application/json"), content_encoding: None };
    bench.receiver.push_legacy(&bench.tenant, head, legacy).unwrap();
    let stored = bench.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[r#"{app="a", b="x"}"#], ["json level=warn", "protobuf", "gzip", "old"]);
    let levels: Vec<_> = bench.rows().into_values().flatten().map(|(.., metadata)| metadata).collect();
    assert_eq!(levels[0], [("detected_level".to_owned(), "warn".to_owned())]);
    assert_eq!(levels[1], [("detected_level".to_owned(), "unknown".to_owned())]);
}

#[test]
fn a_body_that_is_no_push_is_refused_with_its_place_and_nothing_of_it_is_stored() {
    let bench = Bench::with_limits("");
    let head = |content_type, content_encoding| PushHead { content_type, content_encoding };
    let json = Some("application/json");
    let good = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["{NOW}","x"],[1]]}}]}}"#);
    for (head, body, status, text) in [
        (head(json, None), good.as_bytes(), 400, "stream 0, entry 1: byte "),
        (head(json, None), b"".as_slice(), 400, "byte 0: expected an object with streams"),
        (head(None, None), b"xyz", 400, "snappy: "),
        (head(json, Some("gzip")), b"xyz", 400, "gzip: "),
        (head(json, Some("br")), b"{}", 400, "Content-Encoding \"br\" not supported"),
        (head(Some("application/json; x"), None), b"{}", 400, "mime: malformed media type"),
        (head(Some("a/b/c"), None), b"{}", 400, "mime: malformed media type"),
    ] {
        let (code, message) = fault(bench.receiver.push(&bench.tenant, head, body));
        assert!(code == status && message.starts_with(text), "{code} {message}");
    }
    assert!(bench.rows().is_empty());
}

#[test]
fn bodies_are_bounded_before_and_after_decompression() {
    let bench = Bench::new("server: {grpc_server_max_recv_msg_size: 1MB}\n");
    let bomb = vec![b' '; 50 << 20];
    let json = Some("application/json");
    for (encoding, body) in [(Some("gzip"), gzip(&bomb)), (None, bomb[..2 << 20].to_vec())] {
        let head = PushHead { content_type: json, content_encoding: encoding };
        assert_eq!(fault(bench.receiver.push(&bench.tenant, head, &body)).0, 413);
    }
    let block = snap::raw::Encoder::new().compress_vec(&bomb).unwrap();
    assert_eq!(fault(bench.receiver.push(&bench.tenant, PushHead::default(), &block)).0, 413);
}

#[test]
fn good_entries_of_a_bad_push_are_stored_and_the_answer_is_still_400() {
    let bench = Bench::with_limits("max_line_size: 10B, max_label_names_per_series: 2");
    let (old, new) = (NOW - 169 * 3_600_000_000_000, NOW + 11 * 60_000_000_000);
    let body = format!(
        r#"{{"streams":[
            {{"stream":{{"app":"a"}},"values":[["{NOW}","good"],["{old}","x"],["{new}","x"],["{NOW}","a line too long"]]}},
            {{"stream":{{}},"values":[["{NOW}","x"]]}},
            {{"stream":{{"a-b":"x"}},"values":[["{NOW}","x"]]}},
            {{"stream":{{"a":"1","b":"2","c":"3"}},"values":[["{NOW}","x"],["{NOW}","y"]]}}]}}"#
    );
    let (status, message) = fault(bench.json(&body));
    assert_eq!(status, 400);
    for part in [
        r#"entry for stream '{app="a"}' has timestamp too old: 2023-11-07T21:13:20Z, oldest acceptable timestamp is: 2023-11-07T22:13:20Z"#,
        r#"entry for stream '{app="a"}' has timestamp too new: 2023-11-14T22:24:20Z"#,
        r#"Max entry size '10' bytes exceeded for stream '{app="a"}' while adding an entry with length '15' bytes"#,
        "error at least one label pair is required per stream",
        r#"Error parsing labels '{"a-b":"x"}' with error: "a-b" is no name of a label"#,
        r#"entry for stream '{a="1", b="2", c="3"}' has 3 label names; limit 2"#,
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    assert_eq!(bench.stored(), BTreeMap::from([(r#"{app="a"}"#.to_owned(), vec!["good".to_owned()])]));
    let metrics = bench.metrics();
    for line in [
        "loki_discarded_samples_total{reason=\"greater_than_max_sample_age\",tenant=\"fake\"} 1",
        "loki_discarded_samples_total{reason=\"too_far_in_future\",tenant=\"fake\"} 1",
        "loki_discarded_bytes_total{reason=\"line_too_long\",tenant=\"fake\"} 15",
        "loki_discarded_samples_total{reason=\"max_label_names_per_series\",tenant=\"fake\"} 2",
        "loki_discarded_samples_total{reason=\"missing_labels\",tenant=\"fake\"} 1",
        "loki_distributor_lines_received_total{tenant=\"fake\"} 8",
        "loki_distributor_bytes_received_total{tenant=\"fake\",retention_hours=\"0\"} 25",
        "loki_ingester_memory_streams{tenant=\"fake\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
}

#[test]
fn at_most_ten_faults_are_named() {
    let bench = Bench::with_limits("max_line_size: 1B");
    let lines: Vec<String> = (2..40).map(|n| "x".repeat(n)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (status, message) = fault(bench.lines(r#"{"app":"a"}"#, &lines));
    assert_eq!((status, message.matches("Max entry size").count()), (400, 10));
    assert!(message.ends_with("; and 28 more errors"), "{message}");
}

#[test]
fn a_line_of_a_hundred_megabytes_is_refused_or_cut_by_its_limit() {
    let line = "x".repeat(99 << 20);
    let body = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["{NOW}","{line}"]]}}]}}"#);
    let bench = Bench::with_limits("max_line_size: 256KB");
    let (status, message) = fault(bench.json(&body));
    assert!(status == 400 && message.contains("with length '103809024' bytes"), "{message}");
    let bench = Bench::with_limits("max_line_size: 5B, max_line_size_truncate: true");
    bench.json(&body).unwrap();
    bench.lines(r#"{"app":"b"}"#, &["aaaaé"]).unwrap();
    assert_eq!(bench.stored().into_values().flatten().collect::<Vec<_>>(), ["xxxxx", "aaaa"]);
    let whole = format!("{body}{}", " ".repeat(2 << 20));
    assert_eq!(fault(bench.json(&whole)).0, 413);
}

#[test]
fn a_tenant_that_sends_too_fast_is_told_to_wait_and_a_fast_stream_loses_the_rest() {
    let bench = Bench::with_limits("ingestion_rate_mb: 1, ingestion_burst_size_mb: 1");
    let line = "x".repeat(600_000);
    bench.lines(r#"{"app":"a"}"#, &[&line]).unwrap();
    let error = bench.lines(r#"{"app":"a"}"#, &[&line]).unwrap_err();
    assert_eq!((error.status, error.retry_after_s), (429, Some(1)));
    assert_eq!(
        error.message,
        "Ingestion rate limit exceeded for user fake (limit: 1048576 bytes/sec) while attempting to ingest '1' lines totaling \
         '600000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased"
    );
    bench.now.fetch_add(1_000_000_000, Ordering::Relaxed);
    bench.lines(r#"{"app":"a"}"#, &[&line]).unwrap();

    let bench = Bench::with_limits("per_stream_rate_limit: 10B, per_stream_rate_limit_burst: 10B");
    let (status, message) = fault(bench.lines(r#"{"app":"a"}"#, &["12345", "67890", "abc"]));
    assert_eq!(status, 429);
    assert_eq!(
        message,
        "entry with timestamp 2023-11-14 22:13:19.000000002 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: \
         10B/sec) while attempting to ingest for stream '{app=\"a\"}' totaling 3B, consider splitting a stream via additional \
         labels or contact your Loki administrator to see if the limit can be increased',\n\
         user 'fake', total ignored: 1 out of 3 for stream: {app=\"a\"}"
    );
    assert_eq!(bench.stored()[r#"{app="a"}"#], ["12345", "67890"]);
    assert!(
        bench
            .metrics()
            .contains("loki_discarded_samples_total{reason=\"per_stream_rate_limit\",tenant=\"fake\"} 1")
    );
}

#[test]
fn streams_beyond_their_number_are_refused_while_the_others_are_stored() {
    let bench = Bench::with_limits("max_global_streams_per_user: 1");
    let stream = |app: &str| format!(r#"{{"stream":{{"app":"{app}"}},"values":[["{NOW}","of {app}"]]}}"#);
    let (status, message) = fault(bench.json(&format!(r#"{{"streams":[{},{}]}}"#, stream("a"), stream("b"))));
    assert_eq!(status, 429);
    assert!(
        message.starts_with("Maximum active stream limit exceeded, reduce the number of active streams"),
        "{message}"
    );
    assert!(message.ends_with("user: 'fake'"), "{message}");
    assert_eq!(bench.stored().into_values().flatten().collect::<Vec<_>>(), ["of a"]);
    let mixed = format!(r#"{{"streams":[{},{{"stream":{{}},"values":[["1","x"]]}}]}}"#, stream("b"));
    assert_eq!(fault(bench.json(&mixed)).0, 400, "what is wrong is told first");
}

#[test]
fn entries_of_one_time_get_the_next_nanosecond_if_that_is_asked_for() {
    let bench = Bench::with_limits("increment_duplicate_timestamp: true");
    let values = format!(r#"[["{NOW}","a"],["{NOW}","b"],["{NOW}","c"],["{NOW}","c"]]"#);
    bench.json(&format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":{values}}}]}}"#)).unwrap();
    let rows: Vec<_> = bench.rows().into_values().flatten().map(|(ns, line, _)| (ns - NOW, line)).collect();
    // The last one is the same as the one before it, and came at the time it says.
    let expected = [(0, "a"), (0, "c"), (1, "b"), (2, "c")];
    assert_eq!(rows, expected.map(|(ns, line)| (ns, line.to_owned())));
}

#[test]
fn a_service_name_is_found_if_that_is_asked_for() {
    let bench = Bench::with_limits("discover_service_name: [service, app]");
    bench.lines(r#"{"app":"a"}"#, &["x"]).unwrap();
    bench.lines(r#"{"z":"a"}"#, &["x"]).unwrap();
    bench.lines(r#"{"service_name":"s","app":"a"}"#, &["x"]).unwrap();
    assert_eq!(
        bench.stored().into_keys().collect::<Vec<_>>(),
        [
            r#"{app="a", service_name="a"}"#,
            r#"{app="a", service_name="s"}"#,
            r#"{service_name="unknown_service", z="a"}"#
        ]
    );
}

#[test]
fn labels_of_too_many_values_become_metadata_and_their_names_are_remembered() {
    let demoted = Arc::new(DemotedLabels::default());
    let mut bench = Bench::with_limits("high_cardinality_values_per_hour: 3");
    bench.receiver = bench.receiver.with_demoted(Arc::clone(&demoted));
    bench.lines(r#"{"app":"a","trace_id":"1234"}"#, &["t"]).unwrap();
    for shop in 0..6 {
        bench.lines(&format!(r#"{{"app":"a","shop":"{shop}"}}"#), &["s"]).unwrap();
    }
    bench.lines(r#"{"app":"a","shop":"0"}"#, &["again"]).unwrap();
    let names = demoted.of(&bench.tenant);
    assert_eq!(names.iter().collect::<Vec<_>>(), ["shop", "trace_id"]);
    let rows = bench.rows();
    let streams: Vec<String> = rows.keys().map(ToString::to_string).collect();
    assert_eq!(
        streams,
        [r#"{app="a"}"#, r#"{app="a", shop="0"}"#, r#"{app="a", shop="1"}"#, r#"{app="a", shop="2"}"#]
    );
    let metadata: Vec<_> =
        rows.into_values().next().unwrap().into_iter().map(|(_, line, m)| (line, m)).collect();
    let pair = |n: &str, v: &str| vec![(n.to_owned(), v.to_owned())];
    for (line, expected) in
        [("t", pair("trace_id", "1234")), ("s", pair("shop", "5")), ("again", pair("shop", "0"))]
    {
        assert!(metadata.contains(&(line.to_owned(), expected)), "{line} {metadata:?}");
    }
    assert!(bench.metrics().contains("reba_log_labels_demoted_total 2"));
}

#[test]
fn limits_change_for_streams_that_are_known_already() {
    let bench = Bench::with_limits("max_label_value_length: 3");
    assert_eq!(fault(bench.lines(r#"{"app":"abcd"}"#, &["x"])).0, 400);
    bench.receiver.limits.apply(&LokiConfig::default());
    bench.lines(r#"{"app":"abcd"}"#, &["x"]).unwrap();
    assert_eq!(bench.receiver.limits.of(&bench.tenant).max_label_value_length, 2048);
}

mod otlp {
    use super::*;

    fn push(bench: &Bench, body: &str) -> Result<OtlpAnswer, PushError> {
        let head = PushHead { content_type: Some("application/json"), content_encoding: None };
        bench.receiver.push_otlp(&bench.tenant, head, body.as_bytes())
    }

    const REQUEST: &str = r#"{"resourceLogs":[{
        "resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"shop"}},
            {"key":"k8s.pod.name","value":{"stringValue":"p-1"}},
            {"key":"process.args","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"}]}}}]},
        "scopeLogs":[{
            "scope":{"name":"lib","version":"1.2","attributes":[{"key":"s.a","value":{"boolValue":true}}]},
            "logRecords":[
                {"timeUnixNano":"1700000000000000000","observedTimeUnixNano":"1700000000000000005","severityNumber":17,
                 "severityText":"Error","body":{"stringValue":"it failed"},"traceId":"5B8EFFF798038103D269B633813FC60C",
                 "spanId":"0000000000000000","flags":1,"attributes":[
                    {"key":"http","value":{"kvlistValue":{"values":[
                        {"key":"status.code","value":{"intValue":"500"}},{"key":"3","value":{"kvlistValue":{"values":[
                            {"key":"x","value":{"doubleValue":0.5}}]}}}]}}},
                    {"key":"1st","value":{"bytesValue":"AQI="}}]},
                {"observedTimeUnixNano":"1700000000000000007","body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":1}}]}}},
                {"body":{"stringValue":"no time"}}]}]}]}"#;

    #[test]
    fn attributes_are_labels_or_metadata_as_upstream_has_it() {
        let bench = Bench::new("");
        assert_eq!(push(&bench, REQUEST).unwrap().body, b"");
        let rows = bench.rows();
        assert_eq!(rows.len(), 1);
        let (labels, rows) = rows.into_iter().next().unwrap();
        assert_eq!(labels.to_string(), r#"{k8s_pod_name="p-1", service_name="shop"}"#);
        assert_eq!(
            rows.iter().map(|r| (r.0, r.1.as_str())).collect::<Vec<_>>(),
            [(NOW, "it failed"), (NOW, "no time"), (NOW + 7, r#"{"a":1}"#)]
        );
        let pairs: BTreeMap<&str, &str> = rows[0].2.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            BTreeMap::from([
                ("scope_name", "lib"),
                ("scope_version", "1.2"),
                ("s_a", "true"),
                ("observed_timestamp", "1700000000000000005"),
                ("severity_number", "17"),
                ("severity_text", "Error"),
                ("trace_id", "5b8efff798038103d269b633813fc60c"),
                ("flags", "1"),
                ("http_status_code", "500"),
                ("http_3_x", "0.5"),
                ("key_1st", "AQI="),
                ("process_args", r#"["a",1]"#),
                ("detected_level", "error"),
            ])
        );
    }

    #[test]
    fn the_configuration_says_which_attributes_are_labels() {
        let bench = Bench::new(
            "limits_config:\n  discover_log_levels: false\n  otlp_config:\n    resource_attributes:\n      ignore_defaults: true\n      \
             attributes_config:\n      - {action: index_label, attributes: [service.name]}\n      - {action: drop, regex: 'process.*'}\n    \
             scope_attributes: [{action: drop, regex: '.*'}]\n    log_attributes: [{action: drop, attributes: [http, '1st']}]\n",
        );
        push(&bench, REQUEST).unwrap();
        let (labels, rows) = bench.rows().into_iter().next().unwrap();
        assert_eq!(labels.to_string(), r#"{service_name="shop"}"#);
        let names: Vec<&str> = rows[1].2.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["k8s_pod_name", "scope_name", "scope_version"]);
    }

    #[test]
    fn what_cannot_be_taken_is_told_of_in_the_answer() {
        let bench = Bench::with_limits("max_line_size: 8B");
        let answer = push(&bench, REQUEST).unwrap();
        assert_eq!((answer.rejected, answer.content_type), (1, "application/json"));
        let body = String::from_utf8(answer.body).unwrap();
        assert!(
            body.starts_with(r#"{"partialSuccess":{"errorMessage":"Max entry size '8' bytes exceeded"#),
            "{body}"
        );
        assert!(body.ends_with(r#""rejectedLogRecords":"1"}}"#), "{body}");
        let bench = Bench::with_limits("max_line_size: 1B");
        assert_eq!(push(&bench, REQUEST).unwrap_err().status, 400);
        assert_eq!(
            push(&bench, r#"{"resourceLogs":[]}"#).unwrap(),
            OtlpAnswer { content_type: "application/json", ..OtlpAnswer::default() }
        );
        let head = |content_type| PushHead { content_type, content_encoding: None };
        let code = |head, body| {
            bench.receiver.push_otlp(&bench.tenant, head, body).map_err(|e| (e.status, e.message))
        };
        assert_eq!(code(head(None), b"").unwrap_err().0, 415);
        let (status, message) =
            code(head(Some("application/x-protobuf")), b"\x0a\x04\x0a\x02\x0a\x05").unwrap_err();
        assert_eq!(
            (status, message.as_str()),
            (400, "byte 4: protobuf message ends inside a field (Resource)")
        );
        assert_eq!(push(&bench, r#"{"resourceLogs":[{"resource":5}]}"#).unwrap_err().status, 400);
    }
}

#[test]
fn entries_of_this_process_are_never_refused_but_their_labels_are_looked_at() {
    let Bench { store, receiver, tenant, .. } = Bench::new(
        "limits_config: {ingestion_rate_mb: 0.000001, per_stream_rate_limit: 1, max_global_streams_per_user: 1}\n",
    );
    let local = LocalAppender::new(Arc::new(receiver));
    let mut batch = LogBatch::default();
    for stream in ["a", "b"] {
        let labels = [("app", stream), ("trace_id", "0af7651916cd43dd8448eb211c80319c")];
        batch.begin_stream(reba_model::Labels::from_pairs(labels));
        // As old as can be, and in the far future.
        batch.push(1, "level=error msg=old", [("k", "v")]).unwrap();
        batch.push(NOW * 2, "new", []).unwrap();
    }
    let report = local.append_logs(&tenant, &batch).unwrap();
    assert_eq!(report.appended, 4);
    let rows = log_rows(&*store, &tenant, &[], NanoRange::ALL).unwrap();
    let streams: Vec<String> = rows.keys().map(ToString::to_string).collect();
    assert_eq!(streams, [r#"{app="a"}"#, r#"{app="b"}"#]);
    let text = format!("{rows:?}");
    assert!(text.contains("0af7651916cd43dd8448eb211c80319c") && text.contains("detected_level"), "{text}");
}
