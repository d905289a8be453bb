//! Buckets with their bounds.

use std::fmt;

use super::{
    CUSTOM_BUCKETS_SCHEMA, Histogram,
    bounds::upper_bound,
    spans::{Indexed, coarser_index},
};
use crate::float::format_g;

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether an observation equal to the lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether an observation equal to the upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
    /// The index of the bucket within its side; without meaning for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// The share of the bucket's width at or below `v`, which must lie between finite bounds. Linear buckets are
    /// taken as evenly filled, others as evenly filled on a logarithmic scale.
    pub fn fraction_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let (low, high, at) = (self.lower.abs().log2(), self.upper.abs().log2(), v.abs().log2());
        if v > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
    }

    /// The first number of a bucket in the JSON API: 0 for `(]`, 1 for `[)`, 2 for `()`, 3 for `[]`.
    pub fn boundary_rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

/// `(1,2]:3`
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_g);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// The buckets of one side, from the zero bucket outwards.
#[derive(Clone)]
pub struct SideBuckets<'a> {
    indexed: Indexed<'a>,
    schema: i32,
    custom: &'a [f64],
    positive: bool,
}

impl SideBuckets<'_> {
    fn bucket(&self, (index, count): (i32, f64)) -> Bucket {
        bucket(index, count, self.schema, self.custom, self.positive)
    }
}

fn bucket(index: i32, count: f64, schema: i32, custom: &[f64], positive: bool) -> Bucket {
    let far = upper_bound(index, schema, custom);
    let near = upper_bound(index.saturating_sub(1), schema, custom);
    let (lower, upper) = if positive { (near, far) } else { (-far, -near) };
    let (lower_inclusive, upper_inclusive) =
        if schema == CUSTOM_BUCKETS_SCHEMA { (index == 0, true) } else { (lower < 0.0, upper > 0.0) };
    Bucket { lower, upper, lower_inclusive, upper_inclusive, count, index }
}

impl Iterator for SideBuckets<'_> {
    type Item = Bucket;

    #[inline]
    fn next(&mut self) -> Option<Bucket> {
        self.indexed.next().map(|b| self.bucket(b))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.indexed.size_hint()
    }
}

impl DoubleEndedIterator for SideBuckets<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Bucket> {
        self.indexed.next_back().map(|b| self.bucket(b))
    }
}

impl Histogram {
    /// Buckets above zero, by rising bounds; for custom buckets all of them. Empty buckets of a span are included.
    pub fn positive(&self) -> SideBuckets<'_> {
        SideBuckets {
            indexed: Indexed::new(&self.positive_spans, &self.positive_buckets),
            schema: self.schema,
            custom: &self.custom_values,
            positive: true,
        }
    }

    /// Buckets below zero, from zero downwards.
    pub fn negative(&self) -> SideBuckets<'_> {
        SideBuckets {
            indexed: Indexed::new(&self.negative_spans, &self.negative_buckets),
            schema: self.schema,
            custom: &[],
            positive: false,
        }
    }

    /// The bucket around zero.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// All buckets by rising bounds, the zero bucket only if it is populated. Bounds that reach into the zero bucket
    /// are cut at its threshold.
    pub fn all_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.raw_buckets().map(|b| self.bounded(b))
    }

    /// As [`Histogram::all_buckets`], without the bounds, which are dear to compute.
    pub(super) fn raw_buckets(&self) -> impl DoubleEndedIterator<Item = RawBucket> + '_ {
        let side = |positive| {
            let side = self.side(positive);
            let place = if positive { Place::Positive } else { Place::Negative };
            Indexed::new(side.spans, side.counts).map(move |(index, count)| RawBucket { place, index, count })
        };
        let zero = RawBucket { place: Place::Zero, index: 0, count: self.zero_count };
        let zero = (self.zero_count > 0.0).then_some(zero);
        side(false).rev().chain(zero).chain(side(true))
    }

    /// A bucket with its bounds.
    pub(super) fn bounded(&self, raw: RawBucket) -> Bucket {
        let mut b = match raw.place {
            Place::Zero => return self.zero_bucket(),
            Place::Positive => bucket(raw.index, raw.count, self.schema, &self.custom_values, true),
            Place::Negative => bucket(raw.index, raw.count, self.schema, &[], false),
        };
        let threshold = self.zero_threshold;
        if b.lower > 0.0 && b.lower < threshold {
            b.lower = threshold;
        } else if b.upper < 0.0 && b.upper > -threshold {
            b.upper = -threshold;
        }
        b
    }
}

