//! The open chunk of a series: appended to sample by sample.
//!
//! The stream joins the control bits of time and value, so that the commonest sample (same interval, same value)
//! is one bit. Values are decimal integers as long as they can be (the step that makes packed chunks small pays
//! here too: a value with two decimals costs 10 bits, not 55); the width of their differences adapts from sample to
//! sample. Other floats are coded by XOR with the one before (Pelkonen et al., "Gorilla", 2015).
//!
//! Most readers want the last minutes only: the chunk remembers two places in its stream to start from ([`Place`]).

use std::sync::Arc;

use super::{
    Chunk, ChunkBytes, ChunkError,
    bits::{BitReader, BitWriter, MAX_BITS},
    open_reader::OpenReader,
    reader::zigzag,
    values::{POW10, exact, exponent_of},
};
use crate::{STALE_NAN_BITS, Sample, TimeRange};

/// First byte of an open chunk.
pub(super) const TAG: u8 = 1;

/// First byte of the end of an open chunk, which is only ever in memory.
pub(super) const TAIL_TAG: u8 = 5;

/// Tag, number of samples, first time, first value.
pub(super) const HEADER: usize = 1 + 2 + 8 + 8;

/// The exponent that says "no decimal": values are coded by XOR.
pub(super) const BY_XOR: u8 = 15;

/// Bits after `1`, `10`, `110` … that a change of the interval may take.
pub(super) const TIME_WIDTHS: [u32; 5] = [7, 13, 20, 32, 64];

/// What both sides know after each sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) t: i64,
    pub(super) delta: i64,
    /// Bits of the last value.
    pub(super) bits: u64,
    /// The last value that was a decimal, as an integer; by XOR: the bits of the last value that was coded.
    pub(super) base: i64,
    /// Exponent of ten of `base`, or [`BY_XOR`].
    pub(super) exponent: u8,
    /// Decimals: width of differences. XOR: meaningful bits.
    pub(super) width: u8,
    /// XOR: zeros behind the meaningful bits.
    pub(super) trailing: u8,
    /// How many samples there are, and where the next one begins in the stream, in bits; unused by readers. They stand
    /// here because there is room.
    pub(super) samples: u8,
    pub(super) at: u16,
}

impl State {
    pub(super) fn start(t: i64, bits: u64) -> State {
        let v = f64::from_bits(bits);
        let exponent = exponent_of(v, 0).unwrap_or(if v.is_finite() { BY_XOR } else { 0 });
        State { t, bits, base: rebase(bits, exponent).unwrap_or(0), exponent, ..State::default() }
    }

    /// After a difference of `bits` bits: the width follows upwards at once, downwards by one.
    pub(super) fn adapt(&mut self, bits: u32) {
        let width = u32::from(self.width);
        self.width = if bits > width { bits } else { width - u32::from(bits + 1 < width) } as u8;
    }
}

/// A value as the base of differences; `None` if it is no decimal of that exponent.
pub(super) fn rebase(bits: u64, exponent: u8) -> Option<i64> {
    if exponent == BY_XOR { Some(bits as i64) } else { exact(f64::from_bits(bits), exponent) }
}

/// A place in the stream from which it can be read: what the state was behind a sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Bits of the sample's value.
    pub(super) value: u64,
    /// Its time, from the first sample on.
    pub(super) since_start: u32,
    pub(super) delta: u32,
    /// Where the next sample begins, in bits.
    pub(super) at: u16,
    /// Samples up to here; zero: there is no such place.
    pub(super) samples: u8,
    pub(super) exponent: u8,
    pub(super) width: u8,
    pub(super) trailing: u8,
}

/// Samples between two places: a reader that wants the last five minutes at 15 s finds them behind the older place.
const SPACING: u8 = 24;

/// The newest places. They cost 56 bytes, and only for chunks that have got so far.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    older: Place,
    newer: Place,
}

/// Floats of one series that are still being appended.
///
/// Costs 64 bytes and about one more a sample. [`OpenChunk::append`] allocates only to let its bytes grow.
#[derive(Clone, Debug, Default)]
pub struct OpenChunk {
    stream: BitWriter,
    state: State,
    places: Option<Box<Places>>,
}

/// An open chunk of one sample.
pub(super) fn one(sample: Sample) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = TAG;
    header[1] = 1;
    header[3..11].copy_from_slice(&sample.t.to_le_bytes());
    header[11..].copy_from_slice(&sample.v.to_bits().to_le_bytes());
    header
}

