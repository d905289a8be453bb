//! What changes something: pushes that are refused, deletions, and who may not do either.

use axum::body::Body;
use serde_json::json;

use crate::harness::{Api, NOW, Reply, SECOND, config, request};

async fn send(api: &Api, method: &str, path: &str, params: &[(&str, &str)]) -> Reply {
    api.send(request(method, "", path, params).body(Body::empty()).unwrap()).await
}

async fn lines(api: &Api) -> usize {
    let reply = api.get("/loki/api/v1/query", &[("query", r#"sum(count_over_time({app=~".+"}[1h]))"#)]).await;
    reply.json()["data"]["result"][0]["value"][1].as_str().map_or(0, |n| n.parse().unwrap())
}

#[tokio::test]
async fn deleted_lines_are_gone_when_the_request_is_answered() {
    let api = Api::new(config());
    api.push(json!({"app": "a"}), &["keep", "password=1", "password=2"]).await;
    let path = "/loki/api/v1/delete";
    let query = r#"{app="a"} |= "password""#;
    assert_eq!(send(&api, "GET", path, &[]).await.json(), json!([]));
    let reply =
        send(&api, "POST", path, &[("query", query), ("start", "1600000000"), ("end", "1700000000")]).await;
    assert_eq!((reply.status, reply.text()), (204, ""));
    assert_eq!(lines(&api).await, 1);
    let list = send(&api, "GET", path, &[]).await.json();
    let id = list[0]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(
        list,
        json!([{
            "request_id": id,
            "start_time": 1_600_000_000,
            "end_time": 1_700_000_000,
            "query": query,
            "status": "processed",
            "created_at": 1_700_000_000,
        }])
    );
    let reply = send(&api, "DELETE", path, &[("request_id", &id)]).await;
    assert_eq!(reply.status, 400);
    let reply = send(&api, "DELETE", path, &[("request_id", "nope")]).await;
    assert_eq!((reply.status, reply.text()), (404, "could not find delete request with given id\n"));
    let reply = send(&api, "PUT", path, &[("start", "1")]).await;
    assert_eq!((reply.status, reply.text()), (400, "query not set\n"));
}

#[tokio::test]
async fn nothing_is_deleted_where_the_limits_say_so() {
    let mut config = config();
    config.limits.deletion_mode = "disabled".to_owned();
    let api = Api::new(config);
    let reply = send(&api, "POST", "/loki/api/v1/delete", &[("query", "{a=\"b\"}"), ("start", "1")]).await;
    assert_eq!((reply.status, reply.text()), (403, "deletion is not available for this tenant\n"));
}

#[tokio::test]
async fn a_malformed_push_is_refused_and_says_where() {
    let api = Api::new(config());
    let push = async |kind: &str, body: &[u8]| {
        let request = request("POST", "", "/loki/api/v1/push", &[]).header("Content-Type", kind);
        api.send(request.body(Body::from(body.to_vec())).unwrap()).await
    };
    for (kind, body) in [
        ("application/json", br#"{"streams":[{"stream":{"app":"a"},"values":[["x","line"]]}]}"# as &[u8]),
        ("application/json", br#"{"streams":[{"stream":{"app":"a"},"values":[[5,"line"]]}]}"#),
        ("application/json", br#"{"streams":"#),
        ("application/json", b"\xff\xfe"),
        ("application/x-protobuf", b"not snappy"),
        ("", b"\x05\x10hello"),
    ] {
        let reply = push(kind, body).await;
        assert_eq!(reply.status, 400, "{kind} {:?}: {}", String::from_utf8_lossy(body), reply.text());
        assert!(reply.text().trim().len() > 10, "{}", reply.text());
    }
    assert_eq!(lines(&api).await, 0);
    // Among wrong entries the right ones are taken.
    let old = (NOW - 400 * 86_400 * SECOND).to_string();
    let values = json!([[(NOW - SECOND).to_string(), "good"], [old, "too old"]]);
    let reply = api.push_json("", &json!({"streams": [{"stream": {"app": "a"}, "values": values}]})).await;
    assert!(reply.status == 400 && reply.text().contains("has timestamp too old"), "{}", reply.text());
    assert_eq!(lines(&api).await, 1);
}

#[tokio::test]
async fn too_much_is_refused_with_its_own_status() {
    let mut config = config();
    config.limits.ingestion_rate_mb = 0.001;
    config.limits.ingestion_burst_size_mb = 0.001;
    let api = Api::new(config);
    let line = "x".repeat(5000);
    let push = json!({"streams": [{"stream": {"app": "a"}, "values": [[(NOW - SECOND).to_string(), line]]}]});
    let reply = api.push_json("", &push).await;
    assert!(
        reply.status == 429 && reply.text().starts_with("Ingestion rate limit exceeded"),
        "{}",
        reply.text()
    );
    assert!(!reply.header("retry-after").is_empty());
    let request = request("POST", "", "/loki/api/v1/push", &[]).header("Content-Type", "application/json");
    let reply = api.send(request.body(Body::from(vec![b' '; (100 << 20) + 1])).unwrap()).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
}

#[tokio::test]
async fn a_page_from_elsewhere_may_neither_write_nor_delete_nor_read_answers() {
    let api = Api::new(config());
    let ask = async |method: &str, path: &str, origin: &str| {
        let request = request(method, "", path, &[]).header("Origin", origin);
        api.send(request.body(Body::empty()).unwrap()).await
    };
    for (method, path) in [
        ("POST", "/loki/api/v1/push"),
        ("POST", "/loki/api/v1/delete"),
        ("POST", "/otlp/v1/logs"),
        ("GET", "/loki/api/v1/tail"),
        ("POST", "/flush"),
    ] {
        assert_eq!(ask(method, path, "https://evil.example").await.status, 403, "{method} {path}");
    }
    let read = ask("GET", "/loki/api/v1/labels", "https://evil.example").await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, ""));
    let read = ask("GET", "/loki/api/v1/labels", "http://localhost:3000").await;
    assert_eq!(read.header("access-control-allow-origin"), "http://localhost:3000");
    assert_ne!(ask("POST", "/flush", "http://localhost:3000").await.status, 403);
}
