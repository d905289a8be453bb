//! Functions over the values of a window.

use crate::syntax::RangeOp;

/// The value of `op` over the samples of one window, sorted by time and not empty. `range` is its length in nanoseconds, `end` its
/// end.
pub(super) fn over(op: RangeOp, parameter: f64, samples: &[(i64, f64)], range: i64, end: i64) -> f64 {
    let values = || samples.iter().map(|(_, v)| *v);
    let seconds = range as f64 / 1e9;
    match op {
        RangeOp::Sum => values().sum(),
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::Avg => mean(values()),
        RangeOp::Max => values().reduce(larger).unwrap_or(f64::NAN),
        RangeOp::Min => values().reduce(smaller).unwrap_or(f64::NAN),
        RangeOp::Stdvar => variance(values()),
        RangeOp::Stddev => variance(values()).sqrt(),
        RangeOp::Quantile => quantile(parameter, values().collect()),
        RangeOp::First => samples.first().map_or(f64::NAN, |(_, v)| *v),
        RangeOp::Last => samples.last().map_or(f64::NAN, |(_, v)| *v),
        RangeOp::RateCounter => rate_counter(samples, range, end),
        RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent => samples.len() as f64,
    }
}

/// The larger of two; a number before NaN.
fn larger(a: f64, b: f64) -> f64 {
    if b > a || a.is_nan() { b } else { a }
}

fn smaller(a: f64, b: f64) -> f64 {
    if b < a || a.is_nan() { b } else { a }
}

/// The mean, computed step by step so that large sums do not overflow.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0.0, 0.0);
    for v in values {
        count += 1.0;
        if f64::is_infinite(mean) {
            if v.is_infinite() && (mean > 0.0) == (v > 0.0) {
                continue;
            }
            if v.is_finite() {
                continue;
            }
        }
        mean += v / count - mean / count;
    }
    mean
}

/// The population variance, by Welford's method.
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut sum) = (0.0, 0.0, 0.0);
    for v in values {
        count += 1.0;
        let delta = v - mean;
        mean += delta / count;
        sum += delta * (v - mean);
    }
    sum / count
}

/// Linear interpolation between the two nearest values.
fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    // NaN counts as the smallest.
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = q * (values.len() - 1) as f64;
    let below = rank.floor();
    let above = (below as usize + 1).min(values.len() - 1);
    let weight = rank - below;
    values[below as usize] * (1.0 - weight) + values[above] * weight
}

/// The increase of a counter a second, resets added and extrapolated to the ends of the window as Prometheus does. A single
/// sample has no increase.
fn rate_counter(samples: &[(i64, f64)], range: i64, end: i64) -> f64 {
    let (Some((first_ns, first)), Some((last_ns, last))) = (samples.first(), samples.last()) else {
        return 0.0;
    };
    if samples.len() < 2 {
        return 0.0;
    }
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let seconds = |ns: i64| ns as f64 / 1e9;
    let sampled = seconds(last_ns - first_ns);
    let between = sampled / (samples.len() - 1) as f64;
    let reach = |gap: f64| if gap < between * 1.1 { gap } else { between / 2.0 };
    let mut to_start = reach(seconds(first_ns - (end - range)));
    if increase > 0.0 && *first >= 0.0 {
        // A counter does not go below zero.
        to_start = to_start.min(sampled * (first / increase));
    }
    let extrapolated = sampled + to_start + reach(seconds(end - last_ns));
    increase * (extrapolated / sampled) / seconds(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(0.5, vec![3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(quantile(1.0, vec![3.0, 1.0]), 3.0);
        assert_eq!(quantile(1.5, vec![3.0]), f64::INFINITY);
    }

    #[test]
    fn the_variance_is_that_of_the_population() {
        assert_eq!(variance([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()), 4.0);
    }
}
