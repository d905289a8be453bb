//! Questions that change nothing: what APIs show.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use reba_model::{GoRegex, Labels, MatchOp, Matcher};

use super::{Counters, Machine, RouteCounters, Stored};
use crate::{
    alert::Alert,
    config::Routing,
    identity::{compare_alerts, compare_labels},
};

/// Whether anybody hears of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// Its group was not looked at yet.
    Unprocessed,
    /// Its receivers hear of it.
    Active,
    /// It is silenced, inhibited or muted.
    Suppressed,
}

impl AlertState {
    /// All states, in the order of metrics.
    pub const ALL: [AlertState; 3] = [AlertState::Active, AlertState::Suppressed, AlertState::Unprocessed];

    /// As the API and metrics say it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Unprocessed => "unprocessed",
            AlertState::Active => "active",
            AlertState::Suppressed => "suppressed",
        }
    }
}

/// Whether anybody hears of an alert, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertStatus {
    /// In one word.
    pub state: AlertState,
    /// Ids of the silences that hold.
    pub silenced_by: Vec<String>,
    /// Fingerprint of the alert that inhibits it.
    pub inhibited_by: Option<u64>,
    /// Time intervals that kept its groups silent at their last tick; sorted.
    pub muted_by: Vec<String>,
}

/// An alert as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    /// The alert.
    pub alert: Arc<Alert>,
    /// The receivers of its routes, in the order of routing, or sorted in groups.
    pub receivers: Vec<String>,
    /// Whether anybody hears of it.
    pub status: AlertStatus,
}

/// A group as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// The labels that its alerts share by `group_by`.
    pub labels: Labels,
    /// Who hears of it.
    pub receiver: String,
    /// Its key.
    pub key: Arc<str>,
    /// The route it belongs to.
    pub route_id: Arc<str>,
    /// Its alerts that fire, in the order of notifications.
    pub alerts: Vec<AlertView>,
    /// When it is looked at next, Unix milliseconds.
    pub next_ms: i64,
    /// Whether a notification is on its way.
    pub in_flight: bool,
}

/// Which alerts are shown.
#[derive(Clone, Debug)]
pub struct AlertFilter {
    /// Those that are not suppressed.
    pub active: bool,
    /// Those that are silenced.
    pub silenced: bool,
    /// Those that are inhibited.
    pub inhibited: bool,
    /// Those of groups that time intervals keep silent.
    pub muted: bool,
    /// All must match, with upstream's exception for empty values ([`matches_filter`]).
    pub matchers: Vec<Matcher>,
    /// A receiver must match.
    pub receiver: Option<GoRegex>,
}

impl Default for AlertFilter {
    /// All.
    fn default() -> Self {
        AlertFilter {
            active: true,
            silenced: true,
            inhibited: true,
            muted: true,
            matchers: Vec::new(),
            receiver: None,
        }
    }
}

impl AlertFilter {
    fn wants(&self, alert: &Alert, status: &AlertStatus) -> bool {
        (self.active || status.state != AlertState::Active)
            && (self.silenced || status.silenced_by.is_empty())
            && (self.inhibited || status.inhibited_by.is_none())
            && (self.muted || status.muted_by.is_empty())
            && matches_filter(&self.matchers, &alert.labels)
    }

    fn wants_receiver(&self, receiver: &str) -> bool {
        self.receiver.as_ref().is_none_or(|r| r.is_match(receiver))
    }
}

/// Whether labels match, where `x!=""` asks whether the label is there, and `x=""` (or `x=~""`) whether it is not.
fn matches_filter(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| {
        let value = labels.get(&m.name);
        let negative = matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex);
        (m.value.is_empty() && negative == value.is_some()) || m.matches(value.unwrap_or_default())
    })
}

/// A route with what it has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// Its id.
    pub id: Arc<str>,
    /// Whom it tells.
    pub receiver: String,
    /// Its groups.
    pub groups: usize,
    /// The alerts in them.
    pub alerts: usize,
    /// What it has done.
    pub counters: RouteCounters,
}

/// Figures for the metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Firing alerts by state (`alertmanager_alerts`).
    pub alerts: BTreeMap<AlertState, usize>,
    /// Alerts in memory, resolved ones included.
    pub stored: usize,
    /// Bytes of memory that they take, about.
    pub memory_bytes: usize,
    /// Groups (`alertmanager_dispatcher_aggregation_groups`).
    pub groups: usize,
    /// Entries of the notification log.
    pub log_entries: usize,
    /// What has been counted.
    pub counters: Counters,
}

impl Machine {
    /// The configuration in force.
    pub fn routing(&self) -> &Arc<Routing> {
        &self.routing
    }

    /// Alerts that fire, sorted by fingerprint.
    pub fn alerts(&self, filter: &AlertFilter, now_ms: i64) -> Vec<AlertView> {
        let mut found = Vec::new();
        for stored in self.alerts.values().filter(|s| !s.alert.is_resolved(now_ms)) {
            let receivers = self.receivers(stored);
            if !receivers.iter().any(|r| filter.wants_receiver(r)) {
                continue;
            }
            let status = self.status(stored, now_ms);
            if filter.wants(&stored.alert, &status) {
                found.push(AlertView { alert: stored.alert.clone(), receivers, status });
            }
        }
        found.sort_unstable_by_key(|view| view.alert.fingerprint);
        found
    }

