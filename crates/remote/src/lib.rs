//! Remote write: sends what is stored to other stores.
//!
//! ```text
//! producers ─▶ Tee ─▶ store
//!               └──▶ queue on disk ─▶ follower ─▶ window ─▶ shards ─▶ receiver
//! ```
//!
//! [`RemoteWrite::appender`] puts a tee before the store: what the store took goes to one queue on disk, whatever the
//! number of receivers. Each receiver follows the queue at its own pace and remembers how far it came, over restarts.
//! `docs/adr/0009-remote-write-queue.md` says why it is not the store's own log.

mod follow;
#[cfg(fuzzing)]
pub mod fuzzing;
mod metadata;
mod metrics;
mod position;
mod queue;
pub mod read;
mod record;
mod request;
mod sender;

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use reba_disk::{Dir, DiskError, Env, SEGMENT_HEADER, segment_name, segments};
use reba_http::{BasicAuth, Client, HttpClientConfig, HttpError, ProxyEnv, Url};
use reba_ingest::config::RemoteWriteConfig;
use reba_model::{Labels, Relabel};
use reba_storage::{AppendError, AppendMode, AppendReport, MetricAppender, SeriesRef, WriteBatch};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::{
    follow::{Follower, Prepare},
    position::{Found, Window},
    queue::{Place, Queue},
    request::Sender,
    sender::Shipping,
};
pub use self::{
    metadata::MetadataOf,
    metrics::RemoteMetrics,
    queue::{LabelsOf, QueueLimits},
};

/// What remote write is given.
#[derive(Clone)]
pub struct RemoteWriteOptions {
    /// Files and clocks.
    pub env: Env,
    /// The folder of the queue; made when there is a receiver.
    pub path: PathBuf,
    /// How large the queue may be.
    pub limits: QueueLimits,
    /// What we call ourselves.
    pub user_agent: String,
    /// Proxies of the environment.
    pub proxies: ProxyEnv,
}

impl fmt::Debug for RemoteWriteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWriteOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a configuration of receivers cannot be applied.
#[derive(Debug, Error)]
pub enum RemoteWriteError {
    /// A client cannot be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The queue cannot be used.
    #[error("remote write queue: {0}")]
    Disk(#[from] DiskError),
    /// Two receivers would share a position.
    #[error("found multiple remote write configs with job name {0:?}")]
    SameName(String),
}

/// Figures of one receiver.
#[derive(Clone, Debug)]
pub struct RemoteStatus {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its counters.
    pub metrics: Arc<RemoteMetrics>,
    /// Its configuration.
    pub config: RemoteWriteConfig,
}

/// Figures of all receivers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Unix milliseconds of the newest sample that was queued; `i64::MIN`: none yet.
    pub newest_ms: i64,
    /// Samples that were queued.
    pub queued: u64,
    /// Samples that could not be queued, for the disk refused.
    pub refused: u64,
}

struct Running {
    status: RemoteStatus,
    external: Labels,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// All receivers.
pub struct RemoteWrite {
    options: RemoteWriteOptions,
    queue: Arc<ArcSwapOption<Queue>>,
    running: Mutex<Vec<Running>>,
    metadata: OnceLock<MetadataOf>,
}

impl fmt::Debug for RemoteWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWrite").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RemoteWrite {
    /// No receivers yet.
    pub fn new(options: RemoteWriteOptions) -> Self {
        RemoteWrite { options, queue: Arc::default(), running: Mutex::default(), metadata: OnceLock::new() }
    }

    /// Where metadata comes from; without it, none is sent. Receivers that run already go without.
    pub fn set_metadata(&self, source: MetadataOf) {
        // The first one stays.
        let _ = self.metadata.set(source);
    }

    /// An appender to `store` which also queues what the store takes, while there are receivers.
    pub fn appender(&self, store: Arc<dyn MetricAppender>, labels_of: LabelsOf) -> Arc<dyn MetricAppender> {
        Arc::new(Tee { store, labels_of, queue: Arc::clone(&self.queue) })
    }

    /// Does what can fail of [`RemoteWrite::apply`], and changes no receiver. From now on samples are queued if there is
    /// a receiver in `configs`, so that nothing is missed between the two calls.
    pub fn prepare(&self, configs: &[RemoteWriteConfig]) -> Result<(), RemoteWriteError> {
        self.clients(configs)?;
        if !configs.is_empty() {
            self.open_queue()?;
        }
        Ok(())
    }

    /// Takes back [`RemoteWrite::prepare`].
    pub fn abandon(&self) {
        if self.running.lock().is_empty() {
            self.queue.store(None);
        }
    }

