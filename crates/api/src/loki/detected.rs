//! What logs say about themselves: patterns, detected labels and fields. (Of Loki 3, which Grafana's log exploration asks for.)

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use reba_model::Tenant;
use reba_query::logs::{DetectedField, DetectedFields, FieldsQuery, PatternsQuery};

use super::{
    LokiApi, json,
    params::{DEFAULT_LIMIT, Form},
    refusal::Answer,
    tenant::Asks,
};
use crate::{
    json::{write_list, write_string},
    prometheus::envelope::json_response,
};

/// Most fields, or values of a field, of an answer to a request that does not say.
const DEFAULT_FIELDS: usize = 1000;

/// `/loki/api/v1/patterns`
pub async fn patterns(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    let now = api.now_ns();
    let range = form.range(now)?;
    let query =
        PatternsQuery { tenant, query: form.value("query").to_owned(), range, step: form.step(range)? };
    let patterns = api.engine.patterns(query, now).await?;
    let body = json::success(|out| {
        write_list(out, &patterns, |out, p| {
            out.extend_from_slice(br#"{"pattern":"#);
            write_string(out, &p.pattern);
            out.extend_from_slice(br#","samples":"#);
            write_list(out, &p.samples, |out, (ns, count)| {
                let _ = write!(out, "[{},{count}]", ns.div_euclid(1_000_000_000));
                true
            });
            out.push(b'}');
            true
        });
    });
    Ok(json_response(StatusCode::OK, body))
}

/// `/loki/api/v1/detected_labels`
pub async fn labels(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    let now = api.now_ns();
    let found = api.engine.detected_labels(tenant, form.selector("query")?, form.range(now)?, now).await?;
    let mut body = br#"{"detectedLabels":"#.to_vec();
    write_list(&mut body, &found, |out, l| {
        out.extend_from_slice(br#"{"label":"#);
        write_string(out, &l.label);
        let _ = write!(out, r#","cardinality":{}}}"#, l.cardinality);
        true
    });
    body.push(b'}');
    Ok(json_response(StatusCode::OK, body))
}

/// `/loki/api/v1/detected_fields`
pub async fn fields(State(api): State<Arc<LokiApi>>, Asks(tenant): Asks, form: Form) -> Answer {
    let limit = field_limit(&form)?;
    let found = find(&api, tenant, &form, limit).await?;
    let mut body = br#"{"fields":"#.to_vec();
    write_list(&mut body, &found.fields, |out, f| {
        write_field(out, f);
        true
    });
    let _ = write!(body, r#","limit":{limit}}}"#);
    Ok(json_response(StatusCode::OK, body))
}

/// `/loki/api/v1/detected_field/{name}/values`
pub async fn field_values(
    State(api): State<Arc<LokiApi>>,
    Asks(tenant): Asks,
    Path(name): Path<String>,
    form: Form,
) -> Answer {
    let limit = field_limit(&form)?;
    let found = find(&api, tenant, &form, usize::MAX).await?;
    let by_name: BTreeMap<&str, &DetectedField> =
        found.fields.iter().map(|f| (f.label.as_str(), f)).collect();
    let values: Vec<&String> =
        by_name.get(name.as_str()).into_iter().flat_map(|f| &f.values).take(limit).collect();
    let mut body = br#"{"values":"#.to_vec();
    json::write_strings(&mut body, &values);
    let _ = write!(body, r#","limit":{limit}}}"#);
    Ok(json_response(StatusCode::OK, body))
}

/// Older clients say `field_limit`.
fn field_limit(form: &Form) -> Result<usize, super::refusal::Refusal> {
    let name = if form.get("limit").is_some() { "limit" } else { "field_limit" };
    form.count(name, DEFAULT_FIELDS)
}

async fn find(
    api: &LokiApi,
    tenant: Tenant,
    form: &Form,
    limit: usize,
) -> Result<DetectedFields, super::refusal::Refusal> {
    let now = api.now_ns();
    let query = FieldsQuery {
        tenant,
        query: form.value("query").to_owned(),
        range: form.range(now)?,
        line_limit: form.count("line_limit", DEFAULT_LIMIT)?,
        limit,
    };
    Ok(api.engine.detected_fields(query, now).await?)
}

fn write_field(out: &mut Vec<u8>, field: &DetectedField) {
    out.extend_from_slice(br#"{"label":"#);
    write_string(out, &field.label);
    let _ =
        write!(out, r#","type":"{}","cardinality":{},"parsers":"#, field.kind.as_str(), field.values.len());
    if field.parsers.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        json::write_strings(out, &field.parsers);
    }
    if !field.json_path.is_empty() {
        out.extend_from_slice(br#","jsonPath":"#);
        json::write_strings(out, &field.json_path);
    }
    out.push(b'}');
}
