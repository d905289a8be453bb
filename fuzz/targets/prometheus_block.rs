//! The parts of a block of Prometheus, any bytes behind right checksums: reading it ends, with samples or an error. The
//! parts (symbols, tombstones, a chunk, then series) stand each behind its length in two bytes.
#![no_main]

use std::{fs, path::Path};

use libfuzzer_sys::fuzz_target;

fn crc32c(data: &[u8]) -> [u8; 4] {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    let crc = data.iter().fold(!0u32, |crc, b| (0..8).fold(crc ^ u32::from(*b), step));
    (!crc).to_be_bytes()
}

fn uvarint(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn section(body: &[u8], out: &mut Vec<u8>) -> u64 {
    let at = out.len() as u64;
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out.extend(crc32c(body));
    at
}

fn index(symbols: &[u8], series: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0xba, 0xaa, 0xd7, 0, 2];
    let symbols = section(symbols, &mut out);
    let mut postings = (series.len() as u32).to_be_bytes().to_vec();
    for body in series {
        out.resize(out.len().next_multiple_of(16), 0);
        postings.extend((out.len() as u32 / 16).to_be_bytes());
        uvarint(body.len(), &mut out);
        out.extend(*body);
        out.extend(crc32c(body));
    }
    let list = section(&postings, &mut out);
    let mut table = vec![0, 0, 0, 1, 2, 0, 0];
    uvarint(list as usize, &mut table);
    let table = section(&table, &mut out);
    let toc: Vec<u8> = [symbols, 0, 0, 0, 0, table].iter().flat_map(|at| at.to_be_bytes()).collect();
    out.extend(&toc);
    out.extend(crc32c(&toc));
    out
}

fn write(folder: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let [symbols, stones, chunk, series @ ..] = parts else { return Ok(()) };
    fs::write(folder.join("index"), index(symbols, series))?;
    let mut file = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
    uvarint(chunk.len().saturating_sub(1), &mut file);
    file.extend(*chunk);
    file.extend(crc32c(chunk));
    fs::write(folder.join("chunks/000001"), file)?;
    let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
    file.extend(*stones);
    file.extend(crc32c(stones));
    fs::write(folder.join("tombstones"), file)
}

thread_local! {
    static FOLDER: std::path::PathBuf = {
        let folder = std::env::temp_dir().join(format!("reba-fuzz-block-{}", std::process::id()));
        fs::create_dir_all(folder.join("chunks")).unwrap();
        let meta = r#"{"ulid":"A","minTime":-9000000000000000,"maxTime":9000000000000000,"version":1}"#;
        fs::write(folder.join("meta.json"), meta).unwrap();
        folder
    };
}

fuzz_target!(|data: &[u8]| {
    let (mut parts, mut data) = (Vec::new(), data);
    while let Some((len, rest)) = data.split_first_chunk::<2>() {
        let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        parts.push(part);
        data = rest;
    }
    if parts.len() < 4 {
        return;
    }
    FOLDER.with(|folder| {
        write(folder, &parts).unwrap();
        let mut samples = 0;
        let mut sink = |batch: reba_transfer::Batch| {
            samples += batch.values().map(|c| (c.t.len() + c.h.len()) as u64).sum::<u64>();
            Ok(())
        };
        if let Ok(imported) = reba_transfer::prometheus::import(folder, &mut sink, &mut |_, _| {}) {
            assert_eq!(imported.samples(), samples);
        }
    });
});
