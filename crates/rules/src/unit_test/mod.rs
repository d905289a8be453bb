//! Unit tests of rules, as `promtool test rules` runs them.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use reba_config::Variables;
use reba_model::{CounterResetHint, Histogram, Labels, parse_notation};
use reba_storage::{MetricAppender, MetricQuerier};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::file::{AlertTest, ExprTest, File, Test};
use crate::{
    alerting::ALERT_NAME,
    file::{FileOptions, RuleFile, RuleKind},
    group::{Environment, GroupSpec, GroupState},
    lifecycle::AlertState,
    querier::{RuleQuerier, RuleSample, SampleValue},
    write,
};

/// A series of the test's input: its labels, and its values one a step, where there are any.
pub type InputValues = (Labels, Vec<Option<SampleValue>>);

/// An empty store with its query engine.
pub struct TestStore {
    /// Reads.
    pub store: Arc<dyn MetricQuerier>,
    /// Writes.
    pub appender: Arc<dyn MetricAppender>,
    /// Queries. Subqueries without a step use the file's evaluation interval.
    pub querier: Arc<dyn RuleQuerier>,
}

/// What the tests need of the outside.
pub struct Workshop<'a> {
    /// Makes an empty store for each test; the number is the evaluation interval in milliseconds.
    pub new_store: &'a dyn Fn(i64) -> Result<TestStore, String>,
    /// Reads `metric{a="b"} 1+2x3 _ stale`.
    pub parse_series: &'a dyn Fn(&str) -> Result<InputValues, String>,
    /// What rule files may contain.
    pub options: FileOptions,
    /// What `${NAME}` in rule files may ask for.
    pub variables: Variables,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name, or `unnamed#N`.
    pub name: String,
    /// What went wrong, in the form of promtool; empty if it passed.
    pub failures: Vec<String>,
}

/// Runs the tests of one file whose names `selected` accepts. Fails if the file cannot be read.
pub async fn run_file(
    path: &Path,
    workshop: &Workshop<'_>,
    selected: &dyn Fn(&str) -> bool,
) -> Result<Vec<TestResult>, String> {
    let file = File::read(path)?;
    let mut order = BTreeMap::new();
    for (i, name) in file.group_eval_order.iter().flatten().enumerate() {
        if order.insert(name.as_str(), i).is_some() {
            return Err(format!("group name repeated in evaluation order: {name}"));
        }
    }
    let rule_files = expand_globs(path, file.rule_files.as_deref().unwrap_or_default());
    let interval = file.evaluation_interval.map(|m| m.0).filter(|ms| *ms > 0).unwrap_or(60_000);
    let mut results = Vec::new();
    for (i, test) in file.tests.iter().flatten().enumerate() {
        let empty = Test::default();
        let test = test.as_ref().unwrap_or(&empty);
        if !selected(test.name.as_deref().unwrap_or_default()) {
            continue;
        }
        let name = test.name.clone().unwrap_or_else(|| format!("unnamed#{i}"));
        let case = Case { test, workshop, interval, fuzzy: file.fuzzy_compare.unwrap_or(false) };
        let failures = match case.load(&rule_files, &order) {
            Ok(mut bench) => case.run(&mut bench).await,
            Err(errors) => errors,
        };
        results.push(TestResult { name, failures });
    }
    Ok(results)
}

/// Names of rule files, relative to the test's folder; `*` and `?` may stand in the last part.
fn expand_globs(test_file: &Path, patterns: &[String]) -> Vec<PathBuf> {
    let folder = test_file.parent().unwrap_or(Path::new("."));
    let mut out = Vec::new();
    for pattern in patterns {
        let path = folder.join(pattern);
        let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !last.contains(['*', '?']) {
            out.push(path);
            continue;
        }
        let entries = path.parent().and_then(|p| std::fs::read_dir(p).ok());
        let mut found: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| matches_glob(last.as_bytes(), p.file_name().unwrap_or_default().as_encoded_bytes()))
            .collect();
        found.sort();
        out.append(&mut found);
    }
    out
}

/// `*` stands for any text, `?` for one byte; linear by going back to the last star only.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == b'?' || *c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// One test with what it shares with the others of its file.
struct Case<'a> {
    test: &'a Test,
    workshop: &'a Workshop<'a>,
    /// Milliseconds between evaluations of rules.
    interval: i64,
    /// Whether floats may differ in their last bit.
    fuzzy: bool,
}

/// A test that is ready to run.
struct Bench {
    env: Arc<Environment>,
    groups: Vec<GroupState>,
    input: Vec<InputValues>,
    /// Samples of the input up to this time are in the store.
    loaded: Option<i64>,
    /// Keeps the way of the alerts open.
    alerts: mpsc::Receiver<reba_model::AlertBatch>,
}

