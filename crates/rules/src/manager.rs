//! All groups: reload, schedule, and what the API asks for.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use parking_lot::Mutex;
use reba_model::{AlertBatch, Labels};
use reba_storage::{MetricAppender, MetricQuerier};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    file::RuleFile,
    group::{Environment, GroupSpec, GroupState, blocking},
    querier::RuleQuerier,
    status::{AlertStatus, GroupStatus, Metrics},
    write,
};

/// How many batches of alerts may wait between the rules and the notifier: enough for every rule of a large
/// installation to fire in the same second.
pub const ALERT_QUEUE_BATCHES: usize = 4096;

/// The time of day in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What does not change while the manager lives. Durations are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagerOptions {
    /// Least time before a firing alert is sent again.
    pub resend_delay: i64,
    /// How far back the state of alerts is looked for after a restart.
    pub outage_tolerance: i64,
    /// Least time between a restart and the firing of a restored alert; rules with a shorter `for` are not restored.
    pub for_grace_period: i64,
}

impl Default for ManagerOptions {
    /// Upstream's: one minute, one hour, ten minutes.
    fn default() -> Self {
        ManagerOptions { resend_delay: 60_000, outage_tolerance: 3_600_000, for_grace_period: 600_000 }
    }
}

/// What a reload may change besides the files. Durations are milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSettings {
    /// Interval of groups that name none.
    pub interval: i64,
    /// Query offset of groups that name none.
    pub query_offset: i64,
    /// External labels, for templates.
    pub external_labels: Labels,
    /// The address under which this server is reached, without a slash at the end.
    pub external_url: String,
}

/// The parts of the program that rules work with.
#[derive(Clone)]
pub struct Parts {
    /// Runs the expressions.
    pub querier: Arc<dyn RuleQuerier>,
    /// Where the state of alerts is restored from.
    pub store: Arc<dyn MetricQuerier>,
    /// Where results are written.
    pub appender: Arc<dyn MetricAppender>,
    /// Where alerts go, with room for [`ALERT_QUEUE_BATCHES`]. A full or closed queue never stops evaluation.
    pub alerts: mpsc::Sender<AlertBatch>,
    /// The time of day.
    pub clock: Clock,
}

/// Is told how a group is after an evaluation.
pub type Evaluated = Arc<dyn Fn(&GroupStatus) + Send + Sync>;

/// File and name of a group.
type GroupKey = (String, String);

/// A group with what the manager needs to stop it.
struct Cell {
    spec: Arc<GroupSpec>,
    /// Taken out while the group is evaluated.
    state: Mutex<Option<GroupState>>,
    status: Mutex<Arc<GroupStatus>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Series of a removed group, which go stale when other rules have had the time to take them over.
struct Retired {
    due: i64,
    /// The time of the markers: when the group was removed.
    at: i64,
    series: Vec<Labels>,
}

/// All rule groups of the server.
pub struct RuleManager {
    env: Arc<Environment>,
    clock: Clock,
    groups: Mutex<BTreeMap<GroupKey, Arc<Cell>>>,
    retired: Mutex<Vec<Retired>>,
    /// One reload, start or stop at a time.
    changing: Semaphore,
    running: AtomicBool,
    loaded_once: AtomicBool,
}

impl RuleManager {
    /// A manager without groups.
    pub fn new(parts: Parts, options: ManagerOptions) -> Self {
        let env = Environment {
            querier: parts.querier,
            store: parts.store,
            appender: parts.appender,
            alerts: parts.alerts,
            resend_delay: options.resend_delay,
            outage_tolerance: options.outage_tolerance,
            for_grace_period: options.for_grace_period,
            metrics: Mutex::default(),
            evaluated: OnceLock::new(),
        };
        RuleManager {
            env: Arc::new(env),
            clock: parts.clock,
            groups: Mutex::default(),
            retired: Mutex::default(),
            changing: Semaphore::new(1),
            running: AtomicBool::new(false),
            loaded_once: AtomicBool::new(false),
        }
    }

