//! Alerting as a value: alerts, silences and the time go in, work comes out.

mod flush;
mod groups;
mod rehearsal;
mod reload;
mod silences;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rand::{SeedableRng as _, rngs::StdRng};
use reba_storage::StateChange;

pub use flush::{GroupWork, LogUpdate, Outgoing};
pub use groups::GroupId;
pub use rehearsal::Rehearsal;
pub use silences::RecurringView;
pub use view::{AlertFilter, AlertState, AlertStatus, AlertView, GroupView, RouteView, Totals};

use crate::{
    alert::{Alert, AlertError, PostedAlert},
    config::Routing,
    event::{AlertChange, Event, What},
    fingerprint_text,
    inhibition::Inhibitor,
    log::NotificationLog,
    notification::Integrations,
    saved::{self, Saved, Stale, Unsaved},
    silence::{Candidates, SilenceLimits, Silences},
};
use groups::Groups;
use silences::Recurring;

/// What the machine may take, and how long things last. Defaults are upstream's where upstream has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// After how long an alert counts as resolved whose sender gave no end (`global.resolve_timeout`), milliseconds.
    pub resolve_timeout_ms: i64,
    /// How long silences are kept after their end, and entries of the notification log at most (`data.retention`), milliseconds.
    pub retention_ms: i64,
    /// How often resolved alerts are forgotten (`alerts.gc-interval`), milliseconds.
    pub gc_interval_ms: i64,
    /// How many alerts there may be, resolved ones included that are not forgotten.
    pub max_alerts: usize,
    /// Bytes of memory that alerts may take together, about.
    pub max_memory_bytes: usize,
    /// How many groups there may be; alerts beyond find no group, and are tried again when they are sent again.
    pub max_groups: usize,
    /// How many silences there may be, expired ones included.
    pub max_silences: usize,
    /// Bytes of one silence.
    pub max_silence_bytes: usize,
    /// How many schedules of silences there may be.
    pub max_recurring: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            resolve_timeout_ms: 5 * 60_000,
            retention_ms: 120 * 3_600_000,
            gc_interval_ms: 30 * 60_000,
            max_alerts: 200_000,
            max_memory_bytes: 1 << 30,
            max_groups: 200_000,
            max_silences: 10_000,
            max_silence_bytes: 32 << 10,
            max_recurring: 1_000,
        }
    }
}

impl Options {
    fn silence_limits(&self) -> SilenceLimits {
        SilenceLimits {
            max_silences: self.max_silences,
            max_bytes: self.max_silence_bytes,
            retention_ms: self.retention_ms,
        }
    }
}

/// What became of alerts that were posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostReport {
    /// How many fired.
    pub firing: usize,
    /// How many were resolved.
    pub resolved: usize,
    /// Those that were not taken: their place in the post, and why. The others were.
    pub refused: Vec<(usize, AlertError)>,
}

/// An alert with what is known of it.
#[derive(Clone, Debug)]
struct Stored {
    alert: Arc<Alert>,
    /// Whether it fired when it was last looked at.
    firing: bool,
    /// The routes that take it.
    routes: Arc<[usize]>,
    candidates: Candidates,
    marks: Marks,
}

/// What the last look at its group said of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Marks {
    processed: bool,
    silenced_by: Vec<String>,
    inhibited_by: Option<u64>,
}

/// What has been counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Alerts that were posted and fired.
    pub received_firing: u64,
    /// Alerts that were posted and were resolved.
    pub received_resolved: u64,
    /// Alerts that were refused.
    pub invalid: u64,
    /// Alerts that found no group, for there were [`Options::max_groups`].
    pub group_limit_reached: u64,
    /// Alerts that were kept from a notification, by reason: `inhibition`, `silence`, `mute_time_interval`, `active_time_interval`.
    pub suppressed: BTreeMap<&'static str, u64>,
    /// Questions to the notification log.
    pub log_queries: u64,
    /// Questions which silences hold for an alert, at ticks of its groups.
    pub silence_queries: u64,
    /// By route id; only routes of the configuration in force.
    pub routes: BTreeMap<Arc<str>, RouteCounters>,
}

