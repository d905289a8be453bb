//! The thin part of alerting that has a clock, tasks and a disk: it does what [`Machine`] says.

mod health;
mod metrics;
mod pipeline;
mod save;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use parking_lot::{Mutex, RwLock};
use reba_storage::{StateError, StateStore};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use health::Health;
pub use metrics::{FailureCounts, IntegrationMetrics, LATENCY_BUCKETS, Metrics};

use crate::{
    alert::PostedAlert,
    config::Routing,
    event::Event,
    machine::{Machine, Options, PostReport},
    notification::{Deliver, DeliverError, Delivered, IntegrationKey, Integrations, Notification},
    saved::Saved,
    silence::{PostedRecurring, PostedSilence, SilenceError},
};
use save::SaveState;

/// How many alerts are taken at once before others have a turn.
const POST_CHUNK: usize = 500;

/// The loop looks at the clock at least this often: a clock that is set, or a machine that slept, must not stop it.
const MAX_SLEEP_MS: i64 = 10_000;

/// What is on its way when Reba ends has so long to arrive: a message that arrived and was not recorded is sent again.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long to wait after a fault of our own.
const AFTER_FAULT: Duration = Duration::from_secs(1);

/// Takes events. It is called with the machine locked, so that events keep their order: it must neither wait nor call back.
pub type OnEvent = Arc<dyn Fn(Event) + std::marker::Send + Sync>;

/// Says what time it is, Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + std::marker::Send + Sync>;

/// What alerting is started with.
pub struct Setup {
    /// Who hears of what.
    pub routing: Arc<Routing>,
    /// The ways out of each receiver.
    pub integrations: Integrations,
    /// Limits and times.
    pub options: Options,
    /// Where silences, the notification log and alerts are kept.
    pub store: Arc<dyn StateStore>,
    /// Sends.
    pub deliver: Arc<dyn Deliver>,
    /// Hears of everything.
    pub on_event: OnEvent,
    /// The time.
    pub clock: Clock,
}

/// Alerting at work. Clones are the same one.
#[derive(Clone)]
pub struct Alerting {
    shared: Arc<Shared>,
}

struct Shared {
    machine: Mutex<Machine>,
    deliver: RwLock<Arc<dyn Deliver>>,
    store: Arc<dyn StateStore>,
    on_event: OnEvent,
    clock: Clock,
    /// Something may be due earlier than the loop thinks.
    wake: Notify,
    /// Something waits to be saved.
    dirty: Notify,
    saves: Mutex<SaveState>,
    saved: watch::Sender<u64>,
    gates: Mutex<BTreeMap<IntegrationKey, Arc<Semaphore>>>,
    metrics: Mutex<Metrics>,
    health: Mutex<BTreeMap<IntegrationKey, Health>>,
    /// No new work.
    stopping: CancellationToken,
    /// No work at all.
    stopped: CancellationToken,
    /// The loop and everything that is on its way.
    work: TaskTracker,
    writer: TaskTracker,
}

impl std::fmt::Debug for Alerting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerting").finish_non_exhaustive()
    }
}

