//! `/api/serviceaccounts`: programs that come in by tokens; and `/api/auth/keys`, as older clients make them.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    GrafanaApi,
    accounts::{
        NewUser,
        model::{Identity, OrgRole, Token, User},
    },
    body::Body,
    ids::slug,
    login::Asker,
    refusal::{Answer, Refusal},
    time_text::iso,
};

type Api = State<Arc<GrafanaApi>>;

fn shown(api: &GrafanaApi, account: &User) -> Value {
    json!({
        "id": account.id, "uid": account.uid, "name": account.name, "login": account.login, "orgId": 1,
        "isDisabled": account.disabled, "createdAt": iso(account.created_ms), "updatedAt": iso(account.updated_ms),
        "avatarUrl": "", "role": account.role.name(), "teams": [], "tokens": api.accounts.tokens(account.id).len(),
    })
}

fn shown_token(token: &Token, now_ms: i64) -> Value {
    let left = token.expires_ms.map_or(0.0, |end| (end - now_ms).max(0) as f64 / 1000.0);
    json!({
        "id": token.id, "name": token.name, "created": iso(token.created_ms), "expiration": token.expires_ms.map(iso),
        "lastUsedAt": token.used_ms.map(iso), "secondsUntilExpiration": left,
        "hasExpired": token.is_expired(now_ms), "isRevoked": false,
    })
}

fn account(api: &GrafanaApi, id: u64) -> Answer<User> {
    let found = api.accounts.user(id).filter(|u| u.is_service);
    found.ok_or_else(|| Refusal::not_found("service account not found"))
}

