//! `/api/v1/series`, `labels` and `label/NAME/values`.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use axum::extract::{Path, State};
use reba_model::{Matcher, TimeRange};

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, success_bytes, success_with},
    json::{write_labels, write_string},
    params::{Params, invalid},
};

pub(super) const TRUNCATED: &str = "results truncated due to limit";

fn range(params: &Params) -> Result<TimeRange, ApiError> {
    let range = TimeRange::new(params.time("start", i64::MIN)?, params.time("end", i64::MAX)?);
    if range.end < range.start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    Ok(range)
}

/// Cuts a list to `limit`, with the warning that says so. A limit of 0 is none.
fn cut<T>(list: &mut Vec<T>, limit: Option<usize>) -> Vec<String> {
    let (keep, warnings) = within(list.len(), limit);
    list.truncate(keep);
    warnings
}

/// How many of `len` a limit leaves, and the warning if that is not all.
fn within(len: usize, limit: Option<usize>) -> (usize, Vec<String>) {
    match limit.filter(|n| (1..len).contains(n)) {
        Some(n) => (n, vec![TRUNCATED.to_owned()]),
        None => (len, Vec::new()),
    }
}

/// `/api/v1/series`
pub async fn series(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let limit = params.number("limit")?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = range(&params)?;
    let mut found = api.engine.series(params.matchers()?, range).await?;
    let warnings = cut(&mut found, limit);
    Ok(success_bytes(&warnings, &[], |out| {
        out.push(b'[');
        for (i, labels) in found.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_labels(out, labels);
        }
        out.push(b']');
    }))
}

/// `/api/v1/labels`
pub async fn names(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let limit = params.number("limit")?;
    let range = range(&params)?;
    let mut names = api.engine.label_names(params.matchers()?, range).await?;
    let warnings = cut(&mut names, limit);
    success_with(&names, &warnings, &[])
}

/// What decides how much there is to do for the values of a label: the label, how long the range is, about, and the matchers.
fn how_much(name: &str, sets: &[Vec<Matcher>], range: TimeRange) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    range.end.abs_diff(range.start).checked_ilog2().hash(&mut hasher);
    for matcher in sets.iter().flatten() {
        matcher.to_string().hash(&mut hasher);
    }
    hasher.finish()
}

/// `/api/v1/label/NAME/values`
pub async fn values(
    State(api): State<Arc<PrometheusApi>>,
    Path(name): Path<String>,
    params: Params,
) -> ApiResult {
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    let limit = params.number("limit")?;
    let range = range(&params)?;
    let sets = params.matchers()?;
    // The body is put together where the values are: thousands of texts cost more to free on another thread than to make.
    let key = how_much(&name, &sets, range);
    let answer = api.engine.ask_again(key, move |store, budget| {
        let values = store.label_values(&name, &sets, range, budget)?;
        let (keep, warnings) = within(values.len(), limit);
        Ok(success_bytes(&warnings, &[], |out| {
            out.push(b'[');
            for (i, value) in values.iter().take(keep).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(out, value);
            }
            out.push(b']');
        }))
    });
    Ok(answer.await?)
}
