//! The state store in memory, and the suite that every state store passes.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use reba_storage::{DOCUMENT_LIMIT, Document, HISTORY_KEPT, StateChange, StateError, StateStore};

/// A document with its older versions, the newest last.
type Versions = Vec<Document>;

/// Keeps documents in memory: the oracle, and a store for tests of its users.
#[derive(Debug, Default)]
pub struct RamState {
    documents: Mutex<BTreeMap<(String, String), Versions>>,
}

impl StateStore for RamState {
    fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError> {
        Ok(self.documents.lock().get(&(space.to_owned(), key.to_owned())).and_then(|v| v.last().cloned()))
    }

    fn list(&self, space: &str) -> Result<Vec<Document>, StateError> {
        let documents = self.documents.lock();
        let of_space = documents.iter().filter(|((s, _), _)| s == space);
        Ok(of_space.filter_map(|(_, versions)| versions.last().cloned()).collect())
    }

    fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError> {
        let mut documents = self.documents.lock();
        let mut changed = documents.clone();
        let versions = changes.iter().map(|change| apply(&mut changed, change)).collect::<Result<_, _>>()?;
        *documents = changed;
        Ok(versions)
    }

    fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError> {
        let documents = self.documents.lock();
        let versions = documents.get(&(space.to_owned(), key.to_owned()));
        Ok(versions.into_iter().flat_map(|v| v.iter().rev().skip(1)).take(limit).cloned().collect())
    }
}

fn apply(
    documents: &mut BTreeMap<(String, String), Versions>,
    change: &StateChange,
) -> Result<u64, StateError> {
    let (StateChange::Put { space, key, expected, .. } | StateChange::Delete { space, key, expected }) =
        change;
    let id = (space.clone(), key.clone());
    let current = documents.get(&id).and_then(|v| v.last()).map_or(0, |d| d.version);
    if let Some(expected) = *expected
        && expected != current
    {
        return Err(StateError::Conflict { space: space.clone(), key: key.clone(), current, expected });
    }
    let StateChange::Put { body, at_ms, keep_history, .. } = change else {
        documents.remove(&id);
        return Ok(0);
    };
    if body.len() > DOCUMENT_LIMIT {
        return Err(StateError::TooLarge { space: space.clone(), key: key.clone(), bytes: body.len() });
    }
    let versions = documents.entry(id).or_default();
    if !keep_history {
        versions.pop();
    }
    let version = current + 1;
    versions.push(Document { key: key.clone(), version, at_ms: *at_ms, body: body.clone() });
    let surplus = versions.len().saturating_sub(HISTORY_KEPT + 1);
    versions.drain(..surplus);
    Ok(version)
}

/// What every state store must do. `open` opens the same store again, as a new process would.
///
/// # Panics
///
/// When the store does not do it.
pub fn state_suite<S: StateStore>(mut open: impl FnMut() -> S) {
    documents_are_read_as_they_were_written(&open());
    a_write_is_whole_or_not_at_all(&open());
    a_writer_who_is_late_is_told(&open());
    history_is_kept_where_it_was_asked_for(&open());
    a_document_that_is_too_large_is_refused(&open());
    let store = open();
    assert_eq!(store.get("suite", "a").map(|d| d.map(|d| d.body)), Ok(Some(b"one".to_vec())), "opened again");
}

fn put(space: &str, key: &str, body: &str, expected: Option<u64>, keep_history: bool) -> StateChange {
    let (space, key, body) = (space.to_owned(), key.to_owned(), body.as_bytes().to_vec());
    StateChange::Put { space, key, body, at_ms: 1_000, expected, keep_history }
}

fn bodies(documents: &[Document]) -> Vec<String> {
    documents.iter().map(|d| format!("{}@{}", String::from_utf8_lossy(&d.body), d.version)).collect()
}

