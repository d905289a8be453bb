//! Inhibition: an alert keeps others silent while it fires.

use std::collections::{BTreeSet, HashMap};

use reba_model::{Labels, Matcher};

/// A rule of inhibition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// A name for people; may be empty.
    pub name: String,
    /// What a source must match; sorted.
    pub source: Vec<Matcher>,
    /// What a target must match; sorted.
    pub target: Vec<Matcher>,
    /// Labels that must have the same value on both sides, sorted. A missing label has the value `""`.
    pub equal: Vec<String>,
}

impl InhibitRule {
    /// The values that a source and its targets share.
    fn shared(&self, labels: &Labels) -> Labels {
        labels.only(&self.equal)
    }
}

/// Alerts that share the same values of a rule's `equal`, the longest-lived last.
#[derive(Clone, Debug, Default)]
struct Sources {
    /// Those that only the source side matches: when they end, and their fingerprints.
    one_sided: BTreeSet<(i64, u64)>,
    /// Those that the target side matches, too.
    two_sided: BTreeSet<(i64, u64)>,
}

impl Sources {
    fn side(&mut self, two_sided: bool) -> &mut BTreeSet<(i64, u64)> {
        if two_sided { &mut self.two_sided } else { &mut self.one_sided }
    }
}

/// Knows the alerts that may be sources. A question costs a look-up for each rule whose target side matches, however many alerts
/// there are.
#[derive(Clone, Debug)]
pub(crate) struct Inhibitor {
    rules: Vec<(InhibitRule, HashMap<Labels, Sources>)>,
}

impl Inhibitor {
    pub fn new(rules: &[InhibitRule]) -> Self {
        Inhibitor { rules: rules.iter().map(|r| (r.clone(), HashMap::new())).collect() }
    }

    /// Takes an alert that is new, or whose end has moved from `old_end`.
    pub fn set(&mut self, labels: &Labels, fingerprint: u64, old_end: Option<i64>, ends_at_ms: i64) {
        if old_end == Some(ends_at_ms) {
            return;
        }
        if let Some(old) = old_end {
            self.remove(labels, fingerprint, old);
        }
        for (rule, index) in &mut self.rules {
            if Matcher::all(&rule.source, labels) {
                let two_sided = Matcher::all(&rule.target, labels);
                let sources = index.entry(rule.shared(labels)).or_default();
                sources.side(two_sided).insert((ends_at_ms, fingerprint));
            }
        }
    }

    /// Forgets an alert.
    pub fn remove(&mut self, labels: &Labels, fingerprint: u64, ends_at_ms: i64) {
        for (rule, index) in &mut self.rules {
            if !Matcher::all(&rule.source, labels) {
                continue;
            }
            let shared = rule.shared(labels);
            if let Some(sources) = index.get_mut(&shared) {
                sources.one_sided.remove(&(ends_at_ms, fingerprint));
                sources.two_sided.remove(&(ends_at_ms, fingerprint));
                if sources.one_sided.is_empty() && sources.two_sided.is_empty() {
                    index.remove(&shared);
                }
            }
        }
    }

    /// The alert that keeps one with these labels silent now, by the first rule that does.
    ///
    /// An alert that matches both sides of a rule is not inhibited by others that do: neither by itself, nor two by each other.
    pub fn source_of(&self, labels: &Labels, now_ms: i64) -> Option<u64> {
        let last = |set: &BTreeSet<(i64, u64)>| {
            set.last().filter(|(ends_at_ms, _)| *ends_at_ms > now_ms).map(|(_, fingerprint)| *fingerprint)
        };
        self.rules.iter().find_map(|(rule, index)| {
            if !Matcher::all(&rule.target, labels) {
                return None;
            }
            let sources = index.get(&rule.shared(labels))?;
            last(&sources.one_sided).or_else(|| {
                let both = Matcher::all(&rule.source, labels);
                if both { None } else { last(&sources.two_sided) }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use reba_model::MatchOp;

    use super::*;
    use crate::identity::fingerprint;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    fn rule(source: Vec<Matcher>, target: Vec<Matcher>, equal: &[&str]) -> InhibitRule {
        InhibitRule {
            name: String::new(),
            source,
            target,
            equal: equal.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn severity(value: &str) -> Vec<Matcher> {
        vec![Matcher::equal("severity", value)]
    }

    #[test]
    fn a_source_inhibits_while_it_fires_where_the_equal_labels_are_the_same() {
        let mut inhibitor =
            Inhibitor::new(&[rule(severity("critical"), severity("warning"), &["cluster", "zone"])]);
        let source = labels(&[("severity", "critical"), ("cluster", "a")]);
        let same = labels(&[("severity", "warning"), ("cluster", "a")]);
        let other = labels(&[("severity", "warning"), ("cluster", "b")]);
        assert_eq!(inhibitor.source_of(&same, 0), None);
        inhibitor.set(&source, fingerprint(&source), None, 100);
        // `zone` is missing on both sides, which counts as equal.
        assert_eq!(inhibitor.source_of(&same, 99), Some(fingerprint(&source)));
        assert_eq!(inhibitor.source_of(&other, 99), None);
        assert_eq!(inhibitor.source_of(&source, 99), None);
        assert_eq!(inhibitor.source_of(&same, 100), None);
        inhibitor.set(&source, fingerprint(&source), Some(100), 200);
        assert_eq!(inhibitor.source_of(&same, 199), Some(fingerprint(&source)));
        inhibitor.remove(&source, fingerprint(&source), 200);
        assert_eq!(inhibitor.source_of(&same, 0), None);
        assert!(inhibitor.rules[0].1.is_empty());
    }

    #[test]
    fn one_of_several_sources_is_enough_and_the_others_may_be_resolved() {
        let mut inhibitor = Inhibitor::new(&[rule(severity("critical"), severity("warning"), &[])]);
        let target = labels(&[("severity", "warning")]);
        let sources: Vec<Labels> =
            ["1", "2", "3"].map(|n| labels(&[("severity", "critical"), ("n", n)])).into();
        for (source, end) in sources.iter().zip([50, 300, 100]) {
            inhibitor.set(source, fingerprint(source), None, end);
        }
        assert_eq!(inhibitor.source_of(&target, 200), Some(fingerprint(&sources[1])));
        inhibitor.set(&sources[1], fingerprint(&sources[1]), Some(300), 60);
        assert_eq!(inhibitor.source_of(&target, 70), Some(fingerprint(&sources[2])));
        assert_eq!(inhibitor.source_of(&target, 200), None);
    }

    #[test]
    fn alerts_that_match_both_sides_inhibit_neither_themselves_nor_each_other() {
        let any = || vec![Matcher::new(MatchOp::Regex, "alertname", ".+").unwrap()];
        let mut inhibitor = Inhibitor::new(&[rule(any(), any(), &["cluster"])]);
        let a = labels(&[("alertname", "a"), ("cluster", "x")]);
        let b = labels(&[("alertname", "b"), ("cluster", "x")]);
        inhibitor.set(&a, 1, None, 100);
        inhibitor.set(&b, 2, None, 100);
        assert_eq!((inhibitor.source_of(&a, 0), inhibitor.source_of(&b, 0)), (None, None));
        // One that matches the target side only is inhibited by such an alert.
        let mut inhibitor = Inhibitor::new(&[rule(severity("critical"), any(), &["cluster"])]);
        let source = labels(&[("alertname", "a"), ("severity", "critical"), ("cluster", "x")]);
        inhibitor.set(&source, 3, None, 100);
        assert_eq!((inhibitor.source_of(&source, 0), inhibitor.source_of(&b, 0)), (None, Some(3)));
    }
}
