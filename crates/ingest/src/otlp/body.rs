//! The outside of an OTLP request over HTTP: its encoding, its compression, and the answer in the same encoding.

use std::borrow::Cow;

use super::{OtlpError, json, schema::Message};
use crate::{
    compressed::{Compression, Corrupt},
    wire::{put_bytes_field, put_varint_field},
};

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// The encoding that a `Content-Type` names.
    pub fn of(content_type: &str) -> Result<Self, OtlpError> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Ok(Encoding::Protobuf),
            "application/json" => Ok(Encoding::Json),
            _ => Err(OtlpError::ContentType(content_type.to_owned())),
        }
    }

    /// The `Content-Type` of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }

    /// The message of a body in protobuf, decompressed as `Content-Encoding` says, in at most `limit` bytes.
    pub fn message<'a>(
        self,
        body: &'a [u8],
        content_encoding: &str,
        limit: usize,
        message: &'static Message,
    ) -> Result<Cow<'a, [u8]>, OtlpError> {
        let plain = decompress(body, content_encoding, limit)?;
        match self {
            Encoding::Protobuf => Ok(plain),
            Encoding::Json => Ok(Cow::Owned(json::to_protobuf(&plain, message)?)),
        }
    }

    /// The answer to a request that was taken: what of it was refused, if anything. `items` names them in JSON:
    /// `rejectedDataPoints`, `rejectedLogRecords` or `rejectedSpans`.
    pub fn taken(self, items: &str, refused: u64, reason: &str) -> Vec<u8> {
        if refused == 0 && reason.is_empty() {
            // Some clients look for the member, as upstream writes it.
            return if self == Encoding::Json { br#"{"partialSuccess":{}}"#.to_vec() } else { Vec::new() };
        }
        if self == Encoding::Json {
            let partial = serde_json::json!({ items: refused.to_string(), "errorMessage": reason });
            return serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes();
        }
        let (mut partial, mut out) = (Vec::new(), Vec::new());
        put_varint_field(1, refused, &mut partial);
        put_bytes_field(2, reason.as_bytes(), &mut partial);
        put_bytes_field(1, &partial, &mut out);
        out
    }

    /// The answer to a request that was not taken: a `google.rpc.Status`.
    pub fn failed(self, code: u32, reason: &str) -> Vec<u8> {
        if self == Encoding::Json {
            return serde_json::json!({ "code": code, "message": reason }).to_string().into_bytes();
        }
        let mut out = Vec::new();
        put_varint_field(1, u64::from(code), &mut out);
        put_bytes_field(2, reason.as_bytes(), &mut out);
        out
    }
}

/// Decompresses a body whose `Content-Encoding` is empty, `identity`, `gzip`, `deflate` or `zstd`.
pub fn decompress<'a>(body: &'a [u8], encoding: &str, limit: usize) -> Result<Cow<'a, [u8]>, OtlpError> {
    match Compression::named(encoding) {
        Some(known @ (Compression::None | Compression::Gzip | Compression::Deflate | Compression::Zstd)) => {
            known.undo(body, limit).map_err(|e| match e {
                Corrupt::TooLarge => OtlpError::TooLarge { limit },
                Corrupt::Malformed(reason) => {
                    OtlpError::Compressed { encoding: encoding.trim().to_owned(), reason }
                }
            })
        }
        _ => Err(OtlpError::ContentEncoding(encoding.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(data).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn bodies_are_bounded_after_decompression() {
        let data = vec![b'a'; 1000];
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&data).unwrap();
        let bodies = [
            ("", data.clone()),
            ("gzip", gzip(&data)),
            ("deflate", zlib.finish().unwrap()),
            ("zstd", zstd::encode_all(&data[..], 1).unwrap()),
        ];
        for (encoding, body) in bodies {
            assert_eq!(decompress(&body, encoding, 1000).unwrap(), data);
            assert!(matches!(decompress(&body, encoding, 999), Err(OtlpError::TooLarge { limit: 999 })));
        }
        assert!(matches!(decompress(b"x", "gzip", 10), Err(OtlpError::Compressed { .. })));
        assert!(matches!(decompress(b"x", "br", 10), Err(OtlpError::ContentEncoding(_))));
    }

    #[test]
    fn answers_are_in_the_encoding_of_the_request() {
        assert_eq!(Encoding::of("application/json; charset=utf-8").unwrap(), Encoding::Json);
        assert!(Encoding::of("text/plain").is_err());
        assert!(Encoding::Protobuf.taken("rejectedDataPoints", 0, "").is_empty());
        assert_eq!(Encoding::Json.taken("rejectedDataPoints", 0, ""), br#"{"partialSuccess":{}}"#);
        let json = Encoding::Json.taken("rejectedDataPoints", 2, "why");
        let json = String::from_utf8(json).unwrap();
        assert_eq!(json, r#"{"partialSuccess":{"errorMessage":"why","rejectedDataPoints":"2"}}"#);
        assert_eq!(Encoding::Protobuf.taken("", 2, "why"), b"\x0a\x07\x08\x02\x12\x03why");
        assert_eq!(Encoding::Protobuf.failed(3, "no"), b"\x08\x03\x12\x02no");
    }
}
