//! `/api/user`, `/api/users`, `/api/admin/users`: people.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use reba_http::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    GrafanaApi,
    accounts::{
        NewUser,
        model::{Identity, OrgRole, User, Via},
    },
    body::Body,
    ids::digest,
    login::Asker,
    refusal::{Answer, Refusal},
    time_text::{age, iso},
};

/// Bytes that somebody's preferences may have.
const MAX_PREFERENCES: usize = 16 << 10;

/// Users on one page of a list.
const PER_PAGE: usize = 1000;

type Api = State<Arc<GrafanaApi>>;

fn avatar(api: &GrafanaApi, user: &User) -> String {
    format!("{}avatar/{}", api.settings.base(), &digest(&user.login)[..32])
}

/// A user with all that its owner and administrators see.
fn profile(api: &GrafanaApi, user: &User) -> Value {
    let theme = user.preferences.get("theme").cloned().unwrap_or_else(|| "".into());
    json!({
        "id": user.id, "uid": user.uid, "email": user.email, "name": user.name, "login": user.login,
        "theme": theme, "orgId": 1, "orgRole": user.role.name(), "isGrafanaAdmin": user.server_admin,
        "isDisabled": user.disabled, "isExternal": false, "isExternallySynced": false, "authLabels": [],
        "updatedAt": iso(user.updated_ms), "createdAt": iso(user.created_ms), "avatarUrl": avatar(api, user),
    })
}

fn myself(api: &GrafanaApi, asker: &Identity) -> Answer<User> {
    api.accounts.user(asker.id).ok_or_else(|| Refusal::not_found("user not found"))
}

/// A person who asks; tokens have no profile to change.
fn person(api: &GrafanaApi, asker: &Identity) -> Answer<User> {
    myself(api, asker).and_then(|user| {
        if user.is_service { Err(Refusal::forbidden("service accounts cannot do this")) } else { Ok(user) }
    })
}

/// `GET /api/user`
pub(super) async fn me(State(api): Api, Extension(asker): Asker) -> Answer {
    myself(&api, &asker).map(|user| Json(profile(&api, &user)))
}

#[derive(Deserialize)]
pub(super) struct Changes {
    login: Option<String>,
    email: Option<String>,
    name: Option<String>,
    theme: Option<String>,
}

impl Changes {
    fn apply(self, user: &mut User) {
        for (place, value) in
            [(&mut user.login, self.login), (&mut user.email, self.email), (&mut user.name, self.name)]
        {
            if let Some(value) = value {
                *place = value;
            }
        }
        if let Some(theme) = self.theme.filter(|t| matches!(t.as_str(), "" | "dark" | "light" | "system")) {
            user.preferences.insert("theme".to_owned(), theme.into());
        }
    }
}

/// `PUT /api/user`
pub(super) async fn change_me(
    State(api): Api,
    Extension(asker): Asker,
    Body(changes): Body<Changes>,
) -> Answer {
    let user = person(&api, &asker)?;
    change(&api, user.id, changes).await
}

