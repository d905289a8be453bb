//! `/api/folders`

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Folder;
use crate::grafana::{
    GrafanaApi,
    accounts::model::{Identity, OrgRole},
    body::Body,
    login::Asker,
    refusal::{Answer, Refusal},
    time_text::iso,
};

type Api = State<Arc<GrafanaApi>>;

fn shown(api: &GrafanaApi, folder: &Folder, asker: &Identity) -> Value {
    let edits = asker.may(OrgRole::Editor) && !folder.provisioned;
    json!({
        "id": folder.id(), "uid": folder.uid, "orgId": 1, "title": folder.title, "url": folder.url(&api.settings.base()),
        "hasAcl": false, "canSave": edits, "canEdit": edits, "canAdmin": asker.may(OrgRole::Admin), "canDelete": edits,
        "createdBy": folder.by, "created": iso(folder.created_ms), "updatedBy": folder.by, "updated": iso(folder.updated_ms),
        "version": folder.version,
    })
}

fn find(api: &GrafanaApi, uid: &str) -> Answer<Folder> {
    api.boards.folder(uid).ok_or_else(|| Refusal::not_found("folder not found"))
}

#[derive(Deserialize)]
pub(in crate::grafana) struct Page {
    limit: Option<usize>,
    page: Option<usize>,
}

/// `GET /api/folders`
pub(in crate::grafana) async fn list(State(api): Api, Query(page): Query<Page>) -> Json<Value> {
    let limit = page.limit.filter(|n| *n > 0).unwrap_or(1000);
    let skipped = page.page.unwrap_or(1).saturating_sub(1).saturating_mul(limit);
    let one = |f: &Folder| json!({"id": f.id(), "uid": f.uid, "title": f.title});
    Json(api.boards.folders().iter().skip(skipped).take(limit).map(one).collect::<Vec<_>>().into())
}

/// `GET /api/folders/{uid}`
pub(in crate::grafana) async fn get(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
) -> Answer {
    find(&api, &uid).map(|folder| Json(shown(&api, &folder, &asker)))
}

/// `GET /api/folders/id/{id}`
pub(in crate::grafana) async fn by_id(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
) -> Answer {
    let folder = api.boards.folders().into_iter().find(|f| f.id() == id);
    let folder = folder.ok_or_else(|| Refusal::not_found("folder not found"))?;
    Ok(Json(shown(&api, &folder, &asker)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::grafana) struct Form {
    uid: Option<String>,
    #[serde(default)]
    title: String,
    version: Option<u64>,
    #[serde(default)]
    overwrite: bool,
    parent_uid: Option<String>,
}

/// `POST /api/folders`
pub(in crate::grafana) async fn add(
    State(api): Api,
    Extension(asker): Asker,
    Body(form): Body<Form>,
) -> Answer {
    if form.parent_uid.is_some_and(|parent| !parent.is_empty()) {
        return Err(Refusal::bad("folders in folders are not supported"));
    }
    let (by, now) = (asker.login.clone(), api.now_ms());
    let folder =
        api.blocking(move |api| api.boards.add_folder(form.uid.as_deref(), &form.title, &by, now)).await?;
    tracing::info!(audit = "folder created", uid = folder.uid, by = asker.login);
    Ok(Json(shown(&api, &folder, &asker)))
}

/// `PUT /api/folders/{uid}`
pub(in crate::grafana) async fn change(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
    Body(form): Body<Form>,
) -> Answer {
    let now = api.now_ms();
    let version = form.version.filter(|_| !form.overwrite);
    let folder = api.blocking(move |api| api.boards.rename_folder(&uid, &form.title, version, now)).await?;
    tracing::info!(audit = "folder changed", uid = folder.uid, by = asker.login);
    Ok(Json(shown(&api, &folder, &asker)))
}

/// `DELETE /api/folders/{uid}`: with the dashboards in it.
pub(in crate::grafana) async fn remove(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
) -> Answer {
    let folder = api.blocking(move |api| api.boards.remove_folder(&uid)).await?;
    tracing::info!(audit = "folder deleted", uid = folder.uid, by = asker.login);
    let message = format!("Folder {} deleted", folder.title);
    Ok(Json(json!({"id": folder.id(), "title": folder.title, "message": message})))
}

/// `GET /api/folders/{uid}/counts`
pub(in crate::grafana) async fn counts(State(api): Api, Path(uid): Path<String>) -> Answer {
    find(&api, &uid)?;
    let inside = api.boards.all().iter().filter(|b| b.folder_uid == uid).count();
    Ok(Json(json!({"dashboard": inside, "alertrule": 0, "librarypanel": 0, "folder": 0})))
}
