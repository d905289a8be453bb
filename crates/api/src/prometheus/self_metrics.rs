//! `/metrics`: what people alert on, by upstream's names.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_ingest::scrape::{ScrapeMetrics, Summary};
use reba_query::QueryEngine;
use reba_rules::RuleManager;

use super::{COMPATIBLE_VERSION, PrometheusApi, QueryLog, Runtime, exposition::Page};
use crate::build;

/// `/metrics`
pub async fn page(State(api): State<Arc<PrometheusApi>>) -> Response {
    // The store walks its head and lists its files for this.
    match tokio::task::spawn_blocking(move || write(&api)).await {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, text).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

fn write(api: &PrometheusApi) -> String {
    let mut page = Page::new();
    general(&mut page, &api.runtime, api.readiness.is_ready());
    engine(&mut page, &api.engine);
    query_log(&mut page, &api.runtime.query_log);
    rules(&mut page, &api.rules);
    scraping(&mut page, api);
    notifications(&mut page, api);
    remote(&mut page, api);
    api.http.write(&mut page);
    for source in &api.metrics {
        source(&mut page);
    }
    page.finish()
}

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

fn general(page: &mut Page, runtime: &Runtime, ready: bool) {
    let build = build::labels(&COMPATIBLE_VERSION);
    page.gauge("prometheus_build_info", "Always 1; the labels say what runs.").with(&build, 1.0);
    page.gauge("prometheus_ready", "Whether the store is open and queries are answered.")
        .value(f64::from(u8::from(ready)));
    let ok = runtime.reload_ok.load(Ordering::Relaxed);
    page.gauge(
        "prometheus_config_last_reload_successful",
        "Whether the last reload of the configuration worked.",
    )
    .value(f64::from(u8::from(ok)));
    page.gauge(
        "prometheus_config_last_reload_success_timestamp_seconds",
        "When the configuration was last loaded.",
    )
    .value(get(&runtime.reloaded_ms) / 1000.0);
}

fn remote(page: &mut Page, api: &PrometheusApi) {
    page.gauge("prometheus_api_remote_read_queries", "Remote reads that run or wait.")
        .value(api.remote_read.active() as f64);
    page.counter(
        "prometheus_api_remote_write_invalid_labels_samples_total",
        "Received samples that were refused for their labels.",
    )
    .value(api.receiver.invalid_labels_samples() as f64);
}

fn engine(page: &mut Page, engine: &QueryEngine) {
    let totals = engine.totals();
    page.gauge("prometheus_engine_queries", "Queries that run or wait.")
        .value(engine.active_queries().len() as f64);
    page.gauge("prometheus_engine_queries_concurrent_max", "Queries that may run at once.")
        .value(engine.config().limits.max_concurrency as f64);
    page.counter("prometheus_engine_query_samples_total", "Samples read by all queries.")
        .value(totals.samples as f64);
    page.counter("reba_query_queries_total", "Queries that ended.").value(totals.queries as f64);
    page.counter("reba_query_failures_total", "Queries that ended in an error.").value(totals.failed as f64);
    let cache = engine.cache_totals();
    page.counter(
        "reba_query_cache_hits_total",
        "Range queries answered from kept results, at least in part.",
    )
    .value(cache.hits as f64);
    page.counter("reba_query_cache_misses_total", "Range queries for which nothing was kept.")
        .value(cache.misses as f64);
    page.counter("reba_query_cache_steps_reused_total", "Steps taken from kept results.")
        .value(cache.steps_reused as f64);
    page.counter("reba_query_cache_steps_computed_total", "Steps that kept results lacked.")
        .value(cache.steps_computed as f64);
    page.gauge("reba_query_cache_bytes", "Bytes of kept results.").value(cache.bytes as f64);
    page.gauge("reba_query_cache_entries", "Kept results.").value(cache.entries as f64);
    page.summary("prometheus_engine_query_duration_seconds", "Time of queries by part.");
    let recent = engine.recent_timings();
    for (slice, took, recent) in [
        ("queue_time", totals.queue_time, recent.queue),
        ("prepare_time", totals.prepare_time, recent.prepare),
        ("inner_eval", totals.inner_eval, recent.inner_eval),
    ] {
        for (quantile, seconds) in reba_query::QUANTILES.iter().zip(recent) {
            page.with(&[("slice", &slice), ("quantile", quantile)], seconds);
        }
        page.suffixed("_sum", &[("slice", &slice)], took.as_secs_f64());
        page.suffixed("_count", &[("slice", &slice)], totals.queries as f64);
    }
}

fn query_log(page: &mut Page, log: &QueryLog) {
    page.gauge("prometheus_engine_query_log_enabled", "Whether queries are written down.")
        .value(f64::from(u8::from(log.is_on())));
    page.counter("prometheus_engine_query_log_failures_total", "Queries that could not be written down.")
        .value(log.lost() as f64);
}

fn rules(page: &mut Page, rules: &RuleManager) {
    let groups = rules.groups();
    let metrics = rules.metrics();
    let by_group = |page: &mut Page, value: &dyn Fn(&reba_rules::GroupStatus) -> f64| {
        for g in &groups {
            page.with(&[("rule_group", &format!("{};{}", g.file, g.name))], value(g));
        }
    };
    by_group(page.counter("prometheus_rule_evaluations_total", "Evaluations of rules."), &|g| {
        g.evaluations as f64
    });
    by_group(page.counter("prometheus_rule_evaluation_failures_total", "Evaluations that failed."), &|g| {
        g.evaluation_failures as f64
    });
    by_group(
        page.counter("prometheus_rule_group_iterations_total", "Scheduled evaluations of a group."),
        &|g| g.iterations as f64,
    );
    by_group(
        page.counter(
            "prometheus_rule_group_iterations_missed_total",
            "Evaluations that were missed because one took too long.",
        ),
        &|g| g.iterations_missed as f64,
    );
    by_group(page.gauge("prometheus_rule_group_interval_seconds", "Interval of a group."), &|g| {
        g.interval_ms as f64 / 1000.0
    });
    by_group(
        page.gauge("prometheus_rule_group_last_duration_seconds", "Duration of the last evaluation."),
        &|g| g.evaluation_seconds,
    );
    by_group(
        page.gauge(
            "prometheus_rule_group_last_evaluation_timestamp_seconds",
            "When a group was last evaluated.",
        ),
        &|g| g.last_evaluation.unwrap_or(0) as f64 / 1000.0,
    );
    by_group(
        page.gauge("prometheus_rule_group_last_evaluation_samples", "Samples that the last evaluation gave."),
        &|g| g.last_samples as f64,
    );
    by_group(page.gauge("prometheus_rule_group_rules", "Rules of a group."), &|g| g.rules.len() as f64);
    page.summary("prometheus_rule_evaluation_duration_seconds", "Duration of evaluations of rules.");
    page.suffixed("_sum", &[], metrics.evaluation_seconds).suffixed(
        "_count",
        &[],
        metrics.evaluations as f64,
    );
    page.summary("prometheus_rule_group_duration_seconds", "Duration of evaluations of groups.");
    page.suffixed("_sum", &[], metrics.group_seconds).suffixed(
        "_count",
        &[],
        metrics.group_evaluations as f64,
    );
    page.counter("prometheus_template_text_expansions_total", "Expansions of templates.")
        .value(metrics.template_expansions as f64);
    page.counter("prometheus_template_text_expansion_failures_total", "Expansions that failed.")
        .value(metrics.template_failures as f64);
    page.counter("reba_rules_alerts_dropped_total", "Alerts that found the queue to the notifier full.")
        .value(metrics.alerts_dropped as f64);
}

fn scraping(page: &mut Page, api: &PrometheusApi) {
    let m = api.scrape.metrics();
    scrape_counters(page, m);
    let jobs = m.by_job();
    page.gauge("prometheus_target_scrape_pool_targets", "Targets of a pool.");
    for (job, pool) in &jobs {
        page.with(&[("scrape_job", job)], pool.targets as f64);
    }
    page.gauge("prometheus_target_scrape_pool_target_limit", "Targets that a pool may have; 0: any number.");
    for (job, pool) in &jobs {
        page.with(&[("scrape_job", job)], pool.target_limit as f64);
    }
    page.counter(
        "prometheus_target_scrape_pool_sync_total",
        "Times that the targets of a pool were worked out.",
    );
    for (job, pool) in &jobs {
        page.with(&[("scrape_job", job)], pool.syncs as f64);
    }
    page.counter("prometheus_target_sync_failed_total", "Targets that make no sense.");
    for (job, pool) in &jobs {
        page.with(&[("scrape_job", job)], pool.failed_targets as f64);
    }
    page.summary("prometheus_target_sync_length_seconds", "Time to work out the targets of a pool.");
    for (job, pool) in &jobs {
        summary(page, ("scrape_job", job), &pool.sync_length);
    }
    page.summary("prometheus_target_interval_length_seconds", "Time between two scrapes of a target.");
    for (interval, lengths) in m.interval_lengths() {
        let interval = reba_model::duration::format(interval.as_millis() as i64);
        summary(page, ("interval", &interval), &lengths);
    }
    let d = api.scrape.discovery_metrics();
    page.counter("prometheus_sd_updates_total", "Changes of target groups.")
        .with(&[("name", &"scrape")], get(&d.updates));
    page.counter("prometheus_sd_file_read_errors_total", "Files of targets that could not be read.")
        .value(get(&d.file_read_errors));
    page.counter(
        "reba_ingest_discovery_faults_total",
        "Faults of Reba's own after which discovery started anew.",
    )
    .value(get(&d.faults));
    page.counter("prometheus_sd_refresh_failures_total", "Refreshes of targets that failed.");
    for (mechanism, m) in d.refreshes() {
        page.with(&[("mechanism", &mechanism)], get(&m.failures));
    }
    page.summary("prometheus_sd_refresh_duration_seconds", "Time that refreshes of targets took.");
    for (mechanism, m) in d.refreshes() {
        page.suffixed("_sum", &[("mechanism", &mechanism)], m.seconds());
        page.suffixed("_count", &[("mechanism", &mechanism)], get(&m.count));
    }
    page.counter("prometheus_sd_consul_rpc_failures_total", "Requests to Consul that failed.")
        .value(get(&d.consul_failures));
    page.summary("prometheus_sd_consul_rpc_duration_seconds", "Time that requests to Consul took.");
    for (endpoint, call, m) in
        [("catalog", "services", &d.consul_catalog), ("health", "service", &d.consul_health)]
    {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("endpoint", &endpoint), ("call", &call)];
        page.suffixed("_sum", &labels, m.seconds());
        page.suffixed("_count", &labels, get(&m.count));
    }
    page.counter("prometheus_sd_dns_lookups_total", "DNS names that were looked up.")
        .value(get(&d.dns_lookups));
    page.counter("prometheus_sd_dns_lookup_failures_total", "DNS names that could not be looked up.")
        .value(get(&d.dns_lookup_failures));
    page.counter("prometheus_sd_http_failures_total", "Refreshes over HTTP that failed.")
        .value(get(&d.http.failures));
    page.counter("prometheus_sd_kubernetes_failures_total", "Watches of Kubernetes that failed.")
        .value(get(&d.kubernetes_failures));
    page.counter(
        "prometheus_sd_kubernetes_events_total",
        "Objects of Kubernetes that came, went or changed.",
    );
    for (role, event, n) in d.kubernetes_events() {
        page.with(&[("role", &role), ("event", &event)], n as f64);
    }
}

