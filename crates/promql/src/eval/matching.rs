//! Binary operators on two vectors: which series belong together is worked out once, then columns are combined.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use reba_model::Labels;

use super::{
    Evaluator,
    binary::{Element, Notes, changes_metric, elements},
    error::EvalError,
    group::{self, Grouping},
    node::BinaryNode,
    room::Room,
    value::{Column, Point, Steps, VectorSeries},
    without_metadata,
};
use crate::syntax::{BinaryOp as Op, MatchCardinality as Card, VectorMatching};

/// Both operands with the match group of each series. With `group_right` the sides are swapped, so that `many` may
/// have several series of a group and `one` must not.
struct Sides {
    many: Vec<VectorSeries>,
    one: Vec<VectorSeries>,
    many_groups: Vec<u32>,
    one_groups: Vec<u32>,
    /// Labels of each group.
    groups: Vec<Labels>,
    swapped: bool,
}

impl Sides {
    fn new(matching: &VectorMatching, lhs: Vec<VectorSeries>, rhs: Vec<VectorSeries>) -> Self {
        let swapped = matching.card == Card::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let grouping = Grouping { labels: &matching.labels, without: !matching.on };
        let mut groups = grouping.groups(many.iter().chain(&one).map(|s| &s.labels));
        let one_groups = groups.of.split_off(many.len());
        Sides { many, one, many_groups: groups.of, one_groups, groups: groups.labels, swapped }
    }

    /// Series of the "one" side by group.
    fn ones_by_group(&self) -> Vec<Vec<usize>> {
        let mut by_group = vec![Vec::new(); self.groups.len()];
        for (i, group) in self.one_groups.iter().enumerate() {
            by_group[*group as usize].push(i);
        }
        by_group
    }
}

/// At which steps any series has an element.
fn presence<'a>(series: impl IntoIterator<Item = &'a VectorSeries>, steps: usize) -> Vec<bool> {
    let mut present = vec![false; steps];
    for s in series {
        present.iter_mut().enumerate().for_each(|(i, p)| *p |= s.column.is_present(i));
    }
    present
}

impl Evaluator<'_> {
    /// `and`, `or`, `unless`
    pub(super) fn set_operation(
        &mut self,
        node: &BinaryNode,
        lhs: Vec<VectorSeries>,
        rhs: Vec<VectorSeries>,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let sides = Sides::new(&node.matching, lhs, rhs);
        let Sides { many: mut lhs, one: mut rhs, many_groups, one_groups, groups, .. } = sides;
        // Where the other side has an element of the group.
        let presence_by_group = |series: &[VectorSeries], of: &[u32]| {
            let mut present: Vec<Vec<bool>> = vec![Vec::new(); groups.len()];
            for (s, group) in series.iter().zip(of) {
                let row = &mut present[*group as usize];
                row.resize(steps.count, false);
                row.iter_mut().enumerate().for_each(|(i, p)| *p |= s.column.is_present(i));
            }
            present
        };
        let clear = |s: &mut VectorSeries, other: &[bool], where_present: bool| {
            for i in 0..steps.count {
                if other.get(i).copied().unwrap_or(false) == where_present {
                    s.column.set(i, Point::Absent);
                }
            }
        };
        if node.op == Op::Or {
            let left = presence_by_group(&lhs, &many_groups);
            for (s, group) in rhs.iter_mut().zip(&one_groups) {
                clear(s, &left[*group as usize], true);
            }
            lhs.append(&mut rhs);
        } else {
            let right = presence_by_group(&rhs, &one_groups);
            for (s, group) in lhs.iter_mut().zip(&many_groups) {
                clear(s, &right[*group as usize], node.op == Op::Unless);
            }
        }
        lhs.retain(|s| !s.column.is_all_absent());
        self.unite(lhs, steps)
    }

    /// Arithmetic and comparisons.
    pub(super) fn match_vectors(
        &mut self,
        node: &BinaryNode,
        pos: usize,
        lhs: Vec<VectorSeries>,
        rhs: Vec<VectorSeries>,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let sides = Sides::new(&node.matching, lhs, rhs);
        let ones = Ones::new(node, &sides, steps)?;
        let mut matcher = Matcher {
            node,
            steps: steps.count,
            drop_metadata: changes_metric(node.op)
                || (node.bool_modifier && !self.options.delayed_name_removal),
            swapped: sides.swapped,
            notes: Notes::new(steps.count),
            matched: vec![Vec::new(); sides.groups.len()],
            taken: HashMap::new(),
            room: self.room(),
            out: Vec::new(),
        };
        for (m, group) in sides.many.iter().zip(&sides.many_groups) {
            self.go_on()?;
            matcher.match_series(m, *group as usize, &sides, &ones)?;
        }
        if let Some(fill) = matcher.fill_of_many() {
            for (o, group) in sides.one.iter().zip(&sides.one_groups) {
                self.go_on()?;
                matcher.fill_many(o, *group as usize, fill, &sides)?;
            }
        }
        let Matcher { notes, mut out, .. } = matcher;
        notes.report(self, pos);
        out.retain(|s| !s.column.is_all_absent());
        if steps.count > 1 { group::unite(out) } else { self.unite(out, steps) }
    }
}

