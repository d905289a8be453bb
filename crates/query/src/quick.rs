//! Questions that take so little that handing them to another thread would take longer.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

/// A question that took longer than this is asked on a thread of the engine: sockets must not wait for it.
const LITTLE: Duration = Duration::from_micros(300);

/// So many questions are remembered.
const REMEMBERED: usize = 1024;

/// Which questions took little when they were asked last.
#[derive(Debug, Default)]
pub(crate) struct Quick {
    took_little: Mutex<HashMap<u64, bool>>,
}

impl Quick {
    /// Whether the question took little the last time.
    pub(crate) fn is_quick(&self, question: u64) -> bool {
        self.took_little.lock().get(&question).copied().unwrap_or(false)
    }

    /// Remembers how long a question took.
    pub(crate) fn took(&self, question: u64, time: Duration) {
        let mut took_little = self.took_little.lock();
        // The names of labels are few; whoever asks for thousands that do not exist makes us forget, no more.
        if took_little.len() >= REMEMBERED && !took_little.contains_key(&question) {
            took_little.clear();
        }
        took_little.insert(question, time <= LITTLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_quick_once_it_was_and_until_it_was_not() {
        let quick = Quick::default();
        assert!(!quick.is_quick(1), "nobody knows");
        quick.took(1, LITTLE);
        assert!(quick.is_quick(1) && !quick.is_quick(2));
        quick.took(1, LITTLE + Duration::from_nanos(1));
        assert!(!quick.is_quick(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let quick = Quick::default();
        for question in 0..10_000 {
            quick.took(question, Duration::ZERO);
        }
        assert!(quick.took_little.lock().len() <= REMEMBERED);
        assert!(quick.is_quick(9_999));
    }
}