/// The series of one summary, told apart by `label`.
fn summary(page: &mut Page, label: (&str, &String), summary: &Summary) {
    let (name, value) = label;
    for q in [0.01, 0.05, 0.5, 0.9, 0.99] {
        page.with(&[(name, value), ("quantile", &q)], summary.quantile(q));
    }
    page.suffixed("_sum", &[(name, value)], summary.sum);
    page.suffixed("_count", &[(name, value)], summary.count as f64);
}

fn scrape_counters(page: &mut Page, m: &ScrapeMetrics) {
    for (name, help, counter) in [
        ("prometheus_target_scrape_pools_total", "Scrape pools that were made.", &m.pools),
        (
            "prometheus_target_scrape_pools_failed_total",
            "Scrape pools that could not be made.",
            &m.pools_failed,
        ),
        ("prometheus_target_scrape_pool_reloads_total", "Reloads of scrape pools.", &m.pool_reloads),
        (
            "prometheus_target_scrape_pool_reloads_failed_total",
            "Reloads of scrape pools that failed.",
            &m.pool_reloads_failed,
        ),
        (
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
            "Times a pool had more targets than its limit.",
            &m.exceeded_target_limit,
        ),
        (
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            "Scrapes with a label beyond a limit.",
            &m.exceeded_label_limits,
        ),
        (
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
            "Scrapes with a body beyond its limit.",
            &m.exceeded_body_size_limit,
        ),
        (
            "prometheus_target_scrapes_exceeded_sample_limit_total",
            "Scrapes with more samples than the limit.",
            &m.exceeded_sample_limit,
        ),
        (
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "Samples refused: another value at the same time.",
            &m.duplicate_timestamp,
        ),
        (
            "prometheus_target_scrapes_sample_out_of_order_total",
            "Samples refused: older than the newest of their series.",
            &m.out_of_order,
        ),
        (
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "Samples refused: too old or too far in the future.",
            &m.out_of_bounds,
        ),
        (
            "prometheus_target_scrapes_exemplar_out_of_order_total",
            "Exemplars refused.",
            &m.exemplar_out_of_order,
        ),
        ("reba_ingest_scrapes_total", "Scrapes.", &m.scrapes),
        ("reba_ingest_scrape_failures_total", "Scrapes that failed.", &m.scrape_failures),
    ] {
        page.counter(name, help).value(get(counter));
    }
}

