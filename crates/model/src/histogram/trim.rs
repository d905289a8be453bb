//! The trim operators: `</` keeps what lies below a value, `>/` what lies above it.

use super::{Bucket, Histogram};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Those below the value (`</`).
    KeepBelow,
    /// Those above the value (`>/`).
    KeepAbove,
}

/// How many observations of a bucket stay, and the value they are taken to have.
type Kept = (f64, f64);

impl Histogram {
    /// Removes observations on one side of `at`, interpolating in the bucket that holds it. If anything was removed,
    /// count and sum are estimated anew from what is left.
    pub fn trim(&mut self, at: f64, keep: Trim) {
        let linear = self.uses_custom_buckets();
        let (mut count, mut sum, mut trimmed) = (0.0, 0.0, false);
        let mut has_side = [false; 2];
        for positive in [true, false] {
            let buckets = if positive { self.positive() } else { self.negative() };
            let mut counts = Vec::with_capacity(buckets.size_hint().0);
            for b in buckets {
                if b.count == 0.0 {
                    counts.push(0.0);
                    continue;
                }
                has_side[usize::from(positive)] = true;
                let (kept, middle) = keep_of_bucket(&b, at, keep, positive, linear);
                count += kept;
                sum += middle * kept;
                trimmed |= kept != b.count;
                counts.push(kept);
            }
            let side = if positive { &mut self.positive_buckets } else { &mut self.negative_buckets };
            *side = counts;
        }
        if self.zero_count > 0.0 {
            let (kept, middle) = keep_of_zero_bucket(self.zero_bucket(), at, keep, has_side);
            trimmed |= kept != self.zero_count;
            self.zero_count = kept;
            count += kept;
            sum += middle * kept;
        }
        if trimmed {
            self.count = count;
            self.sum = sum;
            self.compact(0);
        }
    }
}

fn keep_of_bucket(b: &Bucket, at: f64, keep: Trim, positive: bool, linear: bool) -> Kept {
    let (whole, cut) = match keep {
        Trim::KeepBelow => (b.upper <= at, b.lower < at),
        Trim::KeepAbove => (b.lower >= at, b.upper > at),
    };
    if whole {
        (b.count, middle(b.lower, b.upper, positive, linear))
    } else if !cut {
        (0.0, 0.0)
    } else if b.lower == f64::NEG_INFINITY {
        keep_of_lowest(b, at, keep)
    } else if b.upper == f64::INFINITY {
        keep_of_highest(b, at, keep)
    } else {
        let below = b.count * b.fraction_below(at, linear);
        match keep {
            Trim::KeepBelow => (below, middle(b.lower, at, positive, linear)),
            Trim::KeepAbove => (b.count - below, middle(at, b.upper, positive, linear)),
        }
    }
}

/// A bucket without a lower bound that holds `at`: it is taken to begin at zero if it reaches above; otherwise nobody
/// knows where its observations are.
fn keep_of_lowest(b: &Bucket, at: f64, keep: Trim) -> Kept {
    let finite = b.upper != f64::INFINITY;
    match keep {
        Trim::KeepBelow if at > 0.0 && b.upper > 0.0 && finite => (b.count * at / b.upper, at / 2.0),
        Trim::KeepBelow if b.upper <= 0.0 => (b.count, at),
        Trim::KeepAbove if at >= 0.0 && finite => {
            (b.count * (1.0 - at / b.upper), f64::midpoint(at, b.upper))
        }
        _ => (0.0, 0.0),
    }
}

/// A bucket without an upper bound that holds `at`: nothing is known to lie below it, all may lie above.
fn keep_of_highest(b: &Bucket, at: f64, keep: Trim) -> Kept {
    match keep {
        Trim::KeepAbove if at >= b.lower => (b.count, at),
        _ => (0.0, 0.0),
    }
}

fn keep_of_zero_bucket(b: Bucket, at: f64, keep: Trim, [has_negative, has_positive]: [bool; 2]) -> Kept {
    let lower = if has_positive && !has_negative { 0.0 } else { b.lower };
    let upper = if has_negative && !has_positive { 0.0 } else { b.upper };
    let share = |from: f64, to: f64| (b.count * ((to - from) / (upper - lower)), f64::midpoint(from, to));
    match keep {
        Trim::KeepBelow if at <= lower => (0.0, 0.0),
        Trim::KeepAbove if at >= upper => (0.0, 0.0),
        Trim::KeepBelow if at >= upper => (b.count, f64::midpoint(lower, upper)),
        Trim::KeepAbove if at <= lower => (b.count, f64::midpoint(lower, upper)),
        Trim::KeepBelow => share(lower, at),
        Trim::KeepAbove => share(at, upper),
    }
}

/// The value that observations between the bounds are taken to have.
fn middle(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => f64::midpoint(lower, upper),
        (false, false) => {
            let geometric = (lower * upper).abs().sqrt();
            if positive { geometric } else { -geometric }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse_notation, *};

    #[test]
    fn observations_beyond_the_value_go() {
        let whole = "{{count:10 sum:20 z_bucket:1 z_bucket_w:0.5 buckets:[2 3 4]}}";
        for (at, keep, left) in [
            (4.0, Trim::KeepBelow, whole),
            (
                2.0,
                Trim::KeepBelow,
                "{{count:6 sum:5.906854249492381 z_bucket:1 z_bucket_w:0.5 buckets:[2 3]}}",
            ),
            (2.0, Trim::KeepAbove, "{{count:4 sum:11.313708498984761 z_bucket_w:0.5 offset:2 buckets:[4]}}"),
            (0.25, Trim::KeepBelow, "{{count:0.5 sum:0.0625 z_bucket:0.5 z_bucket_w:0.5}}"),
            (f64::NEG_INFINITY, Trim::KeepBelow, "{{z_bucket_w:0.5}}"),
        ] {
            let mut h = parse_notation(whole).unwrap().0;
            h.trim(at, keep);
            let want = parse_notation(left).unwrap().0;
            assert!((h.sum - want.sum).abs() < 1e-12, "{at} {keep:?}: {h}");
            h.sum = want.sum;
            assert_eq!(h, want, "{at} {keep:?}: {h}");
        }
    }

    #[test]
    fn custom_buckets_are_cut_linearly_and_open_ones_wholly() {
        let whole = "{{schema:-53 count:6 sum:30 custom_values:[4 8] buckets:[2 2 2]}}";
        for (at, keep, left) in [
            (6.0, Trim::KeepBelow, "{{schema:-53 count:3 sum:9 custom_values:[4 8] buckets:[2 1]}}"),
            (1.0, Trim::KeepBelow, "{{schema:-53 count:0.5 sum:0.25 custom_values:[4 8] buckets:[0.5]}}"),
            (9.0, Trim::KeepBelow, "{{schema:-53 count:4 sum:16 custom_values:[4 8] buckets:[2 2]}}"),
            (9.0, Trim::KeepAbove, "{{schema:-53 count:2 sum:18 custom_values:[4 8] offset:2 buckets:[2]}}"),
        ] {
            let mut h = parse_notation(whole).unwrap().0;
            h.trim(at, keep);
            assert_eq!(h, parse_notation(left).unwrap().0, "{at} {keep:?}: {h}");
        }
    }
}
