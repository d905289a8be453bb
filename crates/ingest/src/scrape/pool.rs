//! The targets of one job.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use parking_lot::{Mutex, RwLock};
use reba_http::Client;
use reba_model::{Labels, Relabel};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared, Target,
    failure_log::FailureLog,
    grid::Grid,
    metrics::add,
    request::Scraper,
    run::{Loop, Stop},
    sources::Sources,
    status::{PoolStatus, TargetState},
    target::{Sorted, sort},
    work::{Plan, Work},
};
use crate::{config::ScrapeConfig, discovery::TargetGroups};

/// A job's configuration with the client made for it.
#[derive(Clone)]
pub(crate) struct Job {
    pub config: Arc<ScrapeConfig>,
    pub scraper: Arc<Scraper>,
    /// Rules for series, shared by all targets.
    pub rules: Arc<[Relabel]>,
    /// Where failed scrapes are told.
    pub failure_log: Option<Arc<FailureLog>>,
}

impl Job {
    pub fn new(config: &ScrapeConfig, shared: &Shared) -> Result<Self, String> {
        let client = Client::new(&config.http, &shared.options.user_agent, &shared.options.proxies)
            .map_err(|e| format!("error creating HTTP client: {e}"))?;
        let failure_log = config.scrape_failure_log_file.as_deref();
        Ok(Job {
            failure_log: failure_log.and_then(|path| shared.failure_logs.lock().get(path)),
            config: Arc::new(config.clone()),
            scraper: Arc::new(Scraper::new(client, config)),
            rules: config.metric_relabel_configs.as_slice().into(),
        })
    }
}

/// What the pool's task and its owner share.
#[derive(Default)]
struct View {
    active: Vec<Arc<TargetState>>,
    dropped: Vec<Labels>,
    dropped_count: usize,
}

/// A handle to a running pool; dropping it removes its targets.
pub(crate) struct Pool {
    jobs: watch::Sender<Job>,
    view: Arc<Mutex<View>>,
    /// Cancelled when the job is gone.
    removed: CancellationToken,
}

impl Pool {
    /// Starts the pool of a job.
    pub fn start(job: Job, shared: Arc<Shared>) -> Self {
        let (jobs, receiver) = watch::channel(job);
        let view = Arc::new(Mutex::new(View::default()));
        let removed = CancellationToken::new();
        let task = Task {
            shared: Arc::clone(&shared),
            view: Arc::clone(&view),
            loops: HashMap::new(),
            forced_error: Arc::default(),
        };
        shared.tracker.spawn(task.run(receiver, removed.clone()));
        Pool { jobs, view, removed }
    }

    /// The configuration that the pool runs with, or is about to.
    pub fn config(&self) -> Arc<ScrapeConfig> {
        Arc::clone(&self.jobs.borrow().config)
    }

    /// Gives the pool another configuration.
    pub fn reload(&self, job: Job) {
        self.jobs.send_replace(job);
    }

    /// Targets and their last scrapes.
    pub fn status(&self, name: &str) -> PoolStatus {
        let view = self.view.lock();
        PoolStatus {
            name: name.to_owned(),
            active: view.active.iter().map(|t| t.status()).collect(),
            dropped: view.dropped.clone(),
            dropped_count: view.dropped_count,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.removed.cancel();
    }
}

type Key = (Labels, String);

struct Running {
    state: Arc<TargetState>,
    stop: oneshot::Sender<Stop>,
    handle: JoinHandle<Option<Work>>,
}

/// The pool's task: it alone starts and stops loops.
struct Task {
    shared: Arc<Shared>,
    view: Arc<Mutex<View>>,
    loops: HashMap<Key, Running>,
    forced_error: Arc<RwLock<Option<String>>>,
}

impl Task {
    async fn run(mut self, mut jobs: watch::Receiver<Job>, removed: CancellationToken) {
        let mut job = jobs.borrow_and_update().clone();
        let mut sources = Sources::start(&job.config, &self.shared);
        self.sync(&job, sources.groups(), false).await;
        loop {
            let reloaded = tokio::select! {
                () = self.shared.shutdown.cancelled() => break,
                () = removed.cancelled() => break,
                Ok(()) = jobs.changed() => true,
                () = sources.changed() => false,
            };
            if reloaded {
                let before = Arc::clone(&job.config);
                job = jobs.borrow_and_update().clone();
                sources = sources.reload(&before, &job.config, &self.shared);
            }
            self.sync(&job, sources.groups(), reloaded).await;
        }
        for (_, running) in self.loops.drain() {
            // A loop that is gone already wants no message.
            let _ = running.stop.send(Stop::Remove);
        }
    }

