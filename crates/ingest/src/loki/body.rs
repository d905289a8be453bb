//! What the headers of a push say of its body.

use std::borrow::Cow;

use super::PushError;
use crate::compressed::{Compression, Corrupt, snappy_block};

/// The form of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// As it was before 1.0.
    LegacyJson,
    /// In a snappy block.
    Protobuf,
}

/// Whether a `Content-Type` is that of JSON; anything else is protobuf.
pub(super) fn is_json(content_type: Option<&str>) -> Result<bool, PushError> {
    let Some(text) = content_type.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(false) };
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let is_token = |t: &str| {
        !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    let sound = match kind.split_once('/') {
        Some((kind, subkind)) => is_token(kind) && is_token(subkind),
        None => is_token(kind),
    };
    let parameter =
        |p: &str| p.is_empty() || p.split_once('=').is_some_and(|(name, _)| is_token(name.trim()));
    if !sound || !parts.all(parameter) {
        return Err(PushError::bad(format!("mime: malformed media type {text:?}")));
    }
    Ok(kind.eq_ignore_ascii_case("application/json"))
}

/// The body without its compression, in at most `limit` bytes. A snappy block goes into `buffer`.
pub(super) fn plain<'a>(
    form: Form,
    encoding: Option<&str>,
    body: &'a [u8],
    limit: usize,
    buffer: &'a mut Vec<u8>,
) -> Result<Cow<'a, [u8]>, PushError> {
    let encoding = encoding.unwrap_or_default().trim();
    let compression = Compression::named(encoding)
        .filter(|c| *c != Compression::Zstd)
        .ok_or_else(|| PushError::bad(format!("Content-Encoding {encoding:?} not supported")))?;
    let corrupt = |e: Corrupt| match e {
        Corrupt::TooLarge => PushError::too_large(limit),
        Corrupt::Malformed(reason) => {
            let name = if encoding.is_empty() { "snappy" } else { encoding };
            PushError::bad(format!("{name}: {reason}"))
        }
    };
    let unpacked = match compression {
        Compression::Snappy if form == Form::Protobuf || begins_object(body) => Cow::Borrowed(body),
        other => other.undo(body, limit).map_err(corrupt)?,
    };
    if form != Form::Protobuf {
        return if unpacked.len() > limit { Err(PushError::too_large(limit)) } else { Ok(unpacked) };
    }
    if unpacked.is_empty() {
        return Ok(unpacked);
    }
    snappy_block(&unpacked, limit, buffer).map_err(corrupt)?;
    Ok(Cow::Borrowed(buffer))
}

/// Whether this is JSON that somebody calls compressed.
fn begins_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}