/// What a route has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounters {
    /// Ticks of its groups.
    pub ticks: u64,
    /// Notifications that the log did not hold back, counted for each integration.
    pub notifications: u64,
    /// Ticks at which not everybody could be told.
    pub failed: u64,
}

/// Everything that alerting knows. Its functions never wait, and cost no more than the alerts they concern; [`Machine::poll`] is
/// bounded, too.
#[derive(Debug)]
pub struct Machine {
    options: Options,
    routing: Arc<Routing>,
    integrations: Arc<Integrations>,
    alerts: HashMap<u64, Stored>,
    /// What the alerts take, by [`Alert::weight`].
    memory_bytes: usize,
    /// Firing alerts by their end.
    ends: BTreeSet<(i64, u64)>,
    inhibitor: Inhibitor,
    groups: Groups,
    silences: Silences,
    recurring: Recurring,
    log: NotificationLog,
    unsaved: Unsaved,
    events: Vec<Event>,
    counters: Counters,
    random: StdRng,
    next_gc_ms: i64,
    /// The time of the last poll, Unix milliseconds.
    polled_ms: i64,
}

impl Machine {
    /// A machine that knows what was saved. `seed` is for the ids of silences: give real randomness.
    ///
    /// Alerts that fired when Reba ended fire on for `resolve_timeout`, unless they are sent again or resolved by then.
    pub fn new(
        routing: Arc<Routing>,
        integrations: Arc<Integrations>,
        options: Options,
        saved: Saved,
        now_ms: i64,
        seed: [u8; 32],
    ) -> Self {
        let mut machine = Machine {
            inhibitor: Inhibitor::new(routing.inhibit_rules()),
            options,
            routing,
            integrations,
            alerts: HashMap::new(),
            memory_bytes: 0,
            ends: BTreeSet::new(),
            groups: Groups::default(),
            silences: Silences::default(),
            recurring: Recurring::default(),
            log: NotificationLog::default(),
            unsaved: Unsaved::default(),
            events: Vec::new(),
            counters: Counters::default(),
            random: StdRng::from_seed(seed),
            next_gc_ms: now_ms.saturating_add(options.gc_interval_ms),
            polled_ms: now_ms,
        };
        machine.restore(saved, now_ms);
        machine
    }

    fn restore(&mut self, saved: Saved, now_ms: i64) {
        for silence in saved.silences {
            self.silences.restore(silence, now_ms, &self.options.silence_limits());
        }
        for recurring in saved.recurring {
            self.recurring.restore(recurring, now_ms);
        }
        for (key, entry) in saved.log {
            self.log.set(key, entry);
        }
        for (mut alert, firing) in saved.alerts {
            if firing {
                let grace = now_ms.saturating_add(self.options.resolve_timeout_ms);
                alert.ends_at_ms = alert.ends_at_ms.max(grace);
            }
            self.inhibitor.set(&alert.labels, alert.fingerprint, None, alert.ends_at_ms);
            let alert = Arc::new(alert);
            for route in self.store(alert.clone(), firing).iter() {
                self.regroup(*route, alert.clone(), now_ms);
            }
        }
        self.resume_ticks(now_ms);
    }

    /// Takes alerts. Those that are refused do not keep the others out.
    pub fn post(&mut self, alerts: &[PostedAlert], now_ms: i64) -> PostReport {
        let mut report = PostReport::default();
        for (i, posted) in alerts.iter().enumerate() {
            match self.take(posted, now_ms) {
                Ok(true) => report.firing += 1,
                Ok(false) => report.resolved += 1,
                Err(error) => report.refused.push((i, error)),
            }
        }
        self.counters.received_firing += report.firing as u64;
        self.counters.received_resolved += report.resolved as u64;
        self.counters.invalid += report.refused.len() as u64;
        report
    }

