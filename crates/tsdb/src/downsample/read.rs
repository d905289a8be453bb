//! Reading series that are there in several resolutions.

use std::{collections::HashMap, sync::Arc};

use reba_model::{Chunk, ChunkError, Labels, Series, TimeRange};
use reba_storage::{QueryError, SelectRequest};

use super::choose;
use crate::{
    block::{Block, without},
    db::join,
};

/// The series of blocks, some of which are downsampled, and of the head. At every time a series has what the request
/// prefers of what there is, and nothing twice.
pub(crate) fn select(
    request: &SelectRequest<'_>,
    blocks: &[Arc<Block>],
    head: Vec<Series>,
) -> Result<Vec<Series>, QueryError> {
    let mut levels: Vec<i64> = blocks.iter().map(|b| b.meta.resolution).filter(|r| *r > 0).collect();
    levels.sort_unstable();
    levels.dedup();
    let preference = choose::preference(&levels, request.hints, request.range);
    let metas: Vec<_> = blocks.iter().map(|b| &b.meta).collect();
    let readings = choose::plan(&metas, &preference, request.range);
    let mut parts: Vec<Vec<Series>> = Vec::with_capacity(blocks.len() + 1);
    for (block, reading) in blocks.iter().zip(&readings) {
        let mut part = Vec::new();
        if !reading.skipped {
            block.select(request, &mut part)?;
        }
        parts.push(part);
    }
    // Whose samples a series has.
    let mut present: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (i, part) in parts.iter().enumerate() {
        let is_preferred = readings.iter().any(|r| !r.skipped && r.behind.contains(&i));
        for series in part.iter().filter(|_| is_preferred) {
            present.entry(series.labels.clone()).or_default().push(i);
        }
    }
    for (part, reading) in parts.iter_mut().zip(&readings).filter(|(_, r)| !r.behind.is_empty()) {
        for series in part.iter_mut() {
            let Some(others) = present.get(&series.labels) else { continue };
            let hidden: Vec<TimeRange> =
                reading.behind.iter().filter(|i| others.contains(i)).map(|i| metas[*i].range()).collect();
            series.chunks = visible(std::mem::take(&mut series.chunks), &hidden)?;
        }
        part.retain(|s| !s.chunks.is_empty());
    }
    parts.push(head);
    Ok(join(parts))
}

/// What is left of chunks outside of `hidden`.
fn visible(chunks: Vec<Chunk>, hidden: &[TimeRange]) -> Result<Vec<Chunk>, ChunkError> {
    let mut out = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let range = chunk.range();
        if hidden.iter().any(|h| h.contains(range.start) && h.contains(range.end)) {
            continue;
        }
        if hidden.iter().any(|h| h.overlaps(range)) {
            out.extend(without(&chunk, hidden)?);
        } else {
            out.push(chunk);
        }
    }
    Ok(out)
}