impl Alerting {
    /// Reads what was saved, and begins. Must be called within a tokio runtime.
    pub async fn start(setup: Setup) -> Result<Self, StateError> {
        let store = setup.store.clone();
        let saved = tokio::task::spawn_blocking(move || Saved::load(&*store))
            .await
            .map_err(|e| StateError::Unavailable(e.to_string()))??;
        for problem in &saved.unreadable {
            tracing::error!(%problem, "a saved document of alerting cannot be read and is left out");
        }
        let now_ms = (setup.clock)();
        let machine = Machine::new(
            setup.routing,
            Arc::new(setup.integrations),
            setup.options,
            saved,
            now_ms,
            rand::random(),
        );
        let shared = Arc::new(Shared {
            machine: Mutex::new(machine),
            deliver: RwLock::new(setup.deliver),
            store: setup.store,
            on_event: setup.on_event,
            clock: setup.clock,
            wake: Notify::new(),
            dirty: Notify::new(),
            saves: Mutex::default(),
            saved: watch::Sender::new(0),
            gates: Mutex::default(),
            metrics: Mutex::default(),
            health: Mutex::default(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
            work: TaskTracker::new(),
            writer: TaskTracker::new(),
        });
        shared.work.spawn(shared.clone().keep_running());
        shared.writer.spawn(shared.clone().write());
        Ok(Alerting { shared })
    }

    /// Takes alerts. They are in force when this returns.
    pub fn post(&self, alerts: &[PostedAlert]) -> PostReport {
        let (began, mut report) = (Instant::now(), PostReport::default());
        for (n, chunk) in alerts.chunks(POST_CHUNK).enumerate() {
            let part = self.shared.with(|machine, now_ms| machine.post(chunk, now_ms));
            report.firing += part.firing;
            report.resolved += part.resolved;
            let places = part.refused.into_iter().map(|(i, error)| (n * POST_CHUNK + i, error));
            report.refused.extend(places);
        }
        let mut metrics = self.shared.metrics.lock();
        metrics.processed.0 += alerts.len() as u64;
        metrics.processed.1 += began.elapsed().as_secs_f64();
        report
    }

    /// Asks the machine, which says the same until something happens or time passes.
    pub fn read<R>(&self, question: impl FnOnce(&Machine, i64) -> R) -> R {
        let now_ms = (self.shared.clock)();
        question(&self.shared.machine.lock(), now_ms)
    }

    /// Makes or changes a silence (see [`Machine::set_silence`]); returns its id once it is saved.
    pub async fn set_silence(&self, posted: &PostedSilence) -> Result<String, SilenceError> {
        self.durably(|machine, now_ms| machine.set_silence(posted, now_ms)).await
    }

    /// Ends a silence; returns once that is saved.
    pub async fn expire_silence(&self, id: &str) -> Result<(), SilenceError> {
        self.durably(|machine, now_ms| machine.expire_silence(id, now_ms)).await
    }

    /// Makes or replaces a schedule of silences; returns its id once it is saved.
    pub async fn set_recurring(&self, posted: &PostedRecurring) -> Result<String, SilenceError> {
        self.durably(|machine, now_ms| machine.set_recurring(posted, now_ms)).await
    }

    /// Removes a schedule, and ends those of its silences that have not begun.
    pub async fn delete_recurring(&self, id: &str) -> Result<(), SilenceError> {
        self.durably(|machine, now_ms| machine.delete_recurring(id, now_ms)).await
    }

    async fn durably<T>(
        &self,
        change: impl FnOnce(&mut Machine, i64) -> Result<T, SilenceError>,
    ) -> Result<T, SilenceError> {
        let (result, ticket) = self.shared.with(|machine, now_ms| {
            let result = change(machine, now_ms);
            (result, self.shared.ticket())
        });
        let value = result?;
        self.shared.wait_saved(ticket).await.map_err(SilenceError::NotSaved)?;
        Ok(value)
    }

    /// Puts another configuration in force. What is on its way is sent by the receivers that it was begun with.
    pub fn reload(
        &self,
        routing: Arc<Routing>,
        integrations: Integrations,
        options: Options,
        deliver: Arc<dyn Deliver>,
    ) {
        *self.shared.deliver.write() = deliver;
        let is_there = |key: &IntegrationKey| {
            integrations.get(&key.receiver).is_some_and(|all| all.iter().any(|i| i.key == *key))
        };
        self.shared.gates.lock().retain(|key, _| is_there(key));
        self.shared.health.lock().retain(|key, _| is_there(key));
        let integrations = Arc::new(integrations);
        self.shared.with(|machine, now_ms| machine.reload(routing, integrations, options, now_ms));
    }

    /// Hands a notification to an integration once, now, whatever was said before: for tests of receivers. The notification log does
    /// not hear of it, nor do the counters; the alert history does.
    pub async fn try_once(
        &self,
        integration: &IntegrationKey,
        note: &Notification,
    ) -> Result<Delivered, DeliverError> {
        self.shared.try_once(integration, note).await
    }

    /// How integrations are that were tried since the start.
    pub fn health(&self) -> BTreeMap<IntegrationKey, Health> {
        self.shared.health.lock().clone()
    }

    /// What was counted about notifications; the machine has the rest ([`Machine::totals`]).
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.lock().clone()
    }

    /// Ends: what is on its way may arrive for a moment, what waits to be saved is saved.
    pub async fn stop(&self) {
        let shared = &self.shared;
        shared.stopping.cancel();
        shared.work.close();
        if tokio::time::timeout(STOP_GRACE, shared.work.wait()).await.is_err() {
            shared.stopped.cancel();
            shared.work.wait().await;
        }
        shared.stopped.cancel();
        shared.writer.close();
        shared.writer.wait().await;
    }
}

impl Shared {
    /// Changes the machine, and wakes the loop: something may be due earlier than it thinks.
    fn with<R>(&self, change: impl FnOnce(&mut Machine, i64) -> R) -> R {
        let result = self.locked(change);
        self.wake.notify_one();
        result
    }

    /// Changes the machine, tells what has happened, and has it saved.
    fn locked<R>(&self, change: impl FnOnce(&mut Machine, i64) -> R) -> R {
        let now_ms = (self.clock)();
        let mut machine = self.machine.lock();
        let result = change(&mut machine, now_ms);
        for event in machine.take_events() {
            (self.on_event)(event);
        }
        let unsaved = machine.has_unsaved();
        drop(machine);
        if unsaved {
            self.dirty.notify_one();
        }
        result
    }

    /// Does what is due, until the end. A fault of ours costs one turn, and not all alerts from then on.
    async fn keep_running(self: Arc<Self>) {
        while AssertUnwindSafe(self.clone().run()).catch_unwind().await.is_err() {
            tracing::error!("a fault of Reba's own in alert routing; going on");
            tokio::time::sleep(AFTER_FAULT).await;
        }
    }

    /// Does what is due, until the end.
    async fn run(self: Arc<Self>) {
        while !self.stopping.is_cancelled() {
            let (work, next_ms) = self.locked(|machine, now_ms| (machine.poll(now_ms), machine.next_wake()));
            let is_idle = work.is_empty();
            for group in work {
                self.work.spawn(self.clone().notify(group));
            }
            let wait_ms = next_ms.saturating_sub((self.clock)()).clamp(0, MAX_SLEEP_MS);
            if wait_ms == 0 && !is_idle {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait_ms.max(1) as u64)) => {}
                () = self.wake.notified() => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }
}
