//! What stands around every request: headers that keep pages in their place, and the check where a request comes from.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{GrafanaApi, refusal::Refusal};

/// What pages of the app may load and do. Styles are made by the app's components while they run; nothing else comes from anywhere but
/// this server, and no text can become a script.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; object-src 'none'; base-uri 'self'; \
form-action 'self'";

/// Answers of the API are data. Should a browser show one as a page, it may do nothing.
const DATA: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Adds the headers; refuses what a page from elsewhere has made a browser send.
pub(super) async fn around(State(api): State<Arc<GrafanaApi>>, request: Request, next: Next) -> Response {
    let is_page = !is_api(request.uri().path());
    let mut response = match check_origin(&api, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    let mut policy = if is_page { PAGE.to_owned() } else { DATA.to_owned() };
    if is_page && !api.settings.allow_embedding {
        policy.push_str("; frame-ancestors 'none'");
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("deny"));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !is_page && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether data is answered there, and no page.
pub(super) fn is_api(path: &str) -> bool {
    ["/api/", "/avatar/", "/metrics", "/healthz", "/logout"].iter().any(|p| path.starts_with(p))
        || path == "/api"
}

/// Refuses what changes something, or opens a WebSocket, for a page of another origin. A cookie (and a password that the
/// browser remembers) goes along with such a request without anybody's knowledge. SameSite is not enough: for it all ports of a host are one site.
fn check_origin(api: &GrafanaApi, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let refuse = || Err(Refusal::forbidden("origin not allowed"));
    // A token is sent by a program that knows it, and never by itself.
    if bearer(headers).is_some() {
        return Ok(());
    }
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_read && !is_api(path) {
        return Ok(());
    }
    // Current browsers say it of every request. A person who follows a link or types an address is `none`.
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") | None => {}
        Some(_) => return refuse(),
    }
    match headers.get(header::ORIGIN) {
        Some(origin) if !is_ours(api, origin, headers) => refuse(),
        _ => Ok(()),
    }
}

/// Whether a page of this origin is one of ours: of the host that the request was sent to, or of `root_url`.
fn is_ours(api: &GrafanaApi, origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let Some((_, authority)) = origin.to_str().ok().and_then(|o| o.split_once("://")) else { return false };
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let root: Option<http::Uri> = api.settings.root_url.as_deref().and_then(|url| url.parse().ok());
    let root = root.as_ref().and_then(|uri| uri.authority()).map(http::uri::Authority::as_str);
    [host, root].into_iter().flatten().any(|ours| ours.eq_ignore_ascii_case(authority))
}

/// The token of `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// What follows a scheme in `Authorization`.
pub(super) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// The value of a cookie. Where a browser sends two of a name, the first counts.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(n, _)| *n == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_credentials_are_found_by_name() {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::COOKIE, HeaderValue::from_static("a=1; grafana_session=x=y; grafana_session=z"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  t "));
        assert_eq!((cookie(&headers, "grafana_session"), cookie(&headers, "b")), (Some("x=y"), None));
        assert_eq!((bearer(&headers), credentials(&headers, "basic")), (Some("t"), None));
    }
}