    /// One alert, by fingerprint, even if it is resolved.
    pub fn alert(&self, fingerprint: u64, now_ms: i64) -> Option<AlertView> {
        let stored = self.alerts.get(&fingerprint)?;
        let (receivers, status) = (self.receivers(stored), self.status(stored, now_ms));
        Some(AlertView { alert: stored.alert.clone(), receivers, status })
    }

    /// Groups with alerts that fire, sorted by their labels, then by receiver.
    pub fn groups(&self, filter: &AlertFilter, now_ms: i64) -> Vec<GroupView> {
        let mut found = Vec::new();
        let mut receivers: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        for group in self.groups.iter() {
            let Some(route) = self.routing.routes().get(group.route) else { continue };
            if !filter.wants_receiver(&route.receiver) {
                continue;
            }
            let mut alerts = Vec::new();
            for alert in group.alerts.values().filter(|a| !a.is_resolved(now_ms)) {
                let Some(stored) = self.alerts.get(&alert.fingerprint) else { continue };
                let status = self.status(stored, now_ms);
                if filter.wants(alert, &status) {
                    receivers.entry(alert.fingerprint).or_default().insert(&route.receiver);
                    alerts.push(AlertView { alert: alert.clone(), receivers: Vec::new(), status });
                }
            }
            if alerts.is_empty() {
                continue;
            }
            alerts.sort_by(|a, b| compare_alerts(&a.alert.labels, &b.alert.labels));
            found.push(GroupView {
                labels: group.labels.clone(),
                receiver: route.receiver.clone(),
                key: group.key.clone(),
                route_id: route.id.clone(),
                alerts,
                next_ms: group.next_ms,
                in_flight: group.in_flight.is_some(),
            });
        }
        for view in found.iter_mut().flat_map(|group| &mut group.alerts) {
            let names = receivers.get(&view.alert.fingerprint);
            view.receivers = names.into_iter().flatten().map(|name| (*name).to_owned()).collect();
        }
        found.sort_by(|a, b| compare_labels(&a.labels, &b.labels).then_with(|| a.receiver.cmp(&b.receiver)));
        found
    }

    /// What each route has to do, in the order of the tree.
    pub fn routes(&self) -> Vec<RouteView> {
        let new = |r: &crate::config::Route| RouteView {
            id: r.id.clone(),
            receiver: r.receiver.clone(),
            groups: 0,
            alerts: 0,
            counters: self.counters.routes.get(&r.id).copied().unwrap_or_default(),
        };
        let mut views: Vec<RouteView> = self.routing.routes().iter().map(new).collect();
        for group in self.groups.iter() {
            if let Some(view) = views.get_mut(group.route) {
                view.groups += 1;
                view.alerts += group.alerts.len();
            }
        }
        views
    }

    /// Figures for the metrics page.
    pub fn totals(&self) -> Totals {
        let mut alerts: BTreeMap<_, _> = AlertState::ALL.into_iter().map(|state| (state, 0)).collect();
        for stored in self.alerts.values().filter(|s| s.firing) {
            let marks = &stored.marks;
            let state = match marks.inhibited_by.is_some() || !marks.silenced_by.is_empty() {
                true => AlertState::Suppressed,
                false if marks.processed => AlertState::Active,
                false => AlertState::Unprocessed,
            };
            *alerts.entry(state).or_default() += 1;
        }
        Totals {
            alerts,
            stored: self.alerts.len(),
            memory_bytes: self.memory_bytes,
            groups: self.groups.len(),
            log_entries: self.log.len(),
            counters: self.counters.clone(),
        }
    }

    fn receivers(&self, stored: &Stored) -> Vec<String> {
        let routes = stored.routes.iter().filter_map(|r| self.routing.routes().get(*r));
        routes.map(|r| r.receiver.clone()).collect()
    }

    /// The status as of now: upstream, too, looks again whenever somebody asks.
    fn status(&self, stored: &Stored, now_ms: i64) -> AlertStatus {
        let labels = &stored.alert.labels;
        let inhibited_by = self.inhibitor.source_of(labels, now_ms);
        let mut candidates = stored.candidates.clone();
        self.silences.catch_up(&mut candidates, labels, now_ms);
        let silenced_by: Vec<String> =
            self.silences.active(&candidates, now_ms).map(|s| s.id.clone()).collect();
        let muted_by = self.muted_by_of(stored);
        let suppressed = inhibited_by.is_some() || !silenced_by.is_empty() || !muted_by.is_empty();
        let state = if suppressed { AlertState::Suppressed } else { AlertState::Active };
        AlertStatus { state, silenced_by, inhibited_by, muted_by }
    }

    fn muted_by_of(&self, stored: &Stored) -> Vec<String> {
        let mut names = BTreeSet::new();
        for route in stored.routes.iter() {
            let Some(at) = self.routing.routes().get(*route) else { continue };
            if at.mute_time_intervals.is_empty() && at.active_time_intervals.is_empty() {
                continue;
            }
            let id = self.groups.find(*route, &at.group_labels(&stored.alert.labels));
            names.extend(id.and_then(|id| self.groups.get(id)).into_iter().flat_map(|g| g.muted_by.clone()));
        }
        names.into_iter().collect()
    }
}
