//! Filters of ids: is this one of them, for sure not or with one chance in 256?
//!
//! Binary fuse filters with three segments and eight bits (Graf, Lemire: Binary fuse filters, 2022).

use super::{
    BlockError, MAX_ROWS,
    wire::{Reader, push_varint},
};

/// Attempts with other seeds; each fails with a chance of a few percent at most.
const ATTEMPTS: u64 = 64;

/// The hash of an id.
pub(crate) fn hash(id: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id)
}

#[derive(Clone, Copy)]
struct Plan {
    seed: u64,
    segment: u32,
    segments: u32,
}

impl Plan {
    fn of(keys: usize) -> Self {
        let n = (keys.max(2)) as f64;
        let segment = 1u32 << (n.ln() / 3.33f64.ln() + 2.25).floor().clamp(2.0, 18.0) as u32;
        let factor = (0.875 + 0.25 * 1e6f64.ln() / n.ln()).max(1.125);
        let slots = (n * factor).round() as u32;
        let segments = slots.div_ceil(segment).saturating_sub(2).max(1);
        Plan { seed: 0, segment, segments }
    }

    fn slots(self) -> usize {
        (self.segments as usize + 2) * self.segment as usize
    }

    fn mix(self, hash: u64) -> u64 {
        // The finalizer of MurmurHash3.
        let h = hash.wrapping_add(self.seed);
        let h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }

    fn places(self, mixed: u64) -> [usize; 3] {
        let first = (u128::from(mixed) * u128::from(self.segments * self.segment)) >> 64;
        let first = first as u32;
        let mask = self.segment - 1;
        [
            first as usize,
            ((first + self.segment) ^ ((mixed >> 18) as u32 & mask)) as usize,
            ((first + 2 * self.segment) ^ (mixed as u32 & mask)) as usize,
        ]
    }
}

fn fingerprint(mixed: u64) -> u8 {
    (mixed ^ (mixed >> 32)) as u8
}

/// Writes a filter of the hashes; whether that was possible.
pub(crate) fn build(mut hashes: Vec<u64>, out: &mut Vec<u8>) -> bool {
    hashes.sort_unstable();
    hashes.dedup();
    let mut plan = Plan::of(hashes.len());
    for attempt in 0..ATTEMPTS {
        plan.seed = attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Some(order) = peel(plan, &hashes) {
            let mut slots = vec![0u8; plan.slots()];
            for (mixed, place) in order.into_iter().rev() {
                let [a, b, c] = plan.places(mixed);
                slots[place] = 0;
                slots[place] = fingerprint(mixed) ^ slots[a] ^ slots[b] ^ slots[c];
            }
            push_varint(out, attempt);
            push_varint(out, hashes.len() as u64);
            out.extend(slots);
            return true;
        }
    }
    false
}

/// An order in which every key has a slot that no key after it needs.
fn peel(plan: Plan, hashes: &[u64]) -> Option<Vec<(u64, usize)>> {
    let mut slots = vec![(0u64, 0u32); plan.slots()];
    for hash in hashes {
        let mixed = plan.mix(*hash);
        for place in plan.places(mixed) {
            slots[place].0 ^= mixed;
            slots[place].1 += 1;
        }
    }
    let mut alone: Vec<usize> = (0..slots.len()).filter(|i| slots[*i].1 == 1).collect();
    let mut order = Vec::with_capacity(hashes.len());
    while let Some(place) = alone.pop() {
        let (mixed, keys) = slots[place];
        if keys != 1 {
            continue;
        }
        order.push((mixed, place));
        for other in plan.places(mixed) {
            slots[other].0 ^= mixed;
            slots[other].1 -= 1;
            if slots[other].1 == 1 {
                alone.push(other);
            }
        }
    }
    (order.len() == hashes.len()).then_some(order)
}

/// Whether an id may be among those of the filter.
pub(crate) fn may_hold(filter: &[u8], hash: u64) -> Result<bool, BlockError> {
    let mut reader = Reader::new(filter);
    let attempt = reader.varint()?;
    let mut plan = Plan::of(reader.count(MAX_ROWS)?);
    plan.seed = attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let slots = reader.take(plan.slots())?;
    let mixed = plan.mix(hash);
    let [a, b, c] = plan.places(mixed);
    Ok(slots[a] ^ slots[b] ^ slots[c] == fingerprint(mixed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_and_few_others_are() {
        for n in [1usize, 2, 3, 10, 100, 1000, 4681, 8192] {
            let ids: Vec<u64> = (0..n as u64).map(|i| hash(&i.to_le_bytes())).collect();
            let mut filter = Vec::new();
            assert!(build(ids.clone(), &mut filter), "{n}");
            assert!(ids.iter().all(|id| may_hold(&filter, *id).unwrap()), "{n}");
            let others =
                (0..4000u64).filter(|i| may_hold(&filter, hash(&(i + 100_000).to_le_bytes())).unwrap());
            assert!(others.count() < 50, "{n}");
        }
    }

    #[test]
    fn damaged_filters_are_refused() {
        assert!(may_hold(&[], 1).is_err());
        assert!(may_hold(&[0, 200, 1], 1).is_err());
    }
}
