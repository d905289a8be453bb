//! `/api/v2/alerts`, `/api/v2/alerts/groups`, `/api/v2/receivers`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use serde_json::{Value, json};

use super::{
    AlertmanagerApi, body,
    json::{write_alerts, write_group},
    json_answer, params,
    refusal::{Answer, Refusal},
};
use crate::{json::write_list, prometheus::params::Params};

/// GET `/alerts`
pub async fn list(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    let filter = params::alerts(&Params::parse(request.uri().query().unwrap_or("")))?;
    api.answer(move |api| {
        let views = api.look(|machine, now_ms| machine.alerts(&filter, now_ms));
        let mut out = Vec::with_capacity(views.len() * 512);
        write_alerts(&mut out, &views);
        Ok(out)
    })
    .await
}

/// GET `/alerts/groups`
pub async fn groups(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    let filter = params::alerts(&Params::parse(request.uri().query().unwrap_or("")))?;
    api.answer(move |api| {
        let groups = api.look(|machine, now_ms| machine.groups(&filter, now_ms));
        let mut out = Vec::with_capacity(groups.len() * 1024);
        write_list(&mut out, &groups, |out, group| {
            write_group(out, group);
            true
        });
        Ok(out)
    })
    .await
}

/// POST `/alerts`. The valid ones are taken even if others are not.
pub async fn post(State(api): State<Arc<AlertmanagerApi>>, request: Request) -> Answer {
    body::check_media_type(request.headers())?;
    api.take(request.into_body(), |api, bytes| {
        let alerts = body::alerts(bytes)?;
        let report = api.alerting.post(&alerts);
        if report.refused.is_empty() {
            return Ok(StatusCode::OK.into_response());
        }
        let reasons: Vec<String> = report.refused.iter().map(|(_, error)| error.to_string()).collect();
        Err(Refusal::bad(shorten(&reasons)))
    })
    .await
}

/// Joins reasons, the first of them in full: a hundred thousand would make an answer that nobody reads.
fn shorten(reasons: &[String]) -> String {
    const SHOWN: usize = 100;
    let mut text = reasons.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if reasons.len() > SHOWN {
        text.push_str(&format!("; and {} more", reasons.len() - SHOWN));
    }
    text
}

/// GET `/receivers`
pub async fn receivers(State(api): State<Arc<AlertmanagerApi>>) -> Answer {
    let current = api.current.load();
    let names: Value = current.receivers.iter().map(|r| json!({ "name": r.name })).collect();
    Ok(json_answer(Body::from(format!("{names}\n"))))
}
