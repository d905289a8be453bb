//! Writing chunks as Prometheus stores and streams them.
//!
//! A chunk is the number of samples (`u16`, big-endian) and a stream of bits. Floats are Gorilla's (Pelkonen et al., VLDB
//! 2015) with Prometheus' widths. A chunk of histograms begins with what all of them share, and then tells of each number
//! how it changed; a histogram that does not share it begins a chunk of its own.

use reba_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram, HistogramSample, SampleColumns, Span, is_stale_nan,
};

use super::{
    FLOAT_HISTOGRAM, HISTOGRAM, XOR,
    write::{BitWriter, XorWriter},
};

/// Most samples of a chunk, as upstream cuts them.
pub const CHUNK_SAMPLES: usize = 120;

/// A chunk, and the times of its first and last sample in Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// The number of its encoding.
    pub encoding: u8,
    /// Time of the first sample.
    pub first: i64,
    /// Time of the last sample.
    pub last: i64,
    /// The bytes, without the number of the encoding.
    pub data: Vec<u8>,
}

/// The chunks of a series, in the order of time. A chunk has floats or histograms, never both.
pub fn encode(samples: &SampleColumns) -> Vec<EncodedChunk> {
    let (mut t, mut v, mut h) = (&samples.t[..], &samples.v[..], &samples.h[..]);
    let mut out = Vec::new();
    while !t.is_empty() || !h.is_empty() {
        let floats = h.first().map_or(t.len(), |next| t.partition_point(|t| *t < next.t));
        for (t, v) in t[..floats].chunks(CHUNK_SAMPLES).zip(v[..floats].chunks(CHUNK_SAMPLES)) {
            out.push(float_chunk(t, v));
        }
        (t, v) = (&t[floats..], &v[floats..]);
        let histograms = t.first().map_or(h.len(), |next| h.partition_point(|h| h.t <= *next));
        let (now, later) = h.split_at(histograms);
        out.extend(now.chunk_by(shares_chunk).flat_map(|run| run.chunks(CHUNK_SAMPLES)).map(histogram_chunk));
        h = later;
    }
    out
}

fn float_chunk(t: &[i64], v: &[f64]) -> EncodedChunk {
    let mut w = BitWriter::after_count(t.len());
    let mut value: Option<XorWriter> = None;
    let (mut before, mut delta) = (0i64, 0i64);
    for (i, (t, v)) in t.iter().zip(v).enumerate() {
        let step = t.wrapping_sub(before);
        match i {
            0 => w.varint(*t),
            1 => w.uvarint(step as u64),
            _ => w.varbit_ts(step.wrapping_sub(delta)),
        }
        match &mut value {
            Some(value) => value.next(*v, &mut w),
            none => *none = Some(XorWriter::first(*v, &mut w)),
        }
        (before, delta) = (*t, step);
    }
    chunk(XOR, t.first().zip(t.last()), w)
}

fn chunk(encoding: u8, times: Option<(&i64, &i64)>, w: BitWriter) -> EncodedChunk {
    let (first, last) = times.map_or((0, 0), |(first, last)| (*first, *last));
    EncodedChunk { encoding, first, last, data: w.into_bytes() }
}

/// Whether a histogram can stand in a chunk behind another. All but the first of a chunk are known to come after no reset.
fn shares_chunk(before: &HistogramSample, next: &HistogramSample) -> bool {
    let (a, b) = (&*before.h, &*next.h);
    // A staleness marker ends its chunk, whatever it looks like.
    if is_stale_nan(a.sum) || is_stale_nan(b.sum) {
        return !is_stale_nan(a.sum);
    }
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let is_gauge = |h: &Histogram| h.hint == CounterResetHint::Gauge;
    a.schema == b.schema
        && same(a.zero_threshold, b.zero_threshold)
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_values.len() == b.custom_values.len()
        && a.custom_values.iter().zip(&b.custom_values).all(|(a, b)| same(*a, *b))
        && is_gauge(a) == is_gauge(b)
        && (is_gauge(b) || !b.detect_reset(a))
}

/// Whether the counts are those of a histogram with integers: whole, exact in a float, and adding up.
fn has_integers(h: &Histogram) -> bool {
    const LARGEST: f64 = (1u64 << 53) as f64;
    let is_whole = |v: f64| v <= LARGEST && ((v as u64) as f64).to_bits() == v.to_bits();
    let mut sum = h.zero_count;
    for v in h.positive_buckets.iter().chain(&h.negative_buckets) {
        if !is_whole(*v) {
            return false;
        }
        sum += v;
    }
    is_whole(h.count) && is_whole(h.zero_count) && (sum == h.count || (h.sum.is_nan() && sum < h.count))
}

