//! One group: its state, and one evaluation of all its rules.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reba_model::{AlertBatch, Labels, METRIC_NAME, TimeRange};
use reba_storage::{MetricAppender, MetricQuerier};
use reba_template::prometheus::{self, Context, Sample};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    alerting::{self, ActiveAlerts, Element},
    expand::{Expander, Expansions, Lines, Text, sample_value},
    file::{AlertingRule, Rule, RuleGroup, RuleKind},
    manager::Evaluated,
    querier::{GroupName, RuleQuerier, RuleSample},
    restore,
    status::{AlertingStatus, GroupStatus, Metrics, RuleHealth, RuleStatus},
    write::{self, SeriesSet},
};

/// What evaluations need of the outside.
pub(crate) struct Environment {
    pub querier: Arc<dyn RuleQuerier>,
    pub store: Arc<dyn MetricQuerier>,
    pub appender: Arc<dyn MetricAppender>,
    pub alerts: mpsc::Sender<AlertBatch>,
    pub resend_delay: i64,
    pub outage_tolerance: i64,
    pub for_grace_period: i64,
    pub metrics: Mutex<Metrics>,
    pub evaluated: OnceLock<Evaluated>,
}

/// A group as the configuration has it, with all defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupSpec {
    pub file: String,
    pub group: Arc<RuleGroup>,
    pub interval: i64,
    pub query_offset: i64,
    pub external_labels: Labels,
    pub external_url: String,
}

impl GroupSpec {
    /// The last time at or before `now` at which this group is due: groups are spread over their interval by a hash of
    /// file and name, and stay on that grid.
    pub fn slot(&self, now: i64) -> i64 {
        let identity = format!("{}\u{ff}{}", self.file, self.group.name);
        let offset = (xxh3_64(identity.as_bytes()) % self.interval.max(1) as u64) as i64;
        now - (now - offset).rem_euclid(self.interval.max(1))
    }
}

/// What a rule remembers from one evaluation to the next.
#[derive(Debug, Default)]
pub(crate) struct RuleState {
    pub active: ActiveAlerts,
    /// The series of the last result.
    pub previous: SeriesSet,
    /// Whether `ALERTS` is written: not until the time before the restart has been looked up.
    pub restored: bool,
    health: RuleHealth,
    last_error: Option<String>,
    last_evaluation: Option<i64>,
    evaluation_seconds: f64,
}

/// A group at work.
#[derive(Debug)]
pub(crate) struct GroupState {
    pub spec: Arc<GroupSpec>,
    pub rules: Vec<RuleState>,
    /// Series of rules that are gone; they are ended by the next evaluation.
    pub stale: Vec<Labels>,
    /// Whether what was active before the restart must still be looked up.
    pub to_restore: bool,
    pub counts: Counts,
}

/// Figures of a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub evaluations: u64,
    pub failures: u64,
    pub iterations: u64,
    pub missed: u64,
    samples: u64,
    seconds: f64,
    last_evaluation: Option<i64>,
    since_start: u64,
}

impl GroupState {
    /// A group that was never evaluated.
    pub fn new(spec: Arc<GroupSpec>, to_restore: bool) -> Self {
        let rules = spec.group.rules.iter();
        let rules = rules.map(|_| RuleState { restored: !to_restore, ..RuleState::default() }).collect();
        GroupState { spec, rules, stale: Vec::new(), to_restore, counts: Counts::default() }
    }

    /// Takes over what `old` knows. Rules are the same if name and labels are; of several, the first is the first.
    pub fn inherit(&mut self, mut old: GroupState) {
        self.counts = old.counts;
        self.to_restore |= old.to_restore;
        self.stale = old.stale;
        let identity = |r: &Rule| (r.name.clone(), r.labels.clone(), r.kind == RuleKind::Recording);
        let mut by_identity: std::collections::BTreeMap<_, VecDeque<usize>> =
            std::collections::BTreeMap::new();
        for (i, rule) in old.spec.group.rules.iter().enumerate() {
            by_identity.entry(identity(rule)).or_default().push_back(i);
        }
        for (rule, state) in self.spec.group.rules.iter().zip(&mut self.rules) {
            let Some(i) = by_identity.get_mut(&identity(rule)).and_then(VecDeque::pop_front) else {
                continue;
            };
            let restored = old.rules[i].restored;
            *state = std::mem::take(&mut old.rules[i]);
            state.restored = restored;
        }
        self.stale
            .extend(by_identity.values().flatten().flat_map(|i| old.rules[*i].previous.keys().cloned()));
    }

    /// All series the group has written last.
    pub fn series(&self) -> Vec<Labels> {
        let current = self.rules.iter().flat_map(|r| r.previous.keys().cloned());
        current.chain(self.stale.iter().cloned()).collect()
    }

