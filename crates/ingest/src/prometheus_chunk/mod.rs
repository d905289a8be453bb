//! Prometheus' chunks: XOR floats, and native histograms with integer or float counts. Its blocks hold them, and remote
//! read streams them.

mod bits;
mod encode;
mod write;

use std::sync::Arc;

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, HistogramSample, SampleColumns, Span, is_stale_nan,
};

use thiserror::Error;

use self::bits::{Bits, Xor};
pub use self::encode::{CHUNK_SAMPLES, EncodedChunk, encode};

/// Bytes are no chunk.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadChunk(pub &'static str);

const XOR: u8 = 1;
const HISTOGRAM: u8 = 2;
const FLOAT_HISTOGRAM: u8 = 3;

/// Adds the samples of a chunk to `out`.
pub fn decode(encoding: u8, data: &[u8], out: &mut SampleColumns) -> Result<(), BadChunk> {
    let Some((count, data)) = data.split_first_chunk() else { return Err(BadChunk("a chunk is too short")) };
    let count = u16::from_be_bytes(*count);
    match encoding {
        XOR => floats(count, data, out).ok_or(BadChunk("malformed float chunk")),
        HISTOGRAM => histograms::<Integers>(count, data, out).ok_or(BadChunk("malformed histogram chunk")),
        FLOAT_HISTOGRAM => {
            histograms::<Floats>(count, data, out).ok_or(BadChunk("malformed histogram chunk"))
        }
        _ => Err(BadChunk(
            "a chunk has an encoding that is not known (Prometheus 2 writes none but 1, 2 and 3)",
        )),
    }
}

fn floats(count: u16, data: &[u8], out: &mut SampleColumns) -> Option<()> {
    let mut bits = Bits::new(data);
    let (mut t, mut delta, mut v) = (0i64, 0i64, Xor::default());
    for i in 0..count {
        match i {
            0 => {
                t = bits.varint()?;
                v = Xor::first(bits.f64()?);
            }
            1 => {
                delta = bits.uvarint()? as i64;
                t = t.wrapping_add(delta);
                v.next(&mut bits)?;
            }
            _ => {
                delta = delta.wrapping_add(bits.varbit_ts()?);
                t = t.wrapping_add(delta);
                v.next(&mut bits)?;
            }
        }
        out.push(t, v.value());
    }
    Some(())
}

/// What all histograms of a chunk share.
struct Layout {
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    positive: Vec<Span>,
    negative: Vec<Span>,
    custom_values: Vec<f64>,
}

impl Layout {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let hint = match bits.bits(8)? >> 6 {
            0b10 => CounterResetHint::CounterReset,
            0b11 => CounterResetHint::Gauge,
            // That there was no reset is said of the chunk before, which may not be the one that is read before.
            _ => CounterResetHint::Unknown,
        };
        let zero_threshold = match bits.bits(8)? {
            0 => 0.0,
            255 => bits.f64()?,
            n => 2f64.powi(n as i32 - 244),
        };
        let schema = i32::try_from(bits.varbit_int()?).ok()?;
        let (positive, negative) = (spans(bits)?, spans(bits)?);
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            let n = bits.varbit_uint()?;
            for _ in 0..n {
                custom_values.push(match bits.varbit_uint()? {
                    0 => bits.f64()?,
                    v => (v - 1) as f64 / 1000.0,
                });
            }
        }
        Some(Layout { hint, schema, zero_threshold, positive, negative, custom_values })
    }

    /// The hint of the sample with this number.
    fn hint(&self, i: u16) -> CounterResetHint {
        match self.hint {
            CounterResetHint::Gauge => CounterResetHint::Gauge,
            _ if i > 0 => CounterResetHint::NotCounterReset,
            hint => hint,
        }
    }
}

fn spans(bits: &mut Bits<'_>) -> Option<Vec<Span>> {
    let n = bits.varbit_uint()?;
    let mut out = Vec::new();
    for _ in 0..n {
        let length = u32::try_from(bits.varbit_uint()?).ok()?;
        out.push(Span { length, offset: i32::try_from(bits.varbit_int()?).ok()? });
    }
    Some(out)
}

/// Buckets of these spans. Each takes a bit at least, which bounds what a damaged chunk can ask for.
fn buckets(spans: &[Span], bits: &Bits<'_>) -> Option<usize> {
    let n: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    usize::try_from(n).ok().filter(|n| *n <= bits.left())
}

