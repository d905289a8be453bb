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
pub mod matchers;
mod notification;
mod silence;

pub use alert::{Alert, AlertError, MAX_ALERT_BYTES, PostedAlert};
pub use identity::{compare_labels, fingerprint, fingerprint_text};
pub use inhibition::InhibitRule;
pub use notification::{
    Deliver, DeliverError, Delivered, FailureReason, Integration, IntegrationKey, Integrations, Notification,
    NotifiedAlert, Reason,
};
pub use silence::{
    PostedRecurring, PostedSilence, RecurringSilence, Schedule, ScheduleSection, Silence, SilenceError,
    SilenceState,
};

/// How long the alerts of a silence that lasts until they are resolved must have been resolved before it ends. Alerts flap, and
/// after a restart their senders need a moment to say again what fires.
pub const UNTIL_RESOLVED_HOLD_MS: i64 = 5 * 60_000;