/// Encodes histograms of one layout.
fn histogram_chunk(run: &[HistogramSample]) -> EncodedChunk {
    let mut w = BitWriter::after_count(run.len());
    let first = run.first();
    let integers = run.iter().all(|s| is_stale_nan(s.h.sum) || has_integers(&s.h));
    if integers {
        put_histograms::<Integers>(run, &mut w);
    } else {
        put_histograms::<Floats>(run, &mut w);
    }
    let encoding = if integers { HISTOGRAM } else { FLOAT_HISTOGRAM };
    chunk(encoding, first.zip(run.last()).map(|(a, b)| (&a.t, &b.t)), w)
}

fn put_histograms<C: PutCounts>(run: &[HistogramSample], w: &mut BitWriter) {
    let mut state: Option<(Counter, C, XorWriter)> = None;
    for HistogramSample { t, h } in run {
        let stale = is_stale_nan(h.sum);
        match &mut state {
            None => {
                let marker;
                // A staleness marker has nothing but its sum.
                let h = if stale {
                    marker = Histogram { sum: h.sum, ..Histogram::default() };
                    &marker
                } else {
                    &**h
                };
                put_layout(h, w);
                w.varbit_int(*t);
                let (counts, sum) = C::first(h, w);
                state = Some((Counter::first(*t), counts, sum));
            }
            Some((time, counts, sum)) => {
                time.next(*t, w);
                counts.next(h, stale, sum, w);
            }
        }
    }
}

/// Writes what all histograms of a chunk share, and what is known of a reset before the first.
fn put_layout(h: &Histogram, w: &mut BitWriter) {
    let hint = match h.hint {
        CounterResetHint::Unknown => 0b00,
        CounterResetHint::NotCounterReset => 0b01,
        CounterResetHint::CounterReset => 0b10,
        CounterResetHint::Gauge => 0b11,
    };
    w.put(hint << 6, 8);
    put_zero_threshold(h.zero_threshold, w);
    w.varbit_int(i64::from(h.schema));
    put_spans(&h.positive_spans, w);
    put_spans(&h.negative_spans, w);
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        w.varbit_uint(h.custom_values.len() as u64);
        h.custom_values.iter().for_each(|v| put_bound(*v, w));
    }
}

/// A byte stands for the powers of two that anyone uses.
fn put_zero_threshold(v: f64, w: &mut BitWriter) {
    let exponent = (v.to_bits() >> 52) as i64 - 1023;
    let is_power = v > 0.0 && v.to_bits() << 12 == 0;
    match exponent {
        _ if v.to_bits() == 0 => w.put(0, 8),
        -243..=10 if is_power => w.put((exponent + 244) as u64, 8),
        _ => {
            w.put(255, 8);
            w.f64(v);
        }
    }
}

fn put_spans(spans: &[Span], w: &mut BitWriter) {
    w.varbit_uint(spans.len() as u64);
    for span in spans {
        w.varbit_uint(u64::from(span.length));
        w.varbit_int(i64::from(span.offset));
    }
}

/// Bounds of custom buckets are mostly whole thousandths, and small.
fn put_bound(v: f64, w: &mut BitWriter) {
    const LARGEST: f64 = 33_554_430.0;
    let thousandths = (v * 1000.0).round();
    if (0.0..=LARGEST).contains(&(v * 1000.0)) && (thousandths / 1000.0).to_bits() == v.to_bits() {
        w.varbit_uint(thousandths as u64 + 1);
    } else {
        w.put(0, 1);
        w.f64(v);
    }
}

/// A number that is written as the change of its change.
#[derive(Clone, Copy, Debug)]
struct Counter {
    value: i64,
    delta: i64,
}

impl Counter {
    fn first(value: i64) -> Self {
        Counter { value, delta: 0 }
    }

    fn next(&mut self, value: i64, w: &mut BitWriter) {
        let delta = value.wrapping_sub(self.value);
        w.varbit_int(delta.wrapping_sub(self.delta));
        (self.value, self.delta) = (value, delta);
    }
}

/// The numbers of a histogram: how the first is written, and how each next one.
trait PutCounts: Sized {
    /// Writes those of the first sample, and its sum.
    fn first(h: &Histogram, w: &mut BitWriter) -> (Self, XorWriter);
    /// Writes what changed; of a staleness marker, no buckets.
    fn next(&mut self, h: &Histogram, stale: bool, sum: &mut XorWriter, w: &mut BitWriter);
}

