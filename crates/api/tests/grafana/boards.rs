//! Dashboards, folders, search and annotations.

use reba_api::grafana::Settings;
use serde_json::{Value, json};

use super::Server;

fn board(title: &str) -> Value {
    json!({"title": title, "tags": ["x"], "panels": [], "kept": {"unknown": 1}})
}

#[tokio::test]
async fn a_dashboard_is_saved_changed_restored_compared_and_deleted() {
    let server = Server::new();
    let saved = server.post("admin", "/api/dashboards/db", json!({"dashboard": board("One: of many")})).await;
    let uid = saved["uid"].as_str().unwrap().to_owned();
    assert_eq!(
        (&saved["status"], &saved["version"], &saved["slug"]),
        (&json!("success"), &json!(1), &json!("one-of-many"))
    );
    assert_eq!(saved["url"], format!("/d/{uid}/one-of-many"));
    let path = format!("/api/dashboards/uid/{uid}");
    let got = server.get("admin", &path).await;
    assert_eq!(got["dashboard"]["kept"]["unknown"], 1);
    assert_eq!(
        (&got["dashboard"]["version"], &got["meta"]["canSave"], &got["meta"]["createdBy"]),
        (&json!(1), &json!(true), &json!("admin"))
    );

    let mut changed = got["dashboard"].clone();
    changed["title"] = "Two".into();
    server.post("admin", "/api/dashboards/db", json!({"dashboard": changed, "message": "why"})).await;
    // The same version again: somebody else was faster.
    let reply = server.ask("admin", "POST", "/api/dashboards/db", json!({"dashboard": changed})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (412, &json!("version-mismatch")));

    let versions = server.get("admin", &format!("{path}/versions")).await;
    let seen: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|v| (v["version"].as_u64().unwrap(), v["message"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [(2, "why"), (1, "")]);
    let first = server.get("admin", &format!("{path}/versions/1")).await;
    assert_eq!(first["data"]["title"], "One: of many");
    let pair = json!({"base": {"dashboardId": saved["id"], "version": 1}, "new": {"dashboardUid": uid, "version": 2}, "diffType": "basic"});
    let diff = server.post("admin", "/api/dashboards/calculate-diff", pair).await;
    let paths: Vec<_> =
        diff["changes"].as_array().unwrap().iter().map(|c| c["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/title"), "{diff}");
    let restored = server.post("admin", &format!("{path}/restore"), json!({"version": 1})).await;
    assert_eq!(restored["version"], 3);
    assert_eq!(server.get("admin", &path).await["dashboard"]["title"], "One: of many");

    let gone = server.ask("admin", "DELETE", &path, Value::Null).await.json();
    assert_eq!(gone["message"], "Dashboard One: of many deleted");
    let reply = server.ask("admin", "GET", &path, Value::Null).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (404, json!({"message": "Dashboard not found"})));
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused_in_grafanas_words() {
    let server = Server::new();
    server.post("admin", "/api/dashboards/db", json!({"dashboard": board("A")})).await;
    for (form, status, word) in [
        (json!({"dashboard": {"title": " "}}), 400, "empty-name"),
        (json!({"dashboard": board("A")}), 412, "name-exists"),
        (json!({"dashboard": board("B"), "folderUid": "nope"}), 404, "not-found"),
        (json!({"dashboard": {"title": "C", "id": 5}}), 404, "not-found"),
    ] {
        let reply = server.ask("admin", "POST", "/api/dashboards/db", form.clone()).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (status, &json!(word)), "{form}");
    }
    let form = json!({"dashboard": {"title": "D", "uid": "../../x"}});
    assert_eq!(server.ask("admin", "POST", "/api/dashboards/db", form).await.status, 400);
    let again =
        server.post("admin", "/api/dashboards/db", json!({"dashboard": board("A"), "overwrite": true})).await;
    assert_eq!(again["version"], 2);
}

