//! What receivers are handed, and how they answer.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::future::BoxFuture;
use reba_model::Labels;

/// One way out: the n-th integration of a kind in a receiver. The notification log remembers what each was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntegrationKey {
    /// The receiver's name.
    pub receiver: String,
    /// The kind, as upstream's metrics name it: `email`, `slack`, `webhook`, …
    pub integration: &'static str,
    /// Its place among those of the same kind in the receiver, from 0.
    pub index: usize,
}

/// `receiver/slack[0]`.
impl fmt::Display for IntegrationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}[{}]", self.receiver, self.integration, self.index)
    }
}

/// What the machine must know of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Which one it is.
    pub key: IntegrationKey,
    /// Whether it wants to hear of resolved alerts.
    pub send_resolved: bool,
}

/// The integrations of every receiver that routes may name. A receiver without any takes alerts and tells nobody.
pub type Integrations = BTreeMap<String, Vec<Integration>>;

/// Why a group is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The receiver knows nothing of the group, or thinks that it is resolved.
    First,
    /// An alert is firing that the receiver has not heard of.
    NewAlerts,
    /// Nothing is firing any more.
    AllResolved,
    /// An alert was resolved that the receiver has not heard of.
    NewResolved,
    /// Nothing is new, but the last notification is older than `repeat_interval`.
    Repeat,
    /// Somebody tests the receiver.
    Test,
}

impl Reason {
    /// In words, for events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::First => "first notification",
            Reason::NewAlerts => "new alerts in group",
            Reason::AllResolved => "all alerts resolved",
            Reason::NewResolved => "new resolved alerts",
            Reason::Repeat => "repeat interval elapsed",
            Reason::Test => "test of the receiver",
        }
    }
}

/// A group of alerts for one integration: all alerts of the group that are neither inhibited nor silenced, not only those that are
/// new.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The receiver's name.
    pub receiver: String,
    /// Names the group across restarts and peers, as upstream builds it: `{}/{severity="page"}:{alertname="A"}`.
    pub group_key: Arc<str>,
    /// The labels that all alerts of the group share by `group_by`.
    pub group_labels: Labels,
    /// Sorted by job, instance, then all labels; never empty. Without the resolved ones if the integration does not want them.
    pub alerts: Arc<[NotifiedAlert]>,
    /// The path of the route, for metrics and events: `{}/{severity="page"}/0`.
    pub route_id: Arc<str>,
    /// Why it is sent.
    pub reason: Reason,
    /// What the integration said last time to remember of this group (the message to update, the thread to answer in).
    pub remembered: BTreeMap<String, String>,
    /// The tick of the group, Unix milliseconds; the same for every try.
    pub now_ms: i64,
    /// When the next tick takes over, Unix milliseconds: what has not been delivered by then is given up for this time.
    pub deadline_ms: i64,
}

/// An alert as a receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifiedAlert {
    /// What identifies it.
    pub labels: Labels,
    /// What tells people about it.
    pub annotations: Labels,
    /// When it began, Unix milliseconds.
    pub starts_at_ms: i64,
    /// When it was resolved, Unix milliseconds; `None` while it fires.
    pub ends_at_ms: Option<i64>,
    /// Where the rule's expression is shown; may be empty.
    pub generator_url: Arc<str>,
    /// [`crate::fingerprint`] of the labels.
    pub fingerprint: u64,
    /// Whether it fires.
    pub firing: bool,
}

/// A notification that has arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What the receiver answered, in one line for events (`200 OK`); without secrets.
    pub answer: String,
    /// What to hand back with the next notification of the group; `None` keeps what was remembered.
    pub remember: Option<BTreeMap<String, String>>,
}

/// Whose fault a failure is, as upstream's `alertmanager_notifications_failed_total` tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureReason {
    /// A 4xx answer.
    ClientError,
    /// A 5xx answer.
    ServerError,
    /// Reba stopped.
    ContextCanceled,
    /// The group's next tick came first.
    ContextDeadlineExceeded,
    /// Anything else.
    #[default]
    Other,
}

impl FailureReason {
    /// All of them, in the order of metrics.
    pub const ALL: [FailureReason; 5] = [
        FailureReason::ClientError,
        FailureReason::ServerError,
        FailureReason::ContextCanceled,
        FailureReason::ContextDeadlineExceeded,
        FailureReason::Other,
    ];

    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::ClientError => "clientError",
            FailureReason::ServerError => "serverError",
            FailureReason::ContextCanceled => "contextCanceled",
            FailureReason::ContextDeadlineExceeded => "contextDeadlineExceeded",
            FailureReason::Other => "other",
        }
    }
}

/// Why a try failed. The text is for people and has no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliverError {
    /// Whether another try, before the group's next tick, may succeed.
    pub retry: bool,
    /// What went wrong, in one line.
    pub message: String,
    /// For metrics.
    pub reason: FailureReason,
    /// How long the receiver asked us to wait (`Retry-After`), milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl DeliverError {
    /// A failure that another try cannot mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        DeliverError { message: message.into(), ..DeliverError::default() }
    }

    /// A failure that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        DeliverError { retry: true, ..DeliverError::permanent(message) }
    }

    /// The same failure, with whose fault it is.
    pub fn because(self, reason: FailureReason) -> Self {
        DeliverError { reason, ..self }
    }
}

/// Sends notifications. One call is one try; trying again is the caller's business.
pub trait Deliver: Send + Sync {
    /// Hands `note` to `integration`. Returns when the receiver has taken it or has refused it. Dropping the future ends the try.
    fn deliver<'a>(
        &'a self,
        integration: &'a IntegrationKey,
        note: &'a Notification,
    ) -> BoxFuture<'a, Result<Delivered, DeliverError>>;
}
