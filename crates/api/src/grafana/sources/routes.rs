//! `/api/datasources`

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body as HttpBody,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{Source, upstream::Ask};
use crate::grafana::{
    GrafanaApi,
    body::Body,
    login::Asker,
    refusal::{Answer, Refusal},
};

type Api = State<Arc<GrafanaApi>>;

fn known(source: Option<Arc<Source>>) -> Answer<Arc<Source>> {
    source.ok_or_else(|| Refusal::not_found("Data source not found"))
}

fn by_number(api: &GrafanaApi, id: u64) -> Answer<Arc<Source>> {
    known(api.sources.all().into_iter().find(|s| s.id() == id))
}

fn by_name(api: &GrafanaApi, name: &str) -> Answer<Arc<Source>> {
    known(api.sources.all().into_iter().find(|s| s.name == name))
}

/// `GET /api/datasources`
pub(in crate::grafana) async fn list(State(api): Api) -> Json<Value> {
    Json(api.sources.all().iter().map(|s| s.shown()).collect::<Vec<_>>().into())
}

/// `GET /api/datasources/uid/{uid}`
pub(in crate::grafana) async fn get_by_uid(State(api): Api, Path(uid): Path<String>) -> Answer {
    known(api.sources.by_uid(&uid)).map(|s| Json(s.shown()))
}

/// `GET /api/datasources/name/{name}`
pub(in crate::grafana) async fn get_by_name(State(api): Api, Path(name): Path<String>) -> Answer {
    by_name(&api, &name).map(|s| Json(s.shown()))
}

/// `GET /api/datasources/{id}`
pub(in crate::grafana) async fn get_by_id(State(api): Api, Path(id): Path<u64>) -> Answer {
    by_number(&api, id).map(|s| Json(s.shown()))
}

/// `GET /api/datasources/id/{name}`
pub(in crate::grafana) async fn id_of(State(api): Api, Path(name): Path<String>) -> Answer {
    by_name(&api, &name).map(|s| Json(json!({"id": s.id()})))
}

fn saved(source: &Source, what: &str) -> Json<Value> {
    let message = format!("Datasource {what}");
    Json(json!({"datasource": source.shown(), "id": source.id(), "message": message, "name": source.name}))
}

/// `POST /api/datasources`
pub(in crate::grafana) async fn add(
    State(api): Api,
    Extension(asker): Asker,
    Body(source): Body<Source>,
) -> Answer {
    let now = api.now_ms();
    let source = api.blocking(move |api| api.sources.save(source, None, now)).await?;
    tracing::info!(audit = "data source added", uid = source.uid, by = asker.login);
    Ok(saved(&source, "added"))
}

async fn replace(api: &Arc<GrafanaApi>, asker: &str, before: Arc<Source>, source: Source) -> Answer {
    let now = api.now_ms();
    let source = api.blocking(move |api| api.sources.save(source, Some(&before), now)).await?;
    tracing::info!(audit = "data source changed", uid = source.uid, by = asker);
    Ok(saved(&source, "updated"))
}

/// `PUT /api/datasources/uid/{uid}`
pub(in crate::grafana) async fn change_by_uid(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
    Body(source): Body<Source>,
) -> Answer {
    let before = known(api.sources.by_uid(&uid))?;
    replace(&api, &asker.login, before, source).await
}

/// `PUT /api/datasources/{id}`
pub(in crate::grafana) async fn change_by_id(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(source): Body<Source>,
) -> Answer {
    let before = by_number(&api, id)?;
    replace(&api, &asker.login, before, source).await
}

async fn delete(api: &Arc<GrafanaApi>, asker: &str, source: Arc<Source>) -> Answer {
    let id = source.id();
    let gone = Arc::clone(&source);
    api.blocking(move |api| api.sources.remove(&gone)).await?;
    tracing::info!(audit = "data source deleted", uid = source.uid, by = asker);
    Ok(Json(json!({"message": "Data source deleted", "id": id})))
}

/// `DELETE /api/datasources/uid/{uid}`
pub(in crate::grafana) async fn remove_by_uid(
    State(api): Api,
    Extension(asker): Asker,
    Path(uid): Path<String>,
) -> Answer {
    let source = known(api.sources.by_uid(&uid))?;
    delete(&api, &asker.login, source).await
}

/// `DELETE /api/datasources/{id}`
pub(in crate::grafana) async fn remove_by_id(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
) -> Answer {
    let source = by_number(&api, id)?;
    delete(&api, &asker.login, source).await
}

/// `DELETE /api/datasources/name/{name}`
pub(in crate::grafana) async fn remove_by_name(
    State(api): Api,
    Extension(asker): Asker,
    Path(name): Path<String>,
) -> Answer {
    let source = by_name(&api, &name)?;
    delete(&api, &asker.login, source).await
}

/// The request by which a data source shows that it works.
fn probe(kind: &str) -> Option<(&'static str, Option<&'static str>)> {
    match kind {
        "prometheus" => Some(("api/v1/query", Some("query=1%2B1"))),
        "loki" => Some(("loki/api/v1/query", Some("query=vector(1)%2Bvector(1)"))),
        "tempo" => Some(("api/echo", None)),
        "alertmanager" => Some(("api/v2/status", None)),
        _ => None,
    }
}

/// `GET /api/datasources/uid/{uid}/health`
pub(in crate::grafana) async fn health(State(api): Api, Path(uid): Path<String>) -> Answer<Response> {
    let source = known(api.sources.resolve(&uid))?;
    let Some((path, query)) = probe(&source.r#type) else {
        return Err(Refusal::not_found(format!("data source type {:?} is not supported", source.r#type)));
    };
    let ask = Ask {
        method: Method::GET,
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: HeaderMap::new(),
        body: HttpBody::empty(),
        upgrade: None,
    };
    let (status, message) = match api.upstreams.ask(&source, ask).await {
        Ok(answer) if answer.status().is_success() => (StatusCode::OK, "Data source is working".to_owned()),
        Ok(answer) => (StatusCode::BAD_REQUEST, format!("the data source answers {}", answer.status())),
        Err(error) => (StatusCode::BAD_REQUEST, error.message),
    };
    let word = if status == StatusCode::OK { "OK" } else { "ERROR" };
    Ok((status, Json(json!({"status": word, "message": message, "details": {}}))).into_response())
}
