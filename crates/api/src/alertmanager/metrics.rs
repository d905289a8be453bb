//! `/metrics`, under Alertmanager's names.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use reba_alerting::{
    FailureReason, RouteView, Totals,
    shell::{LATENCY_BUCKETS, Metrics},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{AlertmanagerApi, COMPATIBLE_VERSION, Current};
use crate::{build, exposition::Page};

/// Kinds whose series are there from the beginning, so that rates of them have a start; others appear with their first notification.
const KINDS: [&str; 10] = [
    "email",
    "opsgenie",
    "pagerduty",
    "pushover",
    "slack",
    "sns",
    "telegram",
    "victorops",
    "webhook",
    "wechat",
];

/// `/metrics`
pub async fn page(State(api): State<Arc<AlertmanagerApi>>) -> Response {
    let mut page = Page::new();
    page.gauge("alertmanager_build_info", "Always 1; the labels say what runs.")
        .with(&build::labels(&COMPATIBLE_VERSION), 1.0);
    let (totals, silences) = api.look(|machine, now_ms| (machine.totals(), machine.silence_counts(now_ms)));
    alerts(&mut page, &totals);
    routes(&mut page, &api.look(|machine, _| machine.routes()));
    page.gauge("alertmanager_silences", "How many silences by state.");
    for (state, count) in silences {
        page.with(&[("state", &state.as_str())], count as f64);
    }
    config(&mut page, &api.current.load());
    notifications(&mut page, &api.alerting.metrics());
    api.http.write(&mut page, api.readers.busy());
    for source in &api.metrics {
        source(&mut page);
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, page.finish()).into_response()
}

fn alerts(page: &mut Page, totals: &Totals) {
    for (name, help) in [
        ("alertmanager_alerts", "How many alerts by state."),
        ("alertmanager_marked_alerts", "How many alerts by state, as their groups were last looked at."),
    ] {
        page.gauge(name, help);
        for (state, count) in &totals.alerts {
            page.with(&[("state", &state.as_str())], *count as f64);
        }
    }
    let counted = &totals.counters;
    page.counter("alertmanager_alerts_received_total", "The total number of received alerts.")
        .with(&[("status", &"firing"), ("version", &"v2")], counted.received_firing as f64)
        .with(&[("status", &"resolved"), ("version", &"v2")], counted.received_resolved as f64);
    page.counter(
        "alertmanager_alerts_invalid_total",
        "The total number of received alerts that were invalid.",
    )
    .with(&[("version", &"v2")], counted.invalid as f64);
    page.gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups.")
        .value(totals.groups as f64);
    page.counter(
        "alertmanager_dispatcher_aggregation_group_limit_reached_total",
        "Number of times that an alert found no group because there were too many.",
    )
    .value(counted.group_limit_reached as f64);
    // What can neither fail nor be gossiped here: there is no disk in between, and there are no peers.
    for (name, help, value) in [
        ("alertmanager_nflog_queries_total", "Questions to the notification log.", counted.log_queries),
        ("alertmanager_nflog_query_errors_total", "Such questions that failed.", 0),
        ("alertmanager_nflog_gossip_messages_propagated_total", "Entries that were passed on to peers.", 0),
        ("alertmanager_silences_queries_total", "Questions which silences hold.", counted.silence_queries),
        ("alertmanager_silences_query_errors_total", "Such questions that failed.", 0),
        (
            "alertmanager_silences_gossip_messages_propagated_total",
            "Silences that were passed on to peers.",
            0,
        ),
    ] {
        page.counter(name, help).value(value as f64);
    }
    page.counter(
        "alertmanager_notifications_suppressed_total",
        "Alerts that were kept from a notification, by reason.",
    );
    for (reason, count) in &counted.suppressed {
        page.with(&[("reason", reason)], *count as f64);
    }
    page.gauge("reba_alerting_alerts_stored", "Alerts in memory, resolved ones included.")
        .value(totals.stored as f64);
    page.gauge("reba_alerting_log_entries", "Entries of the notification log.")
        .value(totals.log_entries as f64);
}

