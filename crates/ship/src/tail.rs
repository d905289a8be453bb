//! One file that grows: its lines, from a place on.
//!
//! Nothing here sleeps: each call reads what is there. A line ends with `\n`; what stands behind the last one waits for its end,
//! or for the file to be left behind by a rotation.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use xxhash_rust::xxh3::xxh3_64;

use crate::positions::{FileId, PREFIX};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// A line longer than this is cut, so that no file can fill our memory.
pub(crate) const MAX_LINE: usize = 16 << 20;

/// How characters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Latin1,
    Utf16 { big_endian: bool },
}

impl Encoding {
    /// The encoding of a name; UTF-8 for one that is unknown.
    pub fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "iso-8859-1" | "latin1" => Encoding::Latin1,
            "utf-16be" => Encoding::Utf16 { big_endian: true },
            "utf-16" | "utf-16le" => Encoding::Utf16 { big_endian: false },
            _ => Encoding::Utf8,
        }
    }

    /// Bytes of a line end, and where the first one stands.
    fn line_end(self, data: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Encoding::Utf8 | Encoding::Latin1 => memchr::memchr(b'\n', &data[from..]).map(|i| (from + i, 1)),
            Encoding::Utf16 { big_endian } => {
                let end = if big_endian { [0, b'\n'] } else { [b'\n', 0] };
                let from = from & !1;
                data[from..].chunks_exact(2).position(|unit| unit == end).map(|i| (from + 2 * i, 2))
            }
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let text = match self {
            Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Encoding::Latin1 => bytes.iter().map(|b| char::from(*b)).collect(),
            Encoding::Utf16 { big_endian } => {
                let units = bytes.chunks_exact(2).map(|u| {
                    if big_endian {
                        u16::from_be_bytes([u[0], u[1]])
                    } else {
                        u16::from_le_bytes([u[0], u[1]])
                    }
                });
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        };
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        match text.strip_suffix('\r') {
            Some(line) => line.to_owned(),
            None => text,
        }
    }
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

/// A line and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub text: String,
    /// Bytes that were cut off because nobody may need so much memory.
    pub cut: usize,
}

/// A file being read.
#[derive(Debug)]
pub(crate) struct Tail {
    source: Source,
    encoding: Encoding,
    id: FileId,
    /// Where the next read begins.
    offset: u64,
    /// What was read and has no line end yet, and how much of it has been searched for one.
    rest: Vec<u8>,
    searched: usize,
    /// Bytes of the line in `rest` that were thrown away.
    cut: usize,
    at_end: bool,
}

/// What a look at the file gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// There may be more.
    More,
    /// There is no more for now.
    End,
    /// The file was cut, and is read from its beginning.
    Truncated,
}

/// Which file stands at a path, without its beginning.
pub(crate) fn identify(path: &Path) -> io::Result<(u64, u64, u64)> {
    let meta = path.metadata()?;
    Ok((meta.dev(), meta.ino(), meta.len()))
}

impl Tail {
    /// Opens a file to be read from `offset` on (in its decompressed content).
    pub fn open(path: &Path, offset: u64, encoding: Encoding, gzip: bool) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let mut id = FileId { device: meta.dev(), inode: meta.ino(), prefix: 0, hash: 0 };
        (id.prefix, id.hash) = prefix(&file, PREFIX)?;
        let source = if gzip {
            let mut decoder = MultiGzDecoder::new(file);
            io::copy(&mut io::Read::by_ref(&mut decoder).take(offset), &mut io::sink())?;
            Source::Gzip(Box::new(decoder))
        } else {
            Source::Plain(file)
        };
        let rest = Vec::new();
        Ok(Tail { source, encoding, id, offset, rest, searched: 0, cut: 0, at_end: false })
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Up to where all lines have been handed out.
    pub fn place(&self) -> u64 {
        self.offset - (self.rest.len() + self.cut) as u64
    }

    /// Whether the file was read to its end at the last look.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Whether something without a line end waits.
    pub fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether a file is the one that begins as `known` says, as far as that goes.
    pub fn begins_as(&self, known: FileId) -> bool {
        if (known.device, known.inode) != (self.id.device, self.id.inode) {
            return false;
        }
        match &self.source {
            Source::Plain(file) => prefix(file, known.prefix as usize)
                .is_ok_and(|(len, hash)| (len, hash) == (known.prefix, known.hash)),
            Source::Gzip(_) => (known.prefix, known.hash) == (self.id.prefix, self.id.hash),
        }
    }

    /// Goes to a place.
    pub fn seek(&mut self, offset: u64) -> io::Result<()> {
        if let Source::Gzip(decoder) = &mut self.source {
            // Only ever forwards, right after opening.
            io::copy(
                &mut io::Read::by_ref(decoder).take(offset.saturating_sub(self.offset)),
                &mut io::sink(),
            )?;
        }
        self.offset = offset;
        Ok(())
    }

