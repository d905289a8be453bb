//! Which blocks answer a request, where a span is there in several resolutions.

use reba_model::TimeRange;
use reba_storage::SelectHints;

use super::is_late_for;
use crate::block::BlockMeta;

/// Functions of ranges whose result is exact if it is computed from whole windows.
const EXACT: [&str; 14] = [
    "absent_over_time",
    "avg_over_time",
    "count_over_time",
    "delta",
    "first_over_time",
    "increase",
    "last_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "sum_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
];

/// How many windows must fit into a step, and into a range, that does not begin and end with one: only at the edges is the
/// answer an estimate then.
const WINDOWS_PER_STEP: i64 = 5;

/// Whether windows of `resolution` milliseconds serve a request as well as samples do.
///
/// They do if every moment that is looked at ends a window, for then nothing is lost; and if windows are much shorter than
/// steps and ranges. A query for one moment always gets samples.
fn serves(resolution: i64, hints: &SelectHints, range: TimeRange) -> bool {
    let ranged = hints.range > 0;
    if hints.step <= 0 || (ranged && !EXACT.contains(&hints.function.as_str())) {
        return false;
    }
    let whole = |ms: i64| ms.rem_euclid(resolution) == 0;
    let long = |ms: i64| ms / WINDOWS_PER_STEP >= resolution;
    (whole(hints.step) && whole(hints.range) && whole(range.end))
        || (long(hints.step) && (!ranged || long(hints.range)))
}

/// The resolutions (0: samples) in the order in which a request wants them: the longest windows that serve it, then finer
/// ones, samples; where there is none of these, the next longer windows.
pub(super) fn preference(levels: &[i64], hints: &SelectHints, range: TimeRange) -> Vec<i64> {
    let (mut out, coarse): (Vec<i64>, Vec<i64>) =
        levels.iter().copied().partition(|r| serves(*r, hints, range));
    out.sort_unstable_by(|a, b| b.cmp(a));
    out.push(0);
    let mut coarse = coarse;
    coarse.sort_unstable();
    out.extend(coarse);
    out
}

/// What is read of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Blocks (by position) that are preferred to it: where they have a series, it is not asked.
    pub(super) behind: Vec<usize>,
    /// Nothing of it can be left: it need not be read.
    pub(super) skipped: bool,
}

/// What is read of each block for a request of `range`.
pub(super) fn plan(
    metas: &[&BlockMeta],
    preference: &[i64],
    range: TimeRange,
    samples_from: i64,
) -> Vec<Reading> {
    let rank = |m: &BlockMeta| preference.iter().position(|r| *r == m.resolution).unwrap_or(usize::MAX);
    let reading = |b: &BlockMeta| {
        let behind: Vec<usize> = (0..metas.len())
            .filter(|i| {
                let a = metas[*i];
                rank(a) < rank(b) && a.range().overlaps(b.range()) && holds_what_is_in(a, b, samples_from)
            })
            .collect();
        let whole =
            behind.iter().map(|i| metas[*i]).filter(|a| !a.partial && (!a.is_raw() || !a.out_of_order));
        let wanted = TimeRange::new(b.min_time.max(range.start), (b.max_time - 1).min(range.end));
        Reading { skipped: covers(whole.map(BlockMeta::range).collect(), wanted), behind }
    };
    metas.iter().map(|b| reading(b)).collect()
}

/// Whether what `b` has of a series is also in `a`, if `a` has the series, as far as both reach.
fn holds_what_is_in(a: &BlockMeta, b: &BlockMeta, samples_from: i64) -> bool {
    match (a.is_raw(), b.is_raw()) {
        // Late samples that were not downsampled yet say nothing of what else there is, nor do those whose company has
        // gone already.
        (true, false) => !a.out_of_order || (a.max_time > samples_from && !is_late_for(a, b)),
        (false, true) => !is_late_for(b, a),
        _ => true,
    }
}

fn covers(mut spans: Vec<TimeRange>, wanted: TimeRange) -> bool {
    spans.sort_unstable_by_key(|s| s.start);
    let mut next = wanted.start;
    for span in spans {
        if span.start <= next {
            next = next.max(span.end.saturating_add(1));
        }
    }
    next > wanted.end
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: i64 = 60_000;

    fn hints(function: &str, step: i64, range: i64) -> SelectHints {
        SelectHints {
            function: function.to_owned(),
            step: step * MIN,
            range: range * MIN,
            ..SelectHints::default()
        }
    }

    #[test]
    fn the_longest_windows_that_serve_a_step_come_first() {
        let levels = [5 * MIN, 60 * MIN];
        let choose = |f: &str, step, range, end| {
            preference(&levels, &hints(f, step, range), TimeRange::new(0, end))
                .iter()
                .map(|r| r / MIN)
                .collect::<Vec<_>>()
        };
        assert_eq!(choose("rate", 1, 5, MIN), [0, 5, 60]);
        assert_eq!(choose("rate", 5, 5, 60 * MIN), [5, 0, 60], "aligned");
        assert_eq!(choose("rate", 5, 5, 61 * MIN), [0, 5, 60], "not aligned");
        assert_eq!(choose("rate", 60, 60, 61 * MIN), [5, 0, 60]);
        assert_eq!(choose("rate", 60, 60, 120 * MIN), [60, 5, 0]);
        assert_eq!(choose("rate", 60, 7, 61 * MIN), [0, 5, 60], "short ranges need samples");
        assert_eq!(choose("", 24 * 60, 0, MIN), [60, 5, 0]);
        assert_eq!(choose("sum", 24, 0, MIN), [0, 5, 60]);
        assert_eq!(choose("quantile_over_time", 60, 60, 120 * MIN), [0, 5, 60]);
        assert_eq!(choose("rate", 0, 60 * 24, 60 * MIN), [0, 5, 60], "one moment gets samples");
    }

    fn block(number: u64, min_time: i64, max_time: i64, resolution: i64) -> BlockMeta {
        BlockMeta { number, min_time, max_time, resolution, ..BlockMeta::default() }
    }

    #[test]
    fn a_block_is_not_read_where_better_ones_have_all_of_it() {
        let raw = block(1, 0, 100, 0);
        let rolled = block(2, 0, 100, 5);
        let plan = |metas: &[&BlockMeta], preference: &[i64]| -> Vec<(Vec<usize>, bool)> {
            plan(metas, preference, TimeRange::new(10, 1000), i64::MIN)
                .into_iter()
                .map(|r| (r.behind, r.skipped))
                .collect()
        };
        assert_eq!(plan(&[&raw, &rolled], &[0, 5]), [(vec![], false), (vec![0], true)]);
        assert_eq!(plan(&[&raw, &rolled], &[5, 0]), [(vec![1], true), (vec![], false)]);
        let partial = BlockMeta { partial: true, ..raw.clone() };
        assert_eq!(plan(&[&partial, &rolled], &[0, 5]), [(vec![], false), (vec![0], false)]);
        let late = BlockMeta { out_of_order: true, number: 3, ..raw.clone() };
        assert_eq!(plan(&[&late, &rolled], &[0, 5]), [(vec![], false), (vec![], false)]);
        assert_eq!(plan(&[&late, &rolled], &[5, 0]), [(vec![], false), (vec![], false)]);
        let half = block(4, 50, 100, 0);
        assert_eq!(plan(&[&half, &rolled], &[0, 5]), [(vec![], false), (vec![0], false)]);
    }
}
