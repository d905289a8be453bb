//! Reading a log back, and cutting a torn tail.

use crate::{Dir, DiskError, FrameError, Result, frame::next_frame};

/// Bytes at the start of a segment: the magic text, then the segment's number (`u64` little-endian).
pub const SEGMENT_HEADER: usize = 16;

const MAGIC: &[u8; 8] = b"REBALOG1";

/// The header of a segment, for files in the format of one that are not written by a [`crate::Log`].
pub fn segment_header(number: u64) -> [u8; SEGMENT_HEADER] {
    let mut out = [0; SEGMENT_HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..].copy_from_slice(&number.to_le_bytes());
    out
}

/// The file name of a segment: its number in ten digits.
pub fn segment_name(number: u64) -> String {
    format!("{number:010}.log")
}

/// Numbers of the segments in `dir`, rising.
pub fn segments(dir: &Dir) -> Result<Vec<u64>> {
    let number = |name: &str| name.strip_suffix(".log")?.parse::<u64>().ok();
    let mut out: Vec<u64> =
        dir.list()?.iter().filter(|e| !e.is_dir).filter_map(|e| number(&e.name)).collect();
    out.sort_unstable();
    Ok(out)
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// With its last frame.
    Clean,
    /// Inside a frame that was being written when the process or the machine died; all before it is good.
    Torn {
        /// Where the good part ends.
        at: u64,
    },
    /// At a frame that is damaged although more data follows it. What follows was not read.
    Corrupt {
        /// Where the good part ends.
        at: u64,
    },
}

/// Calls `each` with the payload of every good frame from the start of a segment on, until the end or the first bad
/// frame. `each` returns `false` to stop reading early (the payload contradicts itself), which counts as corrupt.
pub fn read_segment(dir: &Dir, number: u64, mut each: impl FnMut(&[u8]) -> bool) -> Result<SegmentEnd> {
    let data = dir.map(&segment_name(number))?;
    let header = segment_header(number);
    if !data.starts_with(&header) {
        // A header that was being written is a part of itself, perhaps with zeros for what never arrived.
        let whole = data.iter().zip(&header).take_while(|(a, b)| a == b).count();
        let torn = is_zero(&data[whole..]);
        return Ok(if torn { SegmentEnd::Torn { at: 0 } } else { SegmentEnd::Corrupt { at: 0 } });
    }
    let mut pos = SEGMENT_HEADER;
    loop {
        match next_frame(&data, pos) {
            Ok(None) => return Ok(SegmentEnd::Clean),
            Ok(Some((payload, next))) => {
                if !each(payload) {
                    return Ok(SegmentEnd::Corrupt { at: pos as u64 });
                }
                pos = next;
            }
            Err(e) => return Ok(bad_end(&data, pos, e)),
        }
    }
}

/// Tells a torn tail from damage in the middle: a torn frame is the last thing in the file, or is followed by nothing
/// but the zeros that a file system leaves where data never arrived.
fn bad_end(data: &[u8], pos: usize, error: FrameError) -> SegmentEnd {
    let rest = &data[pos..];
    let at = pos as u64;
    let last = match error {
        FrameError::Truncated => {
            // A damaged length also looks truncated: then good frames follow somewhere.
            !has_frame_after(rest)
        }
        FrameError::Checksum => {
            let len = rest.first_chunk::<4>().map_or(0, |l| u32::from_le_bytes(*l) as usize);
            rest.get(crate::FRAME_HEADER + len..).is_none_or(is_zero)
        }
    };
    if last || is_zero(rest) { SegmentEnd::Torn { at } } else { SegmentEnd::Corrupt { at } }
}

/// How far behind a bad frame a good one is looked for.
const RESYNC_WINDOW: usize = 64 << 10;

fn has_frame_after(rest: &[u8]) -> bool {
    (1..rest.len().min(RESYNC_WINDOW)).any(|i| {
        // An empty frame would be found in any run of zeros.
        matches!(next_frame(rest, i), Ok(Some((payload, _))) if !payload.is_empty())
    })
}

fn is_zero(data: &[u8]) -> bool {
    data.iter().all(|b| *b == 0)
}

/// Makes a segment durable that another process wrote and perhaps did not live to sync.
pub fn sync_segment(dir: &Dir, number: u64) -> Result<()> {
    let name = segment_name(number);
    let path = dir.join(&name);
    dir.open(&name)?.sync().map_err(|e| DiskError::io("fsync", &path, e))
}

/// Cuts a torn segment behind its last good frame; a segment without even a header is removed.
pub fn repair_segment(dir: &Dir, number: u64, at: u64) -> Result<()> {
    let name = segment_name(number);
    if at < SEGMENT_HEADER as u64 {
        return dir.remove_file(&name);
    }
    let path = dir.join(&name);
    let mut file = dir.open(&name)?;
    file.set_len(at).map_err(|e| DiskError::io("cut", &path, e))?;
    file.sync().map_err(|e| DiskError::io("fsync", &path, e))
}
