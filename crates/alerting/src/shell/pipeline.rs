//! The way of a notification: wait for a place, try, try again, record.
//!
//! Every integration of every group goes its own way. One that hangs holds its own places, and those of nobody else.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::join_all};
use rand::Rng as _;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use super::Shared;
use crate::{
    event::{Attempt, MAX_EVENT_ALERTS, Outcome},
    machine::{GroupWork, Outgoing},
    notification::{Deliver, DeliverError, Delivered, FailureReason, IntegrationKey, Notification},
};

/// How many tries one integration has at the same time: enough that ten thousand groups are told within a group interval, few
/// enough that nobody's API is flooded.
const MAX_IN_FLIGHT: usize = 16;

/// A try that takes longer has failed, whatever the group interval.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The first pause between tries; each is [`BACKOFF_FACTOR`] times the one before, up to [`MAX_BACKOFF_MS`].
const FIRST_BACKOFF_MS: f64 = 500.0;
const BACKOFF_FACTOR: f64 = 1.5;
const MAX_BACKOFF_MS: f64 = 60_000.0;
/// Pauses are up to so much shorter or longer, so that those who failed together do not come back together.
const BACKOFF_JITTER: f64 = 0.5;

impl Shared {
    /// Tells everybody who is to be told of a group, and ends its tick.
    pub(super) async fn notify(self: Arc<Self>, work: GroupWork) {
        let told = join_all(work.sends.iter().map(|outgoing| self.deliver(outgoing))).await;
        let ok = told.into_iter().all(|ok| ok);
        self.with(|machine, now_ms| machine.finished(work.group, ok, now_ms));
    }

    /// Tries until the notification has arrived, cannot arrive, or the group's next tick takes over. Whether it has arrived.
    async fn deliver(&self, outgoing: &Outgoing) -> bool {
        let kind = outgoing.integration.integration;
        self.metrics.lock().integrations.entry(kind).or_default().notifications += 1;
        match self.try_until(outgoing).await {
            Ok(delivered) => {
                self.with(|machine, now_ms| machine.sent(&outgoing.log, delivered.remember, now_ms));
                true
            }
            Err(error) => {
                let mut metrics = self.metrics.lock();
                let failed = &mut metrics.integrations.entry(kind).or_default().failed;
                *failed.entry(error.reason).or_default() += 1;
                drop(metrics);
                if error.reason == FailureReason::ContextCanceled {
                    tracing::debug!(integration = %outgoing.integration, %error, "not notified any more");
                    return false;
                }
                tracing::error!(
                    integration = %outgoing.integration,
                    group = %outgoing.note.group_key,
                    %error,
                    "notification failed; the group's next tick tries again"
                );
                false
            }
        }
    }