/// No series.
const NONE: u32 = u32::MAX;

/// The series of the "one" side, found by group and step.
struct Ones {
    /// Members of each group.
    members: Vec<Vec<usize>>,
    /// For groups of several members: which of them has an element, by step.
    at_step: Vec<Vec<u32>>,
    /// For each series a number that series share whose included labels are equal.
    class: Vec<u32>,
}

impl Ones {
    fn new(node: &BinaryNode, sides: &Sides, steps: &Steps) -> Result<Self, EvalError> {
        let members = sides.ones_by_group();
        check_one_side(node, sides, &members, steps)?;
        let mut at_step = vec![Vec::new(); members.len()];
        for (row, members) in at_step.iter_mut().zip(&members).filter(|(_, members)| members.len() > 1) {
            *row = vec![NONE; steps.count];
            for k in members {
                for (i, slot) in row.iter_mut().enumerate() {
                    if sides.one[*k].column.is_present(i) {
                        *slot = *k as u32;
                    }
                }
            }
        }
        let included = Grouping { labels: &node.matching.include, without: false };
        let class = included.groups(sides.one.iter().map(|s| &s.labels)).of;
        Ok(Ones { members, at_step, class })
    }

    /// The series of a group that has an element at step `i`.
    fn find(&self, sides: &Sides, group: usize, i: usize) -> Option<usize> {
        match self.members[group].as_slice() {
            [] => None,
            [k] => sides.one[*k].column.is_present(i).then_some(*k),
            _ => Some(self.at_step[group][i]).filter(|k| *k != NONE).map(|k| k as usize),
        }
    }
}

/// Fails if two series of the "one" side are in one group at the same step, wherever there is anything to match.
fn check_one_side(
    node: &BinaryNode,
    sides: &Sides,
    ones: &[Vec<usize>],
    steps: &Steps,
) -> Result<(), EvalError> {
    if ones.iter().all(|group| group.len() < 2) {
        return Ok(());
    }
    let filled = node.matching.fill_left.is_some() || node.matching.fill_right.is_some();
    let many = presence(&sides.many, steps.count);
    for (group, members) in ones.iter().enumerate().filter(|(_, members)| members.len() > 1) {
        for (i, many) in many.iter().enumerate() {
            let mut present = members.iter().filter(|k| sides.one[**k].column.is_present(i));
            let (Some(first), Some(second)) = (present.next(), present.next()) else { continue };
            if !filled && !many {
                continue;
            }
            let mut pair = [first, second].map(|k| sides.one[*k].labels.to_string());
            pair.sort();
            return Err(EvalError::Execution(format!(
                "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];\
                 many-to-many matching not allowed: matching labels must be unique on one side",
                sides.groups[group],
                if sides.swapped { "left" } else { "right" },
                pair[0],
                pair[1],
            )));
        }
    }
    Ok(())
}

/// The state of matching two vectors.
struct Matcher<'a> {
    node: &'a BinaryNode,
    steps: usize,
    drop_metadata: bool,
    swapped: bool,
    notes: Notes,
    /// By group: the steps at which a pair was found; empty if there was none yet.
    matched: Vec<Vec<bool>>,
    /// With `group_left` and `group_right`: the steps at which a group has a result of these labels.
    taken: HashMap<(usize, Labels), Vec<bool>>,
    room: Room,
    out: Vec<VectorSeries>,
}

/// Elements of both sides at one step, and the labels of the "one" side; equal classes have equal included labels.
struct Pair<'a> {
    many: Point,
    one: Point,
    class: u32,
    labels: &'a Labels,
}

/// A result, and the steps at which there was a pair, whether or not a filter kept it.
struct Combined {
    labels: Labels,
    column: Column,
    matched: Vec<bool>,
}

