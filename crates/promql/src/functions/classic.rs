//! Quantiles and fractions of classic histograms: cumulative counts by upper bound.

/// Differences between neighbouring counts below this share of them are taken for rounding errors.
const TOLERANCE: f64 = 1e-12;

/// One bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicBucket {
    /// Upper bound, inclusive: the label `le`.
    pub upper: f64,
    /// Observations in this bucket and all below.
    pub count: f64,
}

/// What had to be repaired because counts fell although their bounds rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repair {
    /// Lowest bound repaired.
    pub min_bucket: f64,
    /// Highest bound repaired.
    pub max_bucket: f64,
    /// Largest fall.
    pub max_diff: f64,
}

/// The value below which the share `q` of the observations lies, interpolated linearly, and what was repaired before.
///
/// `buckets` must be sorted by bound; they are merged and repaired in place. Below the first bound lies zero, unless
/// that bound is not positive: it is the answer then. In the last bucket the answer is the bound before it. NaN if
/// there are no observations, fewer than two buckets, or no `+Inf` bucket.
pub fn bucket_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let repair = make_monotonic(buckets);
    let [below @ .., last] = buckets.as_slice() else { return (f64::NAN, repair) };
    let Some(highest_finite) = below.last() else { return (f64::NAN, repair) };
    if last.count == 0.0 {
        return (f64::NAN, repair);
    }
    let rank = q * last.count;
    let at = below.partition_point(|b| b.count < rank);
    let Some(bucket) = below.get(at) else { return (highest_finite.upper, repair) };
    let value = match at.checked_sub(1).map(|i| below[i]) {
        None if bucket.upper <= 0.0 => bucket.upper,
        None => bucket.upper * (rank / bucket.count),
        Some(previous) => {
            let share = (rank - previous.count) / (bucket.count - previous.count);
            previous.upper + (bucket.upper - previous.upper) * share
        }
    };
    (value, repair)
}

/// The share of observations between `lower` and `upper`, by the same interpolation as [`bucket_quantile`].
/// `buckets` must be sorted by bound; they are merged in place.
pub fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets.last().map_or(0.0, |b| b.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, count) - rank_of(lower, buckets, count)) / count
}

/// How many observations lie below `edge`, at most `count`.
fn rank_of(edge: f64, buckets: &[ClassicBucket], count: f64) -> f64 {
    let mut start = match buckets.first() {
        Some(b) if b.upper <= 0.0 => f64::NEG_INFINITY,
        _ => 0.0,
    };
    let mut rank = 0.0;
    for b in buckets {
        let found = if start >= edge {
            Some(rank)
        } else if b.upper <= edge {
            None
        } else if start == f64::NEG_INFINITY {
            // Nobody knows where in this bucket they are.
            Some(b.count)
        } else {
            Some(rank + (b.count - rank) * (edge - start) / (b.upper - start))
        };
        if let Some(found) = found {
            return if found > count { count } else { found };
        }
        rank = b.count;
        start = b.upper;
    }
    count
}

/// Unites neighbours with the same bound.
fn coalesce(buckets: &mut Vec<ClassicBucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Lifts every count to at least the one before it. Tiny differences are removed silently, whatever their direction.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> Option<Repair> {
    let mut repair: Option<Repair> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut previous = first.count;
    for b in rest {
        if b.count == previous {
            continue;
        }
        if almost_equal(previous, b.count) {
            b.count = previous;
        } else if b.count < previous {
            let diff = previous - b.count;
            let r = repair.get_or_insert(Repair { min_bucket: b.upper, max_bucket: b.upper, max_diff: diff });
            r.min_bucket = r.min_bucket.min(b.upper);
            r.max_bucket = r.max_bucket.max(b.upper);
            r.max_diff = r.max_diff.max(diff);
            b.count = previous;
        } else {
            previous = b.count;
        }
    }
    repair
}

/// Whether the difference is less than the tolerance times the sum; near zero, less than it times the smallest normal
/// float.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < TOLERANCE * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|(upper, count)| ClassicBucket { upper: *upper, count: *count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_interpolate_within_a_bucket() {
        let b = [(0.1, 1.0), (0.2, 3.0), (1e0, 4.0), (INF, 5.0)];
        for (q, want) in
            [(0.0, 0.0), (0.1, 0.05), (0.4, 0.15), (0.8, 1.0), (0.9, 1.0), (1.1, INF), (-1.0, -INF)]
        {
            let got = bucket_quantile(q, &mut buckets(&b)).0;
            assert!(got == want || (got - want).abs() < 1e-12, "{q}: {got}");
        }
        assert_eq!(bucket_quantile(0.1, &mut buckets(&[(-2.0, 1.0), (INF, 2.0)])).0, -2.0);
        for b in [&[][..], &[(INF, 1.0)], &[(1.0, 1.0), (2.0, 1.0)], &[(1.0, 0.0), (INF, 0.0)]] {
            assert!(bucket_quantile(0.5, &mut buckets(b)).0.is_nan());
        }
    }

    #[test]
    fn falling_counts_are_lifted_and_reported() {
        let mut b = buckets(&[(1.0, 3.0), (2.0, 1.0), (3.0, 5.0), (4.0, 4.5), (INF, 5.0 + 1e-13)]);
        let (_, repair) = bucket_quantile(0.5, &mut b);
        assert_eq!(repair, Some(Repair { min_bucket: 2.0, max_bucket: 4.0, max_diff: 2.0 }));
        assert_eq!(b.iter().map(|b| b.count).collect::<Vec<_>>(), [3.0, 3.0, 5.0, 5.0, 5.0]);
    }

    #[test]
    fn fractions_interpolate_and_equal_bounds_are_united() {
        let b = [(1.0, 2.0), (1.0, 2.0), (3.0, 8.0), (INF, 8.0)];
        assert_eq!(bucket_fraction(0.0, 2.0, &mut buckets(&b)), 0.75);
        assert_eq!(bucket_fraction(-INF, INF, &mut buckets(&b)), 1.0);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut buckets(&b)), 0.0);
        assert!(bucket_fraction(0.0, 1.0, &mut buckets(&[(1.0, 1.0)])).is_nan());
    }

    proptest! {
        #[test]
        fn quantiles_rise_and_invert_fractions(
            counts in proptest::collection::vec(0u32..9, 2..8), q in 0.0..=1.0f64, p in 0.0..=1.0f64,
        ) {
            let mut sum = 0.0;
            let n = counts.len();
            let b: Vec<ClassicBucket> = counts.into_iter().enumerate().map(|(i, c)| {
                sum += f64::from(c);
                ClassicBucket { upper: if i + 1 == n { INF } else { (i + 1) as f64 }, count: sum }
            }).collect();
            prop_assume!(sum > 0.0);
            let at = |q| bucket_quantile(q, &mut b.clone()).0;
            prop_assert!(at(q.min(p)) <= at(q.max(p)) + 1e-9);
            let below = bucket_fraction(-INF, at(q), &mut b.clone());
            prop_assert!(below <= q + 1e-9, "{below} {q}");
        }
    }
}
