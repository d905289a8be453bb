//! Chunks of floats: a column of times and one of values.

use super::{
    ChunkError,
    reader::{Reader, put_varint},
    times::{TimesHead, decode_times, encode_times, read_head},
    values::{decode_values, encode_values},
};
use crate::{SampleColumns, TimeRange};

/// First byte of a chunk of packed floats.
pub(super) const TAG: u8 = 2;

/// Appends a chunk of floats that stands alone to `out`. `t` must rise and be as long as `v`; at most
/// [`crate::MAX_CHUNK_SAMPLES`] samples.
pub fn encode_floats(t: &[i64], v: &[f64], out: &mut Vec<u8>) {
    debug_assert_eq!(t.len(), v.len(), "columns of one length");
    out.push(TAG);
    let start = out.len();
    encode_times(t, out);
    // The length of the times stands before them; it is known only now.
    let len = out.len() - start;
    put_varint(len as u64, out);
    let prefix = out.len() - start - len;
    out[start..].rotate_right(prefix);
    encode_values(v, out);
}

pub(super) fn head(bytes: &[u8]) -> Result<TimesHead, ChunkError> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    r.varint()?;
    read_head(&mut r)
}

pub(super) fn decode(bytes: &[u8], range: TimeRange, out: &mut SampleColumns) -> Result<(), ChunkError> {
    let mut r = Reader::new(bytes);
    r.u8()?;
    let len = r.count(bytes.len(), "times longer than the chunk")?;
    let mut values = r.clone();
    values.skip(len)?;
    decode_columns(&mut r, &mut values, range, out)
}

/// Decodes a column of times and the values that belong to them.
pub(super) fn decode_columns(
    times: &mut Reader<'_>,
    values: &mut Reader<'_>,
    range: TimeRange,
    out: &mut SampleColumns,
) -> Result<(), ChunkError> {
    let n = read_head(&mut times.clone())?.n;
    let before = out.t.len();
    let result = decode_times(times, range, &mut out.t)
        .and_then(|(from, to)| decode_values(values, n, from, to, &mut out.v));
    if result.is_err() {
        // The columns stay equally long.
        out.t.truncate(before);
        out.v.truncate(before);
    }
    result
}
