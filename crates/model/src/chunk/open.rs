//! The open chunk of a series: appended to sample by sample.
//!
//! The stream joins the control bits of time and value, so that the commonest sample (same interval, same value)
//! is one bit. Values are decimal integers as long as they can be (the step that makes packed chunks small pays
//! here too: a value with two decimals costs 10 bits, not 55); the width of their differences adapts from sample to
//! sample. Other floats are coded by XOR with the one before (Pelkonen et al., "Gorilla", 2015).

use std::sync::Arc;

use super::{
    Chunk, ChunkBytes, ChunkError,
    bits::{BitReader, BitWriter},
    reader::{unzigzag, zigzag},
    values::{POW10, exact, exponent_of},
};
use crate::{STALE_NAN_BITS, Sample, SampleColumns, TimeRange};

/// First byte of an open chunk.
pub(super) const TAG: u8 = 1;

/// Tag, number of samples, first time, first value.
const HEADER: usize = 1 + 2 + 8 + 8;

/// The exponent that says "no decimal": values are coded by XOR.
const BY_XOR: u8 = 15;

/// Bits after `1`, `10`, `110` … that a change of the interval may take.
const TIME_WIDTHS: [u32; 5] = [7, 13, 20, 32, 64];

/// What both sides know after each sample.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    t: i64,
    delta: i64,
    /// Bits of the last value.
    bits: u64,
    /// The last value that was a decimal, as an integer; by XOR: the bits of the last value that was coded.
    base: i64,
    /// Exponent of ten of `base`, or [`BY_XOR`].
    exponent: u8,
    /// Decimals: width of differences. XOR: meaningful bits.
    width: u8,
    /// XOR: zeros behind the meaningful bits.
    trailing: u8,
}

impl State {
    fn start(t: i64, bits: u64) -> State {
        let v = f64::from_bits(bits);
        let exponent = exponent_of(v, 0).unwrap_or(if v.is_finite() { BY_XOR } else { 0 });
        State { t, bits, base: rebase(bits, exponent).unwrap_or(0), exponent, ..State::default() }
    }

    /// After a difference of `bits` bits: the width follows upwards at once, downwards by one.
    fn adapt(&mut self, bits: u32) {
        let width = u32::from(self.width);
        self.width = if bits > width { bits } else { width - u32::from(bits + 1 < width) } as u8;
    }
}

/// A value as the base of differences; `None` if it is no decimal of that exponent.
fn rebase(bits: u64, exponent: u8) -> Option<i64> {
    if exponent == BY_XOR { Some(bits as i64) } else { exact(f64::from_bits(bits), exponent) }
}

/// Floats of one series that are still being appended.
///
/// Costs 80 bytes and about one more a sample. [`OpenChunk::append`] allocates only to let its bytes grow.
#[derive(Clone, Debug, Default)]
pub struct OpenChunk {
    stream: BitWriter,
    state: State,
    samples: u16,
}

impl OpenChunk {
    /// Samples that fit. Half an hour at 15 s: what is longer is smaller when packed, and an instant query decodes
    /// an open chunk from its beginning.
    pub const MAX_SAMPLES: usize = 120;

    /// An empty chunk; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; `t` must be above the last one's. `false`: the chunk is full and unchanged.
    #[inline]
    pub fn append(&mut self, t: i64, v: f64) -> bool {
        if usize::from(self.samples) == Self::MAX_SAMPLES {
            return false;
        }
        if self.samples == 0 {
            self.begin(t, v.to_bits());
        } else {
            self.stream.reserve(24);
            self.push(t, v.to_bits());
        }
        self.samples += 1;
        true
    }

    fn begin(&mut self, t: i64, bits: u64) {
        self.stream.clear();
        self.stream.reserve(HEADER + 8);
        self.stream.put_bytes(&[TAG, 0, 0]);
        self.stream.put_bytes(&t.to_le_bytes());
        self.stream.put_bytes(&bits.to_le_bytes());
        self.state = State::start(t, bits);
    }

