//! Which labels of a line matter to a query.

use std::collections::BTreeSet;

use crate::{
    pipeline::Wanted,
    syntax::{
        Grouping, LabelFilter, LabelFormat, LabelPick, MetricExpr, RangeAggregation, RangeOp, Stage, VectorOp,
    },
};

/// Which labels of the lines of `aggregation` matter, if `around` is the aggregation directly around it (`sum by (a) (…)`): then
/// only the labels it groups by, and those that filters and `unwrap` look at.
pub fn wanted_labels(around: Option<&MetricExpr>, aggregation: &RangeAggregation) -> Wanted {
    let by = match (&aggregation.grouping, around) {
        (Some(grouping), _) => kept(Some(grouping)),
        (None, Some(MetricExpr::Vector(vector))) if groups_only(vector.op) => kept(vector.grouping.as_ref()),
        _ => None,
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

/// Whether the answer depends on the series inside only through their groups.
fn groups_only(op: VectorOp) -> bool {
    matches!(
        op,
        VectorOp::Sum
            | VectorOp::Avg
            | VectorOp::Min
            | VectorOp::Max
            | VectorOp::Count
            | VectorOp::Stddev
            | VectorOp::Stdvar
    )
}

/// The labels that are kept, if those are known by name.
fn kept(grouping: Option<&Grouping>) -> Option<BTreeSet<String>> {
    match grouping {
        Some(Grouping { without: true, .. }) => None,
        Some(Grouping { labels, .. }) => Some(labels.iter().cloned().collect()),
        None => Some(BTreeSet::new()),
    }
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