/// What each route has done. There are as many series as routes, which a configuration bounds.
fn routes(page: &mut Page, all: &[RouteView]) {
    type Figure = fn(&RouteView) -> f64;
    let figures: [(&str, &str, Figure); 5] = [
        ("reba_alerting_route_groups", "Groups of a route.", |r| r.groups as f64),
        ("reba_alerting_route_alerts", "Alerts in the groups of a route.", |r| r.alerts as f64),
        ("reba_alerting_route_ticks_total", "Ticks of a route's groups.", |r| r.counters.ticks as f64),
        (
            "reba_alerting_route_notifications_total",
            "Notifications that were due, counted for each integration.",
            |r| r.counters.notifications as f64,
        ),
        ("reba_alerting_route_failed_total", "Ticks at which not everybody could be told.", |r| {
            r.counters.failed as f64
        }),
    ];
    for (name, help, figure) in figures {
        let family = if name.ends_with("_total") { page.counter(name, help) } else { page.gauge(name, help) };
        for route in all {
            family.with(&[("route", &route.id), ("receiver", &route.receiver)], figure(route));
        }
    }
}

fn config(page: &mut Page, current: &Current) {
    let bits = (xxh3_64(current.original.as_bytes()) & ((1 << 48) - 1)) as f64;
    page.gauge("alertmanager_config_hash", "Hash of the currently loaded configuration.").value(bits);
    page.gauge(
        "alertmanager_config_last_reload_successful",
        "Whether the last configuration reload attempt was successful.",
    )
    .value(f64::from(u8::from(current.reload_ok)));
    page.gauge(
        "alertmanager_config_last_reload_success_timestamp_seconds",
        "Timestamp of the last successful configuration reload.",
    )
    .value(current.reloaded_ms as f64 / 1000.0);
    let all = || current.receivers.iter().flat_map(|r| &r.integrations);
    let disabled = all().filter(|i| i.disabled.is_some()).count();
    page.gauge("alertmanager_receivers", "Number of configured receivers.")
        .value(current.receivers.len() as f64);
    page.gauge("alertmanager_integrations", "Number of integrations at work.")
        .value((all().count() - disabled) as f64);
    page.gauge("reba_alerting_integrations_disabled", "Number of integrations without their secrets.")
        .value(disabled as f64);
    page.gauge("alertmanager_cluster_enabled", "Indicates whether the clustering is enabled or not.")
        .value(0.0);
}

fn notifications(page: &mut Page, metrics: &Metrics) {
    let mut kinds: Vec<&'static str> =
        KINDS.into_iter().chain(metrics.integrations.keys().copied()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let all: Vec<_> =
        kinds.iter().map(|k| (*k, metrics.integrations.get(k).cloned().unwrap_or_default())).collect();
    page.summary(
        "alertmanager_dispatcher_alert_processing_duration_seconds",
        "How long alerts took to be taken.",
    );
    page.suffixed("_sum", &[], metrics.processed.1);
    page.suffixed("_count", &[], metrics.processed.0 as f64);
    page.counter("alertmanager_notifications_total", "The total number of attempted notifications.");
    for (kind, m) in &all {
        page.with(&[("integration", kind)], m.notifications as f64);
    }
    page.counter("alertmanager_notifications_failed_total", "The total number of failed notifications.");
    for (kind, m) in &all {
        for reason in FailureReason::ALL {
            let count = m.failed.get(&reason).copied().unwrap_or(0);
            page.with(&[("integration", kind), ("reason", &reason.as_str())], count as f64);
        }
    }
    page.counter(
        "alertmanager_notification_requests_total",
        "The total number of attempted notification requests.",
    );
    for (kind, m) in &all {
        page.with(&[("integration", kind)], m.requests as f64);
    }
    page.counter(
        "alertmanager_notification_requests_failed_total",
        "The total number of failed notification requests.",
    );
    for (kind, m) in &all {
        page.with(&[("integration", kind)], m.requests_failed as f64);
    }
    page.histogram("alertmanager_notification_latency_seconds", "The latency of notifications in seconds.");
    for (kind, m) in &all {
        let mut total = 0;
        for (bound, count) in LATENCY_BUCKETS.iter().chain(&[f64::INFINITY]).zip(m.latency) {
            total += count;
            let le = reba_model::float::format_g(*bound);
            page.suffixed("_bucket", &[("integration", kind), ("le", &le)], total as f64);
        }
        page.suffixed("_sum", &[("integration", kind)], m.latency_sum);
        page.suffixed("_count", &[("integration", kind)], total as f64);
    }
    for (name, help, value) in [
        ("reba_alerting_saves_total", "Writes to the state store.", metrics.saves),
        (
            "reba_alerting_saves_failed_total",
            "Such writes that failed; they are tried again.",
            metrics.save_errors,
        ),
        ("reba_alerting_saved_documents_total", "Documents written.", metrics.saved_documents),
    ] {
        page.counter(name, help).value(value as f64);
    }
}