    /// What the API shows.
    pub fn status(&self) -> GroupStatus {
        let spec = &self.spec;
        GroupStatus {
            name: spec.group.name.clone(),
            file: spec.file.clone(),
            interval_ms: spec.interval,
            limit: spec.group.limit,
            rules: spec.group.rules.iter().zip(&self.rules).map(|(rule, s)| rule_status(rule, s)).collect(),
            last_evaluation: self.counts.last_evaluation,
            evaluation_seconds: self.counts.seconds,
            last_samples: self.counts.samples,
            evaluations: self.counts.evaluations,
            evaluation_failures: self.counts.failures,
            iterations: self.counts.iterations,
            iterations_missed: self.counts.missed,
        }
    }

    /// Evaluates all rules at `now`, in order, each seeing what the ones before it wrote. A stop is heeded between rules.
    pub async fn evaluate(&mut self, env: &Arc<Environment>, now: i64, stop: &CancellationToken) {
        let started = Instant::now();
        let spec = self.spec.clone();
        self.counts.iterations += 1;
        self.counts.since_start += 1;
        self.counts.samples = 0;
        for index in 0..self.rules.len() {
            if stop.is_cancelled() {
                return;
            }
            let begin = Instant::now();
            let result = self.evaluate_rule(env, &spec, index, now).await;
            let seconds = begin.elapsed().as_secs_f64();
            self.counts.evaluations += 1;
            let state = &mut self.rules[index];
            state.evaluation_seconds = seconds;
            state.last_evaluation = Some(now);
            match result {
                Ok(()) => {
                    state.health = RuleHealth::Ok;
                    state.last_error = None;
                }
                Err(error) => {
                    let rule = &spec.group.rules[index].name;
                    tracing::warn!(file = %spec.file, group = %spec.group.name, %rule, %error, "evaluating rule failed");
                    self.counts.failures += 1;
                    state.health = RuleHealth::Err;
                    state.last_error = Some(error);
                }
            }
            let mut metrics = env.metrics.lock();
            metrics.evaluations += 1;
            metrics.evaluation_seconds += seconds;
        }
        self.end_stale(env, now - spec.query_offset).await;
        self.counts.seconds = started.elapsed().as_secs_f64();
        self.counts.last_evaluation = Some(now);
        let mut metrics = env.metrics.lock();
        metrics.group_evaluations += 1;
        metrics.group_seconds += self.counts.seconds;
    }

    async fn evaluate_rule(
        &mut self,
        env: &Arc<Environment>,
        spec: &Arc<GroupSpec>,
        index: usize,
        now: i64,
    ) -> Result<(), String> {
        let rule = &spec.group.rules[index];
        let t = now - spec.query_offset;
        let group = GroupName { file: &spec.file, name: &spec.group.name };
        let result = env.querier.instant_for(group, &rule.query, t).await.map_err(|e| e.to_string())?;
        let samples = match &rule.kind {
            RuleKind::Recording => record(rule, result, spec.group.limit)?,
            RuleKind::Alerting(alerting) => {
                let elements = expand_all(env, spec, index, result, now).await?;
                let state = &mut self.rules[index];
                let log = |labels: &_, event| alerting::log_event(&rule.name, labels, event);
                alerting::advance(alerting, &mut state.active, elements, now, spec.group.limit, log)?;
                let url = format!("{}{}", spec.external_url, env.querier.link(&rule.query));
                let batch = alerting::to_send(&mut state.active, now, env.resend_delay, spec.interval, &url);
                send(env, batch);
                if state.restored { alerting::report_series(rule, &state.active) } else { Vec::new() }
            }
        };
        self.counts.samples += samples.len() as u64;
        let previous = std::mem::take(&mut self.rules[index].previous);
        let appender = env.appender.clone();
        let (previous, written) = blocking(move || {
            let written = write::write_result(&*appender, &previous, &samples, t);
            (previous, written)
        })
        .await?;
        match written {
            Ok(written) => {
                let error = written.error();
                self.rules[index].previous = written.series;
                error.map_or(Ok(()), Err)
            }
            Err(e) => {
                // Nothing was written, so nothing has changed.
                self.rules[index].previous = previous;
                Err(e.to_string())
            }
        }
    }

