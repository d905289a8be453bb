//! The exact shapes of answers and the exact words of refusals.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::{Api, NOW, SECOND, config, form, request};

fn ns(seconds_ago: i64) -> String {
    (NOW - seconds_ago * SECOND).to_string()
}

async fn some_logs() -> Api {
    let api = Api::new(config());
    let line = |level: &str, n: i64| format!(r#"{{"level":"{level}","n":{n},"http":{{"path":"/x"}}}}"#);
    let (info, error) = (line("info", 1), line("error", 2));
    api.push(json!({"service": "agent-core", "env": "prod"}), &[&info, &error]).await;
    api.push(json!({"service": "billing", "env": "prod"}), &["took=5ms <b>bold</b> \u{1b}[31mred"]).await;
    api
}

#[tokio::test]
async fn pushed_lines_come_back_newest_first_by_their_stream() {
    let api = some_logs().await;
    let params = [("query", r#"{service=~".+"}"#), ("limit", "10")];
    let want = json!({"status": "success", "data": {"resultType": "streams", "result": [
        {"stream": {"env": "prod", "service": "agent-core"}, "values": [
            [ns(1), r#"{"level":"error","n":2,"http":{"path":"/x"}}"#],
            [ns(2), r#"{"level":"info","n":1,"http":{"path":"/x"}}"#],
        ]},
        {"stream": {"env": "prod", "service": "billing"}, "values": [
            [ns(1), "took=5ms <b>bold</b> \u{1b}[31mred"],
        ]},
    ]}});
    let reply = api.get("/loki/api/v1/query_range", &params).await;
    assert_eq!((reply.status, without_levels(reply.json())), (200, want.clone()));
    assert_eq!(reply.header("content-type"), "application/json");
    // The same as a form.
    let request = request("POST", "", "/loki/api/v1/query_range", &[]);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let reply = api.send(request.body(Body::from(form(&params))).unwrap()).await;
    assert_eq!(without_levels(reply.json()), want);
    // The query of the owner's README.
    let query = r#"{service="agent-core"} | json | level="error""#;
    let reply = api.get("/loki/api/v1/query_range", &[("query", query), ("direction", "forward")]).await;
    let result = without_levels(reply.json())["data"]["result"].clone();
    assert_eq!(result[0]["stream"]["http_path"], "/x");
    assert_eq!(result[0]["values"].as_array().unwrap().len(), 1);
}

/// Answers without `detected_level`, which is put on every line as it comes in.
fn without_levels(mut answer: Value) -> Value {
    let result = answer["data"]["result"].as_array_mut().unwrap();
    for stream in result {
        stream["stream"].as_object_mut().unwrap().remove("detected_level");
        for value in stream["values"].as_array_mut().unwrap() {
            let value = value.as_array_mut().unwrap();
            if let Some(Value::Object(metadata)) = value.get_mut(2) {
                metadata.remove("detected_level");
                if metadata.is_empty() {
                    value.pop();
                }
            }
        }
    }
    merged(answer)
}

/// Streams that are the same without that label stand together again.
fn merged(mut answer: Value) -> Value {
    let mut streams: Vec<Value> = Vec::new();
    for stream in answer["data"]["result"].as_array().unwrap() {
        match streams.iter_mut().find(|s| s["stream"] == stream["stream"]) {
            Some(same) => {
                let more = stream["values"].as_array().unwrap().clone();
                let values = same["values"].as_array_mut().unwrap();
                values.extend(more);
                values.sort_by_key(|v| std::cmp::Reverse(v[0].as_str().unwrap().to_owned()));
            }
            None => streams.push(stream.clone()),
        }
    }
    answer["data"]["result"] = Value::Array(streams);
    answer
}

#[tokio::test]
async fn metadata_stands_behind_the_line_and_is_told_apart_for_those_who_ask() {
    let mut config = config();
    config.limits.discover_log_levels = false;
    let api = Api::new(config);
    let entry = json!([ns(1), "level=info x", {"pod": "p1"}]);
    let push = json!({"streams": [{"stream": {"app": "a"}, "values": [entry, [ns(2), "y"]]}]});
    assert_eq!(api.push_json("", &push).await.status, 204);
    let query = [("query", r#"{app="a"} | logfmt | drop x, y"#)];
    let reply = api.get("/loki/api/v1/query_range", &query).await;
    assert_eq!(
        reply.json()["data"]["result"],
        json!([
            {"stream": {"app": "a"}, "values": [[ns(2), "y"]]},
            {"stream": {"app": "a", "level": "info", "pod": "p1"}, "values": [[ns(1), "level=info x", {"pod": "p1"}]]},
        ])
    );
    let request = request("GET", "", "/loki/api/v1/query_range", &query);
    let request = request.header("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let reply = api.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        reply.json()["data"],
        json!({
            "resultType": "streams",
            "encodingFlags": ["categorize-labels"],
            "result": [{"stream": {"app": "a"}, "values": [
                [ns(1), "level=info x", {"structuredMetadata": {"pod": "p1"}, "parsed": {"level": "info"}}],
                [ns(2), "y", {}],
            ]}],
        })
    );
}

#[tokio::test]
async fn the_health_check_of_dashboards_and_other_numbers_are_answered() {
    let api = some_logs().await;
    let instant = async |query: &str| {
        api.get("/loki/api/v1/query", &[("query", query), ("time", "4")]).await.json()["data"].clone()
    };
    assert_eq!(
        instant("vector(1)+vector(1)").await,
        json!({"resultType": "vector", "result": [{"metric": {}, "value": [4, "2"]}]})
    );
    assert_eq!(instant("1 + 1").await, json!({"resultType": "scalar", "result": [4, "2"]}));
    assert_eq!(instant(r#"sum(rate({a="b"}[1m]))"#).await, json!({"resultType": "vector", "result": []}));
    let params = [
        ("query", r#"sum by (service) (count_over_time({env="prod"} | drop __error__ [5s]))"#),
        ("start", "1699999990"),
        ("end", "1700000000"),
        ("step", "5000ms"),
    ];
    let reply = api.get("/loki/api/v1/query_range", &params).await;
    assert_eq!(
        reply.json()["data"],
        json!({"resultType": "matrix", "result": [
            {"metric": {"service": "agent-core"}, "values": [[1_700_000_000, "2"]]},
            {"metric": {"service": "billing"}, "values": [[1_700_000_000, "1"]]},
        ]})
    );
    let stats: Value = serde_json::from_slice(&reply.body).unwrap();
    for key in ["summary", "querier", "ingester", "cache"] {
        assert!(stats["data"]["stats"][key].is_object(), "{key}");
    }
}

#[tokio::test]
async fn labels_values_series_and_sizes_have_their_shapes() {
    let api = some_logs().await;
    let data = json!(["env", "service"]);
    for path in ["/loki/api/v1/labels", "/loki/api/v1/label"] {
        assert_eq!(api.get(path, &[]).await.json(), json!({"status": "success", "data": data}));
    }
    let values = api.get("/loki/api/v1/label/service/values", &[("query", r#"{service=~"a.*"}"#)]).await;
    assert_eq!(values.json(), json!({"status": "success", "data": ["agent-core"]}));
    let none = api.get("/loki/api/v1/label/nothing/values", &[]).await;
    assert_eq!(none.json(), json!({"status": "success", "data": []}));
    let both = json!([{"env": "prod", "service": "agent-core"}, {"env": "prod", "service": "billing"}]);
    let selectors: [&[(&str, &str)]; 4] = [
        &[],
        &[("match[]", "{}")],
        &[("match[]", r#"{service="billing"}"#), ("match", r#"{service="agent-core"}"#)],
        &[("match[]", r#"{nothing=""}"#)],
    ];
    for selector in selectors {
        let reply = api.get("/loki/api/v1/series", selector).await;
        assert_eq!(reply.json(), json!({"status": "success", "data": both}), "{selector:?}");
    }
    let stats = api.get("/loki/api/v1/index/stats", &[("query", r#"{service="agent-core"}"#)]).await.json();
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(2)), "{stats}");
    assert!(stats["chunks"].is_u64() && stats["bytes"].is_u64());
}

#[tokio::test]
async fn volumes_are_a_vector_of_bytes_or_a_matrix_over_time() {
    let api = some_logs().await;
    let params = [
        ("query", r#"{env="prod"}"#),
        ("targetLabels", "service"),
        ("start", "1699999900"),
        ("end", "1700000000"),
    ];
    let reply = api.get("/loki/api/v1/index/volume", &params).await.json();
    let result = reply["data"]["result"].as_array().unwrap();
    assert_eq!((&reply["data"]["resultType"], result.len()), (&json!("vector"), 2));
    assert_eq!(result[0]["metric"], json!({"service": "agent-core"}));
    assert_eq!(result[0]["value"][0], 1_700_000_000);
    assert!(result[0]["value"][1].as_str().unwrap().parse::<u64>().unwrap() > 80, "{reply}");
    let labels = [&params[..1], &params[2..], &[("aggregateBy", "labels")]].concat();
    let reply = api.get("/loki/api/v1/index/volume", &labels).await.json();
    assert_eq!(reply["data"]["result"][0]["metric"], json!({"env": ""}));
    let over_time = [&params[..], &[("step", "50")]].concat();
    let reply = api.get("/loki/api/v1/index/volume_range", &over_time).await.json();
    assert_eq!(reply["data"]["resultType"], "matrix");
    assert_eq!(reply["data"]["result"][0]["values"][0][0], 1_699_999_950);
    let wrong = [&params[..], &[("aggregateBy", "x")]].concat();
    let reply = api.get("/loki/api/v1/index/volume", &wrong).await;
    assert_eq!((reply.status, reply.text()), (400, "invalid aggregation option\n"));
}

#[tokio::test]
async fn what_logs_say_about_themselves_is_found() {
    let api = some_logs().await;
    let query = ("query", r#"{service="agent-core"}"#);
    let fields = api.get("/loki/api/v1/detected_fields", &[query]).await.json();
    let field = |label: &str| {
        fields["fields"].as_array().unwrap().iter().find(|f| f["label"] == label).cloned().unwrap()
    };
    assert_eq!(fields["limit"], 1000);
    assert_eq!(
        field("http_path"),
        json!({"label": "http_path", "type": "string", "cardinality": 1, "parsers": ["json"], "jsonPath": ["http", "path"]})
    );
    assert_eq!(field("n")["type"], "int");
    let values = api.get("/loki/api/v1/detected_field/level/values", &[query, ("limit", "5")]).await.json();
    assert_eq!(values, json!({"values": ["error", "info"], "limit": 5}));
    let labels = api.get("/loki/api/v1/detected_labels", &[query]).await.json();
    assert_eq!(labels["detectedLabels"][0], json!({"label": "env", "cardinality": 1}));
    let patterns = api.get("/loki/api/v1/patterns", &[query, ("step", "10s")]).await.json();
    assert_eq!(patterns["status"], "success");
    assert_eq!(patterns["data"][0]["samples"], json!([[1_699_999_990, 2]]));
}

#[tokio::test]
async fn a_query_is_formatted_or_refused_with_the_place_of_the_mistake() {
    let api = Api::new(config());
    let reply = api.get("/loki/api/v1/format_query", &[("query", r#"sum(rate({a="b"}[5m]))by(c)"#)]).await;
    assert_eq!(reply.json()["status"], "success");
    assert!(reply.json()["data"].as_str().unwrap().contains("sum by (c)"), "{}", reply.text());
    let reply = api.get("/loki/api/v1/format_query", &[("query", "{a=")]).await;
    assert_eq!((reply.status, &reply.json()["status"]), (400, &json!("invalid-query")));
    assert!(reply.json()["error"].as_str().unwrap().contains("parse error at line 1"), "{}", reply.text());
}

/// A path, parameters, and what is answered.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[tokio::test]
async fn refusals_are_plain_text_in_upstreams_words() {
    let api = some_logs().await;
    const RANGE: &str = "/loki/api/v1/query_range";
    const GOOD: (&str, &str) = ("query", r#"{a="b"}"#);
    let cases: [Case; 10] = [
        (RANGE, &[GOOD, ("limit", "0")], "limit must be a positive value\n"),
        (
            RANGE,
            &[GOOD, ("limit", "5001")],
            "max entries limit per query exceeded, limit > max_entries_limit (5001 > 5000)\n",
        ),
        (
            RANGE,
            &[GOOD, ("start", "10"), ("end", "10")],
            "end timestamp must not be before or equal to start time\n",
        ),
        (
            RANGE,
            &[GOOD, ("since", "x")],
            "could not parse 'since' parameter: not a valid duration string: \"x\"\n",
        ),
        (RANGE, &[GOOD, ("direction", "up")], "invalid direction 'UP'\n"),
        (RANGE, &[GOOD, ("interval", "-1")], "interval must be >= 0\n"),
        (
            RANGE,
            &[("query", r#"rate({a="b"}[1m])"#), ("step", "0")],
            "zero or negative query resolution step widths are not accepted. Try a positive integer\n",
        ),
        (
            RANGE,
            &[("query", r#"rate({a="b"}[1m])"#), ("step", "1ms")],
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter\n",
        ),
        ("/loki/api/v1/query", &[GOOD, ("time", "x")], "strconv.ParseInt: parsing \"x\": invalid syntax\n"),
        (
            "/loki/api/v1/patterns",
            &[("query", r#"rate({a="b"}[1m])"#)],
            "parse error : only log selector is supported\n",
        ),
    ];
    for (path, params, text) in cases {
        let reply = api.get(path, params).await;
        assert_eq!((reply.status, reply.text()), (400, text), "{params:?}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    let query = r#"sum by (level) (count_over_time({service="billing"} | json [1m]))"#;
    let params = [("query", query), ("start", "1699999990"), ("step", "1m")];
    let reply = api.get(RANGE, &params).await;
    assert!(
        reply.status == 400 && reply.text().starts_with("pipeline error: 'JSONParserErr'"),
        "{}",
        reply.text()
    );
    assert_eq!(api.get("/nothing", &[]).await.status, 404);
    assert_eq!(api.get("/loki/api/v1/push", &[]).await.status, 405);
}

#[tokio::test]
async fn the_first_versions_of_the_api_are_answered_in_their_shapes() {
    let api = some_logs().await;
    let params = [("query", r#"{service="billing"}"#), ("regexp", "to+k")];
    let reply = api.get("/api/prom/query", &params).await;
    let streams = reply.json()["streams"].clone();
    let labels = streams[0]["labels"].as_str().unwrap();
    assert!(labels.starts_with('{') && labels.contains(r#"service="billing""#), "{labels}");
    assert_eq!(streams[0]["entries"][0]["ts"], "2023-11-14T22:13:19Z");
    assert!(streams[0]["entries"][0]["line"].as_str().unwrap().starts_with("took=5ms"));
    assert_eq!(api.get("/api/prom/label", &[]).await.json(), json!({"values": ["env", "service"]}));
    assert_eq!(
        api.get("/api/prom/label/service/values", &[]).await.json(),
        json!({"values": ["agent-core", "billing"]})
    );
    let reply = api.get("/api/prom/query", &[("query", "vector(1)")]).await;
    assert_eq!(
        (reply.status, reply.text()),
        (400, "legacy endpoints only support streams result type, current type is matrix\n")
    );
    let entry = json!({"ts": "2023-11-14T22:13:18.5Z", "line": "old"});
    let body = json!({"streams": [{"labels": "{app=\"legacy\"}", "entries": [entry]}]}).to_string();
    let request = request("POST", "", "/api/prom/push", &[]).header("Content-Type", "application/json");
    assert_eq!(api.send(request.body(Body::from(body)).unwrap()).await.status, 204);
    let reply = api.get("/loki/api/v1/query_range", &[("query", r#"{app="legacy"}"#)]).await;
    assert_eq!(reply.json()["data"]["result"][0]["values"][0][0], "1699999998500000000");
}

#[tokio::test]
async fn operators_find_what_they_ask_for() {
    let api = some_logs().await;
    assert_eq!(api.get("/ready", &[]).await.text(), "ready\n");
    let info = api.get("/loki/api/v1/status/buildinfo", &[]).await.json();
    let mut keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"]);
    assert!(api.get("/services", &[]).await.text().contains("ingester => Running\n"));
    assert!(api.get("/config", &[]).await.text().contains("auth_enabled: false"));
    let diff = api.get("/config", &[("mode", "diff")]).await;
    assert_eq!(diff.text().trim(), "auth_enabled: false");
    assert!(api.get("/config", &[("mode", "defaults")]).await.text().contains("auth_enabled: true"));
    assert_eq!(api.get("/log_level", &[]).await.json()["message"], "Current log level is info");
    assert!(api.get("/distributor/ring", &[]).await.text().contains("ACTIVE"));
    assert_eq!(api.get("/flush", &[]).await.status, 204);
    let metrics = api.get("/metrics", &[]).await;
    let line = r#"loki_request_duration_seconds_count{method="POST",route="loki_api_v1_push",status_code="204",ws="false"} 2"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));

    api.readiness.set_unready();
    let reply = api.get("/ready", &[]).await;
    assert!(reply.status == 503 && reply.text().contains("not Running"), "{}", reply.text());
    assert_eq!(api.get("/loki/api/v1/labels", &[]).await.status, 503);
    assert_eq!(api.get("/metrics", &[]).await.status, 200);
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let api = Api::new(config());
    let lines: Vec<String> = (0..500).map(|i| format!("{i} {}", "x".repeat(1000))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    api.push(json!({"app": "a"}), &lines).await;
    for limit in ["5", "500"] {
        let params = [("query", r#"{app="a"}"#), ("limit", limit)];
        let request =
            request("GET", "", "/loki/api/v1/query_range", &params).header("Accept-Encoding", "gzip");
        let reply = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.header("content-encoding"), "gzip");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&reply.body[..]), &mut text).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["data"]["result"][0]["values"].as_array().unwrap().len().to_string(), limit);
    }
}
