//! What expressions evaluate to, as columns: one slot for each step of the query.
//!
//! Also the contract between the evaluator and the functions (`crate::functions`):
//! - a [`RangeKernel`] turns the samples of one [`Window`] into one [`Point`] (`rate`, `avg_over_time`, …);
//! - an [`ElementKernel`] turns one present element into one [`Point`] (`abs`, `histogram_count`, `clamp`, …);
//! - a [`VectorKernel`] turns a whole vector into another (`histogram_quantile`, `histogram_fraction`, …).
//!
//! `crate::functions` hands them out as `range_kernel(Func) -> Option<RangeKernel>`, `element_kernel(Func) ->
//! Option<ElementKernel>` and `vector_kernel(Func) -> Option<VectorKernel>`.
//!
//! The evaluator finds the samples, moves the windows, evaluates the scalar arguments, drops metric names and checks
//! for duplicate label sets; a kernel only computes, and reports what it noticed through its [`KernelContext`].

use std::sync::Arc;

use reba_model::{Histogram, HistogramSample, Labels, STALE_NAN, SampleColumns, is_stale_nan};

use super::annotations::Annotations;

/// The times at which an expression is evaluated: `start`, `start + interval`, … ; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// First time, Unix milliseconds.
    pub start: i64,
    /// Milliseconds between two steps; at least 1 (any value if there is one step only).
    pub interval: i64,
    /// How many steps there are.
    pub count: usize,
}

impl Steps {
    /// One step.
    pub fn instant(t: i64) -> Self {
        Steps { start: t, interval: 1, count: 1 }
    }

    /// The steps from `start` to at most `end`; an interval below 1 counts as 1, an `end` before `start` gives no step.
    pub fn range(start: i64, end: i64, interval: i64) -> Self {
        let interval = interval.max(1);
        let span = i128::from(end) - i128::from(start);
        let count = if span < 0 { 0 } else { (span / i128::from(interval)) as usize + 1 };
        Steps { start, interval, count }
    }

    /// Time of step `i`.
    #[inline]
    pub fn at(&self, i: usize) -> i64 {
        self.start.saturating_add(self.interval.saturating_mul(i as i64))
    }

    /// Time of the last step.
    pub fn end(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// All times, rising.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<> {
        let steps = *self;
        (0..steps.count).map(move |i| steps.at(i))
    }
}

/// The float that stands in an empty slot: the bits of the staleness marker.
///
/// A signalling NaN: no arithmetic yields it, and selectors never return it as a value. Test with [`is_absent`], never
/// with `==`, and test before computing (negation and `abs` of it give other NaNs).
pub const ABSENT: f64 = STALE_NAN;

/// Whether a slot of floats is empty.
#[inline]
pub fn is_absent(v: f64) -> bool {
    is_stale_nan(v)
}

/// One element at one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Point {
    /// There is none.
    #[default]
    Absent,
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl Point {
    /// A histogram that was just computed.
    pub fn histogram(h: Histogram) -> Self {
        Point::Histogram(Arc::new(h))
    }
}

/// Elements of one series at every step.
///
/// A step has a float, a histogram, or nothing: where `h` has a histogram, `v` is [`ABSENT`].
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// One float a step.
    pub v: Vec<f64>,
    /// One slot a step if any step has a histogram; else empty.
    pub h: Vec<Option<Arc<Histogram>>>,
}

impl Column {
    /// A column of `steps` empty slots.
    pub fn absent(steps: usize) -> Self {
        Column { v: vec![ABSENT; steps], h: Vec::new() }
    }

    /// A column of floats.
    pub fn floats(v: Vec<f64>) -> Self {
        Column { v, h: Vec::new() }
    }

    /// How many steps the column has.
    pub fn len(&self) -> usize {
        self.v.len()
    }

    /// Whether the column has no steps.
    pub fn is_empty(&self) -> bool {
        self.v.is_empty()
    }

    /// Whether any step has a histogram.
    pub fn has_histograms(&self) -> bool {
        !self.h.is_empty()
    }

    /// The histogram at step `i`.
    #[inline]
    pub fn histogram(&self, i: usize) -> Option<&Arc<Histogram>> {
        self.h.get(i).and_then(Option::as_ref)
    }

    /// Whether step `i` has an element.
    #[inline]
    pub fn is_present(&self, i: usize) -> bool {
        !is_absent(self.v[i]) || self.histogram(i).is_some()
    }

    /// The element at step `i`.
    pub fn get(&self, i: usize) -> Point {
        let v = self.v[i];
        if !is_absent(v) {
            Point::Float(v)
        } else {
            self.histogram(i).map_or(Point::Absent, |h| Point::Histogram(Arc::clone(h)))
        }
    }

    /// Replaces the element at step `i`.
    pub fn set(&mut self, i: usize, point: Point) {
        match point {
            Point::Float(v) => {
                self.v[i] = v;
                self.clear_histogram(i);
            }
            Point::Histogram(h) => {
                if self.h.is_empty() {
                    self.h.resize(self.v.len(), None);
                }
                self.v[i] = ABSENT;
                self.h[i] = Some(h);
            }
            Point::Absent => {
                self.v[i] = ABSENT;
                self.clear_histogram(i);
            }
        }
    }

