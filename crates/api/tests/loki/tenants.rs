//! Tenants: who sees whose logs.

use axum::body::Body;
use serde_json::json;

use crate::harness::{Api, request, with_tenants};

async fn two_tenants(joined: bool) -> Api {
    let mut config = with_tenants(true);
    config.querier.multi_tenant_queries_enabled = joined;
    let api = Api::new(config);
    api.push_as("one", json!({"app": "a"}), &["of one"]).await;
    api.push_as("two", json!({"app": "b"}), &["of two"]).await;
    api
}

#[tokio::test]
async fn a_tenant_sees_its_own_logs_only() {
    let api = two_tenants(false).await;
    let path = "/loki/api/v1/label/app/values";
    assert_eq!(api.get_as("one", path, &[]).await.json()["data"], json!(["a"]));
    assert_eq!(api.get_as("two", path, &[]).await.json()["data"], json!(["b"]));
    assert_eq!(api.get_as("three", path, &[]).await.json()["data"], json!([]));
    let reply = api.get(path, &[]).await;
    assert_eq!((reply.status, reply.text()), (401, "no org id\n"));
    for name in ["a|b", "..", "a/b", &"x".repeat(151)] {
        assert_eq!(api.get_as(name, path, &[]).await.status, 400, "{name}");
    }
    let delete = [("query", r#"{app=~".+"}"#), ("start", "1")];
    let request = request("POST", "one", "/loki/api/v1/delete", &delete);
    assert_eq!(api.send(request.body(Body::empty()).unwrap()).await.status, 204);
    assert_eq!(api.get_as("one", path, &[]).await.json()["data"], json!([]));
    assert_eq!(api.get_as("two", path, &[]).await.json()["data"], json!(["b"]));
    assert_eq!(api.get_as("two", "/loki/api/v1/delete", &[]).await.json(), json!([]));
    assert_eq!(api.get_as("one", "/loki/api/v1/status/active_queries", &[]).await.status, 404);
}

#[tokio::test]
async fn joined_tenants_are_asked_together_where_that_is_allowed_but_never_written_to() {
    let api = two_tenants(true).await;
    let query = [("query", r#"sum by (__tenant_id__, app) (count_over_time({app=~".+"}[1m]))"#)];
    let reply = api.get_as("two|one", "/loki/api/v1/query", &query).await;
    let metrics: Vec<_> =
        reply.json()["data"]["result"].as_array().unwrap().iter().map(|s| s["metric"].clone()).collect();
    assert_eq!(
        metrics,
        [json!({"__tenant_id__": "one", "app": "a"}), json!({"__tenant_id__": "two", "app": "b"})]
    );
    let names = api.get_as("one|two", "/loki/api/v1/labels", &[]).await.json();
    assert_eq!(names["data"], json!(["__tenant_id__", "app"]));
    let push = json!({"streams": [{"stream": {"app": "a"}, "values": [["1", "x"]]}]});
    let reply = api.push_json("one|two", &push).await;
    assert_eq!((reply.status, reply.text()), (400, "multiple org IDs present\n"));
    // Without tenants the header says nothing.
    let api = Api::new(crate::harness::config());
    api.push_as("whoever|else", json!({"app": "a"}), &["x"]).await;
    assert_eq!(api.get("/loki/api/v1/labels", &[]).await.json()["data"], json!(["app"]));
}
