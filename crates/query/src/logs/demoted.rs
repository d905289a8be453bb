//! Labels that are stored as structured metadata, since they have too many values (ADR 18).
//!
//! Who asks knows nothing of it. A matcher about such a label leaves the selector and becomes a label filter in front of the
//! pipeline: "the stream's label of that name, else the metadata". So entries from before the label was moved match as well, and
//! the store prunes by the columns of the metadata. Names, values and series are read from these columns.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use reba_logql::syntax::{Expr, LabelFilter, LogExpr, MetricExpr, Stage};
use reba_model::{Labels, LogBlock, Matcher, NanoRange, Tenant};
use reba_storage::{Condition, DemotedLabels, LogWant, MetadataWant, TextTest};

use super::{LogError, limits, scans::Context};

/// Values of a label, or series, that an answer lists: there is one for every request.
const MAX_LISTED: usize = 10_000;

/// Names of labels.
pub(super) type Names = Arc<BTreeSet<String>>;

/// The labels of a tenant, or of joined ones, that are stored as metadata.
pub(super) fn names(demoted: &DemotedLabels, tenant: &Tenant) -> Names {
    if !tenant.is_joined() {
        return demoted.of(tenant);
    }
    let all = tenant.parts().map(|tenant| demoted.of(&tenant));
    Arc::new(all.flat_map(|names| names.iter().cloned().collect::<Vec<_>>()).collect())
}

/// Turns matchers about such labels into label filters.
pub(super) fn move_in_log(log: &mut LogExpr, names: &BTreeSet<String>) {
    if !log.matchers.iter().any(|m| names.contains(&m.name)) {
        return;
    }
    let (moved, kept): (Vec<Matcher>, _) =
        std::mem::take(&mut log.matchers).into_iter().partition(|m| names.contains(&m.name));
    log.matchers = kept;
    log.stages.splice(0..0, moved.into_iter().map(|m| Stage::Label(LabelFilter::Text(m))));
}

/// The same in every selector of a query.
pub(super) fn move_in(expr: &mut Expr, names: &BTreeSet<String>) {
    if names.is_empty() {
        return;
    }
    match expr {
        Expr::Log(log) => move_in_log(log, names),
        Expr::Metric(metric) => move_in_metric(metric, names),
    }
}

// As deep as the parser goes, which bounds it.
fn move_in_metric(expr: &mut MetricExpr, names: &BTreeSet<String>) {
    match expr {
        MetricExpr::Range(aggregation) => move_in_log(&mut aggregation.log, names),
        MetricExpr::Vector(aggregation) => move_in_metric(&mut aggregation.inner, names),
        MetricExpr::Binary(binary) => {
            move_in_metric(&mut binary.left, names);
            move_in_metric(&mut binary.right, names);
        }
        MetricExpr::LabelReplace(replace) => move_in_metric(&mut replace.inner, names),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => {}
    }
}