/// Integer counts; buckets are differences of neighbours.
struct Integers {
    count: Counter,
    zero_count: Counter,
    buckets: Vec<Counter>,
}

/// Differences of neighbours, of both signs one after the other.
fn deltas(h: &Histogram) -> impl Iterator<Item = i64> {
    [&h.positive_buckets, &h.negative_buckets].into_iter().flat_map(|side| {
        let mut before = 0;
        side.iter().map(move |v| {
            let delta = *v as i64 - before;
            before = *v as i64;
            delta
        })
    })
}

impl PutCounts for Integers {
    fn first(h: &Histogram, w: &mut BitWriter) -> (Self, XorWriter) {
        w.varbit_uint(h.count as u64);
        w.varbit_uint(h.zero_count as u64);
        let sum = XorWriter::first(h.sum, w);
        deltas(h).for_each(|d| w.varbit_int(d));
        let of = |v: f64| Counter::first(v as i64);
        let buckets = deltas(h).map(Counter::first).collect();
        (Integers { count: of(h.count), zero_count: of(h.zero_count), buckets }, sum)
    }

    fn next(&mut self, h: &Histogram, stale: bool, sum: &mut XorWriter, w: &mut BitWriter) {
        if stale {
            // No change of the change, as upstream; nobody reads it.
            w.varbit_int(0);
            w.varbit_int(0);
            return sum.next(h.sum, w);
        }
        self.count.next(h.count as i64, w);
        self.zero_count.next(h.zero_count as i64, w);
        sum.next(h.sum, w);
        self.buckets.iter_mut().zip(deltas(h)).for_each(|(counter, d)| counter.next(d, w));
    }
}

/// Float counts; buckets are absolute.
struct Floats {
    count: XorWriter,
    zero_count: XorWriter,
    buckets: Vec<XorWriter>,
}

impl PutCounts for Floats {
    fn first(h: &Histogram, w: &mut BitWriter) -> (Self, XorWriter) {
        let (count, zero_count) = (XorWriter::first(h.count, w), XorWriter::first(h.zero_count, w));
        let sum = XorWriter::first(h.sum, w);
        let buckets = h.positive_buckets.iter().chain(&h.negative_buckets);
        let buckets = buckets.map(|v| XorWriter::first(*v, w)).collect();
        (Floats { count, zero_count, buckets }, sum)
    }