#[tokio::test]
async fn dashboards_of_files_are_shown_not_saved_and_faults_are_named() {
    let provider = "providers: [{name: p, folder: Files, type: file, options: {path: grafana/dashboards}}]";
    let files = [
        ("provisioning/dashboards/d.yml", provider),
        ("dashboards/a.json", r#"{"uid": "filed", "title": "From a file", "tags": ["t"]}"#),
        ("dashboards/b.json", "{\n\"title\": }"),
    ];
    let server = Server::with(Settings::default(), &files);
    let got = server.get("admin", "/api/dashboards/uid/filed").await;
    let meta = &got["meta"];
    assert_eq!(
        (&meta["provisioned"], &meta["canSave"], &meta["folderTitle"]),
        (&json!(true), &json!(false), &json!("Files"))
    );
    assert!(meta["provisionedExternalId"].as_str().unwrap().ends_with("a.json"));
    let reply =
        server.ask("admin", "POST", "/api/dashboards/db", json!({"dashboard": got["dashboard"]})).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["message"]),
        (400, &json!("Cannot save provisioned dashboard"))
    );
    assert_eq!(server.ask("admin", "DELETE", "/api/dashboards/uid/filed", Value::Null).await.status, 400);
    let faults = server.get("admin", "/api/reba/provisioning").await["faults"].clone();
    assert_eq!((&faults[0]["line"], &faults[0]["column"]), (&json!(2), &json!(10)), "{faults}");
    // The file changes, and somebody asks for it at once.
    let path = server.folder.path().join("grafana/dashboards/a.json");
    std::fs::write(path, r#"{"uid": "filed", "title": "From another file"}"#).unwrap();
    server.post("admin", "/api/admin/provisioning/dashboards/reload", Value::Null).await;
    assert_eq!(
        server.get("admin", "/api/dashboards/uid/filed").await["dashboard"]["title"],
        "From another file"
    );
}

