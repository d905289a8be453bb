//! Names of attributes, and their values.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    routing::{MethodRouter, get},
};
use reba_model::Tenant;
use reba_query::traces::{TagNames, TagNamesQuery, TagScope, TagValues, TagValuesQuery};

use super::{TempoApi, params::Form, tenant::Owner, trace::answer};
use crate::loki::{Answer, Refusal};

/// `/api/search/tags` and `/api/v2/search/tags`, whose answers are written in different ways.
pub fn names(
    in_json: fn(&TagNames) -> Vec<u8>,
    in_protobuf: fn(&TagNames) -> Vec<u8>,
) -> MethodRouter<Arc<TempoApi>> {
    get(
        async move |State(api): State<Arc<TempoApi>>,
                    Owner(tenant): Owner,
                    headers: HeaderMap,
                    form: Form|
                    -> Answer {
            let output = api.engine.tag_names(asked_names(&form, tenant)?).await?;
            answer(&headers, output, in_json, in_protobuf).await
        },
    )
}

/// `/api/search/tag/{name}/values` and `/api/v2/search/tag/{name}/values`, whose answers are written in different ways. `read` makes
/// TraceQL of the name.
pub fn values(
    read: fn(&str) -> String,
    in_json: fn(&TagValues) -> Vec<u8>,
    in_protobuf: fn(&TagValues) -> Vec<u8>,
) -> MethodRouter<Arc<TempoApi>> {
    get(
        async move |State(api): State<Arc<TempoApi>>,
                    Owner(tenant): Owner,
                    Path(name): Path<String>,
                    headers: HeaderMap,
                    form: Form|
                    -> Answer {
            let output = api.engine.tag_values(asked_values(&form, tenant, read(&name))?).await?;
            answer(&headers, output, in_json, in_protobuf).await
        },
    )
}

fn asked_names(form: &Form, tenant: Tenant) -> Result<TagNamesQuery, Refusal> {
    Ok(TagNamesQuery {
        tenant,
        scope: scope(form.value("scope"))?,
        query: form.value("q").to_owned(),
        range: form.seconds()?,
        limit: form.count("limit", 0)?,
    })
}

fn asked_values(form: &Form, tenant: Tenant, tag: String) -> Result<TagValuesQuery, Refusal> {
    Ok(TagValuesQuery {
        tenant,
        tag,
        query: form.value("q").to_owned(),
        range: form.seconds()?,
        limit: form.count("limit", 0)?,
    })
}

/// The scope of a name; `None` for all.
pub fn scope(text: &str) -> Result<Option<TagScope>, Refusal> {
    if matches!(text, "" | "none") {
        return Ok(None);
    }
    let known = TagScope::ALL.into_iter().find(|scope| scope.as_str() == text);
    known.map(Some).ok_or_else(|| Refusal::bad(format!("invalid scope: {text}")))
}

/// A name as it was before TraceQL, in its words.
pub fn in_traceql(name: &str) -> String {
    match name {
        "name" | "status" | "kind" | "duration" | "statusMessage" | "rootName" | "rootServiceName" => {
            name.to_owned()
        }
        "status.code" => "status".to_owned(),
        "root.name" => "rootName".to_owned(),
        "root.service.name" => "rootServiceName".to_owned(),
        _ if name.starts_with("span.") || name.starts_with("resource.") || name.starts_with('.') => {
            name.to_owned()
        }
        _ if name.contains(':') => name.to_owned(),
        _ if name.bytes().any(|b| b.is_ascii_whitespace() || b"{}()=~!<>&|^,\"".contains(&b)) => {
            format!(".{}", reba_model::float::go_quote(name))
        }
        _ => format!(".{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_old_are_put_in_the_words_of_the_language() {
        for (old, new) in [
            ("service.name", ".service.name"),
            ("name", "name"),
            ("status.code", "status"),
            ("root.name", "rootName"),
            ("span.a", "span.a"),
            ("event:name", "event:name"),
            ("a b", ".\"a b\""),
        ] {
            assert_eq!(in_traceql(old), new);
        }
        assert_eq!(scope("none"), Ok(None));
        assert_eq!(scope("event"), Ok(Some(TagScope::Event)));
        assert_eq!(scope("x").unwrap_err().text, "invalid scope: x");
    }
}
