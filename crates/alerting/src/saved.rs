//! The documents in the state store; `docs/format/alerting.md` describes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use reba_model::{Labels, MatchOp, Matcher};
use reba_storage::{Document, StateChange, StateError, StateStore};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    alert::Alert,
    identity::{fingerprint, fingerprint_text, log_hash},
    log::LogEntry,
    silence::{RecurringSilence, Schedule, ScheduleSection, Silence},
};

/// Silences by id.
pub const SILENCES: &str = "alerting.silences";
/// Schedules of silences by id.
pub const RECURRING: &str = "alerting.recurring";
/// The notification log, by group and integration.
pub const LOG: &str = "alerting.log";
/// Alerts by fingerprint.
pub const ALERTS: &str = "alerting.alerts";

/// A document that is out of date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stale {
    Silence(String),
    Recurring(String),
    Log(String),
    Alert(u64),
}

/// Which documents are out of date. Their contents are looked up when they are written, so this is as large as the names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsaved {
    /// What people made, and what was sent: written first, and waited for.
    urgent: BTreeSet<Stale>,
    /// Alerts.
    alerts: BTreeSet<Stale>,
}

impl Unsaved {
    pub fn mark(&mut self, what: Stale) {
        let set = if matches!(what, Stale::Alert(_)) { &mut self.alerts } else { &mut self.urgent };
        set.insert(what);
    }

    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.alerts.is_empty()
    }

    pub fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Takes up to `max`, urgent ones first.
    pub fn take(&mut self, max: usize) -> Vec<Stale> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(what) = self.urgent.pop_first().or_else(|| self.alerts.pop_first())
        {
            taken.push(what);
        }
        taken
    }
}

/// Everything that was saved.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    pub(crate) silences: Vec<Silence>,
    pub(crate) recurring: Vec<RecurringSilence>,
    pub(crate) log: Vec<(String, LogEntry)>,
    /// With whether they fired.
    pub(crate) alerts: Vec<(Alert, bool)>,
    /// Documents that could not be read, as `space/key: reason`. They stay where they are.
    pub unreadable: Vec<String>,
}

impl Saved {
    /// Reads everything. Blocks for the disk.
    pub fn load(store: &dyn StateStore) -> Result<Self, StateError> {
        let mut unreadable = Vec::new();
        let silences = read_all(store, SILENCES, read_silence, &mut unreadable)?;
        let recurring = read_all(store, RECURRING, read_recurring, &mut unreadable)?;
        let log = read_all(store, LOG, read_entry, &mut unreadable)?;
        let alerts = read_all(store, ALERTS, read_alert, &mut unreadable)?;
        Ok(Saved { silences, recurring, log, alerts, unreadable })
    }
}

fn read_all<T>(
    store: &dyn StateStore,
    space: &str,
    read: fn(&Document) -> Result<T, String>,
    unreadable: &mut Vec<String>,
) -> Result<Vec<T>, StateError> {
    let mut all = Vec::new();
    for document in store.list(space)? {
        match read(&document) {
            Ok(item) => all.push(item),
            Err(reason) => unreadable.push(format!("{space}/{}: {reason}", document.key)),
        }
    }
    Ok(all)
}

fn json<T: DeserializeOwned>(document: &Document) -> Result<T, String> {
    serde_json::from_slice(&document.body).map_err(|e| e.to_string())
}

/// The change that brings a document up to date; `body` is none if it is to go.
pub(crate) fn change(space: &str, key: &str, body: Option<Vec<u8>>, at_ms: i64) -> StateChange {
    match body {
        Some(body) => StateChange::put(space, key, body, at_ms),
        None => StateChange::delete(space, key),
    }
}

/// Serialising these cannot fail: their keys are strings.
fn body<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Serialize, Deserialize)]
struct SavedMatcher {
    name: String,
    op: String,
    value: String,
}

fn matchers_out(matchers: &[Matcher]) -> Vec<SavedMatcher> {
    let out = |m: &Matcher| SavedMatcher {
        name: m.name.clone(),
        op: m.op.as_str().to_owned(),
        value: m.value.clone(),
    };
    matchers.iter().map(out).collect()
}

fn matchers_in(saved: Vec<SavedMatcher>) -> Result<Vec<Matcher>, String> {
    const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let matcher = |m: SavedMatcher| {
        let op = OPS.into_iter().find(|op| op.as_str() == m.op);
        let op = op.ok_or_else(|| format!("unknown operator {:?}", m.op))?;
        Matcher::new(op, m.name, m.value).map_err(|e| e.to_string())
    };
    saved.into_iter().map(matcher).collect()
}

#[derive(Serialize, Deserialize)]
struct SavedSilence {
    matchers: Vec<SavedMatcher>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    updated_at_ms: i64,
    created_by: String,
    comment: String,
    #[serde(default)]
    until_resolved: bool,
    #[serde(default)]
    has_matched: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recurring: Option<String>,
}