    fn clear_histogram(&mut self, i: usize) {
        if let Some(slot) = self.h.get_mut(i) {
            *slot = None;
        }
    }

    /// Whether no step has an element.
    pub fn is_all_absent(&self) -> bool {
        self.v.iter().all(|v| is_absent(*v)) && self.h.iter().all(Option::is_none)
    }

    /// How many steps have an element.
    pub fn present(&self) -> usize {
        self.v.iter().filter(|v| !is_absent(**v)).count() + self.h.iter().flatten().count()
    }

    /// Samples that the column counts for against the limit: one a float, and for histograms their size in floats.
    pub fn weight(&self) -> usize {
        let floats = self.v.iter().filter(|v| !is_absent(**v)).count();
        floats + self.h.iter().flatten().map(|h| histogram_weight(h)).sum::<usize>()
    }
}

/// How many samples a histogram counts for: its memory divided by that of a float sample (16 bytes), as upstream does.
pub fn histogram_weight(h: &Histogram) -> usize {
    let spans = h.positive_spans.len() + h.negative_spans.len();
    let floats = h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len();
    (168 + 8 * (spans + floats)) / 16
}

/// One series of a vector.
#[derive(Clone, Debug)]
pub struct VectorSeries {
    /// Its labels.
    pub labels: Labels,
    /// The metric name goes at the end of the query (delayed name removal); always false if that option is off, since
    /// names are dropped at once then.
    pub drop_name: bool,
    /// Its elements.
    pub column: Column,
}

/// One series of a range vector that is itself the result of a query.
#[derive(Clone, Debug)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// As in [`VectorSeries::drop_name`].
    pub drop_name: bool,
    /// Its samples, at their own times.
    pub samples: SampleColumns,
}

/// What an expression evaluates to.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number at every step.
    Scalar(Vec<f64>),
    /// A vector at every step. Its order matters for instant queries only (`sort`, `topk`).
    Vector(Vec<VectorSeries>),
    /// A range vector (instant queries only).
    Matrix(Vec<MatrixSeries>),
    /// A string.
    String(String),
}

/// Which samples a range selector takes besides those inside its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeMode {
    /// None.
    #[default]
    Plain,
    /// `anchored`: those of one lookback before the start, too.
    Anchored,
    /// `smoothed`: those of one lookback before the start and after the end, too.
    Smoothed,
}

/// What a range function sees of one series at one step. Not empty; staleness markers are left out.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Times of the floats, rising.
    pub t: &'a [i64],
    /// Values of the floats; same length as `t`.
    pub v: &'a [f64],
    /// Histograms, times rising.
    pub h: &'a [HistogramSample],
    /// Start of the range, exclusive (`@` and `offset` applied). In modes other than `Plain` samples before it are there.
    pub start: i64,
    /// End of the range, inclusive. In mode `Smoothed` samples after it are there.
    pub end: i64,
    /// How the selector was modified.
    pub mode: RangeMode,
}

impl Window<'_> {
    /// Milliseconds of the range.
    pub fn range(&self) -> i64 {
        self.end - self.start
    }
}

/// Where a kernel is called, and where it reports to. Each worker has its own.
#[derive(Debug)]
pub struct KernelContext<'a> {
    /// Time of the step (the evaluation time, without `@` and `offset`).
    pub t: i64,
    /// Labels of the input series (for texts that name the metric).
    pub labels: &'a Labels,
    /// Where the call stands in the query (byte offset).
    pub call_pos: usize,
    /// Where each argument stands in the query (byte offsets).
    pub arg_pos: &'a [usize],
    /// Metric names are removed at the end of the query only.
    pub delayed_name_removal: bool,
    /// Warnings and infos.
    pub annotations: &'a mut Annotations,
}

impl KernelContext<'_> {
    /// The metric's name, or `""`.
    pub fn metric_name(&self) -> &str {
        self.labels.metric_name()
    }

    /// Where argument `i` stands; the call itself if there is no such argument.
    pub fn pos(&self, i: usize) -> usize {
        self.arg_pos.get(i).copied().unwrap_or(self.call_pos)
    }
}

/// Computes one element from a window. `args` are the scalar arguments of this step in the order of the call, the
/// range vector left out.
pub type RangeKernel = fn(window: &Window<'_>, args: &[f64], cx: &mut KernelContext<'_>) -> Point;

/// Computes one element from another; never called for an absent one. `args` are the scalar arguments of this step in
/// the order of the call, the vector left out (defaults are not filled in).
pub type ElementKernel = fn(point: Point, args: &[f64], cx: &mut KernelContext<'_>) -> Point;

/// An argument of a vector kernel.
#[derive(Clone, Debug)]
pub enum VectorArg {
    /// The vector.
    Vector(Vec<VectorSeries>),
    /// A number at every step.
    Scalar(Vec<f64>),
    /// A string literal.
    String(String),
}

/// Computes a vector from the arguments in the order of the call. The kernel groups series itself, sets `drop_name` (or
/// removes the name if `cx.delayed_name_removal` is off), and may return series that are absent everywhere.
/// `cx.t` and `cx.labels` mean nothing here. An error becomes the query's error.
pub type VectorKernel =
    fn(args: Vec<VectorArg>, steps: &Steps, cx: &mut KernelContext<'_>) -> Result<Vec<VectorSeries>, String>;
