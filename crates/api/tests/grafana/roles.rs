//! Who may do what: every route, for everybody.

use serde_json::{Value, json};

use super::{Server, method};

/// The least that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nothing,
    Viewer,
    Editor,
    Admin,
    ServerAdmin,
}
use Needs::{Admin, Editor, Nothing, ServerAdmin, Viewer};

const ROUTES: [(&str, &str, Needs); 115] = [
    ("GET", "/", Nothing),
    ("GET", "/login", Nothing),
    ("GET", "/d/x/y", Nothing),
    ("GET", "/api/health", Nothing),
    ("GET", "/healthz", Nothing),
    ("GET", "/robots.txt", Nothing),
    ("GET", "/metrics", Nothing),
    ("GET", "/logout", Nothing),
    ("GET", "/api/login/ping", Viewer),
    ("GET", "/api/user", Viewer),
    ("PUT", "/api/user", Viewer),
    ("PUT", "/api/user/password", Viewer),
    ("GET", "/api/user/preferences", Viewer),
    ("PUT", "/api/user/preferences", Viewer),
    ("PATCH", "/api/user/preferences", Viewer),
    ("GET", "/api/user/orgs", Viewer),
    ("GET", "/api/user/teams", Viewer),
    ("POST", "/api/user/stars/dashboard/uid/x", Viewer),
    ("DELETE", "/api/user/stars/dashboard/uid/x", Viewer),
    ("GET", "/avatar/00", Viewer),
    ("GET", "/api/org", Viewer),
    ("GET", "/api/org/preferences", Viewer),
    ("GET", "/api/org/quotas", Viewer),
    ("GET", "/api/frontend/settings", Viewer),
    ("GET", "/api/plugins", Viewer),
    ("GET", "/api/teams/search", Viewer),
    ("GET", "/api/search", Viewer),
    ("GET", "/api/dashboards/home", Viewer),
    ("GET", "/api/dashboards/tags", Viewer),
    ("GET", "/api/dashboards/uid/x", Viewer),
    ("GET", "/api/dashboards/uid/x/permissions", Viewer),
    ("GET", "/api/folders", Viewer),
    ("GET", "/api/folders/x", Viewer),
    ("GET", "/api/folders/id/1", Viewer),
    ("GET", "/api/folders/x/counts", Viewer),
    ("GET", "/api/folders/x/permissions", Viewer),
    ("GET", "/api/datasources", Viewer),
    ("GET", "/api/datasources/uid/loki", Viewer),
    ("GET", "/api/datasources/name/Loki", Viewer),
    ("GET", "/api/datasources/id/Loki", Viewer),
    ("GET", "/api/datasources/1", Viewer),
    ("GET", "/api/datasources/uid/loki/health", Viewer),
    ("GET", "/api/reba/provisioning", Viewer),
    ("GET", "/api/annotations", Viewer),
    ("GET", "/api/annotations/1", Viewer),
    ("GET", "/api/annotations/tags", Viewer),
    ("POST", "/api/ds/query", Viewer),
    ("GET", "/api/datasources/proxy/uid/prometheus/api/v1/query", Viewer),
    ("POST", "/api/datasources/proxy/uid/prometheus/api/v1/query_range", Viewer),
    ("GET", "/api/datasources/uid/prometheus/resources/api/v1/labels", Viewer),
    ("GET", "/api/datasources/uid/loki/resources/labels", Viewer),
    ("GET", "/api/datasources/proxy/uid/loki/loki/api/v1/labels", Viewer),
    ("GET", "/api/datasources/proxy/uid/alertmanager/api/v2/alerts", Viewer),
    ("GET", "/api/prometheus/prometheus/api/v1/rules", Viewer),
    ("GET", "/api/prometheus/grafana/api/v1/rules", Viewer),
    ("GET", "/api/alertmanager/alertmanager/api/v2/silences", Viewer),
    ("POST", "/api/datasources/proxy/uid/alertmanager/api/v2/silences", Editor),
    ("DELETE", "/api/datasources/proxy/uid/alertmanager/api/v2/silence/x", Editor),
    ("POST", "/api/alertmanager/alertmanager/api/v2/silences", Editor),
    ("POST", "/api/datasources/proxy/uid/prometheus/-/quit", Admin),
    ("PUT", "/api/datasources/proxy/uid/prometheus/-/reload", Admin),
    ("POST", "/api/datasources/proxy/uid/loki/loki/api/v1/push", Admin),
    ("GET", "/api/datasources/proxy/uid/loki/flush", Admin),
    ("POST", "/api/dashboards/db", Editor),
    ("POST", "/api/dashboards/import", Editor),
    ("POST", "/api/dashboards/calculate-diff", Editor),
    ("DELETE", "/api/dashboards/uid/x", Editor),
    ("GET", "/api/dashboards/uid/x/versions", Editor),
    ("GET", "/api/dashboards/uid/x/versions/1", Editor),
    ("POST", "/api/dashboards/uid/x/restore", Editor),
    ("GET", "/api/dashboards/id/1/versions", Editor),
    ("GET", "/api/dashboards/id/1/versions/1", Editor),
    ("POST", "/api/dashboards/id/1/restore", Editor),
    ("POST", "/api/folders", Editor),
    ("PUT", "/api/folders/x", Editor),
    ("DELETE", "/api/folders/x", Editor),
    ("POST", "/api/annotations", Editor),
    ("POST", "/api/annotations/graphite", Editor),
    ("PUT", "/api/annotations/9", Editor),
    ("PATCH", "/api/annotations/9", Editor),
    ("DELETE", "/api/annotations/9", Editor),
    ("POST", "/api/annotations/mass-delete", Editor),
    ("POST", "/api/dashboards/uid/x/permissions", Admin),
    ("POST", "/api/folders/x/permissions", Admin),
    ("POST", "/api/datasources", Admin),
    ("PUT", "/api/datasources/uid/x", Admin),
    ("DELETE", "/api/datasources/uid/x", Admin),
    ("DELETE", "/api/datasources/name/x", Admin),
    ("PUT", "/api/datasources/1", Admin),
    ("DELETE", "/api/datasources/1", Admin),
    ("PUT", "/api/org", Admin),
    ("PUT", "/api/org/preferences", Admin),
    ("PATCH", "/api/org/preferences", Admin),
    ("GET", "/api/org/users", Admin),
    ("GET", "/api/org/users/lookup", Admin),
    ("PATCH", "/api/org/users/999", Admin),
    ("POST", "/api/serviceaccounts", Admin),
    ("GET", "/api/serviceaccounts/search", Admin),
    ("GET", "/api/serviceaccounts/999", Admin),
    ("PATCH", "/api/serviceaccounts/999", Admin),
    ("DELETE", "/api/serviceaccounts/999", Admin),
    ("GET", "/api/serviceaccounts/999/tokens", Admin),
    ("POST", "/api/serviceaccounts/999/tokens", Admin),
    ("DELETE", "/api/serviceaccounts/999/tokens/1", Admin),
    ("GET", "/api/auth/keys", Admin),
    ("POST", "/api/auth/keys", Admin),
    ("DELETE", "/api/auth/keys/999", Admin),
    ("GET", "/api/users", ServerAdmin),
    ("GET", "/api/users/lookup?loginOrEmail=admin", ServerAdmin),
    ("PUT", "/api/users/999", ServerAdmin),
    ("GET", "/api/orgs", ServerAdmin),
    ("POST", "/api/admin/users", ServerAdmin),
    ("DELETE", "/api/admin/users/999", ServerAdmin),
    ("PUT", "/api/admin/users/999/password", ServerAdmin),
    ("POST", "/api/admin/provisioning/dashboards/reload", ServerAdmin),
];