    async fn try_until(&self, outgoing: &Outgoing) -> Result<Delivered, DeliverError> {
        let deliver = self.deliver.read().clone();
        let left_ms = outgoing.note.deadline_ms.saturating_sub((self.clock)()).max(0);
        let deadline = Instant::now() + Duration::from_millis(left_ms as u64);
        let gate = self.gate(&outgoing.integration);
        let mut backoff_ms = FIRST_BACKOFF_MS;
        let mut last: Option<DeliverError> = None;
        for number in 1.. {
            let place = tokio::select! {
                place = timeout_at(deadline, gate.acquire()) => place,
                () = self.stopping.cancelled() => return Err(ended(last)),
            };
            // The gate is never closed.
            let Ok(Ok(place)) = place else { return Err(too_late(last)) };
            let began_ms = (self.clock)();
            let until = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let result = self.attempt(&*deliver, &outgoing.integration, &outgoing.note, until).await;
            drop(place);
            let Some(result) = result else { return Err(ended(last)) };
            self.count(&outgoing.integration, began_ms, result.is_ok());
            let error = match result {
                Ok(delivered) => {
                    let outcome = Outcome::Delivered(delivered.answer.clone());
                    self.note_attempt(&outgoing.integration, &outgoing.note, number, began_ms, outcome);
                    return Ok(delivered);
                }
                Err(error) => error,
            };
            let pause_ms = pause(backoff_ms, &error);
            backoff_ms = (backoff_ms * BACKOFF_FACTOR).min(MAX_BACKOFF_MS);
            let pause = Duration::from_millis(pause_ms);
            if !error.retry || Instant::now() + pause >= deadline {
                let outcome = Outcome::Failed(error.message.clone());
                self.note_attempt(&outgoing.integration, &outgoing.note, number, began_ms, outcome);
                return Err(error);
            }
            let outcome = Outcome::Retrying { message: error.message.clone(), in_ms: pause_ms as i64 };
            self.note_attempt(&outgoing.integration, &outgoing.note, number, began_ms, outcome);
            if last.as_ref().map(|l| &l.message) != Some(&error.message) {
                tracing::warn!(integration = %outgoing.integration, group = %outgoing.note.group_key, %error, "notify attempt failed, will retry later");
            }
            last = Some(error);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stopping.cancelled() => return Err(ended(last)),
            }
        }
        Err(too_late(last))
    }

    /// One try and no more, for a test.
    pub(super) async fn try_once(
        &self,
        integration: &IntegrationKey,
        note: &Notification,
    ) -> Result<Delivered, DeliverError> {
        let deliver = self.deliver.read().clone();
        let until = Instant::now() + ATTEMPT_TIMEOUT;
        let gate = self.gate(integration);
        let Ok(Ok(_place)) = timeout_at(until, gate.acquire()).await else { return Err(timed_out()) };
        let began_ms = (self.clock)();
        let result = self.attempt(&*deliver, integration, note, until).await;
        let result = result.unwrap_or_else(|| Err(ended(None)));
        let outcome = match &result {
            Ok(delivered) => Outcome::Delivered(delivered.answer.clone()),
            Err(error) => Outcome::Failed(error.message.clone()),
        };
        self.note_attempt(integration, note, 1, began_ms, outcome);
        result
    }

    /// Hands a notification over; none if everything has to end.
    async fn attempt(
        &self,
        deliver: &dyn Deliver,
        integration: &IntegrationKey,
        note: &Notification,
        until: Instant,
    ) -> Option<Result<Delivered, DeliverError>> {
        // A fault of ours in one receiver must not leave the group waiting for ever.
        let attempt = AssertUnwindSafe(async { deliver.deliver(integration, note).await }).catch_unwind();
        let result = tokio::select! {
            result = timeout_at(until, attempt) => result,
            () = self.stopped.cancelled() => return None,
        };
        Some(match result {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(DeliverError::permanent("a fault of Reba's own: the receiver panicked")),
            Err(_) => Err(timed_out()),
        })
    }

    fn gate(&self, integration: &IntegrationKey) -> Arc<Semaphore> {
        let mut gates = self.gates.lock();
        gates.entry(integration.clone()).or_insert_with(|| Arc::new(Semaphore::new(MAX_IN_FLIGHT))).clone()
    }

    fn count(&self, integration: &IntegrationKey, began_ms: i64, ok: bool) {
        let took_ms = (self.clock)().saturating_sub(began_ms);
        let mut metrics = self.metrics.lock();
        let metrics = metrics.integrations.entry(integration.integration).or_default();
        metrics.requests += 1;
        metrics.requests_failed += u64::from(!ok);
        metrics.observe(took_ms);
    }

    /// Tells of a try.
    fn note_attempt(
        &self,
        integration: &IntegrationKey,
        note: &Notification,
        number: u32,
        began_ms: i64,
        outcome: Outcome,
    ) {
        let at_ms = (self.clock)();
        let (firing, firing_total) = fingerprints(note, true);
        let (resolved, resolved_total) = fingerprints(note, false);
        let attempt = Attempt {
            integration: integration.clone(),
            group_key: note.group_key.clone(),
            group_labels: note.group_labels.clone(),
            reason: note.reason.as_str(),
            number,
            firing,
            firing_total,
            resolved,
            resolved_total,
            took_ms: at_ms.saturating_sub(began_ms),
            outcome,
        };
        self.tell(at_ms, attempt);
    }
}

/// The first fingerprints of the alerts that fire, or do not, and how many there are.
fn fingerprints(note: &Notification, firing: bool) -> (Vec<u64>, usize) {
    let of_state = || note.alerts.iter().filter(|a| a.firing == firing);
    (of_state().take(MAX_EVENT_ALERTS).map(|a| a.fingerprint).collect(), of_state().count())
}

/// How long to wait before the next try: longer if the receiver says so.
fn pause(backoff_ms: f64, error: &DeliverError) -> u64 {
    let jitter = rand::rng().random_range(-BACKOFF_JITTER..=BACKOFF_JITTER);
    let ours = (backoff_ms * (1.0 + jitter)) as u64;
    ours.max(error.retry_after_ms.unwrap_or(0).max(0) as u64)
}

fn timed_out() -> DeliverError {
    let message = format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs());
    DeliverError::transient(message).because(FailureReason::ContextDeadlineExceeded)
}

fn too_late(last: Option<DeliverError>) -> DeliverError {
    let why = last.map(|e| format!("; last: {}", e.message)).unwrap_or_default();
    DeliverError::permanent(format!("not delivered before the group's next tick{why}"))
        .because(FailureReason::ContextDeadlineExceeded)
}

fn ended(last: Option<DeliverError>) -> DeliverError {
    let why = last.map(|e| format!("; last: {}", e.message)).unwrap_or_default();
    DeliverError::permanent(format!("Reba ends{why}")).because(FailureReason::ContextCanceled)
}
