//! `/api/datasources/proxy/…` and `…/resources/…`: requests passed on to data sources.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use hyper::upgrade::OnUpgrade;
use serde_json::json;

use super::{
    Source, policy,
    upstream::{Ask, AskError},
};
use crate::grafana::{
    GrafanaApi,
    accounts::model::Identity,
    login::Asker,
    refusal::{Answer, Refusal},
};

/// Headers that are passed on; no other is. Cookies and credentials are for us.
const REQUEST_HEADERS: [&str; 10] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-type",
    "content-length",
    "content-encoding",
    "x-dashboard-uid",
    "x-panel-id",
    "x-loki-response-encoding-flags",
    // Which span asks: the data source's own spans stand below it.
    "traceparent",
];

/// Further ones of a request for a WebSocket.
const UPGRADE_HEADERS: [&str; 6] = [
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
];

/// Headers of answers that come back; no other does: data sources set no cookies here and ask for no passwords.
const ANSWER_HEADERS: [&str; 8] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-disposition",
    "cache-control",
    "retry-after",
    "vary",
    "x-prometheus-api-version",
];

type Api = State<Arc<GrafanaApi>>;

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        Refusal::new(error.status, error.message)
    }
}

/// What stands behind the first `skip` segments of a raw path.
fn behind(path: &str, skip: usize) -> Option<(&str, &str)> {
    let mut rest = path.strip_prefix('/')?;
    for _ in 0..skip {
        rest = rest.split_once('/')?.1;
    }
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// `/api/datasources/proxy/uid/{uid}/{*path}`
pub(in crate::grafana) async fn by_uid(
    State(api): Api,
    Extension(asker): Asker,
    request: Request,
) -> Answer<Response> {
    let (uid, path) = split(&request, 4)?;
    let source = api.sources.resolve(&uid);
    pass(&api, &asker, source, path, request).await
}

/// `/api/datasources/proxy/{id}/{*path}`
pub(in crate::grafana) async fn by_id(
    State(api): Api,
    Extension(asker): Asker,
    request: Request,
) -> Answer<Response> {
    let (id, path) = split(&request, 3)?;
    let source = find_by_id(&api, &id);
    pass(&api, &asker, source, path, request).await
}

fn find_by_id(api: &GrafanaApi, id: &str) -> Option<Arc<Source>> {
    let id: u64 = id.parse().ok()?;
    api.sources.all().into_iter().find(|s| s.id() == id)
}

/// `/api/datasources/uid/{uid}/resources/{*path}`: the data source's own API.
pub(in crate::grafana) async fn resources(
    State(api): Api,
    Extension(asker): Asker,
    request: Request,
) -> Answer<Response> {
    let (uid, path) = split(&request, 3)?;
    let path = path.strip_prefix("resources/").unwrap_or_default().to_owned();
    let source = api.sources.resolve(&uid);
    let path = match source.as_deref().map(|s| s.r#type.as_str()) {
        // As Grafana's back end names them.
        Some("loki") if !path.starts_with("loki/") => format!("loki/api/v1/{path}"),
        _ => path,
    };
    pass(&api, &asker, source, path, request).await
}

/// `/api/prometheus/{uid}/api/v1/rules` and `…/alerts`: rules as Grafana's alert list asks for them. Grafana's own rules are none here.
pub(in crate::grafana) async fn rules(
    State(api): Api,
    Extension(asker): Asker,
    request: Request,
) -> Answer<Response> {
    let (uid, path) = split(&request, 2)?;
    if uid == "grafana" {
        let none = json!({"status": "success", "data": {"groups": [], "alerts": []}});
        return Ok(Json(none).into_response());
    }
    let source = api.sources.resolve(&uid);
    let path = match source.as_deref().map(|s| s.r#type.as_str()) {
        Some("loki") => format!("prometheus/{path}"),
        _ => path,
    };
    pass(&api, &asker, source, path, request).await
}

/// `/api/alertmanager/{uid}/api/v2/…`; `grafana` is the one that there is.
pub(in crate::grafana) async fn alertmanager(
    State(api): Api,
    Extension(asker): Asker,
    request: Request,
) -> Answer<Response> {
    let (uid, path) = split(&request, 2)?;
    let uid = if uid == "grafana" { "alertmanager" } else { uid.as_str() };
    let source = api.sources.resolve(uid).filter(|s| s.r#type == "alertmanager");
    pass(&api, &asker, source, path, request).await
}

/// Uid (or number) and raw path of a request, behind `skip` segments.
fn split(request: &Request, skip: usize) -> Answer<(String, String)> {
    let found = behind(request.uri().path(), skip);
    let (name, path) = found.ok_or_else(|| Refusal::not_found("data source not found"))?;
    let name = policy::segments(name).ok().and_then(|s| s.into_iter().next());
    Ok((name.ok_or_else(|| Refusal::not_found("data source not found"))?, path.to_owned()))
}

/// Passes a request on, if the asker may send it.
pub(in crate::grafana) async fn pass(
    api: &Arc<GrafanaApi>,
    asker: &Identity,
    source: Option<Arc<Source>>,
    path: String,
    mut request: Request,
) -> Answer<Response> {
    let source = source.ok_or_else(|| Refusal::not_found("data source not found"))?;
    let segments = policy::segments(&path).map_err(|_| Refusal::bad("this path is not passed on"))?;
    let role = policy::role_for(&source.r#type, request.method(), &segments);
    if !asker.may(role) {
        return Err(Refusal::forbidden(format!("Permission denied: this needs the role {}", role.name())));
    }
    if role > crate::grafana::accounts::model::OrgRole::Viewer {
        tracing::info!(audit = "sent through a data source", source = source.uid, method = %request.method(), path, by = asker.login);
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().filter(|_| is_websocket(request.headers()));
    let (parts, body) = request.into_parts();
    let mut headers = only(&parts.headers, &REQUEST_HEADERS);
    if upgrade.is_some() {
        headers.extend(only(&parts.headers, &UPGRADE_HEADERS));
    }
    let query = parts.uri.query().map(str::to_owned);
    let ask = Ask { method: parts.method, path, query, headers, body, upgrade };
    let upgrading = ask.upgrade.is_some();
    let answer = api.upstreams.ask(&source, ask).await?;
    Ok(sifted(answer, upgrading))
}

/// The answer without what is none of the client's business.
fn sifted(answer: Response<Body>, upgrading: bool) -> Response {
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(body);
    let upgraded = upgrading && parts.status == axum::http::StatusCode::SWITCHING_PROTOCOLS;
    // A redirect would lead the browser where the data source is; a challenge would make it ask for a password.
    let hidden = parts.status.is_redirection() || parts.status == axum::http::StatusCode::UNAUTHORIZED;
    *response.status_mut() = if hidden { axum::http::StatusCode::BAD_GATEWAY } else { parts.status };
    *response.headers_mut() = only(&parts.headers, &ANSWER_HEADERS);
    if upgraded {
        let more = [
            "connection",
            "upgrade",
            "sec-websocket-accept",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
        ];
        response.headers_mut().extend(only(&parts.headers, &more));
    }
    response
}

/// The headers of these names.
fn only(headers: &HeaderMap, names: &[&'static str]) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in names {
        let name = HeaderName::from_static(name);
        for value in headers.get_all(&name) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .map(HeaderValue::as_bytes)
        .is_some_and(|v| v.eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_behind_the_data_source_stays_as_it_was_written() {
        let path = "/api/datasources/proxy/uid/a%20b/api/v1/label/x%41/values";
        assert_eq!(behind(path, 4), Some(("a%20b", "api/v1/label/x%41/values")));
        assert_eq!(behind("/api/datasources/proxy/uid/x", 4), Some(("x", "")));
        assert_eq!(behind("/api", 4), None);
    }

    #[test]
    fn cookies_credentials_and_origins_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cookie", "a=b"),
            ("authorization", "Basic x"),
            ("origin", "http://e"),
            ("x-forwarded-for", "1.2.3.4"),
            ("accept", "*/*"),
            ("transfer-encoding", "chunked"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let left = only(&headers, &REQUEST_HEADERS);
        assert_eq!(left.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
