//! Sums, differences and scaling.

use super::{
    CounterResetHint, Histogram, custom,
    error::IncompatibleSchemas,
    kahan,
    sides::{Join, Side, SideRef},
};

/// What a person should be told about a sum or difference of two histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One came after a counter reset, the other certainly did not.
    pub hint_collision: bool,
    /// Both have custom buckets with different bounds; only the bounds they share are left.
    pub bounds_reconciled: bool,
}

impl Histogram {
    /// Whether the buckets have custom bounds.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == super::CUSTOM_BUCKETS_SCHEMA
    }

    /// Adds `other` in place. The result has the coarser schema and the wider zero bucket of the two; buckets may be
    /// empty afterwards (see [`Histogram::compact`]).
    pub fn add(&mut self, other: &Histogram) -> Result<Combined, IncompatibleSchemas> {
        self.combine(other, 1.0)
    }

    /// Subtracts `other` in place, by the same rules as [`Histogram::add`], those of the hint included.
    pub fn sub(&mut self, other: &Histogram) -> Result<Combined, IncompatibleSchemas> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Combined, IncompatibleSchemas> {
        let mut sum = KahanParts::default();
        combine(self, &mut sum, other, sign, false)
    }

    /// Multiplies everything by `factor`; a negative one makes a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.scale(|x| x * factor);
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides everything by `divisor`. Division by zero leaves no buckets; a negative divisor makes a gauge.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.scale(|x| x / divisor);
        if divisor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    fn scale(&mut self, f: impl Fn(f64) -> f64) {
        for x in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *x = f(*x);
        }
        for x in self.positive_buckets.iter_mut().chain(&mut self.negative_buckets) {
            *x = f(*x);
        }
    }

    /// Removes empty buckets, but fills gaps of up to `max_empty` buckets with them, whichever way they stand now.
    pub fn compact(&mut self, max_empty: u32) {
        for positive in [true, false] {
            let mut side = self.take_side(positive);
            side.compact(max_empty);
            self.put_side(positive, side);
        }
    }

    /// A copy with the coarser `schema`. Custom buckets, and schemas that are not coarser, are copied as they are.
    pub fn copy_to_schema(&self, schema: i32) -> Histogram {
        let mut copy = self.clone();
        copy.reduce_resolution(schema);
        copy
    }

    /// Merges buckets so that the histogram has the coarser `schema`. Does nothing for custom buckets and for schemas
    /// that are not coarser.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if self.uses_custom_buckets() || schema == super::CUSTOM_BUCKETS_SCHEMA || schema >= self.schema {
            return;
        }
        let shift = shift_between(self.schema, schema);
        for positive in [true, false] {
            let reduced = self.side(positive).reduced(shift, false, 0);
            self.put_side(positive, reduced);
        }
        self.schema = schema;
    }

    /// Whether any count is infinite: a sum grew beyond what a float holds.
    pub fn has_overflow(&self) -> bool {
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(&self.positive_buckets)
            .chain(&self.negative_buckets)
            .any(|x| x.is_infinite())
    }

    pub(super) fn side(&self, positive: bool) -> SideRef<'_> {
        let (spans, counts) = if positive {
            (&self.positive_spans, &self.positive_buckets)
        } else {
            (&self.negative_spans, &self.negative_buckets)
        };
        SideRef { spans, counts, compensation: &[] }
    }

    pub(super) fn take_side(&mut self, positive: bool) -> Side {
        let (spans, counts) = if positive {
            (&mut self.positive_spans, &mut self.positive_buckets)
        } else {
            (&mut self.negative_spans, &mut self.negative_buckets)
        };
        Side { spans: std::mem::take(spans), counts: std::mem::take(counts), compensation: Vec::new() }
    }

    pub(super) fn put_side(&mut self, positive: bool, side: Side) {
        if positive {
            (self.positive_spans, self.positive_buckets) = (side.spans, side.counts);
        } else {
            (self.negative_spans, self.negative_buckets) = (side.spans, side.counts);
        }
    }
}

fn shift_between(from: i32, to: i32) -> u32 {
    i64::from(from).saturating_sub(i64::from(to)).clamp(0, 62) as u32
}

