//! Chunks of rollups: one column a figure. A column that the others imply is left out.

use super::{
    ChunkError,
    reader::{Reader, put_varint},
    times::{TimesHead, decode_times, encode_times, read_head},
    values::{decode_values, encode_values},
};
use crate::{Rollup, SampleColumns, TimeRange};

/// First byte of a chunk of rollups.
pub(super) const TAG: u8 = 4;

// Columns that are there, by bit. The last values and their times always are.
const FIRST_TIMES: u8 = 1;
const COUNT: u8 = 1 << 1;
const FIRST: u8 = 1 << 2;
const SUM: u8 = 1 << 3;
const MIN: u8 = 1 << 4;
const MAX: u8 = 1 << 5;
const LOST: u8 = 1 << 6;
const KNOWN: u8 = (1 << 7) - 1;

/// What a column is if it is left out.
fn implied_sum(r: &Rollup) -> f64 {
    if r.count == 0 { 0.0 } else { r.last }
}

fn implied_min(r: &Rollup) -> f64 {
    if r.last < r.first { r.last } else { r.first }
}

fn implied_max(r: &Rollup) -> f64 {
    if r.last > r.first { r.last } else { r.first }
}

/// Appends a chunk of rollups in windows of `resolution` milliseconds to `out`; they must not overlap, and rise in time. At
/// most [`crate::MAX_CHUNK_SAMPLES`].
pub fn encode_rollups(resolution: i64, rollups: &[Rollup], out: &mut Vec<u8>) {
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let any = |differs: &dyn Fn(&Rollup) -> bool, bit: u8| if rollups.iter().any(differs) { bit } else { 0 };
    let mask = any(&|r| r.first_t != r.last_t, FIRST_TIMES)
        | any(&|r| r.count != 1, COUNT)
        | any(&|r| !same(r.first, r.last), FIRST)
        | any(&|r| !same(r.sum, implied_sum(r)), SUM)
        | any(&|r| !same(r.min, implied_min(r)), MIN)
        | any(&|r| !same(r.max, implied_max(r)), MAX)
        | any(&|r| !same(r.lost, 0.0), LOST);
    out.push(TAG);
    put_varint(resolution.unsigned_abs(), out);
    out.push(mask);
    let mut column = Vec::new();
    let mut put_times = |time: fn(&Rollup) -> i64, out: &mut Vec<u8>| {
        column.clear();
        let t: Vec<i64> = rollups.iter().map(time).collect();
        encode_times(&t, &mut column);
        put_varint(column.len() as u64, out);
        out.extend_from_slice(&column);
    };
    put_times(|r| r.last_t, out);
    if mask & FIRST_TIMES != 0 {
        put_times(|r| r.first_t, out);
    }
    let mut put_figures = |bit: u8, figure: fn(&Rollup) -> f64| {
        if bit == 0 || mask & bit != 0 {
            column.clear();
            let v: Vec<f64> = rollups.iter().map(figure).collect();
            encode_values(&v, &mut column);
            put_varint(column.len() as u64, out);
            out.extend_from_slice(&column);
        }
    };
    put_figures(0, |r| r.last);
    put_figures(COUNT, |r| f64::from(r.count));
    put_figures(FIRST, |r| r.first);
    put_figures(SUM, |r| r.sum);
    put_figures(MIN, |r| r.min);
    put_figures(MAX, |r| r.max);
    put_figures(LOST, |r| r.lost);
}

/// What stands before the figures.
struct Head<'a> {
    resolution: i64,
    mask: u8,
    last_times: Reader<'a>,
    first_times: Option<Reader<'a>>,
    times: TimesHead,
    figures: Reader<'a>,
}

/// A column behind its length; the reader goes on to the next.
fn column<'a>(r: &mut Reader<'a>) -> Result<Reader<'a>, ChunkError> {
    let len = r.count(r.left(), "a column longer than the chunk")?;
    r.take(len).map(Reader::new)
}

