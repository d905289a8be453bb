//! `/api/dashboards`

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Board, Draft, diff::diff};
use crate::grafana::{
    GrafanaApi,
    accounts::model::{Identity, OrgRole},
    body::Body,
    login::Asker,
    refusal::{Answer, Refusal},
    time_text::iso,
};

type Api = State<Arc<GrafanaApi>>;

fn find(api: &GrafanaApi, uid: &str) -> Answer<Arc<Board>> {
    api.boards.get(uid).ok_or_else(|| Refusal::not_found("Dashboard not found"))
}

/// `meta` beside a dashboard: where it is and what the asker may do with it.
fn meta(api: &GrafanaApi, board: &Board, asker: &Identity) -> Value {
    let base = api.settings.base();
    let folder = api.boards.folder(&board.folder_uid);
    let edits = asker.may(OrgRole::Editor);
    let starred = api.accounts.user(asker.id).is_some_and(|user| user.stars.contains(&board.uid));
    let rights = json!({"canAdd": edits, "canEdit": edits, "canDelete": edits});
    json!({
        "type": "db", "canSave": edits && board.can_save(), "canEdit": edits || api.settings.viewers_can_edit,
        "canAdmin": asker.may(OrgRole::Admin), "canStar": true, "isStarred": starred, "canDelete": edits && board.file.is_none(),
        "slug": board.slug(), "url": board.url(&base), "expires": "0001-01-01T00:00:00Z",
        "created": iso(board.created_ms), "updated": iso(board.updated_ms), "createdBy": board.created_by,
        "updatedBy": board.updated_by, "version": board.version, "hasAcl": false, "isFolder": false,
        "folderId": folder.as_ref().map_or(0, |f| f.id()), "folderUid": board.folder_uid,
        "folderTitle": folder.as_ref().map_or("General", |f| f.title.as_str()),
        "folderUrl": folder.as_ref().map_or_else(String::new, |f| f.url(&base)),
        // As upstream: a file over which people may save does not stand in their way.
        "provisioned": !board.can_save(),
        "provisionedExternalId": board.file.as_ref().map_or("", |f| f.path.as_str()),
        "annotationsPermissions": {"dashboard": rights, "organization": rights},
    })
}