    /// Takes one alert; returns whether it fires.
    fn take(&mut self, posted: &PostedAlert, now_ms: i64) -> Result<bool, AlertError> {
        let alert = Alert::new(posted, now_ms, self.options.resolve_timeout_ms)?;
        let posted_firing = !alert.is_resolved(now_ms);
        let fingerprint = alert.fingerprint;
        let old = self.alerts.get(&fingerprint).map(|s| (s.alert.clone(), s.firing));
        if old.is_none() && self.alerts.len() >= self.options.max_alerts {
            return Err(AlertError::TooMany(self.alerts.len()));
        }
        let alert = Arc::new(match &old {
            Some((old, _)) => alert.after(old, now_ms),
            None => alert,
        });
        let grows_by = alert.weight().saturating_sub(old.as_ref().map_or(0, |(old, _)| old.weight()));
        if grows_by > 0 && self.memory_bytes + grows_by > self.options.max_memory_bytes {
            return Err(AlertError::TooMuchMemory(self.options.max_memory_bytes));
        }
        let firing = !alert.is_resolved(now_ms);
        let old_end = old.as_ref().map(|(old, _)| old.ends_at_ms);
        self.inhibitor.set(&alert.labels, fingerprint, old_end, alert.ends_at_ms);
        let was_firing = old.as_ref().is_some_and(|(_, firing)| *firing);
        let is_news = old.as_ref().is_none_or(|(old, was_firing)| {
            *was_firing != firing
                || old.annotations != alert.annotations
                || old.starts_at_ms != alert.starts_at_ms
        });
        if is_news {
            self.unsaved.mark(Stale::Alert(fingerprint));
        }
        if firing != was_firing {
            let change = if firing { AlertChange::Firing } else { AlertChange::Resolved };
            self.event(now_ms, What::Alert { change, alert: alert.clone() });
        }
        for route in self.store(alert.clone(), firing).iter() {
            self.group(*route, alert.clone(), now_ms);
        }
        Ok(posted_firing)
    }

    /// Keeps an alert, new or not; returns the routes that take it.
    fn store(&mut self, alert: Arc<Alert>, firing: bool) -> Arc<[usize]> {
        let fingerprint = alert.fingerprint;
        self.memory_bytes += alert.weight();
        let routes = match self.alerts.get_mut(&fingerprint) {
            Some(stored) => {
                self.memory_bytes -= stored.alert.weight();
                self.ends.remove(&(stored.alert.ends_at_ms, fingerprint));
                stored.alert = alert.clone();
                stored.firing = firing;
                stored.routes.clone()
            }
            None => {
                let routes: Arc<[usize]> = self.routing.matching(&alert.labels).into();
                let stored = Stored {
                    alert: alert.clone(),
                    firing,
                    routes: routes.clone(),
                    candidates: Candidates::default(),
                    marks: Marks::default(),
                };
                self.alerts.insert(fingerprint, stored);
                routes
            }
        };
        if firing {
            self.ends.insert((alert.ends_at_ms, fingerprint));
        }
        routes
    }

    /// Takes everything that is to happen along with a clock that was set back: until it is again where it was, nobody would hear
    /// of anything.
    fn follow_clock(&mut self, now_ms: i64) {
        let back_ms = self.polled_ms.saturating_sub(now_ms);
        self.polled_ms = now_ms;
        if back_ms > 0 {
            self.groups.advance_ticks(back_ms);
            self.next_gc_ms = self.next_gc_ms.saturating_sub(back_ms);
            self.recurring.check_at_once();
            // Silences that were over a moment ago may hold again.
            self.alerts.values_mut().for_each(|stored| stored.candidates = Candidates::default());
        }
    }

