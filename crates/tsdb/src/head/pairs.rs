//! Interned label pairs of a shard, and which series have them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use hashbrown::HashTable;
use reba_model::PackedPair;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use super::pages::Pages;

/// Index of a pair in its shard's table.
pub(crate) type PairId = u32;

/// Slots of series, rising. Most pairs belong to one series or a few, a few pairs to very many.
#[derive(Clone, Debug, Default)]
pub(crate) enum Postings {
    #[default]
    None,
    One(u32),
    #[expect(clippy::box_collection, reason = "the many that are no list take sixteen bytes instead of 24")]
    Few(Box<Vec<u32>>),
    Many(Box<RoaringBitmap>),
}

/// Above this many a bitmap is smaller and faster than a list.
const FEW: usize = 32;

impl Postings {
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
            Postings::None => *self = Postings::One(slot),
            Postings::One(one) if *one == slot => {}
            Postings::One(one) => {
                *self = Postings::Few(Box::new(vec![slot.min(*one), slot.max(*one)]));
            }
            Postings::Few(list) => {
                if list.last().is_none_or(|l| *l < slot) {
                    list.push(slot);
                } else if let Err(at) = list.binary_search(&slot) {
                    list.insert(at, slot);
                }
                if list.len() > FEW {
                    *self = Postings::Many(Box::new(list.iter().copied().collect()));
                }
            }
            Postings::Many(set) => {
                set.insert(slot);
            }
        }
    }

    fn remove_all(&mut self, dead: &RoaringBitmap) {
        match self {
            Postings::None => {}
            Postings::One(slot) => {
                if dead.contains(*slot) {
                    *self = Postings::None;
                }
            }
            Postings::Few(list) => {
                list.retain(|s| !dead.contains(*s));
                if list.is_empty() {
                    *self = Postings::None;
                }
            }
            Postings::Many(set) => {
                **set -= dead;
                if set.len() <= FEW as u64 / 2 {
                    let left = std::mem::take(&mut **set);
                    *self = Postings::None;
                    left.into_iter().for_each(|slot| self.insert(slot));
                }
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Postings::None => 0,
            Postings::One(_) => 1,
            Postings::Few(list) => list.len() as u64,
            Postings::Many(set) => set.len(),
        }
    }

    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        let mut out = RoaringBitmap::new();
        if let Postings::Many(set) = self {
            out.clone_from(set);
        } else {
            self.add_to(&mut out);
        }
        out
    }

    pub(crate) fn intersects(&self, set: &RoaringBitmap) -> bool {
        match self {
            Postings::None => false,
            Postings::One(slot) => set.contains(*slot),
            Postings::Few(list) => list.iter().any(|s| set.contains(*s)),
            Postings::Many(own) => !own.is_disjoint(set),
        }
    }

    pub(crate) fn add_to(&self, out: &mut RoaringBitmap) {
        match self {
            Postings::None => {}
            Postings::One(slot) => {
                out.insert(*slot);
            }
            Postings::Few(list) => out.extend(list.iter().copied()),
            Postings::Many(set) => *out |= &**set,
        }
    }

    /// Bytes of memory beside the sixteen of the enum.
    fn heap_bytes(&self) -> usize {
        match self {
            Postings::None | Postings::One(_) => 0,
            Postings::Few(list) => size_of::<Vec<u32>>() + 4 * list.capacity(),
            Postings::Many(set) => size_of::<RoaringBitmap>() + set.serialized_size(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pair {
    /// Name and value in the packed form of [`reba_model::Labels`].
    packed: Box<str>,
    pub(crate) postings: Postings,
}

impl Pair {
    pub(crate) fn packed(&self) -> &str {
        &self.packed
    }

    pub(crate) fn value(&self) -> &str {
        PackedPair::read(&self.packed, 0).map_or("", |p| p.value)
    }

    fn name(&self) -> &str {
        PackedPair::read(&self.packed, 0).map_or("", |p| p.name)
    }
}

/// All pairs of a shard.
#[derive(Debug, Default)]
pub(crate) struct PairTable {
    pairs: Pages<Pair>,
    free: Vec<PairId>,
    by_text: HashTable<PairId>,
    names: BTreeMap<Box<str>, Values>,
}

/// Lists longer than this are not kept in order: sorting them again after each change would be noticed.
const KEPT_IN_ORDER: usize = 16_384;

/// The pairs with one name.
#[derive(Debug, Default)]
struct Values {
    /// In no order.
    ids: Vec<PairId>,
    /// By value, from the first time somebody asks for them until one comes or goes: dashboards ask for the same few lists again
    /// and again.
    in_order: OnceLock<Box<[PairId]>>,
}

fn hash(packed: &str) -> u64 {
    xxh3_64(packed.as_bytes())
}

impl PairTable {
    pub(crate) fn get(&self, id: PairId) -> &Pair {
        &self.pairs[id as usize]
    }

    pub(crate) fn postings_mut(&mut self, id: PairId) -> &mut Postings {
        &mut self.pairs[id as usize].postings
    }

    pub(crate) fn find(&self, packed: &str) -> Option<PairId> {
        self.by_text.find(hash(packed), |id| *self.pairs[*id as usize].packed == *packed).copied()
    }

    /// The pair with this text, interned if it is new.
    pub(crate) fn intern(&mut self, pair: PackedPair<'_>) -> PairId {
        if let Some(id) = self.find(pair.packed) {
            return id;
        }
        let entry = Pair { packed: pair.packed.into(), postings: Postings::None };
        let id = if let Some(id) = self.free.pop() {
            self.pairs[id as usize] = entry;
            id
        } else {
            self.pairs.push(entry);
            (self.pairs.len() - 1) as PairId
        };
        let pairs = &self.pairs;
        self.by_text.insert_unique(hash(pair.packed), id, |id| hash(&pairs[*id as usize].packed));
        if let Some(values) = self.names.get_mut(pair.name) {
            values.ids.push(id);
            values.in_order.take();
        } else {
            self.names.insert(pair.name.into(), Values { ids: vec![id], ..Values::default() });
        }
        id
    }

    /// Names of labels, sorted, with the pairs of each.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &[PairId])> {
        self.names.iter().map(|(n, values)| (&**n, values.ids.as_slice()))
    }

    /// Pairs with this name, in no order.
    pub(crate) fn values_of(&self, name: &str) -> &[PairId] {
        self.names.get(name).map_or(&[], |values| values.ids.as_slice())
    }

    /// Pairs with this name, by value unless there are very many.
    pub(crate) fn values_in_order(&self, name: &str) -> &[PairId] {
        let Some(values) = self.names.get(name) else { return &[] };
        if values.ids.len() > KEPT_IN_ORDER {
            return &values.ids;
        }
        values.in_order.get_or_init(|| {
            let mut ids: Box<[PairId]> = values.ids.as_slice().into();
            ids.sort_unstable_by_key(|id| self.get(*id).value());
            ids
        })
    }

    /// Forgets the series `dead`, whose pairs are `touched`, and the pairs that only they had.
    pub(crate) fn remove_series(&mut self, dead: &RoaringBitmap, touched: &RoaringBitmap) {
        let mut orphans = RoaringBitmap::new();
        // Names of orphans, each once: pairs that came together are mostly of the same few names.
        let mut names: BTreeSet<Box<str>> = BTreeSet::new();
        for id in touched {
            let pair = &mut self.pairs[id as usize];
            pair.postings.remove_all(dead);
            if pair.postings.len() > 0 {
                continue;
            }
            orphans.insert(id);
            if !names.contains(pair.name()) {
                names.insert(pair.name().into());
            }
            let pair = &self.pairs[id as usize];
            if let Ok(entry) = self.by_text.find_entry(hash(&pair.packed), |other| *other == id) {
                entry.remove();
            }
            self.pairs[id as usize].packed = Box::default();
            self.free.push(id);
        }
        for name in names {
            let Some(Values { ids, in_order }) = self.names.get_mut(&name) else { continue };
            in_order.take();
            ids.retain(|id| !orphans.contains(*id));
            if ids.is_empty() {
                self.names.remove(&name);
            } else if ids.len() < ids.capacity() / 4 {
                ids.shrink_to(2 * ids.len());
            }
        }
        if self.by_text.len() < self.by_text.capacity() / 4 {
            let pairs = &self.pairs;
            self.by_text.shrink_to(2 * self.by_text.len(), |id| hash(&pairs[*id as usize].packed));
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let own: usize = self.pairs.iter().map(|p| p.packed.len() + p.postings.heap_bytes()).sum();
        let in_order = |values: &Values| values.in_order.get().map_or(0, |ids| ids.len());
        let ids: usize =
            self.names.values().map(|values| 4 * (values.ids.capacity() + in_order(values))).sum();
        (own + ids + self.pairs.memory_bytes() + 5 * self.by_text.capacity()) as u64
    }

    /// Bytes of the texts.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.pairs.iter().map(|p| p.packed.len() as u64).sum()
    }
}
