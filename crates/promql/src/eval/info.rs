//! `info`: labels of info series joined to the series of the same instance and job.

use std::collections::HashMap;

use reba_model::{Labels, METRIC_NAME, Matcher};

use super::{
    Evaluator,
    error::EvalError,
    group,
    node::{InfoNode, VectorNode},
    value::{Column, Point, Steps, VectorSeries, is_absent},
};

/// Labels by which series and info series find each other.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

impl Evaluator<'_> {
    pub(super) fn eval_info(
        &mut self,
        node: &InfoNode,
        steps: &Steps,
    ) -> Result<Vec<VectorSeries>, EvalError> {
        let base = self.eval_vector(&node.expr, steps)?;
        let selector = VectorNode { selector: node.selector, when: node.when, smoothed: false };
        // The column holds the times of the samples: of two info series of one identity the newer wins.
        let infos = self.select_timestamps(&selector, steps, true)?;
        let mut by_identity: HashMap<Labels, Vec<&VectorSeries>> = HashMap::new();
        for info in infos.iter().filter(|i| IDENTIFYING.iter().any(|n| i.labels.get(n).is_some())) {
            by_identity.entry(info.labels.only(&IDENTIFYING)).or_default().push(info);
        }
        let mut out = Vec::new();
        for s in base {
            let name = s.labels.metric_name();
            if node.name_matchers.iter().all(|m| m.matches(name)) {
                // An info series itself is left as it is.
                out.push(s);
                continue;
            }
            let candidates = by_identity.get(&s.labels.only(&IDENTIFYING)).map_or(&[][..], Vec::as_slice);
            enrich(node, s, candidates, steps, &mut out)?;
        }
        group::unite(out)
    }
}

/// Adds `s` to `out` once for each set of labels that the info series give it over time.
fn enrich(
    node: &InfoNode,
    s: VectorSeries,
    candidates: &[&VectorSeries],
    steps: &Steps,
    out: &mut Vec<VectorSeries>,
) -> Result<(), EvalError> {
    let first = out.len();
    for i in (0..steps.count).filter(|i| s.column.is_present(*i)) {
        let current = newest_by_name(candidates, i)?;
        if current.is_empty() && node.data_matchers.iter().any(|m| !m.matches_empty()) {
            continue;
        }
        let labels = with_info(&s.labels, &current, &node.data_matchers)?;
        let at = match out[first..].iter().position(|o| o.labels == labels) {
            Some(k) => first + k,
            None => {
                out.push(VectorSeries {
                    labels,
                    drop_name: s.drop_name,
                    column: Column::absent(steps.count),
                });
                out.len() - 1
            }
        };
        let point: Point = s.column.get(i);
        out[at].column.set(i, point);
    }
    Ok(())
}

/// For each name of info series the one with the newest sample at step `i`.
fn newest_by_name<'a>(candidates: &[&'a VectorSeries], i: usize) -> Result<Vec<&'a VectorSeries>, EvalError> {
    let mut newest: Vec<&VectorSeries> = Vec::new();
    for info in candidates.iter().filter(|c| !is_absent(c.column.v[i])) {
        let same = newest.iter().position(|n| n.labels.metric_name() == info.labels.metric_name());
        match same {
            None => newest.push(info),
            Some(k) if newest[k].column.v[i] < info.column.v[i] => newest[k] = info,
            Some(k) if newest[k].column.v[i] == info.column.v[i] => {
                let t = (info.column.v[i] * 1000.0).round();
                return Err(EvalError::Execution(format!(
                    "found duplicate series for info metric: existing {} @ {t}, new {} @ {t}",
                    newest[k].labels, info.labels
                )));
            }
            Some(_) => {}
        }
    }
    Ok(newest)
}

/// The labels of a series with those of its info series that it does not have itself.
fn with_info(labels: &Labels, infos: &[&VectorSeries], wanted: &[Matcher]) -> Result<Labels, EvalError> {
    let mut added = reba_model::LabelsBuilder::new();
    for (name, value) in infos.iter().flat_map(|i| i.labels.iter()) {
        let listed = wanted.is_empty() || wanted.iter().any(|m| m.name == name);
        if name == METRIC_NAME || !listed {
            continue;
        }
        let before = added.value(name);
        if !before.is_empty() && before != value {
            return Err(EvalError::Execution(format!("conflicting label: {name}")));
        }
        if labels.get(name).is_none() {
            added.set(name, value);
        }
    }
    for (name, value) in labels {
        added.set(name, value);
    }
    Ok(added.build())
}
