//! `/loki/api/v1/query`, `query_range`, `format_query`, and the list of running queries.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use reba_query::logs::{InstantLogQuery, LogOutput, RangeLogQuery};

use super::{
    LokiApi, json,
    params::{Form, wants_categories},
    refusal::{Answer, Refusal, blocking},
    tenant::Asks,
};
use crate::{
    compress::{self, Encoding},
    json::write_string,
    prometheus::envelope::json_response,
};

/// `/loki/api/v1/query`
pub async fn instant(
    State(api): State<Arc<LokiApi>>,
    Asks(tenant): Asks,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let now = api.now_ns();
    let query = InstantLogQuery {
        tenant,
        query: form.value("query").to_owned(),
        ns: form.time("time", now)?,
        limit: form.limit()?,
        direction: form.direction()?,
        timeout: None,
    };
    let told = Told::of(&query.query, &headers);
    let output = told.of_what_is_slow(api.engine.instant(query, now)).await?;
    answer(&api, output, &headers).await
}

/// `/loki/api/v1/query_range`
pub async fn range(
    State(api): State<Arc<LokiApi>>,
    Asks(tenant): Asks,
    headers: HeaderMap,
    form: Form,
) -> Answer {
    let now = api.now_ns();
    let query = range_query(&form, tenant, now)?;
    let told = Told::of(&query.query, &headers);
    let output = told.of_what_is_slow(api.engine.range(query, now)).await?;
    answer(&api, output, &headers).await
}

/// Reads the parameters of a query over a range.
pub fn range_query(form: &Form, tenant: reba_model::Tenant, now_ns: i64) -> Result<RangeLogQuery, Refusal> {
    let range = form.range(now_ns)?;
    Ok(RangeLogQuery {
        tenant,
        query: form.value("query").to_owned(),
        start: range.start,
        end: range.end,
        step: form.step(range)?,
        interval: form.interval()?,
        limit: form.limit()?,
        direction: form.direction()?,
        timeout: None,
    })
}

/// What the log tells of a query that takes long: the query, and what its sender says of it in `X-Query-Tags`.
struct Told {
    query: String,
    tags: String,
}

/// A query that takes longer is told of in the log.
const SLOW: Duration = Duration::from_secs(5);

/// Characters of a query, and of its tags, that the log shows.
const TOLD_CHARS: usize = 500;

impl Told {
    fn of(query: &str, headers: &HeaderMap) -> Self {
        let tags = headers.get("X-Query-Tags").map(|v| String::from_utf8_lossy(v.as_bytes()));
        // As upstream has it: what is no part of `Source=a,Kind=b` is not repeated.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-=,._/: ".contains(c) { c } else { '_' };
        Told {
            query: query.chars().take(TOLD_CHARS).collect(),
            tags: tags.unwrap_or_default().chars().take(TOLD_CHARS).map(plain).collect(),
        }
    }

    async fn of_what_is_slow<T, E>(self, answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let answer = answer.await;
        let seconds = began.elapsed().as_secs_f64();
        if began.elapsed() >= SLOW {
            tracing::info!(query = ?self.query, tags = ?self.tags, seconds, ok = answer.is_ok(), "a slow query of logs");
        } else {
            tracing::debug!(query = ?self.query, tags = ?self.tags, seconds, ok = answer.is_ok(), "a query of logs");
        }
        answer
    }
}

/// Answers larger than this are written on a thread that may block: it takes too long for one that serves sockets.
const BYTES_AT_ONCE: usize = 256 << 10;

async fn answer(api: &LokiApi, output: LogOutput, headers: &HeaderMap) -> Answer {
    let categorized = wants_categories(headers);
    let size = json::size(&output.data) + 4096;
    let body = move || {
        let mut body = Vec::with_capacity(size);
        json::write_output(&mut body, &output, categorized);
        body
    };
    large_or_small(api, size, Encoding::accepted(headers), body).await
}

/// Writes an answer of JSON of about `size` bytes: a large one elsewhere, compressed there, and only once there is room for it.
pub async fn large_or_small(
    api: &LokiApi,
    size: usize,
    encoding: Encoding,
    body: impl FnOnce() -> Vec<u8> + Send + 'static,
) -> Answer {
    if size <= BYTES_AT_ONCE {
        return Ok(json_response(StatusCode::OK, body()));
    }
    let Some(room) = api.answers.room(size).await else {
        let text = "answers that nobody reads take all the memory there is for answers";
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text));
    };
    let write = move || {
        let mut headers = HeaderMap::new();
        let body = compress::now(body(), &mut headers, encoding);
        let mut response = json_response(StatusCode::OK, body);
        response.headers_mut().extend(headers);
        Ok(response)
    };
    let response: Response = blocking(write).await?;
    Ok(response.map(|body| room.keep_until_sent(body)))
}

/// `/loki/api/v1/format_query`
pub async fn format(form: Form) -> Response {
    match reba_logql::syntax::parse(form.value("query")) {
        Ok(expr) => {
            let text = expr.pretty();
            json_response(StatusCode::OK, json::success(|out| write_string(out, &text)))
        }
        Err(e) => {
            let mut body = br#"{"status":"invalid-query","error":"#.to_vec();
            write_string(&mut body, &e.to_string());
            body.push(b'}');
            json_response(StatusCode::BAD_REQUEST, body)
        }
    }
}

/// `/loki/api/v1/status/active_queries` (ours): what runs or waits. It is of all tenants, hence not there where there are some.
pub async fn active(State(api): State<Arc<LokiApi>>) -> Answer {
    only_without_tenants(&api)?;
    let body = json::success(|out| {
        crate::json::write_list(out, &api.engine.active_queries(), |out, q| {
            let _ = write!(out, r#"{{"id":{},"query":"#, q.id);
            write_string(out, &q.query);
            let _ = write!(out, r#","ageSeconds":{:.3},"running":{}}}"#, q.age.as_secs_f64(), q.running);
            true
        });
    });
    Ok(json_response(StatusCode::OK, body))
}

/// POST `/loki/api/v1/status/active_queries/{id}/kill` (ours).
pub async fn kill(State(api): State<Arc<LokiApi>>, Path(id): Path<u64>) -> Answer {
    only_without_tenants(&api)?;
    if api.engine.kill(id) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, format!("no active query has the number {id}")))
    }
}

fn only_without_tenants(api: &LokiApi) -> Result<(), Refusal> {
    if api.config.load().auth_enabled {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "404 page not found"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn tags_are_told_bounded_and_without_what_could_be_taken_for_more_of_the_log() {
        let mut headers = HeaderMap::new();
        headers.insert("X-Query-Tags", HeaderValue::from_static("Source=logvolhist,Panel=\"x\" y=1\\"));
        let told = Told::of(&"q".repeat(9000), &headers);
        assert_eq!(told.tags, "Source=logvolhist,Panel=_x_ y=1_");
        assert_eq!(told.query.len(), TOLD_CHARS);
        headers.insert("X-Query-Tags", HeaderValue::from_bytes(&[b'a'; 9000]).unwrap());
        assert_eq!(Told::of("", &headers).tags.len(), TOLD_CHARS);
        assert_eq!(Told::of("", &HeaderMap::new()).tags, "");
    }
}
