//! The stages that decide which entries go on: `match`, `drop`, `limit`, `sampling`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use rand::{Rng as _, rngs::SmallRng};
use reba_logql::pipeline::{LineState, Pipeline as Query};
use reba_model::{GoRegex, Matcher};

use super::{Context, Flow, Inspector, Pipeline, StageReport, join::nanos};
use crate::entry::Entry;

/// `match`
#[derive(Debug)]
pub(crate) struct Match {
    pub matchers: Vec<Matcher>,
    pub query: Query,
    pub state: LineState,
    /// The stages of matching entries; without them, matching entries are dropped for this reason.
    pub then: Result<Pipeline, Arc<str>>,
}

impl Match {
    pub fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        let metadata = entry.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let matches = Matcher::all(&self.matchers, &entry.labels)
            && self.query.run(&mut self.state, &entry.labels, (entry.ns, &entry.line), metadata);
        if !matches {
            return Flow::Missed;
        }
        match &mut self.then {
            Err(reason) => Flow::Drop(Arc::clone(reason)),
            Ok(stages) => {
                let mut out = Vec::new();
                stages.process(std::mem::take(entry), cx, &mut out);
                Flow::Instead(out)
            }
        }
    }

    pub fn release(&mut self, cx: &mut Context<'_>, all: bool) -> Vec<Entry> {
        let mut out = Vec::new();
        if let Ok(stages) = &mut self.then {
            stages.release(cx, all, &mut out);
        }
        out
    }

    pub fn inspect(&mut self, inspector: &Inspector) {
        if let Ok(stages) = &mut self.then {
            stages.inspect(inspector);
        }
    }

    pub fn report(&self) -> Vec<StageReport> {
        self.then.as_ref().map(Pipeline::report).unwrap_or_default()
    }
}

/// `drop`: all conditions that are given must hold.
#[derive(Debug)]
pub(crate) struct Drop {
    pub source: Vec<String>,
    pub separator: String,
    pub expression: Option<GoRegex>,
    pub value: Option<String>,
    pub older_than: Option<Duration>,
    pub longer_than: Option<u64>,
    pub reason: Arc<str>,
}

impl Drop {
    pub fn apply(&self, entry: &mut Entry, now_ns: i64) -> Flow {
        if self.holds(entry, now_ns) { Flow::Drop(Arc::clone(&self.reason)) } else { Flow::Missed }
    }

    fn holds(&self, entry: &Entry, now_ns: i64) -> bool {
        let long_enough = self.longer_than.is_none_or(|n| entry.line.len() as u64 > n);
        let old_enough = self.older_than.is_none_or(|age| entry.ns < now_ns.saturating_sub(nanos(age)));
        if !long_enough || !old_enough {
            return false;
        }
        if self.source.is_empty() {
            return self.expression.as_ref().is_none_or(|e| e.is_match(&entry.line));
        }
        let values: Option<Vec<String>> = self.source.iter().map(|s| entry.extracted.text(s)).collect();
        let Some(values) = values else { return false };
        let text = values.join(&self.separator);
        self.value.as_ref().is_none_or(|v| *v == text)
            && self.expression.as_ref().is_none_or(|e| e.is_match(&text))
    }
}

/// A bucket that fills with `rate` tokens a second up to `burst`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at_ns: i64,
}

impl Bucket {
    pub fn full(burst: f64, now_ns: i64) -> Self {
        Bucket { tokens: burst, at_ns: now_ns }
    }

    fn fill(&mut self, rate: f64, burst: f64, now_ns: i64) {
        let seconds = now_ns.saturating_sub(self.at_ns).max(0) as f64 / 1e9;
        self.tokens = (self.tokens + seconds * rate).min(burst);
        self.at_ns = now_ns;
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, rate: f64, burst: f64, now_ns: i64) -> bool {
        self.fill(rate, burst, now_ns);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes a token in any case; how long to wait until it is there.
    pub fn owe(&mut self, rate: f64, burst: f64, now_ns: i64) -> Duration {
        self.fill(rate, burst, now_ns);
        self.tokens -= 1.0;
        let missing = (-self.tokens / rate).clamp(0.0, 3600.0);
        Duration::from_secs_f64(missing)
    }
}

/// `limit`
#[derive(Debug)]
pub(crate) struct Limit {
    pub rate: f64,
    pub burst: f64,
    pub drop: bool,
    pub by_label: Option<String>,
    pub max_distinct: usize,
    pub reason: Arc<str>,
    pub whole: Option<Bucket>,
    pub by_value: HashMap<String, Bucket>,
}

impl Limit {
    pub fn apply(&mut self, entry: &mut Entry, cx: &mut Context<'_>) -> Flow {
        let (rate, burst, now) = (self.rate, self.burst, cx.now_ns);
        if let Some(label) = &self.by_label {
            let Some(value) = entry.labels.get(label) else { return Flow::Missed };
            if self.by_value.len() >= self.max_distinct && !self.by_value.contains_key(value) {
                // Those that have been quiet longest have full buckets anyway.
                let mut times: Vec<i64> = self.by_value.values().map(|b| b.at_ns).collect();
                times.sort_unstable();
                let middle = times[times.len() / 2];
                self.by_value.retain(|_, b| b.at_ns > middle);
            }
            let bucket = self.by_value.entry(value.to_owned()).or_insert_with(|| Bucket::full(burst, now));
            if bucket.take(rate, burst, now) {
                return Flow::Next;
            }
            cx.counters.dropped_by_label(label, value);
            return Flow::Drop(Arc::clone(&self.reason));
        }
        let bucket = self.whole.get_or_insert_with(|| Bucket::full(burst, now));
        if !self.drop {
            cx.delay = cx.delay.max(bucket.owe(rate, burst, now));
            return Flow::Next;
        }
        if bucket.take(rate, burst, now) { Flow::Next } else { Flow::Drop(Arc::clone(&self.reason)) }
    }
}

/// `sampling`
#[derive(Debug)]
pub(crate) struct Sampling {
    pub rate: f64,
    pub dice: SmallRng,
    pub reason: Arc<str>,
}

impl Sampling {
    pub fn apply(&mut self) -> Flow {
        if self.dice.random::<f64>() < self.rate { Flow::Next } else { Flow::Drop(Arc::clone(&self.reason)) }
    }
}
