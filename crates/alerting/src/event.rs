//! What happened, as data: every change of an alert or a silence, and every try to notify. Whoever starts alerting gets these and
//! writes the alert history from them.

use std::sync::Arc;

use reba_model::Labels;

use crate::{
    alert::Alert,
    notification::IntegrationKey,
    silence::{RecurringSilence, Silence},
};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// An alert changed.
    Alert {
        /// How.
        change: AlertChange,
        /// The alert as it is now.
        alert: Arc<Alert>,
    },
    /// A silence changed.
    Silence {
        /// How.
        change: SilenceChange,
        /// The silence as it is now.
        silence: Arc<Silence>,
    },
    /// A schedule of silences changed.
    Recurring {
        /// How.
        change: RecurringChange,
        /// The schedule as it is now, or was.
        recurring: Arc<RecurringSilence>,
    },
    /// A try to notify ended.
    Attempt(Attempt),
}

/// How an alert changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// It began to fire, for the first time or again.
    Firing,
    /// It was resolved by its sender.
    Resolved,
    /// It was not sent again in time and counts as resolved.
    TimedOut,
    /// A group was looked at, and nobody hears of this alert from now on.
    Suppressed {
        /// Silences that keep it silent.
        silenced_by: Vec<String>,
        /// Fingerprint of the alert that inhibits it.
        inhibited_by: Option<u64>,
    },
    /// Nothing keeps it silent any more.
    Unsuppressed,
}

impl AlertChange {
    /// In one word, for logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            AlertChange::Firing => "firing",
            AlertChange::Resolved => "resolved",
            AlertChange::TimedOut => "timed_out",
            AlertChange::Suppressed { .. } => "suppressed",
            AlertChange::Unsuppressed => "unsuppressed",
        }
    }
}

/// How a silence changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceChange {
    /// It was made.
    Created,
    /// Its end, comment or beginning was changed.
    Updated,
    /// Its time has come.
    Started,
    /// Its time is over.
    Ended,
    /// Somebody ended it.
    Expired,
    /// It was to last until its alerts were resolved, and they are.
    AlertsResolved,
    /// It ended long ago and is forgotten.
    Forgotten,
}

impl SilenceChange {
    /// In one word, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceChange::Created => "created",
            SilenceChange::Updated => "updated",
            SilenceChange::Started => "started",
            SilenceChange::Ended => "ended",
            SilenceChange::Expired => "expired",
            SilenceChange::AlertsResolved => "alerts_resolved",
            SilenceChange::Forgotten => "forgotten",
        }
    }
}

/// How a schedule of silences changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurringChange {
    /// It was made or changed.
    Set,
    /// It was removed.
    Deleted,
}

/// A try to notify, with its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Whom.
    pub integration: IntegrationKey,
    /// Of which group.
    pub group_key: Arc<str>,
    /// By which labels the group is one.
    pub group_labels: Labels,
    /// Why.
    pub reason: &'static str,
    /// Which try it was for this tick, from 1.
    pub number: u32,
    /// Fingerprints of the firing alerts, at most [`MAX_EVENT_ALERTS`].
    pub firing: Vec<u64>,
    /// How many fired in all.
    pub firing_total: usize,
    /// Fingerprints of the resolved alerts, at most [`MAX_EVENT_ALERTS`].
    pub resolved: Vec<u64>,
    /// How many were resolved in all.
    pub resolved_total: usize,
    /// How long the try took, milliseconds.
    pub took_ms: i64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How many alerts an event names.
pub const MAX_EVENT_ALERTS: usize = 100;

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived; this is the answer.
    Delivered(String),
    /// It failed, and another try follows in so many milliseconds.
    Retrying {
        /// What went wrong.
        message: String,
        /// How long until the next try.
        in_ms: i64,
    },
    /// It failed, and is given up until the group's next tick.
    Failed(String),
}