#[tokio::test]
async fn every_route_is_for_those_who_have_its_role_and_for_nobody_else() {
    let server = Server::new();
    for role in ["Viewer", "Editor", "Admin"] {
        server.add(role).await;
    }
    let people = [
        (None, Nothing),
        (Some("viewer"), Viewer),
        (Some("editor"), Editor),
        (Some("admin-of-org"), Admin),
        (Some("admin"), ServerAdmin),
    ];
    for (verb, path, needs) in ROUTES {
        for (who, has) in people {
            let body = if method(verb).is_safe() { Value::Null } else { json!({}) };
            let reply = match who {
                None => {
                    server
                        .send(verb, path, &[], &if body.is_null() { String::new() } else { body.to_string() })
                        .await
                }
                Some(who) => server.ask(who, verb, path, body).await,
            };
            let status = reply.status.as_u16();
            let what = format!("{verb} {path} as {who:?}: {status} {}", reply.text());
            match (has, needs) {
                _ if has >= needs => {
                    assert!(
                        !matches!(status, 401 | 403 | 404 if is_missing(&reply.text(), status)),
                        "{what}"
                    );
                }
                (Nothing, _) => assert_eq!(status, 401, "{what}"),
                _ => assert_eq!(status, 403, "{what}"),
            }
        }
    }
}

/// Whether the route itself refused, or is not there; a thing that is not there is another matter.
fn is_missing(text: &str, status: u16) -> bool {
    match status {
        404 => text == r#"{"message":"Not found"}"#,
        403 => text.contains("Permission denied"),
        _ => !text.contains("invalid old password"),
    }
}

#[tokio::test]
async fn what_is_not_here_is_not_found_and_other_addresses_are_pages() {
    let server = Server::new();
    for path in ["/api/live/ws", "/api/gnet/x", "/api/nope", "/api"] {
        let reply = server.ask("admin", "GET", path, Value::Null).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (404, r#"{"message":"Not found"}"#),
            "{path}"
        );
    }
    let page = server.send("GET", "/explore", &[], "").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http:"), "{policy}");
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "deny")] {
        assert_eq!(page.headers[name], value);
    }
    let data = server.get("admin", "/api/health").await;
    assert_eq!((data["database"].as_str(), data["version"].as_str()), (Some("ok"), Some("10.2.2")));
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_depth_and_errors_do_not_repeat_them() {
    let server = Server::new();
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(13 << 20));
    let authorization = super::basic("admin", "correct horse");
    let headers = [("authorization", authorization.as_str())];
    assert_eq!(server.send("POST", "/api/folders", &headers, &large).await.status, 413);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(server.send("POST", "/api/folders", &headers, &deep).await.status, 400);
    let reply = server.send("POST", "/login", &[], r#"{"user":"admin","password":["hunter2"]}"#).await;
    assert!(reply.status == 400 && !reply.text().contains("hunter2"), "{}", reply.text());
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = server.send("POST", "/login", &form, "").await;
    assert_eq!(reply.status, 415);
}
