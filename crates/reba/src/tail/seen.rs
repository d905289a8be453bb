//! Which lines were shown already.

use std::collections::BTreeMap;

use crate::query::loki::Row;

/// How far behind the newest line a line may come and be recognised: shippers and services are rarely later.
const WINDOW_NS: i64 = 60_000_000_000;
/// Lines that are remembered at most.
const MOST: usize = 200_000;

/// Remembers the lines of the last minute, so that what comes twice (from the store and as news, or again after a connection
/// was lost) is shown once.
#[derive(Debug)]
pub struct Seen {
    /// Identities by time.
    lines: BTreeMap<i64, Vec<u64>>,
    count: usize,
    /// Nothing is remembered of lines before it.
    floor: i64,
}

impl Seen {
    /// Remembers lines from `floor` on.
    pub fn new(floor: i64) -> Self {
        Seen { lines: BTreeMap::new(), count: 0, floor }
    }

    /// Whether the line was not there before; it is from now on.
    pub fn first_time(&mut self, row: &Row) -> bool {
        if row.ns < self.floor {
            // Very late: better twice than not at all.
            return true;
        }
        let (identity, at) = (row.identity(), self.lines.entry(row.ns).or_default());
        if at.contains(&identity) {
            return false;
        }
        at.push(identity);
        self.count += 1;
        self.forget();
        true
    }

    /// From when on lines have to be asked for again after a gap. Everything shown since then is remembered.
    pub fn resume_at(&self) -> i64 {
        self.floor
    }

    fn forget(&mut self) {
        let newest = self.lines.last_key_value().map_or(self.floor, |(ns, _)| *ns);
        while let Some((ns, identities)) = self.lines.first_key_value()
            && (*ns < newest.saturating_sub(WINDOW_NS) || self.count > MOST)
        {
            let (ns, forgotten) = (*ns, identities.len());
            self.count -= forgotten;
            self.floor = self.floor.max(ns.saturating_add(1));
            self.lines.remove(&ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use reba_model::Labels;

    use super::*;

    fn row(ns: i64, line: &str, label: &str) -> Row {
        Row { ns, line: line.to_owned(), labels: Labels::from_pairs([("a", label)]), stream: None }
    }

    #[test]
    fn a_line_is_new_once() {
        let mut seen = Seen::new(0);
        assert!(seen.first_time(&row(1, "x", "1")));
        assert!(!seen.first_time(&row(1, "x", "1")));
        assert!(seen.first_time(&row(1, "y", "1")), "another line");
        assert!(seen.first_time(&row(1, "x", "2")), "another stream");
        assert!(seen.first_time(&row(2, "x", "1")), "another time");
        assert!(!seen.first_time(&row(1, "y", "1")));
        assert_eq!(seen.resume_at(), 0);
    }

    #[test]
    fn what_is_forgotten_is_not_asked_for_again() {
        let mut seen = Seen::new(0);
        seen.first_time(&row(5, "old", "1"));
        seen.first_time(&row(7, "old too", "1"));
        seen.first_time(&row(6 + WINDOW_NS, "new", "1"));
        assert_eq!(seen.resume_at(), 6);
        assert!(!seen.first_time(&row(7, "old too", "1")));
        assert!(seen.first_time(&row(5, "old", "1")), "shown rather than lost");
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::new(0);
        for ns in 0..(MOST as i64 + 1000) {
            seen.first_time(&row(ns, "x", "1"));
        }
        assert_eq!(seen.count, MOST);
        assert_eq!(seen.resume_at(), 1000);
    }
}
