//! A log, a checkpoint or both with any records behind right checksums: the store opens, says so, and takes what is
//! written next. The first byte says which; frames follow, each behind its length in two bytes.
#![no_main]

#[path = "common/store_in_memory.rs"]
mod store_in_memory;

use libfuzzer_sys::fuzz_target;
use reba_disk::{FaultFs, push_frame, segment_header, segment_name};
use store_in_memory::{T0, open, put, read_all, write};

fn segment(number: u64, mut data: &[u8]) -> Vec<u8> {
    let mut out = segment_header(number).to_vec();
    while let Some((len, rest)) = data.split_first_chunk::<2>() {
        let (frame, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        push_frame(&mut out, frame);
        data = rest;
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let fs = FaultFs::new();
    let (first, second) = if kind & 4 == 0 { (data, &[][..]) } else { data.split_at(data.len() / 2) };
    let folder = if kind & 1 == 0 { "wal" } else { "checkpoint" };
    put(&fs, &format!("/db/{folder}/{}", segment_name(1)), &segment(1, first));
    if kind & 2 != 0 {
        put(&fs, &format!("/db/wal/{}", segment_name(2)), &segment(2, second));
    }
    let db = open(&fs);
    let _ = read_all(&db);
    let at = T0 + 3_600_000;
    let written = write(&db, at);
    let _ = db.maintain(i64::MAX);
    let _ = read_all(&db);
    drop(db);
    let db = open(&fs);
    if let (true, Ok(found)) = (written, read_all(&db)) {
        assert!(
            found.iter().filter(|(labels, t)| labels.get("__name__") == Some("written") && *t == at).count()
                == 8
        );
    }
});
