//! Putting it together: threads that read, pipelines, clients, positions.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use http::Uri;
use parking_lot::Mutex;
use reba_disk::{DiskError, Env};
use reba_http::{HttpError, ProxyEnv};
use reba_ingest::{
    config::{DiscoveryConfig, KubernetesSd},
    discovery::{self, DiscoveryOptions, TargetGroups},
};
use reba_model::Labels;
use reba_storage::LogAppender;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, Queue, Rejects, StreamLimit, sender, wait},
    config::{ClientConfig, JobConfig, LimitsConfig, ShipConfig},
    entry::Entry,
    files::{Files, FilesConfig},
    job::{Job, Outlet},
    metrics::Counters,
    positions::Positions,
    sources,
    stage::{CustomMetrics, StageReport, nanos},
    status::{Board, TargetStatus},
    tail::Encoding,
};

/// Bytes that the queue of one client may have.
const QUEUE_BYTES: u64 = 256 << 20;

/// How long entries may take to arrive when we stop.
const FLUSH: Duration = Duration::from_secs(10);

/// How often stages that wait for more lines are asked.
const TICK: Duration = Duration::from_millis(500);

/// How often it is looked whether the next batch is wanted.
const WAIT: Duration = Duration::from_millis(1);

/// How often it is looked whether files have grown.
const GLANCE: Duration = Duration::from_millis(50);

/// How long our own store may take to sync what it has taken, with some room.
const STORE_SYNC: Duration = Duration::from_millis(1500);

/// Whether a client's URL is that of our own store.
pub type IsOurs = Arc<dyn Fn(&Uri) -> bool + Send + Sync>;

/// The current time, in Unix nanoseconds.
pub type NowNs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the binary decides about a shipper.
#[derive(Clone)]
pub struct Surroundings {
    /// Where queues are kept.
    pub env: Env,
    /// Our own store and which URLs mean it.
    pub store: Option<(Arc<dyn LogAppender>, IsOurs)>,
    /// The name of this host, for `__host__`.
    pub host: String,
    /// The clock.
    pub now_ns: NowNs,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Proxies of the environment.
    pub proxies: ProxyEnv,
}

/// Why a shipper does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The positions file can neither be read nor moved aside.
    #[error("positions file {0}: {1}")]
    Positions(String, std::io::Error),
    /// The queue of a client cannot be opened.
    #[error("queue of client {0}: {1}")]
    Queue(String, DiskError),
    /// A client cannot be made.
    #[error("client {0}: {1}")]
    Client(String, HttpError),
    /// Threads cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Everything that runs.
pub struct Shipper {
    stop: CancellationToken,
    abort: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
    queues: Vec<(String, Arc<Queue>)>,
    positions: Arc<Mutex<Positions>>,
    counters: Arc<Counters>,
    board: Arc<Board>,
    metrics: Vec<Arc<CustomMetrics>>,
    jobs: Vec<Arc<Job>>,
    receivers: Vec<crate::PushReceiver>,
    now_ns: NowNs,
    config_text: String,
}

impl Shipper {
    /// Starts to read and to send. To be called in a Tokio runtime.
    pub fn start(config: ShipConfig, around: &Surroundings) -> Result<Self, StartError> {
        let filename = &config.positions.filename;
        let mut positions = Positions::open(filename)
            .map_err(|e| StartError::Positions(filename.display().to_string(), e))?;
        if config.positions.read_only {
            positions.set_read_only();
        }
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let mut shipper = Shipper {
            stop,
            abort: abort.clone(),
            threads: Vec::new(),
            senders: Vec::new(),
            queues: Vec::new(),
            positions: Arc::new(Mutex::new(positions)),
            counters: Arc::default(),
            board: Arc::default(),
            metrics: config.metrics.clone(),
            jobs: Vec::new(),
            receivers: Vec::new(),
            now_ns: Arc::clone(&around.now_ns),
            config_text: config.text.clone(),
        };
        let clients = shipper.clients(&config, around)?;
        let outlet = Arc::new(Outlet {
            clients,
            counters: Arc::clone(&shipper.counters),
            streams: StreamLimit::new(config.limits.max_streams),
            limits: config.limits.clone(),
            board: Arc::clone(&shipper.board),
            bucket: Mutex::new(None),
            abort,
            now_ns: Arc::clone(&around.now_ns),
        });
        let common = Common {
            host: around.host.clone(),
            limits: config.limits.clone(),
            sync_period: config.sync_period,
            poll: config.poll,
            positions_period: config.positions.sync_period,
            discovery: DiscoveryOptions {
                user_agent: around.user_agent.clone(),
                proxies: around.proxies.clone(),
                ..DiscoveryOptions::default()
            },
        };
        for job in config.jobs {
            shipper.start_job(job, &common, &outlet)?;
        }
        let (stop, positions) = (shipper.stop.clone(), Arc::clone(&shipper.positions));
        shipper.thread("positions", move || {
            while !wait(&stop, common.positions_period.saturating_sub(STORE_SYNC)) {
                write_positions(&positions, &stop);
            }
        })?;
        Ok(shipper)
    }

