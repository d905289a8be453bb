//! Applying a batch: judge, change memory and encode for the log, all under the locks of the shards it touches.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::atomic::Ordering,
};

use parking_lot::RwLockWriteGuard;
use reba_model::HistogramSample;
use reba_storage::{AppendMode, AppendReport, RejectReason, Rejection, SeriesRef, WriteBatch};

use super::{
    EARLIEST, Head, LATEST, Shard,
    exemplars::Added,
    out_of_order::Inserted,
    parts,
    series::{Bounds, HeadSeries, Verdict},
};
use crate::wal::{FloatEncoder, RecordWriter};

/// Memory that appends reuse.
#[derive(Debug, Default)]
pub(crate) struct AppendScratch {
    pub(crate) records: RecordWriter,
    floats: Vec<(FloatEncoder, Vec<u8>)>,
    late: Vec<(FloatEncoder, Vec<u8>)>,
}

type Guards<'a> = Vec<Option<RwLockWriteGuard<'a, Shard>>>;

impl AppendScratch {
    fn reset(&mut self, shards: usize) {
        self.records.clear();
        for list in [&mut self.floats, &mut self.late] {
            list.resize_with(shards, Default::default);
            for (encoder, bytes) in list.iter_mut() {
                *encoder = FloatEncoder::default();
                bytes.clear();
            }
        }
    }
}

impl Head {
    fn bounds(&self, now: i64) -> Bounds {
        let max_t = self.max_time();
        let window = self.out_of_order_window.load(Ordering::Relaxed);
        let latest = now.saturating_add(self.accept_future).min(LATEST);
        // A sample from a clock that was ahead must not make everything else too old.
        let behind =
            |by: i64| if max_t == i64::MIN { i64::MIN } else { max_t.min(latest).saturating_sub(by) };
        Bounds {
            min: behind(self.accept_past).max(self.min_valid()).max(EARLIEST),
            out_of_order_min: if window > 0 { behind(window).max(EARLIEST) } else { i64::MAX },
            max: latest,
            block_range: self.block_range,
        }
    }

    /// Applies a batch. `logged` is called with the records of what changed while the locks are still held, so that
    /// the log has batches of one series in the order in which they were applied; its result is returned.
    pub(crate) fn append<T>(
        &self,
        batch: &WriteBatch,
        mode: AppendMode,
        now: i64,
        scratch: &mut AppendScratch,
        logged: impl FnOnce(&RecordWriter) -> T,
    ) -> (AppendReport, Option<T>) {
        let mut guards = self.lock(batch);
        // Under the locks: whoever moves the lower bound and then reads the shards sees every sample that was judged
        // by the old one.
        let bounds = self.bounds(now);
        let mut report = AppendReport::default();
        if mode == AppendMode::AllOrNothing {
            report.rejected = rehearse(batch, &bounds, &guards);
            if !report.rejected.is_empty() {
                return (report, None);
            }
        }
        scratch.reset(self.shards.len());
        let mut run =
            Run { head: self, bounds, max_t: i64::MIN, min_t: i64::MAX, scratch, report: &mut report };
        run.floats(batch, &mut guards);
        run.histograms(batch, &mut guards);
        run.exemplars(batch, &guards);
        let (min_t, max_t) = (run.min_t, run.max_t);
        self.saw(max_t);
        if min_t < i64::MAX {
            // Under the locks: who sees the samples finds them noted.
            self.changes.note(min_t);
        }
        write_records(&mut guards, scratch);
        let result = (!scratch.records.is_empty()).then(|| logged(&scratch.records));
        drop(guards);
        self.count(&report, batch.floats.len());
        (report, result)
    }

