//! Samples that came late: kept sorted beside the in-order chunks of their series until blocks are written.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use reba_model::{Chunk, Histogram, HistogramSample, RawColumns, TimeRange};

/// Late samples of one series, by time. The window bounds how many there can be, and they come in any order: a tree takes
/// each of them in the same short time, also the oldest of a million.
#[derive(Debug, Default)]
pub(crate) struct OutOfOrder {
    floats: BTreeMap<i64, f64>,
    histograms: BTreeMap<i64, Arc<Histogram>>,
}

/// What became of a late sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Yes,
    Duplicate,
    Conflict,
}

impl OutOfOrder {
    pub(crate) fn insert(&mut self, t: i64, v: f64) -> Inserted {
        match self.floats.entry(t) {
            Entry::Occupied(old) if old.get().to_bits() == v.to_bits() => Inserted::Duplicate,
            Entry::Occupied(_) => Inserted::Conflict,
            Entry::Vacant(place) => {
                place.insert(v);
                Inserted::Yes
            }
        }
    }

    pub(crate) fn insert_histogram(&mut self, t: i64, h: Arc<Histogram>) -> Inserted {
        match self.histograms.entry(t) {
            Entry::Occupied(old) if **old.get() == *h => Inserted::Duplicate,
            Entry::Occupied(_) => Inserted::Conflict,
            Entry::Vacant(place) => {
                place.insert(h);
                Inserted::Yes
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// The floats in rising order of time.
    pub(crate) fn floats(&self) -> impl Iterator<Item = (i64, f64)> {
        self.floats.iter().map(|(t, v)| (*t, *v))
    }

    /// The histograms in rising order of time.
    pub(crate) fn histograms(&self) -> impl Iterator<Item = HistogramSample> {
        self.histograms.iter().map(|(t, h)| HistogramSample { t: *t, h: Arc::clone(h) })
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        self.floats.keys().chain(self.histograms.keys()).copied()
    }

    pub(crate) fn range(&self) -> Option<TimeRange> {
        [ends(&self.floats), ends(&self.histograms)].into_iter().flatten().reduce(|a, b| a.union(b))
    }

    /// The samples in `range` as a chunk.
    pub(crate) fn chunk(&self, range: TimeRange) -> Option<Chunk> {
        if range.start > range.end {
            return None;
        }
        let inside = range.start..=range.end;
        let (t, v) = self.floats.range(inside.clone()).map(|(t, v)| (*t, *v)).unzip();
        let sample = |(t, h): (&i64, &Arc<Histogram>)| HistogramSample { t: *t, h: Arc::clone(h) };
        let h = self.histograms.range(inside).map(sample).collect();
        let chunk = Chunk::raw_columns(RawColumns { t, v, h });
        (chunk.samples() > 0).then_some(chunk)
    }

    /// Takes out the samples before `t`.
    pub(crate) fn split_before(&mut self, t: i64) -> OutOfOrder {
        let rest =
            OutOfOrder { floats: self.floats.split_off(&t), histograms: self.histograms.split_off(&t) };
        std::mem::replace(self, rest)
    }

    /// Puts samples back.
    pub(crate) fn absorb(&mut self, other: OutOfOrder) {
        for (t, v) in other.floats {
            self.insert(t, v);
        }
        for (t, h) in other.histograms {
            self.insert_histogram(t, h);
        }
    }
}

/// The times of the oldest and the newest sample.
fn ends<T>(samples: &BTreeMap<i64, T>) -> Option<TimeRange> {
    let (oldest, newest) = samples.first_key_value().zip(samples.last_key_value())?;
    Some(TimeRange::new(*oldest.0, *newest.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::SampleColumns;

    use super::*;

    fn read(late: &OutOfOrder, range: TimeRange) -> Vec<(i64, f64)> {
        let mut columns = SampleColumns::default();
        if let Some(chunk) = late.chunk(range) {
            chunk.decode_into(TimeRange::ALL, &mut columns).unwrap();
        }
        columns.t.into_iter().zip(columns.v).collect()
    }

    proptest! {
        #[test]
        fn late_samples_are_kept_sorted_once_each_and_split_where_asked(
            samples in proptest::collection::vec((-50i64..50, 0u8..3), 0..200),
            split in -60i64..60,
            ends in (-60i64..60, -60i64..60),
        ) {
            let (mut late, mut want) = (OutOfOrder::default(), Vec::<(i64, f64)>::new());
            for (t, v) in samples {
                let v = f64::from(v);
                let inserted = match want.iter().find(|s| s.0 == t) {
                    None => Inserted::Yes,
                    Some(old) if old.1 == v => Inserted::Duplicate,
                    Some(_) => Inserted::Conflict,
                };
                prop_assert_eq!(late.insert(t, v), inserted);
                if inserted == Inserted::Yes {
                    want.push((t, v));
                }
            }
            want.sort_by_key(|s| s.0);
            prop_assert_eq!(late.floats().collect::<Vec<_>>(), want.clone());
            prop_assert_eq!(late.range().map(|r| (r.start, r.end)), want.first().zip(want.last()).map(|(a, b)| (a.0, b.0)));
            let range = TimeRange::new(ends.0, ends.1);
            let inside: Vec<_> = want.iter().copied().filter(|s| range.contains(s.0)).collect();
            prop_assert_eq!(read(&late, range), inside);
            let old = late.split_before(split);
            let (before, from): (Vec<_>, Vec<_>) = want.iter().copied().partition(|s| s.0 < split);
            prop_assert_eq!(old.floats().collect::<Vec<_>>(), before);
            prop_assert_eq!(late.floats().collect::<Vec<_>>(), from);
            late.absorb(old);
            prop_assert_eq!(late.floats().collect::<Vec<_>>(), want);
        }
    }
}
