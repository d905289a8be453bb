//! Whose traces a request is about.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use reba_model::Tenant;

use super::TempoApi;
use crate::loki::Refusal;

/// The header that names the tenant.
const HEADER: &str = "X-Scope-OrgID";

/// Whose spans a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(pub Tenant);

impl FromRequestParts<Arc<TempoApi>> for Owner {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<TempoApi>) -> Result<Self, Refusal> {
        owner(&parts.headers, api.config.load().multitenancy_enabled).map(Owner)
    }
}

/// Whose a request with these headers is.
pub(crate) fn owner(headers: &HeaderMap, multitenancy: bool) -> Result<Tenant, Refusal> {
    if !multitenancy {
        return Ok(Tenant::single());
    }
    let value = headers.get(HEADER).map_or(Ok(""), |v| v.to_str());
    match value {
        Ok("") => Err(Refusal::new(StatusCode::UNAUTHORIZED, "no org id")),
        Ok(name) => Tenant::new(name).map_err(|e| Refusal::bad(e.to_string())),
        Err(_) => Err(Refusal::bad("tenant ID contains characters that are not ASCII")),
    }
}
