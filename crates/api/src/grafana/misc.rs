//! Small answers: health, settings for front ends, metrics, and what scripts probe for.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

use super::{
    COMPATIBLE_VERSION, GrafanaApi,
    login::Asker,
    provisioning::Fault,
    refusal::{Answer, Refusal},
};
use crate::{build, exposition::Page};

type Api = State<Arc<GrafanaApi>>;

/// `GET /api/health`
pub(super) async fn health() -> Json<Value> {
    Json(json!({"commit": build::REVISION, "database": "ok", "version": COMPATIBLE_VERSION}))
}

/// `GET /healthz`
pub(super) async fn healthz() -> &'static str {
    "Ok"
}

/// `GET /robots.txt`
pub(super) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// `GET /api/frontend/settings`
pub(super) async fn settings(State(api): Api, Extension(asker): Asker) -> Json<Value> {
    let sources = api.sources.all();
    let one = |s: &super::sources::Source| {
        json!({
            "id": s.id(), "uid": s.uid, "type": s.r#type, "name": s.name, "isDefault": s.is_default, "access": "proxy",
            "url": format!("{}api/datasources/proxy/uid/{}", api.settings.base(), s.uid), "jsonData": s.json_data,
            "readOnly": s.read_only,
        })
    };
    let all: Map<String, Value> = sources.iter().map(|s| (s.name.clone(), one(s))).collect();
    let default = sources.iter().find(|s| s.is_default).map_or("", |s| s.name.as_str());
    Json(json!({
        "appUrl": api.settings.root_url.clone().unwrap_or_else(|| api.settings.base()),
        "appSubUrl": api.settings.base().trim_end_matches('/'),
        "buildInfo": {"version": COMPATIBLE_VERSION, "commit": build::REVISION, "edition": "Reba", "env": "production", "reba": build::VERSION},
        "datasources": all, "defaultDatasource": default, "allowOrgCreate": false, "authProxyEnabled": false,
        "disableLoginForm": !api.settings.login_form, "disableUserSignUp": true, "viewersCanEdit": api.settings.viewers_can_edit,
        "minRefreshInterval": api.settings.min_refresh_interval, "featureToggles": {},
        "bootData": {"orgRole": asker.role.name(), "theme": api.settings.default_theme},
    }))
}

/// `GET /api/org` and so on have their own files; this is `GET /api/access-control/user/permissions`, `/api/plugins`, `/api/teams/search`.
pub(super) async fn empty_list() -> Json<Value> {
    Json(json!([]))
}

/// `GET /api/teams/search`
pub(super) async fn no_teams() -> Json<Value> {
    Json(json!({"totalCount": 0, "teams": [], "page": 1, "perPage": 1000}))
}

/// `GET /api/admin/stats`
pub(super) async fn stats(State(api): Api) -> Json<Value> {
    let users = api.accounts.users(false);
    let boards = api.boards.all();
    let admins = users.iter().filter(|u| u.server_admin).count();
    Json(json!({
        "orgs": 1, "users": users.len(), "admins": admins, "dashboards": boards.len(), "datasources": api.sources.all().len(),
        "provisionedDashboards": boards.iter().filter(|b| b.file.is_some()).count(),
    }))
}

/// `GET /api/admin/settings`: what matters, without secrets.
pub(super) async fn admin_settings(State(api): Api) -> Json<Value> {
    let s = &api.settings;
    Json(json!({
        "server": {"root_url": s.root_url, "serve_from_sub_path": s.serve_from_sub_path.to_string()},
        "security": {"admin_user": s.admin_user, "admin_password": "*********", "cookie_secure": s.cookie_secure.to_string(), "allow_embedding": s.allow_embedding.to_string()},
        "auth": {"login_cookie_name": s.cookie_name, "disable_login_form": (!s.login_form).to_string()},
        "auth.basic": {"enabled": s.basic_auth.to_string()}, "auth.anonymous": {"enabled": "false"},
        "users": {"allow_sign_up": "false", "viewers_can_edit": s.viewers_can_edit.to_string(), "default_theme": s.default_theme},
        "dashboards": {"min_refresh_interval": s.min_refresh_interval},
    }))
}

/// `GET /api/reba/provisioning`: what could not be loaded from files, by file and line.
pub(super) async fn provisioning(State(api): Api) -> Json<Value> {
    let sources = api.sources.provided();
    let boards = api.boards.files();
    let faults: Vec<Fault> = sources.faults.iter().chain(&boards.faults).cloned().collect();
    Json(json!({"faults": faults, "dashboards": boards.boards.len(), "datasources": sources.sources.len()}))
}

/// `POST /api/admin/provisioning/{what}/reload`
pub(super) async fn reload(State(api): Api, uri: Uri) -> Answer {
    let what = if uri.path().contains("/dashboards/") { "Dashboards" } else { "Datasources" };
    api.blocking(|api| {
        api.reload_sources();
        api.look_at_dashboards();
        Ok(())
    })
    .await?;
    Ok(Json(json!({"message": format!("{what} config reloaded")})))
}

/// `GET /metrics`
pub(super) async fn metrics(State(api): Api) -> Answer<Response> {
    if !api.settings.metrics {
        return Err(Refusal::not_found("Not found"));
    }
    let mut page = Page::new();
    let revision: (&str, &dyn std::fmt::Display) = ("revision", &build::REVISION);
    page.gauge("grafana_build_info", "A metric with a constant '1' value.")
        .with(&[("version", &COMPATIBLE_VERSION), ("edition", &"reba"), revision], 1.0);
    let boards = api.boards.all();
    page.gauge("grafana_stat_totals_dashboard", "Total amount of dashboards.").value(boards.len() as f64);
    let users = api.accounts.users(false).len();
    page.gauge("grafana_stat_total_users", "Total amount of users.").value(users as f64);
    let faults = api.boards.files().faults.len() + api.sources.provided().faults.len();
    page.gauge("reba_provisioning_faults", "Files and entries of provisioning that could not be loaded.")
        .value(faults as f64);
    api.http.write_as("grafana_http_request_duration_seconds", &mut page);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, page.finish()).into_response())
}

/// What is not here, by method and path.
pub(super) fn not_found() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "Not found").into_response()
}
