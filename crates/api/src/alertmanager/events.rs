//! The newest events of alerting, for whoever wants to watch them happen.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::Value;

/// Events that are kept, each of some hundred bytes. Whoever watches asks several times a second.
const KEPT: usize = 10_000;

/// The newest events, numbered from 1.
#[derive(Debug, Default)]
pub struct RecentEvents(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    last: u64,
    events: VecDeque<(u64, Value)>,
}

impl RecentEvents {
    /// Adds one.
    pub fn push(&self, event: Value) {
        let mut recent = self.0.lock();
        recent.last += 1;
        let number = recent.last;
        recent.events.push_back((number, event));
        if recent.events.len() > KEPT {
            recent.events.pop_front();
        }
    }

    /// The number of the newest event, and those after number `since` that are kept.
    pub fn since(&self, since: u64) -> (u64, Vec<Value>) {
        let recent = self.0.lock();
        let newer = recent.events.iter().filter(|(number, _)| *number > since);
        (recent.last, newer.map(|(_, event)| event.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_numbers_go_on() {
        let recent = RecentEvents::default();
        (1..=KEPT + 2).for_each(|n| recent.push(json!(n)));
        let (last, events) = recent.since(0);
        assert_eq!((last, events.len(), &events[0]), (KEPT as u64 + 2, KEPT, &json!(3)));
        assert_eq!(recent.since(last - 1).1, [json!(KEPT + 2)]);
    }
}
