//! A store and its oracle, given the same operations.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::{CounterResetHint, Exemplar, Histogram, Labels, Matcher, SampleColumns, TimeRange};
use reba_storage::{
    AppendMode, Budget, FloatSample, MetricAppender, MetricQuerier, SelectHints, SelectRequest, WriteBatch,
};

use super::{MakeStore, MetricStore, SuiteConfig};
use crate::store::MemStore;

/// A sample of a series, given by its labels.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Float(Labels, i64, f64),
    Histogram(Labels, i64, Arc<Histogram>),
    Exemplar(Labels, Exemplar),
}

pub(super) struct Pair {
    pub store: Box<dyn MetricStore>,
    pub oracle: MemStore,
}

impl Pair {
    pub fn new(make: MakeStore<'_>, config: SuiteConfig) -> Self {
        Pair { store: make(config), oracle: MemStore::new(config.oracle()) }
    }

    /// Writes rows to both; the reports must be equal. Returns how many samples were appended.
    pub fn append(&self, rows: &[Row], mode: AppendMode) -> Result<usize, String> {
        let ours = append_to(&*self.store, rows, mode)?;
        let expected = append_to(&self.oracle, rows, mode)?;
        if ours == expected {
            return Ok(ours.appended);
        }
        Err(format!("{mode:?} append gave {ours:?} instead of {expected:?} for {rows:?}"))
    }

    /// Compares what both select.
    pub fn same_selection(&self, matchers: &[Matcher], range: TimeRange) -> Result<(), String> {
        let ours = select_from(&*self.store, matchers, range)?;
        let expected = select_from(&self.oracle, matchers, range)?;
        let names: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let query = format!("{{{}}} in {range:?}", names.join(","));
        for (labels, samples) in &expected {
            match ours.get(labels) {
                None => return Err(format!("{query}: {labels} is missing")),
                Some(found) if !same_samples(found, samples) => {
                    return Err(format!("{query}: {labels} has {found:?} instead of {samples:?}"));
                }
                Some(_) => {}
            }
        }
        match ours.keys().find(|l| !expected.contains_key(*l)) {
            Some(labels) => Err(format!("{query}: {labels} is too much")),
            None => Ok(()),
        }
    }

    /// Compares label sets, names, values and exemplars of everything that matches.
    pub fn same_labels(&self, set: Vec<Matcher>) -> Result<(), String> {
        let sets = if set.is_empty() { Vec::new() } else { vec![set] };
        let budget = Budget::unlimited();
        let all = TimeRange::ALL;
        let stores: [&dyn MetricQuerier; 2] = [&*self.store as &dyn MetricStore as _, &self.oracle];
        let [ours, expected] = stores.map(|q| {
            let text = |e: reba_storage::QueryError| e.to_string();
            let names = q.label_names(&sets, all, &budget).map_err(text)?;
            let mut values = BTreeMap::new();
            for name in names.iter().map(String::as_str).chain(["no_such_label"]) {
                values.insert(name.to_owned(), q.label_values(name, &sets, all, &budget).map_err(text)?);
            }
            let series = q.series(&sets, all, &budget).map_err(text)?;
            let exemplars = q.exemplars(&sets, all).map_err(text)?;
            Ok::<_, String>((names, values, series, exemplars))
        });
        let (ours, expected) = (ours?, expected?);
        if ours == expected { Ok(()) } else { Err(format!("{sets:?}: {ours:?} instead of {expected:?}")) }
    }
}

fn append_to(
    store: &dyn MetricAppender,
    rows: &[Row],
    mode: AppendMode,
) -> Result<reba_storage::AppendReport, String> {
    let mut batch = WriteBatch::default();
    for row in rows {
        let (Row::Float(labels, ..) | Row::Histogram(labels, ..) | Row::Exemplar(labels, ..)) = row;
        let series = store.series_ref(labels).map_err(|e| e.to_string())?;
        match row {
            Row::Float(_, t, v) => batch.floats.push(FloatSample { series, t: *t, v: *v }),
            Row::Histogram(_, t, h) => batch.histograms.push((series, *t, Arc::clone(h))),
            Row::Exemplar(_, exemplar) => batch.exemplars.push((series, exemplar.clone())),
        }
    }
    store.append(&batch, mode).map_err(|e| e.to_string())
}

/// Selects, and filters again as an evaluator does.
fn select_from(
    store: &dyn MetricQuerier,
    matchers: &[Matcher],
    range: TimeRange,
) -> Result<BTreeMap<Labels, SampleColumns>, String> {
    let budget = Budget::unlimited();
    let hints = SelectHints::default();
    let request = SelectRequest { matchers, range, hints: &hints, budget: &budget };
    let mut out = BTreeMap::new();
    for series in store.select(&request).map_err(|e| e.to_string())? {
        if !Matcher::all(matchers, &series.labels) {
            continue;
        }
        let mut samples = SampleColumns::default();
        series.read_into(range, &mut samples).map_err(|e| e.to_string())?;
        if samples.is_empty() {
            continue;
        }
        if out.insert(series.labels.clone(), samples).is_some() {
            return Err(format!("{} came twice", series.labels));
        }
    }
    Ok(out)
}

fn same_samples(a: &SampleColumns, b: &SampleColumns) -> bool {
    let bits = |s: &SampleColumns| s.v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let gauge = |h: &Histogram| h.hint == CounterResetHint::Gauge;
    a.t == b.t
        && bits(a) == bits(b)
        && a.h.len() == b.h.len()
        && a.h.iter().zip(&b.h).all(|(a, b)| a.t == b.t && a.h.equals(&b.h) && gauge(&a.h) == gauge(&b.h))
}