    /// A client for each receiver; their names must differ.
    fn clients(&self, configs: &[RemoteWriteConfig]) -> Result<Vec<Client>, RemoteWriteError> {
        let mut names = BTreeSet::new();
        let client = |config: &RemoteWriteConfig| {
            if !names.insert(name_of(config)) {
                return Err(RemoteWriteError::SameName(name_of(config)));
            }
            Ok(Client::new(
                &login(&config.http, &config.url),
                &self.options.user_agent,
                &self.options.proxies,
            )?)
        };
        configs.iter().map(client).collect()
    }

    /// Changes the receivers to those of `configs`. Those that stay the same are not disturbed; one that changes goes on
    /// where it was; a new one begins with what is stored from now on; one that is gone is forgotten. One call at a time.
    pub async fn apply(
        &self,
        configs: &[RemoteWriteConfig],
        external: &Labels,
    ) -> Result<(), RemoteWriteError> {
        let clients = self.clients(configs)?;
        let names: BTreeSet<String> = configs.iter().map(name_of).collect();
        let queue = if configs.is_empty() { None } else { Some(self.open_queue()?) };
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut *self.running.lock())
            .into_iter()
            .partition(|r| r.external == *external && configs.contains(&r.status.config));
        stop(gone).await;
        let mut now = Vec::new();
        let mut result = Ok(());
        if let Some(queue) = &queue {
            // Whatever fails, those that are kept go on, and must be known.
            result = forget_others(queue, &names).map_err(RemoteWriteError::from);
            let mut kept = kept;
            for (config, client) in configs.iter().zip(clients) {
                match kept.iter().position(|r| r.status.config == *config) {
                    Some(i) => now.push(kept.swap_remove(i)),
                    None => match start(queue, config, client, external, self.metadata.get()) {
                        Ok(running) => now.push(running),
                        Err(e) => result = Err(e.into()),
                    },
                }
            }
        } else {
            self.queue.store(None);
            self.clean_up()?;
        }
        *self.running.lock() = now;
        result
    }

    /// Removes what is left of receivers that there are no more: whoever comes later begins anew.
    fn clean_up(&self) -> Result<(), DiskError> {
        if self.options.env.fs.list(&self.options.path).is_err() {
            return Ok(());
        }
        let dir = self.options.env.dir(&self.options.path)?;
        for name in positions(&dir)?.into_iter().chain(segments(&dir)?.into_iter().map(segment_name)) {
            dir.remove_file(&name)?;
        }
        Ok(())
    }

    /// The queue, opened when it is first needed.
    fn open_queue(&self) -> Result<Arc<Queue>, DiskError> {
        if let Some(queue) = self.queue.load_full() {
            return Ok(queue);
        }
        let dir = self.options.env.dir(&self.options.path)?;
        dir.remove_unfinished()?;
        let windows: Vec<(String, Option<Window>)> = positions(&dir)?
            .into_iter()
            .map(|name| (name.clone(), Window::read(&dir, &name).window()))
            .collect();
        // A position may stand behind the last segment that a power loss left; numbers never begin anew.
        let first = windows
            .iter()
            .filter_map(|(_, window)| Some(window.as_ref()?.end.segment + 1))
            .max()
            .unwrap_or(1);
        let queue = Arc::new(Queue::open(&self.options.env, dir, self.options.limits, first)?);
        for (name, window) in windows {
            // Where a position cannot be read, all that is left is sent.
            queue.keep_for(&name, window.map_or(0, |window| window.start.segment));
        }
        self.queue.store(Some(Arc::clone(&queue)));
        Ok(queue)
    }

    /// Stops all receivers. What is queued is sent after the next start.
    pub async fn shutdown(&self) {
        let running = std::mem::take(&mut *self.running.lock());
        stop(running).await;
        if let Some(queue) = self.queue.swap(None)
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || queue.sync()).await
        {
            tracing::warn!(%error, "the remote write queue could not be synced");
        }
    }

    /// Figures of every receiver, in the order of the configuration.
    pub fn status(&self) -> Vec<RemoteStatus> {
        self.running.lock().iter().map(|r| r.status.clone()).collect()
    }

    /// Figures of the queue; `None` without receivers.
    pub fn queue_status(&self) -> Option<QueueStatus> {
        self.queue.load().as_ref().map(|q| QueueStatus {
            newest_ms: q.newest.load(Ordering::Relaxed),
            queued: q.queued.load(Ordering::Relaxed),
            refused: q.refused.load(Ordering::Relaxed),
        })
    }
}

async fn stop(running: Vec<Running>) {
    for r in &running {
        r.stop.cancel();
    }
    for r in running {
        // A task that panicked has said so.
        for task in r.tasks {
            let _ = task.await;
        }
    }
}

/// The client's configuration, with the user that the address names if nothing else says who we are.
fn login(http: &HttpClientConfig, url: &Url) -> HttpClientConfig {
    let mut http = http.clone();
    let anonymous = http.basic_auth.is_none() && http.authorization.is_none() && http.oauth2.is_none();
    if let Some((user, password)) = url.user().filter(|_| anonymous) {
        http.basic_auth = Some(BasicAuth {
            username: Some(user.to_owned()),
            password: password.cloned(),
            ..BasicAuth::default()
        });
    }
    http
}

