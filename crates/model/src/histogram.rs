//! Native histograms.

mod algebra;
mod bounds;
mod buckets;
mod custom;
mod error;
mod figures;
mod integer;
pub mod kahan;
mod parse;
mod reset;
mod sides;
mod spans;
mod stats;
mod text;
mod trim;
mod validate;

pub use algebra::{Combined, HistogramSum};
pub use buckets::{Bucket, SideBuckets};
pub use error::{BucketProblem, IncompatibleSchemas, InvalidHistogram};
pub use figures::keep_figures_only;
pub use integer::{IntegerHistogram, absolute_counts};
pub use parse::{NotationError, parse_notation};
pub use stats::NanEffect;
pub use trim::Trim;

/// The coarsest schema of exponential buckets.
pub const MIN_EXPONENTIAL_SCHEMA: i32 = -4;

/// The finest schema of exponential buckets.
pub const MAX_EXPONENTIAL_SCHEMA: i32 = 8;

/// Whether buckets of that schema are exponential and supported.
pub fn is_exponential_schema(schema: i32) -> bool {
    (MIN_EXPONENTIAL_SCHEMA..=MAX_EXPONENTIAL_SCHEMA).contains(&schema)
}

/// Whether the schema is supported, or at least reserved for resolutions that can be reduced to a supported one.
pub fn is_known_schema(schema: i32) -> bool {
    schema == CUSTOM_BUCKETS_SCHEMA || (-9..=52).contains(&schema)
}

/// The schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known of counter resets between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing: compare the two.
    #[default]
    Unknown,
    /// This histogram comes after a reset.
    CounterReset,
    /// There was certainly no reset.
    NotCounterReset,
    /// A gauge: resets do not exist.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Buckets that are skipped before this run (for the first run: the index of its first bucket).
    pub offset: i32,
    /// Buckets in the run.
    pub length: u32,
}

/// A native histogram with float counts, the one form that Reba evaluates and stores; integer counts are
/// exact in it up to 2⁵³.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Resolution: -4 to 8 for exponential buckets (bounds are powers of 2^(2^-schema)), or
    /// [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Counter resets.
    pub hint: CounterResetHint,
    /// Observations with an absolute value at or below this count as zero.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Absolute counts of the positive buckets, one for each bucket of the spans.
    pub positive_buckets: Vec<f64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, rising, without `+Inf`; empty for exponential schemas.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether both hold the same data: the same buckets, however they are cut into spans, and the same bits in every
    /// number (so a NaN equals itself). The hints may differ.
    pub fn equals(&self, other: &Histogram) -> bool {
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all_same =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(*a, *b));
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && same(self.zero_count, other.zero_count)
            && spans::same_layout(&self.positive_spans, &other.positive_spans)
            && spans::same_layout(&self.negative_spans, &other.negative_spans)
            && all_same(&self.positive_buckets, &other.positive_buckets)
            && all_same(&self.negative_buckets, &other.negative_buckets)
    }
}

#[cfg(test)]
mod tests;
