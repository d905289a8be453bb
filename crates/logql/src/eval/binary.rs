//! Operators between numbers and series.

use std::collections::{BTreeSet, HashMap};

use reba_model::Labels;

use super::{
    Answer, EvalError, Grid, GridSeries,
    vector::{only, with, without},
};
use crate::syntax::{Binary, BinaryOp, Matching};

pub(super) fn apply(binary: &Binary, left: Answer, right: Answer, grid: Grid) -> Result<Answer, EvalError> {
    Ok(match (left, right) {
        (Answer::Scalar(a), Answer::Scalar(b)) => Answer::Scalar(of_numbers(binary.op, a, b)),
        (Answer::Series(left), Answer::Scalar(b)) => {
            Answer::Series(with_number(left, |a| of_sides(binary, a, b, a)))
        }
        (Answer::Scalar(a), Answer::Series(right)) => {
            Answer::Series(with_number(right, |b| of_sides(binary, a, b, b)))
        }
        (Answer::Series(left), Answer::Series(right)) if binary.op.is_set() => {
            Answer::Series(set_operation(binary, left, right, grid))
        }
        (Answer::Series(left), Answer::Series(right)) => Answer::Series(matched(binary, left, right, grid)?),
    })
}

fn of_numbers(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |holds| f64::from(u8::from(holds));
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        // Unlike in PromQL, nothing divides by zero.
        BinaryOp::Div if b == 0.0 => f64::NAN,
        BinaryOp::Div => a / b,
        BinaryOp::Mod if b == 0.0 => f64::NAN,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Eq => truth(a == b),
        BinaryOp::Ne => truth(a != b),
        BinaryOp::Gt => truth(a > b),
        BinaryOp::Ge => truth(a >= b),
        BinaryOp::Lt => truth(a < b),
        BinaryOp::Le => truth(a <= b),
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => f64::NAN,
    }
}

/// The value of `a op b`; a comparison that holds keeps `kept`, one that does not keeps nothing.
fn of_sides(binary: &Binary, a: f64, b: f64, kept: f64) -> Option<f64> {
    let value = of_numbers(binary.op, a, b);
    if !binary.op.is_comparison() || binary.bool_modifier {
        return Some(value);
    }
    (value != 0.0).then_some(kept)
}

fn with_number(mut series: Vec<GridSeries>, f: impl Fn(f64) -> Option<f64>) -> Vec<GridSeries> {
    for one in &mut series {
        for value in &mut one.values {
            *value = value.and_then(&f);
        }
    }
    series
}

/// The labels by which series of the two sides belong together.
fn signature(labels: &Labels, matching: Option<&Matching>) -> Labels {
    match matching {
        None => labels.clone(),
        Some(m) if m.on => only(labels, &m.labels),
        Some(m) => without(labels, &m.labels),
    }
}

fn set_operation(
    binary: &Binary,
    mut left: Vec<GridSeries>,
    mut right: Vec<GridSeries>,
    grid: Grid,
) -> Vec<GridSeries> {
    let matching = binary.matching.as_ref();
    let signatures = |series: &[GridSeries]| -> Vec<Labels> {
        series.iter().map(|s| signature(&s.labels, matching)).collect()
    };
    let (of_left, of_right) = (signatures(&left), signatures(&right));
    for step in 0..grid.count {
        let present = |series: &[GridSeries], signatures: &[Labels]| -> BTreeSet<String> {
            let with = series.iter().zip(signatures).filter(|(s, _)| s.values[step].is_some());
            with.map(|(_, signature)| signature.as_packed().to_owned()).collect()
        };
        let (in_left, in_right) = (present(&left, &of_left), present(&right, &of_right));
        match binary.op {
            BinaryOp::Or => remove_where(&mut right, &of_right, step, |s| in_left.contains(s)),
            BinaryOp::And => remove_where(&mut left, &of_left, step, |s| !in_right.contains(s)),
            _ => remove_where(&mut left, &of_left, step, |s| in_right.contains(s)),
        }
    }
    if binary.op == BinaryOp::Or {
        merge_same_labels(&mut left, right);
    }
    left
}

fn remove_where(series: &mut [GridSeries], signatures: &[Labels], step: usize, gone: impl Fn(&str) -> bool) {
    for (one, signature) in series.iter_mut().zip(signatures) {
        if gone(signature.as_packed()) {
            one.values[step] = None;
        }
    }
}