    fn push(&mut self, t: i64, bits: u64) {
        let delta = t.wrapping_sub(self.state.t);
        let change = delta.wrapping_sub(self.state.delta);
        let same = bits == self.state.bits;
        if change == 0 {
            self.stream.put(if same { 0b0 } else { 0b10 }, if same { 1 } else { 2 });
        } else {
            self.stream.put(0b11, 2);
            self.put_time(change);
            self.stream.put(u64::from(!same), 1);
        }
        self.state.t = t;
        self.state.delta = delta;
        if !same {
            self.put_value(bits);
            self.state.bits = bits;
        }
    }

    fn put_time(&mut self, change: i64) {
        let z = zigzag(change);
        let bits = 64 - z.leading_zeros();
        let class = TIME_WIDTHS.iter().position(|w| *w >= bits).unwrap_or(TIME_WIDTHS.len() - 1);
        // `class` ones, and a zero unless it is the last class.
        if class == TIME_WIDTHS.len() - 1 {
            self.stream.put(0b1111, 4);
        } else {
            self.stream.put((1 << (class + 1)) - 2, class as u32 + 1);
        }
        self.stream.put(z, TIME_WIDTHS[class]);
    }

    fn put_value(&mut self, bits: u64) {
        let v = f64::from_bits(bits);
        if bits == STALE_NAN_BITS {
            return self.stream.put(0b110, 3);
        }
        if self.state.exponent != BY_XOR {
            if exact(v, self.state.exponent).is_none() {
                if !v.is_finite() || bits == 1 << 63 {
                    self.stream.put(0b1111, 4);
                    return self.stream.put(bits, 64);
                }
                self.put_exponent(v);
            }
            if let Some(m) = rebase(bits, self.state.exponent).filter(|_| self.state.exponent != BY_XOR) {
                return self.put_difference(m);
            }
        }
        self.put_xor(bits);
    }

    /// Moves to an exponent that suits `v` and the value before it, or away from decimals.
    fn put_exponent(&mut self, v: f64) {
        let old = self.state.base as f64 / POW10[usize::from(self.state.exponent)];
        let found = exponent_of(v, self.state.exponent + 1).and_then(|e| Some((e, exact(old, e)?)));
        let (exponent, base) = found.unwrap_or((BY_XOR, old.to_bits() as i64));
        self.stream.put(0b1110, 4);
        self.stream.put(u64::from(exponent), 4);
        (self.state.exponent, self.state.base) = (exponent, base);
        if exponent == BY_XOR {
            (self.state.width, self.state.trailing) = (0, 0);
        }
    }

    fn put_difference(&mut self, m: i64) {
        let z = zigzag(m.wrapping_sub(self.state.base));
        let bits = 64 - z.leading_zeros();
        if bits <= u32::from(self.state.width) {
            self.stream.put(0, 1);
            self.stream.put(z, u32::from(self.state.width));
        } else {
            self.stream.put(0b10, 2);
            self.stream.put(u64::from(bits - 1), 6);
            self.stream.put(z, bits);
        }
        self.state.base = m;
        self.state.adapt(bits);
    }

    fn put_xor(&mut self, bits: u64) {
        let x = bits ^ self.state.base as u64;
        self.state.base = bits as i64;
        let (width, trailing) = (u32::from(self.state.width), u32::from(self.state.trailing));
        let fits = x.trailing_zeros() >= trailing && x.leading_zeros() + width + trailing >= 64;
        let (lead, trail) = (x.leading_zeros().min(63), x.trailing_zeros().min(63));
        let own = 64 - lead - trail.min(63 - lead);
        if fits && width <= own + 12 {
            self.stream.put(0, 1);
            return self.stream.put(x >> trailing, width);
        }
        let trail = 64 - lead - own;
        self.stream.put(0b10, 2);
        self.stream.put(u64::from(lead), 6);
        self.stream.put(u64::from(own - 1), 6);
        self.stream.put(x >> trail, own);
        (self.state.width, self.state.trailing) = (own as u8, trail as u8);
    }

    /// How many samples the chunk holds.
    pub fn len(&self) -> usize {
        usize::from(self.samples)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        (!self.is_empty()).then(|| Sample { t: self.state.t, v: f64::from_bits(self.state.bits) })
    }

    /// Time of the oldest sample.
    pub fn start(&self) -> Option<i64> {
        self.stream.bytes.get(3..)?.first_chunk().map(|b| i64::from_le_bytes(*b))
    }

