use proptest::prelude::*;

use super::*;
use crate::{CounterResetHint, Histogram, STALE_NAN, Span};

fn floats(t: &[i64], v: &[f64]) -> Chunk {
    let mut bytes = Vec::new();
    encode_floats(t, v, &mut bytes);
    Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).unwrap()
}

fn columns(t: &[i64], v: &[f64]) -> Chunk {
    let (mut times, mut values) = (vec![0; 3], Vec::new());
    encode_times(t, &mut times);
    encode_values(v, &mut values);
    let len = times.len();
    let times = ChunkBytes::part(Arc::new(times), 3..len).unwrap();
    Chunk::from_columns(times, ChunkBytes::from(values.as_slice())).unwrap()
}

fn open(t: &[i64], v: &[f64]) -> Option<Chunk> {
    let mut open = OpenChunk::new();
    for (t, v) in t.iter().zip(v).take(OpenChunk::MAX_SAMPLES) {
        assert!(open.append(*t, *v));
        assert_eq!(open.last().unwrap().t, *t);
        assert_eq!(open.last().unwrap().v.to_bits(), v.to_bits());
    }
    let snapshot = open.snapshot()?;
    let again = Chunk::from_bytes(ChunkBytes::from(snapshot.as_bytes().unwrap())).unwrap();
    assert_eq!((again.range(), again.samples()), (snapshot.range(), snapshot.samples()));
    let (mut times, mut values) = (Vec::new(), Vec::new());
    open.read_into(&mut times, &mut values);
    assert_eq!(times, t[..open.len()]);
    assert!(values.iter().zip(v).all(|(a, b)| a.to_bits() == b.to_bits()));
    Some(snapshot)
}

/// Decodes `range` and compares bit by bit with the samples it was made of.
fn check(chunk: &Chunk, t: &[i64], v: &[f64], range: TimeRange) {
    let mut out = SampleColumns::default();
    chunk.decode_into(range, &mut out).unwrap();
    let wanted = |i: &usize| range.contains(t[*i]);
    let times: Vec<i64> = (0..t.len()).filter(wanted).map(|i| t[i]).collect();
    let bits: Vec<u64> = (0..t.len()).filter(wanted).map(|i| v[i].to_bits()).collect();
    assert_eq!(out.t, times);
    assert_eq!(out.v.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits);
}

fn check_all(t: &[i64], v: &[f64], range: TimeRange) {
    for range in [TimeRange::ALL, range] {
        check(&floats(t, v), t, v, range);
        check(&columns(t, v), t, v, range);
        if let Some(chunk) = open(t, v) {
            let n = chunk.samples() as usize;
            check(&chunk, &t[..n], &v[..n], range);
        }
    }
}

fn times() -> impl Strategy<Value = Vec<i64>> {
    let steps = prop_oneof![
        4 => Just(15_000i64), 1 => 14_990..15_010i64, 1 => 1..100_000i64, 1 => Just(i64::MAX / 700)
    ];
    prop_oneof![
        (any::<i32>(), proptest::collection::vec(steps, 1..600)),
        (any::<i32>(), (1..600usize).prop_map(|n| vec![15_000i64; n])),
        (any::<i32>(), proptest::collection::vec(14_995..15_005i64, 1..600)),
    ]
    .prop_map(|(start, steps)| {
        let mut t = i64::from(start);
        let mut out = Vec::new();
        for step in steps {
            out.push(t);
            let Some(next) = t.checked_add(step) else { break };
            t = next;
        }
        out
    })
}

