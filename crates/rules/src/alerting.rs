//! Alerting rules: from the elements of a result to alerts, their series, and what must be sent.

use std::collections::{BTreeMap, BTreeSet};

use reba_model::{Alert, AlertBatch, Labels, METRIC_NAME};

use crate::{
    file::{AlertingRule, Rule},
    lifecycle::{self, AlertState, Event, Lifecycle, Timing},
    querier::{RuleSample, SampleValue},
    status::AlertStatus,
};

/// The name of every alert.
pub(crate) const ALERT_NAME: &str = "alertname";
const ALERT_STATE: &str = "alertstate";
const ALERTS: &str = "ALERTS";
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// An element of the result with its templates expanded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element {
    pub labels: Labels,
    pub annotations: Labels,
    pub value: f64,
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActiveAlert {
    pub life: Lifecycle,
    pub annotations: Labels,
    pub value: f64,
    /// Until when receivers take it for firing if they hear nothing more.
    pub valid_until: i64,
}

/// All alerts of a rule, by labels: pending, firing, and lately resolved.
pub(crate) type ActiveAlerts = BTreeMap<Labels, ActiveAlert>;

/// The labels of the alert that an element is: its own without the name, those of the rule, `alertname`.
pub(crate) fn alert_labels(sample: &Labels, rule_labels: &[(String, String)], name: &str) -> Labels {
    let mut labels = sample.to_builder();
    labels.remove(METRIC_NAME);
    for (label, value) in rule_labels {
        labels.set(label, value);
    }
    labels.set(ALERT_NAME, name);
    labels.build()
}

/// The text of the error for two elements with the same alert labels.
pub(crate) const DUPLICATE: &str =
    "vector contains metrics with the same labelset after applying alert labels";

/// Moves all alerts of a rule on by one evaluation, and tells `seen` what happened to them. Fails, changing nothing, if two
/// elements are one alert; fails, forgetting all alerts without resolving them, if more than `limit` are active.
pub(crate) fn advance(
    alerting: &AlertingRule,
    active: &mut ActiveAlerts,
    elements: Vec<Element>,
    now: i64,
    limit: usize,
    seen: impl Fn(&Labels, Event),
) -> Result<(), String> {
    let mut found: BTreeMap<Labels, Element> = BTreeMap::new();
    for element in elements {
        if found.insert(element.labels.clone(), element).is_some() {
            return Err(DUPLICATE.to_owned());
        }
    }
    let timing = Timing { hold: alerting.hold, keep_firing_for: alerting.keep_firing_for };
    let known: BTreeSet<Labels> = active.keys().chain(found.keys()).cloned().collect();
    for labels in known {
        let element = found.remove(&labels);
        let before = active.remove(&labels);
        let step = lifecycle::step(before.as_ref().map(|a| a.life), element.is_some(), now, timing);
        if let Some(event) = step.event {
            seen(&labels, event);
        }
        let Some(life) = step.next else { continue };
        let alert = match (element, before) {
            (Some(e), before) => ActiveAlert {
                life,
                annotations: e.annotations,
                value: e.value,
                valid_until: before.map_or(0, |b| b.valid_until),
            },
            (None, Some(before)) => ActiveAlert { life, ..before },
            (None, None) => continue,
        };
        active.insert(labels, alert);
    }
    let count = active.values().filter(|a| a.life.is_active()).count();
    if limit > 0 && count > limit {
        active.clear();
        return Err(format!("exceeded limit of {limit} with {count} alerts"));
    }
    Ok(())
}

/// Writes down what happened to an alert.
pub(crate) fn log_event(rule: &str, labels: &Labels, event: Event) {
    match event {
        Event::Fired => tracing::info!(alert = rule, %labels, "alert fires"),
        Event::Resolved => tracing::info!(alert = rule, %labels, "alert is resolved"),
        event => tracing::debug!(alert = rule, %labels, ?event, "alert changed"),
    }
}

/// `ALERTS` and `ALERTS_FOR_STATE` of the active alerts.
pub(crate) fn report_series(rule: &Rule, active: &ActiveAlerts) -> Vec<RuleSample> {
    let mut samples = Vec::new();
    for (labels, alert) in active.iter().filter(|(_, a)| a.life.is_active()) {
        let mut series = rule.labels.to_builder();
        for (name, value) in labels {
            series.set(name, value);
        }
        series.set(ALERT_NAME, &rule.name).set(METRIC_NAME, ALERTS_FOR_STATE);
        let since = alert.life.active_at.div_euclid(1000) as f64;
        let for_state = RuleSample { labels: series.build(), value: SampleValue::Float(since) };
        series.set(METRIC_NAME, ALERTS).set(ALERT_STATE, alert.life.state.as_str());
        samples.push(RuleSample { labels: series.build(), value: SampleValue::Float(1.0) });
        samples.push(for_state);
    }
    samples
}

/// The alerts that must be sent at `now`; they are remembered as sent.
pub(crate) fn to_send(
    active: &mut ActiveAlerts,
    now: i64,
    resend_delay: i64,
    interval: i64,
    generator_url: &str,
) -> AlertBatch {
    let mut batch = Vec::new();
    for (labels, alert) in active.iter_mut().filter(|(_, a)| a.life.needs_sending(now, resend_delay)) {
        alert.life.last_sent_at = Some(now);
        // Long enough for two evaluations or two sendings to fail.
        alert.valid_until = now + 4 * interval.max(resend_delay);
        batch.push(Alert {
            labels: labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: alert.life.fired_at.unwrap_or(alert.life.active_at),
            ends_at: alert.life.resolved_at.unwrap_or(alert.valid_until),
            generator_url: generator_url.to_owned(),
        });
    }
    batch
}

/// The active alerts as the API shows them.
pub(crate) fn statuses(active: &ActiveAlerts) -> Vec<AlertStatus> {
    let shown = active.iter().filter(|(_, a)| a.life.is_active());
    shown
        .map(|(labels, a)| AlertStatus {
            labels: labels.clone(),
            annotations: a.annotations.clone(),
            state: a.life.state,
            active_at: a.life.active_at,
            keep_firing_since: a.life.keep_firing_since,
            value: a.value,
        })
        .collect()
}

/// The highest state among the alerts.
pub(crate) fn highest_state(active: &ActiveAlerts) -> AlertState {
    active.values().map(|a| a.life.state).max().unwrap_or(AlertState::Inactive)
}