    /// A copy of the samples so far as a chunk, for readers. `None` if there are none.
    pub fn snapshot(&self) -> Option<Chunk> {
        let range = TimeRange { start: self.start()?, end: self.state.t };
        let mut bytes: Arc<[u8]> = Arc::from(self.stream.bytes.as_slice());
        Arc::get_mut(&mut bytes)?.get_mut(1..3)?.copy_from_slice(&self.samples.to_le_bytes());
        Some(Chunk::known(range, u32::from(self.samples), ChunkBytes::from(bytes)))
    }

    /// An open chunk that goes on where the one that [`OpenChunk::snapshot`] copied was; costs decoding it once.
    pub fn resume(bytes: &[u8]) -> Result<Self, ChunkError> {
        let mut reader = OpenReader::new(bytes)?;
        let corrupt = |what| ChunkError::Corrupt { at: 0, what };
        let samples = reader.left;
        if bytes.first() != Some(&TAG) || samples == 0 || usize::from(samples) > Self::MAX_SAMPLES {
            return Err(corrupt("not an open chunk"));
        }
        let mut last = None;
        for (t, _) in reader.by_ref() {
            if last.is_some_and(|l| l >= t) {
                return Err(corrupt("times that do not rise"));
            }
            last = Some(t);
        }
        let free = reader.bits.left().filter(|left| *left < 8).ok_or(corrupt("length"))?;
        Ok(OpenChunk { stream: BitWriter::resume(bytes.to_vec(), free as u8), state: reader.state, samples })
    }

    /// Appends the samples to the columns, which is how a head seals: decode, then [`crate::encode_floats`].
    pub fn read_into(&self, t: &mut Vec<i64>, v: &mut Vec<f64>) {
        if let Ok(mut reader) = OpenReader::new(&self.stream.bytes) {
            reader.left = self.samples;
            for (time, value) in reader {
                t.push(time);
                v.push(value);
            }
        }
    }

    /// Removes the samples, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        self.stream.clear();
        self.samples = 0;
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.stream.bytes.capacity()
    }
}

/// Reads an open chunk sample by sample.
struct OpenReader<'a> {
    bits: BitReader<'a>,
    state: State,
    left: u16,
    begun: bool,
}

impl<'a> OpenReader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, ChunkError> {
        let truncated = ChunkError::Truncated { at: bytes.len() };
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(truncated) };
        let word = |at: usize| {
            let mut w = [0; 8];
            w.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(w)
        };
        Ok(OpenReader {
            bits: BitReader::new(&bytes[HEADER..]),
            state: State::start(word(3) as i64, word(11)),
            left: u16::from_le_bytes([header[1], header[2]]),
            begun: false,
        })
    }

    #[inline]
    fn advance(&mut self) {
        let changed = match self.bits.ones(2) {
            0 => false,
            1 => true,
            _ => {
                let class = self.bits.ones(4) as usize;
                let change = unzigzag(self.bits.get(TIME_WIDTHS[class]));
                self.state.delta = self.state.delta.wrapping_add(change);
                self.bits.get(1) == 1
            }
        };
        self.state.t = self.state.t.wrapping_add(self.state.delta);
        if changed {
            self.state.bits = self.value();
        }
    }

    #[inline]
    fn value(&mut self) -> u64 {
        loop {
            match self.bits.ones(4) {
                0 => {
                    let width = u32::from(self.state.width);
                    let x = self.bits.get(width);
                    return self.apply(x, 64 - x.leading_zeros());
                }
                1 if self.state.exponent == BY_XOR => {
                    let lead = self.bits.get(6) as u32;
                    let own = (self.bits.get(6) as u32 + 1).min(64 - lead);
                    (self.state.width, self.state.trailing) = (own as u8, (64 - lead - own) as u8);
                    let x = self.bits.get(own);
                    return self.apply(x, own);
                }
                1 => {
                    let width = self.bits.get(6) as u32 + 1;
                    let x = self.bits.get(width);
                    return self.apply(x, 64 - x.leading_zeros());
                }
                2 => return STALE_NAN_BITS,
                3 => self.change_exponent(),
                _ => return self.bits.get(64),
            }
            if self.bits.overrun() {
                return 0;
            }
        }
    }

    /// The value that lies `x` from the base: a difference, or by XOR.
    #[inline]
    fn apply(&mut self, x: u64, bits: u32) -> u64 {
        if self.state.exponent == BY_XOR {
            self.state.base ^= (x << self.state.trailing) as i64;
            return self.state.base as u64;
        }
        self.state.base = self.state.base.wrapping_add(unzigzag(x));
        self.state.adapt(bits);
        let m = self.state.base as f64;
        if self.state.exponent == 0 { m } else { m / POW10[usize::from(self.state.exponent)] }.to_bits()
    }

    fn change_exponent(&mut self) {
        let from = self.state.exponent;
        let exponent = self.bits.get(4) as u8;
        let old = POW10.get(usize::from(from)).map_or(0.0, |p| self.state.base as f64 / p);
        self.state.base = rebase(old.to_bits(), exponent).unwrap_or(0);
        self.state.exponent = exponent;
        if exponent == BY_XOR {
            (self.state.width, self.state.trailing) = (0, 0);
        }
    }
}

