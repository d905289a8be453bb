//! Structural operators: who is whose child, ancestor, sibling. Each takes one pass over both sides, sorted by their
//! numbers in the forest, instead of comparing every pair.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    syntax::{Relation, RelationMode},
    trace::Trace,
};

/// The spans a structural operator answers with, in the order of the trace.
pub(super) fn related(
    trace: &Trace,
    relation: Relation,
    mode: RelationMode,
    left: &[usize],
    right: &[usize],
) -> Vec<usize> {
    match mode {
        RelationMode::Plain => matching(trace, relation, left, right, true),
        RelationMode::Negated => matching(trace, relation, left, right, false),
        RelationMode::Union => {
            let mut both: BTreeSet<usize> =
                matching(trace, relation, left, right, true).into_iter().collect();
            both.extend(matching(trace, mirrored(relation), right, left, true));
            both.into_iter().collect()
        }
    }
}

/// The relation seen from the other side.
fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

/// The spans of the right side for which a relative on the left side exists, or does not.
fn matching(trace: &Trace, relation: Relation, left: &[usize], right: &[usize], wanted: bool) -> Vec<usize> {
    let has: Box<dyn Fn(usize) -> bool> = match relation {
        Relation::Child => {
            let parents: BTreeSet<i32> = left.iter().map(|l| trace.nested(*l).left).collect();
            Box::new(move |r| parents.contains(&trace.nested(r).parent))
        }
        Relation::Parent => {
            let parents: BTreeSet<i32> = left.iter().map(|l| trace.nested(*l).parent).collect();
            Box::new(move |r| parents.contains(&trace.nested(r).left))
        }
        Relation::Descendant => {
            // Sets nest: whichever starts before a span and reaches beyond its start holds all of it.
            let mut sets: Vec<(i32, i32)> =
                left.iter().map(|l| trace.nested(*l)).map(|n| (n.left, n.right)).collect();
            sets.sort_unstable();
            let mut reach = 0;
            for (_, right) in &mut sets {
                reach = reach.max(*right);
                *right = reach;
            }
            Box::new(move |r| {
                let start = trace.nested(r).left;
                let before = sets.partition_point(|(left, _)| *left < start);
                before > 0 && sets[before - 1].1 > start
            })
        }
        Relation::Ancestor => {
            let mut starts: Vec<i32> = left.iter().map(|l| trace.nested(*l).left).collect();
            starts.sort_unstable();
            Box::new(move |r| {
                let set = trace.nested(r);
                let after = starts.partition_point(|start| *start <= set.left);
                starts.get(after).is_some_and(|start| *start < set.right)
            })
        }
        Relation::Sibling => {
            let mut families: BTreeMap<_, Vec<usize>> = BTreeMap::new();
            for &l in left {
                families.entry(trace.spans()[l].parent_id).or_default().push(l);
            }
            Box::new(move |r| {
                let parent = trace.spans()[r].parent_id;
                let family = families.get(&parent).filter(|_| !parent.is_none());
                // One other than the span itself.
                family.is_some_and(|f| f.len() > 1 || f.first() != Some(&r))
            })
        }
    };
    right.iter().copied().filter(|r| has(*r) == wanted).collect()
}
