//! `/federate`: the newest sample of every series that matches, in the text format.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_model::{Labels, SampleColumns, TimeRange, float, is_stale_nan};
use reba_storage::{MetricQuerier, QueryError, SelectHints, SelectRequest};

use super::{PrometheusApi, params::Params};

/// `/federate`
pub async fn federate(State(api): State<Arc<PrometheusApi>>, params: Params) -> Response {
    let sets = match params.matchers() {
        Ok(sets) => sets,
        Err(e) => return (StatusCode::BAD_REQUEST, format!("{}\n", e.message)).into_response(),
    };
    let (now, lookback) = (api.now_ms(), api.lookback_ms);
    let external = Arc::clone(&api.external_labels.load());
    let page = api.engine.ask(move |store, budget| {
        let mut page = Vec::new();
        for matchers in &sets {
            let range = TimeRange::new(now - lookback + 1, now);
            let hints = SelectHints::default();
            newest(store, &SelectRequest { matchers, range, hints: &hints, budget }, &mut page)?;
        }
        Ok(write(page, &external))
    });
    match page.await {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, text).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

fn newest(
    store: &dyn MetricQuerier,
    request: &SelectRequest<'_>,
    out: &mut Vec<(Labels, i64, f64)>,
) -> Result<(), QueryError> {
    let mut samples = SampleColumns::default();
    for series in store.select(request)? {
        series.read_into(request.range, &mut samples)?;
        if let (Some(t), Some(v)) = (samples.t.last(), samples.v.last())
            && !is_stale_nan(*v)
        {
            out.push((series.labels, *t, *v));
        }
    }
    Ok(())
}

/// Ordered by name and labels; external labels fill in what a series lacks, and `instance` is always there, so that the
/// scraper does not put its own in its place.
fn write(mut page: Vec<(Labels, i64, f64)>, external: &Labels) -> String {
    page.sort_by(|a, b| (a.0.metric_name(), &a.0).cmp(&(b.0.metric_name(), &b.0)));
    page.dedup_by(|a, b| a.0 == b.0);
    let mut out = String::new();
    let mut family = None;
    for (labels, t, v) in &page {
        let name = labels.metric_name();
        if family != Some(name) {
            let _ = writeln!(out, "# TYPE {name} untyped");
            family = Some(name);
        }
        let extra = external.iter().filter(|(n, _)| labels.get(n).is_none());
        let mut pairs: Vec<(&str, &str)> =
            labels.iter().filter(|(n, _)| *n != reba_model::METRIC_NAME).chain(extra).collect();
        if !pairs.iter().any(|(n, _)| *n == "instance") {
            pairs.push(("instance", ""));
        }
        pairs.sort_unstable();
        out.push_str(name);
        for (i, (n, text)) in pairs.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(out, "{}{n}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(out, "}} {} {t}", float::format_g(*v));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_and_an_empty_instance_are_filled_in() {
        let series = Labels::from_pairs([("__name__", "up"), ("job", "a\"b")]);
        let external = Labels::from_pairs([("cluster", "k"), ("job", "other")]);
        let page = write(vec![(series, 1500, 1.0)], &external);
        assert_eq!(page, "# TYPE up untyped\nup{cluster=\"k\",instance=\"\",job=\"a\\\"b\"} 1 1500\n");
    }
}
