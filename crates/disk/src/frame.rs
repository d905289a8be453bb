//! Frames: a length, a checksum, a payload.

use thiserror::Error;

/// Bytes before each payload: its length, then the checksum of length and payload, both `u32` little-endian.
pub const FRAME_HEADER: usize = 8;

/// CRC-32 (IEEE) of `data`.
pub fn checksum(data: &[u8]) -> u32 {
    crc32fast::hash(data)
}

fn frame_checksum(len: [u8; 4], payload: &[u8]) -> u32 {
    let mut h = crc32fast::Hasher::new();
    h.update(&len);
    h.update(payload);
    h.finalize()
}

/// Appends a frame to `out`; returns its bytes. The payload must be shorter than 4 GiB.
pub fn push_frame(out: &mut Vec<u8>, payload: &[u8]) -> usize {
    let len = (payload.len() as u32).to_le_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&frame_checksum(len, payload).to_le_bytes());
    out.extend_from_slice(payload);
    FRAME_HEADER + payload.len()
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The data ends inside the frame.
    #[error("the data ends inside a frame")]
    Truncated,
    /// The checksum is another one.
    #[error("wrong checksum")]
    Checksum,
}

/// The payload of the frame at `pos` and the position behind it; `None` at the end of the data.
pub fn next_frame(data: &[u8], pos: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some(rest) = data.get(pos..).filter(|r| !r.is_empty()) else { return Ok(None) };
    let (Some(len), Some(crc)) = (rest.first_chunk::<4>(), rest.get(4..8)) else {
        return Err(FrameError::Truncated);
    };
    let end = FRAME_HEADER + u32::from_le_bytes(*len) as usize;
    let payload = rest.get(FRAME_HEADER..end).ok_or(FrameError::Truncated)?;
    if frame_checksum(*len, payload).to_le_bytes() != crc {
        return Err(FrameError::Checksum);
    }
    Ok(Some((payload, pos + end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_round_trip_and_any_flipped_bit_is_seen(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..5),
            flip in any::<proptest::sample::Index>(),
        ) {
            let mut data = Vec::new();
            for p in &payloads {
                push_frame(&mut data, p);
            }
            let read = |data: &[u8]| {
                let (mut pos, mut out) = (0, Vec::new());
                while let Some((p, next)) = next_frame(data, pos)? {
                    out.push(p.to_vec());
                    pos = next;
                }
                Ok::<_, FrameError>(out)
            };
            prop_assert_eq!(read(&data).unwrap(), payloads);
            let bit = flip.index(data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&data).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = next_frame(&data, 0);
        }
    }
}