/// Values as they come: of one kind for a while, with strange ones between.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let strange = prop_oneof![
        Just(STALE_NAN),
        Just(f64::INFINITY),
        Just(-0.0),
        Just(0.0),
        Just(f64::from_bits(0x7ff8_0000_0000_0001)),
        Just(f64::from_bits(0xfff8_dead_beef_0001)),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(f64::MAX),
        Just(9.3e18),
        any::<u64>().prop_map(f64::from_bits),
    ];
    let value = prop_oneof![
        6 => (0..4u8, -100_000..1_000_000i64).prop_map(|(e, m)| m as f64 / 10f64.powi(i32::from(e))),
        2 => (0..100i64).prop_map(|m| m as f64),
        1 => any::<f64>(),
        1 => strange,
    ];
    prop_oneof![
        proptest::collection::vec(value, 600),
        proptest::collection::vec(any::<u64>().prop_map(f64::from_bits), 600),
        proptest::collection::vec(0.0..100.0f64, 600),
        (any::<f64>(), 0..3i64).prop_map(|(v, k)| (0..600).map(|i| v + (i * k) as f64).collect()),
        proptest::collection::vec(prop_oneof![30 => Just(1.25), 1 => Just(STALE_NAN)], 600),
        proptest::collection::vec(0..1000i64, 600).prop_map(|v| {
            let mut sum = 0;
            v.iter()
                .map(|x| {
                    sum += x;
                    sum as f64 / 100.0
                })
                .collect()
        }),
    ]
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let spans = prop_oneof![
        Just(vec![Span { offset: -2, length: 3 }]),
        Just(vec![Span { offset: 0, length: 1 }, Span { offset: 5, length: 2 }]),
    ];
    let buckets =
        proptest::collection::vec(prop_oneof![Just(0.0), (0..900u32).prop_map(f64::from), any::<f64>()], 3);
    (spans, buckets.clone(), buckets, any::<f64>(), 0..4u8, any::<bool>()).prop_map(
        |(spans, positive, negative, sum, hint, custom)| Histogram {
            schema: if custom { crate::CUSTOM_BUCKETS_SCHEMA } else { 3 },
            hint: match hint {
                0 => CounterResetHint::Unknown,
                1 => CounterResetHint::CounterReset,
                2 => CounterResetHint::NotCounterReset,
                _ => CounterResetHint::Gauge,
            },
            zero_threshold: 0.001,
            zero_count: 3.0,
            count: 17.0,
            sum,
            positive_spans: spans.clone(),
            positive_buckets: positive,
            negative_spans: spans,
            negative_buckets: negative,
            custom_values: if custom { vec![0.1, 1.0] } else { Vec::new() },
        },
    )
}

