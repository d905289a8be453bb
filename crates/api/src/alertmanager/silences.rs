//! `/api/v2/silences`, `/api/v2/silence/{id}`, and our schedules of silences at `/api/v2/reba/recurring`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use serde_json::{Value, json};

use super::{
    AlertmanagerApi, body,
    json::{recurring, write_silence},
    json_answer, params,
    refusal::{Answer, Refusal},
};
use crate::{json::write_list, prometheus::params::Params};

/// Bytes of a silence as it is posted; alerting has a smaller limit for what it keeps.
const BODY_LIMIT: usize = 1 << 20;

/// GET `/silences`
pub async fn list(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    let filter = params::matchers(&Params::parse(request.uri().query().unwrap_or("")))?;
    api.answer(move |api| {
        let (silences, now_ms) = api.look(|machine, now_ms| (machine.silence_list(&filter, now_ms), now_ms));
        let mut out = Vec::with_capacity(silences.len() * 512);
        write_list(&mut out, &silences, |out, silence| {
            write_silence(out, silence, now_ms);
            true
        });
        Ok(out)
    })
    .await
}

/// POST `/silences`
pub async fn post(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    body::check_media_type(request.headers())?;
    let bytes = api.read(request.into_body(), BODY_LIMIT).await?;
    let id = api.alerting.set_silence(&body::silence(&bytes)?).await?;
    Ok(json_answer(Body::from(format!("{}\n", json!({ "silenceID": id })))))
}

/// GET `/silence/{id}`
pub async fn get(State(api): State<Arc<AlertmanagerApi>>, Path(id): Path<String>) -> Answer {
    let id = uuid(id)?;
    let (silence, now_ms) = api.look(|machine, now_ms| (machine.silence(&id), now_ms));
    let silence = silence.ok_or_else(Refusal::absent)?;
    let mut out = Vec::new();
    write_silence(&mut out, &silence, now_ms);
    out.push(b'\n');
    Ok(json_answer(Body::from(out)))
}

/// DELETE `/silence/{id}`: it ends now.
pub async fn delete(State(api): State<Arc<AlertmanagerApi>>, Path(id): Path<String>) -> Answer {
    match api.alerting.expire_silence(&uuid(id)?).await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(reba_alerting::SilenceError::NotFound) => Err(Refusal::absent()),
        Err(error) => Err(error.into()),
    }
}

/// GET `/reba/recurring`
pub async fn list_recurring(State(api): State<Arc<AlertmanagerApi>>) -> Answer {
    let list: Value = api.look(|machine, now_ms| {
        machine.recurring_list().iter().map(|view| recurring(&view.recurring, now_ms)).collect()
    });
    Ok(json_answer(Body::from(format!("{list}\n"))))
}

/// POST `/reba/recurring`
pub async fn post_recurring(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    body::check_media_type(request.headers())?;
    let bytes = api.read(request.into_body(), BODY_LIMIT).await?;
    let id = api.alerting.set_recurring(&body::recurring(&bytes)?).await?;
    Ok(json_answer(Body::from(format!("{}\n", json!({ "id": id })))))
}

/// DELETE `/reba/recurring/{id}`: it makes no more silences; those that it made stay.
pub async fn delete_recurring(State(api): State<Arc<AlertmanagerApi>>, Path(id): Path<String>) -> Answer {
    match api.alerting.delete_recurring(&uuid(id)?).await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(reba_alerting::SilenceError::NotFound) => Err(Refusal::absent()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses what is no UUID, as upstream does.
fn uuid(id: String) -> Result<String, Refusal> {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let hex = id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if groups == [8, 4, 4, 4, 12] && hex {
        return Ok(id.to_ascii_lowercase());
    }
    Err(Refusal::format("silenceID", "path", "uuid", &id))
}
