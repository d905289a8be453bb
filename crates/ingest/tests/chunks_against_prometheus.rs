//! Our encoder makes of the samples in a real Prometheus' chunks these very chunks, bit by bit. Runs where a `prometheus` is
//! at hand (named by `REBA_PROMETHEUS`, or unpacked under `target/peers`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use reba_ingest::{
    prometheus_chunk::{decode, encode},
    remote_read::question,
    remote_write::{WriteRequest, encode_histogram},
    wire::{Fields, put_bytes_field, put_double_field, put_varint, put_varint_field, read_varint},
};
use reba_model::{Histogram, Labels, MatchOp, Matcher, STALE_NAN, Sample, SampleColumns, Span, TimeRange};
use reba_storage::SelectHints;

/// Of each series: not more than we put into a chunk, for Prometheus puts some more into one.
const SAMPLES: u32 = 110;

fn peer() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/usr/bin/prometheus");
    let peer = std::env::var_os("REBA_PROMETHEUS").map_or(unpacked, PathBuf::from);
    peer.is_file().then_some(peer)
}

struct Kill(Child);

impl Drop for Kill {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of the answer; `None` while nobody listens.
fn post(port: u16, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // Version 1.0, so that the body comes as it is.
    let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let status = std::str::from_utf8(&answer[..end]).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, answer.split_off(end + 4)))
}

/// A histogram with integer counts as a message: senders of ours send floats.
fn integers(t: i64, h: &Histogram) -> Vec<u8> {
    let mut m = Vec::new();
    put_varint_field(1, h.count as u64, &mut m);
    put_double_field(3, h.sum, &mut m);
    put_varint_field(4, (h.schema << 1) as u64, &mut m);
    put_double_field(5, h.zero_threshold, &mut m);
    put_varint_field(6, h.zero_count as u64, &mut m);
    for (number, spans, buckets) in
        [(8, &h.negative_spans, &h.negative_buckets), (11, &h.positive_spans, &h.positive_buckets)]
    {
        for span in spans {
            let mut part = Vec::new();
            put_varint_field(1, u64::from(((span.offset << 1) ^ (span.offset >> 31)) as u32), &mut part);
            put_varint_field(2, u64::from(span.length), &mut part);
            put_bytes_field(number, &part, &mut m);
        }
        let (mut before, mut deltas) = (0, Vec::new());
        for count in buckets {
            let delta = *count as i64 - before;
            before = *count as i64;
            put_varint(((delta << 1) ^ (delta >> 63)) as u64, &mut deltas);
        }
        if !deltas.is_empty() {
            put_bytes_field(number + 1, &deltas, &mut m);
        }
    }
    put_varint_field(15, t as u64, &mut m);
    m
}

fn labels(name: &str) -> Vec<u8> {
    let mut pair = Vec::new();
    put_bytes_field(1, b"__name__", &mut pair);
    put_bytes_field(2, name.as_bytes(), &mut pair);
    let mut series = Vec::new();
    put_bytes_field(1, &pair, &mut series);
    series
}

/// A histogram that grows with `i`; every 40th comes after a reset, and every 7th is of one bucket more for a while.
fn histogram(i: u32, by: f64) -> Histogram {
    let n = f64::from(i % 40 * 3 + 1) * by;
    let lengths = if i % 80 < 20 { vec![3, 1] } else { vec![3, 2] };
    let positive_spans: Vec<Span> =
        lengths.iter().zip([-5, 2]).map(|(length, offset)| Span { offset, length: *length }).collect();
    let buckets: u32 = lengths.iter().sum();
    let positive_buckets: Vec<f64> = (0..buckets).map(|k| n * f64::from(k * k + 1)).collect();
    let negative_buckets = vec![2.0 * n];
    let zero_count = 5.0 * n;
    let count = zero_count + positive_buckets.iter().sum::<f64>() + negative_buckets.iter().sum::<f64>();
    Histogram {
        schema: 3,
        count,
        sum: n * 1.37,
        zero_threshold: if i < 60 { 2f64.powi(-128) } else { 0.3 },
        zero_count,
        positive_spans,
        positive_buckets,
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets,
        ..Histogram::default()
    }
}

