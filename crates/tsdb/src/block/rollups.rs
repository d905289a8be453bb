//! Downsampled series: writing them, and taking parts of them away.

use reba_model::{
    Chunk, ChunkError, Downsampler, Labels, RawColumns, Rollup, SampleColumns, Series, TimeRange,
    merge_rollups,
};

use super::{
    tombstones::strike,
    writer::{BlockWriter, Windows, WriteError},
};

/// Writes one series downsampled. What comes as rollups is older than what comes as samples. Histograms stay as they are.
pub(super) fn write_rollups(
    writer: &mut BlockWriter,
    labels: Labels,
    chunks: Vec<Chunk>,
    windows: Windows,
    columns: &mut SampleColumns,
) -> Result<(), WriteError> {
    let range = writer.range();
    let (rolled, raw): (Vec<_>, Vec<_>) = chunks.into_iter().partition(|c| c.resolution().is_some());
    let mut old = Vec::new();
    for chunk in rolled {
        chunk.rollups_into(range, &mut old)?;
    }
    let series = Series { labels, chunks: raw };
    series.read_into(range, columns)?;
    let mut new = Downsampler::new(windows.resolution, windows.span);
    new.extend(columns.t.iter().zip(&columns.v).map(|(t, v)| Rollup::sample(*t, *v)));
    let new = new.finish();
    let merged = if old.is_empty() { new } else { merge_rollups(&old, &new) };
    let mut joined = Downsampler::new(windows.resolution, windows.span);
    joined.extend(merged);
    writer.encode_rollups(windows.resolution, &joined.finish())?;
    columns.t.clear();
    columns.v.clear();
    writer.encode(columns)?;
    writer.end_series(&series.labels);
    Ok(())
}

/// A chunk without what lies in any of `ranges`; `None` if nothing is left. A rollup goes when a part of it does: what
/// was to go must not stay in a sum.
pub(crate) fn without(chunk: &Chunk, ranges: &[TimeRange]) -> Result<Option<Chunk>, ChunkError> {
    let left = match chunk.resolution() {
        Some(resolution) => {
            let mut rollups = Vec::new();
            chunk.rollups_into(TimeRange::ALL, &mut rollups)?;
            rollups.retain(|r| !ranges.iter().any(|d| d.overlaps(TimeRange::new(r.first_t, r.last_t))));
            Chunk::rollups(resolution, rollups)
        }
        None => {
            let mut columns = SampleColumns::default();
            chunk.decode_into(TimeRange::ALL, &mut columns)?;
            strike(&mut columns, ranges);
            let SampleColumns { t, v, h } = columns;
            Chunk::raw_columns(RawColumns { t, v, h })
        }
    };
    Ok((left.samples() > 0).then_some(left))
}
