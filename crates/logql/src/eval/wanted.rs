//! Which labels of a line matter to a query.

use std::collections::BTreeSet;

use crate::{
    pipeline::Wanted,
    syntax::{
        Grouping, LabelFilter, LabelFormat, LabelPick, RangeAggregation, RangeOp, Stage, VectorAggregation,
        VectorOp,
    },
};

/// The grouping of `around`, the aggregation directly around `aggregation`, if grouping the lines by it at once gives the same
/// answer: sums of sums, largest of largest, smallest of smallest.
pub fn pushed_grouping(
    around: Option<&VectorAggregation>,
    aggregation: &RangeAggregation,
) -> Option<Grouping> {
    let around = around.filter(|_| aggregation.grouping.is_none())?;
    let same = match around.op {
        VectorOp::Sum => matches!(
            aggregation.op,
            RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum
        ),
        VectorOp::Max => aggregation.op == RangeOp::Max,
        VectorOp::Min => aggregation.op == RangeOp::Min,
        _ => false,
    };
    let everything = Grouping { without: false, labels: Vec::new() };
    same.then(|| around.grouping.clone().unwrap_or(everything))
}

/// Which labels of the lines of `aggregation` matter, if `around` is the aggregation directly around it (`sum by (a) (…)`): where
/// it groups by names, those, and the ones that filters and `unwrap` look at.
pub fn wanted_labels(around: Option<&VectorAggregation>, aggregation: &RangeAggregation) -> Wanted {
    let by = match &aggregation.grouping {
        Some(grouping) => kept(grouping),
        None => pushed_grouping(around, aggregation).as_ref().and_then(kept),
    };
    let Some(mut names) = by else { return Wanted::All };
    if aggregation.op == RangeOp::Absent {
        return Wanted::All;
    }
    for stage in &aggregation.log.stages {
        if !add_stage(stage, &mut names) {
            return Wanted::All;
        }
    }
    if let Some(unwrap) = &aggregation.unwrap {
        names.insert(unwrap.label.clone());
        unwrap.filters.iter().for_each(|filter| add_filter(filter, &mut names));
    }
    Wanted::Names(names)
}

/// The labels that are kept, if those are known by name.
fn kept(grouping: &Grouping) -> Option<BTreeSet<String>> {
    (!grouping.without).then(|| grouping.labels.iter().cloned().collect())
}

/// Adds what a stage looks at; false if that is everything.
fn add_stage(stage: &Stage, names: &mut BTreeSet<String>) -> bool {
    match stage {
        Stage::Label(filter) => add_filter(filter, names),
        Stage::LineFormat(_) => return false,
        Stage::LabelFormat(formats) => {
            for format in formats {
                match format {
                    LabelFormat::Rename { from, .. } => drop(names.insert(from.clone())),
                    LabelFormat::Template { .. } => return false,
                }
            }
        }
        Stage::Drop(picks) | Stage::Keep(picks) => {
            for pick in picks {
                if let LabelPick::Match(matcher) = pick {
                    names.insert(matcher.name.clone());
                }
            }
        }
        _ => {}
    }
    true
}

fn add_filter(filter: &LabelFilter, names: &mut BTreeSet<String>) {
    match filter {
        LabelFilter::Text(matcher) => drop(names.insert(matcher.name.clone())),
        LabelFilter::Number(c) => drop(names.insert(c.name.clone())),
        LabelFilter::Duration(c) => drop(names.insert(c.name.clone())),
        LabelFilter::Bytes(c) => drop(names.insert(c.name.clone())),
        LabelFilter::Ip { name, .. } => drop(names.insert(name.clone())),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            add_filter(left, names);
            add_filter(right, names);
        }
    }
}
