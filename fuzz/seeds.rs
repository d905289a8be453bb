//! Writes the first inputs of the targets whose formats are binary, a folder a target in `SEEDS_FOLDER`. The inputs that
//! are text stand in `seeds/`. It is a fuzz target itself (run it with `-runs=0`), since everything is built as for one.
#![no_main]

#[path = "targets/common/store_in_memory.rs"]
mod store_in_memory;

use std::{fs, path::Path, sync::Arc};

use reba_disk::{FaultFs, Fs};
use reba_ingest::remote_write::{WriteRequest, WriteRequestV2};
use reba_model::{
    Exemplar, Histogram, HistogramSample, Labels, Metadata, MetricType, Sample, Span, TimeRange,
    encode_floats, encode_histograms, encode_times, encode_values,
};
use reba_storage::{AppendMode, MetricAppender, WriteBatch};
use store_in_memory::{T0, open, write};

fn histogram() -> Histogram {
    Histogram {
        schema: 2,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 7.0,
        sum: 12.5,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 3.0],
        ..Histogram::default()
    }
}

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "m"), ("job", "j"), ("instance", "i:1")])
}

fn exemplar() -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 1.5, t: T0 }
}

fn metadata() -> Metadata {
    Metadata { kind: MetricType::Counter, help: "Help.".to_owned(), unit: "seconds".to_owned() }
}

/// Chunks of every kind of value.
fn chunks() -> Vec<Vec<u8>> {
    let t: Vec<i64> = (0..50).map(|i| T0 + i * 15_000 + i % 3).collect();
    let columns: [Vec<f64>; 4] = [
        (0..50).map(|i| f64::from(i) * 7.0).collect(),
        (0..50).map(|i| (f64::from(i) * 0.3).sin()).collect(),
        (0..50).map(|i| f64::from(i) * 0.25).collect(),
        vec![1.0; 50],
    ];
    let mut out: Vec<Vec<u8>> = Vec::new();
    for v in &columns {
        let mut chunk = Vec::new();
        encode_floats(&t, v, &mut chunk);
        out.push(chunk);
        let mut values = Vec::new();
        encode_values(v, &mut values);
        out.push(values);
    }
    let mut times = Vec::new();
    encode_times(&t, &mut times);
    let mut histograms = Vec::new();
    let h: Vec<HistogramSample> =
        (0..9).map(|i| HistogramSample { t: T0 + i * 15_000, h: Arc::new(histogram()) }).collect();
    let _ = encode_histograms(&h, &mut histograms);
    out.extend([times, histograms]);
    out
}

/// The frames of a log or a checkpoint, each behind its length.
fn frames(segment: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 16);
    while let Ok(Some((frame, next))) = reba_disk::next_frame(segment, at) {
        out.extend((frame.len() as u16).to_le_bytes());
        out.extend(frame);
        at = next;
    }
    out
}

/// A store with everything in it: its log, then its checkpoint, then its block.
fn store(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let fs = FaultFs::new();
    let db = open(&fs);
    let series = db.series_ref(&labels()).unwrap();
    for i in 0..40 {
        write(&db, T0 + i * 360_000);
        let batch = WriteBatch {
            histograms: vec![(series, T0 + i * 360_000, Arc::new(histogram()))],
            exemplars: vec![(series, exemplar())],
            ..WriteBatch::default()
        };
        db.append(&batch, AppendMode::Partial).unwrap();
    }
    db.delete_series(&[vec![reba_model::Matcher::equal("i", "3")]], TimeRange::new(T0, T0 + 900_000))
        .unwrap();
    let file = |path: String| fs.read(Path::new(&path)).unwrap();
    let first = |dir: &str| fs.list(Path::new(dir)).unwrap()[0].name.clone();
    let log = frames(&file(format!("/db/wal/{}", first("/db/wal"))));
    save("wal", "log", [vec![0], log.clone()].concat());
    db.maintain(i64::MAX).unwrap();
    let checkpoint = frames(&file(format!("/db/checkpoint/{}", first("/db/checkpoint"))));
    save("wal", "checkpoint", [vec![1], checkpoint.clone()].concat());
    save("wal", "both", [vec![3], checkpoint, log].concat());
    db.delete_series(&[vec![reba_model::Matcher::equal("i", "3")]], TimeRange::new(T0, T0 + 1_800_000))
        .unwrap();
    // The block target's own store has no histograms, so its file of chunks is its own.
    let plain = FaultFs::new();
    let db = open(&plain);
    (0..40).for_each(|i| assert!(write(&db, T0 + i * 360_000)));
    db.maintain(i64::MAX).unwrap();
    let own = |name: &str| plain.read(Path::new(&format!("/db/blocks/0000000001/{name}"))).unwrap();
    save("block", "index", [vec![0], own("index")].concat());
    save("block", "chunks", [vec![1], own("chunks")].concat());
    save("block", "meta", [vec![3], own("meta.json")].concat());
    save("block", "index-of-another", [vec![0], file("/db/blocks/0000000001/index".to_owned())].concat());
    let tombstones = file("/db/blocks/0000000001/tombstones".to_owned());
    save("block", "tombstones", [vec![2], tombstones[8..].to_vec()].concat());
}

