//! What writes: `/loki/api/v1/push`, `/api/prom/push`, `/otlp/v1/logs`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::IntoResponse as _,
};
use reba_ingest::loki::PushHead;

use super::{LokiApi, refusal::Answer, tenant::Owns};

/// The headers that say what a body is.
struct Head {
    content_type: Option<String>,
    content_encoding: Option<String>,
}

impl Head {
    fn of(headers: &HeaderMap) -> Self {
        let text =
            |name: HeaderName| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        Head { content_type: text(header::CONTENT_TYPE), content_encoding: text(header::CONTENT_ENCODING) }
    }

    fn as_push(&self) -> PushHead<'_> {
        PushHead {
            content_type: self.content_type.as_deref(),
            content_encoding: self.content_encoding.as_deref(),
        }
    }
}

/// `/loki/api/v1/push`
pub async fn push(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns, request: Request) -> Answer {
    let head = Head::of(request.headers());
    let receiver = Arc::clone(&api.receiver);
    let work = move |body: &[u8]| Ok(receiver.push(&tenant, head.as_push(), body)?);
    api.intake.take(request.into_body(), api.limits.max_push_bytes(), work).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `/api/prom/push`
pub async fn legacy(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns, request: Request) -> Answer {
    let head = Head::of(request.headers());
    let receiver = Arc::clone(&api.receiver);
    let work = move |body: &[u8]| Ok(receiver.push_legacy(&tenant, head.as_push(), body)?);
    api.intake.take(request.into_body(), api.limits.max_push_bytes(), work).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `/otlp/v1/logs`
pub async fn otlp(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns, request: Request) -> Answer {
    let head = Head::of(request.headers());
    let receiver = Arc::clone(&api.receiver);
    let work = move |body: &[u8]| Ok(receiver.push_otlp(&tenant, head.as_push(), body)?);
    let answer = api.intake.take(request.into_body(), api.limits.max_push_bytes(), work).await?;
    if answer.body.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(([(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response())
}