/// A bucket before its bounds are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawBucket {
    place: Place,
    index: i32,
    pub(super) count: f64,
}

/// Where a bucket lies.
#[derive(Clone, Copy, Debug)]
enum Place {
    Negative,
    Zero,
    Positive,
}

/// The buckets of one side merged to a coarser schema, as pairs of index and count, those inside the zero bucket
/// left out.
pub(super) struct CoarseBuckets<'a> {
    indexed: std::iter::Peekable<Indexed<'a>>,
    shift: u32,
}

impl<'a> CoarseBuckets<'a> {
    /// `schema` is at most `from_schema`, or both are custom. Leading buckets that end at or below `threshold` are left
    /// out before merging: they are part of the zero bucket.
    pub(super) fn new(indexed: Indexed<'a>, from_schema: i32, schema: i32, threshold: f64) -> Self {
        let mut indexed = indexed.peekable();
        if schema != CUSTOM_BUCKETS_SCHEMA && threshold != 0.0 {
            while indexed.next_if(|(i, _)| upper_bound(*i, from_schema, &[]) <= threshold).is_some() {}
        }
        CoarseBuckets { indexed, shift: from_schema.saturating_sub(schema).max(0) as u32 }
    }
}

impl Iterator for CoarseBuckets<'_> {
    type Item = (i32, f64);

    fn next(&mut self) -> Option<(i32, f64)> {
        let (index, mut count) = self.indexed.next()?;
        let index = coarser_index(index, self.shift);
        if self.shift > 0 {
            while let Some((_, c)) = self.indexed.next_if(|(i, _)| coarser_index(*i, self.shift) == index) {
                count += c;
            }
        }
        Some((index, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn buckets_rise_and_are_cut_at_the_zero_threshold() {
        let h = Histogram {
            zero_threshold: 0.3,
            zero_count: 4.0,
            positive_spans: vec![Span { offset: -1, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            negative_spans: vec![Span { offset: -1, length: 1 }],
            negative_buckets: vec![5.0],
            ..Histogram::default()
        };
        let text: Vec<String> = h.all_buckets().map(|b| b.to_string()).collect();
        assert_eq!(text, ["[-0.5,-0.3):5", "[-0.3,0.3]:4", "(0.3,0.5]:1", "(0.5,1]:2", "(1,2]:3"]);
        let mut reversed: Vec<String> = h.all_buckets().rev().map(|b| b.to_string()).collect();
        reversed.reverse();
        assert_eq!(text, reversed);
        let rules: Vec<u8> = h.all_buckets().map(|b| b.boundary_rule()).collect();
        assert_eq!(rules, [1, 3, 0, 0, 0]);
    }

    #[test]
    fn custom_buckets_reach_from_minus_to_plus_infinity() {
        let h = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![5.0, 10.0],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..Histogram::default()
        };
        let text: Vec<String> = h.all_buckets().map(|b| b.to_string()).collect();
        assert_eq!(text, ["[-Inf,5]:1", "(5,10]:2", "(10,+Inf]:3"]);
    }

    #[test]
    fn merging_to_a_coarser_schema_adds_neighbours() {
        let spans = [Span { offset: -1, length: 4 }, Span { offset: 3, length: 1 }];
        let counts = [1.0, 2.0, 3.0, 4.0, 5.0];
        let merged = |threshold| {
            CoarseBuckets::new(Indexed::new(&spans, &counts), 1, 0, threshold).collect::<Vec<_>>()
        };
        assert_eq!(merged(0.0), [(0, 3.0), (1, 7.0), (3, 5.0)]);
        assert_eq!(merged(1.0), [(1, 7.0), (3, 5.0)]);
    }
}