    /// Reads what is there, once; lines are added to `out`.
    pub fn poll(&mut self, out: &mut Vec<Line>) -> io::Result<Polled> {
        if let Source::Plain(file) = &self.source {
            let len = file.metadata()?.len();
            let shorter = len < self.offset;
            // A file may be cut and grow beyond our place between two looks.
            let rewritten = self.at_end && len > self.offset && !self.begins_as(self.id);
            if shorter || rewritten {
                (self.offset, self.searched, self.cut) = (0, 0, 0);
                self.rest.clear();
                self.id.prefix = 0;
                self.renew_id()?;
                return Ok(Polled::Truncated);
            }
            self.at_end = len == self.offset;
            if self.at_end {
                return Ok(Polled::End);
            }
        }
        let start = self.rest.len();
        self.rest.resize(start + CHUNK, 0);
        let read = match &mut self.source {
            Source::Plain(file) => file.read_at(&mut self.rest[start..], self.offset),
            Source::Gzip(decoder) => decoder.read(&mut self.rest[start..]),
        };
        self.rest.truncate(start + *read.as_ref().unwrap_or(&0));
        let read = match read {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Polled::More),
            other => other?,
        };
        self.offset += read as u64;
        self.at_end = read == 0;
        self.renew_id()?;
        self.split(out);
        Ok(if read == 0 { Polled::End } else { Polled::More })
    }

    /// A file that was shorter than its fingerprint may be longer now.
    fn renew_id(&mut self) -> io::Result<()> {
        if (self.id.prefix as usize) < PREFIX
            && let Source::Plain(file) = &self.source
        {
            (self.id.prefix, self.id.hash) = prefix(file, PREFIX)?;
        }
        Ok(())
    }

    fn split(&mut self, out: &mut Vec<Line>) {
        let mut begin = 0;
        while let Some((end, len)) = self.encoding.line_end(&self.rest, self.searched.max(begin)) {
            let cut = std::mem::take(&mut self.cut);
            out.push(Line { text: self.encoding.decode(&self.rest[begin..end]), cut });
            begin = end + len;
            self.searched = begin;
        }
        self.rest.drain(..begin);
        if self.rest.len() > MAX_LINE {
            self.cut += self.rest.len() - MAX_LINE;
            self.rest.truncate(MAX_LINE);
        }
        // The half of a two-byte line end may be there already.
        self.searched = self.rest.len() & !1;
        if self.encoding == Encoding::Utf8 || self.encoding == Encoding::Latin1 {
            self.searched = self.rest.len();
        }
    }

    /// Hands out what has no line end, since none will come.
    pub fn finish(&mut self) -> Option<Line> {
        if self.rest.is_empty() {
            return None;
        }
        let text = self.encoding.decode(&self.rest);
        self.rest.clear();
        self.searched = 0;
        Some(Line { text, cut: std::mem::take(&mut self.cut) })
    }
}

/// How long the beginning is, up to `most` bytes, and its hash.
fn prefix(file: &File, most: usize) -> io::Result<(u32, u64)> {
    let mut data = [0; PREFIX];
    let most = most.min(PREFIX);
    let mut len = 0;
    while len < most {
        match file.read_at(&mut data[len..most], len as u64) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((len as u32, xxh3_64(&data[..len])))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    fn read(tail: &mut Tail) -> Vec<String> {
        let mut out = Vec::new();
        for _ in 0..1000 {
            if tail.poll(&mut out).unwrap() == Polled::End {
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
        let mut tail = Tail::open(&path, 0, Encoding::Utf8, false).unwrap();
        assert_eq!(read(&mut tail), ["one", "two", "", "bad \u{fffd}"]);
        assert_eq!(tail.place(), 16);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b" of it\nx").unwrap();
        assert_eq!(read(&mut tail), ["rest of it"]);
        assert_eq!(tail.finish().unwrap().text, "x");
        let mut tail = Tail::open(&path, 5, Encoding::Utf8, false).unwrap();
        assert_eq!(read(&mut tail)[0], "two");
    }

    #[test]
    fn a_file_that_is_cut_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut tail = Tail::open(&path, 0, Encoding::Utf8, false).unwrap();
        assert_eq!(read(&mut tail).len(), 2);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(read(&mut tail), ["new"]);
        // Cut, and longer than before when we look again.
        fs::write(&path, "quite another\nand more\n").unwrap();
        assert_eq!(read(&mut tail), ["quite another", "and more"]);
    }

    #[test]
    fn other_encodings_and_compressed_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let utf16: Vec<u8> =
            "\u{feff}zw\u{f6}lf\r\n\u{10a}x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&path, utf16).unwrap();
        let mut tail = Tail::open(&path, 0, Encoding::parse("UTF-16"), false).unwrap();
        assert_eq!(read(&mut tail), ["zw\u{f6}lf", "\u{10a}x"]);
        fs::write(&path, b"\xfcber\n").unwrap();
        let mut tail = Tail::open(&path, 0, Encoding::Latin1, false).unwrap();
        assert_eq!(read(&mut tail), ["\u{fc}ber"]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"one\ntwo\nthree\n").unwrap();
        fs::write(&path, gz.finish().unwrap()).unwrap();
        let mut tail = Tail::open(&path, 4, Encoding::Utf8, true).unwrap();
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
        let mut tail = Tail::open(&path, 0, Encoding::Utf8, false).unwrap();
        let mut out = Vec::new();
        while tail.poll(&mut out).unwrap() != Polled::End {}
        assert_eq!(out.len(), 2);
        assert!(out[0].text.len() < MAX_LINE + CHUNK);
        assert_eq!(out[0].text.len() + out[0].cut, MAX_LINE + 1_000_000);
        assert_eq!(tail.place(), (MAX_LINE + 1_000_000 + 6) as u64);
    }
}
