//! Data sources, requests passed on to them, and queries in data frames.

use reba_api::grafana::Settings;
use serde_json::{Value, json};

use super::{Server, basic};

#[tokio::test]
async fn data_sources_are_added_changed_and_deleted_and_their_secrets_never_shown() {
    let server = Server::new();
    let form = json!({
        "name": "Other", "type": "prometheus", "url": "http://other:9090", "access": "proxy", "basicAuth": true, "basicAuthUser": "u",
        "jsonData": {"timeInterval": "30s"}, "secureJsonData": {"basicAuthPassword": "hunter2"},
    });
    let added = server.post("admin", "/api/datasources", form.clone()).await;
    assert_eq!(added["datasource"]["secureJsonFields"], json!({"basicAuthPassword": true}));
    let (uid, id) = (added["datasource"]["uid"].as_str().unwrap().to_owned(), added["id"].clone());
    assert_eq!(server.ask("admin", "POST", "/api/datasources", form).await.status, 409);
    for path in [
        format!("/api/datasources/uid/{uid}"),
        format!("/api/datasources/{id}"),
        "/api/datasources/name/Other".to_owned(),
    ] {
        let shown = server.get("admin", &path).await;
        assert_eq!(shown["name"], "Other");
        assert!(!shown.to_string().contains("hunter2"));
    }
    assert_eq!(server.get("admin", "/api/datasources/id/Other").await["id"], id);
    let change = json!({"name": "Renamed", "type": "prometheus", "url": "http://other:9091"});
    let changed = server.ask("admin", "PUT", &format!("/api/datasources/uid/{uid}"), change).await.json();
    assert_eq!(
        (&changed["datasource"]["version"], &changed["datasource"]["secureJsonFields"]),
        (&json!(2), &json!({"basicAuthPassword": true}))
    );
    assert_eq!(
        server.ask("admin", "DELETE", &format!("/api/datasources/uid/{uid}"), Value::Null).await.status,
        200
    );
    // Ours are of this process.
    assert_eq!(server.ask("admin", "DELETE", "/api/datasources/uid/loki", Value::Null).await.status, 403);
    let bad = json!({"name": "x", "type": "prometheus", "url": "file:///etc/passwd"});
    assert_eq!(server.ask("admin", "POST", "/api/datasources", bad).await.status, 400);
}