fn read(bytes: &[u8]) -> Result<Head<'_>, ChunkError> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    let resolution = i64::try_from(r.varint()?).map_err(|_| r.corrupt("resolution"))?;
    let mask = r.u8()?;
    if mask & !KNOWN != 0 {
        return Err(r.corrupt("unknown columns"));
    }
    let last_times = column(&mut r)?;
    let first_times = (mask & FIRST_TIMES != 0).then(|| column(&mut r)).transpose()?;
    let mut times = read_head(&mut last_times.clone())?;
    if let Some(first) = &first_times {
        let head = read_head(&mut first.clone())?;
        if head.n != times.n || head.range.start > times.range.start {
            return Err(r.corrupt("times of rollups"));
        }
        times.range.start = head.range.start;
    }
    Ok(Head { resolution, mask, last_times, first_times, times, figures: r })
}

/// Number of rollups and their range, and the resolution.
pub(super) fn head(bytes: &[u8]) -> Result<(TimesHead, i64), ChunkError> {
    read(bytes).map(|h| (h.times, h.resolution))
}

/// Appends the rollups that overlap `range`.
pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut Vec<Rollup>) -> Result<(), ChunkError> {
    let Head { mask, mut last_times, first_times, times, mut figures, .. } = read(bytes)?;
    let mut last_t = Vec::new();
    let (from, to) = decode_times(&mut last_times, TimeRange::new(range.start, i64::MAX), &mut last_t)?;
    let mut first_t = Vec::new();
    match first_times {
        Some(mut r) => {
            decode_times(&mut r, TimeRange::ALL, &mut first_t)?;
            first_t = first_t.get(from..to).unwrap_or_default().to_vec();
        }
        None => first_t.clone_from(&last_t),
    }
    let apart = last_t.iter().zip(first_t.iter().skip(1)).all(|(a, b)| a < b);
    if first_t.len() != last_t.len() || !apart || first_t.iter().zip(&last_t).any(|(a, b)| a > b) {
        return Err(figures.corrupt("times of rollups"));
    }
    let mut values = |bit: u8| -> Result<Option<Vec<f64>>, ChunkError> {
        if bit != 0 && mask & bit == 0 {
            return Ok(None);
        }
        let mut v = Vec::new();
        decode_values(&mut column(&mut figures)?, times.n, from, to, &mut v)?;
        Ok(Some(v))
    };
    let last = values(0)?.unwrap_or_default();
    let [count, first, sum, min, max, lost] =
        [values(COUNT)?, values(FIRST)?, values(SUM)?, values(MIN)?, values(MAX)?, values(LOST)?];
    let at = |column: &Option<Vec<f64>>, i: usize| column.as_ref().and_then(|c| c.get(i).copied());
    for (i, ((first_t, last_t), last)) in first_t.into_iter().zip(last_t).zip(last).enumerate() {
        if first_t > range.end {
            break;
        }
        let first = at(&first, i).unwrap_or(last);
        let count = at(&count, i).map_or(1, |c| c as u32);
        let bare = Rollup { first_t, last_t, count, sum: 0.0, min: 0.0, max: 0.0, first, last, lost: 0.0 };
        out.push(Rollup {
            sum: at(&sum, i).unwrap_or_else(|| implied_sum(&bare)),
            min: at(&min, i).unwrap_or_else(|| implied_min(&bare)),
            max: at(&max, i).unwrap_or_else(|| implied_max(&bare)),
            lost: at(&lost, i).unwrap_or(0.0),
            ..bare
        });
    }
    Ok(())
}

