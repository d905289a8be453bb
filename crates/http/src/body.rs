//! Bodies: read up to a limit, decompressed up to the same limit.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{HeldMemory, HttpError, error::root_cause};

/// Memory for a body, to be used again for the next one.
#[derive(Debug, Default)]
pub struct BodyBuffer {
    /// The body, decompressed.
    pub data: Vec<u8>,
    /// What the body takes of a memory that it shares with others.
    pub held: HeldMemory,
    /// The body as it came, if it was compressed.
    compressed: Vec<u8>,
}

/// Decompressing more than this takes long enough to leave the runtime's workers (at some 500 MB/s out).
const INLINE: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, HttpError> {
    let name = headers.get(header::CONTENT_ENCODING).map_or("", |v| v.to_str().unwrap_or("?")).trim();
    match name.to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "zstd" => Ok(Coding::Zstd),
        other => Err(HttpError::Encoding(format!("unsupported content encoding {other:?}"))),
    }
}

/// Reads the whole body into `buffer`, which is emptied first. More than `limit` bytes, compressed or not, fail.
pub(crate) async fn read(
    answer: http::Response<Incoming>,
    limit: u64,
    buffer: &mut BodyBuffer,
) -> Result<(), HttpError> {
    buffer.data.clear();
    buffer.compressed.clear();
    let (parts, mut body) = answer.into_parts();
    let coding = coding(&parts.headers)?;
    let out = if coding == Coding::Identity { &mut buffer.data } else { &mut buffer.compressed };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| HttpError::Encoding(format!("unexpected EOF: {}", root_cause(&e))))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = out.len() as u64 + data.remaining() as u64;
        if length > limit {
            return Err(HttpError::TooLarge { limit });
        }
        buffer.held.resize(length)?;
        out.extend_from_slice(&data);
    }
    if coding == Coding::Identity {
        return Ok(());
    }
    if buffer.compressed.len() <= INLINE {
        return decode(coding, buffer, limit, &AtomicBool::new(false));
    }
    let mut moved = std::mem::take(buffer);
    // Where the deadline passes meanwhile, the thread must not go on for itself: the next scrape would start another.
    let abandoned = Abandon::default();
    let flag = Arc::clone(&abandoned.0);
    let done = tokio::task::spawn_blocking(move || {
        let result = decode(coding, &mut moved, limit, &flag);
        (moved, result)
    });
    let (back, result) = done.await.map_err(|e| HttpError::Encoding(e.to_string()))?;
    *buffer = back;
    result
}

/// Tells the thread that decompresses that nobody waits for it any more.
#[derive(Default)]
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes bytes until there are too many, or nobody wants them.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    held: &'a mut HeldMemory,
    /// Bytes of the compressed body, which is there meanwhile.
    compressed: u64,
    limit: u64,
    exceeded: Option<HttpError>,
    abandoned: &'a AtomicBool,
}

impl Write for Bounded<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let length = self.out.len() as u64 + buf.len() as u64;
        if length > self.limit {
            self.exceeded = Some(HttpError::TooLarge { limit: self.limit });
            return Err(io::Error::other("body size limit exceeded"));
        }
        if let Err(e) = self.held.resize(self.compressed + length) {
            self.exceeded = Some(e.into());
            return Err(io::Error::other(e));
        }
        if self.abandoned.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for the body"));
        }
        self.out.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No window of a zstd frame is larger: what RFC 8878 recommends decoders to support.
const ZSTD_WINDOW_LOG: u32 = 23;