    /// Lets time pass for alerts: those that were not sent again in time are resolved.
    fn time_out(&mut self, now_ms: i64) {
        while let Some((ends_at_ms, fingerprint)) = self.ends.first().copied()
            && ends_at_ms <= now_ms
        {
            self.ends.pop_first();
            let Some(stored) = self.alerts.get_mut(&fingerprint) else { continue };
            stored.firing = false;
            let alert = stored.alert.clone();
            self.unsaved.mark(Stale::Alert(fingerprint));
            self.event(now_ms, What::Alert { change: AlertChange::TimedOut, alert });
        }
    }

    /// Forgets resolved alerts that no group waits to tell of, and entries of the notification log whose time is over.
    fn collect_garbage(&mut self, now_ms: i64) {
        if now_ms < self.next_gc_ms {
            return;
        }
        self.next_gc_ms = now_ms.saturating_add(self.options.gc_interval_ms);
        let over = self
            .alerts
            .iter()
            .filter(|(fingerprint, stored)| !stored.firing && !self.is_grouped(**fingerprint, stored));
        let over: Vec<u64> = over.map(|(fingerprint, _)| *fingerprint).collect();
        for fingerprint in over {
            if let Some(stored) = self.alerts.remove(&fingerprint) {
                self.memory_bytes -= stored.alert.weight();
                self.inhibitor.remove(&stored.alert.labels, fingerprint, stored.alert.ends_at_ms);
                self.unsaved.mark(Stale::Alert(fingerprint));
            }
        }
        for key in self.log.forget(now_ms) {
            self.unsaved.mark(Stale::Log(key));
        }
    }

    /// When [`Machine::poll`] has something to do next, Unix milliseconds.
    pub fn next_wake(&self) -> i64 {
        let ends = self.ends.first().map(|(at_ms, _)| *at_ms);
        let times = [self.groups.next_tick(), ends, self.silences.next_edge(), self.next_silence_work()];
        times.into_iter().flatten().fold(self.next_gc_ms, i64::min)
    }

    /// What has happened since this was last called, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn event(&mut self, at_ms: i64, what: What) {
        self.events.push(Event { at_ms, what });
    }

    /// Whether there is anything to save.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Whether silences or entries of the notification log wait to be saved.
    pub fn has_urgent_unsaved(&self) -> bool {
        self.unsaved.has_urgent()
    }

    /// Up to `max` documents that are out of date, as they are to be written. What could not be written goes back to
    /// [`Machine::still_unsaved`].
    pub fn take_unsaved(&mut self, max: usize, now_ms: i64) -> UnsavedBatch {
        let stale = self.unsaved.take(max);
        let changes = stale.iter().map(|what| self.change(what, now_ms)).collect();
        UnsavedBatch { changes, stale }
    }

    /// Takes back what could not be written.
    pub fn still_unsaved(&mut self, batch: UnsavedBatch) {
        for what in batch.stale {
            self.unsaved.mark(what);
        }
    }

    fn change(&self, what: &Stale, now_ms: i64) -> StateChange {
        match what {
            Stale::Silence(id) => {
                let body = self.silences.get(id).map(|s| saved::silence_body(s));
                saved::change(saved::SILENCES, id, body, now_ms)
            }
            Stale::Recurring(id) => {
                let body = self.recurring.get(id).map(|r| saved::recurring_body(r));
                saved::change(saved::RECURRING, id, body, now_ms)
            }
            Stale::Log(key) => {
                let body = self.log.get(key).map(saved::entry_body);
                saved::change(saved::LOG, key, body, now_ms)
            }
            Stale::Alert(fingerprint) => {
                let stored = self.alerts.get(fingerprint);
                let body = stored.map(|s| saved::alert_body(&s.alert, s.firing));
                saved::change(saved::ALERTS, &fingerprint_text(*fingerprint), body, now_ms)
            }
        }
    }
}

/// Documents to write, all at once.
#[derive(Debug)]
pub struct UnsavedBatch {
    /// The changes for the state store.
    pub changes: Vec<StateChange>,
    stale: Vec<Stale>,
}
