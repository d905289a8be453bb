//! All routes, by the role that they need.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{self, Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{MethodRouter, any, delete, get, patch, post, put},
};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use super::{
    GrafanaApi,
    accounts::model::OrgRole,
    annotations as notes,
    boards::{folder_routes as folders, import, routes as boards, search},
    body::MAX_BODY,
    login, misc, org, query, security, service_accounts as accounts,
    sources::{proxy, routes as sources},
    users,
};

type Routes = Router<Arc<GrafanaApi>>;

/// Answers smaller than this are sent as they are.
const COMPRESS_ABOVE: u16 = 1024;

/// The routes.
pub fn router(api: Arc<GrafanaApi>) -> Router {
    let compressed = Router::new()
        .merge(for_everybody())
        .merge(at_least(OrgRole::Viewer, for_viewers()))
        .merge(at_least(OrgRole::Editor, for_editors()))
        .merge(at_least(OrgRole::Admin, for_admins()))
        .merge(for_server_admins().route_layer(from_fn(login::require_server_admin)))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE.into())));
    Router::new()
        .merge(compressed)
        // What comes from a data source is compressed there.
        .merge(at_least(OrgRole::Viewer, passed_on()))
        .fallback(app)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&api), login::identify))
        .route_layer(from_fn_with_state(Arc::clone(&api), count))
        .layer(from_fn_with_state(Arc::clone(&api), security::around))
        .with_state(api)
}

fn at_least(role: OrgRole, routes: Routes) -> Routes {
    routes.route_layer(middleware::from_fn(move |request: Request, next: Next| {
        login::require(role, request, next)
    }))
}

fn for_everybody() -> Routes {
    Router::new()
        .route("/api/health", get(misc::health))
        .route("/healthz", get(misc::healthz))
        .route("/robots.txt", get(misc::robots))
        .route("/metrics", get(misc::metrics))
        .route("/login", post(login::log_in).get(page))
        .route("/logout", get(login::log_out).post(login::log_out))
}

fn for_viewers() -> Routes {
    let stars: MethodRouter<Arc<GrafanaApi>> = post(users::star).delete(users::star);
    let preferences =
        get(users::my_preferences).put(users::set_my_preferences).patch(users::set_my_preferences);
    Router::new()
        .route("/api/login/ping", get(login::ping))
        .route("/api/user", get(users::me).put(users::change_me))
        .route("/api/user/password", put(users::change_my_password))
        .route("/api/user/preferences", preferences)
        .route("/api/user/orgs", get(users::my_orgs))
        .route("/api/user/teams", get(misc::empty_list))
        .route("/api/user/stars/dashboard/uid/{uid}", stars)
        .route("/avatar/{hash}", get(users::picture))
        .route("/api/org", get(org::current))
        .route("/api/org/", get(org::current))
        .route("/api/org/preferences", get(org::get_preferences))
        .route("/api/org/quotas", get(org::quotas))
        .route("/api/frontend/settings", get(misc::settings))
        .route("/api/plugins", get(misc::empty_list))
        .route("/api/teams/search", get(misc::no_teams))
        .route("/api/search", get(search::search))
        .route("/api/search/", get(search::search))
        .route("/api/dashboards/home", get(boards::home))
        .route("/api/dashboards/tags", get(boards::tags))
        .route("/api/dashboards/uid/{uid}", get(boards::get))
        .route("/api/dashboards/uid/{uid}/permissions", get(boards::permissions))
        .route("/api/folders", get(folders::list))
        .route("/api/folders/{uid}", get(folders::get))
        .route("/api/folders/id/{id}", get(folders::by_id))
        .route("/api/folders/{uid}/counts", get(folders::counts))
        .route("/api/folders/{uid}/permissions", get(boards::permissions))
        .route("/api/datasources", get(sources::list))
        .route("/api/datasources/uid/{uid}", get(sources::get_by_uid))
        .route("/api/datasources/name/{name}", get(sources::get_by_name))
        .route("/api/datasources/id/{name}", get(sources::id_of))
        .route("/api/datasources/{id}", get(sources::get_by_id))
        .route("/api/datasources/uid/{uid}/health", get(sources::health))
        .route("/api/reba/provisioning", get(misc::provisioning))
        .route("/api/annotations", get(notes::list))
        .route("/api/annotations/{id}", get(notes::get))
        .route("/api/annotations/tags", get(notes::tags))
        .route("/api/ds/query", post(query::query))
}

/// Requests that go on to data sources; these have rules of their own.
fn passed_on() -> Routes {
    Router::new()
        .route("/api/datasources/proxy/uid/{uid}", any(proxy::by_uid))
        .route("/api/datasources/proxy/uid/{uid}/", any(proxy::by_uid))
        .route("/api/datasources/proxy/uid/{uid}/{*path}", any(proxy::by_uid))
        .route("/api/datasources/proxy/{id}", any(proxy::by_id))
        .route("/api/datasources/proxy/{id}/", any(proxy::by_id))
        .route("/api/datasources/proxy/{id}/{*path}", any(proxy::by_id))
        .route("/api/datasources/uid/{uid}/resources/{*path}", any(proxy::resources))
        .route("/api/prometheus/{uid}/{*path}", get(proxy::rules))
        .route("/api/ruler/{uid}/{*path}", get(proxy::rules))
        .route("/api/alertmanager/{uid}/{*path}", any(proxy::alertmanager))
}

