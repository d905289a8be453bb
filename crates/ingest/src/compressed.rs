//! Bodies of requests, decompressed in a bounded number of bytes.

use std::{
    borrow::Cow,
    io::{self, Read},
};

/// No window of a zstd frame is larger: what RFC 8878 recommends decoders to support.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// gzip, one member or several.
    Gzip,
    /// zlib as HTTP has it, or the bare stream inside, as many send it.
    Deflate,
    /// A zstd frame.
    Zstd,
    /// A snappy block.
    Snappy,
}

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Corrupt {
    /// It is more than allowed.
    TooLarge,
    /// It is not compressed in this way.
    Malformed(String),
}

impl Compression {
    /// The compression that a `Content-Encoding` names.
    pub(crate) fn named(encoding: &str) -> Option<Self> {
        Some(match encoding.trim() {
            "" | "identity" => Compression::None,
            "gzip" => Compression::Gzip,
            "deflate" => Compression::Deflate,
            "zstd" => Compression::Zstd,
            "snappy" => Compression::Snappy,
            _ => return None,
        })
    }

    /// The body as it was before it was compressed, in at most `limit` bytes.
    pub(crate) fn undo(self, body: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Corrupt> {
        let mut out = Vec::new();
        let most = limit as u64 + 1;
        let read = match self {
            Compression::None if body.len() > limit => return Err(Corrupt::TooLarge),
            Compression::None => return Ok(Cow::Borrowed(body)),
            Compression::Snappy => {
                snappy_block(body, limit, &mut out)?;
                return Ok(Cow::Owned(out));
            }
            Compression::Gzip => flate2::read::MultiGzDecoder::new(body).take(most).read_to_end(&mut out),
            Compression::Deflate if is_zlib(body) => {
                flate2::read::ZlibDecoder::new(body).take(most).read_to_end(&mut out)
            }
            Compression::Deflate => flate2::read::DeflateDecoder::new(body).take(most).read_to_end(&mut out),
            Compression::Zstd => unzstd(body, most, &mut out),
        };
        read.map_err(|e| Corrupt::Malformed(e.to_string()))?;
        if out.len() > limit { Err(Corrupt::TooLarge) } else { Ok(Cow::Owned(out)) }
    }
}

/// Whether the bytes begin as RFC 1950 says.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => first & 15 == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0,
        _ => false,
    }
}

fn unzstd(body: &[u8], most: u64, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    decoder.take(most).read_to_end(out)
}

/// Decompresses a snappy block, whose declared length must not exceed `limit`, into `out`.
pub(crate) fn snappy_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
    let malformed = |e: snap::Error| Corrupt::Malformed(e.to_string());
    let len = snap::raw::decompress_len(block).map_err(malformed)?;
    if len > limit {
        return Err(Corrupt::TooLarge);
    }
    // What takes least room, a copy of 64 bytes, takes three.
    if len > block.len().saturating_mul(64) {
        return Err(Corrupt::Malformed("the block is shorter than it says".to_owned()));
    }
    out.resize(len, 0);
    let n = snap::raw::Decoder::new().decompress(block, out).map_err(malformed)?;
    out.truncate(n);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<W: io::Write>(mut encoder: W, data: &[u8]) -> W {
        encoder.write_all(data).unwrap();
        encoder
    }

    #[test]
    fn every_encoding_is_undone_within_its_limit() {
        let data = vec![b'a'; 100_000];
        let level = flate2::Compression::fast();
        let bodies = [
            (Compression::None, data.clone()),
            (
                Compression::Gzip,
                written(flate2::write::GzEncoder::new(Vec::new(), level), &data).finish().unwrap(),
            ),
            (
                Compression::Deflate,
                written(flate2::write::ZlibEncoder::new(Vec::new(), level), &data).finish().unwrap(),
            ),
            (
                Compression::Deflate,
                written(flate2::write::DeflateEncoder::new(Vec::new(), level), &data).finish().unwrap(),
            ),
            (Compression::Zstd, zstd::encode_all(&data[..], 1).unwrap()),
            (Compression::Snappy, snap::raw::Encoder::new().compress_vec(&data).unwrap()),
        ];
        for (compression, body) in bodies {
            assert_eq!(compression.undo(&body, data.len()).unwrap(), data, "{compression:?}");
            assert_eq!(compression.undo(&body, data.len() - 1), Err(Corrupt::TooLarge), "{compression:?}");
            if compression != Compression::None {
                assert!(
                    matches!(compression.undo(b"\xffxyz", 1 << 20), Err(Corrupt::Malformed(_))),
                    "{compression:?}"
                );
            }
        }
        // Four bytes that promise 90 MB.
        let liar = [0x80, 0xa2, 0xf5, 0x2a];
        assert!(matches!(Compression::Snappy.undo(&liar, 100 << 20), Err(Corrupt::Malformed(_))));
        assert_eq!(Compression::named("br"), None);
    }
}
