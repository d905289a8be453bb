//! `compare()`: how spans of a selection differ from the others, attribute by attribute.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    EvalError, EvalOptions, Grid, MetricSeries,
    node::{Node, Place},
    value::{Value, key},
};
use crate::syntax::{Compare, Field, Intrinsic, Static};

/// Intrinsics that are compared beside all attributes.
const INTRINSICS: [Intrinsic; 6] = [
    Intrinsic::Name,
    Intrinsic::Kind,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::TraceRootName,
    Intrinsic::TraceRootService,
];

/// Names of the two groups, and of their totals.
const GROUPS: [(&str, &str); 2] = [("baseline", "baseline_total"), ("selection", "selection_total")];

/// A value with its count in each step.
struct Counted {
    value: Static,
    counts: Vec<u64>,
}

/// What is known of one attribute in one group.
#[derive(Default)]
struct Attribute {
    /// By the key of the value.
    values: BTreeMap<String, Counted>,
    totals: Vec<u64>,
}

/// What has been seen of both groups.
pub(super) struct Comparison {
    selection: Node,
    top: usize,
    window: Option<(i64, i64)>,
    grid: Grid,
    /// Attributes and values together.
    max_values: usize,
    values: usize,
    groups: [BTreeMap<String, Attribute>; 2],
    /// Whether values were left out.
    pub truncated: bool,
}

impl Comparison {
    pub(super) fn new(
        compare: &Compare,
        grid: Grid,
        options: &EvalOptions,
        max_values: usize,
    ) -> Result<Comparison, EvalError> {
        Ok(Comparison {
            selection: Node::new(&compare.selection, options)?,
            top: usize::try_from(compare.top).unwrap_or(0),
            window: compare.window,
            grid,
            max_values,
            values: 0,
            groups: [BTreeMap::new(), BTreeMap::new()],
            truncated: false,
        })
    }

    pub(super) fn add(&mut self, place: Place<'_>, step: usize) {
        let start = place.span.start_ns;
        let inside = self.window.is_none_or(|(first, last)| first <= start && start <= last);
        let group = usize::from(inside && self.selection.is_true(place));
        for intrinsic in INTRINSICS {
            let field = Field::Intrinsic { intrinsic, scoped: false };
            self.count(group, field.to_string(), place.field(&field), step);
        }
        let sides = [("span", &place.span.attributes), ("resource", &place.span.resource.attributes)];
        for (scope, attributes) in sides {
            for (name, value) in attributes.iter() {
                self.count(group, format!("{scope}.{name}"), Value::from(value), step);
            }
        }
    }

    fn count(&mut self, group: usize, attribute: String, value: Value<'_>, step: usize) {
        let values = match value {
            Value::Nil | Value::Opaque => return,
            Value::Many(values) => values,
            one => vec![one],
        };
        let steps = self.grid.steps();
        let known = match self.groups[group].entry(attribute) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if self.values >= self.max_values => {
                self.truncated = true;
                return;
            }
            Entry::Vacant(new) => {
                self.values += 1;
                new.insert(Attribute { values: BTreeMap::new(), totals: vec![0; steps] })
            }
        };
        known.totals[step] += 1;
        for value in values {
            let value = value.to_static();
            let counted = match known.values.entry(key(std::slice::from_ref(&value))) {
                Entry::Occupied(counted) => counted.into_mut(),
                Entry::Vacant(_) if self.values >= self.max_values => {
                    self.truncated = true;
                    continue;
                }
                Entry::Vacant(new) => {
                    self.values += 1;
                    new.insert(Counted { value, counts: vec![0; steps] })
                }
            };
            counted.counts[step] += 1;
        }
    }

    pub(super) fn absorb(&mut self, other: &mut Comparison) {
        self.truncated |= std::mem::take(&mut other.truncated);
        other.values = 0;
        let add = |mine: &mut Vec<u64>, others: &[u64]| {
            mine.resize(mine.len().max(others.len()), 0);
            mine.iter_mut().zip(others).for_each(|(mine, other)| *mine += other);
        };
        for (mine, others) in self.groups.iter_mut().zip(std::mem::take(&mut other.groups)) {
            for (name, attribute) in others {
                let known = mine.entry(name).or_default();
                add(&mut known.totals, &attribute.totals);
                for (key, counted) in attribute.values {
                    match known.values.entry(key) {
                        Entry::Occupied(mut mine) => add(&mut mine.get_mut().counts, &counted.counts),
                        Entry::Vacant(_) if self.values >= self.max_values => {
                            self.truncated = true;
                        }
                        Entry::Vacant(new) => {
                            self.values += 1;
                            new.insert(counted);
                        }
                    }
                }
            }
        }
    }

    /// For each group and attribute its most frequent values, the total, and a mark if there were more values.
    pub(super) fn finish(&self) -> Vec<MetricSeries> {
        let mut out = Vec::new();
        let mut cut: BTreeSet<String> = BTreeSet::new();
        for (group, (values_name, total_name)) in self.groups.iter().zip(GROUPS) {
            for (name, attribute) in group {
                let mut values: Vec<&Counted> = attribute.values.values().collect();
                values.sort_by_key(|counted| std::cmp::Reverse(counted.counts.iter().sum::<u64>()));
                if values.len() > self.top {
                    cut.insert(name.clone());
                    values.truncate(self.top);
                }
                for Counted { value, counts } in values {
                    out.push(series("__meta_type", values_name, name, value.clone(), counts));
                }
                out.push(series("__meta_type", total_name, name, Static::Nil, &attribute.totals));
            }
        }
        let steps = self.grid.steps();
        let mark =
            |name: &String| series("__meta_error", "__too_many_values__", name, Static::Nil, &vec![0; steps]);
        out.extend(cut.iter().map(mark));
        out
    }
}

fn series(meta: &str, group: &str, name: &str, value: Static, counts: &[u64]) -> MetricSeries {
    MetricSeries {
        labels: vec![(meta.to_owned(), Static::Str(group.to_owned())), (name.to_owned(), value)],
        points: counts.iter().map(|count| Some(*count as f64)).collect(),
        exemplars: Vec::new(),
    }
}
