//! Sends alerts to every configured Alertmanager (API v2).
//!
//! Alerts wait in one bounded queue ([`Queue`]); when it is full the oldest go. Each batch goes to all Alertmanagers at
//! once and is done when all have answered or timed out. It succeeded if one of them took it; nothing is sent twice, for
//! the rules send every alert again as long as it matters.

mod payload;
mod queue;
mod send;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use http::{StatusCode, Uri};
use parking_lot::{Mutex, RwLock};
use reba_model::{Alert, AlertBatch, Labels, LabelsBuilder, Relabel};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::queue::Queue;

/// What stands behind an Alertmanager's address and prefix.
pub const ALERTS_PATH: &str = "/api/v2/alerts";

/// One Alertmanager.
#[derive(Clone, Debug)]
pub struct AlertmanagerTarget {
    /// Where alerts are posted: `http://host:9093/prefix/api/v2/alerts`.
    pub url: Uri,
    /// The client as its section configures it.
    pub client: reba_http::Client,
    /// How long one request may take.
    pub timeout: Duration,
    /// Rules for alerts that go to this one, after those for all.
    pub alert_relabel: Arc<[Relabel]>,
    /// The Alertmanager itself, if it is a part of this process: no socket is needed then.
    pub inside: Option<Inside>,
}

/// An Alertmanager of this process. Clones are the same.
#[derive(Clone)]
pub struct Inside(Arc<dyn Fn(Vec<u8>) -> BoxFuture<'static, StatusCode> + Send + Sync>);

impl Inside {
    /// One that takes bodies of `POST /api/v2/alerts`, and answers with a status.
    pub fn new(take: impl Fn(Vec<u8>) -> BoxFuture<'static, StatusCode> + Send + Sync + 'static) -> Self {
        Inside(Arc::new(take))
    }

    pub(crate) async fn take(&self, body: Vec<u8>) -> StatusCode {
        (self.0)(body).await
    }
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inside")
    }
}

/// What discovery and relabelling found.
#[derive(Clone, Debug, Default)]
pub struct Alertmanagers {
    /// The ones in use. Of several with the same URL the first counts.
    pub active: Vec<AlertmanagerTarget>,
    /// URLs of those that relabelling dropped.
    pub dropped: Vec<String>,
}

/// What a reload may change.
#[derive(Clone, Debug, Default)]
pub struct NotifierSettings {
    /// Labels for every alert that has none of the name.
    pub external_labels: Labels,
    /// Rules for every alert.
    pub alert_relabel: Vec<Relabel>,
}

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierOptions {
    /// Alerts that may wait (`--alertmanager.notification-queue-capacity`).
    pub queue_capacity: usize,
    /// Alerts in one request.
    pub max_batch: usize,
}

impl Default for NotifierOptions {
    /// Upstream's: ten thousand, and 64 (256 in 3.x).
    fn default() -> Self {
        NotifierOptions { queue_capacity: 10_000, max_batch: 64 }
    }
}

/// Figures of one Alertmanager.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ManagerMetrics {
    /// Alerts that it was sent (`prometheus_notifications_sent_total`), failed ones included, as upstream 2.x counts.
    pub sent: u64,
    /// Alerts whose request failed (`…_errors_total`).
    pub errors: u64,
    /// Requests (`…_latency_seconds_count`).
    pub requests: u64,
    /// Seconds they took together (`…_latency_seconds_sum`).
    pub seconds: f64,
}

/// Figures for the metrics page (`prometheus_notifications_*`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifierMetrics {
    /// By URL.
    pub managers: BTreeMap<String, ManagerMetrics>,
    /// Alerts that no Alertmanager took, or that fell out of the queue.
    pub dropped: u64,
    /// Alerts that wait.
    pub queue_length: usize,
    /// How many may.
    pub queue_capacity: usize,
    /// Alertmanagers in use.
    pub alertmanagers_discovered: usize,
}

/// Takes alerts from the rules and sends them.
pub struct Notifier {
    options: NotifierOptions,
    settings: RwLock<Arc<NotifierSettings>>,
    targets: watch::Receiver<Arc<Alertmanagers>>,
    queue: Mutex<Queue>,
    work: Notify,
    managers: Mutex<BTreeMap<String, ManagerMetrics>>,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What is left in the queue at the end may still be sent for so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

impl Notifier {
    /// A notifier for the Alertmanagers that `targets` says at any time.
    pub fn new(targets: watch::Receiver<Arc<Alertmanagers>>, options: NotifierOptions) -> Self {
        Notifier {
            options,
            settings: RwLock::default(),
            targets,
            queue: Mutex::new(Queue::new(options.queue_capacity)),
            work: Notify::new(),
            managers: Mutex::default(),
        }
    }

    /// Takes new settings, for alerts that come from now on.
    pub fn apply(&self, settings: NotifierSettings) {
        *self.settings.write() = Arc::new(settings);
    }

