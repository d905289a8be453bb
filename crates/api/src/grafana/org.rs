//! `/api/org`, `/api/orgs`: the one organisation, and the roles that people have in it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use parking_lot::RwLock;
use reba_storage::{StateChange, StateError, StateStore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    GrafanaApi,
    accounts::{
        model::{OrgRole, User},
        to_bytes,
    },
    body::Body,
    login::Asker,
    refusal::{Answer, Refusal},
    time_text::{age, iso},
    users::preferences,
};

const SPACE: &str = "grafana/org";
const KEY: &str = "1";

/// Bytes of the organisation's name.
const MAX_NAME: usize = 190;

type Api = State<Arc<GrafanaApi>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    name: String,
    preferences: Map<String, Value>,
}

impl Default for Saved {
    fn default() -> Self {
        Saved { name: "Main Org.".to_owned(), preferences: Map::new() }
    }
}

/// What is kept of the organisation.
pub(super) struct Org {
    store: Arc<dyn StateStore>,
    saved: RwLock<Saved>,
}

impl Org {
    pub(super) fn open(store: Arc<dyn StateStore>) -> Result<Self, StateError> {
        let saved = match store.get(SPACE, KEY)? {
            Some(document) => serde_json::from_slice(&document.body)
                .map_err(|e| StateError::Unavailable(format!("{SPACE}/{KEY} cannot be read: {e}")))?,
            None => Saved::default(),
        };
        Ok(Org { store, saved: RwLock::new(saved) })
    }

    pub(super) fn name(&self) -> String {
        self.saved.read().name.clone()
    }

    pub(super) fn preferences(&self) -> Map<String, Value> {
        self.saved.read().preferences.clone()
    }

    fn change(&self, now_ms: i64, change: impl FnOnce(&mut Saved)) -> Result<(), Refusal> {
        // Held while it is written: two changes at once must not undo each other.
        let mut saved = self.saved.write();
        let mut new = saved.clone();
        change(&mut new);
        self.store.write(&[StateChange::put(SPACE, KEY, to_bytes(&new)?, now_ms)])?;
        *saved = new;
        Ok(())
    }
}

/// `GET /api/org`, `/api/orgs/1`, `/api/orgs/name/{name}`
pub(super) async fn current(State(api): Api) -> Json<Value> {
    Json(shown(&api))
}

fn shown(api: &GrafanaApi) -> Value {
    let address =
        json!({"address1": "", "address2": "", "city": "", "zipCode": "", "state": "", "country": ""});
    json!({"id": 1, "name": api.org.name(), "address": address})
}

/// `GET /api/orgs/{id}`
pub(super) async fn by_id(State(api): Api, Path(id): Path<u64>) -> Answer {
    if id == 1 { Ok(Json(shown(&api))) } else { Err(Refusal::not_found("Organization not found")) }
}

/// `GET /api/orgs/name/{name}`
pub(super) async fn by_name(State(api): Api, Path(name): Path<String>) -> Answer {
    if name == api.org.name() {
        Ok(Json(shown(&api)))
    } else {
        Err(Refusal::not_found("Organization not found"))
    }
}

/// `GET /api/orgs`
pub(super) async fn list(State(api): Api) -> Json<Value> {
    Json(json!([{"id": 1, "name": api.org.name()}]))
}

#[derive(Deserialize)]
pub(super) struct Name {
    name: String,
}

/// `PUT /api/org`
pub(super) async fn rename(State(api): Api, Body(form): Body<Name>) -> Answer {
    if form.name.is_empty() || form.name.len() > MAX_NAME || form.name.contains(char::is_control) {
        return Err(Refusal::bad(format!("name: 1 to {MAX_NAME} bytes without control characters")));
    }
    let now = api.now_ms();
    api.blocking(move |api| api.org.change(now, |saved| saved.name = form.name)).await?;
    Ok(Json(json!({"message": "Organization updated"})))
}

/// `POST /api/orgs`
pub(super) async fn add() -> Answer {
    Err(Refusal::bad("this server has one organisation"))
}

fn member(user: &User, now_ms: i64) -> Value {
    json!({
        "orgId": 1, "userId": user.id, "uid": user.uid, "email": user.email, "name": user.name, "login": user.login,
        "role": user.role.name(), "lastSeenAt": iso(user.seen_ms), "lastSeenAtAge": age(now_ms, user.seen_ms), "isDisabled": user.disabled,
        "authLabels": [], "isExternallySynced": false,
    })
}

/// `GET /api/org/users`
pub(super) async fn members(State(api): Api) -> Json<Value> {
    let now = api.now_ms();
    Json(api.accounts.users(false).iter().map(|user| member(user, now)).collect::<Vec<_>>().into())
}

/// `GET /api/org/users/lookup`
pub(super) async fn names(State(api): Api) -> Json<Value> {
    let one = |u: &User| json!({"userId": u.id, "uid": u.uid, "login": u.login, "avatarUrl": ""});
    Json(api.accounts.users(false).iter().map(one).collect::<Vec<_>>().into())
}

#[derive(Deserialize)]
pub(super) struct RoleOf {
    role: String,
}

/// `PATCH /api/org/users/{id}`
pub(super) async fn set_role(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(form): Body<RoleOf>,
) -> Answer {
    let role = OrgRole::named(&form.role).ok_or_else(|| Refusal::bad("invalid role specified"))?;
    let now = api.now_ms();
    let set = move |user: &mut User| {
        if user.is_service {
            return Err(Refusal::not_found("user not found"));
        }
        // One who was put above the organisation is not for its administrators to put down.
        if user.server_admin && !asker.server_admin {
            return Err(Refusal::forbidden("this user is a server administrator"));
        }
        user.role = role;
        tracing::info!(audit = "role changed", login = user.login, role = role.name(), by = asker.login);
        Ok(())
    };
    api.blocking(move |api| api.accounts.change_user(id, now, set)).await?;
    Ok(Json(json!({"message": "Organization user updated"})))
}

/// `GET /api/org/preferences`
pub(super) async fn get_preferences(State(api): Api) -> Json<Value> {
    Json(Value::Object(api.org.preferences()))
}

/// `PUT` and `PATCH /api/org/preferences`
pub(super) async fn set_preferences(
    State(api): Api,
    method: axum::http::Method,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let (given, now) = (preferences(&given)?, api.now_ms());
    api.blocking(move |api| {
        api.org.change(now, |saved| {
            if method == axum::http::Method::PUT {
                saved.preferences = given;
            } else {
                saved.preferences.extend(given);
            }
        })
    })
    .await?;
    Ok(Json(json!({"message": "Preferences updated"})))
}

/// `GET /api/org/quotas`
pub(super) async fn quotas() -> Json<Value> {
    Json(json!([]))
}
