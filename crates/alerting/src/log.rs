//! The notification log: what each integration was told of each group. It decides whether there is anything to tell.

use std::collections::{BTreeMap, HashMap};

use crate::notification::{IntegrationKey, Reason};

/// What an integration was told last of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// When this may be forgotten, Unix milliseconds.
    pub expires_at_ms: i64,
    /// Hashes of the alerts that fired, sorted.
    pub firing: Vec<u64>,
    /// Hashes of the alerts that were resolved, sorted.
    pub resolved: Vec<u64>,
    /// What the integration wanted to remember.
    pub remembered: BTreeMap<String, String>,
}

/// All entries, by [`log_key`].
#[derive(Clone, Debug, Default)]
pub(crate) struct NotificationLog {
    entries: HashMap<String, LogEntry>,
}

/// Names an entry: the group, and who was told.
pub(crate) fn log_key(group_key: &str, integration: &IntegrationKey) -> String {
    let IntegrationKey { receiver, integration, index } = integration;
    format!("{group_key}:{receiver}/{integration}/{index}")
}

impl NotificationLog {
    pub fn get(&self, key: &str) -> Option<&LogEntry> {
        self.entries.get(key)
    }

    pub fn set(&mut self, key: String, entry: LogEntry) {
        self.entries.insert(key, entry);
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets entries whose time is over; returns their keys.
    pub fn forget(&mut self, now_ms: i64) -> Vec<String> {
        let over = self.entries.iter().filter(|(_, e)| e.expires_at_ms <= now_ms);
        let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.entries.remove(key);
        }
        over
    }
}

/// What a tick of a group has for an integration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick<'a> {
    /// Hashes of the firing alerts, sorted.
    pub firing: &'a [u64],
    /// Hashes of the resolved alerts, sorted.
    pub resolved: &'a [u64],
    /// Whether the integration wants to hear of resolved alerts.
    pub send_resolved: bool,
    /// After how long the same is said again, milliseconds.
    pub repeat_interval_ms: i64,
    /// The time of the tick, Unix milliseconds.
    pub now_ms: i64,
}

/// Whether the integration is to be told, and why.
pub(crate) fn decide(entry: Option<&LogEntry>, tick: &Tick<'_>) -> Option<Reason> {
    let Some(entry) = entry else {
        return (!tick.firing.is_empty()).then_some(Reason::First);
    };
    if !is_subset(tick.firing, &entry.firing) {
        return Some(if entry.firing.is_empty() { Reason::First } else { Reason::NewAlerts });
    }
    if tick.firing.is_empty() {
        // Alerts that came and went between two ticks: nobody knows them, nobody need hear that they are over.
        return (!entry.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if tick.send_resolved && !is_subset(tick.resolved, &entry.resolved) {
        return Some(Reason::NewResolved);
    }
    (entry.at_ms < tick.now_ms.saturating_sub(tick.repeat_interval_ms)).then_some(Reason::Repeat)
}

/// Whether all of `part` is in `whole`; both are sorted.
fn is_subset(part: &[u64], whole: &[u64]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|wanted| whole.by_ref().find(|have| *have >= wanted) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn entry(firing: &[u64], resolved: &[u64]) -> LogEntry {
        LogEntry { at_ms: HOUR, firing: firing.to_vec(), resolved: resolved.to_vec(), ..LogEntry::default() }
    }

    fn tick<'a>(firing: &'a [u64], resolved: &'a [u64]) -> Tick<'a> {
        Tick { firing, resolved, send_resolved: true, repeat_interval_ms: 4 * HOUR, now_ms: 2 * HOUR }
    }

    #[test]
    fn the_log_decides_as_upstreams_does() {
        let told = entry(&[1, 2], &[9]);
        let over = entry(&[], &[1]);
        for (entry, tick, want) in [
            (None, tick(&[1], &[]), Some(Reason::First)),
            (None, tick(&[], &[1]), None),
            (Some(&told), tick(&[1, 2], &[9]), None),
            (Some(&told), tick(&[2], &[]), None),
            (Some(&told), tick(&[2, 3], &[]), Some(Reason::NewAlerts)),
            (Some(&told), tick(&[], &[1, 2]), Some(Reason::AllResolved)),
            (Some(&told), tick(&[], &[]), Some(Reason::AllResolved)),
            (Some(&told), tick(&[2], &[1]), Some(Reason::NewResolved)),
            (Some(&told), Tick { send_resolved: false, ..tick(&[2], &[1]) }, None),
            (Some(&over), tick(&[], &[3]), None),
            (Some(&over), tick(&[1], &[]), Some(Reason::First)),
            (Some(&told), Tick { now_ms: 5 * HOUR, ..tick(&[1], &[]) }, None),
            (Some(&told), Tick { now_ms: 5 * HOUR + 1, ..tick(&[1], &[]) }, Some(Reason::Repeat)),
        ] {
            assert_eq!(decide(entry, &tick), want, "{entry:?} {tick:?}");
        }
    }

    proptest! {
        #[test]
        fn a_subset_of_sorted_hashes_is_a_subset(
            a in proptest::collection::btree_set(0u64..12, 0..8),
            b in proptest::collection::btree_set(0u64..12, 0..8),
        ) {
            let list = |s: &BTreeSet<u64>| s.iter().copied().collect::<Vec<_>>();
            prop_assert_eq!(is_subset(&list(&a), &list(&b)), a.is_subset(&b));
        }
    }
}