    fn clients(&mut self, config: &ShipConfig, around: &Surroundings) -> Result<Vec<Client>, StartError> {
        let mut out = Vec::new();
        for client in &config.clients {
            let ours = around.store.as_ref().filter(|(_, is_ours)| is_ours(&client.uri));
            out.push(match ours {
                Some((appender, _)) => Client::Store {
                    name: client.name.clone(),
                    appender: Arc::clone(appender),
                    tenant: client.tenant.clone(),
                    external: client.external_labels.clone(),
                },
                None => self.remote(client, config, around)?,
            });
        }
        if out.is_empty()
            && let Some((appender, _)) = &around.store
        {
            let (name, appender) = ("store".to_owned(), Arc::clone(appender));
            out.push(Client::Store { name, appender, tenant: None, external: Labels::empty() });
        }
        Ok(out)
    }

    fn remote(
        &mut self,
        client: &ClientConfig,
        config: &ShipConfig,
        around: &Surroundings,
    ) -> Result<Client, StartError> {
        let beside = || config.positions.filename.with_extension("queue");
        let folder = config.queue_dir.clone().unwrap_or_else(beside);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = client.name.chars().map(plain).collect();
        let fail = |e| StartError::Queue(client.name.clone(), e);
        let dir = around.env.dir(folder.join(name)).map_err(fail)?;
        let queue = Arc::new(Queue::open(&around.env, dir.clone(), QUEUE_BYTES).map_err(fail)?);
        let sending = sender(
            client.clone(),
            (Arc::clone(&queue), Rejects::new(dir)),
            Arc::clone(&self.counters),
            (&around.user_agent, &around.proxies),
            self.abort.clone(),
        );
        let sending = sending.map_err(|e| StartError::Client(client.name.clone(), e))?;
        self.queues.push((client.name.clone(), Arc::clone(&queue)));
        self.senders.push(tokio::spawn(sending.run()));
        let (tenant, external) = (client.tenant.clone(), client.external_labels.clone());
        Ok(Client::Remote { queue, tenant, external })
    }

