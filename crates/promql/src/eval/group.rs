//! Grouping of series by labels: ids are worked out once a query, never once a sample.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use reba_model::{Labels, METRIC_NAME};

use super::{
    error::EvalError,
    value::{Column, VectorSeries, is_absent},
};

/// Unites series of equal labels, which must not have elements at the same step. The first series keeps its place.
pub(super) fn unite(series: Vec<VectorSeries>) -> Result<Vec<VectorSeries>, EvalError> {
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<VectorSeries> = Vec::with_capacity(series.len());
    for s in series {
        match index.entry(s.labels.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(out.len());
                out.push(s);
            }
            Entry::Occupied(slot) => {
                let first = &mut out[*slot.get()];
                if !fill_gaps(&mut first.column, &s.column) {
                    return Err(EvalError::duplicate_labels());
                }
                first.drop_name |= s.drop_name;
            }
        }
    }
    Ok(out)
}

/// Copies the elements of `from` into the empty slots of `to`; false if both have one at some step.
fn fill_gaps(to: &mut Column, from: &Column) -> bool {
    for i in 0..from.len() {
        if !from.is_present(i) {
            continue;
        }
        if to.is_present(i) {
            return false;
        }
        if is_absent(from.v[i]) {
            to.set(i, from.get(i));
        } else {
            to.v[i] = from.v[i];
        }
    }
    true
}

/// Series by the group they belong to.
pub(super) struct Groups {
    /// The group of each series.
    pub of: Vec<u32>,
    /// Labels of each group, in the order in which groups were first seen.
    pub labels: Vec<Labels>,
}

/// From so many names on, a table of them is faster than the list.
const MANY_LABELS: usize = 32;

/// Which labels make a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grouping<'a> {
    pub labels: &'a [String],
    /// The labels do not count, all others but the name do.
    pub without: bool,
}

impl Grouping<'_> {
    /// The labels of the group that a series belongs to.
    pub fn key(&self, labels: &Labels) -> Labels {
        self.key_of(labels, |n| self.labels.iter().any(|l| l == n))
    }

    fn key_of(&self, labels: &Labels, listed: impl Fn(&str) -> bool) -> Labels {
        if self.without {
            Labels::from_sorted(labels.iter().filter(|(n, _)| *n != METRIC_NAME && !listed(n)))
        } else if self.labels.is_empty() {
            Labels::empty()
        } else {
            Labels::from_sorted(labels.iter().filter(|(n, _)| listed(n)))
        }
    }

    /// The groups of all series.
    pub fn groups<'s>(&self, series: impl Iterator<Item = &'s Labels>) -> Groups {
        let mut ids: HashMap<Labels, u32> = HashMap::new();
        let mut groups = Groups { of: Vec::new(), labels: Vec::new() };
        // Few names are found fastest one by one; a query of megabytes may have a hundred thousand.
        let many: Option<HashSet<&str>> =
            (self.labels.len() > MANY_LABELS).then(|| self.labels.iter().map(String::as_str).collect());
        for labels in series {
            let key = match &many {
                Some(many) => self.key_of(labels, |n| many.contains(n)),
                None => self.key(labels),
            };
            let next = groups.labels.len() as u32;
            let id = *ids.entry(key).or_insert_with_key(|key| {
                groups.labels.push(key.clone());
                next
            });
            groups.of.push(id);
        }
        groups
    }
}
