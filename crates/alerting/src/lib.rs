//! Decides who hears of which alerts, and when: routes, groups, inhibits, silences and deduplicates.
//!
//! [`Machine`] is the whole of it as a value: alerts, silences and the time go in, work comes out; it knows no clock, no thread and
//! no receiver's settings. [`shell::Alerting`] is the thin part that has all of these: it sends what the machine wants sent, tries
//! again, and saves what must not be forgotten.
//!
//! Conventions: a time is an `i64` of Unix milliseconds and ends in `_ms`.

mod alert;
pub mod config;
pub mod event;
mod identity;
mod inhibition;
mod log;
mod machine;
pub mod matchers;
mod notification;
mod saved;
pub mod shell;
mod silence;
#[cfg(test)]
mod testing;
pub mod upstream;

pub use alert::{Alert, AlertError, MAX_ALERT_BYTES, PostedAlert};
pub use identity::{compare_labels, fingerprint, fingerprint_text};
pub use inhibition::InhibitRule;
pub use machine::{
    AlertFilter, AlertState, AlertStatus, AlertView, Counters, GroupId, GroupView, GroupWork, LogUpdate,
    Machine, Options, Outgoing, PostReport, RecurringView, Rehearsal, RouteCounters, RouteView, Totals,
    UnsavedBatch,
};
pub use notification::{
    Deliver, DeliverError, Delivered, FailureReason, Integration, IntegrationKey, Integrations, Notification,
    NotifiedAlert, Reason,
};
pub use saved::Saved;
pub use silence::{
    PostedRecurring, PostedSilence, RecurringSilence, Schedule, ScheduleSection, Silence, SilenceError,
    SilenceState,
};

/// How long the alerts of a silence that lasts until they are resolved must have been resolved before it ends. Alerts flap, and
/// after a restart their senders need a moment to say again what fires.
pub const UNTIL_RESOLVED_HOLD_MS: i64 = 5 * 60_000;