/// The numbers of a histogram, each told by what changed since the sample before.
trait Counts: Sized {
    /// Reads those of the first sample: count, zero count, and so many buckets.
    fn first(bits: &mut Bits<'_>, positive: usize, negative: usize) -> Option<(Self, Xor)>;
    /// Reads those of the next; the sum comes back, and the rest stays as it is if that is the staleness marker.
    fn next(&mut self, bits: &mut Bits<'_>, sum: &mut Xor) -> Option<()>;
    /// Count, zero count, positive and negative buckets, absolute.
    fn values(&self) -> (f64, f64, Vec<f64>, Vec<f64>);
}

fn histograms<C: Counts>(count: u16, data: &[u8], out: &mut SampleColumns) -> Option<()> {
    let mut bits = Bits::new(data);
    if count == 0 {
        return Some(());
    }
    let layout = Layout::read(&mut bits)?;
    let mut t = bits.varbit_int()?;
    let (positive, negative) = (buckets(&layout.positive, &bits)?, buckets(&layout.negative, &bits)?);
    let (mut counts, mut sum) = C::first(&mut bits, positive, negative)?;
    let mut delta = 0i64;
    for i in 0..count {
        if i > 0 {
            delta = delta.wrapping_add(bits.varbit_int()?);
            t = t.wrapping_add(delta);
            counts.next(&mut bits, &mut sum)?;
        }
        let h = if is_stale_nan(sum.value()) {
            Histogram { sum: sum.value(), ..Histogram::default() }
        } else {
            let (count, zero_count, positive_buckets, negative_buckets) = counts.values();
            Histogram {
                schema: layout.schema,
                hint: layout.hint(i),
                zero_threshold: layout.zero_threshold,
                zero_count,
                count,
                sum: sum.value(),
                positive_spans: layout.positive.clone(),
                positive_buckets,
                negative_spans: layout.negative.clone(),
                negative_buckets,
                custom_values: layout.custom_values.clone(),
            }
        };
        out.h.push(HistogramSample { t, h: Arc::new(h) });
    }
    Some(())
}

/// A number, and its distance from the one before.
#[derive(Clone, Copy, Debug)]
struct Counter {
    value: i64,
    delta: i64,
}

impl Counter {
    fn first(value: i64) -> Self {
        Counter { value, delta: 0 }
    }

    fn next(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        self.delta = self.delta.wrapping_add(bits.varbit_int()?);
        self.value = self.value.wrapping_add(self.delta);
        Some(())
    }
}

/// Integer counts; buckets are differences of neighbours.
struct Integers {
    count: Counter,
    zero_count: Counter,
    positive: Vec<Counter>,
    negative: Vec<Counter>,
}

impl Counts for Integers {
    fn first(bits: &mut Bits<'_>, positive: usize, negative: usize) -> Option<(Self, Xor)> {
        let count = Counter::first(bits.varbit_uint()? as i64);
        let zero_count = Counter::first(bits.varbit_uint()? as i64);
        let sum = Xor::first(bits.f64()?);
        let mut side = |n| (0..n).map(|_| bits.varbit_int().map(Counter::first)).collect::<Option<Vec<_>>>();
        Some((Integers { count, zero_count, positive: side(positive)?, negative: side(negative)? }, sum))
    }

    fn next(&mut self, bits: &mut Bits<'_>, sum: &mut Xor) -> Option<()> {
        self.count.next(bits)?;
        self.zero_count.next(bits)?;
        if is_stale_nan(sum.next(bits)?) {
            return Some(());
        }
        self.positive.iter_mut().chain(&mut self.negative).try_for_each(|c| c.next(bits))
    }

    fn values(&self) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let absolute = |side: &[Counter]| {
            let deltas: Vec<i64> = side.iter().map(|c| c.value).collect();
            let mut out = Vec::with_capacity(deltas.len());
            reba_model::histogram::absolute_counts(&deltas, &mut out);
            out
        };
        let (count, zero) = (self.count.value as u64 as f64, self.zero_count.value as u64 as f64);
        (count, zero, absolute(&self.positive), absolute(&self.negative))
    }
}

/// Float counts; buckets are absolute.
struct Floats {
    count: Xor,
    zero_count: Xor,
    positive: Vec<Xor>,
    negative: Vec<Xor>,
}

impl Counts for Floats {
    fn first(bits: &mut Bits<'_>, positive: usize, negative: usize) -> Option<(Self, Xor)> {
        let mut one = || bits.f64().map(Xor::first);
        let (count, zero_count, sum) = (one()?, one()?, one()?);
        let mut side = |n| (0..n).map(|_| one()).collect::<Option<Vec<_>>>();
        Some((Floats { count, zero_count, positive: side(positive)?, negative: side(negative)? }, sum))
    }

    fn next(&mut self, bits: &mut Bits<'_>, sum: &mut Xor) -> Option<()> {
        self.count.next(bits)?;
        self.zero_count.next(bits)?;
        if is_stale_nan(sum.next(bits)?) {
            return Some(());
        }
        self.positive.iter_mut().chain(&mut self.negative).try_for_each(|c| c.next(bits).map(drop))
    }

    fn values(&self) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let values = |side: &[Xor]| side.iter().map(Xor::value).collect();
        (self.count.value(), self.zero_count.value(), values(&self.positive), values(&self.negative))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_written_by_prometheus_is_read_bit_by_bit() {
        // Three samples, 15 s apart but for the last, put together by hand after the format's description:
        // t 1000 v 1.5; t 16000 v 1.5; t 31001 v -2.
        let mut bits = String::new();
        let head = [0xd0, 0x0f].into_iter().chain(1.5f64.to_be_bytes()).chain([0x98, 0x75]);
        bits.extend(head.map(|b: u8| format!("{b:08b}")));
        bits.push('0');
        bits.push_str(&format!("10{:014b}", 1));
        let xor = 1.5f64.to_bits() ^ (-2.0f64).to_bits();
        let significant = 64 - xor.leading_zeros() - xor.trailing_zeros();
        bits.push_str(&format!("11{:05b}{:06b}", xor.leading_zeros(), significant));
        bits.push_str(&format!("{:0width$b}", xor >> xor.trailing_zeros(), width = significant as usize));
        while !bits.len().is_multiple_of(8) {
            bits.push('0');
        }
        let mut data = vec![0, 3];
        data.extend((0..bits.len()).step_by(8).map(|i| u8::from_str_radix(&bits[i..i + 8], 2).unwrap()));
        let mut out = SampleColumns::default();
        decode(XOR, &data, &mut out).unwrap();
        assert_eq!((out.t, out.v), (vec![1000, 16_000, 31_001], vec![1.5, 1.5, -2.0]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(encoding in 0u8..5, data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(encoding, &data, &mut SampleColumns::default());
        }
    }
}
