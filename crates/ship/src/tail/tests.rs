use std::{fs, io::Write as _};

use super::*;

fn open(path: &Path, offset: u64, encoding: Encoding, packing: Option<Packing>) -> Tail {
    Tail::open_at(path, offset, Reading { encoding, packing, max_line: 0 }).unwrap()
}

fn read(tail: &mut Tail) -> Vec<String> {
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    for _ in 0..1000 {
        if tail.poll(&mut scratch, &mut out).unwrap() == Polled::End {
            break;
        }
    }
    out.into_iter().map(|l| l.text).collect()
}

#[test]
fn lines_come_without_their_ends_and_the_last_waits_for_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, b"one\r\ntwo\n\nbad \xff\nrest").unwrap();
    let mut tail = open(&path, 0, Encoding::Utf8, None);
    assert_eq!(read(&mut tail), ["one", "two", "", "bad \u{fffd}"]);
    assert_eq!(tail.place(), 16);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b" of it\nx").unwrap();
    assert_eq!(read(&mut tail), ["rest of it"]);
    assert_eq!(tail.finish().unwrap().text, "x");
    let mut tail = open(&path, 5, Encoding::Utf8, None);
    assert_eq!(read(&mut tail)[0], "two");
}

#[test]
fn a_file_that_is_cut_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "one\ntwo\n").unwrap();
    let mut tail = open(&path, 0, Encoding::Utf8, None);
    assert_eq!(read(&mut tail).len(), 2);
    fs::write(&path, "new\n").unwrap();
    assert_eq!(read(&mut tail), ["new"]);
    // Cut, and longer than before when we look again.
    fs::write(&path, "quite another\nand more\n").unwrap();
    assert_eq!(read(&mut tail), ["quite another", "and more"]);
    // And exactly as long.
    fs::write(&path, "QUITE another\nand more\n").unwrap();
    assert_eq!(read(&mut tail), ["QUITE another", "and more"]);
}

#[test]
fn other_encodings_and_compressed_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let utf16: Vec<u8> =
        "\u{feff}zw\u{f6}lf\r\n\u{10a}x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&path, utf16).unwrap();
    let mut tail = open(&path, 0, Encoding::parse("UTF-16"), None);
    assert_eq!(read(&mut tail), ["zw\u{f6}lf", "\u{10a}x"]);
    fs::write(&path, b"\xfcber\n").unwrap();
    let mut tail = open(&path, 0, Encoding::Latin1, None);
    assert_eq!(read(&mut tail), ["\u{fc}ber"]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"one\ntwo\nthree\n").unwrap();
    fs::write(&path, gz.finish().unwrap()).unwrap();
    let mut tail = open(&path, 4, Encoding::Utf8, Some(Packing::Gzip));
    assert_eq!(read(&mut tail), ["two", "three"]);
    assert_eq!(tail.place(), 14);
}

#[test]
fn a_line_without_end_does_not_fill_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut data = vec![b'x'; MAX_LINE + 1_000_000];
    data.extend(b"\nnext\n");
    fs::write(&path, data).unwrap();
    let mut tail = open(&path, 0, Encoding::Utf8, None);
    let (mut out, mut scratch) = (Vec::new(), Scratch::default());
    while tail.poll(&mut scratch, &mut out).unwrap() != Polled::End {}
    assert_eq!(out.len(), 2);
    assert!(out[0].text.len() < MAX_LINE + CHUNK);
    assert_eq!(out[0].text.len() + out[0].cut, MAX_LINE + 1_000_000);
    assert_eq!(tail.place(), (MAX_LINE + 1_000_000 + 6) as u64);
}
