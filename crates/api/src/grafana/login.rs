//! Who asks: sessions, user and password, tokens; logging in and out; who may do what.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reba_http::Secret;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    GrafanaApi,
    accounts::{
        MAX_NAME,
        model::{Identity, OrgRole, User, Via},
        password,
    },
    body::Body,
    refusal::{Answer, Refusal},
    security::{bearer, cookie, credentials},
};
use crate::server::Peer;

/// Who asks, among a request's extensions.
pub(super) type Asker = Extension<Arc<Identity>>;

/// Passwords that were right a moment ago: a script that sends one with every request should not wait for argon2 each time.
const REMEMBERED: usize = 100;

/// Where a request comes from. A proxy on this host that `root_url` speaks of says for whom it asks, in the last place of
/// `X-Forwarded-For`; what stands before that, anybody may have written.
fn client(api: &GrafanaApi, peer: Option<&Peer>, headers: &HeaderMap) -> IpAddr {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    if !peer.is_loopback() || api.settings.root_url.is_none() {
        return peer;
    }
    let named = headers.get_all("x-forwarded-for").iter().next_back().and_then(|v| v.to_str().ok());
    named.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
}

/// Finds out who asks and puts it among the request's extensions. Wrong credentials are refused; none are for the route to judge.
pub(super) async fn identify(
    State(api): State<Arc<GrafanaApi>>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = client(&api, request.extensions().get(), request.headers());
    match who(&api, request.headers(), from).await {
        Ok(Some(identity)) => {
            let identity = Arc::new(identity);
            note_presence(&api, &identity);
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn who(api: &Arc<GrafanaApi>, headers: &HeaderMap, from: IpAddr) -> Answer<Option<Identity>> {
    let now = api.now_ms();
    let by_token = |text: &str| {
        let found = api.accounts.by_token(text, now);
        found.map(Some).ok_or_else(|| Refusal::unauthorized("Invalid API key"))
    };
    if let Some(token) = bearer(headers) {
        return by_token(token);
    }
    if let Some(encoded) = credentials(headers, "basic") {
        let (user, password) =
            basic(encoded).ok_or_else(|| Refusal::unauthorized("Invalid Basic Auth Header"))?;
        if user == "api_key" {
            return by_token(password.expose());
        }
        if !api.settings.basic_auth {
            return Err(Refusal::unauthorized("basic authentication is switched off"));
        }
        let user = check(api, user, password, from, "basic").await?;
        return Ok(Some(Identity::of(&user, Via::Basic)));
    }
    let session = cookie(headers, &api.settings.cookie_name);
    Ok(session.and_then(|token| api.accounts.by_session(token, now)))
}

fn basic(encoded: &str) -> Option<(String, Secret)> {
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// Compares a password: not too often, not too many at once, and remembering those that were right.
async fn check(
    api: &Arc<GrafanaApi>,
    user: String,
    password: Secret,
    from: IpAddr,
    how: &'static str,
) -> Answer<User> {
    let wrong =
        || Refusal::unauthorized("Invalid username or password").with("messageId", "password-auth.failed");
    // Nobody has such a name or password; and attempts are counted by name, which strangers must not fill the memory with.
    if user.len() > MAX_NAME || password.expose().len() > password::LONGEST {
        return Err(wrong());
    }
    let known = api.accounts.user_named(&user).filter(|u| !u.disabled);
    let memory = known.as_ref().map(|u| api.memory_key(&[&u.login, &u.password, password.expose()]));
    if let (Some(user), Some(key)) = (&known, &memory)
        && api.right.lock().contains(key)
    {
        return Ok(user.clone());
    }
    let now = api.now_ms();
    if let Err(seconds) = api.throttle.admit(&user, from, now) {
        // What was typed as a name may be a password: only names that exist are written down.
        let login = known.as_ref().map_or("(unknown)", |u| u.login.as_str());
        tracing::warn!(audit = "login refused: too many attempts", login, %from, how);
        return Err(Refusal::later("too many failed log-ins: try again later", seconds)
            .with("messageId", "password-auth.too-many-attempts"));
    }
    // It is never closed.
    let _permit = api.comparisons.acquire().await.map_err(|_| wrong())?;
    let name = user.clone();
    let checked = api.blocking(move |api| Ok(api.accounts.check_password(&name, &password))).await?;
    let Some(checked) = checked else {
        let login = known.as_ref().map_or("(unknown)", |u| u.login.as_str());
        tracing::warn!(audit = "login failed", login, %from, how);
        return Err(wrong());
    };
    api.throttle.succeeded(&user, from);
    if let Some(key) = memory {
        let mut right = api.right.lock();
        if right.len() >= REMEMBERED {
            right.clear();
        }
        right.insert(key);
    }
    Ok(checked)
}

impl GrafanaApi {
    /// A digest that only this process can make.
    fn memory_key(&self, parts: &[&str]) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(self.memory_salt);
        for part in parts {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        sha.finalize().into()
    }
}

/// Writes down now and then that somebody was here, without making anybody wait.
fn note_presence(api: &Arc<GrafanaApi>, identity: &Arc<Identity>) {
    let now = api.now_ms();
    if !api.accounts.is_stale(identity, now) {
        return;
    }
    let (api, identity) = (Arc::clone(api), Arc::clone(identity));
    tokio::task::spawn_blocking(move || {
        if let Err(error) = api.accounts.seen(&identity, now) {
            tracing::warn!(%error, "cannot write down that a user was here");
        }
    });
}

/// Lets those through who are logged in and have at least `role`.
pub(super) async fn require(role: OrgRole, request: Request, next: Next) -> Response {
    match request.extensions().get::<Arc<Identity>>() {
        None => Refusal::unauthorized("Unauthorized").with("messageId", "auth.unauthorized").into_response(),
        Some(asker) if asker.may(role) => next.run(request).await,
        Some(_) => Refusal::forbidden(format!("Permission denied: this needs the role {}", role.name()))
            .into_response(),
    }
}

/// Lets server administrators through.
pub(super) async fn require_server_admin(request: Request, next: Next) -> Response {
    match request.extensions().get::<Arc<Identity>>() {
        None => Refusal::unauthorized("Unauthorized").with("messageId", "auth.unauthorized").into_response(),
        Some(asker) if asker.server_admin => next.run(request).await,
        Some(_) => Refusal::forbidden("Permission denied: this is for server administrators").into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct LogIn {
    user: String,
    password: Secret,
}

/// `POST /login`
pub(super) async fn log_in(
    State(api): State<Arc<GrafanaApi>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Body(form): Body<LogIn>,
) -> Answer<Response> {
    if !api.settings.login_form {
        return Err(Refusal::unauthorized("logging in with a password is switched off"));
    }
    let from = client(&api, peer.as_ref().map(|Extension(peer)| peer), &headers);
    let user = check(&api, form.user, form.password, from, "form").await?;
    let (id, now) = (user.id, api.now_ms());
    let token = api.blocking(move |api| api.accounts.log_in(id, &from.to_string(), now)).await?;
    tracing::info!(audit = "logged in", login = user.login, %from);
    let seconds = api.settings.session_ms / 1000;
    let mut response =
        Json(json!({"message": "Logged in", "redirectUrl": api.settings.base()})).into_response();
    set_cookie(&api, &mut response, token.expose(), seconds);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `GET /logout`: ends the session; a person is led to the page, a program gets JSON.
pub(super) async fn log_out(
    State(api): State<Arc<GrafanaApi>>,
    asker: Option<Asker>,
    method: Method,
    headers: HeaderMap,
) -> Answer<Response> {
    if let Some(Extension(asker)) = asker
        && let Via::Session(key) = &asker.via
    {
        let (key, now) = (key.clone(), api.now_ms());
        api.blocking(move |api| Ok(api.accounts.log_out(&key, now)?)).await?;
        tracing::info!(audit = "logged out", login = asker.login);
    }
    let wants_page =
        headers.get(header::ACCEPT).is_some_and(|v| v.to_str().is_ok_and(|v| v.contains("text/html")));
    let mut response = if wants_page && method == Method::GET {
        Redirect::to(&format!("{}login", api.settings.base())).into_response()
    } else {
        Json(json!({"message": "Logged out"})).into_response()
    };
    set_cookie(&api, &mut response, "", 0);
    Ok(response)
}

/// `GET /api/login/ping`
pub(super) async fn ping() -> StatusCode {
    StatusCode::OK
}

fn set_cookie(api: &GrafanaApi, response: &mut Response, value: &str, seconds: i64) {
    let secure = if api.settings.needs_tls() || api.tls { "; Secure" } else { "" };
    let (name, path) = (&api.settings.cookie_name, api.settings.base());
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
