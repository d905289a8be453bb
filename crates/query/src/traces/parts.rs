//! Parts of an answer, on their way before all of it is there.

use std::{
    fmt,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Where parts of an answer go, each as bytes that somebody else understands.
pub struct Parts<T> {
    to: mpsc::Sender<Vec<u8>>,
    encode: fn(&T) -> Vec<u8>,
    every: Duration,
    sent: Mutex<Option<Instant>>,
}

impl<T> Parts<T> {
    /// Sends parts written by `encode` to a channel, at most one in `every`.
    pub fn new(to: mpsc::Sender<Vec<u8>>, encode: fn(&T) -> Vec<u8>, every: Duration) -> Self {
        Parts { to, encode, every, sent: Mutex::new(None) }
    }

    /// Whether it is time for a part.
    pub(super) fn is_due(&self) -> bool {
        // While another thread sends one it is not.
        self.sent.try_lock().is_some_and(|sent| self.is_after(*sent))
    }

    /// Sends the part that `make` makes, if it is time for one, and its reader has taken those before. Never waits.
    pub(super) fn offer(&self, make: impl FnOnce() -> T) {
        let Some(mut sent) = self.sent.try_lock() else { return };
        if !self.is_after(*sent) {
            return;
        }
        if let Ok(room) = self.to.try_reserve() {
            room.send((self.encode)(&make()));
            *sent = Some(Instant::now());
        }
    }

    fn is_after(&self, sent: Option<Instant>) -> bool {
        sent.is_none_or(|sent| sent.elapsed() >= self.every)
    }
}

impl<T> fmt::Debug for Parts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("every", &self.every).finish_non_exhaustive()
    }
}