impl Context<'_> {
    /// The labels of the tenant that are stored as metadata.
    pub(super) fn demoted(&self) -> Names {
        names(&self.config.demoted, self.tenant)
    }

    /// Whether any entry that matches any of `sets` has this label as metadata. Asked name by name, since blocks without the name
    /// are passed over: all names at once would be a walk through the rows of one to the first row of the other.
    pub(super) fn has_demoted(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        name: &str,
    ) -> Result<bool, LogError> {
        Ok(!self.values_up_to(sets, range, name, 1)?.is_empty())
    }

    /// At most `most` values of a label that is stored as metadata, of entries that match any of `sets`.
    fn values_up_to(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        name: &str,
        most: usize,
    ) -> Result<BTreeSet<String>, LogError> {
        let wanted = BTreeSet::from([name.to_owned()]);
        let mut found = BTreeSet::new();
        self.each_demoted(sets, range, &wanted, &mut |_, _, pairs| {
            for (_, value) in pairs {
                if !found.contains(*value) {
                    found.insert((*value).to_owned());
                }
            }
            if found.len() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Series with labels that are stored as metadata.
    pub(super) fn demoted_series(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
    ) -> Result<BTreeSet<Labels>, LogError> {
        let mut found = BTreeSet::new();
        self.each_demoted(sets, range, &self.demoted(), &mut |block, _, pairs| {
            found.insert(Labels::from_pairs(block.stream.iter().chain(pairs.iter().copied())));
            if found.len() >= MAX_LISTED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Values of one label that is stored as metadata.
    pub(super) fn values_of_demoted(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        name: &str,
    ) -> Result<BTreeSet<String>, LogError> {
        self.values_up_to(sets, range, name, MAX_LISTED)
    }

    /// Calls `each` with the pairs of every entry in `range` that matches any of `sets` and has some of the labels `wanted` as
    /// metadata.
    fn each_demoted(
        &self,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        wanted: &BTreeSet<String>,
        each: &mut EachRow<'_>,
    ) -> Result<(), LogError> {
        let range = limits::visible(self.limits, range, self.now_ns)?;
        let names = self.demoted();
        let every = [Vec::new()];
        let sets = if sets.is_empty() { &every[..] } else { sets };
        for set in sets {
            let (moved, kept): (Vec<&Matcher>, Vec<&Matcher>) =
                set.iter().partition(|m| names.contains(&m.name));
            let kept: Vec<Matcher> = kept.into_iter().cloned().collect();
            let asked = wanted.iter().chain(moved.iter().map(|m| &m.name));
            let some = |name: &String| Condition::Label {
                name: name.clone(),
                parser: None,
                test: TextTest::NotEquals(String::new()),
            };
            let want = LogWant {
                lines: false,
                metadata: MetadataWant::Names(asked.cloned().collect::<BTreeSet<_>>().into_iter().collect()),
                extract: None,
                conditions: vec![Condition::Any(wanted.iter().map(some).collect())],
            };
            let mut failed = None;
            for scan in self.scans(&kept, range, &want)? {
                let mut stopped = false;
                scan.run(&mut |block| {
                    if let Err(e) = self.budget.check() {
                        failed = Some(e);
                        return ControlFlow::Break(());
                    }
                    let flow = rows_of(&block, range, &moved, wanted, each);
                    stopped = flow.is_break();
                    flow
                })?;
                if let Some(e) = failed {
                    return Err(e.into());
                }
                if stopped {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What is called with a block, the number of a row, and its pairs.
type EachRow<'f> = dyn FnMut(&LogBlock, usize, &[(&str, &str)]) -> ControlFlow<()> + 'f;

/// Goes through the rows of a block.
fn rows_of(
    block: &LogBlock,
    range: NanoRange,
    moved: &[&Matcher],
    wanted: &BTreeSet<String>,
    each: &mut EachRow<'_>,
) -> ControlFlow<()> {
    let columns: Vec<_> = block.metadata.iter().filter(|(name, _)| wanted.contains(&**name)).collect();
    let value = |row: usize, name: &str| {
        let column = block.metadata.iter().find(|(n, _)| **n == *name);
        block.stream.get(name).or_else(|| column.and_then(|(_, c)| c.get(row))).unwrap_or("")
    };
    for (row, ns) in block.times.iter().enumerate() {
        if !range.contains(*ns) || !moved.iter().all(|m| m.matches(value(row, &m.name))) {
            continue;
        }
        let pairs: Vec<(&str, &str)> = columns
            .iter()
            .filter_map(|(name, column)| Some((&**name, column.get(row)?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        if !pairs.is_empty() {
            each(block, row, &pairs)?;
        }
    }
    ControlFlow::Continue(())
}

/// The sets without the matchers that are about metadata: what the streams themselves have to meet. Estimates of sizes are of
/// all their entries then.
pub(super) fn of_streams(sets: &[Vec<Matcher>], names: &BTreeSet<String>) -> Vec<Vec<Matcher>> {
    let kept = |set: &Vec<Matcher>| set.iter().filter(|m| !names.contains(&m.name)).cloned().collect();
    sets.iter().map(kept).collect()
}

/// The sets that an entry without any such label may meet.
pub(super) fn without_demoted(sets: &[Vec<Matcher>], names: &BTreeSet<String>) -> Vec<Vec<Matcher>> {
    let may = |set: &&Vec<Matcher>| set.iter().all(|m| !names.contains(&m.name) || m.matches_empty());
    sets.iter().filter(may).cloned().collect()
}