fn for_editors() -> Routes {
    Router::new()
        .route("/api/dashboards/db", post(boards::save))
        .route("/api/dashboards/db/", post(boards::save))
        .route("/api/dashboards/import", post(import::import))
        .route("/api/dashboards/calculate-diff", post(boards::calculate_diff))
        .route("/api/dashboards/uid/{uid}", delete(boards::remove))
        .route("/api/dashboards/uid/{uid}/versions", get(boards::versions))
        .route("/api/dashboards/uid/{uid}/versions/{version}", get(boards::version))
        .route("/api/dashboards/uid/{uid}/restore", post(boards::restore))
        .route("/api/dashboards/id/{id}/versions", get(boards::versions_by_id))
        .route("/api/dashboards/id/{id}/versions/{version}", get(boards::version_by_id))
        .route("/api/dashboards/id/{id}/restore", post(boards::restore_by_id))
        .route("/api/folders", post(folders::add))
        .route("/api/folders/{uid}", put(folders::change).delete(folders::remove))
        .route("/api/annotations", post(notes::add))
        .route("/api/annotations/graphite", post(notes::graphite))
        .route("/api/annotations/mass-delete", post(notes::mass_delete))
        .route("/api/annotations/{id}", put(notes::change).patch(notes::change).delete(notes::remove))
}

fn for_admins() -> Routes {
    Router::new()
        .route("/api/dashboards/uid/{uid}/permissions", post(boards::set_permissions))
        .route("/api/folders/{uid}/permissions", post(boards::set_permissions))
        .route("/api/datasources", post(sources::add))
        .route("/api/datasources/uid/{uid}", put(sources::change_by_uid).delete(sources::remove_by_uid))
        .route("/api/datasources/name/{name}", delete(sources::remove_by_name))
        .route("/api/datasources/{id}", put(sources::change_by_id).delete(sources::remove_by_id))
        .route("/api/org", put(org::rename))
        .route("/api/org/preferences", put(org::set_preferences).patch(org::set_preferences))
        .route("/api/org/users", get(org::members))
        .route("/api/org/users/lookup", get(org::names))
        .route("/api/org/users/{id}", patch(org::set_role))
        .route("/api/serviceaccounts", post(accounts::add))
        .route("/api/serviceaccounts/", post(accounts::add))
        .route("/api/serviceaccounts/search", get(accounts::search))
        .route(
            "/api/serviceaccounts/{id}",
            get(accounts::one).patch(accounts::change).delete(accounts::remove),
        )
        .route("/api/serviceaccounts/{id}/tokens", get(accounts::tokens).post(accounts::add_token))
        .route("/api/serviceaccounts/{id}/tokens/{token}", delete(accounts::remove_token))
        .route("/api/auth/keys", get(accounts::keys).post(accounts::add_key))
        .route("/api/auth/keys/{id}", delete(accounts::remove_key))
}

fn for_server_admins() -> Routes {
    Router::new()
        .route("/api/users", get(users::list))
        .route("/api/users/search", get(users::search))
        .route("/api/users/lookup", get(users::lookup))
        .route("/api/users/{id}", get(users::one).put(users::change_one))
        .route("/api/users/{id}/orgs", get(users::orgs_of))
        .route("/api/orgs", get(org::list).post(org::add))
        .route("/api/orgs/{id}", get(org::by_id))
        .route("/api/orgs/name/{name}", get(org::by_name))
        .route("/api/admin/users", post(users::add))
        .route("/api/admin/users/{id}", delete(users::remove))
        .route("/api/admin/users/{id}/password", put(users::set_password))
        .route("/api/admin/users/{id}/permissions", put(users::set_rights))
        .route("/api/admin/users/{id}/disable", post(users::disable))
        .route("/api/admin/users/{id}/enable", post(users::enable))
        .route("/api/admin/settings", get(misc::admin_settings))
        .route("/api/admin/stats", get(misc::stats))
        .route("/api/admin/provisioning/dashboards/reload", post(misc::reload))
        .route("/api/admin/provisioning/datasources/reload", post(misc::reload))
}

/// The page of the app, where another method has a route.
async fn page(State(api): State<Arc<GrafanaApi>>, request: Request) -> Response {
    app(State(api), request).await
}

/// Everything else is an address in the app, except where data is expected.
async fn app(State(api): State<Arc<GrafanaApi>>, request: Request) -> Response {
    let path = request.uri().path();
    if security::is_api(path) {
        return misc::not_found();
    }
    let (method, path, headers) = (request.method().clone(), path.to_owned(), request.headers().clone());
    api.app.serve(&method, &path, &headers).await
}

/// Counts requests by route; those that match none would make a series for every path that somebody tries.
async fn count(State(api): State<Arc<GrafanaApi>>, request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    let response = next.run(request).await;
    if let Some(route) = route {
        api.http.observe(method.as_str(), &route, response.status().as_u16(), started.elapsed());
    }
    response
}