fn notifications(page: &mut Page, api: &PrometheusApi) {
    let m = api.notifier.metrics();
    page.gauge("prometheus_notifications_alertmanagers_discovered", "Alertmanagers that alerts are sent to.")
        .value(m.alertmanagers_discovered as f64);
    page.gauge("prometheus_notifications_queue_length", "Alerts that wait to be sent.")
        .value(m.queue_length as f64);
    page.gauge("prometheus_notifications_queue_capacity", "Alerts that may wait.")
        .value(m.queue_capacity as f64);
    page.counter(
        "prometheus_notifications_dropped_total",
        "Alerts that were dropped because the queue was full, or nobody took them.",
    )
    .value(m.dropped as f64);
    page.counter("prometheus_notifications_sent_total", "Alerts sent.");
    for (url, a) in &m.managers {
        page.with(&[("alertmanager", url)], a.sent as f64);
    }
    page.counter("prometheus_notifications_errors_total", "Alerts that could not be sent.");
    for (url, a) in &m.managers {
        page.with(&[("alertmanager", url)], a.errors as f64);
    }
    page.summary("prometheus_notifications_latency_seconds", "Time to send alerts.");
    for (url, a) in &m.managers {
        page.suffixed("_sum", &[("alertmanager", url)], a.seconds);
        page.suffixed("_count", &[("alertmanager", url)], a.requests as f64);
    }
}
