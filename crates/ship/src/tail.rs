//! One file that grows: its lines, from a place on.
//!
//! Nothing here sleeps: each call reads what is there. A line ends with `\n`; what stands behind the last one waits for its end,
//! or for the file to be left behind by a rotation.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use bzip2::read::MultiBzDecoder;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use xxhash_rust::xxh3::xxh3_64;

use crate::positions::{FileId, PREFIX};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// What is kept of a line behind the longest that is wanted, so that the cut falls between two characters.
const SLACK: usize = 8;

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

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip, in any number of members.
    Gzip,
    /// zlib.
    Zlib,
    /// bzip2, in any number of streams.
    Bzip2,
}

enum Source {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
    Zlib(Box<ZlibDecoder<File>>),
    Bzip2(Box<MultiBzDecoder<File>>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Plain(_) => "Plain",
            Source::Gzip(_) => "Gzip",
            Source::Zlib(_) => "Zlib",
            Source::Bzip2(_) => "Bzip2",
        })
    }
}

impl Source {
    fn new(file: File, packing: Option<Packing>) -> Self {
        match packing {
            None => Source::Plain(file),
            Some(Packing::Gzip) => Source::Gzip(Box::new(MultiGzDecoder::new(file))),
            Some(Packing::Zlib) => Source::Zlib(Box::new(ZlibDecoder::new(file))),
            Some(Packing::Bzip2) => Source::Bzip2(Box::new(MultiBzDecoder::new(file))),
        }
    }

    /// Reads on; only a plain file can be read from anywhere.
    fn read(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Source::Plain(file) => file.read_at(into, offset),
            Source::Gzip(decoder) => decoder.read(into),
            Source::Zlib(decoder) => decoder.read(into),
            Source::Bzip2(decoder) => decoder.read(into),
        }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match self {
            Source::Plain(_) => Ok(0),
            Source::Gzip(decoder) => io::copy(&mut decoder.take(bytes), &mut io::sink()),
            Source::Zlib(decoder) => io::copy(&mut decoder.take(bytes), &mut io::sink()),
            Source::Bzip2(decoder) => io::copy(&mut decoder.take(bytes), &mut io::sink()),
        }
        .map(drop)
    }
}

/// What all files of a job are read into, so that those that are silent hold no memory.
#[derive(Debug)]
pub(crate) struct Scratch(Vec<u8>);

impl Default for Scratch {
    fn default() -> Self {
        Scratch(vec![0; 2 * CHUNK])
    }
}

/// A line and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub text: String,
    /// Bytes that were cut off because nobody may need so much memory.
    pub cut: usize,
}

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub encoding: Encoding,
    pub packing: Option<Packing>,
    /// Bytes that a line may have; what is behind them is not kept. 0 is no limit but our own.
    pub max_line: usize,
}

impl Reading {
    /// Bytes of a line that are kept.
    fn kept(&self) -> usize {
        let most = if self.max_line == 0 { MAX_LINE } else { self.max_line.min(MAX_LINE) };
        match self.encoding {
            Encoding::Utf16 { .. } => 2 * most + SLACK,
            _ => most + SLACK,
        }
    }
}

