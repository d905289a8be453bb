//! Logging in and out, guessing, and pages from elsewhere.

use std::sync::{Arc, atomic::AtomicI64};

use reba_api::grafana::Settings;
use serde_json::{Value, json};

use super::{START, Server, basic, open};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

async fn who(server: &Server, cookie: &str) -> u16 {
    server.send("GET", "/api/user", &[("cookie", cookie)], "").await.status.as_u16()
}

#[tokio::test]
async fn a_session_is_a_new_secret_in_a_cookie_that_pages_cannot_read() {
    let server = Server::new();
    let laid = [("cookie", "grafana_session=laid-there-by-somebody")];
    let body = json!({"user": "admin", "password": "correct horse"}).to_string();
    let reply = server.send("POST", "/login", &laid, &body).await;
    assert_eq!(reply.json(), json!({"message": "Logged in", "redirectUrl": "/"}));
    let cookie = reply.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/;"), "{cookie}");
    let (one, two) = (reply.session(), server.log_in("admin@localhost", "correct horse").await.session());
    assert_ne!(one, two);
    assert_eq!(
        (who(&server, &one).await, who(&server, &two).await, who(&server, laid[0].1).await),
        (200, 200, 401)
    );
    // The store holds digests only.
    let kept = server.store.list("grafana/sessions").unwrap();
    let token = one.split_once('=').unwrap().1;
    assert!(
        kept.len() == 2
            && kept.iter().all(|d| d.key != token && !String::from_utf8_lossy(&d.body).contains(token))
    );
    server.send("GET", "/logout", &[("cookie", &one)], "").await;
    assert_eq!((who(&server, &one).await, who(&server, &two).await), (401, 200));
}