impl Matcher<'_> {
    fn matching(&self) -> &VectorMatching {
        &self.node.matching
    }

    /// What stands in for a missing series of the "one" side: the value of `fill_right`, even if that side stands on
    /// the left (`group_right`), as upstream has it.
    fn fill_of_one(&self) -> Option<f64> {
        self.matching().fill_right
    }

    /// What stands in for a missing series of the "many" side.
    fn fill_of_many(&self) -> Option<f64> {
        self.matching().fill_left
    }

    /// Combines a series of the "many" side with those of its group on the other side.
    fn match_series(
        &mut self,
        m: &VectorSeries,
        group: usize,
        sides: &Sides,
        ones: &Ones,
    ) -> Result<(), EvalError> {
        let fill = self.fill_of_one();
        self.combine(group, &m.labels, |i| {
            let value = m.column.get(i);
            if value == Point::Absent {
                return None;
            }
            match ones.find(sides, group, i) {
                Some(k) => {
                    let o = &sides.one[k];
                    Some(Pair { many: value, one: o.column.get(i), class: ones.class[k], labels: &o.labels })
                }
                None => fill.map(|fill| Pair {
                    many: value,
                    one: Point::Float(fill),
                    class: NONE,
                    labels: &sides.groups[group],
                }),
            }
        })
    }

    /// Combines a series of the "one" side with the fill value where nothing else matched it.
    fn fill_many(
        &mut self,
        o: &VectorSeries,
        group: usize,
        fill: f64,
        sides: &Sides,
    ) -> Result<(), EvalError> {
        let matched = self.matched[group].clone();
        self.combine(group, &sides.groups[group], |i| {
            let one = o.column.get(i);
            if one == Point::Absent || matched.get(i).copied().unwrap_or(false) {
                return None;
            }
            Some(Pair { many: Point::Float(fill), one, class: 0, labels: &o.labels })
        })
    }

    /// Combines what `at` gives for each step. There is one result for each class of pairs.
    fn combine<'l>(
        &mut self,
        group: usize,
        many: &Labels,
        at: impl Fn(usize) -> Option<Pair<'l>>,
    ) -> Result<(), EvalError> {
        let mut results: BTreeMap<u32, Combined> = BTreeMap::new();
        for i in 0..self.steps {
            let Some(pair) = at(i) else { continue };
            let (l, r) = if self.swapped { (&pair.one, &pair.many) } else { (&pair.many, &pair.one) };
            let result = match elements(self.node.op, l, r, i, &mut self.notes) {
                Element::None => continue,
                Element::Compared(keep) if self.node.bool_modifier => Point::Float(f64::from(u8::from(keep))),
                Element::Compared(true) => l.clone(),
                Element::Compared(false) => Point::Absent,
                Element::Value(value) => value,
            };
            let combined = match results.entry(pair.class) {
                Entry::Occupied(slot) => slot.into_mut(),
                Entry::Vacant(slot) => {
                    // Twice: the result, and the steps at which it has one.
                    self.room.take(self.steps.div_ceil(2))?;
                    let labels = result_labels(self.node, self.drop_metadata, many, pair.labels);
                    let column = Column::absent(self.steps);
                    slot.insert(Combined { labels, column, matched: vec![false; self.steps] })
                }
            };
            combined.matched[i] = true;
            combined.column.set(i, result);
        }
        for Combined { labels, column, matched } in results.into_values() {
            self.note_matched(group, &labels, &matched)?;
            let drop_name = self.node.bool_modifier && !self.drop_metadata;
            self.out.push(VectorSeries { labels, drop_name, column });
        }
        Ok(())
    }

    /// Records the steps of a result; fails if another one was there already.
    fn note_matched(&mut self, group: usize, result: &Labels, matched: &[bool]) -> Result<(), EvalError> {
        let overlaps = |before: &[bool]| before.iter().zip(matched).any(|(a, b)| *a && *b);
        let one_to_one = self.matching().card == Card::OneToOne;
        if one_to_one && overlaps(&self.matched[group]) {
            let text =
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
            return Err(EvalError::Execution(text.to_owned()));
        }
        if !one_to_one {
            let taken = self.taken.entry((group, result.clone())).or_default();
            if overlaps(taken) {
                let text = "multiple matches for labels: grouping labels must ensure unique matches";
                return Err(EvalError::Execution(text.to_owned()));
            }
            merge(taken, matched);
        }
        merge(&mut self.matched[group], matched);
        Ok(())
    }
}

/// Labels of a result: those of the "many" side, changed as the matching says.
fn result_labels(node: &BinaryNode, drop_metadata: bool, many: &Labels, one: &Labels) -> Labels {
    let matching = &node.matching;
    let mut labels = if drop_metadata { without_metadata(many) } else { many.clone() };
    if matching.card == Card::OneToOne {
        labels = if matching.on { labels.only(&matching.labels) } else { labels.without(&matching.labels) };
    }
    if matching.include.is_empty() {
        return labels;
    }
    let mut builder = labels.to_builder();
    for name in &matching.include {
        builder.set(name, one.value(name));
    }
    builder.build()
}

fn merge(into: &mut Vec<bool>, from: &[bool]) {
    into.resize(from.len(), false);
    into.iter_mut().zip(from).for_each(|(a, b)| *a |= b);
}
