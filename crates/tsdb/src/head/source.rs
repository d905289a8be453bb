//! The head as a sorted stream of series, for writing blocks.

use reba_model::{Chunk, Labels, SampleColumns, TimeRange};

use super::{Head, IdleSeries, Shard};
use crate::block::{SeriesSource, WriteError};

/// What of a series is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    All,
    /// Late samples only.
    Late,
}

/// The series of one shard in order of their labels.
#[derive(Debug)]
pub(crate) struct ShardSource<'a> {
    head: &'a Head,
    index: usize,
    range: TimeRange,
    part: Part,
    slots: std::vec::IntoIter<u32>,
    slot: u32,
    labels: Option<Labels>,
    text: String,
}

impl<'a> ShardSource<'a> {
    /// The series of a shard with samples in `range`; of those, only the ones in `among`, if that is given.
    pub(crate) fn new(
        head: &'a Head,
        index: usize,
        range: TimeRange,
        part: Part,
        among: Option<&IdleSeries>,
    ) -> Self {
        let wanted = |slot: u32| among.is_none_or(|a| a.contains(index, slot));
        let slots = sorted_slots(&head.shards[index].read(), range, wanted);
        let mut source = ShardSource {
            head,
            index,
            range,
            part,
            slots: slots.into_iter(),
            slot: 0,
            labels: None,
            text: String::new(),
        };
        source.advance();
        source
    }

    fn advance(&mut self) {
        let shard = self.head.shards[self.index].read();
        self.labels = None;
        for slot in self.slots.by_ref() {
            if let Some(series) = shard.get(slot) {
                self.slot = slot;
                self.labels = Some(shard.labels(series, &mut self.text));
                return;
            }
        }
    }
}

/// Slots of series with samples in `range`, by labels. Pairs are ranked once, so that comparing two series compares
/// numbers.
fn sorted_slots(shard: &Shard, range: TimeRange, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut rank = Vec::new();
    let mut next = 0u32;
    for (_, ids) in shard.pairs.names() {
        let mut ids = ids.to_vec();
        ids.sort_unstable_by(|a, b| shard.pairs.get(*a).value().cmp(shard.pairs.get(*b).value()));
        for id in ids {
            if rank.len() <= id as usize {
                rank.resize(id as usize + 1, 0);
            }
            rank[id as usize] = next;
            next += 1;
        }
    }
    let mut slots: Vec<(u32, &[u32])> = shard
        .iter()
        .filter(|(slot, s)| wanted(*slot) && s.overlaps(range))
        .map(|(slot, s)| (slot, shard.pair_ids(s)))
        .collect();
    slots.sort_unstable_by(|a, b| {
        let (mut x, mut y) = (a.1.iter(), b.1.iter());
        loop {
            match (x.next(), y.next()) {
                (Some(p), Some(q)) if p == q => {}
                (Some(p), Some(q)) => return rank[*p as usize].cmp(&rank[*q as usize]),
                (p, q) => return p.is_some().cmp(&q.is_some()),
            }
        }
    });
    slots.into_iter().map(|(slot, _)| slot).collect()
}

impl SeriesSource for ShardSource<'_> {
    fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    fn take(&mut self, out: &mut Vec<Chunk>) -> Result<(), WriteError> {
        {
            let shard = self.head.shards[self.index].read();
            if let Some(series) = shard.get(self.slot) {
                if self.part == Part::All {
                    for sealed in series.sealed.iter().filter(|s| s.range.overlaps(self.range)) {
                        out.push(self.head.sealed_chunk(sealed)?);
                    }
                    if series.open_range().is_some_and(|r| r.overlaps(self.range)) {
                        out.extend(series.open_chunk().map(plain).transpose()?);
                    }
                }
                out.extend(series.rare.as_ref().and_then(|r| r.flushing.chunk(self.range)));
            }
        }
        self.advance();
        Ok(())
    }
}

/// An open chunk as columns, so that a block gets it packed.
fn plain(chunk: Chunk) -> Result<Chunk, WriteError> {
    let mut columns = SampleColumns::default();
    chunk.decode_into(TimeRange::ALL, &mut columns)?;
    let SampleColumns { t, v, h } = columns;
    Ok(Chunk::raw_columns(reba_model::RawColumns { t, v, h }))
}
