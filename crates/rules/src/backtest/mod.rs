//! What alerts would have done: alerting rules replayed over stored data.
//!
//! Each expression is asked for by range queries on the grid of its group's interval, and the alerts' lives are led through
//! the answers by the same pure function that leads them in [`crate::RuleManager`]. What a recording rule would have
//! recorded is not made up: an alert that uses it sees what is stored under its name.

mod draw;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use reba_model::Labels;
use reba_template::prometheus::{self, Context};

pub use self::draw::{table, timelines};
use crate::{
    alerting::{self, ActiveAlerts, Element},
    expand::{Expander, Expansions, Text},
    file::{AlertingRule, Rule, RuleFile, RuleGroup, RuleKind},
    lifecycle::AlertState,
    querier::{RuleQueryError, RuleSample, SampleValue},
};

/// Evaluations that one query asks for; Prometheus answers no more than 11,000.
const STEPS_PER_QUERY: i64 = 10_000;

/// A range query: a point at `start` and after every `step` until `end`, all in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    /// The expression.
    pub query: String,
    /// The first point.
    pub start: i64,
    /// No point is later.
    pub end: i64,
    /// Distance of two points.
    pub step: i64,
}

/// One series of an answer; only points with a value, by time.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds and values.
    pub points: Vec<(i64, SampleValue)>,
}

/// Asks for a range.
pub type Fetch<'a> =
    &'a (dyn Fn(RangeRequest) -> BoxFuture<'a, Result<Vec<RangeSeries>, RuleQueryError>> + Sync);

/// Which time is replayed, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub start: i64,
    /// The last.
    pub end: i64,
    /// Distance of evaluations in groups that name none.
    pub interval: i64,
}

/// What became of one alerting rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleHistory {
    /// The rule's group.
    pub group: String,
    /// The alert's name.
    pub alert: String,
    /// Its alerts by labels; empty if it was silent.
    pub alerts: Vec<AlertHistory>,
    /// The last error, and how many evaluations failed.
    pub error: Option<(String, u64)>,
}

/// What one alert did.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertHistory {
    /// The alert's labels, its name included.
    pub labels: Labels,
    /// When it was pending or firing, in order of time.
    pub periods: Vec<Period>,
}

/// A time in which an alert was pending, or firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Pending or firing.
    pub state: AlertState,
    /// The first evaluation in that state.
    pub start: i64,
    /// The first one in another; `None` if it lasted to the end.
    pub end: Option<i64>,
}

/// Replays all alerting rules of a file.
pub async fn replay(file: &RuleFile, span: Span, fetch: Fetch<'_>) -> Vec<RuleHistory> {
    let mut histories = Vec::new();
    for group in &file.groups {
        for rule in &group.rules {
            if let RuleKind::Alerting(alerting) = &rule.kind {
                let replay = Replay::new(group, rule, alerting, span);
                histories.push(replay.run(span, fetch).await);
            }
        }
    }
    histories
}

/// One rule on its way through time.
struct Replay<'a> {
    group: &'a RuleGroup,
    rule: &'a Rule,
    alerting: &'a AlertingRule,
    interval: i64,
    active: ActiveAlerts,
    periods: BTreeMap<Labels, Vec<Period>>,
    error: Option<(String, u64)>,
}

impl<'a> Replay<'a> {
    fn new(group: &'a RuleGroup, rule: &'a Rule, alerting: &'a AlertingRule, span: Span) -> Self {
        let interval = group.interval.unwrap_or(span.interval).max(1);
        let (active, periods, error) = (ActiveAlerts::new(), BTreeMap::new(), None);
        Replay { group, rule, alerting, interval, active, periods, error }
    }