/// Blocks of log rows, a log of them, and a part with one block.
fn log_store(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let line = |i: usize| {
        let (id, ms) = (i * 7_654_321, i * 37 % 1000);
        format!(r#"{{"level":"info","trace_id":"{id:032x}","msg":"order_id={id} took {ms}.5 ms","user":"u{i:05}","ip":"10.0.0.{ms}"}}"#)
    };
    let lines: Vec<String> = (0..90).map(line).chain(["a=1 b=\"x y\" c".to_owned(), "plain".to_owned()]).collect();
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    let times: Vec<i64> = (0..texts.len() as i64).map(|i| T0 * 1_000_000 + i * 1_234_567).collect();
    let pairs = [("pod", "p-1")];
    let metadata: Vec<reba_columnar::block::Pairs<'_>> = vec![&pairs; texts.len()];
    let mut block = Vec::new();
    let rows = reba_columnar::block::Rows { times: &times, lines: &texts, metadata: &metadata };
    reba_columnar::block::encode(&rows, &mut block);
    save("log_block", "bytes", [vec![0], block.clone()].concat());
    save("log_block", "lines", [vec![1], texts.join("\n").into_bytes()].concat());
    // One stream without labels, one block: length, checksum, times, rows, bytes of text.
    let mut page = vec![0, 1];
    let mut number = |mut n: u64| {
        while n >= 0x80 {
            page.push(n as u8 | 0x80);
            n >>= 7;
        }
        page.push(n as u8);
    };
    number(block.len() as u64);
    page.extend(reba_disk::checksum(&block).to_le_bytes());
    page.extend([0, 0xe8, 7, 0xb8, 1, 0x90, 0x4e]);
    save("log_store", "part", [vec![1], parts(&[&page, b"\x01a\x01b\x01\0"]), block].concat());
    // Kind, number, tenant, one entry of a stream without labels: time, length of the line, no metadata; no more streams; the line.
    let record = [&[1, 1, 0, 0, 0, 0, 0, 0, 0, 4][..], b"fake", &[1, 0, 2, 4, 0, 0], b"text"].concat();
    save("log_store", "log", [vec![0], parts(&[&record])].concat());
}

/// Pushes of logs in protobuf.
fn log_pushes(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let field = |number: u32, bytes: &[u8]| {
        let mut out = Vec::new();
        reba_ingest::wire::put_bytes_field(number, bytes, &mut out);
        out
    };
    // 2023-11-14T22:13:19Z
    let time = field(1, b"\x08\xff\xe1\xcf\xaa\x06");
    let pair = field(3, &[field(1, b"trace_id"), field(2, b"abc")].concat());
    let entry = field(2, &[time, field(2, b"level=info a"), pair].concat());
    let stream = field(1, &[field(1, br#"{app="a", shop="1"}"#), entry].concat());
    save("log_push", "protobuf", [b"p".to_vec(), stream].concat());
    let text = |text: &str| field(1, text.as_bytes());
    let attribute = |number, name, value| field(number, &[text(name), field(2, &text(value))].concat());
    let mut record = Vec::new();
    reba_ingest::wire::put_fixed64_field(1, 1_700_000_000_000_000_000, &mut record);
    reba_ingest::wire::put_varint_field(2, 17, &mut record);
    record.extend([field(5, &text("failed")), attribute(6, "http.status", "500"), field(9, &[7; 16])].concat());
    let resource = field(1, &attribute(1, "service.name", "shop"));
    let scope = field(2, &[field(1, &text("lib")), field(2, &record)].concat());
    save("log_push", "otlp", [b"o".to_vec(), field(1, &[resource, scope].concat())].concat());
}

fn remote(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let mut one = WriteRequest::new();
    one.begin_series(&labels()).sample(Sample { t: T0, v: 1.5 }).exemplar(&exemplar()).end_series();
    one.begin_series(&labels()).histogram(T0 + 1, &histogram()).end_series();
    one.metadata("m", &metadata());
    save("remote_write", "v1", one.message().to_vec());
    let mut two = WriteRequestV2::new();
    two.begin_series(&labels())
        .sample(Sample { t: T0, v: 1.5 })
        .exemplar(&exemplar())
        .metadata(&metadata())
        .end_series();
    two.begin_series(&labels()).histogram(T0 + 1, &histogram()).end_series();
    save("remote_write", "v2", two.message());
    let matcher = |kind: u8, value: &str| {
        let mut out = vec![0x08, kind, 0x12, 1, b'm', 0x1a, value.len() as u8];
        out.extend(value.bytes());
        [vec![0x1a, out.len() as u8], out].concat()
    };
    let query =
        [vec![0x08, 1, 0x10, 0x90, 0x4e], matcher(0, "v"), matcher(2, "a.*|b"), matcher(3, "")].concat();
    save("remote_read", "question", [vec![0x0a, query.len() as u8], query, vec![0x12, 2, 1, 0]].concat());
    let (t, v) = (vec![T0, T0 + 15_000, T0 + 30_001], vec![1.0, 1.0, -2.5]);
    let samples = reba_model::SampleColumns { t, v, h: Vec::new() };
    for chunk in reba_ingest::prometheus_chunk::encode(&samples) {
        save("remote_read", "chunk", [vec![chunk.encoding], chunk.data].concat());
    }
}

/// Parts, each behind its length in two bytes.
fn parts(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|p| [&(p.len() as u16).to_le_bytes()[..], p].concat()).collect()
}

fn prometheus_block(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let symbols = b"\0\0\0\x03\0\x08__name__\x01m";
    let mut samples = reba_model::SampleColumns::default();
    for (t, v) in [(1000, 1.0), (16_000, 1.0), (31_001, -2.5)] {
        samples.push(t, v);
    }
    let xor = &reba_ingest::prometheus_chunk::encode(&samples)[0];
    let chunk = [vec![xor.encoding], xor.data.clone()].concat();
    // One label, and the chunk behind the head of the first file.
    let series: &[u8] = &[1, 1, 2, 1, 0xd0, 0x0f, 0xb1, 0xea, 1, 8];
    save("prometheus_block", "floats", parts(&[symbols, &[], &chunk, series]));
    save("prometheus_block", "deleted", parts(&[symbols, &[2, 0, 0x80, 0xfa, 1], &chunk, series, series]));
    let twice: &[u8] = &[1, 1, 2, 2, 0xd0, 0x0f, 0xb1, 0xea, 1, 8, 0, 0, 0];
    save("prometheus_block", "twice", parts(&[symbols, &[], &chunk, twice]));
    for (i, kind) in [2u8, 3, 4].iter().enumerate() {
        let chunk = [&[*kind, 0, 2, 0, 3][..], &[0x55; 40]].concat();
        save("prometheus_block", &format!("histograms-{i}"), parts(&[symbols, &[], &chunk, series]));
    }
}

/// What a queue of remote write holds: a series, a float, a histogram, an exemplar.
fn remote_queue(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let field = |number: u8, body: &[u8]| [&[number << 3 | 2, body.len() as u8], body].concat();
    let labels = labels();
    let series = field(1, &[vec![8, 7], field(2, labels.as_packed().as_bytes())].concat());
    let floats = field(2, &[&[14, 20][..], &1.5f64.to_le_bytes()].concat());
    let mut message = Vec::new();
    reba_ingest::remote_write::encode_histogram(T0, &histogram(), &mut message);
    let histogram = field(3, &[vec![8, 7], field(2, &message)].concat());
    let exemplar = field(4, &[vec![8, 7], field(2, labels.as_packed().as_bytes()), vec![32, 9]].concat());
    let frame = [series, floats.clone(), histogram, exemplar].concat();
    let two = parts(&[&frame, &floats]);
    save("remote_queue", "frames", [vec![1, 16, 0], two.clone()].concat());
    save("remote_queue", "segments", [vec![1, 16, 0], two.clone(), vec![0xff, 0xff], two.clone()].concat());
    save(
        "remote_queue",
        "torn",
        [vec![2, 99, 0], two.clone(), vec![0xf0, 0xff], two, vec![90, 0, 1]].concat(),
    );
    save("remote_queue", "position", b"1 3 16 4 99 7\n".to_vec());
}

fn dns(save: &mut impl FnMut(&str, &str, Vec<u8>)) {
    let records: [(u16, &[u8]); 5] = [
        (1, b"abcd"),
        (28, &[9; 16]),
        (15, b"\0\x0a\x01m\xc0\x0c"),
        (2, b"\x02ns\xc0\x0c"),
        (33, b"\0\x01\0\x02\0\x50\x01a\xc0\x0c"),
    ];
    for (i, (kind, data)) in records.iter().enumerate() {
        let mut m = vec![i as u8, 0, 7, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, b'h', 0];
        m.extend(kind.to_be_bytes());
        m.extend([0, 1, 0xc0, 12]);
        m.extend(kind.to_be_bytes());
        m.extend([0, 1, 0, 0, 0, 9]);
        m.extend((data.len() as u16).to_be_bytes());
        m.extend(*data);
        save("discovery", &format!("dns-{i}"), m);
    }
}

fn write_all() {
    let folder = std::env::var("SEEDS_FOLDER").expect("SEEDS_FOLDER says where to write");
    let mut save = |target: &str, name: &str, bytes: Vec<u8>| {
        let dir = Path::new(&folder).join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("seed-{name}")), bytes).unwrap();
    };
    for (i, chunk) in chunks().into_iter().enumerate() {
        save("chunk", &i.to_string(), chunk);
    }
    store(&mut save);
    remote(&mut save);
    log_pushes(&mut save);
    log_store(&mut save);
    remote_queue(&mut save);
    prometheus_block(&mut save);
    dns(&mut save);
}

libfuzzer_sys::fuzz_target!(init: write_all(), |_data: &[u8]| {});