pub(crate) fn silence_body(silence: &Silence) -> Vec<u8> {
    body(&SavedSilence {
        matchers: matchers_out(&silence.matchers),
        starts_at_ms: silence.starts_at_ms,
        ends_at_ms: silence.ends_at_ms,
        updated_at_ms: silence.updated_at_ms,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        until_resolved: silence.until_resolved,
        has_matched: silence.has_matched,
        recurring: silence.recurring.clone(),
    })
}

fn read_silence(document: &Document) -> Result<Silence, String> {
    let saved: SavedSilence = json(document)?;
    Ok(Silence {
        id: document.key.clone(),
        matchers: matchers_in(saved.matchers)?,
        starts_at_ms: saved.starts_at_ms,
        ends_at_ms: saved.ends_at_ms,
        updated_at_ms: saved.updated_at_ms,
        created_by: saved.created_by,
        comment: saved.comment,
        until_resolved: saved.until_resolved,
        has_matched: saved.has_matched,
        recurring: saved.recurring,
    })
}

/// When a silence was changed, or a receiver was told, by the document that says so; the smallest time if it cannot be read.
pub(crate) fn time_of(space: &str, body: &[u8]) -> i64 {
    let silence = || serde_json::from_slice::<SavedSilence>(body).map(|s| s.updated_at_ms);
    let entry = || serde_json::from_slice::<SavedEntry>(body).map(|e| e.at_ms);
    let time = if space == SILENCES { silence() } else { entry() };
    time.unwrap_or(i64::MIN)
}

#[derive(Serialize, Deserialize)]
struct SavedRecurring {
    matchers: Vec<SavedMatcher>,
    schedule: ScheduleSection,
    created_by: String,
    comment: String,
    updated_at_ms: i64,
    last_start_ms: Option<i64>,
}

pub(crate) fn recurring_body(recurring: &RecurringSilence) -> Vec<u8> {
    body(&SavedRecurring {
        matchers: matchers_out(&recurring.matchers),
        schedule: recurring.schedule.section().clone(),
        created_by: recurring.created_by.clone(),
        comment: recurring.comment.clone(),
        updated_at_ms: recurring.updated_at_ms,
        last_start_ms: recurring.last_start_ms,
    })
}

fn read_recurring(document: &Document) -> Result<RecurringSilence, String> {
    let saved: SavedRecurring = json(document)?;
    Ok(RecurringSilence {
        id: document.key.clone(),
        matchers: matchers_in(saved.matchers)?,
        schedule: Schedule::new(saved.schedule)?,
        created_by: saved.created_by,
        comment: saved.comment,
        updated_at_ms: saved.updated_at_ms,
        last_start_ms: saved.last_start_ms,
    })
}

#[derive(Serialize, Deserialize)]
struct SavedEntry {
    at_ms: i64,
    expires_at_ms: i64,
    /// 16 hex digits each, one behind the other.
    firing: String,
    resolved: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    remembered: BTreeMap<String, String>,
}

pub(crate) fn entry_body(entry: &LogEntry) -> Vec<u8> {
    let hex = |hashes: &[u64]| hashes.iter().map(|h| fingerprint_text(*h)).collect();
    body(&SavedEntry {
        at_ms: entry.at_ms,
        expires_at_ms: entry.expires_at_ms,
        firing: hex(&entry.firing),
        resolved: hex(&entry.resolved),
        remembered: entry.remembered.clone(),
    })
}

fn read_entry(document: &Document) -> Result<(String, LogEntry), String> {
    let saved: SavedEntry = json(document)?;
    let entry = LogEntry {
        at_ms: saved.at_ms,
        expires_at_ms: saved.expires_at_ms,
        firing: hashes(&saved.firing)?,
        resolved: hashes(&saved.resolved)?,
        remembered: saved.remembered,
    };
    Ok((document.key.clone(), entry))
}

/// Hashes out of hex digits, sorted.
fn hashes(hex: &str) -> Result<Vec<u64>, String> {
    let bad = || "hashes are not 16 hex digits each".to_owned();
    if !hex.is_ascii() || !hex.len().is_multiple_of(16) {
        return Err(bad());
    }
    let one = |at: usize| u64::from_str_radix(&hex[at..at + 16], 16).map_err(|_| bad());
    let mut all = (0..hex.len()).step_by(16).map(one).collect::<Result<Vec<_>, _>>()?;
    all.sort_unstable();
    Ok(all)
}

#[derive(Serialize, Deserialize)]
struct SavedAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    updated_at_ms: i64,
    generator_url: String,
    firing: bool,
}

