//! `/federate`: the newest sample of every series that matches, in the text format.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_model::{
    Labels, METRIC_NAME, SampleColumns, TimeRange, float, is_legacy_label_name, is_legacy_metric_name,
    is_stale_nan,
};
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
    let store = Arc::clone(&api.local);
    let page = api.engine.ask(move |_, budget| {
        let mut page = Vec::new();
        for matchers in &sets {
            let range = TimeRange::new(now - lookback + 1, now);
            let hints = SelectHints::default();
            newest(&*store, &SelectRequest { matchers, range, hints: &hints, budget }, &mut page)?;
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
/// scraper does not put its own in its place. Series without a name have no place in the format and are left out.
fn write(mut page: Vec<(Labels, i64, f64)>, external: &Labels) -> String {
    page.retain(|(labels, ..)| !labels.metric_name().is_empty());
    page.sort_by(|a, b| (a.0.metric_name(), &a.0).cmp(&(b.0.metric_name(), &b.0)));
    page.dedup_by(|a, b| a.0 == b.0);
    let mut out = String::new();
    let mut family = None;
    for (labels, t, v) in &page {
        let name = labels.metric_name();
        let plain = is_legacy_metric_name(name);
        let quoted = if plain { name.to_owned() } else { quote(name) };
        if family != Some(name) {
            let _ = writeln!(out, "# TYPE {quoted} untyped");
            family = Some(name);
        }
        let extra = external.iter().filter(|(n, _)| labels.get(n).is_none());
        let mut pairs: Vec<(&str, &str)> =
            labels.iter().filter(|(n, _)| *n != METRIC_NAME).chain(extra).collect();
        if !pairs.iter().any(|(n, _)| *n == "instance") {
            pairs.push(("instance", ""));
        }
        pairs.sort_unstable();
        let texts = pairs.iter().map(|(n, text)| {
            let name = if is_legacy_label_name(n) { (*n).to_owned() } else { quote(n) };
            format!("{name}={}", quote(text))
        });
        // A name that needs quotes stands inside the braces.
        let (before, inside) = if plain { (name, None) } else { ("", Some(quoted)) };
        let inside: Vec<String> = inside.into_iter().chain(texts).collect();
        let _ = writeln!(out, "{before}{{{}}} {} {t}", inside.join(","), float::format_g(*v));
    }
    out
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
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

    #[test]
    fn names_beyond_the_old_alphabet_are_quoted_and_series_without_a_name_left_out() {
        let odd = Labels::from_pairs([("__name__", "http.size"), ("my.label", "x"), ("instance", "i")]);
        let nameless = Labels::from_pairs([("job", "j")]);
        let page = write(vec![(odd, 1, 2.0), (nameless, 1, 3.0)], &Labels::empty());
        assert_eq!(
            page,
            "# TYPE \"http.size\" untyped\n{\"http.size\",instance=\"i\",\"my.label\"=\"x\"} 2 1\n"
        );
    }
}