/// Adds series; one with the labels of one that is there fills its gaps.
fn merge_same_labels(into: &mut Vec<GridSeries>, more: Vec<GridSeries>) {
    let mut index: HashMap<Labels, usize> =
        into.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)).collect();
    for one in more {
        if let Some(i) = index.get(&one.labels) {
            for (mine, theirs) in into[*i].values.iter_mut().zip(one.values) {
                *mine = mine.or(theirs);
            }
        } else {
            index.insert(one.labels.clone(), into.len());
            into.push(one);
        }
    }
}

fn matched(
    binary: &Binary,
    left: Vec<GridSeries>,
    right: Vec<GridSeries>,
    grid: Grid,
) -> Result<Vec<GridSeries>, EvalError> {
    let matching = binary.matching.as_ref();
    let group = matching.and_then(|m| m.group.as_ref());
    // The side of which a signature may have one series only.
    let one_is_right = group.is_none_or(|g| g.left);
    let (many, one, one_side) = if one_is_right { (left, right, "right") } else { (right, left, "left") };
    let mut by_signature: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (i, series) in one.iter().enumerate() {
        by_signature.entry(signature(&series.labels, matching)).or_default().push(i);
    }
    let mut results = Results::new(grid);
    for series in &many {
        let signature = signature(&series.labels, matching);
        let Some(partners) = by_signature.get(&signature) else { continue };
        // Which labels the answer has depends on the partner, and that may change from step to step.
        let mut labels_of: HashMap<usize, usize> = HashMap::new();
        for step in 0..grid.count {
            let Some(of_many) = series.values[step] else { continue };
            let Some((partner, of_one)) = only_partner(partners, &one, step, one_side)? else { continue };
            let (a, b) = if one_is_right { (of_many, of_one) } else { (of_one, of_many) };
            let slot = *labels_of.entry(partner).or_insert_with(|| {
                results.slot(result_labels(matching, &series.labels, &one[partner].labels))
            });
            results.claim(slot, step, group.is_some())?;
            results.series[slot].values[step] = of_sides(binary, a, b, a);
        }
    }
    Ok(results.series)
}

/// The one partner that has a value at a step.
fn only_partner(
    partners: &[usize],
    one: &[GridSeries],
    step: usize,
    side: &str,
) -> Result<Option<(usize, f64)>, EvalError> {
    let mut present = partners.iter().filter_map(|i| Some((*i, one[*i].values[step]?)));
    let found = present.next();
    if present.next().is_some() {
        return Err(EvalError::Matching(format!(
            "found duplicate series on the {side} hand-side;many-to-many matching not allowed: matching labels must be \
             unique on one side"
        )));
    }
    Ok(found)
}

fn result_labels(matching: Option<&Matching>, many: &Labels, one: &Labels) -> Labels {
    match matching {
        None => many.clone(),
        Some(Matching { group: Some(group), .. }) => {
            group.include.iter().fold(many.clone(), |labels, name| with(&labels, name, one.get(name)))
        }
        Some(m) => signature(many, Some(m)),
    }
}

/// The series of the answer, and at which steps each has been given a value.
struct Results {
    grid: Grid,
    index: HashMap<Labels, usize>,
    series: Vec<GridSeries>,
    claimed: Vec<Vec<bool>>,
}

impl Results {
    fn new(grid: Grid) -> Self {
        Results { grid, index: HashMap::new(), series: Vec::new(), claimed: Vec::new() }
    }

    fn slot(&mut self, labels: Labels) -> usize {
        if let Some(i) = self.index.get(&labels) {
            return *i;
        }
        self.index.insert(labels.clone(), self.series.len());
        self.series.push(GridSeries { labels, values: vec![None; self.grid.count] });
        self.claimed.push(vec![false; self.grid.count]);
        self.series.len() - 1
    }

    /// Two series of the "many" side may not come out as one.
    fn claim(&mut self, slot: usize, step: usize, grouped: bool) -> Result<(), EvalError> {
        if std::mem::replace(&mut self.claimed[slot][step], true) {
            return Err(EvalError::Matching(
                if grouped {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                } else {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                }
                .to_owned(),
            ));
        }
        Ok(())
    }
}