    fn start_job(
        &mut self,
        config: JobConfig,
        common: &Common,
        outlet: &Arc<Outlet>,
    ) -> Result<(), StartError> {
        let JobConfig { name, pipeline, add_job_label, .. } = config;
        let job = Job::new(name, pipeline, Arc::clone(outlet), self.stop.clone(), add_job_label);
        let job = Arc::new(job);
        self.jobs.push(Arc::clone(&job));
        let relabel = &config.relabel;
        if !config.files.is_empty() || !config.file_sd.is_empty() || !config.kubernetes.is_empty() {
            let files = FilesConfig {
                job: job.name.clone(),
                host: common.host.clone(),
                relabel: relabel.clone(),
                encoding: Encoding::parse(&config.encoding),
                decompress: config.decompress,
                limits: common.limits.clone(),
                sync_period: common.sync_period,
                poll: common.poll,
            };
            let (positions, counters) = (Arc::clone(&self.positions), Arc::clone(&self.counters));
            let files = Files::new(files, positions, counters, Arc::clone(&self.board));
            let found = self.discover(config.kubernetes, common);
            let targets = sources::FileTargets::new(&config.files, config.file_sd, found);
            let (job, common) = (Arc::clone(&job), common.clone());
            self.thread("files", move || run_files(files, targets, &job, &common))?;
        }
        for docker in config.docker {
            let (relabel, job, positions) = (relabel.clone(), Arc::clone(&job), Arc::clone(&self.positions));
            let daemon = Arc::new(sources::Daemon { config: docker, relabel, job, positions });
            self.thread("docker", move || sources::run_docker(&daemon))?;
        }
        if let Some(config) = config.journal {
            self.tell("journal", &job.name, &config.labels, "journalctl");
            let (relabel, job, positions) = (relabel.clone(), Arc::clone(&job), Arc::clone(&self.positions));
            let program = PathBuf::from("journalctl");
            let journal = sources::Journal { program, config, relabel, job, positions };
            self.thread("journal", move || journal.run())?;
        }
        if let Some(config) = config.syslog {
            self.tell("syslog", &job.name, &config.labels, &config.address);
            let (relabel, job) = (relabel.clone(), Arc::clone(&job));
            let connections = std::sync::atomic::AtomicUsize::new(0);
            let syslog = Arc::new(sources::Syslog { config, relabel, job, connections });
            self.thread("syslog", move || syslog.run())?;
        }
        if let Some(config) = config.gelf {
            self.tell("gelf", &job.name, &config.labels, &config.address);
            let gelf = sources::Gelf { config, relabel: relabel.clone(), job: Arc::clone(&job) };
            self.thread("gelf", move || gelf.run())?;
        }
        if let Some(push) = config.push {
            self.tell("push", &job.name, &push.labels, &format!("port {}", push.port));
            self.receivers.push(crate::PushReceiver::new(push, config.relabel, Arc::clone(&job)));
        }
        self.thread("ticks", move || {
            while !wait(&job.stop, TICK) {
                job.release(false);
            }
            job.release(true);
        })
    }

    /// Watches clusters for targets of files.
    fn discover(
        &self,
        kubernetes: Vec<KubernetesSd>,
        common: &Common,
    ) -> Option<watch::Receiver<TargetGroups>> {
        if kubernetes.is_empty() {
            return None;
        }
        let config = DiscoveryConfig { kubernetes, ..DiscoveryConfig::default() };
        Some(discovery::start(&config, &common.discovery, Arc::default(), &self.stop))
    }

    /// Puts a source on the board that is its own only target.
    fn tell(&self, kind: &'static str, job: &str, labels: &Labels, details: &str) {
        let (job, details) = (job.to_owned(), details.to_owned());
        let (discovered, labels) = (labels.clone(), labels.clone());
        self.board.one(TargetStatus { job, kind, discovered, labels, details, ready: true });
    }

    fn thread(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
        let builder = std::thread::Builder::new().name(format!("ship-{name}"));
        self.threads.push(builder.spawn(run).map_err(StartError::Thread)?);
        Ok(())
    }

    /// Stops reading, lets what was read arrive (for ten seconds at most), and writes the positions.
    pub async fn stop(self) {
        self.stop.cancel();
        let (threads, abort) = (self.threads, self.abort.clone());
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join())));
        if tokio::time::timeout(FLUSH, joined).await.is_err() {
            tracing::warn!(
                "not everything that was read arrived in time; it is read again at the next start"
            );
        }
        abort.cancel();
        for sender in self.senders {
            let _ = sender.await;
        }
        let positions = self.positions;
        let written = tokio::task::spawn_blocking(move || positions.lock().write()).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the positions file cannot be written");
        }
    }

    /// Adds all metrics to `out`, in the text format of Prometheus.
    pub fn write_metrics(&self, out: &mut String) {
        self.counters.set("promtail_targets_active_total", &[], self.board.count() as u64);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.counters.set("promtail_build_info", &version, 1);
        for (client, queue) in &self.queues {
            self.counters.set("reba_ship_queue_bytes", &[("client", client)], queue.waiting());
        }
        self.counters.write(out);
        for metrics in &self.metrics {
            metrics.write(out, (self.now_ns)());
        }
    }

    pub(crate) fn first_job(&self) -> Option<Arc<Job>> {
        self.jobs.first().cloned()
    }

    /// What is read at the moment.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.board.targets()
    }

    /// The configuration as YAML, without its secrets.
    pub fn config_text(&self) -> &str {
        &self.config_text
    }

    /// Whether nothing waits in a queue to be sent.
    pub fn is_drained(&self) -> bool {
        self.queues.iter().all(|(_, queue)| queue.waiting() == 0)
    }

    /// The newest lines that pipelines have dropped, by reason.
    pub fn dropped_samples(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        self.counters.dropped_samples()
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Receivers of pushed entries, for whoever opens their listeners.
    pub fn push_receivers(&self) -> &[crate::PushReceiver] {
        &self.receivers
    }

    /// What the stages of each job have found.
    pub fn reports(&self) -> Vec<(String, Vec<StageReport>)> {
        self.jobs.iter().map(|j| (j.name.clone(), j.pipeline.lock().report())).collect()
    }
}

