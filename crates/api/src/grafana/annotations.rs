//! `/api/annotations`: notes on graphs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{Path, RawQuery, State},
    http::Method,
};
use parking_lot::{Mutex, RwLock};
use reba_storage::{StateChange, StateError, StateStore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    GrafanaApi,
    accounts::{key, read_all, to_bytes},
    body::Body,
    ids::numeric_id,
    login::Asker,
    refusal::{Answer, Refusal},
};

const SPACE: &str = "grafana/annotations";

/// Annotations altogether.
const MAX_ANNOTATIONS: usize = 50_000;

/// Bytes of an annotation's text.
const MAX_TEXT: usize = 64 << 10;

/// Tags of an annotation, and bytes of each.
const MAX_TAGS: usize = 100;

type Api = State<Arc<GrafanaApi>>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Annotation {
    id: u64,
    /// Empty: of the whole organisation.
    dashboard_uid: String,
    panel_id: i64,
    time: i64,
    time_end: i64,
    text: String,
    tags: Vec<String>,
    user_id: u64,
    login: String,
    created: i64,
    updated: i64,
}

/// All annotations.
pub(super) struct Annotations {
    store: Arc<dyn StateStore>,
    all: RwLock<BTreeMap<u64, Annotation>>,
    changing: Mutex<()>,
}

impl Annotations {
    pub(super) fn open(store: Arc<dyn StateStore>) -> Result<Self, StateError> {
        let all = read_all::<Annotation>(&*store, SPACE)?.into_iter().map(|(_, a)| (a.id, a)).collect();
        Ok(Annotations { store, all: RwLock::new(all), changing: Mutex::new(()) })
    }

    fn get(&self, id: u64) -> Result<Annotation, Refusal> {
        self.all.read().get(&id).cloned().ok_or_else(|| Refusal::not_found("annotation not found"))
    }

    /// Adds one; its number is returned.
    fn add(&self, mut new: Annotation) -> Result<u64, Refusal> {
        check(&new)?;
        let _one = self.changing.lock();
        {
            let all = self.all.read();
            if all.len() >= MAX_ANNOTATIONS {
                return Err(Refusal::full("MAX_ANNOTATIONS", MAX_ANNOTATIONS));
            }
            new.id = all.keys().next_back().map_or(1, |last| last + 1);
        }
        self.put(new)
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Annotation)) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        let mut annotation = self.get(id)?;
        change(&mut annotation);
        check(&annotation)?;
        self.put(annotation).map(drop)
    }

    fn put(&self, annotation: Annotation) -> Result<u64, Refusal> {
        let (id, at) = (annotation.id, annotation.updated);
        self.store.write(&[StateChange::put(SPACE, &key(id), to_bytes(&annotation)?, at)])?;
        self.all.write().insert(id, annotation);
        Ok(id)
    }

    fn remove(&self, ids: &[u64]) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        let changes: Vec<StateChange> = ids.iter().map(|id| StateChange::delete(SPACE, &key(*id))).collect();
        self.store.write(&changes)?;
        let mut all = self.all.write();
        for id in ids {
            all.remove(id);
        }
        Ok(())
    }
}

fn check(annotation: &Annotation) -> Result<(), Refusal> {
    if annotation.text.len() > MAX_TEXT {
        return Err(Refusal::bad(format!("the text has more than {MAX_TEXT} bytes (MAX_TEXT)")));
    }
    if annotation.tags.len() > MAX_TAGS || annotation.tags.iter().any(|tag| tag.len() > MAX_TAGS) {
        return Err(Refusal::bad(format!(
            "an annotation has up to {MAX_TAGS} tags of up to {MAX_TAGS} bytes (MAX_TAGS)"
        )));
    }
    if annotation.time_end < annotation.time {
        return Err(Refusal::bad("timeEnd is before time"));
    }
    Ok(())
}

fn shown(api: &GrafanaApi, a: &Annotation) -> Value {
    let dashboard = if a.dashboard_uid.is_empty() { 0 } else { numeric_id("dashboard", &a.dashboard_uid) };
    json!({
        "id": a.id, "alertId": 0, "alertName": "", "dashboardId": dashboard, "dashboardUID": a.dashboard_uid,
        "panelId": a.panel_id, "userId": a.user_id, "login": a.login, "email": "", "avatarUrl": format!("{}avatar/0", api.settings.base()),
        "newState": "", "prevState": "", "created": a.created, "updated": a.updated, "time": a.time, "timeEnd": a.time_end,
        "text": a.text, "tags": a.tags, "data": {},
    })
}

