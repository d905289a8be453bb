//! What tests share: a configuration out of text, and a machine whose clock is a number.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use reba_storage::StateStore;
use reba_testkit::RamState;
use serde::Deserialize;

use crate::{
    Integration, IntegrationKey, Integrations, Machine, Notification, Options, PostedAlert, Saved,
    config::{InhibitSection, IntervalSection, RouteSection, Routing, RoutingError, Sections},
    event::{Event, What},
    matchers::Grammar,
};

/// 2026-01-12, a Monday, at noon UTC.
pub const START: i64 = 1_768_219_200_000;
pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 3_600_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    route: Option<RouteSection>,
    inhibit_rules: Option<Vec<InhibitSection>>,
    time_intervals: Option<Vec<IntervalSection>>,
    mute_time_intervals: Option<Vec<IntervalSection>>,
    receivers: Vec<Receiver>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Receiver {
    name: String,
    /// Kinds, with `-` behind those that do not want to hear of resolved alerts.
    kinds: Option<Vec<String>>,
}

/// Reads a configuration; `receivers` may say which `kinds` of integrations they have (a webhook if they do not).
pub fn config(text: &str) -> Result<(Routing, Integrations), RoutingError> {
    let document: Document = reba_config::read(text, Path::new("test.yml")).expect("the test's YAML reads");
    let sections = Sections {
        route: document.route,
        inhibit_rules: document.inhibit_rules,
        time_intervals: document.time_intervals,
        mute_time_intervals: document.mute_time_intervals,
    };
    let names: Vec<&str> = document.receivers.iter().map(|r| r.name.as_str()).collect();
    let checked = Routing::new(&sections, &names, Grammar::Fallback)?;
    let integrations = document.receivers.iter().map(|r| (r.name.clone(), integrations(r))).collect();
    Ok((checked.routing, integrations))
}

fn integrations(receiver: &Receiver) -> Vec<Integration> {
    const KINDS: [&str; 3] = ["webhook", "email", "slack"];
    let kinds = receiver.kinds.clone().unwrap_or_else(|| vec!["webhook".to_owned()]);
    let one = |(i, text): (usize, &String)| {
        let kind = text.trim_end_matches('-');
        let integration = KINDS.into_iter().find(|k| *k == kind).expect("a kind that tests know");
        let index = kinds[..i].iter().filter(|k| k.trim_end_matches('-') == kind).count();
        let key = IntegrationKey { receiver: receiver.name.clone(), integration, index };
        Integration { key, send_resolved: !text.ends_with('-') }
    };
    kinds.iter().enumerate().map(one).collect()
}

/// An alert that fires until it is sent again otherwise; labels as `a=b c=d`.
pub fn firing(labels: &str) -> PostedAlert {
    let pair = |p: &str| p.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).expect("name=value");
    PostedAlert {
        labels: labels.split(' ').map(pair).collect(),
        ends_at_ms: Some(START + 1_000 * HOUR),
        ..PostedAlert::default()
    }
}

/// The same alert, resolved at a time.
pub fn resolved(labels: &str, ends_at_ms: i64) -> PostedAlert {
    PostedAlert { ends_at_ms: Some(ends_at_ms), ..firing(labels) }
}

/// A machine, its clock, and everything it said.
pub struct Sim {
    pub machine: Machine,
    pub store: RamState,
    pub now_ms: i64,
    /// `m:ss receiver/kind[n] +firing -resolved`, by the values of `n`.
    pub said: Vec<String>,
    pub notes: Vec<Notification>,
    pub events: Vec<Event>,
    /// Receivers that refuse everything.
    pub broken: BTreeSet<String>,
    config: (Arc<Routing>, Arc<Integrations>),
}

impl Sim {
    pub fn new(text: &str) -> Self {
        let (routing, integrations) = config(text).expect("a good configuration");
        Self::with(routing, integrations, RamState::default(), START)
    }

