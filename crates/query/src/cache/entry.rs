//! What is kept of one expression: its series at consecutive steps.

use reba_model::Labels;
use reba_promql::eval::value::{ABSENT, Column, Steps, VectorSeries, is_absent};
use reba_storage::Generation;

/// Points that were computed when the store was in `generation`, or that had not changed by then.
#[derive(Debug)]
pub(super) struct Entry {
    generation: Generation,
    /// How far past its step a point depends on samples, milliseconds.
    ahead: i64,
    steps: Steps,
    /// Sorted by labels; floats, a slot a step.
    series: Vec<VectorSeries>,
    /// The longest range that was asked for, in steps: no more is kept.
    longest: usize,
}

impl Entry {
    pub(super) fn new(generation: Generation, ahead: i64, steps: Steps, series: &[VectorSeries]) -> Self {
        Entry { generation, ahead, steps, series: series.to_vec(), longest: steps.count }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Bytes that the entry takes, about.
    pub(super) fn bytes(&self) -> usize {
        let of_one =
            |s: &VectorSeries| size_of::<VectorSeries>() + s.labels.memory_bytes() + 8 * self.steps.count;
        size_of::<Entry>() + self.series.iter().map(of_one).sum::<usize>()
    }

    /// How many of `wanted`, from the first one on, can be taken from here if nothing older than `oldest` has changed.
    pub(super) fn usable(&self, wanted: Steps, oldest: Option<i64>) -> usize {
        let Some(first) = self.position(wanted.start) else { return 0 };
        let holds = |i: usize| oldest.is_none_or(|t| self.steps.at(i).saturating_add(self.ahead) < t);
        // Points are computed from samples up to their step: those that hold come first.
        let last = (first + wanted.count).min(self.steps.count);
        let (mut low, mut high) = (first, last.max(first));
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { low = middle + 1 } else { high = middle }
        }
        low - first
    }

    /// The number of the step at `t`, if it is one of ours.
    fn position(&self, t: i64) -> Option<usize> {
        let behind = t.checked_sub(self.steps.start).filter(|ms| *ms >= 0)?;
        let n = usize::try_from(behind / self.steps.interval).ok()?;
        (behind % self.steps.interval == 0 && n < self.steps.count).then_some(n)
    }

    /// The series at `wanted`, all of which are ours; series without an element are left out.
    pub(super) fn part(&self, wanted: Steps) -> Vec<VectorSeries> {
        let from = self.position(wanted.start).unwrap_or(0);
        let to = (from + wanted.count).min(self.steps.count);
        let part = |s: &VectorSeries| {
            let v = &s.column.v[from..to];
            let present = v.iter().any(|v| !is_absent(*v));
            present.then(|| series(&s.labels, v.to_vec()))
        };
        self.series.iter().filter_map(part).collect()
    }

    /// This entry with `rest`, the series at the steps of `wanted` from number `reused` on, as of `generation`. Steps before
    /// `wanted` stay, as far as the longest range needs them.
    pub(super) fn extended(
        &self,
        generation: Generation,
        wanted: Steps,
        reused: usize,
        rest: &[VectorSeries],
    ) -> Entry {
        let longest = self.longest.max(wanted.count);
        // Of ours, those before `border` are kept, from `from` on.
        let border = self.position(wanted.start).unwrap_or(0) + reused;
        let added = wanted.count - reused;
        let from = (border + added).saturating_sub(longest).min(border);
        let kept = border - from;
        let steps = Steps { start: self.steps.at(from), interval: self.steps.interval, count: kept + added };
        let mut out: Vec<VectorSeries> = Vec::with_capacity(self.series.len().max(rest.len()));
        let mut new = rest.iter().peekable();
        for old in &self.series {
            while let Some(only_new) = new.next_if(|n| n.labels < old.labels) {
                out.push(joined(&only_new.labels, None, kept, Some(only_new), added));
            }
            let same = new.next_if(|n| n.labels == old.labels);
            let v = &old.column.v[from..border];
            if same.is_some() || v.iter().any(|v| !is_absent(*v)) {
                out.push(joined(&old.labels, Some(v), kept, same, added));
            }
        }
        out.extend(new.map(|only_new| joined(&only_new.labels, None, kept, Some(only_new), added)));
        Entry { generation, ahead: self.ahead, steps, series: out, longest }
    }
}

fn series(labels: &Labels, v: Vec<f64>) -> VectorSeries {
    VectorSeries { labels: labels.clone(), drop_name: false, column: Column::floats(v) }
}

/// A series out of its old and its new elements, either of which there may be none of.
fn joined(
    labels: &Labels,
    old: Option<&[f64]>,
    kept: usize,
    new: Option<&VectorSeries>,
    added: usize,
) -> VectorSeries {
    let mut v = Vec::with_capacity(kept + added);
    match old {
        Some(old) => v.extend_from_slice(old),
        None => v.resize(kept, ABSENT),
    }
    if let Some(new) = new {
        v.extend_from_slice(&new.column.v);
    }
    v.resize(kept + added, ABSENT);
    series(labels, v)
}