/// A running sum of histograms that collects rounding errors apart: Kahan summation in every bucket.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    sum: Histogram,
    parts: KahanParts,
}

/// The compensation terms beside a histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct KahanParts {
    zero: f64,
    count: f64,
    sum: f64,
    positive: Vec<f64>,
    negative: Vec<f64>,
}

impl HistogramSum {
    /// A sum that begins with `first`.
    pub fn new(first: Histogram) -> Self {
        HistogramSum { sum: first, parts: KahanParts::default() }
    }

    /// Adds `other`, by the rules of [`Histogram::add`].
    pub fn add(&mut self, other: &Histogram) -> Result<Combined, IncompatibleSchemas> {
        combine(&mut self.sum, &mut self.parts, other, 1.0, true)
    }

    /// Multiplies the sum.
    pub fn mul(&mut self, factor: f64) {
        self.sum.mul(factor);
        self.parts.scale(|x| x * factor);
    }

    /// Divides the sum.
    pub fn div(&mut self, divisor: f64) {
        self.sum.div(divisor);
        self.parts.scale(|x| x / divisor);
    }

    /// The sum without its compensation terms.
    pub fn rough(&self) -> &Histogram {
        &self.sum
    }

    /// The sum with its compensation terms.
    pub fn finish(self) -> Histogram {
        let HistogramSum { sum: mut h, parts } = self;
        h.zero_count += parts.zero;
        h.count += parts.count;
        h.sum += parts.sum;
        let add = |to: &mut Vec<f64>, c: &[f64]| to.iter_mut().zip(c).for_each(|(x, c)| *x += c);
        add(&mut h.positive_buckets, &parts.positive);
        add(&mut h.negative_buckets, &parts.negative);
        h
    }
}

impl KahanParts {
    fn scale(&mut self, f: impl Fn(f64) -> f64) {
        let all = [&mut self.zero, &mut self.count, &mut self.sum].into_iter();
        all.chain(&mut self.positive).chain(&mut self.negative).for_each(|x| *x = f(*x));
    }

    fn side(&mut self, positive: bool) -> &mut Vec<f64> {
        if positive { &mut self.positive } else { &mut self.negative }
    }
}

/// `h += sign · other`; with `with_kahan` rounding errors go to `parts`.
fn combine(
    h: &mut Histogram,
    parts: &mut KahanParts,
    other: &Histogram,
    sign: f64,
    with_kahan: bool,
) -> Result<Combined, IncompatibleSchemas> {
    if h.uses_custom_buckets() != other.uses_custom_buckets() {
        return Err(IncompatibleSchemas);
    }
    let (hint, hint_collision) = h.hint.combined(other.hint);
    h.hint = hint;
    let other_zero =
        if h.uses_custom_buckets() { 0.0 } else { reconcile_zero_buckets(h, parts, other, with_kahan) };
    let scalars = [
        (&mut h.zero_count, &mut parts.zero, other_zero),
        (&mut h.count, &mut parts.count, other.count),
        (&mut h.sum, &mut parts.sum, other.sum),
    ];
    for (sum, c, x) in scalars {
        if with_kahan {
            (*sum, *c) = kahan::add(sign * x, *sum, *c);
        } else {
            *sum += sign * x;
        }
    }
    let bounds_reconciled = h.uses_custom_buckets() && h.custom_values != other.custom_values;
    if bounds_reconciled {
        let mut side = h.take_side(true);
        side.compensation = std::mem::take(&mut parts.positive);
        let bounds = custom::shared_bounds(&h.custom_values, &other.custom_values);
        let (a, b) = ((side.as_ref(), &h.custom_values[..]), (other.side(true), &other.custom_values[..]));
        let mut mapped = custom::combine_on(&bounds, a, b, sign);
        h.custom_values = bounds;
        parts.positive = std::mem::take(&mut mapped.compensation);
        h.put_side(true, mapped);
        return Ok(Combined { hint_collision, bounds_reconciled });
    }
    combine_sides(h, parts, other, sign, with_kahan);
    Ok(Combined { hint_collision, bounds_reconciled })
}