/// Appends the samples in `range` that the rollups know.
pub(super) fn samples(rollups: &[Rollup], range: TimeRange, out: &mut SampleColumns) {
    let known = rollups.iter().flat_map(Rollup::known_samples).filter(|(t, _)| range.contains(*t));
    known.for_each(|(t, v)| out.push(t, v));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Chunk, ChunkBytes, Downsampler, STALE_NAN, is_stale_nan};

    fn encoded(rollups: &[Rollup]) -> Chunk {
        let mut bytes = Vec::new();
        encode_rollups(300_000, rollups, &mut bytes);
        Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).unwrap()
    }

    fn of(samples: &[(i64, f64)]) -> Vec<Rollup> {
        let mut d = Downsampler::new(300_000, 7_200_000);
        d.extend(samples.iter().map(|(t, v)| Rollup::sample(*t, *v)));
        d.finish()
    }

    #[test]
    fn a_steady_counter_takes_few_bytes() {
        let samples: Vec<(i64, f64)> = (0..20 * 288).map(|i| (7_000 + i * 15_000, (i * 3) as f64)).collect();
        let rollups = of(&samples);
        let mut bytes = Vec::new();
        encode_rollups(300_000, &rollups, &mut bytes);
        assert!(bytes.len() < rollups.len(), "{} bytes for {} rollups", bytes.len(), rollups.len());
        let mut alone = Vec::new();
        let single: Vec<Rollup> = samples[..100].iter().map(|(t, v)| Rollup::sample(*t, *v)).collect();
        encode_rollups(300_000, &single, &mut alone);
        assert!(alone.len() < 40, "{}", alone.len());
    }

    #[test]
    fn whoever_knows_no_rollups_reads_first_and_last_samples_and_markers() {
        let chunk = encoded(&of(&[(1000, 1.0), (2000, 9.0), (3000, 3.0), (4000, STALE_NAN), (400_000, 5.0)]));
        assert_eq!((chunk.resolution(), chunk.samples()), (Some(300_000), 3));
        assert_eq!(chunk.range(), TimeRange::new(1000, 400_000));
        let mut out = SampleColumns::default();
        chunk.decode_into(TimeRange::ALL, &mut out).unwrap();
        assert_eq!(out.t, [1000, 3000, 4000, 400_000]);
        assert!(is_stale_nan(out.v[2]));
        out.clear();
        chunk.decode_into(TimeRange::new(2000, 3000), &mut out).unwrap();
        assert_eq!((out.t, out.v), (vec![3000], vec![3.0]));
    }

    fn samples_of() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let value = prop_oneof![
            6 => (0u32..50).prop_map(f64::from),
            2 => any::<f64>(),
            1 => Just(STALE_NAN),
        ];
        proptest::collection::vec((1i64..100_000, value), 0..300).prop_map(|steps| {
            let mut t = -5_000_000;
            steps
                .into_iter()
                .map(|(gap, v)| {
                    t += gap;
                    (t, v)
                })
                .collect()
        })
    }

    fn bits(r: &Rollup) -> (i64, i64, u32, [u64; 6]) {
        (r.first_t, r.last_t, r.count, [r.sum, r.min, r.max, r.first, r.last, r.lost].map(f64::to_bits))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn rollups_round_trip_to_the_last_bit(samples in samples_of(), a in any::<prop::sample::Index>(), len in 0i64..5_000_000) {
            let rollups = of(&samples);
            if rollups.is_empty() {
                return Ok(());
            }
            let chunk = encoded(&rollups);
            let start = rollups[a.index(rollups.len())].first_t + 500;
            for range in [TimeRange::ALL, TimeRange::new(start, start + len)] {
                let mut got = Vec::new();
                chunk.rollups_into(range, &mut got).unwrap();
                let mut raw = Vec::new();
                Chunk::rollups(300_000, rollups.clone()).rollups_into(range, &mut raw).unwrap();
                let want: Vec<_> = rollups.iter()
                    .filter(|r| r.first_t <= range.end && r.last_t >= range.start).map(bits).collect();
                prop_assert_eq!(got.iter().map(bits).collect::<Vec<_>>(), want.clone());
                prop_assert_eq!(raw.iter().map(bits).collect::<Vec<_>>(), want);
            }
        }

        #[test]
        fn damaged_rollups_are_an_error_or_others_but_never_a_panic(
            samples in samples_of(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            encode_rollups(300_000, &of(&samples), &mut bytes);
            for (at, x) in damage {
                let at = at.index(bytes.len());
                bytes[at] ^= x;
            }
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                let Ok(chunk) = Chunk::from_bytes(ChunkBytes::from(bytes)) else { continue };
                let mut out = Vec::new();
                let _ = chunk.rollups_into(TimeRange::ALL, &mut out);
                prop_assert!(out.windows(2).all(|w| w[0].last_t < w[1].first_t));
                let mut columns = SampleColumns::default();
                let _ = chunk.decode_into(TimeRange::ALL, &mut columns);
                prop_assert!(columns.t.windows(2).all(|w| w[0] < w[1]));
            }
        }
    }
}