fn documents_are_read_as_they_were_written(store: &dyn StateStore) {
    let changes = [
        put("suite", "b", "two", None, false),
        put("suite", "a", "one", None, false),
        put("other", "a", "", None, false),
    ];
    assert_eq!(store.write(&changes), Ok(vec![1, 1, 1]));
    let listed = store.list("suite").unwrap_or_default();
    assert_eq!(listed.iter().map(|d| d.key.as_str()).collect::<Vec<_>>(), ["a", "b"], "sorted by key");
    assert_eq!(bodies(&listed), ["one@1", "two@1"]);
    assert_eq!(listed.first().map(|d| d.at_ms), Some(1_000));
    assert_eq!(store.get("suite", "none"), Ok(None));
    assert_eq!(store.list("empty"), Ok(Vec::new()));
    assert_eq!(
        store.write(&[StateChange::delete("suite", "b"), StateChange::delete("suite", "none")]),
        Ok(vec![0, 0])
    );
    assert_eq!(bodies(&store.list("suite").unwrap_or_default()), ["one@1"]);
}

fn a_write_is_whole_or_not_at_all(store: &dyn StateStore) {
    let changes = [put("whole", "first", "x", None, false), put("whole", "second", "x", Some(7), false)];
    assert!(matches!(store.write(&changes), Err(StateError::Conflict { current: 0, expected: 7, .. })));
    assert_eq!(store.list("whole"), Ok(Vec::new()));
    let again = [put("whole", "k", "x", None, false), put("whole", "k", "y", Some(1), false)];
    assert_eq!(store.write(&again), Ok(vec![1, 2]), "a later step sees the earlier one");
}

fn a_writer_who_is_late_is_told(store: &dyn StateStore) {
    assert_eq!(store.write(&[put("late", "k", "mine", Some(0), false)]), Ok(vec![1]));
    assert!(matches!(
        store.write(&[put("late", "k", "too", Some(0), false)]),
        Err(StateError::Conflict { current: 1, .. })
    ));
    assert_eq!(store.write(&[put("late", "k", "newer", Some(1), false)]), Ok(vec![2]));
    let late = StateChange::Delete { space: "late".into(), key: "k".into(), expected: Some(1) };
    assert!(matches!(store.write(&[late]), Err(StateError::Conflict { current: 2, .. })));
    assert_eq!(bodies(&store.list("late").unwrap_or_default()), ["newer@2"]);
}

fn history_is_kept_where_it_was_asked_for(store: &dyn StateStore) {
    let writes: Vec<_> =
        (0..HISTORY_KEPT + 5).map(|i| put("past", "k", &i.to_string(), None, true)).collect();
    assert!(store.write(&writes).is_ok());
    let past = store.history("past", "k", 1_000).unwrap_or_default();
    assert_eq!(past.len(), HISTORY_KEPT);
    assert_eq!(bodies(past.get(..2).unwrap_or_default()), ["103@104", "102@103"]);
    assert_eq!(store.history("past", "k", 2).map(|d| d.len()), Ok(2));
    assert!(
        store.write(&[put("past", "k", "unkept", None, false), put("past", "k", "last", None, true)]).is_ok()
    );
    let newest = store.history("past", "k", 2).unwrap_or_default();
    assert_eq!(
        bodies(&newest),
        ["unkept@106", "103@104"],
        "the version that was replaced without history is gone"
    );
    assert!(store.write(&[StateChange::delete("past", "k")]).is_ok());
    assert_eq!(store.history("past", "k", 1), Ok(Vec::new()));
    assert_eq!(store.write(&[put("past", "k", "new", Some(0), true)]), Ok(vec![1]));
}

fn a_document_that_is_too_large_is_refused(store: &dyn StateStore) {
    let large = StateChange::put("large", "k", vec![0; DOCUMENT_LIMIT + 1], 0);
    assert!(
        matches!(store.write(&[large]), Err(StateError::TooLarge { bytes, .. }) if bytes == DOCUMENT_LIMIT + 1)
    );
    assert_eq!(store.get("large", "k"), Ok(None));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_store_in_memory_does_what_every_state_store_must() {
        struct Shared(Arc<RamState>);
        impl StateStore for Shared {
            fn get(&self, space: &str, key: &str) -> Result<Option<Document>, StateError> {
                self.0.get(space, key)
            }
            fn list(&self, space: &str) -> Result<Vec<Document>, StateError> {
                self.0.list(space)
            }
            fn write(&self, changes: &[StateChange]) -> Result<Vec<u64>, StateError> {
                self.0.write(changes)
            }
            fn history(&self, space: &str, key: &str, limit: usize) -> Result<Vec<Document>, StateError> {
                self.0.history(space, key, limit)
            }
        }
        let store = Arc::new(RamState::default());
        state_suite(|| Shared(Arc::clone(&store)));
    }
}
