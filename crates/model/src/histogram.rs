//! Native histograms.

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
