//! What is to be done now: ticks of groups, and what became of them.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::Labels;

use super::{Machine, Marks, groups::GroupId};
use crate::{
    alert::Alert,
    config::Route,
    event::{AlertChange, What},
    identity::compare_alerts,
    log::{LogEntry, Tick, decide, log_key},
    notification::{Integration, IntegrationKey, Notification, NotifiedAlert, Reason},
    saved::Stale,
};

/// How many groups one call of [`Machine::poll`] looks at: whoever holds the machine should not hold it long.
const GROUPS_PER_POLL: usize = 256;

/// The shortest time that a notification is given, whatever `group_interval` says, milliseconds.
const MIN_DEADLINE_MS: i64 = 10_000;

/// A group that has something to tell. [`Machine::finished`] must be called with it in any case, once all of `sends` have ended.
#[derive(Clone, Debug)]
pub struct GroupWork {
    /// Which group.
    pub group: GroupId,
    /// Its key.
    pub group_key: Arc<str>,
    /// Whom to tell, each on its own; never empty.
    pub sends: Vec<Outgoing>,
}

/// A notification for one integration.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Whom to tell.
    pub integration: IntegrationKey,
    /// What.
    pub note: Notification,
    /// What [`Machine::sent`] records once it has arrived.
    pub log: LogUpdate,
}

/// What the notification log will say once a notification has arrived.
#[derive(Clone, Debug)]
pub struct LogUpdate {
    key: String,
    firing: Arc<[u64]>,
    resolved: Arc<[u64]>,
    keep_ms: i64,
}

/// The alerts of a group that somebody may hear of.
struct Told {
    all: Arc<[NotifiedAlert]>,
    firing_only: Option<Arc<[NotifiedAlert]>>,
    firing: Arc<[u64]>,
    resolved: Arc<[u64]>,
}

impl Machine {
    /// Lets time pass until now, and returns groups that have something to tell. There may be more: ask again if
    /// [`Machine::next_wake`] is not later than now.
    pub fn poll(&mut self, now_ms: i64) -> Vec<GroupWork> {
        self.follow_clock(now_ms);
        self.time_out(now_ms);
        self.advance_silences(now_ms);
        let mut work = Vec::new();
        for _ in 0..GROUPS_PER_POLL {
            let Some(id) = self.groups.pop_due(now_ms) else { break };
            work.extend(self.tick(id, now_ms));
        }
        self.collect_garbage(now_ms);
        work
    }

    /// One tick of a group. Ticks keep their distance from each other, however long notifications take and whatever alerts come.
    fn tick(&mut self, id: GroupId, now_ms: i64) -> Option<GroupWork> {
        let group = self.groups.get_mut(id)?;
        if group.in_flight.is_some() {
            group.due_again = true;
            return None;
        }
        let routing = self.routing.clone();
        let route = routing.routes().get(group.route)?;
        group.flushed = true;
        let on_time = group.next_ms.saturating_add(route.group_interval_ms);
        let next_ms = if on_time > now_ms { on_time } else { now_ms.saturating_add(route.group_interval_ms) };
        let mut alerts: Vec<Arc<Alert>> = group.alerts.values().cloned().collect();
        let (key, labels) = (group.key.clone(), group.labels.clone());
        self.groups.schedule(id, next_ms);
        alerts.sort_by(|a, b| compare_alerts(&a.labels, &b.labels));
        let told = self.told(id, route, &alerts, now_ms);
        let resolved = alerts.into_iter().filter(|a| a.is_resolved(now_ms)).collect();
        let sends: Vec<Outgoing> =
            told.map(|told| self.sends(route, &key, &labels, &told, now_ms)).unwrap_or_default();
        if let Some(group) = self.groups.get_mut(id) {
            group.in_flight = Some(resolved);
        }
        let counters = self.counters.routes.entry(route.id.clone()).or_default();
        counters.ticks += 1;
        counters.notifications += sends.len() as u64;
        if sends.is_empty() {
            self.finished(id, true, now_ms);
            return None;
        }
        Some(GroupWork { group: id, group_key: key, sends })
    }