    fn next(&mut self, h: &Histogram, stale: bool, sum: &mut XorWriter, w: &mut BitWriter) {
        let (count, zero_count) = if stale { (0.0, 0.0) } else { (h.count, h.zero_count) };
        self.count.next(count, w);
        self.zero_count.next(zero_count, w);
        sum.next(h.sum, w);
        if !stale {
            let values = h.positive_buckets.iter().chain(&h.negative_buckets);
            self.buckets.iter_mut().zip(values).for_each(|(bucket, v)| bucket.next(*v, w));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use reba_model::STALE_NAN;

    use super::{super::decode, *};

    fn data(samples: &[(i64, f64)]) -> Vec<u8> {
        let (t, v) = samples.iter().copied().unzip();
        encode(&SampleColumns { t, v, h: Vec::new() }).pop().unwrap().data
    }

    /// Worked out by hand from the description of the format.
    #[test]
    fn the_bits_of_floats_are_those_that_prometheus_writes() {
        // Zigzag of 1 is 2; 1.0 is 0x3ff0…
        assert_eq!(data(&[(1, 1.0)]), [0, 1, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        // Difference 15, equal value: one zero bit.
        assert_eq!(data(&[(1, 1.0), (16, 1.0)])[11..], [15, 0]);
        // Then no change of the difference and the value 2.0: XOR 0x7ff0…, 1 leading zero, 11 bits.
        // 0 | 0 | 11 00001 001011 11111111111 → 0_0_110000 10010111 11111111 11(000000)
        assert_eq!(
            data(&[(1, 1.0), (16, 1.0), (31, 2.0)])[11..],
            [15, 0b0011_0000, 0b1001_0111, 0b1111_1111, 0b1100_0000]
        );
    }

    /// As above.
    #[test]
    fn the_bits_of_histograms_are_those_that_prometheus_writes() {
        let h = Histogram {
            count: 3.0,
            sum: 1.0,
            zero_threshold: 0.25,
            zero_count: 1.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![2.0],
            ..Histogram::default()
        };
        let sample = |t, h: Histogram| HistogramSample { t, h: Arc::new(h) };
        let chunks = encode(&SampleColumns { h: vec![sample(4, h.clone())], ..SampleColumns::default() });
        // Hint 00…; 2^-2 is 242; schema 0: 0; one span 10 001, length 10 001, offset 10 001; none: 0; time 10 100;
        // count 10 011, zero count 10 001, 1.0, bucket 10 010.
        let head = "00000000 11110010 0 10001 10001 10001 0 10100 10011 10001";
        let text = format!("{head} {:064b} 10010", 1f64.to_bits()).replace(' ', "");
        let mut want = vec![0, 1];
        want.extend(text.as_bytes().chunks(8).map(|b| {
            let bits = format!("{:0<8}", std::str::from_utf8(b).unwrap());
            u8::from_str_radix(&bits, 2).unwrap()
        }));
        assert_eq!(chunks, [EncodedChunk { encoding: HISTOGRAM, first: 4, last: 4, data: want }]);
        let half = Histogram { count: 2.5, positive_buckets: vec![1.5], ..h };
        let chunks = encode(&SampleColumns { h: vec![sample(4, half)], ..SampleColumns::default() });
        assert_eq!((chunks[0].encoding, chunks.len()), (FLOAT_HISTOGRAM, 1));
    }

    #[test]
    fn chunks_end_where_their_samples_no_longer_share_a_layout() {
        let h =
            |count: f64, hint| Arc::new(Histogram { count, zero_count: count, hint, ..Histogram::default() });
        let (unknown, reset) = (CounterResetHint::Unknown, CounterResetHint::CounterReset);
        let stale = Arc::new(Histogram { sum: STALE_NAN, ..Histogram::default() });
        let gauge = |count| h(count, CounterResetHint::Gauge);
        // A reset that only the counts show, one that the hint shows, a marker that ends its chunk, one that is a chunk,
        // a float behind an integer, gauges.
        let list = [
            [h(1.0, unknown), h(2.0, unknown), h(1.0, unknown), h(3.0, reset), Arc::clone(&stale)],
            [stale, h(4.0, unknown), h(4.5, unknown), gauge(5.0), gauge(4.0)],
        ];
        let list = list.into_iter().flatten();
        let h = list.zip(1..).map(|(h, t)| HistogramSample { t: t * 10, h }).collect();
        let samples = SampleColumns { t: vec![1, 2, 85], v: vec![0.5, 0.5, 0.5], h };
        let got: Vec<_> = encode(&samples).into_iter().map(|c| (c.encoding, c.first, c.last)).collect();
        let integers = [(HISTOGRAM, 10, 20), (HISTOGRAM, 30, 30), (HISTOGRAM, 40, 50), (HISTOGRAM, 60, 60)];
        let rest = [(FLOAT_HISTOGRAM, 70, 80), (XOR, 85, 85), (HISTOGRAM, 90, 100)];
        assert_eq!(got, [&[(XOR, 1, 2)][..], &integers, &rest].concat());
    }

    fn histogram() -> impl Strategy<Value = Histogram> {
        let number = || prop_oneof![4 => (0u32..5).prop_map(f64::from), 1 => 0.0..9.0f64, 1 => (1u64 << 40..1 << 50).prop_map(|n| n as f64)];
        let side = move || {
            let spans = prop::collection::vec((-3i32..4, 0u32..4), 0..3);
            (spans, prop::collection::vec(number(), 12))
        };
        let threshold =
            prop_oneof![Just(0.0), Just(1e-128), Just(0.125), Just(2f64.powi(-128)), Just(2f64.powi(10))];
        let hint = prop_oneof![
            4 => Just(CounterResetHint::Unknown), 1 => Just(CounterResetHint::CounterReset),
            1 => Just(CounterResetHint::NotCounterReset), 1 => Just(CounterResetHint::Gauge)
        ];
        let sum = prop_oneof![3 => any::<f64>(), 1 => Just(STALE_NAN)];
        let schema = prop_oneof![Just(0), Just(-4), Just(CUSTOM_BUCKETS_SCHEMA)];
        (schema, hint, threshold, side(), side(), (sum, number(), any::<bool>())).prop_map(
            |(schema, hint, zero_threshold, positive, negative, (sum, zero_count, adds_up))| {
                let custom = schema == CUSTOM_BUCKETS_SCHEMA;
                let side = |(spans, values): (Vec<(i32, u32)>, Vec<f64>)| {
                    let spans: Vec<Span> =
                        spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
                    let n = spans.iter().map(|s| s.length as usize).sum();
                    (spans, values[..n].to_vec())
                };
                let ((positive_spans, positive_buckets), (negative_spans, negative_buckets)) =
                    (side(positive), side(negative));
                let all: f64 = positive_buckets.iter().chain(&negative_buckets).sum::<f64>() + zero_count;
                let count = if adds_up { all } else { all + 1.0 };
                let custom_values = if custom { vec![-1.0, 0.005, 2.5, 1e9, 1.0 / 3.0] } else { Vec::new() };
                Histogram {
                    schema,
                    hint,
                    zero_threshold,
                    zero_count,
                    count,
                    sum,
                    positive_spans,
                    positive_buckets,
                    negative_spans,
                    negative_buckets,
                    custom_values,
                }
            },
        )
    }

    /// Histograms of which some are like the one before, only grown.
    fn histograms() -> impl Strategy<Value = Vec<HistogramSample>> {
        let one = (prop::option::weighted(0.3, histogram()), 1i64..100_000, 0u32..3);
        prop::collection::vec(one, 0..30).prop_map(|list| {
            let (mut t, mut last) = (-500_000, Histogram::default());
            let grow = |(new, gap, by): (Option<Histogram>, i64, u32)| {
                t += gap;
                last = new.unwrap_or_else(|| {
                    let mut h = last.clone();
                    let by = f64::from(by);
                    h.zero_count += by;
                    h.positive_buckets.iter_mut().chain(&mut h.negative_buckets).for_each(|n| *n += by);
                    let buckets = h.positive_buckets.len() + h.negative_buckets.len();
                    h.count += by * (buckets as f64 + 1.0);
                    h.sum += by;
                    h
                });
                HistogramSample { t, h: Arc::new(last.clone()) }
            };
            list.into_iter().map(grow).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_floats_come_back(samples in prop::collection::vec(any::<(i64, u64)>(), 0..300)) {
            let (mut t, mut v): (Vec<i64>, Vec<u64>) = samples.into_iter().unzip();
            t.sort_unstable();
            t.dedup();
            v.truncate(t.len());
            let samples = SampleColumns { t, v: v.into_iter().map(f64::from_bits).collect(), h: Vec::new() };
            let mut out = SampleColumns::default();
            for chunk in encode(&samples) {
                prop_assert_eq!(chunk.encoding, XOR);
                decode(chunk.encoding, &chunk.data, &mut out).unwrap();
            }
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!((&out.t, bits(&out.v)), (&samples.t, bits(&samples.v)));
        }

        #[test]
        fn any_histograms_come_back(h in histograms()) {
            let samples = SampleColumns { h, ..SampleColumns::default() };
            let mut out = SampleColumns::default();
            for chunk in encode(&samples) {
                let before = out.h.len();
                decode(chunk.encoding, &chunk.data, &mut out).unwrap();
                prop_assert_eq!((chunk.first, chunk.last), (out.h[before].t, out.h.last().unwrap().t));
            }
            prop_assert_eq!(out.h.len(), samples.h.len());
            for (i, (got, want)) in out.h.iter().zip(&samples.h).enumerate() {
                prop_assert_eq!(got.t, want.t);
                if is_stale_nan(want.h.sum) {
                    prop_assert!(is_stale_nan(got.h.sum) && got.h.positive_buckets.is_empty());
                    continue;
                }
                // Compared as text: of a NaN no more than its bits is equal.
                let plain = |h: &Histogram| format!("{:?}", Histogram { hint: CounterResetHint::Unknown, sum: 0.0, ..h.clone() });
                prop_assert_eq!(plain(&got.h), plain(&want.h));
                prop_assert_eq!(got.h.sum.to_bits(), want.h.sum.to_bits());
                let is_gauge = |h: &Histogram| h.hint == CounterResetHint::Gauge;
                prop_assert_eq!(is_gauge(&got.h), is_gauge(&want.h));
                let fresh = i == 0 || is_stale_nan(samples.h[i - 1].h.sum);
                if !fresh && !is_gauge(&want.h) && want.h.hint != CounterResetHint::NotCounterReset {
                    prop_assert_eq!(got.h.detect_reset(&out.h[i - 1].h), want.h.detect_reset(&samples.h[i - 1].h));
                }
            }
        }
    }
}