#[tokio::test]
async fn requests_reach_our_own_roles_without_what_is_meant_for_us() {
    let files = [(
        "provisioning/datasources/d.yml",
        "datasources:\n- {name: Logs, uid: logs, type: loki, url: 'http://loki:3100/', jsonData: {httpHeaderName1: X-Scope-OrgID}, secureJsonData: {httpHeaderValue1: $NAME}}\n",
    )];
    let server = Server::with(Settings::default(), &files);
    let authorization = basic("admin", "correct horse");
    let headers = [
        ("authorization", authorization.as_str()),
        ("cookie", "a=b"),
        ("x-scope-orgid", "another-tenant"),
        ("x-forwarded-for", "1.2.3.4"),
        ("connection", "x-secret"),
        ("accept", "application/json"),
    ];
    let path = "/api/datasources/proxy/uid/logs/loki/api/v1/labels?start=1&query=%7Ba%3D%22b%22%7D";
    let reply = server.send("GET", path, &headers, "").await;
    let seen = reply.json();
    assert_eq!(
        (&seen["role"], &seen["path"], &seen["query"]),
        (&json!("loki"), &json!("/loki/api/v1/labels"), &json!("start=1&query=%7Ba%3D%22b%22%7D"))
    );
    assert_eq!(
        seen["headers"],
        json!({"accept": "application/json", "host": "localhost", "x-scope-orgid": "value"})
    );
    for name in ["set-cookie", "www-authenticate", "access-control-allow-origin"] {
        assert!(!reply.headers.contains_key(name), "{name}");
    }
    assert!(reply.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    // By number, by name and by type.
    let id = server.get("admin", "/api/datasources/uid/logs").await["id"].clone();
    for name in [format!("{id}"), "uid/Logs".to_owned(), "uid/loki".to_owned()] {
        let seen = server.get("admin", &format!("/api/datasources/proxy/{name}/loki/api/v1/series")).await;
        assert_eq!(seen["path"], "/loki/api/v1/series");
    }
    let seen = server.get("admin", "/api/datasources/uid/logs/resources/labels").await;
    assert_eq!(seen["path"], "/loki/api/v1/labels");
    assert_eq!(
        server.send("GET", "/api/datasources/proxy/uid/logs/redirect", &headers[..1], "").await.status,
        502
    );
}

#[tokio::test]
async fn only_paths_that_mean_one_thing_are_passed_on_and_only_to_what_is_configured() {
    let server = Server::new();
    for path in ["..", "%2e%2e/x", "a/%2e%2e/%2e%2e/b", "a%2f..%2fb", "a//b", "a%00", "a%5c.."] {
        let reply =
            server.ask("admin", "GET", &format!("/api/datasources/proxy/uid/loki/{path}"), Value::Null).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
    }
    for uid in ["nope", "http:%2f%2fevil", "..%2f"] {
        let reply =
            server.ask("admin", "GET", &format!("/api/datasources/proxy/uid/{uid}/x"), Value::Null).await;
        assert_eq!(reply.status, 404, "{uid}: {}", reply.text());
    }
}

#[tokio::test]
async fn forms_are_passed_on_as_they_are() {
    let server = Server::new();
    server.add("Viewer").await;
    let authorization = basic("viewer", "correct horse");
    let headers =
        [("authorization", authorization.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let request = axum::extract::Request::builder()
        .method("POST")
        .uri("/api/datasources/proxy/uid/prometheus/api/v1/series");
    let request = headers.iter().fold(request, |r, (n, v)| r.header(*n, *v));
    let request = request.body(axum::body::Body::from("match[]=up&start=1")).unwrap();
    let response = tower::ServiceExt::oneshot(server.router.clone(), request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&seen["body"], &seen["method"]), (&json!("match[]=up&start=1"), &json!("POST")));
}

#[tokio::test]
async fn queries_are_answered_in_frames() {
    let server = Server::new();
    let form = json!({"from": "now-1h", "to": "now", "queries": [
        {"refId": "A", "datasource": {"uid": "prometheus", "type": "prometheus"}, "expr": "rate(x[$__rate_interval])", "range": true, "legendFormat": "{{job}}", "maxDataPoints": 100},
        {"refId": "B", "datasource": {"type": "loki"}, "expr": "{app=\"x\"}", "queryType": "range"},
        {"refId": "C", "datasource": "Prometheus", "expr": "up", "instant": true},
        {"refId": "D", "datasource": {"uid": "tempo"}, "query": "{}", "queryType": "traceql"},
    ]});
    let results = server.post("admin", "/api/ds/query", form).await["results"].clone();
    let a = &results["A"]["frames"][0];
    assert_eq!(
        (&a["schema"]["name"], &a["schema"]["fields"][1]["labels"]),
        (&json!("a"), &json!({"__name__": "up", "job": "a"}))
    );
    assert_eq!(a["data"], json!({"values": [[1000, 16000], [1.0, null]], "entities": [null, {"NaN": [1]}]}));
    assert_eq!(a["schema"]["meta"]["executedQueryString"], "Expr: rate(x[60s])\nStep: 30s");
    assert_eq!(results["B"]["frames"][0]["data"]["values"][2], json!(["a line"]));
    assert_eq!(results["C"]["frames"][0]["data"]["values"], json!([[1000], [2.0]]));
    assert_eq!(results["D"]["frames"][0]["data"]["values"][0], json!(["1"]));
}

#[tokio::test]
async fn one_failed_query_does_not_hide_the_others() {
    let server = Server::new();
    let query = |id: &str, source: &str, expr: &str| json!({"refId": id, "datasource": {"uid": source}, "expr": expr});
    let form = json!({"from": "1000", "to": "61000", "queries": [query("A", "prometheus", "broken"), query("B", "prometheus", "up"), query("C", "nope", "up")]});
    let reply = server.ask("admin", "POST", "/api/ds/query", form).await;
    let results = reply.json()["results"].clone();
    assert_eq!(reply.status, 400);
    assert_eq!(results["A"], json!({"status": 400, "error": "parse error", "frames": []}));
    assert_eq!((&results["B"]["status"], &results["C"]["status"]), (&json!(200), &json!(404)));
    for form in [
        json!({"queries": []}),
        json!({"from": "soon", "queries": [query("A", "loki", "")]}),
        json!({"queries": vec![query("A", "loki", ""); 101]}),
    ] {
        assert_eq!(server.ask("admin", "POST", "/api/ds/query", form).await.status, 400);
    }
}

#[tokio::test]
async fn a_data_source_says_whether_it_works() {
    let server = Server::new();
    let down = json!({"name": "Down", "uid": "down", "type": "prometheus", "url": "http://127.0.0.1:1"});
    server.post("admin", "/api/datasources", down).await;
    let reply = server.ask("admin", "GET", "/api/datasources/uid/prometheus/health", Value::Null).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &json!("OK")));
    let reply = server.ask("admin", "GET", "/api/datasources/uid/down/health", Value::Null).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (400, &json!("ERROR")));
}

#[tokio::test]
async fn a_data_source_elsewhere_is_asked_over_http_with_its_own_credentials() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = axum::Router::new().fallback(|request: axum::extract::Request| async move {
        let (parts, _) = request.into_parts();
        let header = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        axum::Json(json!({"path": parts.uri.to_string(), "authorization": header("authorization"), "cookie": header("cookie")}))
    });
    tokio::spawn(async move { axum::serve(listener, echo).await });
    let server = Server::new();
    let form = json!({
        "name": "Far", "uid": "far", "type": "prometheus", "url": format!("http://{address}/prom/"), "basicAuth": true, "basicAuthUser": "u",
        "secureJsonData": {"basicAuthPassword": "p"},
    });
    server.post("admin", "/api/datasources", form).await;
    let seen = server.get("admin", "/api/datasources/proxy/uid/far/api/v1/labels?a=b").await;
    assert_eq!(
        seen,
        json!({"path": "/prom/api/v1/labels?a=b", "authorization": basic("u", "p"), "cookie": null})
    );
}
