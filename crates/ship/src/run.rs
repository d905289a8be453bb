//! Putting it together: threads that read, pipelines, clients, positions.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use http::Uri;
use parking_lot::Mutex;
use reba_disk::{DiskError, Env};
use reba_http::{HttpError, ProxyEnv};
use reba_model::Labels;
use reba_storage::LogAppender;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Client, Queue, Rejects, StreamLimit, sender, wait},
    config::{ClientConfig, JobConfig, LimitsConfig, ShipConfig},
    entry::Entry,
    files::{Files, FilesConfig},
    metrics::Counters,
    positions::Positions,
    sources,
    stage::{Bucket, Context, CustomMetrics, Pipeline, StageReport, nanos},
    tail::Encoding,
};

/// Bytes that the queue of one client may have.
const QUEUE_BYTES: u64 = 256 << 20;

/// How long entries may take to arrive when we stop.
const FLUSH: Duration = Duration::from_secs(10);

/// How often stages that wait for more lines are asked.
const TICK: Duration = Duration::from_millis(500);

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

/// Where entries go behind the pipelines.
pub(crate) struct Outlet {
    pub clients: Vec<Client>,
    pub counters: Arc<Counters>,
    pub streams: StreamLimit,
    pub limits: LimitsConfig,
    /// Lines a second, over all files.
    pub bucket: Mutex<Option<Bucket>>,
    /// Ends waits for clients that take nothing.
    pub abort: CancellationToken,
    pub now_ns: NowNs,
}

/// A job that sources hand their lines to.
pub(crate) struct Job {
    pub name: String,
    pub pipeline: Mutex<Pipeline>,
    pub outlet: Arc<Outlet>,
    /// Ends reading.
    pub stop: CancellationToken,
    pub add_job_label: bool,
}

impl Job {
    /// Runs lines through the pipeline and delivers what comes out; waits until it is durable. `false` if it was aborted.
    pub fn handle(&self, entries: Vec<Entry>) -> bool {
        let now_ns = (self.outlet.now_ns)();
        let mut out = Vec::with_capacity(entries.len());
        let mut cx = Context::new(now_ns, &self.name, &self.outlet.counters);
        {
            let mut pipeline = self.pipeline.lock();
            for entry in entries {
                pipeline.process(entry, &mut cx, &mut out);
            }
        }
        let delay = cx.delay;
        let delivered = self.deliver(out);
        if !delay.is_zero() {
            wait(&self.stop, delay);
        }
        delivered
    }

    /// Delivers what stages have held for long enough, or all of it.
    pub fn release(&self, all: bool) -> bool {
        let mut out = Vec::new();
        let mut cx = Context::new((self.outlet.now_ns)(), &self.name, &self.outlet.counters);
        {
            let mut pipeline = self.pipeline.lock();
            if all {
                pipeline.drain(&mut cx, &mut out);
            } else {
                pipeline.tick(&mut cx, &mut out);
            }
        }
        self.deliver(out)
    }

    fn deliver(&self, mut entries: Vec<Entry>) -> bool {
        for entry in &mut entries {
            // A stream needs a label; upstream sends it without, and it is refused.
            if (self.add_job_label && entry.labels.get("job").is_none()) || entry.labels.is_empty() {
                entry.set_label("job", if self.name.is_empty() { "unnamed" } else { &self.name });
            }
        }
        self.outlet.deliver(entries)
    }

    /// Takes tokens for lines of files; lines beyond the limit are dropped, or we wait.
    fn limit_lines(&self, entries: &mut Vec<Entry>) {
        let Some((rate, burst, drop)) = self.outlet.limits.readline else { return };
        let now_ns = (self.outlet.now_ns)();
        let mut pause = Duration::ZERO;
        {
            let mut bucket = self.outlet.bucket.lock();
            let bucket = bucket.get_or_insert_with(|| Bucket::full(burst, now_ns));
            if drop {
                let before = entries.len();
                entries.retain(|_| bucket.take(rate, burst, now_ns));
                let lost = (before - entries.len()) as u64;
                self.outlet.counters.add(
                    "logentry_dropped_lines_total",
                    &[("reason", "readline_rate")],
                    lost,
                );
            } else {
                for _ in entries.iter() {
                    pause = bucket.owe(rate, burst, now_ns);
                }
            }
        }
        wait(&self.stop, pause);
    }
}

impl Outlet {
    fn deliver(&self, mut entries: Vec<Entry>) -> bool {
        entries.retain(|e| {
            let admitted = self.streams.admits(&e.labels);
            if !admitted {
                self.counters.add("promtail_dropped_entries_total", &[("reason", "stream_limited")], 1);
            }
            admitted
        });
        if entries.is_empty() {
            return true;
        }
        for client in &self.clients {
            if !client.write(&entries, &self.counters, &self.abort) {
                // Their marks must not go: what was not written has to be read again.
                std::mem::forget(entries);
                return false;
            }
        }
        true
    }
}

