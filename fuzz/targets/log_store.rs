//! A store of logs whose write-ahead log (first byte even; frames follow, each behind its length in two bytes) or whose part (odd: a
//! stream page and a value page, each behind its length in two bytes, then blocks) holds any bytes behind right checksums: the
//! store opens without them or answers, and takes what is written next.
#![no_main]

use std::{ops::ControlFlow, path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use reba_columnar::{Columnar, ColumnarConfig};
use reba_disk::{Env, FaultFs, Fs, ManualClock, checksum, push_frame, segment_header, segment_name};
use reba_model::{Labels, LogBatch, Matcher, NanoRange, Tenant};
use reba_storage::{Budget, LogAdmin, LogAppender, LogQuerier, LogRequest, LogWant};

const T0_MS: i64 = 1_700_000_000_000;

fn open(fs: &FaultFs) -> Columnar {
    let env = Env { fs: Arc::new(fs.clone()), clock: Arc::new(ManualClock::new(T0_MS)) };
    Columnar::open(&env, "/logs", ColumnarConfig::default()).unwrap()
}

fn put(fs: &FaultFs, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    fs.create_dir_all(path.parent().unwrap()).unwrap();
    fs.create(path).unwrap().append(bytes).unwrap();
}

/// Pieces, each behind its length in two bytes.
fn piece<'d>(data: &mut &'d [u8]) -> Option<&'d [u8]> {
    let (len, rest) = data.split_first_chunk::<2>()?;
    let (piece, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
    *data = rest;
    Some(piece)
}

fn segment(mut data: &[u8]) -> Vec<u8> {
    let mut out = segment_header(1).to_vec();
    while let Some(frame) = piece(&mut data) {
        push_frame(&mut out, frame);
    }
    out
}

fn uvarint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn svarint(out: &mut Vec<u8>, n: i64) {
    uvarint(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// A frame of zstd that holds bytes as they are (RFC 8878: one segment, one raw block).
fn raw_zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(&((bytes.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    out.extend(bytes);
    out
}

/// A part with these pages, as `docs/format/logs.md` has it.
fn part(mut data: &[u8]) -> Vec<u8> {
    let pages = [piece(&mut data).unwrap_or_default(), piece(&mut data).unwrap_or_default()];
    let mut file = b"REBAPRT1".to_vec();
    file.extend(data);
    let t0 = T0_MS * 1_000_000;
    let mut directory = Vec::new();
    uvarint(&mut directory, 1);
    svarint(&mut directory, T0_MS / 86_400_000);
    directory.extend(b"\x04fake\0");
    [9, 99, 2, 2].iter().for_each(|n| uvarint(&mut directory, *n));
    [t0, t0 + 1000].iter().for_each(|ns| svarint(&mut directory, *ns));
    for (i, page) in pages.iter().enumerate() {
        let packed = raw_zstd(page);
        uvarint(&mut directory, 1);
        [file.len(), packed.len(), page.len()].iter().for_each(|n| uvarint(&mut directory, *n as u64));
        directory.extend(checksum(&packed).to_le_bytes());
        file.extend(packed);
        if i == 0 {
            // Labels of the first stream: none. Number of that stream, streams, first block, its offset, times.
            [0, 0, 2, 0, 8].iter().for_each(|n| uvarint(&mut directory, *n));
            [t0, t0 + 1000].iter().for_each(|ns| svarint(&mut directory, *ns));
        } else {
            directory.extend(b"\x01a\x01b");
        }
    }
    let offset = file.len() as u64;
    file.extend(&directory);
    file.extend(offset.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(checksum(&directory).to_le_bytes());
    file.extend(b"REBAPEND");
    file
}

fn read_all(db: &Columnar) -> Vec<(Labels, i64)> {
    let budget = Arc::new(Budget::unlimited());
    let (tenant, want) = (Tenant::single(), LogWant::everything());
    let mut found = Vec::new();
    for matchers in [vec![Matcher::equal("a", "b")], Vec::new()] {
        found.clear();
        let range = NanoRange::ALL;
        let request =
            LogRequest { tenant: &tenant, matchers: &matchers, range, want: &want, budget: &budget };
        for scan in db.scan_logs(&request).unwrap_or_default() {
            let _ = scan.run(&mut |block| {
                found.extend(block.times.iter().map(|ns| (block.stream.clone(), *ns)));
                ControlFlow::Continue(())
            });
        }
        let _ = db.streams(&tenant, &[matchers], NanoRange::new(0, T0_MS * 1_000_000), &budget);
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let fs = FaultFs::new();
    match kind % 2 {
        0 => put(&fs, &format!("/logs/wal/{}", segment_name(1)), &segment(data)),
        _ => put(&fs, "/logs/parts/20231114/0000000001.part", &part(data)),
    }
    let db = open(&fs);
    read_all(&db);
    let mut batch = LogBatch::default();
    let (labels, ns) = (Labels::from_pairs([("written", "later")]), T0_MS * 1_000_000 + 77);
    batch.begin_stream(labels.clone());
    batch.push(ns, "line", []).unwrap();
    let written = db.append_logs(&Tenant::single(), &batch).is_ok();
    let flushed = db.flush_logs();
    (0..4).for_each(|_| drop(db.maintain(T0_MS)));
    let _ = db.delete_logs(&Tenant::single(), &[Matcher::equal("a", "b")], NanoRange::ALL, None);
    read_all(&db);
    drop((db, flushed));
    if written {
        assert!(read_all(&open(&fs)).contains(&(labels, ns)));
    }
});