    /// Puts alerts into the queue, with external labels and relabelled. Never waits.
    pub fn enqueue(&self, alerts: AlertBatch) {
        let settings = self.settings.read().clone();
        let kept = relabel(alerts, &settings.external_labels, &settings.alert_relabel);
        if kept.is_empty() {
            return;
        }
        let dropped = self.queue.lock().push(kept);
        if dropped > 0 {
            tracing::warn!(count = dropped, "alert notification queue full, dropping alerts");
        }
        self.work.notify_one();
    }

    /// Sends what comes through `batches` until `cancel`, then what is still in the queue if that is quick.
    pub async fn run(&self, mut batches: mpsc::Receiver<AlertBatch>, cancel: CancellationToken) {
        let receive = async {
            while let Some(Some(batch)) = cancel.run_until_cancelled(batches.recv()).await {
                self.enqueue(batch);
            }
        };
        // A batch under way is finished: its requests have timeouts.
        let send = async {
            while cancel.run_until_cancelled(self.work.notified()).await.is_some() {
                while !cancel.is_cancelled() && self.send_batch().await {}
            }
        };
        tokio::join!(receive, send);
        while let Ok(batch) = batches.try_recv() {
            self.enqueue(batch);
        }
        let drain = async { while self.send_batch().await {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            let left = self.queue.lock().drop_all();
            tracing::warn!(count = left, "alert notification queue not drained on shutdown, dropping alerts");
        }
    }

    /// Sends one batch from the queue to all Alertmanagers. Returns false if the queue was empty.
    async fn send_batch(&self) -> bool {
        let batch = self.queue.lock().take(self.options.max_batch);
        if batch.is_empty() {
            return false;
        }
        let targets = unique(&self.targets.borrow());
        let sends = targets.iter().map(|target| self.send_to(target, &batch));
        let taken = futures::future::join_all(sends).await;
        // Discovery may bring new addresses without end; figures of those that are gone must not pile up.
        let urls: BTreeSet<String> = targets.iter().map(|t| t.url.to_string()).collect();
        self.managers.lock().retain(|url, _| urls.contains(url));
        if !taken.contains(&true) {
            self.queue.lock().dropped += batch.len() as u64;
        }
        true
    }

    async fn send_to(&self, target: &AlertmanagerTarget, batch: &[Alert]) -> bool {
        let alerts = relabel(batch.to_vec(), &Labels::empty(), &target.alert_relabel);
        if alerts.is_empty() {
            return true;
        }
        let count = alerts.len() as u64;
        let started = std::time::Instant::now();
        let result = send::post(target, &alerts).await;
        let seconds = started.elapsed().as_secs_f64();
        if let Err(error) = &result {
            tracing::error!(alertmanager = %target.url, count, %error, "error sending alerts");
        }
        let mut managers = self.managers.lock();
        let metrics = managers.entry(target.url.to_string()).or_default();
        metrics.requests += 1;
        metrics.seconds += seconds;
        metrics.sent += count;
        metrics.errors += if result.is_err() { count } else { 0 };
        result.is_ok()
    }

    /// URLs of the Alertmanagers in use, and of those that relabelling dropped (`/api/v1/alertmanagers`).
    pub fn alertmanagers(&self) -> (Vec<String>, Vec<String>) {
        let targets = self.targets.borrow();
        let active = unique(&targets).iter().map(|t| t.url.to_string()).collect();
        (active, targets.dropped.clone())
    }

    /// Figures. Those of Alertmanagers that are not in use any more are left out.
    pub fn metrics(&self) -> NotifierMetrics {
        let urls: Vec<String> = self.alertmanagers().0;
        let all = self.managers.lock();
        let managers: BTreeMap<String, ManagerMetrics> =
            urls.iter().map(|url| (url.clone(), all.get(url).copied().unwrap_or_default())).collect();
        let queue = self.queue.lock();
        NotifierMetrics {
            alertmanagers_discovered: managers.len(),
            managers,
            dropped: queue.dropped,
            queue_length: queue.len(),
            queue_capacity: self.options.queue_capacity,
        }
    }
}

/// The active ones, each URL once.
fn unique(targets: &Alertmanagers) -> Vec<AlertmanagerTarget> {
    let mut seen = BTreeSet::new();
    targets.active.iter().filter(|t| seen.insert(t.url.to_string())).cloned().collect()
}

/// Adds the external labels that an alert lacks and applies the rules; alerts that they drop are left out.
fn relabel(alerts: Vec<Alert>, external: &Labels, rules: &[Relabel]) -> Vec<Alert> {
    if external.is_empty() && rules.is_empty() {
        return alerts;
    }
    let with_rules = |mut alert: Alert| {
        let mut labels: LabelsBuilder = alert.labels.to_builder();
        for (name, value) in external {
            if alert.labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        Relabel::apply_all(rules, &mut labels).then(|| {
            alert.labels = labels.build();
            alert
        })
    };
    alerts.into_iter().filter_map(with_rules).collect()
}