    /// Ends the series of rules that are gone.
    async fn end_stale(&mut self, env: &Arc<Environment>, t: i64) {
        if self.stale.is_empty() {
            return;
        }
        let appender = env.appender.clone();
        let stale = std::mem::take(&mut self.stale);
        let result =
            blocking(move || write::write_markers(&*appender, &stale, t).map_err(|e| (stale, e))).await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err((stale, error))) => {
                tracing::warn!(%error, "ending series of removed rules failed");
                self.stale = stale;
            }
            Err(error) => tracing::warn!(%error, "ending series of removed rules failed"),
        }
    }

    /// Looks up what was active before the restart, once the group has been evaluated twice: by then recording rules
    /// and scrapes have caught up.
    pub async fn restore_when_due(&mut self, env: &Arc<Environment>, now: i64) {
        if !self.to_restore || self.counts.since_start < 2 {
            return;
        }
        self.to_restore = false;
        let range = TimeRange::new(now - env.outage_tolerance, now);
        for index in 0..self.rules.len() {
            let spec = self.spec.clone();
            let RuleKind::Alerting(alerting) = &spec.group.rules[index].kind else { continue };
            self.rules[index].restored = true;
            if alerting.hold < env.for_grace_period || self.rules[index].active.is_empty() {
                continue;
            }
            let store = env.store.clone();
            let for_read = spec.clone();
            let states =
                blocking(move || restore::read_states(&*store, &for_read.group.rules[index], range)).await;
            match states.map(|r| r.map_err(|e| e.to_string())) {
                Ok(Ok(states)) => {
                    let active = &mut self.rules[index].active;
                    restore::restore(active, &states, now, alerting.hold, env.for_grace_period);
                }
                Ok(Err(error)) | Err(error) => {
                    let alert = &spec.group.rules[index].name;
                    tracing::error!(%alert, %error, "restoring the state of alerts failed");
                }
            }
        }
    }
}

/// Runs blocking work off the runtime's workers.
pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(f).await.map_err(|e| format!("blocking task failed: {e}"))
}

/// Hands a batch to the notifier, which must never hold up rules: if its queue is full the batch is dropped, and the
/// alerts are sent again after the resend delay.
fn send(env: &Environment, batch: AlertBatch) {
    if batch.is_empty() {
        return;
    }
    let count = batch.len() as u64;
    if env.alerts.try_send(batch).is_err() {
        env.metrics.lock().alerts_dropped += count;
        tracing::warn!(alerts = count, "queue to the notifier is full or closed, alerts dropped");
    }
}

/// The series that a recording rule writes.
fn record(rule: &Rule, result: Vec<RuleSample>, limit: usize) -> Result<Vec<RuleSample>, String> {
    let mut seen = std::collections::HashSet::with_capacity(result.len());
    let mut samples = Vec::with_capacity(result.len());
    for sample in result {
        let mut labels = sample.labels.to_builder();
        labels.set(METRIC_NAME, &rule.name);
        for (name, value) in &rule.labels {
            labels.set(name, value);
        }
        let labels = labels.build();
        if !seen.insert(labels.clone()) {
            let text = "vector contains metrics with the same labelset after applying rule labels";
            return Err(text.to_owned());
        }
        samples.push(RuleSample { labels, value: sample.value });
    }
    if limit > 0 && samples.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", samples.len()));
    }
    Ok(samples)
}

/// The templates of one evaluation of a rule may run queries for the group's interval, but for at least and at most so
/// many milliseconds.
const MIN_TEMPLATE_MS: i64 = 1_000;
const MAX_TEMPLATE_MS: i64 = 60_000;

/// Expands labels and annotations for every element, off the runtime's workers since templates may run queries.
async fn expand_all(
    env: &Arc<Environment>,
    spec: &Arc<GroupSpec>,
    index: usize,
    result: Vec<RuleSample>,
    now: i64,
) -> Result<Vec<Element>, String> {
    if result.is_empty() {
        return Ok(Vec::new());
    }
    let (querier, runtime) = (env.querier.clone(), tokio::runtime::Handle::current());
    let limit = Duration::from_millis(spec.interval.clamp(MIN_TEMPLATE_MS, MAX_TEMPLATE_MS) as u64);
    let deadline = tokio::time::Instant::now() + limit;
    let query = move |text: &str| {
        let answer = async { tokio::time::timeout_at(deadline, querier.instant(text, now)).await };
        let answer =
            runtime.block_on(answer).map_err(|_| "templates of the rule took too long".to_owned())?;
        let samples = answer.map_err(|e| e.to_string())?;
        let of = |s: RuleSample| Sample { labels: s.labels, value: sample_value(&s.value) };
        Ok(samples.into_iter().map(of).collect())
    };
    let lines = lines_of(env, spec, index, now, deadline);
    let context = Context { query: Arc::new(query), external_url: spec.external_url.clone(), now };
    let expander = Expander {
        alert: spec.group.rules[index].name.clone(),
        functions: prometheus::functions(&context),
        lines,
        external_labels: prometheus::label_map(&spec.external_labels),
        external_url: reba_template::Value::from(spec.external_url.as_str()),
    };
    let spec = spec.clone();
    let (elements, counts) = blocking(move || {
        let rule = &spec.group.rules[index];
        let RuleKind::Alerting(alerting) = &rule.kind else { return (Vec::new(), Expansions::default()) };
        let mut counts = Expansions::default();
        let elements = result.iter().map(|s| expand_one(rule, alerting, &expander, s, &mut counts));
        (elements.collect(), counts)
    })
    .await?;
    let mut metrics = env.metrics.lock();
    metrics.template_expansions += counts.total;
    metrics.template_failures += counts.failed;
    Ok(elements)
}