/// What annotations are asked for.
#[derive(Debug, Default)]
struct Wanted {
    from: Option<i64>,
    to: Option<i64>,
    dashboard_uid: Option<String>,
    dashboard_id: Option<u64>,
    panel_id: Option<i64>,
    tags: Vec<String>,
    any: bool,
    user: Option<u64>,
    /// Those of alerts are not here.
    alerts: bool,
    limit: usize,
}

impl Wanted {
    fn of(query: &str) -> Self {
        let mut w = Wanted { limit: 100, ..Wanted::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "from" => w.from = value.parse().ok(),
                "to" => w.to = value.parse().ok(),
                "dashboardUID" | "dashboardUid" => {
                    w.dashboard_uid = Some(value.into_owned()).filter(|v| !v.is_empty());
                }
                "dashboardId" => w.dashboard_id = value.parse().ok().filter(|id| *id != 0),
                "panelId" => w.panel_id = value.parse().ok().filter(|id| *id != 0),
                "tags" => w.tags.push(value.into_owned()),
                "matchAny" => w.any = value == "true",
                "userId" => w.user = value.parse().ok().filter(|id| *id != 0),
                "type" => w.alerts = value == "alert",
                "limit" => w.limit = value.parse().unwrap_or(100).min(MAX_ANNOTATIONS),
                _ => {}
            }
        }
        w
    }

    fn fits(&self, a: &Annotation) -> bool {
        let has = |tag: &String| a.tags.contains(tag);
        let tags = self.tags.is_empty()
            || if self.any { self.tags.iter().any(has) } else { self.tags.iter().all(has) };
        let dashboard = self.dashboard_uid.as_ref().is_none_or(|uid| *uid == a.dashboard_uid)
            && self.dashboard_id.is_none_or(|id| numeric_id("dashboard", &a.dashboard_uid) == id);
        !self.alerts
            && tags
            && dashboard
            && self.from.is_none_or(|from| a.time_end >= from)
            && self.to.is_none_or(|to| a.time <= to)
            && self.panel_id.is_none_or(|id| a.panel_id == id)
            && self.user.is_none_or(|id| a.user_id == id)
    }
}

/// `GET /api/annotations`: the newest first.
pub(super) async fn list(State(api): Api, RawQuery(query): RawQuery) -> Json<Value> {
    let wanted = Wanted::of(&query.unwrap_or_default());
    let all = api.annotations.all.read();
    let mut found: Vec<&Annotation> = all.values().filter(|a| wanted.fits(a)).collect();
    found.sort_by_key(|a| (std::cmp::Reverse(a.time), a.id));
    Json(found.into_iter().take(wanted.limit).map(|a| shown(&api, a)).collect::<Vec<_>>().into())
}