fn combine_sides(h: &mut Histogram, parts: &mut KahanParts, other: &Histogram, sign: f64, with_kahan: bool) {
    let schema = h.schema.min(other.schema);
    let how = Join { schema, threshold: h.zero_threshold, sign, kahan: with_kahan };
    for positive in [true, false] {
        let mut side = h.take_side(positive);
        side.compensation = std::mem::take(parts.side(positive));
        if h.schema > schema {
            side = side.as_ref().reduced(shift_between(h.schema, schema), with_kahan, 0);
        }
        if other.schema > schema {
            let fine = other.side(positive);
            // Merged with others, a bucket inside the zero bucket could not be told apart any more.
            let skipped = fine.leading_inside(other.schema, how.threshold);
            let coarse = fine.reduced(shift_between(other.schema, schema), with_kahan, skipped);
            side.join(coarse.as_ref(), Join { threshold: 0.0, ..how });
        } else {
            side.join(other.side(positive), how);
        }
        *parts.side(positive) = std::mem::take(&mut side.compensation);
        h.put_side(positive, side);
    }
    h.schema = schema;
}

/// Widens the zero bucket of `h` until it holds the zero buckets of both and ends between populated buckets of both.
/// Returns what `other` would then have in its zero bucket.
fn reconcile_zero_buckets(
    h: &mut Histogram,
    parts: &mut KahanParts,
    other: &Histogram,
    with_kahan: bool,
) -> f64 {
    let (mut other_count, mut other_threshold) = (other.zero_count, other.zero_threshold);
    loop {
        if h.zero_threshold > other_threshold {
            let no_parts = KahanParts::default();
            (other_count, other_threshold, _) = widened_zero_bucket(other, &no_parts, h.zero_threshold);
        }
        if other_threshold > h.zero_threshold {
            let (count, threshold, rest) = widened_zero_bucket(h, parts, other_threshold);
            (h.zero_count, h.zero_threshold) = (count, threshold);
            if with_kahan {
                parts.zero = rest;
            }
            trim_inside_zero_bucket(h, parts);
        } else {
            // Equal, or not comparable because one is NaN.
            return other_count;
        }
    }
}

/// What the zero bucket would hold with the larger `threshold`, which grows to the end of a populated bucket if it
/// falls inside one. Returns count, threshold and compensation term.
pub(super) fn widened_zero_bucket(h: &Histogram, parts: &KahanParts, mut threshold: f64) -> (f64, f64, f64) {
    if threshold <= h.zero_threshold {
        return (h.zero_count, h.zero_threshold, parts.zero);
    }
    'again: loop {
        let (mut count, mut rest) = (h.zero_count, parts.zero);
        let mut swallow = |bucket: f64, c: f64| {
            (count, rest) = kahan::add(bucket, count, rest);
            (count, rest) = kahan::add(c, count, rest);
        };
        for (i, b) in h.positive().enumerate() {
            if b.lower >= threshold {
                break;
            }
            swallow(b.count, parts.positive.get(i).copied().unwrap_or(0.0));
            if b.upper > threshold {
                if b.count != 0.0 {
                    threshold = b.upper;
                }
                break;
            }
        }
        for (i, b) in h.negative().enumerate() {
            if b.upper <= -threshold {
                break;
            }
            swallow(b.count, parts.negative.get(i).copied().unwrap_or(0.0));
            if b.lower < -threshold {
                if b.count != 0.0 {
                    // The positive side was counted with a smaller threshold.
                    threshold = -b.lower;
                    continue 'again;
                }
                break;
            }
        }
        return (count, threshold, rest);
    }
}

/// Removes the buckets that are now part of the zero bucket.
fn trim_inside_zero_bucket(h: &mut Histogram, parts: &mut KahanParts) {
    let threshold = h.zero_threshold;
    let inside = [
        (true, h.positive().take_while(|b| b.lower < threshold).count()),
        (false, h.negative().take_while(|b| b.upper > -threshold).count()),
    ];
    for (positive, n) in inside {
        let mut side = h.take_side(positive);
        side.compensation = std::mem::take(parts.side(positive));
        side.counts.iter_mut().take(n).for_each(|c| *c = 0.0);
        side.compensation.iter_mut().take(n).for_each(|c| *c = 0.0);
        side.compact(0);
        *parts.side(positive) = std::mem::take(&mut side.compensation);
        h.put_side(positive, side);
    }
}
