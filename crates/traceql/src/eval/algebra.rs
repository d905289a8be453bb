//! What is done to finished series.

use std::collections::BTreeMap;

use super::{
    Grid, MetricSeries,
    value::{holds, key},
};
use crate::{
    numbers::as_float,
    syntax::{MetricsExpr, Op, SecondStage, Static},
};

/// What an expression comes to.
enum Answer {
    Number(f64),
    Series(Vec<MetricSeries>),
}

/// Evaluates an expression over the series of its aggregates, which `leaf` gives from left to right.
pub(super) fn evaluate(
    expr: &MetricsExpr,
    grid: Grid,
    leaf: &mut dyn FnMut() -> Vec<MetricSeries>,
) -> Vec<MetricSeries> {
    match answer(expr, grid, leaf) {
        Answer::Series(series) => series,
        Answer::Number(_) => Vec::new(),
    }
}

fn answer(expr: &MetricsExpr, grid: Grid, leaf: &mut dyn FnMut() -> Vec<MetricSeries>) -> Answer {
    match expr {
        MetricsExpr::Aggregate(_) => Answer::Series(leaf()),
        MetricsExpr::Number(value) => Answer::Number(as_float(value).unwrap_or(f64::NAN)),
        MetricsExpr::Second(of, stage) => {
            let series = evaluate(of, grid, leaf);
            let series = match stage {
                SecondStage::TopK(k) => best(series, grid, *k, |a, b| b.total_cmp(&a)),
                SecondStage::BottomK(k) => best(series, grid, *k, |a, b| a.total_cmp(&b)),
                SecondStage::Filter(op, value) => filtered(series, *op, value),
            };
            Answer::Series(series)
        }
        MetricsExpr::Binary { op, left, right } => {
            let (left, right) = (answer(left, grid, leaf), answer(right, grid, leaf));
            match (left, right) {
                (Answer::Number(l), Answer::Number(r)) => Answer::Number(computed(*op, l, r)),
                (Answer::Series(series), Answer::Number(r)) => {
                    Answer::Series(mapped(series, |point| computed(*op, point, r)))
                }
                (Answer::Number(l), Answer::Series(series)) => {
                    Answer::Series(mapped(series, |point| computed(*op, l, point)))
                }
                (Answer::Series(left), Answer::Series(right)) => Answer::Series(joined(*op, left, right)),
            }
        }
    }
}

/// Division by zero gives no number, as upstream documents it.
fn computed(op: Op, l: f64, r: f64) -> f64 {
    match op {
        Op::Add => l + r,
        Op::Sub => l - r,
        Op::Mul => l * r,
        Op::Div if r != 0.0 => l / r,
        _ => f64::NAN,
    }
}

/// Points that are no number are left out of answers.
fn mapped(mut series: Vec<MetricSeries>, f: impl Fn(f64) -> f64) -> Vec<MetricSeries> {
    for one in &mut series {
        for point in &mut one.points {
            *point = point.map(&f).filter(|v| !v.is_nan());
        }
    }
    without_empty(series)
}

/// The labels by which series find each other: names of functions are none.
fn identity(series: &MetricSeries) -> Vec<(String, Static)> {
    let mut labels: Vec<(String, Static)> =
        series.labels.iter().filter(|(name, _)| name != reba_model::METRIC_NAME).cloned().collect();
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    labels
}

/// The name of a series that has nothing else to be told by.
fn name(series: &MetricSeries) -> String {
    match series.labels.iter().find(|(name, _)| name == reba_model::METRIC_NAME) {
        Some((_, Static::Str(name))) => name.clone(),
        _ => String::new(),
    }
}

fn identity_key(labels: &[(String, Static)]) -> String {
    let mut flat = Vec::with_capacity(labels.len() * 2);
    for (name, value) in labels {
        flat.push(Static::Str(name.clone()));
        flat.push(value.clone());
    }
    key(&flat)
}

/// Pairs series with the same labels; a series without labels goes with every one of the other side.
fn joined(op: Op, left: Vec<MetricSeries>, right: Vec<MetricSeries>) -> Vec<MetricSeries> {
    let lone = |side: &[MetricSeries]| side.len() == 1 && identity(&side[0]).is_empty();
    match (lone(&left), lone(&right)) {
        (false, true) => left.into_iter().map(|l| paired(op, &l, &right[0], &l)).collect(),
        (true, false) => right.iter().map(|r| paired(op, &left[0], r, r)).collect(),
        _ => {
            let others: BTreeMap<String, &MetricSeries> =
                right.iter().map(|series| (identity_key(&identity(series)), series)).collect();
            let pair =
                |l: &MetricSeries| others.get(&identity_key(&identity(l))).map(|r| paired(op, l, r, l));
            left.iter().filter_map(pair).collect()
        }
    }
}

fn paired(op: Op, left: &MetricSeries, right: &MetricSeries, labelled: &MetricSeries) -> MetricSeries {
    let both =
        |(l, r): (&Option<f64>, &Option<f64>)| Some(computed(op, (*l)?, (*r)?)).filter(|v| !v.is_nan());
    let mut labels = identity(labelled);
    if labels.is_empty() {
        labels.push((
            reba_model::METRIC_NAME.to_owned(),
            Static::Str(format!("({} {op} {})", name(left), name(right))),
        ));
    }
    MetricSeries {
        labels,
        points: left.points.iter().zip(&right.points).map(both).collect(),
        exemplars: labelled.exemplars.clone(),
    }
}

/// Keeps the first `k` points of each step by `order`; of equal ones those of the earlier series.
fn best(
    mut series: Vec<MetricSeries>,
    grid: Grid,
    k: i64,
    order: impl Fn(f64, f64) -> std::cmp::Ordering,
) -> Vec<MetricSeries> {
    let k = usize::try_from(k).unwrap_or(0);
    for step in 0..grid.steps() {
        let point = |i: usize| Some((i, series[i].points.get(step).copied().flatten()?));
        let mut points: Vec<(usize, f64)> = (0..series.len()).filter_map(point).collect();
        points.sort_by(|a, b| order(a.1, b.1));
        for (i, _) in points.into_iter().skip(k) {
            series[i].points[step] = None;
        }
    }
    without_empty(series)
}

fn filtered(mut series: Vec<MetricSeries>, op: Op, value: &Static) -> Vec<MetricSeries> {
    let threshold = match value {
        Static::Duration(ns) => *ns as f64 / 1e9,
        other => as_float(other).unwrap_or(f64::NAN),
    };
    for one in &mut series {
        for point in &mut one.points {
            *point = point.filter(|v| holds(op, v.partial_cmp(&threshold)));
        }
    }
    without_empty(series)
}

fn without_empty(mut series: Vec<MetricSeries>) -> Vec<MetricSeries> {
    series.retain(|one| one.points.iter().any(Option::is_some));
    series
}
