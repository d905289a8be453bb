//! A block one of whose files holds any bytes behind right checksums: the store opens without it or answers, and takes
//! what is written next. The first byte chooses the file.
#![no_main]

#[path = "common/store_in_memory.rs"]
mod store_in_memory;

use std::{path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use reba_disk::{FaultFs, Fs, checksum, push_frame};
use reba_model::{Matcher, TimeRange};
use store_in_memory::{T0, open, put, read_all, write};

/// The files of a store with one block, and where in `chunks` the checksummed pieces lie.
static WHOLE: LazyLock<(Vec<(String, Vec<u8>)>, Vec<(usize, usize)>)> = LazyLock::new(|| {
    let fs = FaultFs::new();
    let db = open(&fs);
    (0..40).for_each(|i| assert!(write(&db, T0 + i * 360_000)));
    db.maintain(i64::MAX).unwrap();
    assert_eq!(db.metrics().disk.blocks, 1);
    drop(db);
    let mut files = Vec::new();
    for dir in ["wal", "checkpoint", "head", "blocks/0000000001"] {
        for entry in fs.list(Path::new(&format!("/db/{dir}"))).unwrap() {
            let path = format!("/db/{dir}/{}", entry.name);
            files.push((path.clone(), fs.read(Path::new(&path)).unwrap()));
        }
    }
    let chunks = &files.iter().find(|(p, _)| p.ends_with("/chunks")).unwrap().1;
    let pieces = pieces(chunks);
    (files, pieces)
});

/// Each piece stands behind its checksum; its length is the one that makes it right.
fn pieces(chunks: &[u8]) -> Vec<(usize, usize)> {
    let (mut out, mut at) = (Vec::new(), 8);
    while at + 4 < chunks.len() {
        let sum = &chunks[at..at + 4];
        let end =
            (at + 5..=chunks.len()).find(|e| checksum(&chunks[at + 4..*e]).to_le_bytes() == sum).unwrap();
        out.push((at, end));
        at = end;
    }
    out
}

fn sealed(kind: u8, data: &[u8]) -> (&'static str, Vec<u8>) {
    let mut data = data.to_vec();
    match kind % 4 {
        0 => {
            if data.len() > 20 {
                let end = data.len() - 12;
                data[..8].copy_from_slice(b"REBAIDX1");
                data[end + 4..].copy_from_slice(b"REBAIDX1");
                let sum = checksum(&data[..end]).to_le_bytes();
                data[end..end + 4].copy_from_slice(&sum);
            }
            ("/index", data)
        }
        1 => {
            let len = data.len();
            for (at, end) in WHOLE.1.iter().filter(|p| p.1 <= len) {
                let sum = checksum(&data[at + 4..*end]).to_le_bytes();
                data[*at..at + 4].copy_from_slice(&sum);
            }
            ("/chunks", data)
        }
        2 => {
            let mut frame = Vec::new();
            push_frame(&mut frame, &data);
            ("/tombstones", frame)
        }
        _ => ("/meta.json", data),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let (name, bytes) = sealed(*kind, data);
    let fs = FaultFs::new();
    for (path, whole) in &WHOLE.0 {
        put(&fs, path, whole);
    }
    put(&fs, &format!("/db/blocks/0000000001{name}"), &bytes);
    let db = open(&fs);
    let _ = read_all(&db);
    let _ = db.delete_series(&[vec![Matcher::equal("i", "5")]], TimeRange::new(T0, T0 + 5_000_000));
    let _ = db.clean_tombstones();
    let _ = db.maintain(i64::MAX);
    // A damaged block is set aside by now.
    read_all(&db).unwrap();
    write(&db, T0 + 40 * 360_000);
});