/// A request with floats, integer histograms and float histograms; every 50th integer one is a staleness marker (2.42
/// takes one with a float count of 0 for integers).
fn request(start: i64) -> Vec<u8> {
    let time = |i: u32| start + i64::from(i) * 15_000 + i64::from(i % 3);
    let mut floats = WriteRequest::new();
    floats.begin_series(&Labels::from_pairs([("__name__", "float")]));
    for i in 0..SAMPLES {
        floats.sample(Sample { t: time(i), v: f64::from(i / 3).sqrt() });
    }
    let mut message = floats.end_series().message().to_vec();
    for name in ["integers", "floats"] {
        let mut series = labels(name);
        for i in 0..SAMPLES {
            let mut h = histogram(i, if name == "floats" { 0.5 } else { 1.0 });
            if i % 50 == 49 && name == "integers" {
                h = Histogram { sum: STALE_NAN, ..Histogram::default() };
            }
            let mut part = Vec::new();
            match name {
                "integers" => part = integers(time(i), &h),
                _ => encode_histogram(time(i), &h, &mut part),
            }
            put_bytes_field(4, &part, &mut series);
        }
        put_bytes_field(1, &series, &mut message);
    }
    snap::raw::Encoder::new().compress_vec(&message).unwrap()
}

/// Chunks of a streamed answer, by metric name.
fn chunks(mut frames: &[u8]) -> BTreeMap<String, Vec<(u8, Vec<u8>)>> {
    let mut out = BTreeMap::<String, Vec<(u8, Vec<u8>)>>::new();
    while !frames.is_empty() {
        let len = read_varint(&mut frames).unwrap() as usize;
        let (message, rest) = frames[4..].split_at(len);
        frames = rest;
        for series in Fields::new(message).map(Result::unwrap).filter(|f| f.number == 1) {
            let (mut name, mut found) = (String::new(), Vec::new());
            for field in Fields::new(series.bytes().unwrap()).map(Result::unwrap) {
                let parts: Vec<_> = Fields::new(field.bytes().unwrap()).map(Result::unwrap).collect();
                if field.number == 1 {
                    name.push_str(parts[1].string().unwrap());
                    continue;
                }
                let part = |number| parts.iter().find(|p| p.number == number).unwrap();
                found.push((part(3).varint().unwrap() as u8, part(4).bytes().unwrap().to_vec()));
            }
            out.entry(name).or_default().append(&mut found);
        }
    }
    out
}

#[test]
fn the_chunks_of_a_real_prometheus_are_those_that_we_write() {
    let Some(peer) = peer() else {
        println!("skipped: no prometheus at hand");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _peer = Kill(
        Command::new(peer)
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    let body = request(now - 40 * 60_000);
    let mut answer = None;
    for _ in 0..300 {
        answer = post(port, "/api/v1/write", &body);
        if answer.as_ref().is_some_and(|(status, _)| *status != 503) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, text) = answer.expect("prometheus does not start");
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&text));
    let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    let question = question(&all, TimeRange::new(now - 3_600_000, now), &SelectHints::default()).unwrap();
    let (status, frames) = post(port, "/api/v1/read", &question).unwrap();
    assert_eq!(status, 200);
    let found = chunks(&frames);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["float", "floats", "integers"]);
    for (name, encoding) in [("float", 1), ("integers", 2), ("floats", 3)] {
        let mut samples = 0;
        for (of, data) in &found[name] {
            assert_eq!(*of, encoding, "{name}");
            let mut columns = SampleColumns::default();
            decode(*of, data, &mut columns).unwrap();
            samples += columns.len();
            let ours = encode(&columns);
            assert_eq!(ours.len(), 1, "{name}: {columns:?}");
            let (mut ours, mut theirs) = (ours[0].data.clone(), data.clone());
            if encoding > 1 {
                // What is said of the chunk before is not known here.
                (ours[2], theirs[2]) = (ours[2] & 0x80, theirs[2] & 0x80);
            }
            assert_eq!(ours, theirs, "{name}: {columns:?}");
        }
        assert_eq!(samples, SAMPLES as usize, "{name}");
        println!("{name}: {} chunks", found[name].len());
    }
}