    /// Replaces all groups by those of `files`. Groups that did not change go on undisturbed; changed ones finish the
    /// evaluation they are in and hand over what they know; series of removed ones go stale after two intervals.
    pub async fn apply(&self, files: &[RuleFile], settings: &RuleSettings) {
        let Ok(_permit) = self.changing.acquire().await else { return };
        let mut wanted: BTreeMap<GroupKey, Arc<GroupSpec>> = BTreeMap::new();
        for file in files {
            for group in &file.groups {
                let spec = GroupSpec {
                    file: file.file.clone(),
                    group: group.clone(),
                    interval: group.interval.unwrap_or(settings.interval).max(1),
                    query_offset: group.query_offset.unwrap_or(settings.query_offset),
                    external_labels: settings.external_labels.clone(),
                    external_url: settings.external_url.clone(),
                };
                wanted.insert((file.file.clone(), group.name.clone()), Arc::new(spec));
            }
        }
        let to_restore = !self.loaded_once.swap(true, Ordering::Relaxed);
        let mut old = self.groups.lock().clone();
        for (key, cell) in &old {
            if wanted.get(key).is_none_or(|spec| **spec != *cell.spec) {
                cell.stop.cancel();
            }
        }
        let mut new = BTreeMap::new();
        for (key, spec) in wanted {
            let cell = match old.remove(&key) {
                Some(cell) if *cell.spec == *spec => cell,
                previous => {
                    let mut state = GroupState::new(spec.clone(), to_restore);
                    if let Some(inherited) = stop_and_take(previous).await {
                        state.inherit(inherited);
                    }
                    let cell = Arc::new(Cell::new(spec, state));
                    self.start(&cell);
                    cell
                }
            };
            new.insert(key, cell);
        }
        for (_, cell) in old {
            let interval = cell.spec.interval;
            if let Some(state) = stop_and_take(Some(cell)).await {
                let at = (self.clock)();
                self.retired.lock().push(Retired { due: at + 2 * interval, at, series: state.series() });
            }
        }
        *self.groups.lock() = new;
    }

    /// Evaluates the groups on their grid until `cancel`. Ends when the evaluations that were under way are over.
    pub async fn run(&self, cancel: CancellationToken) {
        {
            let Ok(_permit) = self.changing.acquire().await else { return };
            self.running.store(true, Ordering::Relaxed);
            let cells: Vec<Arc<Cell>> = self.groups.lock().values().cloned().collect();
            for cell in &cells {
                self.start(cell);
            }
        }
        while cancel.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
            self.end_retired((self.clock)()).await;
        }
        let Ok(_permit) = self.changing.acquire().await else { return };
        self.running.store(false, Ordering::Relaxed);
        let cells: Vec<Arc<Cell>> = self.groups.lock().values().cloned().collect();
        for cell in &cells {
            cell.stop.cancel();
        }
        for cell in cells {
            cell.join().await;
        }
    }

    /// Evaluates every group once at `now`, in the order of files and names (tests and tools; while [`RuleManager::run`]
    /// runs, groups that are being evaluated are left out).
    pub async fn evaluate_once(&self, now: i64) {
        let cells: Vec<Arc<Cell>> = self.groups.lock().values().cloned().collect();
        for cell in cells {
            cell.evaluate(&self.env, now, now, 0).await;
        }
        self.end_retired(now).await;
    }

    /// Has `evaluated` called after every evaluation of a group from now on. The first caller has it.
    pub fn on_evaluation(&self, evaluated: Evaluated) {
        // Nobody else sets it.
        let _ = self.env.evaluated.set(evaluated);
    }

    /// All groups by file and name.
    pub fn groups(&self) -> Vec<Arc<GroupStatus>> {
        self.groups.lock().values().map(|c| c.status.lock().clone()).collect()
    }

    /// All pending and firing alerts, in the order of groups and rules.
    pub fn alerts(&self) -> Vec<AlertStatus> {
        let groups = self.groups();
        let rules = groups.iter().flat_map(|g| &g.rules);
        rules.filter_map(|r| r.alerting.as_ref()).flat_map(|a| a.alerts.iter().cloned()).collect()
    }

