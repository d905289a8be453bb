//! Aggregations over series, and `label_replace`.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use reba_model::{GoRegex, Labels};

use super::{EvalError, Grid, GridSeries, samples};
use crate::syntax::{Grouping, LabelReplace, MetricExpr, ParseError, VectorAggregation, VectorOp};

/// The labels of the group a series belongs to.
pub(super) fn group_labels(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    match grouping {
        None => Labels::empty(),
        Some(Grouping { without: true, labels: names }) => without(labels, names),
        Some(Grouping { without: false, labels: names }) => only(labels, names),
    }
}

/// The labels of these names. Unlike elsewhere, labels can be empty here: a line can say so.
pub(super) fn only(labels: &Labels, names: &[String]) -> Labels {
    Labels::from_sorted_verbatim(labels.iter().filter(|(name, _)| names.iter().any(|n| n == name)))
}

/// The labels with one of them changed, or removed.
pub(super) fn with(labels: &Labels, name: &str, value: Option<&str>) -> Labels {
    let mut pairs: BTreeMap<&str, &str> = labels.iter().collect();
    match value {
        Some(value) => pairs.insert(name, value),
        None => pairs.remove(name),
    };
    Labels::from_sorted_verbatim(pairs)
}

/// The labels of other names.
pub(super) fn without(labels: &Labels, names: &[String]) -> Labels {
    Labels::from_sorted_verbatim(labels.iter().filter(|(name, _)| !names.iter().any(|n| n == name)))
}

/// Aggregates series; the answer's are in no order that counts.
pub(super) fn aggregate(
    aggregation: &VectorAggregation,
    series: Vec<GridSeries>,
    grid: Grid,
) -> Vec<GridSeries> {
    if matches!(aggregation.op, VectorOp::Sort | VectorOp::SortDesc) {
        return series;
    }
    let is_itself = matches!(aggregation.op, VectorOp::Sum | VectorOp::Avg | VectorOp::Min | VectorOp::Max);
    if is_itself && is_grouped(aggregation, &series) {
        return series;
    }
    let groups = grouped(aggregation, series).into_iter();
    match aggregation.op {
        VectorOp::TopK | VectorOp::ApproxTopK => {
            groups.flat_map(|(_, series)| extremes(series, aggregation.k, grid, |a, b| a > b)).collect()
        }
        VectorOp::BottomK => {
            groups.flat_map(|(_, series)| extremes(series, aggregation.k, grid, |a, b| a < b)).collect()
        }
        op => groups
            .map(|(labels, mut series)| {
                let values = match series.as_mut_slice() {
                    [only] if is_itself => std::mem::take(&mut only.values),
                    _ => (0..grid.count).map(|step| combined(op, &series, step)).collect(),
                };
                GridSeries { labels, values }
            })
            .collect(),
    }
}

/// Whether each series is a group of its own already: those of a range aggregation, which all differ, have no other labels than the
/// wanted ones when they are read with only those.
fn is_grouped(aggregation: &VectorAggregation, series: &[GridSeries]) -> bool {
    let Some(Grouping { without: false, labels: names }) = &aggregation.grouping else { return false };
    let is_wanted = |(name, _): (&str, &str)| names.iter().any(|n| n == name);
    matches!(&*aggregation.inner, MetricExpr::Range(_))
        && series.iter().all(|s| s.labels.iter().all(is_wanted))
}

/// The series of each group, groups in the order in which their first series come.
fn grouped(aggregation: &VectorAggregation, series: Vec<GridSeries>) -> Vec<(Labels, Vec<GridSeries>)> {
    let Some(grouping) = &aggregation.grouping else {
        return if series.is_empty() { Vec::new() } else { vec![(Labels::empty(), series)] };
    };
    let mut groups: Vec<(Labels, Vec<GridSeries>)> = Vec::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for one in series {
        let labels = group_labels(&one.labels, Some(grouping));
        let place = *places.entry(labels).or_insert_with_key(|labels| {
            groups.push((labels.clone(), Vec::with_capacity(1)));
            groups.len() - 1
        });
        groups[place].1.push(one);
    }
    groups
}

/// One value of all series' at a step.
fn combined(op: VectorOp, series: &[GridSeries], step: usize) -> Option<f64> {
    let values = || series.iter().filter_map(|s| s.values[step]);
    values().next()?;
    Some(match op {
        VectorOp::Sum => values().sum(),
        VectorOp::Avg => samples::mean(values()),
        VectorOp::Min => values().reduce(|a, b| if b < a || a.is_nan() { b } else { a })?,
        VectorOp::Max => values().reduce(|a, b| if b > a || a.is_nan() { b } else { a })?,
        VectorOp::Stddev => samples::variance(values()).sqrt(),
        VectorOp::Stdvar => samples::variance(values()),
        _ => values().count() as f64,
    })
}

/// At every step only the `k` series that come first; NaN comes last, and of equal ones the first by labels stays.
fn extremes(
    mut series: Vec<GridSeries>,
    k: Option<u64>,
    grid: Grid,
    before: impl Fn(f64, f64) -> bool,
) -> Vec<GridSeries> {
    let k = usize::try_from(k.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if k >= series.len() {
        return series;
    }
    for step in 0..grid.count {
        let mut present: Vec<(usize, f64)> =
            series.iter().enumerate().filter_map(|(i, s)| Some((i, s.values[step]?))).collect();
        if present.len() <= k {
            continue;
        }
        // The first `k` come to stand before the others.
        present.select_nth_unstable_by(k, |(i, a), (j, b)| {
            let by_value = match (a.is_nan(), b.is_nan()) {
                (false, false) if before(*a, *b) => Ordering::Less,
                (false, false) if before(*b, *a) => Ordering::Greater,
                (a, b) => a.cmp(&b),
            };
            by_value.then_with(|| series[*i].labels.iter().cmp(series[*j].labels.iter()))
        });
        for (i, _) in present.iter().skip(k) {
            series[*i].values[step] = None;
        }
    }
    series.retain(|s| s.values.iter().any(Option::is_some));
    series
}

/// Sorts by the value of the only step; NaN last either way.
pub(super) fn sort_by_value(series: &mut [GridSeries], descending: bool) {
    let value = |s: &GridSeries| s.values.first().copied().flatten().unwrap_or(f64::NAN);
    series.sort_by(|a, b| {
        let (a, b) = (value(a), value(b));
        let order = a.partial_cmp(&b).map(|o| if descending { o.reverse() } else { o });
        order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    });
}

/// Longest value that `label_replace` makes.
const MAX_VALUE: usize = 1 << 20;

pub(super) fn label_replace(
    call: &LabelReplace,
    series: Vec<GridSeries>,
) -> Result<Vec<GridSeries>, EvalError> {
    let regex = GoRegex::anchored(&call.regex)
        .map_err(|e| ParseError::whole(format!("invalid regex in label_replace: {e}")))?;
    Ok(series
        .into_iter()
        .map(|mut one| {
            let value = one.labels.value(&call.src).to_owned();
            if let Some((replaced, _)) = regex.expand_bounded(&value, &call.replacement, MAX_VALUE) {
                one.labels =
                    with(&one.labels, &call.dst, Some(replaced.as_str()).filter(|text| !text.is_empty()));
            }
            one
        })
        .collect())
}
