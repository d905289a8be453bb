//! What can be wrong with histograms, in upstream's words.

use thiserror::Error;

/// Two histograms cannot be added: one has exponential buckets, the other custom ones.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub struct IncompatibleSchemas;

/// Why a histogram contradicts itself.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum InvalidHistogram {
    /// A resolution that does not exist.
    #[error(
        "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, \
         or -53 for custom buckets, got schema {0}"
    )]
    Schema(i32),
    /// Spans and counts of one side do not fit.
    #[error("{side}: {problem}")]
    Buckets {
        /// `positive side`, `negative side` or `custom buckets`.
        side: &'static str,
        /// What is wrong.
        problem: BucketProblem,
    },
    /// The zero bucket is negative.
    #[error(
        "zero bucket has observation count of {0}: histogram has a bucket whose observation count is negative"
    )]
    NegativeZeroCount(f64),
    /// The count of all observations is negative.
    #[error("observation count is {0}: histogram's observation count is negative")]
    NegativeCount(f64),
    /// The counts of an integer histogram do not add up.
    #[error("{found} observations found in buckets, but the Count field is {count}: {}", Self::sum_rule(*.exact))]
    CountMismatch {
        /// Observations in all buckets.
        found: u64,
        /// Observations as stated.
        count: u64,
        /// Whether both must be equal (there are no NaN observations).
        exact: bool,
    },
    /// Something that custom buckets do not have.
    #[error("custom buckets: must {0}")]
    NotForCustomBuckets(&'static str),
    /// Exponential buckets with custom bounds.
    #[error("histogram with exponential schema must not have custom bounds")]
    CustomBounds,
}

/// What is wrong with the buckets of one side.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum BucketProblem {
    /// Spans go backwards.
    #[error("span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    NegativeOffset {
        /// Counted from 1.
        number: usize,
        /// The offset.
        offset: i32,
    },
    /// Spans and counts differ in length.
    #[error(
        "spans need {need} buckets, have {have} buckets: \
         histogram spans specify different number of buckets than provided"
    )]
    SpansMismatch {
        /// As the spans say.
        need: u64,
        /// As many counts there are.
        have: usize,
    },
    /// A bucket is negative.
    #[error(
        "bucket number {number} has observation count of {count}: \
         histogram has a bucket whose observation count is negative"
    )]
    NegativeCount {
        /// Counted from 1.
        number: usize,
        /// The count.
        count: f64,
    },
    /// A bound is NaN.
    #[error("histogram custom bounds must not be NaN")]
    NanBound,
    /// Bounds do not rise.
    #[error(
        "previous bound is {previous:.6} and current is {current:.6}: \
         histogram custom bounds must be in strictly increasing order"
    )]
    BoundsNotRising {
        /// A bound.
        previous: f64,
        /// The next one.
        current: f64,
    },
    /// The last bound is given.
    #[error("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite")]
    InfiniteBound,
    /// Buckets beyond the last bound.
    #[error(
        "only {bounds} custom bounds defined which is insufficient to cover total span length of {length}: \
         histogram custom bounds are too few"
    )]
    TooFewBounds {
        /// How many there are.
        bounds: usize,
        /// Buckets and gaps.
        length: i64,
    },
}

impl InvalidHistogram {
    fn sum_rule(exact: bool) -> &'static str {
        if exact {
            "histogram's observation count should equal the number of observations found in the buckets \
             (in absence of NaN)"
        } else {
            "histogram's observation count should be at least the number of observations found in the buckets"
        }
    }
}
