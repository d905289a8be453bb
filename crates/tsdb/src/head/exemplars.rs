//! Exemplars: the newest so many of all series.

use std::collections::{BTreeMap, VecDeque};

use reba_model::{Exemplar, Labels, Matcher, TimeRange};
use reba_storage::ExemplarSeries;

/// A bounded store of exemplars.
#[derive(Debug)]
pub(crate) struct Exemplars {
    capacity: usize,
    series: BTreeMap<Labels, VecDeque<Exemplar>>,
    /// Whose exemplar is the oldest, in the order in which they came.
    order: VecDeque<Labels>,
}

/// What became of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Yes,
    Duplicate,
    OutOfOrder,
}

impl Exemplars {
    pub(crate) fn new(capacity: usize) -> Self {
        Exemplars { capacity, series: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, labels: Labels, exemplar: &Exemplar) -> Added {
        if self.capacity == 0 {
            return Added::Duplicate;
        }
        if let Some(newest) = self.series.get(&labels).and_then(|l| l.back()) {
            if newest == exemplar {
                return Added::Duplicate;
            }
            // Several exemplars of one scrape may have the same time; the values order them, as upstream does it.
            let older = exemplar.t < newest.t || (exemplar.t == newest.t && exemplar.value < newest.value);
            if older {
                return Added::OutOfOrder;
            }
        }
        if self.order.len() == self.capacity {
            self.drop_oldest();
        }
        self.series.entry(labels.clone()).or_default().push_back(exemplar.clone());
        self.order.push_back(labels);
        Added::Yes
    }

    fn drop_oldest(&mut self) {
        let Some(labels) = self.order.pop_front() else { return };
        if let Some(list) = self.series.get_mut(&labels) {
            list.pop_front();
            if list.is_empty() {
                self.series.remove(&labels);
            }
        }
    }

    pub(crate) fn select(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<ExemplarSeries> {
        let wanted = |labels: &Labels| sets.is_empty() || sets.iter().any(|s| Matcher::all(s, labels));
        let mut out = Vec::new();
        for (labels, list) in self.series.iter().filter(|(l, _)| wanted(l)) {
            let exemplars: Vec<_> = list.iter().filter(|e| range.contains(e.t)).cloned().collect();
            if !exemplars.is_empty() {
                out.push(ExemplarSeries { labels: labels.clone(), exemplars });
            }
        }
        out
    }

    /// All exemplars, those of one series by time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, &Exemplar)> {
        self.series.iter().flat_map(|(l, list)| list.iter().map(move |e| (l, e)))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn series(&self) -> usize {
        self.series.len()
    }
}