/// What all jobs share.
#[derive(Clone, Debug)]
struct Common {
    host: String,
    limits: LimitsConfig,
    sync_period: Duration,
    poll: Duration,
    positions_period: Duration,
    discovery: DiscoveryOptions,
}

/// Reads the files of a job until it is stopped. A thread of its own delivers, so that files are found and opened, and thus not lost
/// to a rotation, while nobody takes anything.
fn run_files(mut files: Files, targets: sources::FileTargets, job: &Job, common: &Common) {
    std::thread::scope(|scope| {
        // One batch is read while one is delivered.
        let (send, batches) = mpsc::sync_channel::<Vec<Entry>>(0);
        let delivery = scope.spawn(move || {
            while let Ok(mut entries) = batches.recv() {
                job.limit_lines(&mut entries);
                if !job.handle(entries) {
                    break;
                }
            }
        });
        read_files(&mut files, targets, job, common, &send);
        drop(send);
        let _ = delivery.join();
    });
    job.release(true);
    files.commit();
}

fn read_files(
    files: &mut Files,
    mut targets: sources::FileTargets,
    job: &Job,
    common: &Common,
    send: &mpsc::SyncSender<Vec<Entry>>,
) {
    let mut written = Instant::now();
    let mut commit = |files: &mut Files| {
        if written.elapsed() >= common.positions_period {
            files.commit();
            written = Instant::now();
        }
    };
    let now = || (job.outlet.now_ns)();
    while !job.stop.is_cancelled() {
        let begun = Instant::now();
        if let Some(sets) = targets.refresh() {
            files.set_targets(&sets);
        }
        let (entries, next_ns) = files.step(now());
        let mut pauses = 0;
        let mut batch = Some(entries).filter(|e| !e.is_empty());
        while let Some(entries) = batch.take() {
            match send.try_send(entries) {
                Ok(()) => {}
                Err(mpsc::TrySendError::Full(entries)) if !job.stop.is_cancelled() => {
                    batch = Some(entries);
                    // Most batches are wanted soon; if not, it may take an hour.
                    std::thread::sleep(if pauses < 100 { WAIT } else { GLANCE });
                    pauses += 1;
                    files.woken(now());
                    files.look(now());
                    commit(files);
                }
                Err(mpsc::TrySendError::Full(entries) | mpsc::TrySendError::Disconnected(entries)) => {
                    // Their marks must not go: what was not written has to be read again.
                    std::mem::forget(entries);
                    return;
                }
            }
        }
        commit(files);
        // A file that is written to all the time is read in pieces worth the work.
        while begun.elapsed() < GLANCE && next_ns > now() && !job.stop.is_cancelled() {
            std::thread::sleep(GLANCE.saturating_sub(begun.elapsed()));
        }
        while now() < next_ns && begun.elapsed() < common.poll && !job.stop.is_cancelled() {
            if files.woken(now()) {
                break;
            }
            std::thread::sleep(GLANCE);
        }
    }
}

/// Writes what was done with some time ago: by then the store has synced it, so that not even a loss of power loses lines.
fn write_positions(positions: &Mutex<Positions>, stop: &CancellationToken) {
    let Some(rendered) = positions.lock().render() else { return };
    wait(stop, STORE_SYNC);
    if let Err(error) = rendered.write() {
        positions.lock().not_written();
        tracing::warn!(%error, "the positions file cannot be written; after a crash lines are read again");
    }
}

/// The time of the system.
pub fn system_now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    nanos(since)
}