    fn with(routing: Routing, integrations: Integrations, store: RamState, now_ms: i64) -> Self {
        let config = (Arc::new(routing), Arc::new(integrations));
        let saved = Saved::load(&store).expect("the state in memory reads");
        assert_eq!(saved.unreadable, Vec::<String>::new());
        let machine =
            Machine::new(config.0.clone(), config.1.clone(), Options::default(), saved, now_ms, [7; 32]);
        Sim {
            machine,
            store,
            now_ms,
            said: Vec::new(),
            notes: Vec::new(),
            events: Vec::new(),
            broken: BTreeSet::new(),
            config,
        }
    }

    /// A new process with the same state store.
    pub fn restart(self) -> Self {
        let (routing, integrations) = self.config;
        let (routing, integrations) = (Routing::clone(&routing), Integrations::clone(&integrations));
        Self::with(routing, integrations, self.store, self.now_ms)
    }

    pub fn reload(&mut self, text: &str) {
        let (routing, integrations) = config(text).expect("a good configuration");
        self.config = (Arc::new(routing), Arc::new(integrations));
        let (routing, integrations) = self.config.clone();
        self.machine.reload(routing, integrations, Options::default(), self.now_ms);
        self.run_to(self.now_ms);
    }

    /// Posts an alert that has fired since now.
    pub fn fire(&mut self, labels: &str) {
        self.post(&[PostedAlert { starts_at_ms: Some(self.now_ms), ..firing(labels) }]);
    }

    pub fn resolve(&mut self, labels: &str) {
        self.post(&[PostedAlert { starts_at_ms: Some(START), ..resolved(labels, self.now_ms) }]);
    }

    pub fn post(&mut self, alerts: &[PostedAlert]) {
        let report = self.machine.post(alerts, self.now_ms);
        assert_eq!(report.refused, []);
        self.run_to(self.now_ms);
    }

    /// Lets time pass, up to and with `START + offset_ms`.
    pub fn to(&mut self, offset_ms: i64) {
        self.run_to(START + offset_ms);
    }

    fn run_to(&mut self, until_ms: i64) {
        let (mut turns, mut last) = (0, i64::MIN);
        loop {
            let due = self.machine.next_wake().max(self.now_ms);
            if due > until_ms {
                break;
            }
            self.now_ms = due;
            for work in self.machine.poll(due) {
                let mut ok = true;
                for send in &work.sends {
                    if self.broken.contains(&send.integration.receiver) {
                        ok = false;
                        continue;
                    }
                    self.hear(&send.integration, &send.note);
                    // It takes a moment, as any message does.
                    self.machine.sent(&send.log, None, due + 1);
                }
                self.machine.finished(work.group, ok, due + 1);
            }
            turns = if due == last { turns + 1 } else { 0 };
            assert!(turns < 100, "what is due gets done");
            last = due;
        }
        self.now_ms = until_ms;
        self.events.extend(self.machine.take_events());
        let batch = self.machine.take_unsaved(usize::MAX, until_ms);
        self.store.write(&batch.changes).expect("the state in memory takes everything");
    }

    fn hear(&mut self, integration: &IntegrationKey, note: &Notification) {
        let seconds = (self.now_ms - START) / SECOND;
        let names = |firing: bool| {
            let of_state = note.alerts.iter().filter(|a| a.firing == firing);
            of_state.map(|a| a.labels.value("n")).collect::<Vec<_>>().join(",")
        };
        let mut line = format!("{}:{:02} {integration}", seconds / 60, seconds % 60);
        for (sign, names) in [("+", names(true)), ("-", names(false))] {
            if !names.is_empty() {
                line += &format!(" {sign}{names}");
            }
        }
        self.said.push(line);
        self.notes.push(note.clone());
    }

    /// What was said since this was last asked.
    pub fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// The changes of alerts and silences since this was last asked: `firing n`, `silence created`.
    pub fn changes(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        let line = |event: &Event| match &event.what {
            What::Alert { change, alert } => Some(format!("{} {}", change.as_str(), alert.labels.value("n"))),
            What::Silence { change, .. } => Some(format!("silence {}", change.as_str())),
            What::Recurring { change, .. } => Some(format!("recurring {change:?}")),
            What::Attempt(_) => None,
        };
        events.iter().filter_map(line).collect()
    }
}

/// Labels by hand.
pub fn pairs(labels: &str) -> BTreeMap<String, String> {
    firing(labels).labels.into_iter().collect()
}
