//! Quantiles, fractions and moments, estimated from the buckets.

use super::{Bucket, Histogram, buckets::RawBucket, kahan};

/// What observations of NaN did to a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanEffect {
    /// They are the answer: the quantile lies above all buckets.
    Result,
    /// They count as larger than everything, so the quantile is too high.
    Skew,
}

impl Histogram {
    /// The mean of all observations.
    pub fn avg(&self) -> f64 {
        self.sum / self.count
    }

    /// The variance, each observation taken as the middle of its bucket: the geometric mean of the bounds, zero in
    /// the zero bucket, the arithmetic mean for custom buckets.
    pub fn stdvar(&self) -> f64 {
        let mean = self.avg();
        let (mut variance, mut c) = (0.0, 0.0);
        for b in self.all_buckets().filter(|b| b.count != 0.0) {
            let middle = if self.uses_custom_buckets() {
                f64::midpoint(b.upper, b.lower)
            } else if b.lower <= 0.0 && b.upper >= 0.0 {
                0.0
            } else {
                (b.upper * b.lower).sqrt().copysign(b.upper)
            };
            let delta = middle - mean;
            (variance, c) = kahan::add(b.count * delta * delta, variance, c);
        }
        (variance + c) / self.count
    }

    /// The square root of [`Histogram::stdvar`].
    pub fn stddev(&self) -> f64 {
        self.stdvar().sqrt()
    }

    /// The value below which the share `q` of the observations lies.
    ///
    /// Interpolated within a bucket: linearly in custom buckets and the zero bucket, on a logarithmic scale elsewhere. A
    /// zero bucket reaches only to zero on a side without any bucket. `-Inf` for q < 0, `+Inf` for q > 1, NaN without
    /// observations or for a NaN.
    pub fn quantile(&self, q: f64) -> (f64, Option<NanEffect>) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (f64::NAN, None);
        }
        // Observations of NaN are in no bucket: counting must then begin at the low end.
        let has_nan_sum = self.sum.is_nan();
        let forward = has_nan_sum || q < 0.5;
        let mut rank = if forward { q * self.count } else { (1.0 - q) * self.count };
        let mut rest = 0.0;
        let (bucket, found) = if forward {
            let mut buckets = self.raw_buckets();
            let at = bucket_of_rank(&mut buckets, rank);
            if has_nan_sum {
                rest = buckets.map(|b| b.count).sum();
            }
            at
        } else {
            bucket_of_rank(&mut self.raw_buckets().rev(), rank)
        };
        let mut bucket = bucket.map_or_else(Bucket::default, |b| self.bounded(b));
        if self.uses_custom_buckets() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return (bucket.upper, None);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return (bucket.lower, None);
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            self.cut_zero_bucket(&mut bucket);
        }
        let count = if found > self.count { self.count } else { found };
        if count < rank {
            return if has_nan_sum { (f64::NAN, Some(NanEffect::Result)) } else { (bucket.upper, None) };
        }
        rank = if forward { rank - (count - bucket.count) } else { count - rank };
        let skewed = has_nan_sum && count + rest < self.count;
        let value = interpolate(&bucket, rank / bucket.count, self.uses_custom_buckets());
        (value, skewed.then_some(NanEffect::Skew))
    }

    /// The share of observations between `lower` and `upper`, by the same interpolation as [`Histogram::quantile`], and
    /// whether observations of NaN, which belong to no bucket, were left out. NaN without observations or for NaN bounds.
    pub fn fraction(&self, lower: f64, upper: f64) -> (f64, bool) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, false);
        }
        if lower >= upper {
            return (0.0, false);
        }
        let linear = self.uses_custom_buckets();
        let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
        let mut count = 0.0;
        for mut b in self.all_buckets() {
            count += b.count;
            if lower_rank.is_some() && upper_rank.is_some() {
                // Only the total matters from here on.
                continue;
            }
            let zero = b.lower <= 0.0 && b.upper >= 0.0;
            if zero {
                self.cut_zero_bucket(&mut b);
            }
            for (edge, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
                if found.is_some() {
                    continue;
                }
                if b.lower >= edge {
                    *found = Some(rank);
                } else if b.upper > edge {
                    *found = Some(if b.lower == f64::NEG_INFINITY {
                        b.count
                    } else {
                        rank + b.count * b.fraction_below(edge, linear || zero)
                    });
                }
            }
            rank += b.count;
        }
        let nan_left_out = self.sum.is_nan() && count < self.count;
        if !self.sum.is_nan() {
            count = self.count;
        }
        let capped = |rank: Option<f64>| rank.filter(|r| *r <= count || r.is_nan()).unwrap_or(count);
        ((capped(upper_rank) - capped(lower_rank)) / self.count, nan_left_out)
    }

    /// Cuts the zero bucket at zero on the side where the histogram has no bucket, if it has some on the other.
    fn cut_zero_bucket(&self, b: &mut Bucket) {
        match (self.negative_buckets.is_empty(), self.positive_buckets.is_empty()) {
            (true, false) => b.lower = 0.0,
            (false, true) => b.upper = 0.0,
            _ => {}
        }
    }
}

/// The first bucket with which the running count reaches `rank`, else the last one, and the running count. The iterator
/// stands behind the bucket afterwards.
fn bucket_of_rank(buckets: &mut impl Iterator<Item = RawBucket>, rank: f64) -> (Option<RawBucket>, f64) {
    let mut last = None;
    let mut count = 0.0;
    for b in buckets {
        last = Some(b);
        if b.count == 0.0 {
            continue;
        }
        count += b.count;
        if count >= rank {
            break;
        }
    }
    (last, count)
}

fn interpolate(b: &Bucket, fraction: f64, linear: bool) -> f64 {
    if linear || (b.lower <= 0.0 && b.upper >= 0.0) {
        return b.lower + (b.upper - b.lower) * fraction;
    }
    let (low, high) = (b.lower.abs().log2(), b.upper.abs().log2());
    if b.lower > 0.0 {
        (low + (high - low) * fraction).exp2()
    } else {
        -(high + (low - high) * (1.0 - fraction)).exp2()
    }
}