fn decode(
    coding: Coding,
    buffer: &mut BodyBuffer,
    limit: u64,
    abandoned: &AtomicBool,
) -> Result<(), HttpError> {
    let BodyBuffer { data: out, held, compressed } = buffer;
    let (compressed, length) = (&compressed[..], compressed.len() as u64);
    let mut bounded = Bounded { out, held, compressed: length, limit, exceeded: None, abandoned };
    let result = match coding {
        Coding::Identity => bounded.write_all(compressed),
        Coding::Gzip => io::copy(&mut flate2::read::MultiGzDecoder::new(compressed), &mut bounded).map(drop),
        Coding::Deflate => io::copy(&mut flate2::read::ZlibDecoder::new(compressed), &mut bounded).map(drop),
        Coding::Zstd => zstd::stream::read::Decoder::with_buffer(compressed).and_then(|mut d| {
            d.window_log_max(ZSTD_WINDOW_LOG)?;
            io::copy(&mut d, &mut bounded).map(drop)
        }),
    };
    match (result, bounded.exceeded) {
        (Err(_), Some(exceeded)) => Err(exceeded),
        (Err(e), None) => Err(HttpError::Encoding(format!("{coding:?}: {e}").to_lowercase())),
        (Ok(()), _) => Ok(()),
    }
}

/// A body that is read piece by piece as it comes.
#[derive(Debug)]
pub struct BodyStream {
    body: Incoming,
}

impl BodyStream {
    pub(crate) fn new(answer: http::Response<Incoming>) -> Result<Self, HttpError> {
        // A block of snappy is part of remote read's messages: who asked for it takes it apart.
        if answer.headers().get(header::CONTENT_ENCODING).is_some_and(|v| v == "snappy") {
            return Ok(BodyStream { body: answer.into_body() });
        }
        match coding(answer.headers())? {
            Coding::Identity => Ok(BodyStream { body: answer.into_body() }),
            other => {
                let text = format!("content encoding {other:?} of a stream is not supported");
                Err(HttpError::Encoding(text.to_lowercase()))
            }
        }
    }

    /// The next piece; none at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.body.frame().await {
            let frame =
                frame.map_err(|e| HttpError::Encoding(format!("unexpected EOF: {}", root_cause(&e))))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SharedMemory;

    fn compressed(bytes: Vec<u8>) -> BodyBuffer {
        BodyBuffer { compressed: bytes, ..BodyBuffer::default() }
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0u8; 4 << 20];
        for (coding, bomb) in
            [(Coding::Gzip, gzip(&zeros)), (Coding::Zstd, zstd::encode_all(&zeros[..], 1).unwrap())]
        {
            assert!(bomb.len() < 100_000);
            let mut buffer = compressed(bomb);
            let e = decode(coding, &mut buffer, 1000, &AtomicBool::new(false)).unwrap_err();
            assert!(matches!(e, HttpError::TooLarge { limit: 1000 }), "{e}");
            assert!(buffer.data.len() <= 1000);
        }
    }

    #[test]
    fn a_bomb_stops_where_the_shared_memory_ends() {
        let memory = SharedMemory::new(1 << 20);
        let mut buffer = compressed(gzip(&vec![0u8; 4 << 20]));
        buffer.held = memory.hold(0);
        let e = decode(Coding::Gzip, &mut buffer, u64::MAX, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(e.to_string(), "limit of 1048576 bytes for all bodies together reached");
        assert!(buffer.data.len() <= 1 << 20 && memory.used() > 0);
        drop(buffer);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_body_that_nobody_waits_for_is_not_decompressed_to_its_end() {
        let bomb = gzip(&vec![0u8; 4 << 20]);
        let abandon = Abandon::default();
        let flag = Arc::clone(&abandon.0);
        drop(abandon);
        let mut buffer = compressed(bomb);
        assert!(decode(Coding::Gzip, &mut buffer, u64::MAX, &flag).is_err());
        assert!(buffer.data.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn codings_round_trip(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for (coding, bytes) in
                [(Coding::Gzip, gzip(&data)), (Coding::Zstd, zstd::encode_all(&data[..], 1).unwrap())]
            {
                let mut buffer = compressed(bytes);
                decode(coding, &mut buffer, 1 << 20, &AtomicBool::new(false)).unwrap();
                prop_assert_eq!(&buffer.data, &data);
            }
        }

        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
                let _ = decode(coding, &mut compressed(data.clone()), 1 << 16, &AtomicBool::new(false));
            }
        }
    }
}