/// Where the templates of a rule get lines from, if one of them asks for any. Without lines an alert is still worth sending: a
/// failure yields none.
fn lines_of(
    env: &Arc<Environment>,
    spec: &Arc<GroupSpec>,
    index: usize,
    now: i64,
    deadline: tokio::time::Instant,
) -> Option<Lines> {
    let RuleKind::Alerting(alerting) = &spec.group.rules[index].kind else { return None };
    if !alerting.label_texts.iter().chain(&alerting.annotation_texts).any(|(_, text)| text.wants_lines()) {
        return None;
    }
    let (querier, runtime) = (env.querier.clone(), tokio::runtime::Handle::current());
    let (spec, t) = (spec.clone(), now - spec.query_offset);
    Some(Arc::new(move |labels, limit| {
        let rule = &spec.group.rules[index];
        let answer =
            async { tokio::time::timeout_at(deadline, querier.lines(&rule.query, labels, t, limit)).await };
        let error = match runtime.block_on(answer) {
            Ok(Ok(lines)) => return Ok(lines),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "templates of the rule took too long".to_owned(),
        };
        tracing::warn!(alert = %rule.name, error, "no lines for an alert");
        Ok(Vec::new())
    }))
}

fn expand_one(
    rule: &Rule,
    alerting: &AlertingRule,
    expander: &Expander,
    sample: &RuleSample,
    counts: &mut Expansions,
) -> Element {
    let own = expander.with_lines_of(&sample.labels);
    let expander = own.as_ref().unwrap_or(expander);
    let data = expander.data(sample);
    let mut expand = |texts: &[(String, Text)]| -> Vec<(String, String)> {
        texts.iter().map(|(name, text)| (name.clone(), expander.expand(text, &data, counts))).collect()
    };
    let labels = expand(&alerting.label_texts);
    let annotations = expand(&alerting.annotation_texts);
    Element {
        labels: alerting::alert_labels(&sample.labels, &labels, &rule.name),
        annotations: Labels::from_pairs(annotations),
        value: sample.value.as_f64(),
    }
}

fn rule_status(rule: &Rule, state: &RuleState) -> RuleStatus {
    let alerting = match &rule.kind {
        RuleKind::Recording => None,
        RuleKind::Alerting(a) => Some(AlertingStatus {
            hold_ms: a.hold,
            keep_firing_for_ms: a.keep_firing_for,
            annotations: a.annotations.clone(),
            state: state.last_evaluation.map(|_| alerting::highest_state(&state.active)),
            alerts: alerting::statuses(&state.active),
        }),
    };
    RuleStatus {
        name: rule.name.clone(),
        query: rule.query.clone(),
        labels: rule.labels.clone(),
        health: state.health,
        last_error: state.last_error.clone(),
        last_evaluation: state.last_evaluation,
        evaluation_seconds: state.evaluation_seconds,
        alerting,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(name: &str, interval: i64) -> GroupSpec {
        let text = format!("groups: [{{name: {name}, rules: []}}]");
        let file = crate::RuleFile::parse("f.yml", &text, &crate::FileOptions::default()).unwrap();
        GroupSpec {
            file: "f.yml".to_owned(),
            group: file.groups[0].clone(),
            interval,
            query_offset: 0,
            external_labels: Labels::empty(),
            external_url: String::new(),
        }
    }

    proptest! {
        #[test]
        fn a_group_stays_on_its_grid_whenever_it_starts(
            name in "[a-z]{1,8}",
            interval in 1i64..1_000_000,
            now in 0i64..4_000_000_000_000,
            later in 0i64..1_000_000_000,
        ) {
            let spec = spec(&name, interval);
            let first = spec.slot(now);
            prop_assert!(first <= now && first > now - interval);
            prop_assert_eq!((spec.slot(now + later) - first) % interval, 0);
        }
    }

    #[test]
    fn groups_are_spread_over_their_interval() {
        let offsets: std::collections::BTreeSet<i64> =
            (0..50).map(|i| spec(&format!("g{i}"), 60_000).slot(1_000_000_000) / 10_000).collect();
        assert!(offsets.len() >= 5, "{offsets:?}");
    }
}