/// `GET /api/dashboards/uid/{uid}`
pub(in crate::grafana) async fn get(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
) -> Answer {
    let board = find(&api, &uid)?;
    Ok(Json(json!({"meta": meta(&api, &board, &asker), "dashboard": board.json()})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::grafana) struct SaveForm {
    #[serde(default)]
    dashboard: Map<String, Value>,
    folder_uid: Option<String>,
    folder_id: Option<u64>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    overwrite: bool,
}

/// The folder that a form names by uid, or by number; zero is none.
fn folder_of(api: &GrafanaApi, uid: Option<String>, id: Option<u64>) -> Answer<Option<String>> {
    match (uid, id) {
        (Some(uid), _) if uid == "general" => Ok(Some(String::new())),
        (Some(uid), _) => Ok(Some(uid)),
        (None, None | Some(0)) => Ok(None),
        (None, Some(id)) => {
            let folder = api.boards.folders().into_iter().find(|f| f.id() == id);
            Ok(Some(folder.ok_or_else(|| Refusal::not_found("folder not found"))?.uid))
        }
    }
}

/// `POST /api/dashboards/db`
pub(in crate::grafana) async fn save(
    State(api): Api,
    Extension(asker): Asker,
    Body(form): Body<SaveForm>,
) -> Answer {
    let folder_uid = folder_of(&api, form.folder_uid, form.folder_id)?;
    let draft = Draft {
        dashboard: form.dashboard,
        folder_uid,
        message: form.message,
        overwrite: form.overwrite,
        by: asker.login.clone(),
    };
    let board = store(&api, draft, &asker).await?;
    Ok(Json(saved(&api, &board)))
}

pub(super) async fn store(api: &Arc<GrafanaApi>, draft: Draft, asker: &Identity) -> Answer<Arc<Board>> {
    let now = api.now_ms();
    let board = api.blocking(move |api| api.boards.save(draft, now)).await?;
    tracing::info!(audit = "dashboard saved", uid = board.uid, version = board.version, by = asker.login);
    Ok(board)
}

fn saved(api: &GrafanaApi, board: &Board) -> Value {
    json!({
        "id": board.id(), "uid": board.uid, "url": board.url(&api.settings.base()), "status": "success",
        "version": board.version, "slug": board.slug(), "folderUid": board.folder_uid,
    })
}

/// `DELETE /api/dashboards/uid/{uid}`
pub(in crate::grafana) async fn remove(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
) -> Answer {
    let board = api.blocking(move |api| api.boards.remove(&uid)).await?;
    tracing::info!(audit = "dashboard deleted", uid = board.uid, by = asker.login);
    let message = format!("Dashboard {} deleted", board.title);
    Ok(Json(json!({"title": board.title, "message": message, "id": board.id()})))
}

/// `GET /api/dashboards/home`: the one that preferences name, else a page of words.
pub(in crate::grafana) async fn home(State(api): Api, Extension(asker): Asker) -> Answer {
    let mine = api.accounts.user(asker.id).map(|u| u.preferences).unwrap_or_default();
    let named = [mine, api.org.preferences()].into_iter().find_map(|p| {
        let uid = p.get("homeDashboardUID").and_then(Value::as_str).filter(|uid| !uid.is_empty());
        uid.map(str::to_owned)
    });
    if let Some(board) = named.and_then(|uid| api.boards.get(&uid)) {
        return Ok(Json(json!({"redirectUri": board.url(&api.settings.base())})));
    }
    if let Some(path) = api.settings.home_dashboard.clone() {
        let read = api.blocking(move |_| Ok(std::fs::read(path).unwrap_or_default())).await?;
        if let Ok(Value::Object(model)) = serde_json::from_slice(&read) {
            return Ok(Json(
                json!({"meta": {"isHome": true, "canSave": false, "canEdit": false}, "dashboard": model}),
            ));
        }
    }
    let text = json!({
        "title": "Home", "uid": "", "panels": [], "schemaVersion": 39, "tags": [], "time": {"from": "now-6h", "to": "now"},
    });
    Ok(Json(json!({"meta": {"isHome": true, "canSave": false, "canEdit": false}, "dashboard": text})))
}

/// `GET /api/dashboards/tags`
pub(in crate::grafana) async fn tags(State(api): Api) -> Json<Value> {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for tag in api.boards.all().iter().flat_map(|b| b.tags.clone()) {
        *counts.entry(tag).or_default() += 1;
    }
    Json(counts.iter().map(|(term, count)| json!({"term": term, "count": count})).collect::<Vec<_>>().into())
}

fn version_json(board: &Board, with_data: bool) -> Value {
    let mut out = json!({
        "id": board.version, "dashboardId": board.id(), "dashboardUid": board.uid, "uid": board.uid,
        "parentVersion": board.version.saturating_sub(1), "restoredFrom": 0, "version": board.version,
        "created": iso(board.updated_ms), "createdBy": board.updated_by, "message": board.message,
    });
    if with_data && let Some(object) = out.as_object_mut() {
        object.insert("data".to_owned(), Value::Object(board.json()));
    }
    out
}

#[derive(Deserialize)]
pub(in crate::grafana) struct Slice {
    limit: Option<usize>,
    start: Option<usize>,
}

/// The uid of a dashboard that an older client names by its number.
fn uid_of(api: &GrafanaApi, id: u64) -> Answer<String> {
    let board = api.boards.by_id(id).ok_or_else(|| Refusal::not_found("Dashboard not found"))?;
    Ok(board.uid.clone())
}

/// `GET /api/dashboards/id/{id}/versions`
pub(in crate::grafana) async fn versions_by_id(api: Api, Path(id): Path<u64>, slice: Query<Slice>) -> Answer {
    let uid = uid_of(&api.0, id)?;
    versions(api, Path(uid), slice).await
}

/// `GET /api/dashboards/id/{id}/versions/{version}`
pub(in crate::grafana) async fn version_by_id(api: Api, Path((id, number)): Path<(u64, u64)>) -> Answer {
    let uid = uid_of(&api.0, id)?;
    version(api, Path((uid, number))).await
}

/// `POST /api/dashboards/id/{id}/restore`
pub(in crate::grafana) async fn restore_by_id(
    api: Api,
    asker: Asker,
    Path(id): Path<u64>,
    form: Body<Restore>,
) -> Answer {
    let uid = uid_of(&api.0, id)?;
    restore(api, asker, Path(uid), form).await
}

/// `GET /api/dashboards/uid/{uid}/versions`
pub(in crate::grafana) async fn versions(
    State(api): Api,
    Path(uid): Path<String>,
    Query(slice): Query<Slice>,
) -> Answer {
    let all = api.blocking(move |api| api.boards.versions(&uid)).await?;
    let (start, limit) = (slice.start.unwrap_or(0), slice.limit.filter(|n| *n > 0).unwrap_or(1000));
    let list: Vec<Value> = all.iter().skip(start).take(limit).map(|b| version_json(b, false)).collect();
    Ok(Json(list.into()))
}

/// `GET /api/dashboards/uid/{uid}/versions/{version}`
pub(in crate::grafana) async fn version(
    State(api): Api,
    Path((uid, version)): Path<(String, u64)>,
) -> Answer {
    let board = api.blocking(move |api| api.boards.version(&uid, version)).await?;
    Ok(Json(version_json(&board, true)))
}

#[derive(Deserialize)]
pub(in crate::grafana) struct Restore {
    version: u64,
}

/// `POST /api/dashboards/uid/{uid}/restore`
pub(in crate::grafana) async fn restore(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
    Body(form): Body<Restore>,
) -> Answer {
    let (wanted, version) = (uid.clone(), form.version);
    let old = api.blocking(move |api| api.boards.version(&wanted, version)).await?;
    let draft = Draft {
        dashboard: old.json(),
        folder_uid: None,
        message: format!("Restored from version {}", form.version),
        overwrite: true,
        by: asker.login.clone(),
    };
    let board = store(&api, draft, &asker).await?;
    Ok(Json(saved(&api, &board)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    dashboard_id: Option<u64>,
    dashboard_uid: Option<String>,
    version: u64,
}

#[derive(Deserialize)]
pub(in crate::grafana) struct Pair {
    base: Side,
    new: Side,
}

/// `POST /api/dashboards/calculate-diff`: `{"changes": [{path, kind, before, after}]}`, whatever form is asked for.
pub(in crate::grafana) async fn calculate_diff(State(api): Api, Body(pair): Body<Pair>) -> Answer {
    let uid_of = |side: &Side| -> Answer<String> {
        let by_id = || side.dashboard_id.and_then(|id| api.boards.by_id(id)).map(|b| b.uid.clone());
        let uid = side.dashboard_uid.clone().or_else(by_id);
        uid.ok_or_else(|| Refusal::not_found("Dashboard not found"))
    };
    let (base, new) = ((uid_of(&pair.base)?, pair.base.version), (uid_of(&pair.new)?, pair.new.version));
    let changes = api
        .blocking(move |api| {
            let old = Value::Object(api.boards.version(&base.0, base.1)?.json());
            let new = Value::Object(api.boards.version(&new.0, new.1)?.json());
            Ok(diff(&old, &new))
        })
        .await?;
    Ok(Json(json!({"changes": changes})))
}

/// `GET /api/dashboards/uid/{uid}/permissions`, `/api/folders/{uid}/permissions`: what the roles may.
pub(in crate::grafana) async fn permissions() -> Json<Value> {
    Json(json!([
        {"role": "Viewer", "permission": 1, "permissionName": "View", "inherited": false},
        {"role": "Editor", "permission": 2, "permissionName": "Edit", "inherited": false},
    ]))
}

/// The same changed.
pub(in crate::grafana) async fn set_permissions() -> Answer {
    Err(Refusal::bad("permissions of single dashboards and folders are not supported: roles decide"))
}