    async fn run(mut self, span: Span, fetch: Fetch<'_>) -> RuleHistory {
        let offset = self.group.query_offset.unwrap_or(0);
        // Begins so much earlier that what fires at the start is known to.
        let warm_up = self.alerting.hold.saturating_add(self.alerting.keep_firing_for);
        let grid = |t: i64| t.div_euclid(self.interval) * self.interval;
        let (mut from, interval) = (grid(span.start.saturating_sub(warm_up)), self.interval);
        while from <= span.end {
            let to = span.end.min(from.saturating_add((STEPS_PER_QUERY - 1).saturating_mul(interval)));
            let request = RangeRequest {
                query: self.rule.query.clone(),
                start: from - offset,
                end: to - offset,
                step: interval,
            };
            match fetch(request).await {
                Ok(series) => self.chunk(&series, from, to, offset, span.start),
                Err(e) => {
                    self.failed(e.to_string());
                    break;
                }
            }
            let steps = (to - from) / interval + 1;
            from = from.saturating_add(steps.saturating_mul(interval));
        }
        let alerts = self.periods.into_iter().filter(|(_, periods)| !periods.is_empty());
        RuleHistory {
            group: self.group.name.clone(),
            alert: self.rule.name.clone(),
            alerts: alerts.map(|(labels, periods)| AlertHistory { labels, periods }).collect(),
            error: self.error,
        }
    }

    /// Evaluates every step of one answer.
    fn chunk(&mut self, series: &[RangeSeries], from: i64, to: i64, offset: i64, start: i64) {
        let mut cursors = vec![0usize; series.len()];
        let mut t = from;
        while t <= to {
            let mut elements = Vec::new();
            for (one, at) in series.iter().zip(&mut cursors) {
                while one.points.get(*at).is_some_and(|(time, _)| time + offset < t) {
                    *at += 1;
                }
                if let Some((_, value)) = one.points.get(*at).filter(|(time, _)| time + offset == t) {
                    elements.push(self.element(&one.labels, value, t));
                }
            }
            let limit = self.group.limit;
            if let Err(e) = alerting::advance(self.rule, self.alerting, &mut self.active, elements, t, limit)
            {
                self.failed(e);
            }
            if t >= start {
                self.observe(t);
            }
            t = t.saturating_add(self.interval);
        }
    }

    fn element(&self, labels: &Labels, value: &SampleValue, now: i64) -> Element {
        let texts = &self.alerting.label_texts;
        let plain = texts.iter().map(|(name, text)| match text {
            Text::Plain(text) => Some((name.clone(), text.clone())),
            Text::Template { .. } => None,
        });
        let expanded = plain.collect::<Option<Vec<_>>>().unwrap_or_else(|| {
            let context = Context::without_query("", now);
            let expander = Expander {
                alert: self.rule.name.clone(),
                functions: prometheus::functions(&context),
                lines: None,
                external_labels: prometheus::label_map(&Labels::empty()),
                external_url: reba_template::Value::from(""),
            };
            let data = expander.data(&RuleSample { labels: labels.clone(), value: value.clone() });
            let mut counts = Expansions::default();
            texts.iter().map(|(n, text)| (n.clone(), expander.expand(text, &data, &mut counts))).collect()
        });
        Element {
            labels: alerting::alert_labels(labels, &expanded, &self.rule.name),
            annotations: Labels::empty(),
            value: value.as_f64(),
        }
    }

    /// Notes which state every alert is in at `t`.
    fn observe(&mut self, t: i64) {
        for (labels, periods) in &mut self.periods {
            let state = self.active.get(labels).filter(|a| a.life.is_active()).map(|a| a.life.state);
            if let Some(last) = periods.last_mut().filter(|p| p.end.is_none() && Some(p.state) != state) {
                last.end = Some(t);
            }
        }
        for (labels, alert) in self.active.iter().filter(|(_, a)| a.life.is_active()) {
            let state = alert.life.state;
            if !self.periods.contains_key(labels) {
                self.periods.insert(labels.clone(), Vec::new());
            }
            let Some(periods) = self.periods.get_mut(labels) else { continue };
            if periods.last().is_none_or(|p| p.end.is_some()) {
                periods.push(Period { state, start: t, end: None });
            }
        }
    }

    fn failed(&mut self, error: String) {
        let times = self.error.as_ref().map_or(0, |(_, n)| *n);
        self.error = Some((error, times + 1));
    }
}
