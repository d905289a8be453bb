//! Interned label pairs of a shard, and which series have them.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use reba_model::PackedPair;
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

/// Index of a pair in its shard's table.
pub(crate) type PairId = u32;

/// Slots of series, rising. Most pairs belong to a few series, a few pairs to very many.
#[derive(Clone, Debug)]
pub(crate) enum Postings {
    Few(Vec<u32>),
    Many(Box<RoaringBitmap>),
}

/// Above this many a bitmap is smaller and faster than a list.
const FEW: usize = 32;

impl Postings {
    pub(crate) fn insert(&mut self, slot: u32) {
        match self {
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
            Postings::Few(list) => list.retain(|s| !dead.contains(*s)),
            Postings::Many(set) => **set -= dead,
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Postings::Few(list) => list.len() as u64,
            Postings::Many(set) => set.len(),
        }
    }

    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Postings::Few(list) => list.iter().copied().collect(),
            Postings::Many(set) => RoaringBitmap::clone(set),
        }
    }

    pub(crate) fn intersects(&self, set: &RoaringBitmap) -> bool {
        match self {
            Postings::Few(list) => list.iter().any(|s| set.contains(*s)),
            Postings::Many(own) => !own.is_disjoint(set),
        }
    }

    pub(crate) fn add_to(&self, out: &mut RoaringBitmap) {
        match self {
            Postings::Few(list) => out.extend(list.iter().copied()),
            Postings::Many(set) => *out |= &**set,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pair {
    /// Name and value in the packed form of [`reba_model::Labels`].
    packed: Box<str>,
    value_at: u32,
    pub(crate) postings: Postings,
}

impl Pair {
    pub(crate) fn packed(&self) -> &str {
        &self.packed
    }

    pub(crate) fn value(&self) -> &str {
        self.packed.get(self.value_at as usize..).unwrap_or_default()
    }
}

/// All pairs of a shard.
#[derive(Debug, Default)]
pub(crate) struct PairTable {
    pairs: Vec<Pair>,
    free: Vec<PairId>,
    by_text: HashTable<PairId>,
    names: BTreeMap<Box<str>, Vec<PairId>>,
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
        let entry = Pair {
            packed: pair.packed.into(),
            value_at: (pair.packed.len() - pair.value.len()) as u32,
            postings: Postings::Few(Vec::new()),
        };
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
            values.push(id);
        } else {
            self.names.insert(pair.name.into(), vec![id]);
        }
        id
    }

    /// Names of labels, sorted, with the pairs of each.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &[PairId])> {
        self.names.iter().map(|(n, ids)| (&**n, ids.as_slice()))
    }

    /// Pairs with this name, in no order.
    pub(crate) fn values_of(&self, name: &str) -> &[PairId] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Forgets the series `dead` and the pairs that only they had.
    pub(crate) fn remove_series(&mut self, dead: &RoaringBitmap) {
        let pairs = &mut self.pairs;
        let (by_text, free) = (&mut self.by_text, &mut self.free);
        for ids in self.names.values_mut() {
            ids.retain(|id| {
                let pair = &mut pairs[*id as usize];
                pair.postings.remove_all(dead);
                if pair.postings.len() > 0 {
                    return true;
                }
                if let Ok(entry) = by_text.find_entry(hash(&pair.packed), |other| other == id) {
                    entry.remove();
                }
                pair.packed = Box::default();
                pair.postings = Postings::Few(Vec::new());
                free.push(*id);
                false
            });
            ids.shrink_to_fit();
        }
        self.names.retain(|_, ids| !ids.is_empty());
    }

    /// Bytes of the texts.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.pairs.iter().map(|p| p.packed.len() as u64).sum()
    }
}
