//! Reading the head.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use reba_model::{Labels, Matcher, Series, TimeRange};
use reba_storage::{Budget, QueryError, SelectRequest, StoreStats, TopEntry};
use roaring::RoaringBitmap;

use super::{Head, Shard};
use crate::matching::resolve;

/// Series between two looks at the budget.
const SERIES_PER_CHECK: u64 = 256;

fn ok<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(v) => v,
        Err(e) => match e {},
    }
}

/// Series of a shard that match any of `sets` (all, if there is none).
fn any_of(shard: &Shard, sets: &[Vec<Matcher>]) -> Option<RoaringBitmap> {
    if sets.is_empty() {
        return None;
    }
    Some(sets.iter().fold(RoaringBitmap::new(), |all, set| all | ok(resolve(shard, set))))
}

impl Head {
    /// Whether the head may hold samples of `range`.
    fn may_overlap(&self, range: TimeRange) -> bool {
        self.max_time() >= range.start
    }

    pub(crate) fn select(
        &self,
        request: &SelectRequest<'_>,
        out: &mut Vec<Series>,
    ) -> Result<(), QueryError> {
        if !self.may_overlap(request.range) {
            return Ok(());
        }
        let mut text = String::new();
        for shard in self.snapshot() {
            let mut unpaid = 0;
            for slot in &ok(resolve(&*shard, request.matchers)) {
                let Some(series) = shard.get(slot).filter(|s| s.overlaps(request.range)) else { continue };
                let mut chunks = Vec::with_capacity(series.sealed.len() + 1);
                self.chunks(series, request.range, &mut chunks)?;
                if chunks.is_empty() {
                    continue;
                }
                unpaid += 1;
                if unpaid == SERIES_PER_CHECK {
                    request.budget.spend(unpaid, 0)?;
                    unpaid = 0;
                }
                out.push(Series { labels: shard.labels(series, &mut text), chunks });
            }
            request.budget.spend(unpaid, 0)?;
        }
        Ok(())
    }

    pub(crate) fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
        out: &mut BTreeSet<Labels>,
    ) -> Result<(), QueryError> {
        if !self.may_overlap(range) {
            return Ok(());
        }
        let mut text = String::new();
        for shard in self.snapshot() {
            let slots = any_of(&shard, sets).unwrap_or_else(|| shard.iter().map(|(s, _)| s).collect());
            for slot in &slots {
                if let Some(series) = shard.get(slot).filter(|s| s.overlaps(range)) {
                    budget.check()?;
                    out.insert(shard.labels(series, &mut text));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn label_names(&self, sets: &[Vec<Matcher>], range: TimeRange, out: &mut BTreeSet<String>) {
        if !self.may_overlap(range) {
            return;
        }
        for shard in self.snapshot() {
            let slots = any_of(&shard, sets);
            for (name, ids) in shard.pairs.names().filter(|(n, _)| !out.contains(*n)).collect::<Vec<_>>() {
                let found = match &slots {
                    None => true,
                    Some(slots) => ids.iter().any(|id| shard.pairs.get(*id).postings.intersects(slots)),
                };
                if found {
                    out.insert(name.to_owned());
                }
            }
        }
    }

    /// Adds the values of a label, unsorted and perhaps more than once.
    pub(crate) fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        out: &mut Vec<String>,
    ) {
        if !self.may_overlap(range) {
            return;
        }
        for shard in self.snapshot() {
            let slots = any_of(&shard, sets);
            for id in shard.pairs.values_of(name) {
                let pair = shard.pairs.get(*id);
                let found = slots.as_ref().is_none_or(|s| pair.postings.intersects(s));
                if found {
                    out.push(pair.value().to_owned());
                }
            }
        }
    }

    pub(crate) fn stats(&self, limit: usize) -> StoreStats {
        let mut by_metric: BTreeMap<String, u64> = BTreeMap::new();
        let mut by_pair: BTreeMap<String, u64> = BTreeMap::new();
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut chunks = 0;
        for shard in self.snapshot() {
            for (name, ids) in shard.pairs.names() {
                for id in ids {
                    let pair = shard.pairs.get(*id);
                    let n = pair.postings.len();
                    if name == reba_model::METRIC_NAME {
                        *by_metric.entry(pair.value().to_owned()).or_default() += n;
                    }
                    *by_pair.entry(format!("{name}={}", pair.value())).or_default() += n;
                    values.entry(name.to_owned()).or_default().insert(pair.value().to_owned());
                }
            }
            chunks += shard.iter().map(|(_, s)| s.chunk_count()).sum::<u64>();
        }
        let counts =
            |f: fn(&BTreeSet<String>) -> u64| values.iter().map(|(n, v)| (n.clone(), f(v))).collect();
        StoreStats {
            series: self.series_count(),
            label_pairs: values.values().map(|v| v.len() as u64).sum(),
            chunks,
            min_time: self.min_time(),
            max_time: self.max_time(),
            series_by_metric: top(by_metric.into_iter().collect(), limit),
            values_by_label: top(counts(|v| v.len() as u64), limit),
            bytes_by_label: top(counts(|v| v.iter().map(|s| s.len() as u64).sum()), limit),
            series_by_pair: top(by_pair.into_iter().collect(), limit),
        }
    }
}

/// The largest entries, ties by name.
fn top(mut entries: Vec<(String, u64)>, limit: usize) -> Vec<TopEntry> {
    entries.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    entries.truncate(limit);
    entries.into_iter().map(|(name, value)| TopEntry { name, value }).collect()
}
