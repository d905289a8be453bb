//! `metrics`: counters, gauges and histograms made of log lines.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use parking_lot::Mutex;
use reba_model::{Labels, float};

use super::{Flow, join::nanos};
use crate::entry::{Entry, Value};

/// Series that one metric may have.
const MAX_SERIES: usize = 10_000;

/// What a metric does with a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Adds one.
    Inc,
    /// Takes one away.
    Dec,
    /// Adds the value.
    Add,
    /// Takes the value away.
    Sub,
    /// Becomes the value.
    Set,
    /// Adds the bytes of the line.
    AddBytes,
    /// Counts the value in buckets with these upper bounds.
    Observe(Vec<f64>),
}

/// One metric as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// With its prefix.
    pub name: String,
    pub kind: &'static str,
    pub description: String,
    pub source: String,
    /// Only lines with this value count.
    pub value: Option<String>,
    /// Every line counts, whatever is in it.
    pub match_all: bool,
    pub action: Action,
    pub max_idle: Duration,
}

#[derive(Clone, Debug, Default)]
struct Series {
    value: f64,
    buckets: Vec<u64>,
    count: u64,
    last_ns: i64,
}

/// The metrics of one stage.
#[derive(Debug)]
pub struct CustomMetrics {
    specs: Vec<Spec>,
    series: Mutex<Vec<BTreeMap<Labels, Series>>>,
}

impl CustomMetrics {
    pub(crate) fn new(specs: Vec<Spec>) -> Self {
        let series = Mutex::new(vec![BTreeMap::new(); specs.len()]);
        CustomMetrics { specs, series }
    }

    pub(crate) fn apply(&self, entry: &Entry, now_ns: i64) -> Flow {
        let mut all = self.series.lock();
        let mut counted = false;
        for (spec, series) in self.specs.iter().zip(all.iter_mut()) {
            let Some(amount) = spec.amount(entry) else { continue };
            if series.len() >= MAX_SERIES && !series.contains_key(&entry.labels) {
                continue;
            }
            series.entry(entry.labels.clone()).or_default().take(&spec.action, amount, now_ns);
            counted = true;
        }
        if counted { Flow::Next } else { Flow::Missed }
    }

    /// Adds the metrics to `out`, in the text format of Prometheus; series that were idle for too long are forgotten.
    pub fn write(&self, out: &mut String, now_ns: i64) {
        let mut all = self.series.lock();
        for (spec, series) in self.specs.iter().zip(all.iter_mut()) {
            let idle = nanos(spec.max_idle);
            series.retain(|_, s| now_ns.saturating_sub(s.last_ns) <= idle);
            if series.is_empty() {
                continue;
            }
            let help = spec.description.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(out, "# HELP {} {help}\n# TYPE {} {}", spec.name, spec.name, spec.kind);
            for (labels, s) in series.iter() {
                s.write(out, spec, labels);
            }
        }
    }
}

impl Spec {
    /// What the line counts for; nothing if it does not count.
    fn amount(&self, entry: &Entry) -> Option<f64> {
        if self.match_all {
            return Some(if self.action == Action::AddBytes { entry.line.len() as f64 } else { 1.0 });
        }
        let value = entry.extracted.get(&self.source)?;
        let text = value.text()?;
        if self.value.as_ref().is_some_and(|v| *v != text) {
            return None;
        }
        match self.action {
            Action::Inc | Action::Dec => Some(1.0),
            _ => number(&value),
        }
    }
}

/// A value as a number: durations in seconds.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Nil => None,
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        Value::Text(t) => {
            float::parse_go(t).or_else(|| reba_logql::units::go_duration(t).ok().map(|ns| ns as f64 / 1e9))
        }
    }
}

impl Series {
    fn take(&mut self, action: &Action, amount: f64, now_ns: i64) {
        self.last_ns = now_ns;
        match action {
            Action::Inc => self.value += 1.0,
            Action::Dec => self.value -= 1.0,
            Action::Add | Action::AddBytes => self.value += amount,
            Action::Sub => self.value -= amount,
            Action::Set => self.value = amount,
            Action::Observe(bounds) => {
                self.buckets.resize(bounds.len(), 0);
                for (bucket, _) in self.buckets.iter_mut().zip(bounds).filter(|(_, b)| amount <= **b) {
                    *bucket += 1;
                }
                self.count += 1;
                self.value += amount;
            }
        }
    }

    fn write(&self, out: &mut String, spec: &Spec, labels: &Labels) {
        let name = &spec.name;
        let Action::Observe(bounds) = &spec.action else {
            let _ = writeln!(out, "{name}{labels} {}", float::format_g(self.value));
            return;
        };
        let with_bound = |bound: &str| {
            let mut builder = labels.to_builder();
            builder.set("le", bound);
            builder.build()
        };
        for (bound, count) in bounds.iter().zip(&self.buckets) {
            let _ = writeln!(out, "{name}_bucket{} {count}", with_bound(&float::format_g(*bound)));
        }
        let _ = writeln!(out, "{name}_bucket{} {}", with_bound("+Inf"), self.count);
        let _ = writeln!(out, "{name}_sum{labels} {}", float::format_g(self.value));
        let _ = writeln!(out, "{name}_count{labels} {}", self.count);
    }
}
