//! Whose logs a request is about.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use reba_model::Tenant;

use super::{LokiApi, refusal::Refusal};

/// The header that names the tenant, or several with `|` between them.
const HEADER: &str = "X-Scope-OrgID";

/// Whom a query asks about: one tenant, or several joined ones where that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks(pub Tenant);

/// Whose a write or a change is: always one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owns(pub Tenant);

impl FromRequestParts<Arc<LokiApi>> for Asks {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<LokiApi>) -> Result<Self, Refusal> {
        let config = api.config.load();
        if !config.auth_enabled {
            return Ok(Asks(Tenant::single()));
        }
        let name = name(&parts.headers)?;
        if !name.contains('|') || !config.querier.multi_tenant_queries_enabled {
            return one(name).map(Asks);
        }
        let tenants = name.split('|').map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(Asks(Tenant::joined(tenants)))
    }
}

impl FromRequestParts<Arc<LokiApi>> for Owns {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<LokiApi>) -> Result<Self, Refusal> {
        owner(&parts.headers, api.config.load().auth_enabled).map(Owns)
    }
}

/// Whose a write with these headers is.
pub(crate) fn owner(headers: &HeaderMap, auth_enabled: bool) -> Result<Tenant, Refusal> {
    if !auth_enabled {
        return Ok(Tenant::single());
    }
    let name = name(headers)?;
    if name.contains('|') {
        return Err(Refusal::bad("multiple org IDs present"));
    }
    one(name)
}

fn name(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(HEADER).map_or(Ok(""), |v| v.to_str());
    match value {
        Ok("") => Err(Refusal::new(StatusCode::UNAUTHORIZED, "no org id")),
        Ok(name) => Ok(name),
        Err(_) => Err(Refusal::bad("tenant ID contains characters that are not ASCII")),
    }
}

fn one(name: &str) -> Result<Tenant, Refusal> {
    Tenant::new(name).map_err(|e| Refusal::bad(e.to_string()))
}