async fn change(api: &Arc<GrafanaApi>, id: u64, changes: Changes) -> Answer {
    let now = api.now_ms();
    api.blocking(move |api| {
        api.accounts.change_user(id, now, |user| {
            changes.apply(user);
            Ok(())
        })
    })
    .await?;
    Ok(Json(json!({"message": "User updated"})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewPassword {
    old_password: Secret,
    new_password: Secret,
}

/// `PUT /api/user/password`: ends all other log-ins.
pub(super) async fn change_my_password(
    State(api): Api,
    Extension(asker): Asker,
    Body(form): Body<NewPassword>,
) -> Answer {
    let user = person(&api, &asker)?;
    let (from, now) = (std::net::IpAddr::from([0, 0, 0, 0]), api.now_ms());
    // Who found a browser open must not find the password out, either.
    let key = format!("change/{}", user.login);
    api.throttle
        .admit(&key, from, now)
        .map_err(|s| Refusal::later("too many attempts: try again later", s))?;
    let login = user.login.clone();
    let keep = match &asker.via {
        Via::Session(key) => Some(key.clone()),
        _ => None,
    };
    let throttled = key.clone();
    api.blocking(move |api| {
        if api.accounts.check_password(&login, &form.old_password).is_none() {
            return Err(Refusal::unauthorized("invalid old password"));
        }
        api.throttle.succeeded(&throttled, from);
        api.accounts.set_password(user.id, &form.new_password, false, keep.as_deref(), now)
    })
    .await?;
    tracing::info!(audit = "password changed", login = asker.login);
    Ok(Json(json!({"message": "User password changed"})))
}

/// `GET /api/user/preferences`
pub(super) async fn my_preferences(State(api): Api, Extension(asker): Asker) -> Answer {
    myself(&api, &asker).map(|user| Json(Value::Object(user.preferences)))
}

/// Only what is known and small is kept.
pub(super) fn preferences(given: &Map<String, Value>) -> Answer<Map<String, Value>> {
    let known = [
        "theme",
        "timezone",
        "weekStart",
        "homeDashboardUID",
        "homeDashboardId",
        "language",
        "queryHistory",
        "navbar",
    ];
    let kept: Map<String, Value> = given
        .iter()
        .filter(|(k, _)| known.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if serde_json::to_string(&kept).map_or(0, |text| text.len()) > MAX_PREFERENCES {
        return Err(Refusal::bad(format!(
            "preferences have {MAX_PREFERENCES} bytes at most (MAX_PREFERENCES)"
        )));
    }
    Ok(kept)
}

/// `PUT /api/user/preferences` replaces them, `PATCH` changes what it names.
pub(super) async fn set_my_preferences(
    State(api): Api,
    Extension(asker): Asker,
    method: axum::http::Method,
    Body(given): Body<Map<String, Value>>,
) -> Answer {
    let (id, now, given) = (person(&api, &asker)?.id, api.now_ms(), preferences(&given)?);
    api.blocking(move |api| {
        api.accounts.change_user(id, now, |user| {
            if method == axum::http::Method::PUT {
                user.preferences = given;
            } else {
                user.preferences.extend(given);
            }
            user.preferences = preferences(&user.preferences)?;
            Ok(())
        })
    })
    .await?;
    Ok(Json(json!({"message": "Preferences updated"})))
}

/// `GET /api/user/orgs`
pub(super) async fn my_orgs(State(api): Api, Extension(asker): Asker) -> Json<Value> {
    Json(json!([{"orgId": 1, "name": api.org.name(), "role": asker.role.name()}]))
}

/// `POST` and `DELETE /api/user/stars/dashboard/uid/{uid}`
pub(super) async fn star(
    State(api): Api,
    Extension(asker): Asker,
    method: axum::http::Method,
    Path(uid): Path<String>,
) -> Answer {
    let user = person(&api, &asker)?;
    let on = method == axum::http::Method::POST;
    if on && api.boards.get(&uid).is_none() {
        return Err(Refusal::not_found("Dashboard not found"));
    }
    let now = api.now_ms();
    api.blocking(move |api| {
        api.accounts.change_user(user.id, now, |user| {
            if on {
                user.stars.insert(uid)
            } else {
                user.stars.remove(&uid)
            };
            Ok(())
        })
    })
    .await?;
    Ok(Json(json!({"message": if on { "Dashboard starred!" } else { "Dashboard unstarred" }})))
}

/// `GET /api/users`
#[derive(Deserialize)]
pub(super) struct Page {
    query: Option<String>,
    perpage: Option<usize>,
    page: Option<usize>,
}

fn listed(api: &GrafanaApi, page: &Page) -> (Vec<Value>, usize) {
    let wanted = page.query.as_deref().unwrap_or_default().to_lowercase();
    let fits = |u: &User| [&u.login, &u.email, &u.name].iter().any(|t| t.to_lowercase().contains(&wanted));
    let all: Vec<User> = api.accounts.users(false).into_iter().filter(fits).collect();
    let per_page = page.perpage.unwrap_or(PER_PAGE).clamp(1, PER_PAGE);
    let skipped = page.page.unwrap_or(1).saturating_sub(1).saturating_mul(per_page);
    let one = |u: &User| {
        json!({
            "id": u.id, "uid": u.uid, "name": u.name, "login": u.login, "email": u.email, "avatarUrl": avatar(api, u),
            "isAdmin": u.server_admin, "isDisabled": u.disabled, "authLabels": [], "role": u.role.name(),
            "lastSeenAt": iso(u.seen_ms), "lastSeenAtAge": age(api.now_ms(), u.seen_ms),
        })
    };
    (all.iter().skip(skipped).take(per_page).map(one).collect(), all.len())
}

pub(super) async fn list(State(api): Api, Query(page): Query<Page>) -> Json<Value> {
    Json(listed(&api, &page).0.into())
}

/// `GET /api/users/search`
pub(super) async fn search(State(api): Api, Query(page): Query<Page>) -> Json<Value> {
    let (users, total) = listed(&api, &page);
    let (number, per_page) = (page.page.unwrap_or(1), page.perpage.unwrap_or(PER_PAGE));
    Json(json!({"totalCount": total, "users": users, "page": number, "perPage": per_page}))
}

/// `GET /api/users/{id}`
pub(super) async fn one(State(api): Api, Path(id): Path<u64>) -> Answer {
    let user = api.accounts.user(id).filter(|u| !u.is_service);
    user.map(|u| Json(profile(&api, &u))).ok_or_else(|| Refusal::not_found("user not found"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lookup {
    login_or_email: String,
}

/// `GET /api/users/lookup?loginOrEmail=`
pub(super) async fn lookup(State(api): Api, Query(wanted): Query<Lookup>) -> Answer {
    let user = api.accounts.user_named(&wanted.login_or_email).filter(|u| !u.is_service);
    user.map(|u| Json(profile(&api, &u))).ok_or_else(|| Refusal::not_found("user not found"))
}

/// `PUT /api/users/{id}`
pub(super) async fn change_one(State(api): Api, Path(id): Path<u64>, Body(changes): Body<Changes>) -> Answer {
    change(&api, id, changes).await
}

/// `GET /api/users/{id}/orgs`
pub(super) async fn orgs_of(State(api): Api, Path(id): Path<u64>) -> Answer {
    let user = api.accounts.user(id).ok_or_else(|| Refusal::not_found("user not found"))?;
    Ok(Json(json!([{"orgId": 1, "name": api.org.name(), "role": user.role.name()}])))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct NewPerson {
    name: String,
    email: String,
    login: String,
    password: Secret,
    role: Option<String>,
}

/// `POST /api/admin/users`
pub(super) async fn add(State(api): Api, Extension(asker): Asker, Body(form): Body<NewPerson>) -> Answer {
    let login = if form.login.is_empty() { form.email.clone() } else { form.login };
    let role = match form.role.as_deref() {
        None => OrgRole::Viewer,
        Some(name) => OrgRole::named(name).ok_or_else(|| Refusal::bad("invalid role specified"))?,
    };
    let new = NewUser {
        login,
        email: form.email,
        name: form.name,
        password: Some(form.password),
        role,
        ..NewUser::default()
    };
    let now = api.now_ms();
    let user = api.blocking(move |api| api.accounts.add_user(new, now)).await?;
    tracing::info!(audit = "user created", login = user.login, by = asker.login);
    Ok(Json(json!({"id": user.id, "uid": user.uid, "message": "User created"})))
}

#[derive(Deserialize)]
pub(super) struct GivenPassword {
    password: Secret,
}

/// `PUT /api/admin/users/{id}/password`
pub(super) async fn set_password(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(form): Body<GivenPassword>,
) -> Answer {
    let now = api.now_ms();
    api.blocking(move |api| api.accounts.set_password(id, &form.password, false, None, now)).await?;
    tracing::info!(audit = "password set", user = id, by = asker.login);
    Ok(Json(json!({"message": "User password updated"})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rights {
    is_grafana_admin: bool,
}

/// `PUT /api/admin/users/{id}/permissions`
pub(super) async fn set_rights(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(form): Body<Rights>,
) -> Answer {
    let now = api.now_ms();
    let set = move |user: &mut User| {
        user.server_admin = form.is_grafana_admin;
        Ok(())
    };
    api.blocking(move |api| api.accounts.change_user(id, now, set)).await?;
    tracing::info!(
        audit = "server administration changed",
        user = id,
        to = form.is_grafana_admin,
        by = asker.login
    );
    Ok(Json(json!({"message": "User permissions updated"})))
}

/// `POST /api/admin/users/{id}/disable` and `/enable`
pub(super) async fn set_disabled(api: Arc<GrafanaApi>, asker: Arc<Identity>, id: u64, to: bool) -> Answer {
    let now = api.now_ms();
    let set = move |user: &mut User| {
        user.disabled = to;
        Ok(())
    };
    api.blocking(move |api| api.accounts.change_user(id, now, set)).await?;
    tracing::info!(audit = "user disabled or enabled", user = id, disabled = to, by = asker.login);
    Ok(Json(json!({"message": if to { "User disabled" } else { "User enabled" }})))
}

pub(super) async fn disable(State(api): Api, Extension(asker): Asker, Path(id): Path<u64>) -> Answer {
    set_disabled(api, asker, id, true).await
}

pub(super) async fn enable(State(api): Api, Extension(asker): Asker, Path(id): Path<u64>) -> Answer {
    set_disabled(api, asker, id, false).await
}

/// `DELETE /api/admin/users/{id}`
pub(super) async fn remove(State(api): Api, Extension(asker): Asker, Path(id): Path<u64>) -> Answer {
    let now = api.now_ms();
    let user = api.blocking(move |api| api.accounts.remove_user(id, false, now)).await?;
    tracing::info!(audit = "user deleted", login = user.login, by = asker.login);
    Ok(Json(json!({"message": "User deleted"})))
}

/// `GET /avatar/{hash}`: a picture of two colours; nobody else is asked for one.
pub(super) async fn picture(Path(hash): Path<String>) -> Response {
    let number = u32::from_str_radix(hash.get(..6).unwrap_or("0"), 16).unwrap_or(0);
    let mut svg = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\">");
    let _ = write!(svg, "<rect width=\"8\" height=\"8\" fill=\"hsl({} 55% 45%)\"/>", number % 360);
    svg.push_str(
        "<g fill=\"#fff\"><circle cx=\"4\" cy=\"3\" r=\"1.5\"/><path d=\"M1 8a3 3 0 0 1 6 0\"/></g></svg>",
    );
    let head = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "private, max-age=3600")];
    (head, svg).into_response()
}
