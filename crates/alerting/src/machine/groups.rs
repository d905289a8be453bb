//! Groups of alerts, and when each of them is looked at next.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use reba_model::Labels;

use super::{Machine, Stored};
use crate::{alert::Alert, log::log_key};

/// Names a group as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u64);

/// Alerts of one route with the same group labels.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub route: usize,
    pub labels: Labels,
    pub key: Arc<str>,
    /// By fingerprint. Resolved ones stay until their receivers know.
    pub alerts: BTreeMap<u64, Arc<Alert>>,
    /// When it is looked at next, Unix milliseconds.
    pub next_ms: i64,
    /// Whether it has been looked at yet.
    pub flushed: bool,
    /// Alerts that were resolved in the notification that is on its way.
    pub in_flight: Option<Vec<Arc<Alert>>>,
    /// Whether a tick came while a notification was on its way.
    pub due_again: bool,
    /// Time intervals that kept it silent at its last tick.
    pub muted_by: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    by_id: BTreeMap<GroupId, Group>,
    by_labels: HashMap<(usize, Labels), GroupId>,
    timers: BTreeSet<(i64, GroupId)>,
    last_id: u64,
}

impl Groups {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.by_id.values()
    }

    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.by_id.get(&id)
    }

    pub fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.by_id.get_mut(&id)
    }

    pub fn find(&self, route: usize, labels: &Labels) -> Option<GroupId> {
        self.by_labels.get(&(route, labels.clone())).copied()
    }

    pub fn next_tick(&self) -> Option<i64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the group whose tick is due.
    pub fn pop_due(&mut self, now_ms: i64) -> Option<GroupId> {
        let (at_ms, id) = self.timers.first().copied()?;
        if at_ms > now_ms {
            return None;
        }
        self.timers.pop_first();
        Some(id)
    }

    /// Sets the next tick of a group.
    pub fn schedule(&mut self, id: GroupId, at_ms: i64) {
        if let Some(group) = self.by_id.get_mut(&id) {
            self.timers.remove(&(group.next_ms, id));
            group.next_ms = at_ms;
            self.timers.insert((at_ms, id));
        }
    }

    /// Lets all ticks come so much earlier.
    pub fn advance_ticks(&mut self, by_ms: i64) {
        self.timers.clear();
        for (id, group) in &mut self.by_id {
            group.next_ms = group.next_ms.saturating_sub(by_ms);
            self.timers.insert((group.next_ms, *id));
        }
    }

    /// Adds a group; `id` is that of a group before a reload whose notification is still on its way.
    pub fn add(&mut self, group: Group, id: Option<GroupId>) -> GroupId {
        let id = id.unwrap_or_else(|| {
            self.last_id += 1;
            GroupId(self.last_id)
        });
        self.by_labels.insert((group.route, group.labels.clone()), id);
        self.timers.insert((group.next_ms, id));
        self.by_id.insert(id, group);
        id
    }

    pub fn remove(&mut self, id: GroupId) {
        if let Some(group) = self.by_id.remove(&id) {
            self.timers.remove(&(group.next_ms, id));
            self.by_labels.remove(&(group.route, group.labels));
        }
    }

    /// Takes all groups out; ids go on counting.
    pub fn drain(&mut self) -> BTreeMap<GroupId, Group> {
        self.by_labels.clear();
        self.timers.clear();
        std::mem::take(&mut self.by_id)
    }
}

impl Machine {
    /// Puts an alert into its group on a route again, after a restart or a reload. That a resolved one was there does not mean that
    /// anybody still has to hear of it.
    pub(super) fn regroup(&mut self, route: usize, alert: Arc<Alert>, now_ms: i64) {
        let Some(at) = self.routing.routes().get(route) else { return };
        let key = || at.group_key(&at.group_labels(&alert.labels));
        if !alert.is_resolved(now_ms) || self.is_known(route, &key(), alert.log_hash) {
            self.group(route, alert, now_ms);
        }
    }

    /// Puts an alert into its group on a route.
    pub(super) fn group(&mut self, route: usize, alert: Arc<Alert>, now_ms: i64) {
        let Some(at) = self.routing.routes().get(route) else { return };
        let group_wait_ms = at.group_wait_ms;
        let labels = at.group_labels(&alert.labels);
        let id = match self.groups.find(route, &labels) {
            Some(id) => id,
            None => {
                let key = at.group_key(&labels);
                if alert.is_resolved(now_ms) && !self.is_known(route, &key, alert.log_hash) {
                    return;
                }
                if self.groups.len() >= self.options.max_groups {
                    self.counters.group_limit_reached += 1;
                    return;
                }
                let group = Group {
                    route,
                    labels,
                    key,
                    alerts: BTreeMap::new(),
                    next_ms: now_ms.saturating_add(group_wait_ms),
                    flushed: false,
                    in_flight: None,
                    due_again: false,
                    muted_by: Vec::new(),
                };
                self.groups.add(group, None)
            }
        };
        let waited = alert.starts_at_ms.saturating_add(group_wait_ms) < now_ms;
        let Some(group) = self.groups.get_mut(id) else { return };
        group.alerts.insert(alert.fingerprint, alert);
        if waited && !group.flushed {
            self.groups.schedule(id, now_ms);
        }
    }

    /// After a restart: a group that somebody was told of goes on with its ticks where it was, at once if one was missed.
    pub(super) fn resume_ticks(&mut self, now_ms: i64) {
        let mut next = Vec::new();
        for (id, group) in self.groups.by_id.iter().filter(|(_, g)| !g.flushed) {
            let Some(at) = self.routing.routes().get(group.route) else { continue };
            let integrations = self.integrations.get(&at.receiver).into_iter().flatten();
            let entries = integrations.filter_map(|i| self.log.get(&log_key(&group.key, &i.key)));
            let told = entries.filter(|e| !e.firing.is_empty()).map(|e| e.at_ms).max();
            next.extend(told.map(|at_ms| (*id, at_ms.saturating_add(at.group_interval_ms).max(now_ms))));
        }
        for (id, next_ms) in next {
            self.groups.schedule(id, next_ms);
            if let Some(group) = self.groups.get_mut(id) {
                group.flushed = true;
            }
        }
    }

    /// Whether a receiver was told that the alert fires, and not that it is resolved. Senders repeat for a while that an alert is
    /// resolved; whoever knows that already need not be asked again.
    fn is_known(&self, route: usize, group_key: &str, log_hash: u64) -> bool {
        let receiver = self.routing.routes().get(route).map(|r| r.receiver.as_str());
        let integrations = receiver.and_then(|name| self.integrations.get(name));
        integrations.into_iter().flatten().any(|integration| {
            let entry = self.log.get(&log_key(group_key, &integration.key));
            entry.is_some_and(|e| e.firing.binary_search(&log_hash).is_ok())
        })
    }

    /// Whether a group holds the alert.
    pub(super) fn is_grouped(&self, fingerprint: u64, stored: &Stored) -> bool {
        stored.routes.iter().any(|route| {
            let Some(at) = self.routing.routes().get(*route) else { return false };
            let id = self.groups.find(*route, &at.group_labels(&stored.alert.labels));
            id.and_then(|id| self.groups.get(id)).is_some_and(|g| g.alerts.contains_key(&fingerprint))
        })
    }
}