/// A file being read.
#[derive(Debug)]
pub(crate) struct Tail {
    source: Source,
    reading: Reading,
    id: FileId,
    /// Bytes that the file has, as far as we looked, and when it was written then.
    len: u64,
    written: (i64, i64),
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
    /// Opens a file, to be read from its beginning on.
    pub fn open(path: &Path, reading: Reading) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let mut id = FileId { device: meta.dev(), inode: meta.ino(), prefix: 0, hash: 0 };
        (id.prefix, id.hash) = prefix(&file, PREFIX)?;
        let source = Source::new(file, reading.packing);
        let (len, rest) = (meta.len(), Vec::new());
        let written = (0, 0);
        Ok(Tail { source, reading, id, len, written, offset: 0, rest, searched: 0, cut: 0, at_end: false })
    }

    /// Opens a file, to be read from `offset` on (in its decompressed content).
    pub fn open_at(path: &Path, offset: u64, reading: Reading) -> io::Result<Self> {
        let mut tail = Tail::open(path, reading)?;
        tail.seek(offset)?;
        Ok(tail)
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Bytes that the file had when we looked last.
    pub fn len(&self) -> u64 {
        self.len
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

    /// Whether it can only be read from its beginning.
    pub fn is_packed(&self) -> bool {
        self.reading.packing.is_some()
    }

    /// Whether a file is the one that begins as `known` says, as far as that goes.
    pub fn begins_as(&self, known: FileId) -> bool {
        if (known.device, known.inode) != (self.id.device, self.id.inode) {
            return false;
        }
        match &self.source {
            Source::Plain(file) => prefix(file, known.prefix as usize)
                .is_ok_and(|(len, hash)| (len, hash) == (known.prefix, known.hash)),
            _ => (known.prefix, known.hash) == (self.id.prefix, self.id.hash),
        }
    }

    /// What kind of compressed file it looks like, if it is read as a plain one.
    pub fn looks_packed(&self) -> Option<&'static str> {
        let Source::Plain(file) = &self.source else { return None };
        let mut magic = [0; 6];
        let n = file.read_at(&mut magic, 0).ok()?;
        match &magic[..n] {
            [0x1f, 0x8b, ..] => Some("gzip"),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41] => Some("bzip2"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
            _ => None,
        }
    }

    /// Goes to a place; in a compressed file only ever forwards, right after opening.
    pub fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.source.skip(offset.saturating_sub(self.offset))?;
        self.offset = offset;
        Ok(())
    }

    /// Reads what is there, once; lines are added to `out`.
    pub fn poll(&mut self, scratch: &mut Scratch, out: &mut Vec<Line>) -> io::Result<Polled> {
        if let Some(polled) = self.look()? {
            return Ok(polled);
        }
        let kept = self.rest.len();
        let small = kept <= CHUNK;
        let mut data = std::mem::take(if small { &mut scratch.0 } else { &mut self.rest });
        if small {
            data.resize(2 * CHUNK, 0);
            data[..kept].copy_from_slice(&self.rest);
        } else {
            data.resize(kept + CHUNK, 0);
        }
        let read = self.source.read(&mut data[kept..kept + CHUNK], self.offset);
        let n = *read.as_ref().unwrap_or(&0);
        // Cut and grown beyond our place after we had looked: what was read lies somewhere in the middle of new lines.
        if n > 0 && matches!(self.source, Source::Plain(_)) && !self.begins_as(self.id) {
            if small {
                scratch.0 = data;
            }
            self.begin_anew()?;
            return Ok(Polled::Truncated);
        }
        let end = kept + n;
        let begin = self.split(&data[..end], out);
        if small {
            self.rest.clear();
            self.rest.extend_from_slice(&data[begin..end]);
            scratch.0 = data;
        } else {
            data.truncate(end);
            data.drain(..begin);
            self.rest = data;
        }
        self.bound(begin);
        let read = match read {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Polled::More),
            other => other?,
        };
        self.offset += read as u64;
        self.at_end = read == 0;
        self.renew_id()?;
        Ok(if read == 0 { Polled::End } else { Polled::More })
    }

    /// Whether a plain file has nothing new, or begins anew.
    fn look(&mut self) -> io::Result<Option<Polled>> {
        let Source::Plain(file) = &self.source else { return Ok(None) };
        let meta = file.metadata()?;
        self.len = meta.len();
        let written = (meta.mtime(), meta.mtime_nsec());
        let touched = std::mem::replace(&mut self.written, written) != written;
        let shorter = self.len < self.offset;
        // A file may be cut and grow up to our place, or beyond it, between two looks.
        let rewritten = touched && self.len >= self.offset && !self.begins_as(self.id);
        if shorter || rewritten {
            self.begin_anew()?;
            return Ok(Some(Polled::Truncated));
        }
        self.at_end = self.len == self.offset;
        Ok(self.at_end.then_some(Polled::End))
    }

    /// Goes on from the start of a file that was cut.
    fn begin_anew(&mut self) -> io::Result<()> {
        (self.offset, self.searched, self.cut) = (0, 0, 0);
        self.rest = Vec::new();
        self.id.prefix = 0;
        self.renew_id()
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

    /// Hands out the lines in `data`; where the one begins that has no end yet.
    fn split(&mut self, data: &[u8], out: &mut Vec<Line>) -> usize {
        let (mut begin, most) = (0, self.reading.kept());
        while let Some((end, len)) = self.reading.encoding.line_end(data, self.searched.max(begin)) {
            let shown = end.min(begin + most);
            let cut = std::mem::take(&mut self.cut) + (end - shown);
            out.push(Line { text: self.reading.encoding.decode(&data[begin..shown]), cut });
            begin = end + len;
            self.searched = begin;
        }
        begin
    }

    /// Keeps no more of a line than anybody wants, and no more memory than that needs.
    fn bound(&mut self, begin: usize) {
        let wide = matches!(self.reading.encoding, Encoding::Utf16 { .. });
        // Two-byte units must stay where they are.
        let most = self.reading.kept() + usize::from(wide && self.rest.len() % 2 == 1);
        if self.rest.len() > most {
            self.cut += self.rest.len() - most;
            self.rest.truncate(most);
        }
        if begin > 0 && self.rest.capacity() > 4 * self.rest.len() {
            self.rest.shrink_to_fit();
        }
        // The half of a two-byte line end may be there already.
        self.searched = if wide { self.rest.len() & !1 } else { self.rest.len() };
    }

    /// Hands out what has no line end, since none will come.
    pub fn finish(&mut self) -> Option<Line> {
        if self.rest.is_empty() {
            return None;
        }
        let text = self.reading.encoding.decode(&self.rest);
        self.rest = Vec::new();
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
mod tests;
