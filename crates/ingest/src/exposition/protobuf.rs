//! Delimited `io.prometheus.client.MetricFamily` messages.
//!
//! A family is read into borrowed parts ([`Family`]); its metrics are decoded one at a time ([`Metric`]) and become
//! samples under the names that the text formats would give them.

use std::{borrow::Cow, sync::Arc};

use reba_model::{CounterResetHint, Histogram, MetricType, NORMAL_NAN_BITS};

use super::{ParseError, format_openmetrics_float};
use crate::{
    native_histogram::{Side, span},
    wire::{Field, Fields, WireError, read_varint},
};

/// A metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    /// Its name, not empty.
    pub name: &'a str,
    /// Its help text.
    pub help: &'a str,
    /// Its type.
    pub kind: MetricType,
    /// Its unit, or empty.
    pub unit: &'a str,
    /// The encoded metrics; [`Metric::decode`] reads one.
    pub metrics: Vec<&'a [u8]>,
}

/// Reads families one behind the other.
#[derive(Clone, Debug)]
pub struct ProtobufParser<'a> {
    page: &'a [u8],
    at: usize,
}

impl<'a> ProtobufParser<'a> {
    /// A parser at the beginning of a page.
    pub fn new(page: &'a [u8]) -> Self {
        ProtobufParser { page, at: 0 }
    }

    /// Where the next family begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// An error in the page; the line is that of a text editor and says little.
    pub fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.page, self.at, what)
    }

    /// Reads a family; `None` at the end of the page.
    pub fn next_family(&mut self) -> Result<Option<Family<'a>>, ParseError> {
        let mut rest = self.page.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let len = read_varint(&mut rest).map_err(|e| self.error(e.to_string()))?;
        if len > rest.len() as u64 {
            return Err(self.error("metric family is longer than the page"));
        }
        let family = read_family(&rest[..len as usize]).map_err(|e| self.error(e.to_string()))?;
        // A family without metrics is not looked at, upstream too.
        if !family.metrics.is_empty() {
            if family.name.is_empty() {
                return Err(self.error("invalid metric name: \"\""));
            }
            if family.kind == MetricType::Info {
                return Err(self.error(format!("unknown metric type for metric {:?}", family.name)));
            }
        }
        self.at = self.page.len() - rest.len() + len as usize;
        Ok(Some(family))
    }
}

fn read_family(message: &[u8]) -> Result<Family<'_>, WireError> {
    let mut f = Family { name: "", help: "", kind: MetricType::Counter, unit: "", metrics: Vec::new() };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => f.name = field.string()?,
            2 => f.help = field.string()?,
            3 => {
                f.kind = match field.varint()? {
                    0 => MetricType::Counter,
                    1 => MetricType::Gauge,
                    2 => MetricType::Summary,
                    3 => MetricType::Unknown,
                    4 => MetricType::Histogram,
                    5 => MetricType::GaugeHistogram,
                    // No type of protobuf: refused by the caller.
                    _ => MetricType::Info,
                }
            }
            4 => f.metrics.push(field.bytes()?),
            5 => f.unit = field.string()?,
            _ => {}
        }
    }
    Ok(f)
}

/// One metric of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric<'a> {
    /// Labels in the order of the message.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Unix milliseconds, if the target says when (0 is taken for not said, upstream too).
    pub t: Option<i64>,
    /// When a counter, histogram or summary began, in Unix milliseconds.
    pub created: Option<i64>,
    /// The value.
    pub value: Value<'a>,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Counter, gauge or untyped.
    Float(f64, Option<Exemplar<'a>>),
    /// Summary.
    Summary {
        /// Observations.
        count: f64,
        /// Their sum.
        sum: f64,
        /// Quantiles and their values.
        quantiles: Vec<(f64, f64)>,
    },
    /// Histogram, classic, native or both.
    Histogram(Box<HistogramValue<'a>>),
}

impl Default for Value<'_> {
    fn default() -> Self {
        Value::Float(0.0, None)
    }
}