#[test]
fn a_constant_or_slow_counter_costs_less_than_a_byte_while_open() {
    let t: Vec<i64> = (0..OpenChunk::MAX_SAMPLES as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let slow: Vec<f64> = (0..t.len()).map(|i| 1_000.0 + (i / 7) as f64).collect();
    let mut stale = vec![3.5; t.len()];
    stale[77] = STALE_NAN;
    for (v, limit) in [(vec![42.0; t.len()], 0.35), (slow, 0.5), (stale, 0.4)] {
        let bytes = open(&t, &v).unwrap().as_bytes().unwrap().len();
        assert!((bytes as f64) < limit * t.len() as f64, "{bytes} bytes");
    }
}

#[test]
fn a_full_chunk_takes_no_sample_and_can_be_used_again() {
    let mut open = OpenChunk::new();
    assert!(open.snapshot().is_none() && open.start().is_none() && open.last().is_none());
    for i in 0..OpenChunk::MAX_SAMPLES as i64 {
        assert!(open.append(i, 1.0));
    }
    assert!(!open.append(1_000_000, 2.0));
    assert_eq!(open.last().map(|s| s.t), Some(OpenChunk::MAX_SAMPLES as i64 - 1));
    open.clear();
    assert!(open.append(7, 2.0));
    assert_eq!((open.start(), open.len()), (Some(7), 1));
}

#[test]
fn a_reset_a_restart_and_a_late_scrape_hardly_cost_anything() {
    let mut t: Vec<i64> = (0..240).map(|i| i * 15_000).collect();
    let mut v: Vec<f64> = (0..240).map(|i| 100.0 + f64::from(i * i % 40 + i * 20)).collect();
    let size = |t: &[i64], v: &[f64]| {
        let mut out = Vec::new();
        encode_floats(t, v, &mut out);
        out.len()
    };
    let plain = size(&t, &v);
    v[100] = STALE_NAN;
    for v in &mut v[101..] {
        *v -= 2000.0;
    }
    t[50] += 700;
    assert!(size(&t, &v) < plain + 50, "{} {plain}", size(&t, &v));
    check_all(&t, &v, TimeRange::new(15_000, 2_000_000));
}

#[test]
fn an_empty_chunk_holds_nothing() {
    let chunk = floats(&[], &[]);
    assert_eq!(chunk.samples(), 0);
    check_all(&[], &[], TimeRange::ALL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn floats_round_trip_to_the_last_bit(t in times(), v in values(), a in 0..600usize, b in 0..600usize) {
        let t = &t[..t.len().min(v.len())];
        let at = |i: usize| t[i.min(t.len() - 1)];
        check_all(t, &v[..t.len()], TimeRange::new(at(a), at(b)));
    }

    #[test]
    fn histograms_round_trip_to_the_last_bit(
        t in times(),
        different in proptest::collection::vec(histogram(), 1..6),
        repeat in 1..40usize,
    ) {
        let h: Vec<HistogramSample> = t.iter().enumerate()
            .map(|(i, t)| HistogramSample { t: *t, h: Arc::new(different[i / repeat % different.len()].clone()) })
            .collect();
        let mut bytes = Vec::new();
        prop_assert_eq!(encode_histograms(&h, &mut bytes), h.len());
        let chunk = Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).unwrap();
        let mut out = SampleColumns::default();
        chunk.decode_into(TimeRange::ALL, &mut out).unwrap();
        prop_assert_eq!(&out.h, &h);
        let range = TimeRange::new(t[t.len() / 3], t[t.len() / 2]);
        out.clear();
        chunk.decode_into(range, &mut out).unwrap();
        prop_assert_eq!(out.h, h.into_iter().filter(|s| range.contains(s.t)).collect::<Vec<_>>());
    }

    #[test]
    fn corrupt_bytes_are_an_error_or_other_samples_but_never_a_panic(
        t in times(),
        v in values(),
        kind in 0..3u8,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        h in histogram(),
    ) {
        let n = t.len().min(v.len());
        let mut bytes = Vec::new();
        match kind {
            0 => encode_floats(&t[..n], &v[..n], &mut bytes),
            1 => bytes.extend(open(&t[..n], &v[..n]).unwrap().as_bytes().unwrap()),
            _ => {
                let h: Vec<_> = t.iter().map(|t| HistogramSample { t: *t, h: Arc::new(h.clone()) }).collect();
                let _ = encode_histograms(&h, &mut bytes);
            }
        }
        for (at, x) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= x;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(chunk) = Chunk::from_bytes(ChunkBytes::from(bytes)) {
                let mut out = SampleColumns::default();
                let _ = chunk.decode_into(TimeRange::ALL, &mut out);
                prop_assert_eq!(out.t.len(), out.v.len());
                prop_assert!(out.len() <= MAX_CHUNK_SAMPLES);
                prop_assert!(out.t.windows(2).all(|w| w[0] < w[1]));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), tag in 0..5u8) {
        let bytes: Vec<u8> = std::iter::once(tag).chain(bytes).collect();
        for chunk in [
            Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())),
            Chunk::from_columns(ChunkBytes::from(&bytes[1..]), ChunkBytes::from(bytes.as_slice())),
        ].into_iter().flatten() {
            let mut out = SampleColumns::default();
            let _ = chunk.decode_into(TimeRange::ALL, &mut out);
            prop_assert_eq!(out.t.len(), out.v.len());
        }
    }
}