impl OpenChunk {
    /// Samples that fit. Half an hour at 15 s: what is longer is smaller when packed.
    pub const MAX_SAMPLES: usize = 120;

    /// An empty chunk; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; `t` must be above the last one's. `false`: the chunk is full and unchanged.
    #[inline]
    pub fn append(&mut self, t: i64, v: f64) -> bool {
        if usize::from(self.state.samples) == Self::MAX_SAMPLES {
            return false;
        }
        if self.state.samples == 0 {
            self.begin(t, v.to_bits());
        } else {
            self.push(t, v.to_bits());
        }
        self.state.samples += 1;
        if self.state.samples >= SPACING {
            self.remember();
        }
        true
    }

    fn begin(&mut self, t: i64, bits: u64) {
        let header = one(Sample { t, v: f64::from_bits(bits) });
        self.state = State::start(t, bits);
        self.stream.restart(&header, &mut self.state.at);
    }

    #[inline]
    fn put(&mut self, x: u64, n: u32) {
        self.stream.put(&mut self.state.at, x, n);
    }

    fn bytes(&self) -> &[u8] {
        self.stream.bytes(self.state.at)
    }

    /// Takes down the present place if the last one is far enough back and this one can be told in few bytes.
    #[inline]
    fn remember(&mut self) {
        let last = self.places.as_ref().map_or(0, |p| p.newer.samples);
        if self.state.samples - last < SPACING {
            return;
        }
        if let Some(place) = self.place() {
            let places = self.places.get_or_insert_default();
            places.older = places.newer;
            places.newer = place;
        }
    }

    fn place(&self) -> Option<Place> {
        let State { t, delta, bits, base, exponent, width, trailing, .. } = self.state;
        // A marker or an infinity is no base: the next sample will do.
        if rebase(bits, exponent) != Some(base) {
            return None;
        }
        Some(Place {
            value: bits,
            since_start: u32::try_from(t.checked_sub(self.start()?)?).ok()?,
            delta: u32::try_from(delta).ok()?,
            at: self.state.at,
            samples: self.state.samples,
            exponent,
            width,
            trailing,
        })
    }

    /// The newest place whose time `suits`.
    fn place_where(&self, suits: impl Fn(i64) -> bool) -> Option<(Place, i64)> {
        let places = self.places.as_ref()?;
        let start = self.start()?;
        let known = [places.newer, places.older].into_iter().filter(|p| p.samples > 0);
        known.map(|p| (p, start.wrapping_add(i64::from(p.since_start)))).find(|(_, t)| suits(*t))
    }