#[tokio::test]
async fn sessions_end_when_nobody_uses_them_and_after_their_time_in_any_case() {
    let server = Server::new();
    let (idle, used) =
        (server.log_in("admin", "correct horse").await, server.log_in("admin", "correct horse").await);
    let (idle, used) = (idle.session(), used.session());
    for _ in 0..7 {
        server.pass(DAY + MINUTE);
        // What is written down in the background must have been written down.
        for _ in 0..100 {
            assert_eq!(who(&server, &used).await, 200);
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(who(&server, &idle).await, 401);
    server.pass(24 * DAY);
    assert_eq!(who(&server, &used).await, 401);
}

#[tokio::test]
async fn guessing_is_stopped_after_five_attempts_for_five_minutes() {
    let server = Server::new();
    for _ in 0..5 {
        let reply = server.log_in("admin", "wrong").await;
        let want = json!({"message": "Invalid username or password", "messageId": "password-auth.failed"});
        assert_eq!((reply.status.as_u16(), reply.json()), (401, want));
    }
    // Neither way is open now, not even with the right password.
    let reply = server.log_in("admin", "correct horse").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (429, &"300".parse().unwrap()));
    assert_eq!(server.ask("admin", "GET", "/api/user", Value::Null).await.status, 429);
    server.pass(5 * MINUTE);
    assert_eq!(server.log_in("admin", "correct horse").await.status, 200);
    // Names that do not exist are no different.
    for _ in 0..5 {
        assert_eq!(server.log_in("nobody", "x").await.status, 401);
    }
    assert_eq!(server.log_in("nobody", "x").await.status, 429);
}

#[tokio::test]
async fn attempts_are_not_counted_by_names_that_nobody_can_have() {
    let server = Server::new();
    // Counted, each of them would be kept for minutes, however long it is.
    let name = "n".repeat(1 << 20);
    for _ in 0..6 {
        assert_eq!(server.log_in(&name, "x").await.status, 401);
    }
    assert_eq!(server.log_in("admin", "correct horse").await.status, 200);
}

#[tokio::test]
async fn what_people_call_themselves_is_bounded() {
    let server = Server::new();
    for key in ["login", "email", "name"] {
        for text in ["x".repeat(191), "line\nline".to_owned(), " ".to_owned()] {
            let reply = server.ask("admin", "PUT", "/api/user", json!({ key: text })).await;
            assert_eq!(reply.status, 400, "{key}: {text:?}: {}", reply.text());
        }
    }
    assert_eq!(server.ask("admin", "PUT", "/api/user", json!({"name": "Ada"})).await.status, 200);
}

#[tokio::test]
async fn pages_from_elsewhere_cannot_use_a_session() {
    let server = Server::new();
    let session = server.log_in("admin", "correct horse").await.session();
    let folder = r#"{"title": "x"}"#;
    for (method, path, headers, status) in [
        ("POST", "/api/folders", &[("origin", "http://evil.example")][..], 403),
        ("POST", "/api/folders", &[("origin", "http://reba:9999")], 403),
        ("POST", "/api/folders", &[("origin", "null")], 403),
        ("POST", "/api/folders", &[("sec-fetch-site", "same-site")], 403),
        ("POST", "/api/folders", &[("sec-fetch-site", "cross-site"), ("origin", "http://reba:3001")], 403),
        ("GET", "/api/datasources/proxy/uid/loki/flush", &[("sec-fetch-site", "cross-site")], 403),
        (
            "GET",
            "/api/datasources/proxy/uid/loki/loki/api/v1/tail",
            &[("origin", "http://evil.example")],
            403,
        ),
        ("GET", "/logout", &[("sec-fetch-site", "cross-site")], 403),
        ("GET", "/d/x", &[("sec-fetch-site", "cross-site")], 200),
        ("GET", "/api/user", &[("sec-fetch-site", "none")], 200),
        ("POST", "/api/folders", &[("origin", "http://reba:3001"), ("sec-fetch-site", "same-origin")], 200),
    ] {
        let mut all = vec![("cookie", session.as_str())];
        all.extend(headers);
        let body = if method == "POST" { folder } else { "" };
        let reply = server.send(method, path, &all, body).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path} {headers:?}: {}", reply.text());
    }
    let login = r#"{"user": "admin", "password": "correct horse"}"#;
    let reply = server.send("POST", "/login", &[("origin", "http://evil.example")], login).await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_a_disabled_user_all() {
    let server = Server::new();
    server.add("Editor").await;
    let one = server.log_in("editor", "correct horse").await.session();
    let two = server.log_in("editor", "correct horse").await.session();
    let form = |old: &str, new: &str| json!({"oldPassword": old, "newPassword": new}).to_string();
    let change = |body: String| {
        let (server, cookie) = (&server, one.clone());
        async move { server.send("PUT", "/api/user/password", &[("cookie", &cookie)], &body).await }
    };
    assert_eq!(change(form("wrong", "battery staple")).await.status, 401);
    assert_eq!(change(form("correct horse", "short")).await.status, 400);
    assert_eq!(change(form("correct horse", "battery staple")).await.status, 200);
    assert_eq!((who(&server, &one).await, who(&server, &two).await), (200, 401));
    assert_eq!(server.log_in("editor", "correct horse").await.status, 401);
    assert_eq!(server.log_in("editor", "battery staple").await.status, 200);
    server.post("admin", "/api/admin/users/2/disable", Value::Null).await;
    assert_eq!(who(&server, &one).await, 401);
    assert_eq!(server.log_in("editor", "battery staple").await.status, 401);
}

#[tokio::test]
async fn the_last_server_administrator_stays() {
    let server = Server::new();
    for (method, path, body) in [
        ("DELETE", "/api/admin/users/1", Value::Null),
        ("POST", "/api/admin/users/1/disable", Value::Null),
        ("PUT", "/api/admin/users/1/permissions", json!({"isGrafanaAdmin": false})),
    ] {
        let reply = server.ask("admin", method, path, body).await;
        assert_eq!(reply.status, 400, "{method} {path}: {}", reply.text());
    }
}

#[tokio::test]
async fn tokens_open_what_their_account_may_and_end_in_time() {
    let server = Server::new();
    let account =
        server.post("admin", "/api/serviceaccounts", json!({"name": "CI bot", "role": "Editor"})).await;
    let path = format!("/api/serviceaccounts/{}/tokens", account["id"]);
    let token = server.post("admin", &path, json!({"name": "t", "secondsToLive": 60})).await;
    let key = token["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("glsa_"));
    let bearer = format!("Bearer {key}");
    let as_bot = |method: &'static str, path: &'static str, body: &'static str| {
        let (server, bearer) = (&server, bearer.clone());
        // A program sends its token from wherever it is.
        async move {
            server.send(method, path, &[("authorization", &bearer), ("origin", "http://ci")], body).await
        }
    };
    assert_eq!(as_bot("GET", "/api/user", "").await.json()["login"], "sa-1-ci-bot");
    assert_eq!(as_bot("POST", "/api/folders", r#"{"title": "by bot"}"#).await.status, 200);
    assert_eq!(as_bot("GET", "/api/org/users", "").await.status, 403);
    assert_eq!(
        as_bot("PUT", "/api/user/password", r#"{"oldPassword": "", "newPassword": "correct horse"}"#)
            .await
            .status,
        403
    );
    let basic = basic("api_key", &key);
    assert_eq!(server.send("GET", "/api/user", &[("authorization", &basic)], "").await.status, 200);
    let listed = server.get("admin", &path).await.to_string();
    assert!(!listed.contains(&key) && listed.contains("\"hasExpired\":false"), "{listed}");
    assert_eq!(server.log_in("sa-1-ci-bot", "").await.status, 401);
    server.pass(MINUTE);
    let reply = as_bot("GET", "/api/user", "").await;
    assert_eq!((reply.status.as_u16(), reply.json()["message"].as_str()), (401, Some("Invalid API key")));
}

#[tokio::test]
async fn an_administrator_of_the_organisation_does_not_reach_above_himself() {
    let server = Server::new();
    let form = json!({"login": "boss", "password": "correct horse", "role": "Admin"});
    server.post("admin", "/api/admin/users", form).await;
    let reply = server.ask("boss", "PATCH", "/api/org/users/1", json!({"role": "Viewer"})).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert_eq!(
        server
            .ask("boss", "PUT", "/api/admin/users/1/password", json!({"password": "battery staple"}))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_password_that_was_made_up_is_told_once_and_gives_way_to_a_chosen_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (Arc::new(reba_testkit::RamState::default()), Arc::new(AtomicI64::new(START)));
    let settings = || Settings { admin_user: "made-up".to_owned(), ..Settings::default() };
    let (_, first) = open(store.clone(), &clock, settings(), folder.path());
    assert_eq!(first.unwrap().expose().len(), 20);
    let (_, second) = open(store.clone(), &clock, settings(), folder.path());
    assert!(second.is_none());
    let chosen = Settings { admin_password: Some(reba_http::Secret::new("chosen one")), ..settings() };
    let (router, third) = open(store.clone(), &clock, chosen, folder.path());
    assert!(third.is_none());
    let server = Server { router, clock, store, folder };
    assert_eq!(server.log_in("made-up", "chosen one").await.status, 200);
}

#[tokio::test]
async fn behind_a_proxy_with_tls_the_cookie_is_secure_and_lies_on_the_sub_path() {
    let settings = Settings { root_url: Some("https://host/mon/".to_owned()), ..Settings::default() };
    let server = Server::with(settings, &[]);
    let reply = server.log_in("admin", "correct horse").await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Path=/mon/;") && cookie.ends_with("; Secure"), "{cookie}");
    assert_eq!(reply.json()["redirectUrl"], "/mon/");
    let headers = [("origin", "https://host"), ("cookie", &reply.session())];
    assert_eq!(server.send("POST", "/api/folders", &headers, r#"{"title": "x"}"#).await.status, 200);
    assert!(server.send("GET", "/", &[], "").await.text().contains("<base href=\"/mon/\" />"));
}