/// Nobody may make something that is above himself.
fn role_of(name: Option<&str>, asker: &Identity) -> Answer<OrgRole> {
    let role = name.map_or(Some(OrgRole::Viewer), OrgRole::named);
    let role = role.ok_or_else(|| Refusal::bad("invalid role specified"))?;
    if role > asker.role {
        return Err(Refusal::forbidden("cannot assign a role higher than user's role"));
    }
    Ok(role)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form {
    name: Option<String>,
    role: Option<String>,
    is_disabled: Option<bool>,
}

/// `POST /api/serviceaccounts`
pub(super) async fn add(
    State(api): Api,
    Extension(asker): Asker,
    Body(form): Body<Form>,
) -> Answer<(StatusCode, Json<Value>)> {
    let name =
        form.name.filter(|n| !n.is_empty()).ok_or_else(|| Refusal::bad("a service account needs a name"))?;
    let role = role_of(form.role.as_deref(), &asker)?;
    let account = make(&api, name, role).await?;
    tracing::info!(audit = "service account created", login = account.login, by = asker.login);
    if form.is_disabled == Some(true) {
        let (id, now) = (account.id, api.now_ms());
        let off = |user: &mut User| {
            user.disabled = true;
            Ok(())
        };
        api.blocking(move |api| api.accounts.change_user(id, now, off)).await?;
    }
    Ok((StatusCode::CREATED, Json(shown(&api, &account))))
}

async fn make(api: &Arc<GrafanaApi>, name: String, role: OrgRole) -> Answer<User> {
    let login = format!("sa-1-{}", slug(&name));
    let new = NewUser { login, name, role, is_service: true, ..NewUser::default() };
    let now = api.now_ms();
    api.blocking(move |api| api.accounts.add_user(new, now)).await
}

#[derive(Deserialize)]
pub(super) struct Search {
    query: Option<String>,
    perpage: Option<usize>,
    page: Option<usize>,
}

/// `GET /api/serviceaccounts/search`
pub(super) async fn search(State(api): Api, Query(wanted): Query<Search>) -> Json<Value> {
    let text = wanted.query.unwrap_or_default().to_lowercase();
    let all: Vec<User> =
        api.accounts.users(true).into_iter().filter(|u| u.name.to_lowercase().contains(&text)).collect();
    let (page, per_page) = (wanted.page.unwrap_or(1).max(1), wanted.perpage.unwrap_or(1000).clamp(1, 1000));
    let skipped = (page - 1).saturating_mul(per_page);
    let list: Vec<Value> = all.iter().skip(skipped).take(per_page).map(|u| shown(&api, u)).collect();
    Json(json!({"totalCount": all.len(), "serviceAccounts": list, "page": page, "perPage": per_page}))
}

/// `GET /api/serviceaccounts/{id}`
pub(super) async fn one(State(api): Api, Path(id): Path<u64>) -> Answer {
    account(&api, id).map(|a| Json(shown(&api, &a)))
}

/// `PATCH /api/serviceaccounts/{id}`
pub(super) async fn change(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(form): Body<Form>,
) -> Answer {
    account(&api, id)?;
    let role = form.role.as_deref().map(|name| role_of(Some(name), &asker)).transpose()?;
    let now = api.now_ms();
    let set = move |user: &mut User| {
        user.name = form.name.unwrap_or(std::mem::take(&mut user.name));
        user.role = role.unwrap_or(user.role);
        user.disabled = form.is_disabled.unwrap_or(user.disabled);
        Ok(())
    };
    let changed = api.blocking(move |api| api.accounts.change_user(id, now, set)).await?;
    tracing::info!(audit = "service account changed", login = changed.login, by = asker.login);
    let account = shown(&api, &changed);
    Ok(Json(
        json!({"id": id, "message": "Service account updated", "name": changed.name, "serviceaccount": account}),
    ))
}

/// `DELETE /api/serviceaccounts/{id}`
pub(super) async fn remove(State(api): Api, Extension(asker): Asker, Path(id): Path<u64>) -> Answer {
    let now = api.now_ms();
    let account = api.blocking(move |api| api.accounts.remove_user(id, true, now)).await?;
    tracing::info!(audit = "service account deleted", login = account.login, by = asker.login);
    Ok(Json(json!({"message": "Service account deleted"})))
}

/// `GET /api/serviceaccounts/{id}/tokens`
pub(super) async fn tokens(State(api): Api, Path(id): Path<u64>) -> Answer {
    account(&api, id)?;
    let now = api.now_ms();
    Ok(Json(api.accounts.tokens(id).iter().map(|t| shown_token(t, now)).collect::<Vec<_>>().into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewToken {
    name: String,
    seconds_to_live: Option<i64>,
}

impl NewToken {
    fn expires(&self, now_ms: i64) -> Answer<Option<i64>> {
        match self.seconds_to_live.unwrap_or(0) {
            0 => Ok(None),
            s @ 1.. => Ok(Some(now_ms.saturating_add(s.saturating_mul(1000)))),
            _ => Err(Refusal::bad("secondsToLive must not be below zero")),
        }
    }
}

/// `POST /api/serviceaccounts/{id}/tokens`
pub(super) async fn add_token(
    State(api): Api,
    Extension(asker): Asker,
    Path(id): Path<u64>,
    Body(form): Body<NewToken>,
) -> Answer {
    let owner = account(&api, id)?;
    // Or an administrator of less could borrow the rights of one with more.
    role_of(Some(owner.role.name()), &asker)?;
    let now = api.now_ms();
    let expires = form.expires(now)?;
    let (token, text) = api.blocking(move |api| api.accounts.add_token(id, &form.name, expires, now)).await?;
    tracing::info!(audit = "token created", account = owner.login, token = token.name, by = asker.login);
    Ok(Json(json!({"id": token.id, "name": token.name, "key": text.expose()})))
}

/// `DELETE /api/serviceaccounts/{id}/tokens/{token}`
pub(super) async fn remove_token(
    State(api): Api,
    Extension(asker): Asker,
    Path((id, token)): Path<(u64, u64)>,
) -> Answer {
    let now = api.now_ms();
    api.blocking(move |api| api.accounts.remove_token(id, token, now)).await?;
    tracing::info!(audit = "token deleted", account = id, token, by = asker.login);
    Ok(Json(json!({"message": "Service account token deleted"})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewKey {
    name: String,
    role: Option<String>,
    seconds_to_live: Option<i64>,
}

/// `POST /api/auth/keys`: a service account with one token.
pub(super) async fn add_key(State(api): Api, Extension(asker): Asker, Body(form): Body<NewKey>) -> Answer {
    let role = role_of(form.role.as_deref(), &asker)?;
    let owner = make(&api, form.name.clone(), role).await?;
    let (id, now) = (owner.id, api.now_ms());
    let form = NewToken { name: form.name, seconds_to_live: form.seconds_to_live };
    let expires = form.expires(now)?;
    let (token, text) = api.blocking(move |api| api.accounts.add_token(id, &form.name, expires, now)).await?;
    tracing::info!(audit = "key created", account = owner.login, by = asker.login);
    Ok(Json(json!({"id": token.id, "name": token.name, "key": text.expose()})))
}

/// `GET /api/auth/keys`
pub(super) async fn keys(State(api): Api) -> Json<Value> {
    let of = |account: User| {
        let tokens = api.accounts.tokens(account.id).into_iter();
        let role = account.role.name();
        tokens.map(
            move |t| json!({"id": t.id, "name": t.name, "role": role, "expiration": t.expires_ms.map(iso)}),
        )
    };
    Json(api.accounts.users(true).into_iter().flat_map(of).collect::<Vec<_>>().into())
}

/// `DELETE /api/auth/keys/{id}`
pub(super) async fn remove_key(State(api): Api, Extension(asker): Asker, Path(id): Path<u64>) -> Answer {
    let accounts = api.accounts.users(true);
    let owner = accounts.iter().find(|a| api.accounts.tokens(a.id).iter().any(|t| t.id == id));
    let owner = owner.ok_or_else(|| Refusal::not_found("API key not found"))?.id;
    let now = api.now_ms();
    api.blocking(move |api| api.accounts.remove_token(owner, id, now)).await?;
    tracing::info!(audit = "key deleted", key = id, by = asker.login);
    Ok(Json(json!({"message": "API key deleted"})))
}