    /// Write locks of the shards that the batch touches, in rising order.
    fn lock(&self, batch: &WriteBatch) -> Guards<'_> {
        let mut mask = 0u64;
        let mut touch = |r: SeriesRef| mask |= 1u64 << (parts(r).1 as u32 & 63);
        batch.floats.iter().for_each(|s| touch(s.series));
        batch.histograms.iter().for_each(|s| touch(s.0));
        batch.exemplars.iter().for_each(|s| touch(s.0));
        let wanted = |i: usize| (mask >> i) & 1 == 1;
        self.shards.iter().enumerate().map(|(i, s)| wanted(i).then(|| s.write())).collect()
    }

    fn count(&self, report: &AppendReport, floats: usize) {
        let c = &self.counters;
        let rejected_floats = report.rejected.iter().filter(|r| r.index < floats).count();
        let taken = floats.saturating_sub(rejected_floats).min(report.appended);
        c.floats.fetch_add(taken as u64, Ordering::Relaxed);
        c.histograms.fetch_add((report.appended - taken) as u64, Ordering::Relaxed);
        for r in &report.rejected {
            let counter = match r.reason {
                RejectReason::OutOfOrder => &c.rejected_out_of_order,
                RejectReason::DuplicateTimestamp => &c.rejected_duplicate,
                RejectReason::TooOld => &c.rejected_too_old,
                RejectReason::OutOfBounds => &c.rejected_out_of_bounds,
                RejectReason::UnknownSeries => &c.series_not_found,
                RejectReason::ExemplarOutOfOrder | RejectReason::InvalidHistogram => continue,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn find<'a>(guards: &'a Guards<'_>, r: SeriesRef) -> Option<&'a HeadSeries> {
    let (generation, shard, slot) = parts(r);
    guards.get(shard)?.as_ref()?.get(slot).filter(|s| s.generation == generation)
}

/// Judges every sample as if those before it were applied, changing nothing.
fn rehearse(batch: &WriteBatch, bounds: &Bounds, guards: &Guards<'_>) -> Vec<Rejection> {
    let mut out = Vec::new();
    let mut newest: HashMap<u64, (i64, u64), RefHash> = HashMap::default();
    newest.reserve(batch.samples());
    let floats = batch.floats.iter().map(|s| (s.series, s.t, s.v.to_bits(), None));
    let histograms = batch.histograms.iter().map(|(r, t, h)| (*r, *t, u64::MAX, Some(h)));
    for (index, (r, t, bits, histogram)) in floats.chain(histograms).enumerate() {
        let Some(series) = find(guards, r) else {
            out.push(Rejection { index, reason: RejectReason::UnknownSeries });
            continue;
        };
        if histogram.is_some_and(|h| h.validate().is_err()) {
            out.push(Rejection { index, reason: RejectReason::InvalidHistogram });
            continue;
        }
        let last = newest.entry(r.0.get()).or_insert_with(|| series.last());
        match HeadSeries::judge(*last, t, bits, bounds) {
            Verdict::Append => *last = (t, bits),
            Verdict::Reject(RejectReason::DuplicateTimestamp)
                if histogram.is_some_and(|h| series.is_last_histogram(t, h)) => {}
            Verdict::Reject(reason) => out.push(Rejection { index, reason }),
            Verdict::Duplicate | Verdict::OutOfOrder => {}
        }
    }
    out
}

/// Spreads references over a table. They are dense numbers of our own making: nobody can make them collide.
#[derive(Default)]
struct RefHasher(u64);

type RefHash = BuildHasherDefault<RefHasher>;

impl Hasher for RefHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.write_u64(u64::from(*b));
        }
    }

    fn write_u64(&mut self, n: u64) {
        // Fibonacci hashing (Knuth); the table takes the high bits as a tag and the low ones as the place.
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// Puts the records of a batch together: new series first, since samples name them.
fn write_records(guards: &mut Guards<'_>, scratch: &mut AppendScratch) {
    let AppendScratch { records, floats, late } = scratch;
    // Histograms and exemplars may be in there already; new series must stand before them.
    let rest = std::mem::take(records);
    if rest.is_empty() {
        *records = rest;
        return write_series_and_floats(guards, records, floats, late);
    }
    write_series_and_floats(guards, records, floats, late);
    records.extend(&rest);
}

fn write_series_and_floats(
    guards: &mut Guards<'_>,
    records: &mut RecordWriter,
    floats: &[(FloatEncoder, Vec<u8>)],
    late: &[(FloatEncoder, Vec<u8>)],
) {
    for (index, guard) in guards.iter_mut().enumerate() {
        let Some(shard) = guard else { continue };
        if !shard.unlogged.is_empty() {
            let slots = std::mem::take(&mut shard.unlogged);
            records.series(index, shard, &slots);
        }
        records.floats(index, &floats[index].1);
        records.late_floats(index, &late[index].1);
    }
}

/// One batch on its way.
struct Run<'a> {
    head: &'a Head,
    bounds: Bounds,
    max_t: i64,
    /// The oldest sample that was not there before.
    min_t: i64,
    scratch: &'a mut AppendScratch,
    report: &'a mut AppendReport,
}

impl Run<'_> {
    fn reject(&mut self, index: usize, reason: RejectReason) {
        self.report.rejected.push(Rejection { index, reason });
    }

    fn floats(&mut self, batch: &WriteBatch, guards: &mut Guards<'_>) {
        let bounds = self.bounds;
        for (index, sample) in batch.floats.iter().enumerate() {
            let (generation, at, slot) = parts(sample.series);
            let shard = guards.get_mut(at).and_then(|g| g.as_deref_mut());
            let Some(shard) = shard else {
                self.reject(index, RejectReason::UnknownSeries);
                continue;
            };
            let found = shard.get_mut(slot).filter(|(s, _)| s.generation == generation);
            let Some((series, sealing)) = found else {
                self.reject(index, RejectReason::UnknownSeries);
                continue;
            };
            match HeadSeries::judge(series.last(), sample.t, sample.v.to_bits(), &bounds) {
                Verdict::Append => {
                    let sealed = series.append(sample.t, sample.v, bounds.block_range, sealing);
                    shard.sealed_bytes += sealed as u64;
                    let (encoder, bytes) = &mut self.scratch.floats[at];
                    encoder.push(slot, sample.t, sample.v, bytes);
                    self.max_t = self.max_t.max(sample.t);
                    self.min_t = self.min_t.min(sample.t);
                    self.report.appended += 1;
                }
                Verdict::Duplicate => self.duplicate(),
                Verdict::OutOfOrder => {
                    let there = self.head.at(series, sample.t);
                    let late = &mut series.rare.get_or_insert_default().out_of_order;
                    let inserted = match there.t.first().zip(there.v.first()) {
                        Some((_, v)) if v.to_bits() == sample.v.to_bits() => Inserted::Duplicate,
                        _ if !there.is_empty() => Inserted::Conflict,
                        _ => late.insert(sample.t, sample.v),
                    };
                    if self.late(index, sample.t, inserted) {
                        let (encoder, bytes) = &mut self.scratch.late[at];
                        encoder.push(slot, sample.t, sample.v, bytes);
                    }
                }
                Verdict::Reject(reason) => self.reject(index, reason),
            }
        }
    }

    fn duplicate(&mut self) {
        self.report.appended += 1;
        self.head.counters.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a late sample; whether it must be logged.
    fn late(&mut self, index: usize, t: i64, inserted: Inserted) -> bool {
        match inserted {
            Inserted::Yes => {
                self.min_t = self.min_t.min(t);
                self.report.appended += 1;
                self.head.counters.out_of_order_appended.fetch_add(1, Ordering::Relaxed);
                true
            }
            Inserted::Duplicate => {
                self.duplicate();
                false
            }
            Inserted::Conflict => {
                self.reject(index, RejectReason::DuplicateTimestamp);
                false
            }
        }
    }

    fn histograms(&mut self, batch: &WriteBatch, guards: &mut Guards<'_>) {
        let bounds = self.bounds;
        for (i, (r, t, h)) in batch.histograms.iter().enumerate() {
            let index = batch.floats.len() + i;
            let (generation, at, slot) = parts(*r);
            let Some(shard) = guards.get_mut(at).and_then(|g| g.as_deref_mut()) else {
                self.reject(index, RejectReason::UnknownSeries);
                continue;
            };
            let found = shard.get_mut(slot).filter(|(s, _)| s.generation == generation);
            let Some((series, sealing)) = found else {
                self.reject(index, RejectReason::UnknownSeries);
                continue;
            };
            if h.validate().is_err() {
                self.reject(index, RejectReason::InvalidHistogram);
                continue;
            }
            let sample = HistogramSample { t: *t, h: h.clone() };
            match HeadSeries::judge(series.last(), *t, u64::MAX, &bounds) {
                Verdict::Append => {
                    let sealed = series.append_histogram(*t, h.clone(), &bounds, sealing);
                    shard.sealed_bytes += sealed as u64;
                    self.scratch.records.histogram(at, slot, false, &sample);
                    self.max_t = self.max_t.max(*t);
                    self.min_t = self.min_t.min(*t);
                    self.report.appended += 1;
                }
                Verdict::OutOfOrder => {
                    let there = self.head.at(series, *t);
                    let late = &mut series.rare.get_or_insert_default().out_of_order;
                    let inserted = match there.h.first() {
                        Some(old) if *old.h == **h => Inserted::Duplicate,
                        _ if !there.is_empty() => Inserted::Conflict,
                        _ => late.insert_histogram(*t, h.clone()),
                    };
                    if self.late(index, *t, inserted) {
                        self.scratch.records.histogram(at, slot, true, &sample);
                    }
                }
                Verdict::Reject(RejectReason::DuplicateTimestamp) if series.is_last_histogram(*t, h) => {
                    self.duplicate();
                }
                Verdict::Duplicate => self.duplicate(),
                Verdict::Reject(reason) => self.reject(index, reason),
            }
        }
    }

    fn exemplars(&mut self, batch: &WriteBatch, guards: &Guards<'_>) {
        if batch.exemplars.is_empty() {
            return;
        }
        let mut text = String::new();
        let mut ring = self.head.exemplars.lock();
        for (i, (r, exemplar)) in batch.exemplars.iter().enumerate() {
            let index = batch.samples() + i;
            let (_, at, slot) = parts(*r);
            let shard = guards.get(at).and_then(|g| g.as_deref());
            let Some((shard, series)) = shard.zip(find(guards, *r)) else {
                self.reject(index, RejectReason::UnknownSeries);
                continue;
            };
            match ring.add(shard.labels(series, &mut text), exemplar) {
                Added::Yes => {
                    self.scratch.records.exemplar(at, slot, exemplar);
                    self.head.counters.exemplars.fetch_add(1, Ordering::Relaxed);
                }
                Added::Duplicate => {}
                Added::OutOfOrder => self.reject(index, RejectReason::ExemplarOutOfOrder),
            }
        }
    }
}