impl Iterator for OpenReader<'_> {
    type Item = (i64, f64);

    #[inline]
    fn next(&mut self) -> Option<(i64, f64)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.begun {
            self.advance();
        }
        self.begun = true;
        Some((self.state.t, f64::from_bits(self.state.bits)))
    }
}

/// Range and number of samples; decodes all of them, for the stream does not say its end.
pub(super) fn head(bytes: &[u8]) -> Result<(TimeRange, u32), ChunkError> {
    let mut out = SampleColumns::default();
    decode(bytes, TimeRange::ALL, &mut out)?;
    match (out.t.first(), out.t.last()) {
        (Some(start), Some(end)) => Ok((TimeRange::new(*start, *end), out.t.len() as u32)),
        _ => Err(ChunkError::Corrupt { at: 1, what: "an open chunk without samples" }),
    }
}

/// Appends the samples in `range`.
pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
    let mut reader = OpenReader::new(bytes)?;
    if usize::from(reader.left) > OpenChunk::MAX_SAMPLES {
        return Err(ChunkError::Corrupt { at: 1, what: "too many samples" });
    }
    let before = out.t.len();
    let mut last = None;
    let mut damage = None;
    while let Some((t, v)) = reader.next() {
        if reader.bits.overrun() {
            damage = Some(ChunkError::Truncated { at: bytes.len() });
            break;
        }
        if last.is_some_and(|l| l >= t) {
            damage = Some(ChunkError::Corrupt { at: HEADER, what: "times that do not rise" });
            break;
        }
        last = Some(t);
        if t > range.end {
            break;
        }
        if t >= range.start {
            out.push(t, v);
        }
    }
    damage.map_or(Ok(()), |e| {
        out.t.truncate(before);
        out.v.truncate(before);
        Err(e)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_resumed_chunk_goes_on_as_if_nothing_had_happened(
            values in proptest::collection::vec(prop_oneof![
                (-1000i64..1000).prop_map(|i| i as f64 / 100.0),
                any::<f64>(),
                Just(f64::from_bits(STALE_NAN_BITS)),
            ], 2..120),
            steps in proptest::collection::vec(prop_oneof![Just(15_000i64), 1..40_000i64], 120),
            cut in any::<proptest::sample::Index>(),
        ) {
            let cut = cut.index(values.len() - 1) + 1;
            let (mut one, mut t) = (OpenChunk::new(), 0);
            let mut two = OpenChunk::new();
            for (i, v) in values.iter().enumerate() {
                if i == cut {
                    two = OpenChunk::resume(one.snapshot().unwrap().as_bytes().unwrap()).unwrap();
                }
                t += steps[i];
                one.append(t, *v);
                two.append(t, *v);
            }
            let (one, two) = (one.snapshot().unwrap(), two.snapshot().unwrap());
            prop_assert_eq!(one.as_bytes(), two.as_bytes());
        }

        #[test]
        fn any_bytes_are_resumed_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(tag) = bytes.first_mut() {
                *tag = TAG;
            }
            let _ = OpenChunk::resume(&bytes);
        }
    }
}
