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
/// prefers of what there is, and nothing twice. From `samples_from` on samples are complete.
pub(crate) fn select(
    request: &SelectRequest<'_>,
    blocks: &[Arc<Block>],
    samples_from: i64,
    head: Vec<Series>,
) -> Result<Vec<Series>, QueryError> {
    let mut levels: Vec<i64> = blocks.iter().map(|b| b.meta.resolution).filter(|r| *r > 0).collect();
    levels.sort_unstable();
    levels.dedup();
    let preference = choose::preference(&levels, request.hints, request.range);
    let metas: Vec<_> = blocks.iter().map(|b| &b.meta).collect();
    let readings = choose::plan(&metas, &preference, request.range, samples_from);
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
            series.chunks = visible(std::mem::take(&mut series.chunks), &hidden, request.range)?;
        }
        part.retain(|s| !s.chunks.is_empty());
    }
    parts.push(head);
    Ok(join(parts))
}

/// What is left of chunks outside of `hidden`. Of rollups only those that reach into `range` are kept where some are hidden:
/// a chunk says by its span where there is something.
fn visible(chunks: Vec<Chunk>, hidden: &[TimeRange], range: TimeRange) -> Result<Vec<Chunk>, ChunkError> {
    let mut out = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let span = chunk.range();
        if hidden.iter().any(|h| h.contains(span.start) && h.contains(span.end)) {
            continue;
        }
        if !hidden.iter().any(|h| h.overlaps(span)) {
            out.push(chunk);
        } else if let Some(resolution) = chunk.resolution() {
            let mut rollups = Vec::new();
            chunk.rollups_into(range, &mut rollups)?;
            rollups.retain(|r| !hidden.iter().any(|h| h.overlaps(TimeRange::new(r.first_t, r.last_t))));
            out.extend((!rollups.is_empty()).then(|| Chunk::rollups(resolution, rollups)));
        } else {
            out.extend(without(&chunk, hidden)?);
        }
    }
    Ok(out)
}
