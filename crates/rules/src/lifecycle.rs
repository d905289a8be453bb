//! The life of one alert, as a pure function of time: nothing here reads a clock or knows a rule.

/// How long a resolved alert is remembered, and so sent again: 15 minutes.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Resolved, and remembered for a while.
    Inactive,
    /// Its element is there, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// The name in labels and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// Everything time has done to one alert. Times are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Where it stands.
    pub state: AlertState,
    /// Since when its element has been there.
    pub active_at: i64,
    /// When it last began to fire.
    pub fired_at: Option<i64>,
    /// When it was resolved; only if it is inactive.
    pub resolved_at: Option<i64>,
    /// When it was last sent.
    pub last_sent_at: Option<i64>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<i64>,
}

/// The two durations of a rule, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `for`
    pub hold: i64,
    /// `keep_firing_for`
    pub keep_firing_for: i64,
}

/// What one evaluation did to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is new and waits.
    Pending,
    /// It began to fire.
    Fired,
    /// It stopped firing.
    Resolved,
    /// It is forgotten: it never fired, or its retention is over.
    Forgotten,
    /// It fires no more because the rule's `for` has grown.
    Held,
}

/// What comes after one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The alert from now on; `None` if it is forgotten.
    pub next: Option<Lifecycle>,
    /// What happened, if anything.
    pub event: Option<Event>,
}

impl Lifecycle {
    /// An alert whose element is there for the first time.
    pub fn new(now: i64) -> Self {
        Lifecycle {
            state: AlertState::Pending,
            active_at: now,
            fired_at: None,
            resolved_at: None,
            last_sent_at: None,
            keep_firing_since: None,
        }
    }

    /// Whether it is pending or firing.
    pub fn is_active(&self) -> bool {
        self.state != AlertState::Inactive
    }

    /// Whether it must be sent now: it fires or is resolved, and was never sent, was resolved since, or was sent
    /// longer than `resend_delay` ago.
    pub fn needs_sending(&self, now: i64, resend_delay: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(sent) = self.last_sent_at else { return true };
        self.resolved_at.is_some_and(|resolved| resolved > sent) || sent.saturating_add(resend_delay) < now
    }
}

/// One evaluation at `now` of an alert that is known (`before`) or not, and whose element is there (`present`) or not.
pub fn step(before: Option<Lifecycle>, present: bool, now: i64, timing: Timing) -> Step {
    let known = before.filter(|a| a.is_active());
    match (known, present) {
        (Some(alert), true) => advance(Lifecycle { keep_firing_since: None, ..alert }, None, now, timing),
        (None, true) => advance(Lifecycle::new(now), Some(Event::Pending), now, timing),
        (Some(alert), false) => leave(alert, now, timing),
        (None, false) => match before {
            Some(resolved) if resolved.resolved_at.is_some_and(|at| now - at <= RESOLVED_RETENTION_MS) => {
                Step { next: Some(resolved), event: None }
            }
            Some(_) => Step { next: None, event: Some(Event::Forgotten) },
            None => Step { next: None, event: None },
        },
    }
}

/// The element is gone.
fn leave(alert: Lifecycle, now: i64, timing: Timing) -> Step {
    if alert.state == AlertState::Pending {
        return Step { next: None, event: Some(Event::Forgotten) };
    }
    let since = alert.keep_firing_since.unwrap_or(now);
    if timing.keep_firing_for > 0 && now - since < timing.keep_firing_for {
        return advance(Lifecycle { keep_firing_since: Some(since), ..alert }, None, now, timing);
    }
    let resolved = Lifecycle { state: AlertState::Inactive, resolved_at: Some(now), ..alert };
    Step { next: Some(resolved), event: Some(Event::Resolved) }
}

/// Moves between pending and firing.
fn advance(mut alert: Lifecycle, mut event: Option<Event>, now: i64, timing: Timing) -> Step {
    let held_for = now - alert.active_at;
    match alert.state {
        AlertState::Pending if held_for >= timing.hold => {
            alert.state = AlertState::Firing;
            alert.fired_at = Some(now);
            event = Some(Event::Fired);
        }
        AlertState::Firing if held_for < timing.hold => {
            alert = Lifecycle {
                state: AlertState::Pending,
                fired_at: None,
                last_sent_at: None,
                keep_firing_since: None,
                ..alert
            };
            event = Some(Event::Held);
        }
        _ => {}
    }
    Step { next: Some(alert), event }
}

/// The time since which an alert counts as active after a restart, from what `ALERTS_FOR_STATE` last said.
///
/// `stored` is that series' last value, `down_at` the time of that sample, both Unix milliseconds. What would fire
/// within the grace period anyway fires when it is over; what has longer to wait does not count the time that was lost.
pub fn restored_active_at(stored: i64, down_at: i64, now: i64, hold: i64, grace: i64) -> i64 {
    let remaining = hold - (down_at - stored);
    if remaining <= 0 {
        stored
    } else if remaining < grace {
        now + grace - hold
    } else {
        stored + (now - down_at)
    }
}