    /// Those alerts of a group that are not kept silent; none if all are.
    fn told(&mut self, id: GroupId, route: &Route, alerts: &[Arc<Alert>], now_ms: i64) -> Option<Told> {
        let (muted_by, why) = self.muted_by(route, now_ms);
        let is_muted = !muted_by.is_empty();
        if let Some(group) = self.groups.get_mut(id) {
            group.muted_by = muted_by;
        }
        let mut told = Vec::new();
        let (mut firing, mut resolved) = (Vec::new(), Vec::new());
        for alert in alerts {
            let suppressed = self.look_at(alert, now_ms).or(is_muted.then_some(why));
            if let Some(why) = suppressed {
                *self.counters.suppressed.entry(why).or_default() += 1;
                continue;
            }
            let is_firing = !alert.is_resolved(now_ms);
            (if is_firing { &mut firing } else { &mut resolved }).push(alert.log_hash);
            told.push(notified(alert, is_firing));
        }
        if told.is_empty() {
            return None;
        }
        firing.sort_unstable();
        resolved.sort_unstable();
        Some(Told { all: told.into(), firing_only: None, firing: firing.into(), resolved: resolved.into() })
    }

    /// The intervals that keep a route silent now, and what they are counted as.
    fn muted_by(&self, route: &Route, now_ms: i64) -> (Vec<String>, &'static str) {
        let active = &route.active_time_intervals;
        if !active.is_empty() && self.routing.holding(active, now_ms).is_empty() {
            return (active.clone(), "active_time_interval");
        }
        let muting = self.routing.holding(&route.mute_time_intervals, now_ms);
        (muting.into_iter().map(str::to_owned).collect(), "mute_time_interval")
    }