/// What the receiver is called in metrics: its name, or one made of its address.
fn name_of(config: &RemoteWriteConfig) -> String {
    if !config.name.is_empty() {
        return config.name.clone();
    }
    let hash = Labels::from_pairs([("url", config.url.uri().to_string())]).hash64();
    format!("{:06x}", hash >> 40)
}

/// The file name of a position: made of the name's bytes, which may be anything.
fn position_name(name: &str) -> String {
    let hash = Labels::from_pairs([("name", name)]).hash64();
    format!("{hash:016x}{POSITION}")
}

const POSITION: &str = ".position";

fn positions(dir: &Dir) -> Result<Vec<String>, DiskError> {
    Ok(dir.list()?.into_iter().map(|e| e.name).filter(|n| n.ends_with(POSITION)).collect())
}

/// Removes the positions of receivers that are gone, and what nobody else needs.
fn forget_others(queue: &Queue, names: &BTreeSet<String>) -> Result<(), DiskError> {
    let ours: BTreeSet<String> = names.iter().map(|n| position_name(n)).collect();
    for name in positions(&queue.dir)?.into_iter().filter(|n| !ours.contains(n)) {
        queue.dir.remove_file(&name)?;
        queue.forget(&name);
    }
    Ok(())
}

fn start(
    queue: &Arc<Queue>,
    config: &RemoteWriteConfig,
    client: Client,
    external: &Labels,
    metadata: Option<&MetadataOf>,
) -> Result<Running, DiskError> {
    let name = name_of(config);
    let file = position_name(&name);
    let window = match Window::read(&queue.dir, &file) {
        Found::Window(window) => window,
        Found::Nothing => Window::empty(queue.end(), least_shards(config)),
        Found::Damaged(reason) => {
            tracing::error!(
                url = %config.url, reason,
                "the position of remote write cannot be read; everything that is still queued is sent, perhaps again"
            );
            let segment = segments(&queue.dir)?.first().copied().unwrap_or(1);
            Window::empty(Place { segment, offset: SEGMENT_HEADER as u64 }, least_shards(config))
        }
    };
    window.write(&queue.dir, &file)?;
    queue.needs(&file, window.start.segment);
    let follower = Follower::new(queue.dir.clone(), window.start, prepare(config, external))?;
    let metrics = Arc::new(RemoteMetrics::default());
    let stop = CancellationToken::new();
    let sender = Sender {
        client,
        config: config.clone(),
        metrics: Arc::clone(&metrics),
        clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
        stop: stop.clone(),
        known: metadata::Known::default(),
    };
    let about = metadata.filter(|_| config.metadata_config.send).map(|source| {
        let (sender, source) = (sender.clone(), Arc::clone(source));
        if sender.is_v2() {
            tokio::spawn(metadata::learn(sender, source))
        } else {
            tokio::spawn(metadata::run(sender, source))
        }
    });
    let shipping = Shipping {
        sender,
        queue: Arc::clone(queue),
        follower: Some(follower),
        positions: queue.dir.clone(),
        name: file,
        shards: window.shards,
    };
    let unfinished = (window.start < window.end).then_some(window.end);
    let tasks = [tokio::spawn(shipping.run(unfinished))].into_iter().chain(about).collect();
    let url = config.url.to_string();
    let status = RemoteStatus { name, url, metrics, config: config.clone() };
    Ok(Running { status, external: external.clone(), stop, tasks })
}

fn least_shards(config: &RemoteWriteConfig) -> usize {
    usize::try_from(config.queue_config.min_shards).unwrap_or(1).max(1)
}

/// External labels fill in what a series lacks; then it is relabelled.
fn prepare(config: &RemoteWriteConfig, external: &Labels) -> Prepare {
    let (rules, external) = (config.write_relabel_configs.clone(), external.clone());
    Box::new(move |labels| {
        let mut builder = labels.to_builder();
        for (name, value) in external.iter().filter(|(n, _)| labels.get(n).is_none()) {
            builder.set(name, value);
        }
        let keep = Relabel::apply_all(&rules, &mut builder);
        (keep && !builder.is_empty()).then(|| builder.build())
    })
}

/// Stores, then queues.
struct Tee {
    store: Arc<dyn MetricAppender>,
    labels_of: LabelsOf,
    queue: Arc<ArcSwapOption<Queue>>,
}

impl MetricAppender for Tee {
    fn series_ref(&self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        self.store.series_ref(labels)
    }

    fn append(&self, batch: &WriteBatch, mode: AppendMode) -> Result<AppendReport, AppendError> {
        let report = self.store.append(batch, mode)?;
        if let Some(queue) = &*self.queue.load() {
            queue.push(batch, mode, &report, &self.labels_of);
        }
        Ok(report)
    }
}
