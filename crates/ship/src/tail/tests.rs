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

fn bzip2_of(text: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_bzip2_file_is_read_through_all_its_streams_and_from_a_place_within() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bz2");
    // What `bzip2 -c one two` or `cat a.bz2 b.bz2` leave behind: a line may go over the border.
    fs::write(&path, [bzip2_of(b"one\ntwo\nth"), bzip2_of(b"ree\n")].concat()).unwrap();
    let mut tail = open(&path, 0, Encoding::Utf8, Some(Packing::Bzip2));
    assert_eq!(read(&mut tail), ["one", "two", "three"]);
    assert_eq!(tail.place(), 14);
    let mut tail = open(&path, 4, Encoding::Utf8, Some(Packing::Bzip2));
    assert_eq!(read(&mut tail), ["two", "three"]);
}

#[test]
fn a_damaged_bzip2_file_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bz2");
    let text: Vec<u8> = (0..20_000).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
    let whole = bzip2_of(&text);
    for at in (0..whole.len()).step_by(whole.len() / 50) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let read_all = || -> io::Result<()> {
            let reading = Reading { encoding: Encoding::Utf8, packing: Some(Packing::Bzip2), max_line: 0 };
            let mut tail = Tail::open_at(&path, 0, reading)?;
            let (mut out, mut scratch) = (Vec::new(), Scratch::default());
            while tail.poll(&mut scratch, &mut out)? != Polled::End {}
            Ok(())
        };
        assert!(read_all().is_err(), "the byte at {at} is wrong, and nobody said so");
    }
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
