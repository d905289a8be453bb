//! `/api/v1/targets`, `scrape_pools`, `targets/metadata`, `metadata`, `alertmanagers`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    extract::State,
    http::{Uri, uri::PathAndQuery},
};
use jiff::Timestamp;
use reba_ingest::{
    config::{Config, ScrapeConfig},
    scrape::{PoolStatus, TargetStatus},
};
use reba_model::{Labels, Matcher, Metadata, Relabel, duration};
use serde_json::{Map, Value, json};

use super::{
    PrometheusApi,
    envelope::{ApiError, ApiResult, success},
    params::{Params, parse_selector},
};

/// Labels as a JSON object.
pub(crate) fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect())
}

/// Go's zero time, which upstream shows for what has not happened yet.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Unix milliseconds as RFC 3339.
pub(crate) fn rfc3339(t: Option<i64>) -> String {
    t.and_then(|t| Timestamp::from_millisecond(t).ok()).map_or_else(|| NEVER.to_owned(), |t| t.to_string())
}

/// `/api/v1/targets`
pub async fn targets(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let state = params.value("state").to_ascii_lowercase();
    let pool = params.get("scrapePool");
    let pools: Vec<PoolStatus> =
        api.scrape.targets().into_iter().filter(|p| pool.is_none_or(|name| p.name == name)).collect();
    let active = match state.as_str() {
        "dropped" => Vec::new(),
        _ => pools.iter().flat_map(|p| &p.active).map(|t| active_target(&api, t)).collect(),
    };
    let (dropped, counts) = match state.as_str() {
        "active" => (Vec::new(), Value::Null),
        _ => {
            let counts = pools.iter().map(|p| (p.name.clone(), Value::from(p.dropped_count)));
            (pools.iter().flat_map(dropped_targets).collect(), Value::Object(counts.collect()))
        }
    };
    success(&json!({ "activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts }))
}

fn active_target(api: &PrometheusApi, status: &TargetStatus) -> Value {
    let target = &status.target;
    let millis = |d: std::time::Duration| duration::format(d.as_millis() as i64);
    json!({
        "discoveredLabels": object(&target.discovered),
        "labels": object(&target.labels),
        "scrapePool": status.pool,
        "scrapeUrl": target.url.to_string(),
        "globalUrl": global_url(&api.external_url, &target.url),
        "lastError": status.last.error,
        "lastScrape": rfc3339(status.last.at),
        "lastScrapeDuration": status.last.duration.as_secs_f64(),
        "health": status.last.health.as_str(),
        "scrapeInterval": millis(target.interval),
        "scrapeTimeout": millis(target.timeout),
    })
}

fn dropped_targets(pool: &PoolStatus) -> impl Iterator<Item = Value> + '_ {
    pool.dropped.iter().map(|l| json!({ "discoveredLabels": object(l), "scrapePool": pool.name }))
}

/// A loopback address means this host: seen from elsewhere it has the host's name.
fn global_url(external: &str, url: &Uri) -> String {
    let is_here = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let external: Option<Uri> = external.parse().ok();
    let Some(host) = external.as_ref().and_then(Uri::host).filter(|_| is_here) else {
        return url.to_string();
    };
    let port = url.port().map_or_else(String::new, |p| format!(":{p}"));
    let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
    format!("{}://{host}{port}{path}", url.scheme_str().unwrap_or("http"))
}

/// `/api/v1/scrape_pools`
pub async fn scrape_pools(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    success(&json!({ "scrapePools": api.scrape.pool_names() }))
}

/// The job that the parameter `scrapePool` names.
fn wanted_pool(api: &PrometheusApi, params: &Params) -> Result<(Arc<Config>, ScrapeConfig), ApiError> {
    let name =
        params.get("scrapePool").ok_or_else(|| ApiError::bad_data("no scrapePool parameter provided"))?;
    let missing =
        || ApiError::bad_data(format!("error retrieving scrape config: scrape pool not found: {name}"));
    let config = api.runtime.config.load_full().ok_or_else(missing)?;
    let job = config.jobs().find(|job| job.job_name == name).cloned().ok_or_else(missing)?;
    Ok((config, job))
}

/// `/api/v1/scrape_pools/config`
pub async fn pool_config(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let (config, job) = wanted_pool(&api, &params)?;
    success(&json!({ "yaml": config.job_yaml(&job) }))
}

/// `/api/v1/targets/relabel_steps`: what each rule of a job makes of the labels that are given.
pub async fn relabel_steps(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let (_, job) = wanted_pool(&api, &params)?;
    let text = params.get("labels").ok_or_else(|| ApiError::bad_data("no labels parameter provided"))?;
    let labels: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|e| ApiError::bad_data(format!("error parsing labels: {e}")))?;
    let mut builder = Labels::from_pairs(labels).to_builder();
    let mut keep = true;
    let mut steps = Vec::new();
    for rule in &job.relabel_configs {
        keep = keep && rule.apply(&mut builder);
        let output = if keep { builder.build() } else { Labels::empty() };
        steps.push(json!({ "rule": rule_json(rule), "output": object(&output), "keep": keep }));
    }
    success(&json!({ "steps": steps }))
}

/// A rule with every key filled in.
fn rule_json(rule: &Relabel) -> Value {
    let spec = rule.spec();
    let mut out = json!({
        "separator": rule.separator(),
        "regex": rule.regex(),
        "replacement": rule.replacement(),
        "action": spec.action.as_str(),
    });
    if let Some(source) = &spec.source_labels {
        out["source_labels"] = json!(source);
    }
    if !spec.target_label.is_empty() {
        out["target_label"] = spec.target_label.as_str().into();
    }
    if spec.modulus > 0 {
        out["modulus"] = spec.modulus.into();
    }
    out
}

fn entry(name: Option<&str>, meta: &Metadata) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(name) = name {
        out.insert("metric".to_owned(), name.into());
    }
    out.insert("type".to_owned(), meta.kind.as_str().into());
    out.insert("help".to_owned(), meta.help.as_str().into());
    out.insert("unit".to_owned(), meta.unit.as_str().into());
    out
}