    /// Makes the running loops those of the targets that there are now. Loops of targets that stay go on untouched,
    /// unless the configuration was reloaded; then a successor takes over their work.
    async fn sync(&mut self, job: &Job, groups: TargetGroups, reloaded: bool) {
        let began = Instant::now();
        let (config, default_port) = (Arc::clone(&job.config), self.shared.options.default_port);
        let sorted = tokio::task::spawn_blocking(move || sort(&config, &groups, default_port)).await;
        let Sorted { targets, mut dropped, failures } = match sorted {
            Ok(sorted) => sorted,
            Err(e) => {
                let pool = &job.config.job_name;
                tracing::error!(%pool, error = %e, "sorting targets died, those of before stay");
                return;
            }
        };
        for failure in &failures {
            tracing::error!(pool = %job.config.job_name, error = %failure, "creating target failed");
        }
        self.limit_targets(job, targets.len());
        let mut old = std::mem::take(&mut self.loops);
        let count = targets.len();
        for target in targets {
            let key = target.key();
            let running = match old.remove(&key) {
                Some(running) if !reloaded && !running.handle.is_finished() => running,
                previous => self.launch(job, target, previous),
            };
            self.loops.insert(key, running);
        }
        for (_, running) in old {
            let _ = running.stop.send(Stop::Remove);
        }
        let dropped_count = dropped.len();
        match job.config.limits.keep_dropped_targets {
            0 => {}
            keep => dropped.truncate(keep as usize),
        }
        let mut active: Vec<_> = self.loops.values().map(|r| Arc::clone(&r.state)).collect();
        active.sort_by_cached_key(|s| (s.target.url.to_string(), s.target.labels.clone()));
        *self.view.lock() = View { active, dropped, dropped_count };
        let limit = job.config.limits.target_limit;
        let seconds = began.elapsed().as_secs_f64();
        self.shared.metrics.observe_sync(
            &job.config.job_name,
            count as u64,
            limit,
            failures.len() as u64,
            seconds,
        );
    }

    /// With more targets than allowed all of them fail, so that the mistake is seen.
    fn limit_targets(&self, job: &Job, count: usize) {
        let limit = job.config.limits.target_limit;
        let exceeded = limit > 0 && count as u64 > limit;
        if exceeded {
            add(&self.shared.metrics.exceeded_target_limit, 1);
        }
        let text = || format!("target_limit exceeded (number of targets: {count}, limit: {limit})");
        *self.forced_error.write() = exceeded.then(text);
    }

    fn launch(&self, job: &Job, target: Target, previous: Option<Running>) -> Running {
        let shared = &self.shared;
        let plan = { Plan::new(&job.config, &target, Arc::clone(&job.rules), shared) };
        let grid = Grid::new(target.interval.as_millis() as i64, target.hash64(), shared.options.seed);
        let state = Arc::new(match &previous {
            Some(p) => p.state.successor(target),
            None => TargetState::new(&job.config.job_name, target),
        });
        let scrape_loop = Loop {
            state: Arc::clone(&state),
            scraper: Arc::clone(&job.scraper),
            plan: Arc::new(plan),
            grid,
            clock: Arc::clone(&shared.options.clock),
            cpu: Arc::clone(&shared.cpu),
            scratches: Arc::clone(&shared.scratches),
            forced_error: Arc::clone(&self.forced_error),
            failure_log: job.failure_log.clone(),
            shutdown: shared.shutdown.clone(),
        };
        let previous = previous.map(|p| {
            let _ = p.stop.send(Stop::HandOver);
            p.handle
        });
        let (stop, stopped) = oneshot::channel();
        let authority = state.target.url.authority().map_or("", |a| a.as_str());
        let thread = shared.threads.of(&state.pool, authority);
        let handle = shared.tracker.spawn_on(scrape_loop.run(stopped, previous), &thread);
        Running { state, stop, handle }
    }
}

/// Pools by the names of their jobs.
pub(crate) type Pools = BTreeMap<String, Pool>;