/// A histogram: its classic buckets, and what of it is native.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramValue<'a> {
    /// Observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Classic buckets: upper bound, cumulative count, exemplar.
    pub buckets: Vec<(f64, f64, Option<Exemplar<'a>>)>,
    /// The native form, if it has one.
    pub native: Option<Arc<Histogram>>,
    /// Exemplars of the native form.
    pub exemplars: Vec<Exemplar<'a>>,
}

/// An exemplar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar<'a> {
    /// Its labels.
    pub labels: Vec<(&'a str, &'a str)>,
    /// The observed value.
    pub v: f64,
    /// Unix milliseconds.
    pub t: Option<i64>,
}

/// A float sample of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatSample<'m, 'a> {
    /// What is appended to the name of the family.
    pub suffix: &'static str,
    /// The label that the sample has beside those of the metric (`le`, `quantile`).
    pub extra: Option<(&'static str, Cow<'static, str>)>,
    /// The value; a NaN is the normal one.
    pub v: f64,
    /// An exemplar, if there is one.
    pub exemplar: Option<&'m Exemplar<'a>>,
}

impl<'a> Metric<'a> {
    /// Reads a metric of a family of type `kind`.
    pub fn decode(message: &'a [u8], kind: MetricType) -> Result<Self, WireError> {
        let mut m = Metric::default();
        let mut value: &[u8] = &[];
        let wanted = match kind {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Histogram | MetricType::GaugeHistogram => 7,
            _ => 5,
        };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => m.labels.push(label_pair(field.bytes()?)?),
                6 => m.t = Some(field.varint()? as i64).filter(|t| *t != 0),
                n if n == wanted => value = field.bytes()?,
                _ => {}
            }
        }
        (m.value, m.created) = match kind {
            MetricType::Summary => summary(value)?,
            MetricType::Histogram | MetricType::GaugeHistogram => histogram(value, kind)?,
            _ => float(value)?,
        };
        Ok(m)
    }

    /// Calls `found` with each float sample of the metric: for a histogram, its classic ones.
    pub fn floats<E>(&self, mut found: impl FnMut(FloatSample<'_, 'a>) -> Result<(), E>) -> Result<(), E> {
        let sample = |suffix, v| FloatSample { suffix, extra: None, v: normal(v), exemplar: None };
        match &self.value {
            Value::Float(v, exemplar) => found(FloatSample { exemplar: exemplar.as_ref(), ..sample("", *v) }),
            Value::Summary { count, sum, quantiles } => {
                found(sample("_count", *count))?;
                found(sample("_sum", *sum))?;
                for (q, v) in quantiles {
                    let extra = Some(("quantile", format_openmetrics_float(*q).into()));
                    found(FloatSample { extra, ..sample("", *v) })?;
                }
                Ok(())
            }
            Value::Histogram(h) => {
                found(sample("_count", h.count))?;
                found(sample("_sum", h.sum))?;
                let mut infinite = false;
                for (bound, v, exemplar) in &h.buckets {
                    infinite = *bound == f64::INFINITY;
                    let extra = Some(("le", format_openmetrics_float(*bound).into()));
                    found(FloatSample { extra, exemplar: exemplar.as_ref(), ..sample("_bucket", *v) })?;
                    if infinite {
                        break;
                    }
                }
                if infinite {
                    return Ok(());
                }
                let extra = Some(("le", Cow::Borrowed("+Inf")));
                found(FloatSample { extra, ..sample("_bucket", h.count) })
            }
        }
    }
}

fn normal(v: f64) -> f64 {
    if v.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { v }
}

