//! The queue of alerts that wait to be sent.

use std::collections::VecDeque;

use reba_model::Alert;

/// A queue that prefers new alerts to old ones: what is old will be sent again by its rule if it still matters.
#[derive(Debug)]
pub(super) struct Queue {
    alerts: VecDeque<Alert>,
    capacity: usize,
    /// Alerts that were lost, here or in sending.
    pub dropped: u64,
}

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Queue { alerts: VecDeque::new(), capacity, dropped: 0 }
    }

    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Adds alerts and returns how many of the oldest had to go.
    pub fn push(&mut self, alerts: Vec<Alert>) -> usize {
        self.alerts.extend(alerts);
        let over = self.alerts.len().saturating_sub(self.capacity);
        self.alerts.drain(..over);
        self.dropped += over as u64;
        over
    }

    /// Takes up to `max` of the oldest.
    pub fn take(&mut self, max: usize) -> Vec<Alert> {
        let n = self.alerts.len().min(max);
        self.alerts.drain(..n).collect()
    }

    /// Gives up what is left and returns how many alerts that were.
    pub fn drop_all(&mut self) -> usize {
        let n = self.alerts.len();
        self.alerts.clear();
        self.dropped += n as u64;
        n
    }
}
