//! Reading downsampled series, and saying so.

use std::collections::BTreeMap;

use reba_model::{Chunk, Rollup, SampleColumns, Series, TimeRange, duration};

use super::{annotations::Annotations, error::EvalError, plan::PlannedSelector};

/// How many samples are made of one rollup at most.
const MAX_REPEATS: i64 = 120;

/// Whether some of a series is downsampled.
pub(super) fn is_downsampled(series: &Series) -> bool {
    series.chunks.iter().any(|c| c.resolution().is_some())
}

/// The rollups of a series that reach into `range`, samples that are not downsampled among them, each of them a rollup.
///
/// A sample inside a rollup is left out: the rollup knows of it, or will.
pub(super) fn rollups(series: &Series, range: TimeRange) -> Result<Vec<Rollup>, EvalError> {
    let (rolled, raw): (Vec<&Chunk>, Vec<&Chunk>) =
        series.chunks.iter().partition(|c| c.resolution().is_some());
    let mut found = Vec::new();
    for chunk in rolled {
        chunk.rollups_into(range, &mut found)?;
    }
    found.sort_by_key(|r| (r.first_t, r.last_t));
    let mut out: Vec<Rollup> = Vec::with_capacity(found.len());
    for r in found {
        if out.last().is_none_or(|last| last.last_t < r.first_t) {
            out.push(r);
        }
    }
    if !raw.is_empty() {
        let raw = Series { labels: series.labels.clone(), chunks: raw.into_iter().cloned().collect() };
        let mut samples = SampleColumns::default();
        raw.read_into(range, &mut samples)?;
        let mut i = 0;
        let rolled = out.len();
        for (t, v) in samples.t.into_iter().zip(samples.v) {
            while i < rolled && out[i].last_t < t {
                i += 1;
            }
            if i == rolled || t < out[i].first_t {
                out.push(Rollup::sample(t, v));
            }
        }
        out.sort_by_key(|r| r.first_t);
    }
    Ok(out)
}

/// The samples of a downsampled series: the first and the last of each rollup. Between the two the first is repeated, so
/// that there is one in every stretch of [`PlannedSelector::stretch`] milliseconds, as there was.
pub(super) fn read_samples(
    series: &Series,
    planned: &PlannedSelector,
    out: &mut SampleColumns,
) -> Result<(), EvalError> {
    series.read_into(planned.range, out)?;
    let histograms = std::mem::take(&mut out.h);
    out.clear();
    out.h = histograms;
    for r in rollups(series, planned.range)? {
        let length = r.last_t.saturating_sub(r.first_t);
        let stretch = planned.stretch.max(length / MAX_REPEATS).max(1);
        let mut known = r.known_samples();
        if let Some((t, v)) = known.next() {
            out.push(t, v);
            let mut next = t.saturating_add(stretch);
            while next < r.last_t {
                out.push(next, v);
                next = next.saturating_add(stretch);
            }
        }
        for (t, v) in known {
            out.push(t, v);
        }
    }
    Ok(())
}

/// Notes which part of what a selector got is downsampled.
pub(super) fn note(planned: &PlannedSelector, found: &[Series], annotations: &mut Annotations) {
    let mut spans: BTreeMap<i64, TimeRange> = BTreeMap::new();
    for chunk in found.iter().flat_map(|s| &s.chunks) {
        let Some(resolution) = chunk.resolution() else { continue };
        let (range, wanted) = (chunk.range(), planned.range);
        let seen = TimeRange::new(range.start.max(wanted.start), range.end.min(wanted.end));
        if seen.start <= seen.end {
            spans.entry(resolution).and_modify(|s| *s = s.union(seen)).or_insert(seen);
        }
    }
    for (resolution, span) in spans {
        annotations.info_downsampled(planned.pos, &duration::format(resolution), span);
    }
}