fn label_pair(message: &[u8]) -> Result<(&str, &str), WireError> {
    let mut pair = ("", "");
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => pair.0 = field.string()?,
            2 => pair.1 = field.string()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// Seconds and nanoseconds as milliseconds.
fn timestamp(message: &[u8]) -> Result<i64, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()? as i64,
            2 => nanos = i64::from(field.varint()? as i32),
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

fn exemplar(message: &[u8]) -> Result<Exemplar<'_>, WireError> {
    let mut e = Exemplar::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => e.labels.push(label_pair(field.bytes()?)?),
            2 => e.v = field.double()?,
            3 => e.t = Some(timestamp(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(e)
}

/// Counter, gauge and untyped agree in the field of the value; only a counter has the others.
fn float(message: &[u8]) -> Result<(Value<'_>, Option<i64>), WireError> {
    let (mut v, mut ex, mut created) = (0.0, None, None);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => v = field.double()?,
            2 => ex = Some(exemplar(field.bytes()?)?),
            3 => created = Some(timestamp(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((Value::Float(v, ex), created))
}

fn summary(message: &[u8]) -> Result<(Value<'_>, Option<i64>), WireError> {
    let (mut count, mut sum, mut quantiles, mut created) = (0.0, 0.0, Vec::new(), None);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => count = field.varint()? as f64,
            2 => sum = field.double()?,
            3 => quantiles.push(quantile(field.bytes()?)?),
            4 => created = Some(timestamp(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((Value::Summary { count, sum, quantiles }, created))
}

fn quantile(message: &[u8]) -> Result<(f64, f64), WireError> {
    let mut pair = (0.0, 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => pair.0 = field.double()?,
            2 => pair.1 = field.double()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// Counts of a histogram stand as integers or as floats; where both do, the float counts unless it is 0.
#[derive(Default)]
struct Count {
    integer: u64,
    float: f64,
}

impl Count {
    fn value(&self) -> f64 {
        if self.float == 0.0 { self.integer as f64 } else { self.float }
    }
}

fn bucket(message: &[u8]) -> Result<(f64, f64, Option<Exemplar<'_>>), WireError> {
    let (mut bound, mut count, mut ex) = (0.0, Count::default(), None);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => count.integer = field.varint()?,
            2 => bound = field.double()?,
            3 => ex = Some(exemplar(field.bytes()?)?),
            4 => count.float = field.double()?,
            _ => {}
        }
    }
    Ok((bound, count.value(), ex))
}

fn histogram(message: &[u8], kind: MetricType) -> Result<(Value<'_>, Option<i64>), WireError> {
    let mut h = HistogramValue::default();
    let mut native = Histogram::default();
    let (mut count, mut zero, mut created) = (Count::default(), Count::default(), None);
    let (mut negative, mut positive) = (Side::default(), Side::default());
    for field in Fields::new(message) {
        let field: Field<'_> = field?;
        match field.number {
            1 => count.integer = field.varint()?,
            2 => h.sum = field.double()?,
            3 => h.buckets.push(bucket(field.bytes()?)?),
            4 => count.float = field.double()?,
            5 => native.schema = field.zigzag()? as i32,
            6 => native.zero_threshold = field.double()?,
            7 => zero.integer = field.varint()?,
            8 => zero.float = field.double()?,
            9 => negative.spans.push(span(field.bytes()?)?),
            10 => field.zigzags(&mut negative.deltas)?,
            11 => field.doubles(&mut negative.counts)?,
            12 => positive.spans.push(span(field.bytes()?)?),
            13 => field.zigzags(&mut positive.deltas)?,
            14 => field.doubles(&mut positive.counts)?,
            15 => created = Some(timestamp(field.bytes()?)?),
            16 => h.exemplars.push(exemplar(field.bytes()?)?),
            _ => {}
        }
    }
    h.count = count.value();
    let is_native = !positive.spans.is_empty()
        || !negative.spans.is_empty()
        || native.zero_threshold > 0.0
        || zero.integer > 0;
    if is_native {
        let float = count.float > 0.0 || zero.float > 0.0;
        native.count = if float { count.float } else { count.integer as f64 };
        native.zero_count = if float { zero.float } else { zero.integer as f64 };
        native.sum = normal(h.sum);
        (native.positive_spans, native.positive_buckets) = positive.into_parts(float);
        (native.negative_spans, native.negative_buckets) = negative.into_parts(float);
        if kind == MetricType::GaugeHistogram {
            native.hint = CounterResetHint::Gauge;
        }
        h.native = Some(Arc::new(native));
    }
    Ok((Value::Histogram(Box::new(h)), created))
}
