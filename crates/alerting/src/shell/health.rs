//! How integrations are: what became of the last try of each.

use std::sync::Arc;

use crate::event::{Attempt, Event, Outcome, What};

/// How an integration is, by its last try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// When the last try ended, Unix milliseconds.
    pub at_ms: i64,
    /// How long it took, milliseconds.
    pub took_ms: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was made.
    pub reason: &'static str,
    /// Of which group.
    pub group_key: Arc<str>,
    /// When a try last succeeded, Unix milliseconds; none since the start.
    pub delivered_ms: Option<i64>,
    /// Tries that failed since then, or since the start.
    pub failures: u64,
}

impl Health {
    /// What is known after another try.
    pub(super) fn after(before: Option<&Health>, at_ms: i64, attempt: &Attempt) -> Health {
        let delivered = matches!(attempt.outcome, Outcome::Delivered(_));
        Health {
            at_ms,
            took_ms: attempt.took_ms,
            outcome: attempt.outcome.clone(),
            reason: attempt.reason,
            group_key: Arc::clone(&attempt.group_key),
            delivered_ms: if delivered { Some(at_ms) } else { before.and_then(|b| b.delivered_ms) },
            failures: if delivered { 0 } else { before.map_or(0, |b| b.failures) + 1 },
        }
    }
}

impl super::Shared {
    /// Tells of a try, and remembers it.
    pub(super) fn tell(&self, at_ms: i64, attempt: Attempt) {
        {
            let mut health = self.health.lock();
            let now = Health::after(health.get(&attempt.integration), at_ms, &attempt);
            health.insert(attempt.integration.clone(), now);
        }
        (self.on_event)(Event { at_ms, what: What::Attempt(attempt) });
    }
}