pub(crate) fn alert_body(alert: &Alert, firing: bool) -> Vec<u8> {
    let map = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    body(&SavedAlert {
        labels: map(&alert.labels),
        annotations: map(&alert.annotations),
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: alert.ends_at_ms,
        updated_at_ms: alert.updated_at_ms,
        generator_url: alert.generator_url.to_string(),
        firing,
    })
}

fn read_alert(document: &Document) -> Result<(Alert, bool), String> {
    let saved: SavedAlert = json(document)?;
    let labels = Labels::from_pairs(&saved.labels);
    if labels.is_empty() {
        return Err("an alert without labels".to_owned());
    }
    let alert = Alert {
        fingerprint: fingerprint(&labels),
        log_hash: log_hash(&labels),
        labels,
        annotations: Labels::from_pairs(&saved.annotations),
        starts_at_ms: saved.starts_at_ms,
        ends_at_ms: saved.ends_at_ms,
        updated_at_ms: saved.updated_at_ms,
        generator_url: Arc::from(saved.generator_url),
        timeout: true,
    };
    Ok((alert, saved.firing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_testkit::RamState;

    use super::*;

    fn document(key: &str, body: Vec<u8>) -> Document {
        Document { key: key.to_owned(), version: 1, at_ms: 0, body }
    }

    #[test]
    fn what_cannot_be_read_is_said_and_left_alone() {
        let store = RamState::default();
        store.write(&[StateChange::put(SILENCES, "x", b"{".to_vec(), 0)]).unwrap();
        let saved = Saved::load(&store).unwrap();
        assert!(saved.silences.is_empty());
        assert!(saved.unreadable[0].starts_with("alerting.silences/x: "), "{:?}", saved.unreadable);
        assert!(store.get(SILENCES, "x").unwrap().is_some());
    }

    #[test]
    fn urgent_documents_are_taken_first() {
        let mut unsaved = Unsaved::default();
        unsaved.mark(Stale::Alert(1));
        unsaved.mark(Stale::Log("k".to_owned()));
        unsaved.mark(Stale::Log("k".to_owned()));
        assert_eq!(unsaved.take(1), [Stale::Log("k".to_owned())]);
        assert!(!unsaved.has_urgent() && !unsaved.is_empty());
        assert_eq!(unsaved.take(5), [Stale::Alert(1)]);
        assert!(unsaved.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn entries_of_the_log_round_trip(
            times in any::<(i64, i64)>(),
            firing in proptest::collection::btree_set(any::<u64>(), 0..5),
            resolved in proptest::collection::btree_set(any::<u64>(), 0..5),
            remembered in proptest::collection::btree_map(".{0,5}", ".{0,5}", 0..3),
        ) {
            let entry = LogEntry {
                at_ms: times.0,
                expires_at_ms: times.1,
                firing: firing.into_iter().collect(),
                resolved: resolved.into_iter().collect(),
                remembered,
            };
            let read = read_entry(&document("k", entry_body(&entry))).unwrap();
            prop_assert_eq!(read, ("k".to_owned(), entry));
        }

        #[test]
        fn silences_and_alerts_round_trip(
            pairs in proptest::collection::btree_map("[a-z\u{e9}]{1,5}", ".{1,8}", 1..4),
            times in any::<(i64, i64, i64)>(),
            flags in any::<(bool, bool)>(),
            texts in (".{0,8}", ".{0,8}", proptest::option::of("[a-f0-9]{4}")),
        ) {
            let silence = Silence {
                id: "id".to_owned(),
                matchers: pairs.iter().map(|(n, v)| Matcher::new(MatchOp::NotEqual, n, v).unwrap()).collect(),
                starts_at_ms: times.0,
                ends_at_ms: times.1,
                updated_at_ms: times.2,
                created_by: texts.0.clone(),
                comment: texts.1.clone(),
                until_resolved: flags.0,
                has_matched: flags.1,
                recurring: texts.2,
            };
            prop_assert_eq!(read_silence(&document("id", silence_body(&silence))).unwrap(), silence);
            let labels = Labels::from_pairs(&pairs);
            let alert = Alert {
                fingerprint: fingerprint(&labels),
                log_hash: log_hash(&labels),
                annotations: labels.clone(),
                labels,
                starts_at_ms: times.0,
                ends_at_ms: times.1,
                updated_at_ms: times.2,
                generator_url: texts.0.into(),
                timeout: true,
            };
            prop_assert_eq!(read_alert(&document("x", alert_body(&alert, flags.0))).unwrap(), (alert, flags.0));
        }

        #[test]
        fn no_document_panics(body in proptest::collection::vec(any::<u8>(), 0..40), hex in ".{0,40}") {
            let document = document("k", body);
            let _ = (read_silence(&document), read_recurring(&document), read_alert(&document));
            let _ = hashes(&hex);
        }
    }
}