impl Case<'_> {
    fn load(&self, files: &[PathBuf], order: &BTreeMap<&str, usize>) -> Result<Bench, Vec<String>> {
        let one = |e: String| vec![e];
        let mut input = Vec::new();
        for series in self.test.input_series.iter().flatten() {
            let line = format!("{} {}", series.series, series.values);
            input.push((self.workshop.parse_series)(&line).map_err(one)?);
        }
        let store = (self.workshop.new_store)(self.interval).map_err(one)?;
        // The tests look at the state of rules, not at what is sent.
        let (sender, alerts) = mpsc::channel(1024);
        let env = Environment {
            querier: store.querier,
            store: store.store,
            appender: store.appender,
            alerts: sender,
            resend_delay: 0,
            outage_tolerance: 0,
            for_grace_period: 0,
            metrics: Mutex::default(),
            evaluated: OnceLock::new(),
        };
        let mut groups = Vec::new();
        for path in files {
            let name = path.display().to_string();
            let (file, _) = RuleFile::load(path, &self.workshop.variables, &self.workshop.options)
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            for group in &file.groups {
                let spec = GroupSpec {
                    file: name.clone(),
                    group: group.clone(),
                    interval: group.interval.unwrap_or(self.step()),
                    query_offset: group.query_offset.unwrap_or(0),
                    external_labels: Labels::from_pairs(self.test.external_labels.iter().flatten()),
                    external_url: self.test.external_url.clone().unwrap_or_default(),
                };
                groups.push(GroupState::new(Arc::new(spec), false));
            }
        }
        groups.sort_by_key(|g| order.get(g.spec.group.name.as_str()).copied().unwrap_or(0));
        Ok(Bench { env: Arc::new(env), groups, input, loaded: None, alerts })
    }

    /// Milliseconds between samples of the input.
    fn step(&self) -> i64 {
        self.test.interval.map(|m| m.0).filter(|ms| *ms > 0).unwrap_or(self.interval)
    }

    fn start(&self) -> i64 {
        self.test.start_timestamp.map_or(0, |t| t.0)
    }

    async fn run(&self, bench: &mut Bench) -> Vec<String> {
        let alert_tests: Vec<&AlertTest> = self.test.alert_rule_test.iter().flatten().collect();
        if let Some(test) = alert_tests.iter().find(|t| t.alertname.is_empty()) {
            let name = self.test.name.as_ref().map_or(String::new(), |n| format!(" (in TestGroup {n})"));
            let at = reba_model::duration::format(test.eval_time.0);
            let text = "an item under alert_rule_test misses required attribute alertname at eval_time";
            return vec![format!("{text} {at}{name}")];
        }
        let exprs: Vec<&ExprTest> = self.test.promql_expr_test.iter().flatten().collect();
        let times = alert_tests.iter().map(|t| t.eval_time.0).chain(exprs.iter().map(|t| t.eval_time.0));
        let end = times.max().unwrap_or(0);
        let mut failures = Vec::new();
        let mut elapsed = 0;
        while elapsed <= end {
            let errors = self.evaluate(bench, self.start() + elapsed).await;
            if !errors.is_empty() {
                failures.extend(errors);
                return failures;
            }
            let due: BTreeSet<i64> = alert_tests
                .iter()
                .map(|t| t.eval_time.0)
                .filter(|t| (elapsed..elapsed + self.interval).contains(t))
                .collect();
            for test in alert_tests.iter().filter(|t| due.contains(&t.eval_time.0)) {
                failures.extend(self.check_alerts(bench, test));
            }
            elapsed += self.interval;
        }
        for test in exprs {
            failures.extend(self.check_expr(bench, test).await.err());
        }
        failures
    }

    /// Loads the input up to `now` and evaluates all groups; returns the errors of rules.
    async fn evaluate(&self, bench: &mut Bench, now: i64) -> Vec<String> {
        if let Err(error) = self.load_until(bench, now) {
            return vec![error];
        }
        let mut errors = Vec::new();
        for group in &mut bench.groups {
            group.evaluate(&bench.env, now, &CancellationToken::new()).await;
            for rule in group.status().rules {
                if let Some(error) = rule.last_error {
                    let time = reba_model::duration::format(now);
                    errors.push(format!("    rule: {}, time: {time}, err: {error}", rule.name));
                }
            }
        }
        while bench.alerts.try_recv().is_ok() {}
        errors
    }

    fn load_until(&self, bench: &mut Bench, now: i64) -> Result<(), String> {
        let (start, step) = (self.start(), self.step());
        let first = bench.loaded.map_or(0, |t| (t - start) / step + 1);
        let last = (now - start) / step;
        for i in first..=last {
            let at = usize::try_from(i).unwrap_or(usize::MAX);
            let samples: Vec<RuleSample> = bench
                .input
                .iter()
                .filter_map(|(labels, values)| {
                    let value = values.get(at)?.clone()?;
                    Some(RuleSample { labels: labels.clone(), value })
                })
                .collect();
            let written = write::write_result(
                &*bench.env.appender,
                &write::SeriesSet::new(),
                &samples,
                start + i * step,
            )
            .map_err(|e| e.to_string())?;
            if let Some(error) = written.error() {
                return Err(error);
            }
            if bench.input.iter().all(|(_, values)| values.len() <= at) {
                break;
            }
        }
        bench.loaded = Some(start + last * step);
        Ok(())
    }

    fn check_alerts(&self, bench: &Bench, test: &AlertTest) -> Option<String> {
        let mut got: Vec<(Labels, Labels)> = Vec::new();
        for group in &bench.groups {
            for (rule, state) in group.spec.group.rules.iter().zip(&group.rules) {
                if rule.name != test.alertname || rule.kind == RuleKind::Recording {
                    continue;
                }
                let firing = state.active.iter().filter(|(_, a)| a.life.state == AlertState::Firing);
                got.extend(firing.map(|(labels, a)| (labels.clone(), a.annotations.clone())));
            }
        }
        let expected = test.exp_alerts.iter().flatten().map(|e| {
            let mut labels = Labels::from_pairs(e.exp_labels.iter().flatten()).to_builder();
            labels.set(ALERT_NAME, &test.alertname);
            (labels.build(), Labels::from_pairs(e.exp_annotations.iter().flatten()))
        });
        let mut expected: Vec<(Labels, Labels)> = expected.collect();
        expected.sort();
        got.sort();
        if expected == got {
            return None;
        }
        let name = self.test.name.as_ref().map_or(String::new(), |n| format!("    name: {n},\n"));
        let time = reba_model::duration::format(test.eval_time.0);
        Some(format!(
            "{name}    alertname: {}, time: {time}, \n        exp:{}, \n        got:{}",
            test.alertname,
            describe_alerts(&expected),
            describe_alerts(&got)
        ))
    }

    async fn check_expr(&self, bench: &Bench, test: &ExprTest) -> Result<(), String> {
        let time = reba_model::duration::format(test.eval_time.0);
        let place = format!("    expr: {}, time: {time}", reba_model::float::go_quote(&test.expr));
        let t = self.start() + test.eval_time.0;
        let result = bench.env.querier.instant(&test.expr, t).await;
        let mut got: Vec<(Labels, SampleValue)> = result
            .map_err(|e| format!("{place}, err: {e}"))?
            .into_iter()
            .map(|s| (s.labels, s.value))
            .collect();
        let mut expected = Vec::new();
        for sample in test.exp_samples.iter().flatten() {
            let fail = |e: String| format!("{place}, err: labels {:?}: {e}", sample.labels);
            let labels = if sample.labels.trim().is_empty() {
                Labels::empty()
            } else {
                (self.workshop.parse_series)(&sample.labels).map_err(fail)?.0
            };
            let value = if sample.histogram.is_empty() {
                SampleValue::Float(sample.value)
            } else {
                let (histogram, ..) =
                    parse_notation(sample.histogram.trim()).map_err(|e| fail(e.to_string()))?;
                SampleValue::Histogram(Arc::new(histogram))
            };
            expected.push((labels, value));
        }
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        got.sort_by(|a, b| a.0.cmp(&b.0));
        let same = expected.len() == got.len()
            && expected.iter().zip(&got).all(|(e, g)| e.0 == g.0 && self.same_value(&e.1, &g.1));
        if same {
            return Ok(());
        }
        let (expected, got) = (describe_samples(&expected), describe_samples(&got));
        Err(format!("{place},\n        exp: {expected}\n        got: {got}"))
    }

    fn same_value(&self, a: &SampleValue, b: &SampleValue) -> bool {
        match (a, b) {
            (SampleValue::Float(a), SampleValue::Float(b)) => {
                let near = self.fuzzy && (a.next_up() == *b || a.next_down() == *b);
                a == b || near || (a.is_nan() && b.is_nan())
            }
            (SampleValue::Histogram(a), SampleValue::Histogram(b)) => same_histogram(a, b),
            _ => false,
        }
    }
}

/// Whether two histograms print alike. What is said of counter resets counts only if both say something: upstream's
/// store finds it out while it reads its chunks, others need not.
fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    if a.hint == CounterResetHint::Unknown || b.hint == CounterResetHint::Unknown {
        (a.hint, b.hint) = (CounterResetHint::Unknown, CounterResetHint::Unknown);
    }
    a.notation() == b.notation()
}

fn describe_alerts(alerts: &[(Labels, Labels)]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut out = String::from("[\n");
    for (i, (labels, annotations)) in alerts.iter().enumerate() {
        let comma = if i + 1 < alerts.len() { "," } else { "" };
        out.push_str(&format!(
            "                {i}:\n                  Labels:{labels}\n                  Annotations:{annotations}{comma}\n"
        ));
    }
    out.push_str("            ]");
    out
}

fn describe_samples(samples: &[(Labels, SampleValue)]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let text = |(labels, value): &(Labels, SampleValue)| match value {
        SampleValue::Float(v) => format!("{labels} {}", reba_model::float::format_e(*v)),
        SampleValue::Histogram(h) => format!("{labels} {}", h.notation()),
    };
    samples.iter().map(text).collect::<Vec<_>>().join(", ")
}
