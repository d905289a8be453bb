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

/// Evaluations and elements after which a replay lets other tasks use its thread: a millisecond or two.
const WORK_PER_TURN: u64 = 500;

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

/// How much a replay may cost: its evaluations, and the elements that they find.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    /// So much, and no more.
    pub fn new(limit: u64) -> Self {
        Budget { limit, left: limit }
    }

    fn spend(&mut self, work: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(work).ok_or_else(|| {
            format!("the back-test needs more than {} evaluations and alerts found by them", self.limit)
        })?;
        Ok(())
    }
}

/// How often the alerting rules of a file are evaluated in a replay.
pub fn evaluations(file: &RuleFile, span: Span) -> u64 {
    let of = |group: &RuleGroup, alerting: &AlertingRule| {
        let interval = interval(group, span);
        let steps = span.end.saturating_sub(first(alerting, span, interval)) / interval;
        steps.max(0).unsigned_abs() + 1
    };
    alerting_rules(file).map(|(group, _, alerting)| of(group, alerting)).fold(0, u64::saturating_add)
}

/// Replays all alerting rules of a file.
pub async fn replay(file: &RuleFile, span: Span, fetch: Fetch<'_>) -> Vec<RuleHistory> {
    replay_within(file, span, &mut Budget::new(u64::MAX), fetch).await
}

/// Replays all alerting rules of a file; those that the budget does not suffice for end with an error. Dropping the future
/// stops the work.
pub async fn replay_within(
    file: &RuleFile,
    span: Span,
    budget: &mut Budget,
    fetch: Fetch<'_>,
) -> Vec<RuleHistory> {
    let mut histories = Vec::new();
    for (group, rule, alerting) in alerting_rules(file) {
        let replay = Replay::new(group, rule, alerting, span);
        histories.push(replay.run(span, budget, fetch).await);
    }
    histories
}

fn alerting_rules(file: &RuleFile) -> impl Iterator<Item = (&RuleGroup, &Rule, &AlertingRule)> {
    let rules = file.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (&**group, rule)));
    rules.filter_map(|(group, rule)| match &rule.kind {
        RuleKind::Alerting(alerting) => Some((group, rule, &**alerting)),
        RuleKind::Recording => None,
    })
}

/// Milliseconds between two evaluations of a group.
fn interval(group: &RuleGroup, span: Span) -> i64 {
    group.interval.unwrap_or(span.interval).max(1)
}

/// The first evaluation: so much before the span that what fires at its start is known to.
fn first(alerting: &AlertingRule, span: Span, interval: i64) -> i64 {
    let warm_up = alerting.hold.saturating_add(alerting.keep_firing_for);
    span.start.saturating_sub(warm_up).div_euclid(interval).saturating_mul(interval)
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
        let interval = interval(group, span);
        let (active, periods, error) = (ActiveAlerts::new(), BTreeMap::new(), None);
        Replay { group, rule, alerting, interval, active, periods, error }
    }

    async fn run(mut self, span: Span, budget: &mut Budget, fetch: Fetch<'_>) -> RuleHistory {
        let offset = self.group.query_offset.unwrap_or(0);
        let (mut from, interval) = (first(self.alerting, span, self.interval), self.interval);
        while from <= span.end {
            let to = span.end.min(from.saturating_add((STEPS_PER_QUERY - 1).saturating_mul(interval)));
            let request = RangeRequest {
                query: self.rule.query.clone(),
                start: from - offset,
                end: to - offset,
                step: interval,
            };
            let done = match fetch(request).await {
                Ok(series) => self.chunk(&series, (from, to), offset, span.start, budget).await,
                Err(e) => Err(e.to_string()),
            };
            if let Err(e) = done {
                self.failed(e);
                break;
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
    async fn chunk(
        &mut self,
        series: &[RangeSeries],
        (from, to): (i64, i64),
        offset: i64,
        start: i64,
        budget: &mut Budget,
    ) -> Result<(), String> {
        let fixed = self.fixed_labels(series);
        let mut cursors = vec![0usize; series.len()];
        let (mut t, mut turn) = (from, 0);
        while t <= to {
            let mut elements = Vec::new();
            for (i, (one, at)) in series.iter().zip(&mut cursors).enumerate() {
                while one.points.get(*at).is_some_and(|(time, _)| time + offset < t) {
                    *at += 1;
                }
                if let Some((_, value)) = one.points.get(*at).filter(|(time, _)| time + offset == t) {
                    let labels = match &fixed {
                        Some(fixed) => fixed[i].clone(),
                        None => self.labels_at(&one.labels, value, t),
                    };
                    elements.push(Element { labels, annotations: Labels::empty(), value: value.as_f64() });
                }
            }
            let work = 1 + elements.len() as u64;
            budget.spend(work)?;
            let limit = self.group.limit;
            if let Err(e) = alerting::advance(self.alerting, &mut self.active, elements, t, limit, |_, _| {})
            {
                self.failed(e);
            }
            if t >= start {
                self.observe(t);
            }
            turn += work;
            if turn >= WORK_PER_TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
            t = t.saturating_add(self.interval);
        }
        Ok(())
    }

    /// The labels of the alerts that these series are, if they do not depend on values.
    fn fixed_labels(&self, series: &[RangeSeries]) -> Option<Vec<Labels>> {
        let plain = self.alerting.label_texts.iter().map(|(name, text)| match text {
            Text::Plain(text) => Some((name.clone(), text.clone())),
            Text::Template { .. } => None,
        });
        let plain = plain.collect::<Option<Vec<_>>>()?;
        Some(series.iter().map(|s| alerting::alert_labels(&s.labels, &plain, &self.rule.name)).collect())
    }

    /// The labels of the alert that an element is, its templates expanded.
    fn labels_at(&self, labels: &Labels, value: &SampleValue, now: i64) -> Labels {
        let expander = Expander {
            alert: self.rule.name.clone(),
            functions: prometheus::functions(&Context::without_query("", now)),
            lines: None,
            external_labels: prometheus::label_map(&Labels::empty()),
            external_url: reba_template::Value::from(""),
        };
        let data = expander.data(&RuleSample { labels: labels.clone(), value: value.clone() });
        let mut counts = Expansions::default();
        let texts = self.alerting.label_texts.iter();
        let expanded: Vec<(String, String)> =
            texts.map(|(n, text)| (n.clone(), expander.expand(text, &data, &mut counts))).collect();
        alerting::alert_labels(labels, &expanded, &self.rule.name)
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