#[tokio::test]
async fn a_file_that_allows_it_is_saved_over_until_it_changes() {
    let provider =
        "providers: [{name: p, type: file, allowUiUpdates: true, options: {path: grafana/dashboards}}]";
    let files = [
        ("provisioning/dashboards/d.yml", provider),
        ("dashboards/a.json", r#"{"uid": "f", "title": "File"}"#),
    ];
    let server = Server::with(Settings::default(), &files);
    let got = server.get("admin", "/api/dashboards/uid/f").await;
    assert_eq!((&got["meta"]["provisioned"], &got["meta"]["canSave"]), (&json!(false), &json!(true)));
    let mut board = got["dashboard"].clone();
    board["title"] = "Mine".into();
    server.post("admin", "/api/dashboards/db", json!({"dashboard": board})).await;
    let title = || async { server.get("admin", "/api/dashboards/uid/f").await["dashboard"]["title"].clone() };
    assert_eq!(title().await, "Mine");
    std::fs::write(
        server.folder.path().join("grafana/dashboards/a.json"),
        r#"{"uid": "f", "title": "Newer"}"#,
    )
    .unwrap();
    server.post("admin", "/api/admin/provisioning/dashboards/reload", Value::Null).await;
    assert_eq!(title().await, "Newer");
}

#[tokio::test]
async fn folders_hold_dashboards_and_search_finds_both() {
    let server = Server::new();
    let folder = server.post("admin", "/api/folders", json!({"title": "Team", "uid": "team"})).await;
    assert_eq!(
        (&folder["uid"], &folder["version"], &folder["url"]),
        (&json!("team"), &json!(1), &json!("/dashboards/f/team/team"))
    );
    assert_eq!(server.ask("admin", "POST", "/api/folders", json!({"title": "Team"})).await.status, 409);
    let form = json!({"dashboard": board("Inside"), "folderUid": "team"});
    let inside = server.post("admin", "/api/dashboards/db", form).await;
    server.post("admin", "/api/dashboards/db", json!({"dashboard": {"title": "Outside"}})).await;
    let titles = |query: &'static str| {
        let server = &server;
        async move {
            let hits = server.get("admin", &format!("/api/search?{query}")).await;
            hits.as_array()
                .unwrap()
                .iter()
                .map(|h| h["title"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(titles("").await, ["Team", "Inside", "Outside"]);
    assert_eq!(titles("type=dash-db&query=INS").await, ["Inside"]);
    assert_eq!(titles("folderUIDs=team").await, ["Inside"]);
    assert_eq!(titles("folderUIDs=general").await, ["Outside"]);
    assert_eq!(titles("tag=x").await, ["Inside"]);
    assert_eq!(titles("limit=1&page=2&type=dash-db").await, ["Outside"]);
    assert!(titles("starred=true").await.is_empty());
    let uid = inside["uid"].as_str().unwrap();
    server.post("admin", &format!("/api/user/stars/dashboard/uid/{uid}"), Value::Null).await;
    assert_eq!(titles("starred=true").await, ["Inside"]);
    assert_eq!(server.get("admin", &format!("/api/dashboards/uid/{uid}")).await["meta"]["isStarred"], true);
    let hit = server.get("admin", "/api/search?tag=x").await[0].clone();
    assert_eq!(
        (&hit["folderUid"], &hit["isStarred"], &hit["type"]),
        (&json!("team"), &json!(true), &json!("dash-db"))
    );
    assert_eq!(server.get("admin", "/api/folders/team/counts").await["dashboard"], 1);
    let renamed =
        server.ask("admin", "PUT", "/api/folders/team", json!({"title": "Crew", "version": 1})).await;
    assert_eq!(renamed.json()["title"], "Crew");
    let stale = server.ask("admin", "PUT", "/api/folders/team", json!({"title": "No", "version": 1})).await;
    assert_eq!(stale.status, 412);
    assert_eq!(server.ask("admin", "DELETE", "/api/folders/team", Value::Null).await.status, 200);
    assert_eq!(titles("").await, ["Outside"]);
}

#[tokio::test]
async fn exported_dashboards_are_imported_with_their_data_sources() {
    let server = Server::new();
    let dashboard = json!({
        "__inputs": [{"name": "DS_P", "type": "datasource", "pluginId": "prometheus"}, {"name": "DS_L", "type": "datasource", "pluginId": "loki"}],
        "title": "Imported", "panels": [{"datasource": "${DS_P}"}, {"datasource": "${DS_L}"}],
    });
    let form = json!({"dashboard": dashboard, "inputs": [{"name": "DS_L", "type": "datasource", "pluginId": "loki", "value": "mine"}]});
    let answer = server.post("admin", "/api/dashboards/import", form).await;
    let path = format!("/api/dashboards/uid/{}", answer["uid"].as_str().unwrap());
    let got = server.get("admin", &path).await["dashboard"].clone();
    assert_eq!(
        (&got["panels"][0]["datasource"], &got["panels"][1]["datasource"]),
        (&json!("prometheus"), &json!("mine"))
    );
    assert!(got.get("__inputs").is_none());
}

#[tokio::test]
async fn annotations_are_kept_found_changed_and_deleted() {
    let server = Server::new();
    let add = |body: Value| {
        let server = &server;
        async move { server.post("admin", "/api/annotations", body).await["id"].as_u64().unwrap() }
    };
    let one = add(json!({"text": "deploy", "tags": ["a", "b"], "time": 1000})).await;
    let two =
        add(json!({"text": "<img src=x onerror=alert(1)>", "tags": ["b"], "time": 2000, "timeEnd": 5000}))
            .await;
    let ids = |query: &'static str| {
        let server = &server;
        async move {
            let list = server.get("admin", &format!("/api/annotations?{query}")).await;
            list.as_array().unwrap().iter().map(|a| a["id"].as_u64().unwrap()).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids("").await, [two, one]);
    assert_eq!(ids("tags=a&tags=b").await, [one]);
    assert_eq!(ids("tags=a&tags=b&matchAny=true").await, [two, one]);
    assert_eq!(ids("from=4000&to=9000").await, [two]);
    assert_eq!(ids("limit=1").await, [two]);
    let reply =
        server.ask("admin", "PATCH", &format!("/api/annotations/{one}"), json!({"text": "rollout"})).await;
    assert_eq!(reply.json()["message"], "Annotation patched");
    let got = server.get("admin", &format!("/api/annotations/{one}")).await;
    assert_eq!(
        (&got["text"], &got["tags"], &got["login"]),
        (&json!("rollout"), &json!(["a", "b"]), &json!("admin"))
    );
    assert_eq!(
        server.get("admin", "/api/annotations/tags").await["result"]["tags"][1],
        json!({"tag": "b", "count": 2})
    );
    assert_eq!(server.ask("admin", "POST", "/api/annotations", json!({"text": ""})).await.status, 400);
    server.ask("admin", "DELETE", &format!("/api/annotations/{one}"), Value::Null).await;
    assert_eq!(ids("").await, [two]);
}