/// Everything that runs.
pub struct Shipper {
    stop: CancellationToken,
    abort: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
    positions: Arc<Mutex<Positions>>,
    counters: Arc<Counters>,
    metrics: Vec<Arc<CustomMetrics>>,
    jobs: Vec<Arc<Job>>,
    receivers: Vec<crate::PushReceiver>,
    now_ns: NowNs,
}

impl Shipper {
    /// Starts to read and to send. To be called in a Tokio runtime.
    pub fn start(config: ShipConfig, around: &Surroundings) -> Result<Self, StartError> {
        let filename = &config.positions.filename;
        let positions = Positions::open(filename)
            .map_err(|e| StartError::Positions(filename.display().to_string(), e))?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let mut shipper = Shipper {
            stop,
            abort: abort.clone(),
            threads: Vec::new(),
            senders: Vec::new(),
            positions: Arc::new(Mutex::new(positions)),
            counters: Arc::default(),
            metrics: config.metrics.clone(),
            jobs: Vec::new(),
            receivers: Vec::new(),
            now_ns: Arc::clone(&around.now_ns),
        };
        let clients = shipper.clients(&config, around)?;
        let outlet = Arc::new(Outlet {
            clients,
            counters: Arc::clone(&shipper.counters),
            streams: StreamLimit::new(config.limits.max_streams),
            limits: config.limits.clone(),
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
        };
        for job in config.jobs {
            shipper.start_job(job, &common, &outlet)?;
        }
        let (stop, positions) = (shipper.stop.clone(), Arc::clone(&shipper.positions));
        shipper.thread("positions", move || {
            while !wait(&stop, common.positions_period) {
                write_positions(&positions);
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
        let job = Arc::new(Job {
            name: config.name,
            pipeline: Mutex::new(config.pipeline),
            outlet: Arc::clone(outlet),
            stop: self.stop.clone(),
            add_job_label: config.add_job_label,
        });
        self.jobs.push(Arc::clone(&job));
        let positions = &self.positions;
        if !config.files.is_empty() || !config.file_sd.is_empty() {
            let files = FilesConfig {
                job: job.name.clone(),
                host: common.host.clone(),
                relabel: config.relabel.clone(),
                encoding: Encoding::parse(&config.encoding),
                gzip: config.gzip,
                limits: common.limits.clone(),
                sync_period: common.sync_period,
                poll: common.poll,
            };
            let files = Files::new(files, Arc::clone(positions), Arc::clone(&self.counters));
            let targets = sources::FileTargets::new(&config.files, config.file_sd);
            let (job, common) = (Arc::clone(&job), common.clone());
            self.thread("files", move || run_files(files, targets, &job, &common))?;
        }
        for docker in config.docker {
            let (relabel, job, positions) =
                (config.relabel.clone(), Arc::clone(&job), Arc::clone(&self.positions));
            let daemon = Arc::new(sources::Daemon { config: docker, relabel, job, positions });
            self.thread("docker", move || sources::run_docker(&daemon))?;
        }
        if let Some(journal) = config.journal {
            let (relabel, job, positions) =
                (config.relabel.clone(), Arc::clone(&job), Arc::clone(&self.positions));
            let journal = sources::Journal { config: journal, relabel, job, positions };
            self.thread("journal", move || journal.run())?;
        }
        if let Some(syslog) = config.syslog {
            let (relabel, job) = (config.relabel.clone(), Arc::clone(&job));
            let connections = std::sync::atomic::AtomicUsize::new(0);
            let syslog = Arc::new(sources::Syslog { config: syslog, relabel, job, connections });
            self.thread("syslog", move || syslog.run())?;
        }
        if let Some(push) = config.push {
            self.receivers.push(crate::PushReceiver::new(push, config.relabel, Arc::clone(&job)));
        }
        self.thread("ticks", move || {
            while !wait(&job.stop, TICK) {
                job.release(false);
            }
            job.release(true);
        })
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
        self.counters.write(out);
        for metrics in &self.metrics {
            metrics.write(out, (self.now_ns)());
        }
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
}

/// Reads the files of a job until it is stopped.
fn run_files(mut files: Files, mut targets: sources::FileTargets, job: &Job, common: &Common) {
    let mut written = Instant::now();
    while !job.stop.is_cancelled() {
        let now_ns = (job.outlet.now_ns)();
        if let Some(sets) = targets.refresh() {
            files.set_targets(&sets);
        }
        let (mut entries, next_ns) = files.step(now_ns);
        let read = !entries.is_empty();
        job.limit_lines(&mut entries);
        if read && !job.handle(entries) {
            break;
        }
        if written.elapsed() >= common.positions_period {
            files.commit();
            written = Instant::now();
        }
        let pause = Duration::from_nanos(u64::try_from(next_ns.saturating_sub(now_ns)).unwrap_or(0));
        if !pause.is_zero() {
            wait(&job.stop, pause.clamp(Duration::from_millis(10), common.poll));
        }
    }
    job.release(true);
    files.commit();
}

fn write_positions(positions: &Mutex<Positions>) {
    if let Err(error) = positions.lock().write() {
        tracing::warn!(%error, "the positions file cannot be written; after a crash lines are read again");
    }
}

/// The time of the system.
pub fn system_now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    nanos(since)
}
