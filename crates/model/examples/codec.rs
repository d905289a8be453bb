//! Prints what the chunk codecs make of typical series: bytes a sample (times included) and speed.
//!
//! `cargo run --release -p reba-model --example codec`

#![expect(clippy::print_stdout, reason = "a table is what this program is for")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{hint::black_box, time::Instant};

use reba_model::{
    Chunk, ChunkBytes, OpenChunk, SampleColumns, TimeRange, encode_floats, encode_times, encode_values,
};

const SERIES: usize = 16;
const SAMPLES: usize = 5760;

/// Splitmix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

type Step = fn(&mut Random, f64, usize) -> f64;

/// Kinds of series: name and how a value follows from the one before.
const KINDS: [(&str, f64, Step); 11] = [
    ("constant", 42.0, |_, v, _| v),
    ("slow counter", 1_000.0, |r, v, _| v + f64::from(u8::from(r.below(20) == 0))),
    ("counter, resets", 100_000.0, |r, v, _| if r.below(400) == 0 { 0.0 } else { v + r.below(40) as f64 }),
    ("histogram bucket", 5_000.0, |r, v, _| v + r.below(9) as f64),
    ("CPU seconds (2 decimals)", 12_345.67, |r, v, _| ((v + r.unit() * 0.6) * 100.0).round() / 100.0),
    ("float sum", 1_234.5, |r, v, _| v + r.unit() * 3.0),
    ("float sum, mostly idle", 1_234.5, |r, v, _| if r.below(5) == 0 { v + r.unit() * 3.0 } else { v }),
    ("integer gauge", 200.0, |r, v, _| (v + r.normal() * 4.0).round().max(0.0)),
    ("bytes gauge (pages)", 5e8, |r, v, _| ((v / 4096.0 + r.normal() * 200.0).round() * 4096.0).abs()),
    ("gauge, 2 decimals", 50.0, |r, v, _| ((v + r.normal()) * 100.0).round() / 100.0),
    ("random float", 0.5, |r, _, _| r.unit() * 100.0),
];

fn series(step: Step, start: f64, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let mut v = start;
    (0..SAMPLES)
        .map(|i| {
            v = step(&mut random, v, i);
            v
        })
        .collect()
}

/// Bytes a sample; million samples a second to encode and to decode.
struct Figures {
    bytes: f64,
    encode: f64,
    decode: f64,
}

fn measure(
    t: &[i64],
    all: &[Vec<f64>],
    n: usize,
    encode: impl Fn(&[i64], &[f64]) -> Chunk,
    bytes: impl Fn(&Chunk) -> usize,
) -> Figures {
    let (mut encode_time, mut decode_time, mut total, mut samples) = (0.0, 0.0, 0, 0);
    let mut out = SampleColumns::default();
    for v in all {
        for (t, v) in t.chunks(n).zip(v.chunks(n)) {
            let (mut fast_encode, mut fast_decode) = (f64::MAX, f64::MAX);
            let mut chunk = encode(t, v);
            for _ in 0..5 {
                let start = Instant::now();
                chunk = black_box(encode(black_box(t), black_box(v)));
                fast_encode = start.elapsed().as_secs_f64().min(fast_encode);
                out.clear();
                let start = Instant::now();
                chunk.decode_into(TimeRange::ALL, black_box(&mut out)).unwrap();
                fast_decode = start.elapsed().as_secs_f64().min(fast_decode);
            }
            assert_eq!(out.t, t);
            assert!(out.v.iter().zip(v).all(|(a, b)| a.to_bits() == b.to_bits()));
            encode_time += fast_encode;
            decode_time += fast_decode;
            total += bytes(&chunk);
            samples += t.len();
        }
    }
    let samples = samples as f64;
    Figures {
        bytes: total as f64 / samples,
        encode: samples / encode_time / 1e6,
        decode: samples / decode_time / 1e6,
    }
}

fn packed(t: &[i64], v: &[f64]) -> Chunk {
    let mut bytes = Vec::new();
    encode_floats(t, v, &mut bytes);
    Chunk::from_bytes(ChunkBytes::from(bytes.as_slice())).unwrap()
}

/// Values only: the column of times is shared by so many series that it costs nothing.
fn shared(t: &[i64], v: &[f64]) -> Chunk {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    encode_times(t, &mut times);
    encode_values(v, &mut values);
    Chunk::from_columns(ChunkBytes::from(times.as_slice()), ChunkBytes::from(values.as_slice())).unwrap()
}

fn open(t: &[i64], v: &[f64]) -> Chunk {
    let mut open = OpenChunk::new();
    for (t, v) in t.iter().zip(v) {
        assert!(open.append(*t, *v));
    }
    open.snapshot().unwrap()
}

fn table(title: &str, t: &[i64]) {
    println!("\n{title}: bytes a sample, million samples a second encode/decode\n");
    println!("| kind | open 120 | packed 120 | packed 480 | packed 5760 | values only 480 |");
    println!("|---|---|---|---|---|---|");
    for (kind, start, step) in KINDS {
        let all: Vec<Vec<f64>> = (0..SERIES).map(|i| series(step, start, i as u64)).collect();
        let whole = |c: &Chunk| c.as_bytes().map_or(0, <[u8]>::len);
        let mut cells = vec![measure(t, &all, OpenChunk::MAX_SAMPLES, open, whole)];
        for n in [120, 480, 5760] {
            cells.push(measure(t, &all, n, packed, whole));
        }
        let values = |c: &Chunk| c.value_bytes().map_or(0, <[u8]>::len);
        cells.push(measure(t, &all, 480, shared, values));
        let cells: Vec<String> =
            cells.iter().map(|f| format!("{:.2} ({:.0}/{:.0})", f.bytes, f.encode, f.decode)).collect();
        println!("| {kind} | {} |", cells.join(" | "));
    }
}

fn main() {
    let aligned: Vec<i64> = (0..SAMPLES as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    table("aligned times", &aligned);
    let mut random = Random(99);
    let jitter: Vec<i64> = aligned.iter().map(|t| t + (random.normal() * 3.0).round() as i64).collect();
    table("jitter of 3 ms", &jitter);
}