    /// Figures that belong to no group.
    pub fn metrics(&self) -> Metrics {
        *self.env.metrics.lock()
    }

    fn start(&self, cell: &Arc<Cell>) {
        if !self.running.load(Ordering::Relaxed) {
            return;
        }
        let task = tokio::spawn(run_group(self.env.clone(), self.clock.clone(), cell.clone()));
        *cell.task.lock() = Some(task);
    }

    async fn end_retired(&self, now: i64) {
        let due: Vec<Retired> = {
            let mut retired = self.retired.lock();
            let (due, later) = std::mem::take(&mut *retired).into_iter().partition(|r| r.due <= now);
            *retired = later;
            due
        };
        for retired in due {
            let appender = self.env.appender.clone();
            let result =
                blocking(move || write::write_markers(&*appender, &retired.series, retired.at)).await;
            if let Err(error) = result.and_then(|r| r.map_err(|e| e.to_string())) {
                tracing::warn!(%error, "ending series of removed groups failed");
            }
        }
    }
}

impl std::fmt::Debug for RuleManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleManager").field("groups", &self.groups.lock().len()).finish_non_exhaustive()
    }
}

/// How often removed groups are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Stops a group and takes what it knows.
async fn stop_and_take(cell: Option<Arc<Cell>>) -> Option<GroupState> {
    let cell = cell?;
    cell.stop.cancel();
    cell.join().await;
    cell.state.lock().take()
}

impl Cell {
    fn new(spec: Arc<GroupSpec>, state: GroupState) -> Self {
        Cell {
            spec,
            status: Mutex::new(Arc::new(state.status())),
            state: Mutex::new(Some(state)),
            stop: CancellationToken::new(),
            task: Mutex::default(),
        }
    }

    async fn join(&self) {
        let task = self.task.lock().take();
        let Some(task) = task else { return };
        if let Err(error) = task.await {
            tracing::error!(%error, group = %self.spec.group.name, "evaluation of a rule group ended badly");
        }
    }

    /// One evaluation for the grid time `t`, `missed` ones having been left out before it.
    async fn evaluate(&self, env: &Arc<Environment>, t: i64, now: i64, missed: u64) {
        let Some(mut state) = self.state.lock().take() else { return };
        state.counts.missed += missed;
        state.counts.iterations += missed;
        let evaluation = async {
            state.evaluate(env, t, &self.stop).await;
            state.restore_when_due(env, now).await;
            state
        };
        let state = match AssertUnwindSafe(evaluation).catch_unwind().await {
            Ok(state) => state,
            Err(_) => {
                // A fault of ours must not silence the group: it begins anew, and finds its alerts in the store.
                tracing::error!(group = self.spec.group.name, file = self.spec.file, "evaluation panicked");
                GroupState::new(Arc::clone(&self.spec), true)
            }
        };
        let status = Arc::new(state.status());
        *self.status.lock() = Arc::clone(&status);
        *self.state.lock() = Some(state);
        if let Some(evaluated) = env.evaluated.get() {
            evaluated(&status);
        }
    }
}

/// Evaluates one group at every point of its grid.
async fn run_group(env: Arc<Environment>, clock: Clock, cell: Arc<Cell>) {
    let interval = cell.spec.interval;
    let mut t = cell.spec.slot(clock()) + interval;
    let mut missed = 0;
    loop {
        let wait = t - clock();
        if wait > 2 * interval {
            // The clock was set back: the grid begins anew.
            t = cell.spec.slot(clock()) + interval;
            continue;
        }
        if wait > 0 {
            let pause = tokio::time::sleep(Duration::from_millis(wait as u64));
            if cell.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            continue;
        }
        if cell.stop.is_cancelled() {
            return;
        }
        cell.evaluate(&env, t, clock(), missed).await;
        let passed = ((clock() - t) / interval).max(1);
        missed = (passed - 1) as u64;
        t += passed * interval;
    }
}