    /// Reads on behind a place, or everything.
    fn read_on(&self, from: Option<(Place, i64)>) -> Option<OpenReader<'_>> {
        let Some((place, t)) = from else {
            let mut reader = OpenReader::new(self.bytes()).ok()?;
            reader.left = u16::from(self.state.samples);
            return Some(reader);
        };
        Some(OpenReader {
            bits: BitReader::at(self.bytes(), usize::from(place.at)),
            state: place.state(t),
            left: u16::from(self.state.samples.saturating_sub(place.samples)),
            begun: true,
        })
    }

    fn push(&mut self, t: i64, bits: u64) {
        let delta = t.wrapping_sub(self.state.t);
        let change = delta.wrapping_sub(self.state.delta);
        let same = bits == self.state.bits;
        if change == 0 {
            self.put(if same { 0b0 } else { 0b10 }, if same { 1 } else { 2 });
        } else {
            self.put(0b11, 2);
            self.put_time(change);
            self.put(u64::from(!same), 1);
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
            self.put(0b1111, 4);
        } else {
            self.put((1 << (class + 1)) - 2, class as u32 + 1);
        }
        self.put(z, TIME_WIDTHS[class]);
    }

    fn put_value(&mut self, bits: u64) {
        let v = f64::from_bits(bits);
        if bits == STALE_NAN_BITS {
            return self.put(0b110, 3);
        }
        if self.state.exponent != BY_XOR {
            if exact(v, self.state.exponent).is_none() {
                if !v.is_finite() || bits == 1 << 63 {
                    self.put(0b1111, 4);
                    return self.put(bits, 64);
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
        self.put(0b1110, 4);
        self.put(u64::from(exponent), 4);
        (self.state.exponent, self.state.base) = (exponent, base);
        if exponent == BY_XOR {
            (self.state.width, self.state.trailing) = (0, 0);
        }
    }

    fn put_difference(&mut self, m: i64) {
        let z = zigzag(m.wrapping_sub(self.state.base));
        let bits = 64 - z.leading_zeros();
        if bits <= u32::from(self.state.width) {
            self.put(0, 1);
            self.put(z, u32::from(self.state.width));
        } else {
            self.put(0b10, 2);
            self.put(u64::from(bits - 1), 6);
            self.put(z, bits);
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
            self.put(0, 1);
            return self.put(x >> trailing, width);
        }
        let trail = 64 - lead - own;
        self.put(0b10, 2);
        self.put(u64::from(lead), 6);
        self.put(u64::from(own - 1), 6);
        self.put(x >> trail, own);
        (self.state.width, self.state.trailing) = (own as u8, trail as u8);
    }

    /// How many samples the chunk holds.
    pub fn len(&self) -> usize {
        usize::from(self.state.samples)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.state.samples == 0
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        (!self.is_empty()).then(|| Sample { t: self.state.t, v: f64::from_bits(self.state.bits) })
    }

    /// Milliseconds between the newest two samples, if there are two.
    pub fn interval(&self) -> Option<i64> {
        (self.state.samples > 1).then_some(self.state.delta)
    }

    /// Time of the oldest sample.
    pub fn start(&self) -> Option<i64> {
        self.bytes().get(3..)?.first_chunk().map(|b| i64::from_le_bytes(*b))
    }

    /// The newest sample that is not after `t`. Decodes half a [`SPACING`] on average, unless `t` is long ago.
    pub fn newest_until(&self, t: i64) -> Option<Sample> {
        let newest = self.last()?;
        if newest.t <= t {
            return Some(newest);
        }
        let place = self.place_where(|p| p <= t);
        let mut found = place.map(|(p, t)| Sample { t, v: f64::from_bits(p.value) });
        for (time, v) in self.read_on(place)? {
            if time > t {
                break;
            }
            found = Some(Sample { t: time, v });
        }
        found
    }

    /// A copy of the samples so far as a chunk, for readers. `None` if there are none.
    pub fn snapshot(&self) -> Option<Chunk> {
        let range = TimeRange { start: self.start()?, end: self.state.t };
        let mut bytes: Arc<[u8]> = Arc::from(self.bytes());
        Arc::get_mut(&mut bytes)?
            .get_mut(1..3)?
            .copy_from_slice(&u16::from(self.state.samples).to_le_bytes());
        Some(Chunk::known(range, u32::from(self.state.samples), ChunkBytes::from(bytes)))
    }

    /// The samples from `start` on, and perhaps some before, for readers who do not keep the chunk.
    pub fn snapshot_from(&self, start: i64) -> Option<Chunk> {
        let Some((place, t)) = self.place_where(|t| t < start) else { return self.snapshot() };
        let left = self.state.samples.saturating_sub(place.samples);
        if left == 0 {
            return None;
        }
        let from = usize::from(place.at) / 8;
        let stream = self.bytes().get(from..)?;
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, TAIL_HEADER + stream.len()).collect();
        let all = Arc::get_mut(&mut bytes)?;
        all.first_chunk_mut().map(|header| *header = place.tail_header(left, t))?;
        all.get_mut(TAIL_HEADER..)?.copy_from_slice(stream);
        let range = TimeRange { start: t, end: self.state.t };
        Some(Chunk::known(range, u32::from(left), ChunkBytes::from(bytes)))
    }

    /// An open chunk that goes on where the one that [`OpenChunk::snapshot`] copied was; costs decoding it once.
    pub fn resume(bytes: &[u8]) -> Result<Self, ChunkError> {
        let mut reader = OpenReader::new(bytes)?;
        let corrupt = |what| ChunkError::Corrupt { at: 0, what };
        let samples = reader.left;
        let fits = usize::from(samples) <= Self::MAX_SAMPLES && bytes.len() <= MAX_BITS / 8;
        if bytes.first() != Some(&TAG) || samples == 0 || !fits {
            return Err(corrupt("not an open chunk"));
        }
        let mut out = OpenChunk { stream: BitWriter::resume(bytes), ..OpenChunk::new() };
        let mut last = None;
        while let Some((t, _)) = reader.next() {
            if last.is_some_and(|l| l >= t) {
                return Err(corrupt("times that do not rise"));
            }
            last = Some(t);
            if reader.bits.overrun() {
                break;
            }
            // As if the samples had been appended: so the places are found again.
            let at = (HEADER * 8 + reader.bits.position()) as u16;
            out.state = State { samples: out.state.samples + 1, at, ..reader.state };
            if out.state.samples >= SPACING {
                out.remember();
            }
        }
        reader.bits.left().filter(|left| *left < 8).ok_or(corrupt("length"))?;
        out.stream.clear_rest(out.state.at);
        Ok(out)
    }

    /// Appends the samples to the columns, which is how a head seals: decode, then [`crate::encode_floats`].
    pub fn read_into(&self, t: &mut Vec<i64>, v: &mut Vec<f64>) {
        if let Some(reader) = self.read_on(None) {
            for (time, value) in reader {
                t.push(time);
                v.push(value);
            }
        }
    }

    /// Removes the samples, keeping the memory for the next ones.
    pub fn clear(&mut self) {
        (self.state.samples, self.state.at) = (0, 0);
        if let Some(places) = &mut self.places {
            **places = Places::default();
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.stream.capacity() + self.places.as_ref().map_or(0, |_| size_of::<Places>())
    }
}

/// Tag, number of samples, free bits before the first sample, state: see [`Place::tail_header`].
pub(super) const TAIL_HEADER: usize = 1 + 1 + 1 + 3 + 8 + 8 + 4;

impl Place {
    /// The state behind the sample, whose time is `t`.
    pub(super) fn state(&self, t: i64) -> State {
        State {
            t,
            delta: i64::from(self.delta),
            bits: self.value,
            base: rebase(self.value, self.exponent).unwrap_or(0),
            exponent: self.exponent,
            width: self.width,
            trailing: self.trailing,
            ..State::default()
        }
    }

    /// What stands before the stream from the byte on in which the next sample begins.
    fn tail_header(&self, left: u8, t: i64) -> [u8; TAIL_HEADER] {
        let mut out = [0; TAIL_HEADER];
        out[..6].copy_from_slice(&[
            TAIL_TAG,
            left,
            (self.at % 8) as u8,
            self.exponent,
            self.width,
            self.trailing,
        ]);
        out[6..14].copy_from_slice(&t.to_le_bytes());
        out[14..22].copy_from_slice(&self.value.to_le_bytes());
        out[22..].copy_from_slice(&self.delta.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::open_reader::decode, *};
    use crate::SampleColumns;

    #[test]
    fn a_series_of_the_head_stays_small() {
        assert_eq!(size_of::<OpenChunk>(), 64);
        assert_eq!(size_of::<Places>(), 48);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-1000i64..1000).prop_map(|i| i as f64 / 100.0),
            2 => any::<f64>(),
            1 => Just(f64::from_bits(STALE_NAN_BITS)),
            1 => Just(f64::INFINITY),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![20 => Just(15_000i64), 5 => 1..40_000i64, 1 => 1..i64::MAX / 200];
        proptest::collection::vec(step, 120)
    }

    fn bits(samples: impl IntoIterator<Item = (i64, f64)>) -> Vec<(i64, u64)> {
        samples.into_iter().map(|(t, v)| (t, v.to_bits())).collect()
    }

    proptest! {
        #[test]
        fn the_end_of_a_chunk_and_its_newest_sample_are_those_of_the_whole(
            values in proptest::collection::vec(value(), 1..=120),
            steps in steps(),
            resumed in any::<bool>(),
            pick in any::<proptest::sample::Index>(),
            shift in -1i64..=1,
        ) {
            let (mut open, mut t) = (OpenChunk::new(), 0);
            let mut all = Vec::new();
            for (step, v) in steps.iter().zip(values) {
                t += step;
                open.append(t, v);
                all.push((t, v));
            }
            if resumed {
                open = OpenChunk::resume(open.snapshot().unwrap().as_bytes().unwrap()).unwrap();
            }
            let t = all[pick.index(all.len())].0 + shift;
            let mut out = SampleColumns::default();
            if let Some(chunk) = open.snapshot_from(t) {
                chunk.decode_into(TimeRange::new(t, i64::MAX), &mut out).unwrap();
                prop_assert!(chunk.range().end == all[all.len() - 1].0);
            }
            let wanted = bits(all.iter().copied().filter(|s| s.0 >= t));
            prop_assert_eq!(bits(out.t.into_iter().zip(out.v)), wanted);
            let newest = open.newest_until(t).map(|s| (s.t, s.v));
            prop_assert_eq!(bits(newest), bits(all.into_iter().rfind(|s| s.0 <= t)));
        }

        #[test]
        fn any_bytes_are_read_as_the_end_of_a_chunk_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            bytes[0] = TAIL_TAG;
            let _ = decode(&bytes, TimeRange::ALL, &mut SampleColumns::default());
        }

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
