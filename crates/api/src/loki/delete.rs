//! `/loki/api/v1/delete`: what is deleted is gone from every answer when the request is answered.

use std::{io::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use reba_logql::{syntax::parse_log, units::go_duration};
use reba_model::Tenant;

use super::{
    LokiApi,
    deletions::{Cancelled, Deletion},
    json::write_seconds,
    params::Form,
    refusal::{Answer, Refusal, blocking},
    tenant::Owns,
};
use crate::{
    json::{write_list, write_string},
    prometheus::{envelope::json_response, params::parse_time},
};

const SECOND_NS: i64 = 1_000_000_000;
const MS_NS: i64 = 1_000_000;

/// POST and PUT
pub async fn add(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns, form: Form) -> Answer {
    check_allowed(&api, &tenant)?;
    let now = api.now_ns();
    let deletion = deletion(&form, tenant, now)?;
    // A client that leaves does not stop it: it is written down before it begins.
    blocking(move || api.deletions.run(deletion).map_err(|e| Refusal::internal(e.to_string()))).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// GET
pub async fn list(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns) -> Answer {
    check_allowed(&api, &tenant)?;
    let mut body = Vec::new();
    write_list(&mut body, api.deletions.list(&tenant), |out, d| {
        write_deletion(out, &d);
        true
    });
    Ok(json_response(StatusCode::OK, body))
}

/// DELETE
pub async fn cancel(State(api): State<Arc<LokiApi>>, Owns(tenant): Owns, form: Form) -> Answer {
    check_allowed(&api, &tenant)?;
    let id = form.value("request_id").to_owned();
    let work = move || api.deletions.cancel(&tenant, &id).map_err(|e| Refusal::internal(e.to_string()));
    match blocking(work).await? {
        Cancelled::Yes => Ok(StatusCode::NO_CONTENT.into_response()),
        Cancelled::Unknown => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "could not find delete request with given id"))
        }
        Cancelled::TooLate => {
            Err(Refusal::bad("deletion of request which is in process or already processed is not allowed"))
        }
    }
}

/// `/loki/api/v1/cache/generation_numbers`: there is no cache elsewhere that would have to forget.
pub async fn generations() -> Response {
    json_response(StatusCode::OK, b"{}".to_vec())
}

fn check_allowed(api: &LokiApi, tenant: &Tenant) -> Result<(), Refusal> {
    if api.limits.of(tenant).deletion_mode == "disabled" {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "deletion is not available for this tenant"));
    }
    Ok(())
}

/// Reads what is to be deleted.
fn deletion(form: &Form, tenant: Tenant, now_ns: i64) -> Result<Deletion, Refusal> {
    let query = form.get("query").ok_or_else(|| Refusal::bad("query not set"))?;
    parse_log(query).map_err(|e| Refusal::bad(e.to_string()))?;
    let start = form.get("start").ok_or_else(|| Refusal::bad("start time not set"))?;
    let time = |name: &str, text: &str| -> Result<i64, Refusal> {
        let ms = parse_time(text).map_err(|_| {
            Refusal::bad(format!("invalid {name} time: require unix seconds or RFC3339 format"))
        })?;
        Ok(ms.saturating_mul(MS_NS))
    };
    let start = time("start", start)?;
    let end = form.get("end").map_or(Ok(now_ns), |text| time("end", text))?;
    if end > now_ns {
        return Err(Refusal::bad("deletes in the future are not allowed"));
    }
    if start > end {
        return Err(Refusal::bad("start time can't be greater than end time"));
    }
    if end.saturating_sub(start) < SECOND_NS {
        return Err(Refusal::bad("difference between start time and end time must be at least one second"));
    }
    // Where upstream cuts a long range into pieces: here one piece is enough.
    if let Some(text) = form.get("max_interval") {
        go_duration(text)
            .map_err(|_| Refusal::bad("invalid max_interval: valid time units are 's', 'm', 'h'"))?;
    }
    Ok(Deletion::new(tenant, query, start, end, now_ns))
}

fn write_deletion(out: &mut Vec<u8>, d: &Deletion) {
    out.extend_from_slice(br#"{"request_id":"#);
    write_string(out, &d.id);
    for (name, ns) in [("start_time", d.start_ns), ("end_time", d.end_ns)] {
        let _ = write!(out, ",\"{name}\":");
        write_seconds(out, ns);
    }
    out.extend_from_slice(br#","query":"#);
    write_string(out, &d.query);
    let status = if d.done { "processed" } else { "received" };
    let _ = write!(out, r#","status":"{status}","created_at":"#);
    write_seconds(out, d.created_ns);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Deletion, Refusal> {
        deletion(&Form::of_query(query), Tenant::single(), 10_000 * SECOND_NS)
    }

    #[test]
    fn a_deletion_needs_a_query_and_a_start_in_the_past() {
        let d = read("query=%7Bapp%3D%22a%22%7D&start=100&end=200.5").unwrap();
        assert_eq!(
            (d.query.as_str(), d.start_ns, d.end_ns, d.done),
            (r#"{app="a"}"#, 100 * SECOND_NS, 200_500_000_000, false)
        );
        assert_eq!(
            read("query=%7Ba%3D%22b%22%7D&start=1970-01-01T00:00:01Z").unwrap().end_ns,
            10_000 * SECOND_NS
        );
        for (query, text) in [
            ("start=1", "query not set"),
            ("query=%7Ba%3D%22b%22%7D", "start time not set"),
            ("query=%7Ba%3D%22b%22%7D&start=x", "invalid start time: require unix seconds or RFC3339 format"),
            (
                "query=%7Ba%3D%22b%22%7D&start=1&end=x",
                "invalid end time: require unix seconds or RFC3339 format",
            ),
            ("query=%7Ba%3D%22b%22%7D&start=1&end=10001", "deletes in the future are not allowed"),
            ("query=%7Ba%3D%22b%22%7D&start=9&end=8", "start time can't be greater than end time"),
            (
                "query=%7Ba%3D%22b%22%7D&start=9&end=9.5",
                "difference between start time and end time must be at least one second",
            ),
            (
                "query=%7Ba%3D%22b%22%7D&start=1&max_interval=1d",
                "invalid max_interval: valid time units are 's', 'm', 'h'",
            ),
            ("query=rate(%7Ba%3D%22b%22%7D%5B1m%5D)&start=1", "parse error : only log selector is supported"),
        ] {
            assert_eq!(read(query).unwrap_err().text, text, "{query}");
        }
    }
}