/// `/api/v1/targets/metadata`
pub async fn targets_metadata(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let matchers = params
        .get("match_target")
        .map(|text| parse_selector("match_target", text))
        .transpose()?
        .unwrap_or_default();
    let metric = params.get("metric");
    // The limit counts targets, not entries: so does upstream.
    let limit = params.number("limit")?.unwrap_or(usize::MAX);
    let pools = api.scrape.targets();
    let targets = pools.iter().flat_map(|p| &p.active);
    let mut out = Vec::new();
    for status in targets.filter(|t| Matcher::all(&matchers, &t.target.labels)).take(limit) {
        let target = object(&status.target.labels);
        let mut add = |name: Option<&str>, meta: &Metadata| {
            let mut item = entry(name, meta);
            item.insert("target".to_owned(), target.clone());
            out.push(Value::Object(item));
        };
        match metric {
            Some(name) => {
                if let Some(meta) = status.metadata.get(name) {
                    add(None, meta);
                }
            }
            None => status.metadata.iter().for_each(|(name, meta)| add(Some(name), meta)),
        }
    }
    success(&out)
}

/// `/api/v1/metadata`
pub async fn metadata(State(api): State<Arc<PrometheusApi>>, params: Params) -> ApiResult {
    let limit = params.number("limit")?.unwrap_or(usize::MAX);
    let per_metric = params.number("limit_per_metric")?.filter(|n| *n > 0).unwrap_or(usize::MAX);
    let wanted = params.get("metric");
    let mut all: BTreeMap<String, BTreeSet<(&'static str, String, String)>> = BTreeMap::new();
    let mut add = |families: &BTreeMap<String, Metadata>| {
        for (name, meta) in families.iter().filter(|(n, _)| wanted.is_none_or(|w| w == n.as_str())) {
            let entries = all.entry(name.clone()).or_default();
            if entries.len() < per_metric {
                entries.insert((meta.kind.as_str(), meta.help.clone(), meta.unit.clone()));
            }
        }
    };
    api.scrape.targets().iter().flat_map(|p| &p.active).for_each(|status| add(&status.metadata));
    // Upstream does not show what was pushed.
    for pushed in [api.receiver.metadata(), api.otlp.metadata()] {
        add(&pushed.all());
    }
    let rows = all.into_iter().take(limit).map(|(name, entries)| {
        let entries =
            entries.into_iter().map(|(kind, help, unit)| json!({"type": kind, "help": help, "unit": unit}));
        (name, Value::Array(entries.collect()))
    });
    success(&Value::Object(rows.collect()))
}

/// `/api/v1/alertmanagers`
pub async fn alertmanagers(State(api): State<Arc<PrometheusApi>>) -> ApiResult {
    let urls =
        |list: Vec<String>| -> Vec<Value> { list.into_iter().map(|url| json!({ "url": url })).collect() };
    let (active, dropped) = api.notifier.alertmanagers();
    success(&json!({ "activeAlertmanagers": urls(active), "droppedAlertmanagers": urls(dropped) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_targets_are_shown_under_the_external_name() {
        for (external, url, want) in [
            (
                "http://mon.easymo.rw:9090/x",
                "http://127.0.0.1:3000/metrics?a=b",
                "http://mon.easymo.rw:3000/metrics?a=b",
            ),
            ("http://[2001:db8::1]:9090", "https://[::1]:1/m", "https://[2001:db8::1]:1/m"),
            ("http://a", "http://10.0.0.1/metrics", "http://10.0.0.1/metrics"),
            ("http://a", "http://localhost.example/m", "http://localhost.example/m"),
        ] {
            assert_eq!(global_url(external, &url.parse().unwrap()), want);
        }
    }
}