/// `GET /api/annotations/{id}`
pub(super) async fn get(State(api): Api, Path(id): Path<u64>) -> Answer {
    Ok(Json(shown(&api, &api.annotations.get(id)?)))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Form {
    #[serde(rename = "dashboardUID", alias = "dashboardUid")]
    dashboard_uid: Option<String>,
    dashboard_id: Option<u64>,
    panel_id: Option<i64>,
    time: Option<i64>,
    time_end: Option<i64>,
    text: Option<String>,
    tags: Option<Vec<String>>,
}

/// `POST /api/annotations`
pub(super) async fn add(State(api): Api, Extension(asker): Asker, Body(form): Body<Form>) -> Answer {
    let by_id =
        || form.dashboard_id.filter(|id| *id != 0).and_then(|id| api.boards.by_id(id)).map(|b| b.uid.clone());
    let uid = form.dashboard_uid.clone().filter(|uid| !uid.is_empty()).or_else(by_id).unwrap_or_default();
    if !uid.is_empty() && api.boards.get(&uid).is_none() {
        return Err(Refusal::not_found("Dashboard not found"));
    }
    let text =
        form.text.filter(|t| !t.is_empty()).ok_or_else(|| Refusal::bad("text field should not be empty"))?;
    let now = api.now_ms();
    let time = form.time.filter(|t| *t != 0).unwrap_or(now);
    let new = Annotation {
        id: 0,
        dashboard_uid: uid,
        panel_id: form.panel_id.unwrap_or(0),
        time,
        time_end: form.time_end.filter(|t| *t != 0).unwrap_or(time),
        text,
        tags: form.tags.unwrap_or_default(),
        user_id: asker.id,
        login: asker.login.clone(),
        created: now,
        updated: now,
    };
    let id = api.blocking(move |api| api.annotations.add(new)).await?;
    Ok(Json(json!({"message": "Annotation added", "id": id})))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    what: String,
    when: Option<i64>,
    tags: Value,
    data: String,
}

/// `POST /api/annotations/graphite`: as Graphite's events are written.
pub(super) async fn graphite(State(api): Api, Extension(asker): Asker, Body(event): Body<Event>) -> Answer {
    if event.what.is_empty() {
        return Err(Refusal::bad("what field should not be empty"));
    }
    let tags: Vec<String> = match &event.tags {
        Value::String(words) => words.split_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let now = api.now_ms();
    let time = event.when.map_or(now, |seconds| seconds.saturating_mul(1000));
    let text = if event.data.is_empty() { event.what } else { format!("{}\n{}", event.what, event.data) };
    let (user_id, login) = (asker.id, asker.login.clone());
    let new = Annotation {
        time,
        time_end: time,
        text,
        tags,
        user_id,
        login,
        created: now,
        updated: now,
        ..Annotation::default()
    };
    let id = api.blocking(move |api| api.annotations.add(new)).await?;
    Ok(Json(json!({"message": "Graphite annotation added", "id": id})))
}

/// `PUT` and `PATCH /api/annotations/{id}`
pub(super) async fn change(
    State(api): Api,
    method: Method,
    Path(id): Path<u64>,
    Body(form): Body<Form>,
) -> Answer {
    if method == Method::PUT && form.text.as_deref().unwrap_or_default().is_empty() {
        return Err(Refusal::bad("text field should not be empty"));
    }
    let now = api.now_ms();
    api.blocking(move |api| {
        api.annotations.change(id, |a| {
            a.text = form.text.unwrap_or(std::mem::take(&mut a.text));
            a.tags = form.tags.unwrap_or(std::mem::take(&mut a.tags));
            if let Some(time) = form.time.filter(|t| *t != 0) {
                a.time = time;
                a.time_end = a.time_end.max(time);
            }
            a.time_end = form.time_end.filter(|t| *t != 0).unwrap_or(a.time_end);
            a.updated = now;
        })
    })
    .await?;
    let done = if method == Method::PUT { "updated" } else { "patched" };
    Ok(Json(json!({"message": format!("Annotation {done}")})))
}

/// `DELETE /api/annotations/{id}`
pub(super) async fn remove(State(api): Api, Path(id): Path<u64>) -> Answer {
    api.annotations.get(id)?;
    api.blocking(move |api| api.annotations.remove(&[id])).await?;
    Ok(Json(json!({"message": "Annotation deleted"})))
}

/// `POST /api/annotations/mass-delete`: one, or those of a panel.
pub(super) async fn mass_delete(
    State(api): Api,
    Extension(asker): Asker,
    Body(form): Body<serde_json::Map<String, Value>>,
) -> Answer {
    let number = |key: &str| form.get(key).and_then(Value::as_u64).filter(|n| *n != 0);
    let uid = form.get("dashboardUID").and_then(Value::as_str).filter(|uid| !uid.is_empty());
    let (one, dashboard, panel) = (number("annotationId"), number("dashboardId"), number("panelId"));
    if one.is_none() && (dashboard.is_none() && uid.is_none() || panel.is_none()) {
        return Err(Refusal::bad("either annotationId, or dashboard and panelId are needed"));
    }
    let fits = |a: &Annotation| match one {
        Some(id) => a.id == id,
        None => {
            let there = uid.is_none_or(|uid| uid == a.dashboard_uid)
                && dashboard.is_none_or(|id| id == numeric_id("dashboard", &a.dashboard_uid));
            there && panel.and_then(|p| i64::try_from(p).ok()) == Some(a.panel_id)
        }
    };
    let ids: Vec<u64> = api.annotations.all.read().values().filter(|a| fits(a)).map(|a| a.id).collect();
    tracing::info!(audit = "annotations deleted", count = ids.len(), by = asker.login);
    api.blocking(move |api| api.annotations.remove(&ids)).await?;
    Ok(Json(json!({"message": "Annotations deleted"})))
}

/// `GET /api/annotations/tags`
pub(super) async fn tags(State(api): Api, RawQuery(query): RawQuery) -> Json<Value> {
    let query = query.unwrap_or_default();
    let part =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "tag").map(|(_, v)| v.into_owned());
    let mut counts = BTreeMap::<String, u64>::new();
    for a in api.annotations.all.read().values() {
        for tag in a.tags.iter().collect::<BTreeSet<_>>() {
            *counts.entry(tag.clone()).or_default() += 1;
        }
    }
    let fits = counts.iter().filter(|(tag, _)| part.as_ref().is_none_or(|part| tag.contains(part.as_str())));
    let tags: Vec<Value> = fits.take(100).map(|(tag, count)| json!({"tag": tag, "count": count})).collect();
    Json(json!({"result": {"tags": tags}}))
}
