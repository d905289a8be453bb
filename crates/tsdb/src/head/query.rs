//! Reading the head.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
};

use reba_model::{Chunk, Labels, METRIC_NAME, Matcher, PackedPair, Series, Texts, TimeRange};
use reba_storage::{Budget, QueryError, SelectRequest, StoreStats, TopEntry};
use roaring::RoaringBitmap;

use super::{Head, Shard};
use crate::matching::resolve;

/// Series between two looks at the budget.
const SERIES_PER_CHECK: u64 = 256;

/// Bytes that chunks take, for the budget.
pub(crate) fn chunk_bytes(chunks: &[Chunk]) -> u64 {
    let bytes = |c: &Chunk| c.as_bytes().or(c.value_bytes()).map_or(c.samples() as usize * 16, <[u8]>::len);
    chunks.iter().map(bytes).sum::<usize>() as u64
}

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
            let (mut unpaid, mut bytes) = (0, 0);
            for slot in &ok(resolve(&*shard, request.matchers)) {
                let Some(series) = shard.get(slot).filter(|s| s.overlaps(request.range)) else { continue };
                let newest = request.hints.newest.then(|| series.newest_in(request.range)).flatten();
                let mut chunks = Vec::with_capacity(1);
                match newest {
                    Some(chunk) => chunks.push(chunk),
                    None => self.chunks(series, request.range, &mut chunks)?,
                }
                if chunks.is_empty() {
                    continue;
                }
                unpaid += 1;
                bytes += chunk_bytes(&chunks);
                if unpaid == SERIES_PER_CHECK {
                    request.budget.spend(unpaid, bytes)?;
                    (unpaid, bytes) = (0, 0);
                }
                out.push(Series { labels: shard.labels(series, &mut text), chunks });
            }
            request.budget.spend(unpaid, bytes)?;
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

    /// Adds the values of a label, those of each shard mostly in order, and some perhaps more than once.
    pub(crate) fn label_values(&self, name: &str, sets: &[Vec<Matcher>], range: TimeRange, out: &mut Texts) {
        if !self.may_overlap(range) {
            return;
        }
        for shard in self.snapshot() {
            let slots = any_of(&shard, sets);
            for id in shard.pairs.values_in_order(name) {
                let pair = shard.pairs.get(*id);
                let found = slots.as_ref().is_none_or(|s| pair.postings.intersects(s));
                if found {
                    out.push(pair.value());
                }
            }
        }
    }

    pub(crate) fn stats(&self, limit: usize) -> StoreStats {
        let shards = self.snapshot();
        // Series by pair; a pair may be in several shards.
        let mut pairs: HashMap<&str, u64> = HashMap::new();
        for id in shards
            .iter()
            .flat_map(|s| s.pairs.names().flat_map(move |(_, ids)| ids.iter().map(move |id| (s, *id))))
        {
            let pair = id.0.pairs.get(id.1);
            *pairs.entry(pair.packed()).or_default() += pair.postings.len();
        }
        let mut by_metric = Vec::new();
        let mut values: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (packed, n) in &pairs {
            let Some(pair) = PackedPair::read(packed, 0) else { continue };
            if pair.name == METRIC_NAME {
                by_metric.push((pair.value, *n));
            }
            let (count, bytes) = values.entry(pair.name).or_default();
            *count += 1;
            *bytes += pair.value.len() as u64;
        }
        let plain = |list: Vec<(&str, u64)>| top(list, limit, str::to_owned);
        let text = |packed: &str| {
            PackedPair::read(packed, 0).map_or(String::new(), |p| format!("{}={}", p.name, p.value))
        };
        let chunks = shards.iter().flat_map(|s| s.iter()).map(|(_, s)| s.chunk_count()).sum();
        let oldest =
            shards.iter().flat_map(|s| s.iter()).filter_map(|(_, s)| s.range()).map(|r| r.start).min();
        StoreStats {
            series: self.series_count(),
            label_pairs: pairs.len() as u64,
            chunks,
            min_time: oldest.unwrap_or(i64::MAX),
            max_time: self.max_time(),
            series_by_metric: plain(by_metric),
            values_by_label: plain(values.iter().map(|(n, v)| (*n, v.0)).collect()),
            bytes_by_label: plain(values.iter().map(|(n, v)| (*n, v.1)).collect()),
            series_by_pair: top(pairs.into_iter().collect(), limit, text),
        }
    }
}

/// The largest entries, ties by name.
fn top(mut entries: Vec<(&str, u64)>, limit: usize, name: impl Fn(&str) -> String) -> Vec<TopEntry> {
    let order = |a: &(&str, u64), b: &(&str, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
    if limit < entries.len() {
        entries.select_nth_unstable_by(limit, order);
        entries.truncate(limit);
    }
    entries.sort_unstable_by(order);
    entries.into_iter().map(|(n, value)| TopEntry { name: name(n), value }).collect()
}