    /// Notes whether an alert is inhibited or silenced now; returns which of the two.
    fn look_at(&mut self, alert: &Arc<Alert>, now_ms: i64) -> Option<&'static str> {
        let inhibited_by = self.inhibitor.source_of(&alert.labels, now_ms);
        let Some(stored) = self.alerts.get_mut(&alert.fingerprint) else {
            return inhibited_by.map(|_| "inhibition");
        };
        self.counters.silence_queries += 1;
        self.silences.catch_up(&mut stored.candidates, &alert.labels, now_ms);
        let silenced_by: Vec<String> =
            self.silences.active(&stored.candidates, now_ms).map(|s| s.id.clone()).collect();
        let why = match (inhibited_by, silenced_by.is_empty()) {
            (Some(_), _) => Some("inhibition"),
            (None, false) => Some("silence"),
            (None, true) => None,
        };
        let marks = Marks { processed: true, silenced_by, inhibited_by };
        let was_suppressed = stored.marks.inhibited_by.is_some() || !stored.marks.silenced_by.is_empty();
        let changed = stored.marks != marks && (why.is_some() || was_suppressed);
        stored.marks = marks;
        if changed {
            let change = match why {
                Some(_) => AlertChange::Suppressed {
                    silenced_by: stored.marks.silenced_by.clone(),
                    inhibited_by: stored.marks.inhibited_by,
                },
                None => AlertChange::Unsuppressed,
            };
            self.event(now_ms, What::Alert { change, alert: alert.clone() });
        }
        why
    }

    /// The notifications that the log does not hold back.
    fn sends(
        &mut self,
        route: &Route,
        group_key: &Arc<str>,
        group_labels: &Labels,
        told: &Told,
        now_ms: i64,
    ) -> Vec<Outgoing> {
        let integrations = self.integrations.clone();
        let mut firing_only = told.firing_only.clone();
        let mut sends = Vec::new();
        for integration in integrations.get(&route.receiver).into_iter().flatten() {
            self.counters.log_queries += 1;
            let Some((update, reason)) = self.wanted(route, group_key, integration, told, now_ms) else {
                continue;
            };
            let alerts = if integration.send_resolved || told.resolved.is_empty() {
                told.all.clone()
            } else if told.firing.is_empty() {
                // It does not want to hear this, but the next alert is to be a new one.
                self.sent(&update, None, now_ms);
                continue;
            } else {
                let firing = || told.all.iter().filter(|a| a.firing).cloned().collect();
                firing_only.get_or_insert_with(firing).clone()
            };
            let note = Notification {
                receiver: route.receiver.clone(),
                group_key: group_key.clone(),
                group_labels: group_labels.clone(),
                alerts,
                route_id: route.id.clone(),
                reason,
                remembered: self.remembered(&update.key, reason),
                now_ms,
                deadline_ms: now_ms.saturating_add(route.group_interval_ms.max(MIN_DEADLINE_MS)),
            };
            sends.push(Outgoing { integration: integration.key.clone(), note, log: update });
        }
        sends
    }

    /// Asks the notification log.
    fn wanted(
        &self,
        route: &Route,
        group_key: &str,
        integration: &Integration,
        told: &Told,
        now_ms: i64,
    ) -> Option<(LogUpdate, Reason)> {
        let key = log_key(group_key, &integration.key);
        let tick = Tick {
            firing: &told.firing,
            resolved: &told.resolved,
            send_resolved: integration.send_resolved,
            repeat_interval_ms: route.repeat_interval_ms,
            now_ms,
        };
        let reason = decide(self.log.get(&key), &tick)?;
        let keep_ms = self.options.retention_ms.min(route.repeat_interval_ms.saturating_mul(2));
        let update = LogUpdate { key, firing: told.firing.clone(), resolved: told.resolved.clone(), keep_ms };
        Some((update, reason))
    }

    /// What the integration wanted to remember of the group; nothing once the group begins anew.
    fn remembered(&self, key: &str, reason: Reason) -> BTreeMap<String, String> {
        let entry = self.log.get(key).filter(|_| reason != Reason::First);
        entry.map(|e| e.remembered.clone()).unwrap_or_default()
    }

    /// Records that a notification has arrived. `remember` replaces what the integration wanted to remember.
    pub fn sent(&mut self, update: &LogUpdate, remember: Option<BTreeMap<String, String>>, now_ms: i64) {
        let remembered = remember
            .unwrap_or_else(|| self.log.get(&update.key).map(|e| e.remembered.clone()).unwrap_or_default());
        let entry = LogEntry {
            at_ms: now_ms,
            expires_at_ms: now_ms.saturating_add(update.keep_ms),
            firing: update.firing.to_vec(),
            resolved: update.resolved.to_vec(),
            remembered,
        };
        self.log.set(update.key.clone(), entry);
        self.unsaved.mark(Stale::Log(update.key.clone()));
    }

    /// Ends a tick. If everybody was told (`ok`), resolved alerts leave the group, unless they fire again by now; an empty group goes.
    pub fn finished(&mut self, id: GroupId, ok: bool, now_ms: i64) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let resolved = group.in_flight.take().unwrap_or_default();
        if !ok && let Some(route) = self.routing.routes().get(group.route) {
            self.counters.routes.entry(route.id.clone()).or_default().failed += 1;
        }
        if ok {
            for told in resolved {
                let current = group.alerts.get(&told.fingerprint);
                // Sent again meanwhile as resolved at the same time: nothing new.
                let same = |alert: &Arc<Alert>| {
                    alert.ends_at_ms == told.ends_at_ms && alert.starts_at_ms == told.starts_at_ms
                };
                if current.is_some_and(same) {
                    group.alerts.remove(&told.fingerprint);
                }
            }
        }
        let due_again = std::mem::take(&mut group.due_again);
        if group.alerts.is_empty() {
            self.groups.remove(id);
        } else if due_again {
            self.groups.schedule(id, now_ms);
        }
    }
}

pub(super) fn notified(alert: &Alert, firing: bool) -> NotifiedAlert {
    NotifiedAlert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: (!firing).then_some(alert.ends_at_ms),
        generator_url: alert.generator_url.clone(),
        fingerprint: alert.fingerprint,
        firing,
    }
}
