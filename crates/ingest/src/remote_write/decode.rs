//! `prometheus.WriteRequest`, field by field.

use std::sync::Arc;

use reba_model::{
    CounterResetHint, Exemplar, Histogram, Labels, LabelsBuilder, MAX_SERIES_LABELS, METRIC_NAME, NameScheme,
};
use reba_storage::{FloatSample, MetricAppender, RejectReason, SeriesRef, WriteBatch};

use super::RemoteWriteError;
use crate::{
    native_histogram::{Side, span},
    pushed_metadata::{Said, metric_type},
    series_cache::SeriesCache,
    wire::{Fields, WireError},
};

/// Most characters in the labels of an exemplar, as upstream; longer ones are dropped.
pub(super) const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// Where decoded samples go.
pub(super) struct Target<'a> {
    pub(super) appender: &'a dyn MetricAppender,
    pub(super) cache: &'a SeriesCache,
    /// Whether the cache may answer; it learns in any case.
    pub(super) use_cache: bool,
    /// Latest time that a sample may have.
    pub(super) latest: i64,
}

/// What a request holds besides its batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// Samples that were skipped for their labels.
    pub(super) invalid: usize,
    /// Whether there is something for [`metadata`].
    pub(super) has_metadata: bool,
}

/// Decodes a request into `batch`.
pub(super) fn write_request(
    message: &[u8],
    target: &Target<'_>,
    labels: &mut LabelsBuilder,
    batch: &mut WriteBatch,
) -> Result<Rest, RemoteWriteError> {
    let mut rest = Rest::default();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => rest.invalid += time_series(field.bytes()?, target, labels, batch)?,
            3 => rest.has_metadata = true,
            _ => {}
        }
    }
    Ok(rest)
}

/// What a request says of metric families; what makes no sense is passed over.
pub(super) fn metadata(message: &[u8]) -> impl Iterator<Item = (&str, Said<'_>)> {
    Fields::new(message).flatten().filter(|field| field.number == 3).filter_map(|field| {
        let (mut name, mut said) = ("", Said::default());
        for part in Fields::new(field.bytes().ok()?) {
            let part = part.ok()?;
            match part.number {
                1 => said.kind = metric_type(part.varint().ok()?),
                2 => name = part.string().ok()?,
                4 => said.help = part.string().ok()?,
                5 => said.unit = part.string().ok()?,
                _ => {}
            }
        }
        (!name.is_empty()).then_some((name, said))
    })
}

fn time_series(
    message: &[u8],
    target: &Target<'_>,
    labels: &mut LabelsBuilder,
    batch: &mut WriteBatch,
) -> Result<usize, RemoteWriteError> {
    let raw_len = labels_len(message)?;
    let Some(series) = series(message, raw_len, target, labels)? else {
        return count_samples(message).map_err(Into::into);
    };
    for field in Fields::new(&message[raw_len..]) {
        let field = field?;
        match field.number {
            2 => {
                let (t, v) = sample(field.bytes()?)?;
                if t > target.latest {
                    return Err(RemoteWriteError::TooFarAhead);
                }
                batch.floats.push(FloatSample { series, t, v });
            }
            3 => {
                if let Some(e) = exemplar(field.bytes()?, labels)? {
                    batch.exemplars.push((series, e));
                }
            }
            4 => {
                let (t, h) = histogram(field.bytes()?)?;
                if t > target.latest {
                    return Err(RemoteWriteError::TooFarAhead);
                }
                if h.validate().is_err() {
                    return Err(RemoteWriteError::Rejected(RejectReason::InvalidHistogram));
                }
                batch.histograms.push((series, t, Arc::new(h)));
            }
            _ => {}
        }
    }
    Ok(0)
}

/// Bytes of the labels at the beginning of a series: all of them, for every encoder writes fields in order.
fn labels_len(message: &[u8]) -> Result<usize, WireError> {
    let mut fields = Fields::new(message);
    let mut len = 0;
    while let Some(field) = fields.next() {
        if field?.number != 1 {
            break;
        }
        len = message.len() - fields.left();
    }
    Ok(len)
}

/// The reference of the series whose labels take the first `raw_len` bytes; `None` if they are invalid.
fn series(
    message: &[u8],
    raw_len: usize,
    target: &Target<'_>,
    labels: &mut LabelsBuilder,
) -> Result<Option<SeriesRef>, RemoteWriteError> {
    let raw = &message[..raw_len];
    let key = target.cache.key(raw);
    if target.use_cache
        && let Some(series) = target.cache.get(key)
    {
        return Ok(Some(series));
    }
    // Labels behind samples are legal protobuf, if nothing that anyone writes; such a series is not cached.
    let scattered = Fields::new(&message[raw_len..]).any(|f| f.is_ok_and(|f| f.number == 1));
    let Some(labels) = read_labels(if scattered { message } else { raw }, labels)? else { return Ok(None) };
    let series = target.appender.series_ref(&labels)?;
    if !scattered {
        target.cache.insert(key, series);
    }
    Ok(Some(series))
}

/// Reads the labels of a series; `None` if they are invalid: no name, a label twice, a text that is no UTF-8, too many.
fn read_labels(message: &[u8], out: &mut LabelsBuilder) -> Result<Option<Labels>, WireError> {
    out.clear();
    let mut valid = true;
    for field in Fields::new(message) {
        let field = field?;
        if field.number == 1 {
            let (name, value) = label(field.bytes()?)?;
            if out.len() >= MAX_SERIES_LABELS {
                valid = false;
                continue;
            }
            let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
                valid = false;
                continue;
            };
            valid &= NameScheme::Utf8.is_label_name(name) && out.value(name).is_empty();
            out.set(name, value);
        }
    }
    valid &= !out.value(METRIC_NAME).is_empty();
    Ok(valid.then(|| out.build()))
}

fn label(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut pair: (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => pair.0 = field.bytes()?,
            2 => pair.1 = field.bytes()?,
            _ => {}
        }
    }
    Ok(pair)
}

fn count_samples(message: &[u8]) -> Result<usize, WireError> {
    let mut n = 0;
    for field in Fields::new(message) {
        n += usize::from(matches!(field?.number, 2 | 4));
    }
    Ok(n)
}

#[inline]
pub(super) fn sample(message: &[u8]) -> Result<(i64, f64), WireError> {
    let (mut t, mut v) = (0, 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => v = field.double()?,
            2 => t = field.varint()? as i64,
            _ => {}
        }
    }
    Ok((t, v))
}

/// `None`: its labels are too long, or no labels at all.
fn exemplar(message: &[u8], labels: &mut LabelsBuilder) -> Result<Option<Exemplar>, WireError> {
    labels.clear();
    let (mut value, mut t, mut characters) = (0.0, 0, 0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => {
                let (name, v) = label(field.bytes()?)?;
                let (Ok(name), Ok(v)) = (std::str::from_utf8(name), std::str::from_utf8(v)) else {
                    return Ok(None);
                };
                characters += name.chars().count() + v.chars().count();
                if characters > MAX_EXEMPLAR_CHARACTERS {
                    return Ok(None);
                }
                labels.set(name, v);
            }
            2 => value = field.double()?,
            3 => t = field.varint()? as i64,
            _ => {}
        }
    }
    Ok(Some(Exemplar { labels: labels.build(), value, t }))
}

/// Reads a `prometheus.Histogram`, and its time.
pub fn histogram(message: &[u8]) -> Result<(i64, Histogram), WireError> {
    let mut h = Histogram::default();
    let (mut t, mut float) = (0, false);
    let (mut zero_int, mut zero_float) = (0, 0.0);
    let (mut negative, mut positive) = (Side::default(), Side::default());
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => h.count = field.varint()? as f64,
            2 => (h.count, float) = (field.double()?, true),
            3 => h.sum = field.double()?,
            4 => h.schema = field.zigzag()? as i32,
            5 => h.zero_threshold = field.double()?,
            6 => zero_int = field.varint()?,
            7 => zero_float = field.double()?,
            8 => negative.spans.push(span(field.bytes()?)?),
            9 => field.zigzags(&mut negative.deltas)?,
            10 => field.doubles(&mut negative.counts)?,
            11 => positive.spans.push(span(field.bytes()?)?),
            12 => field.zigzags(&mut positive.deltas)?,
            13 => field.doubles(&mut positive.counts)?,
            14 => {
                h.hint = match field.varint()? {
                    1 => CounterResetHint::CounterReset,
                    2 => CounterResetHint::NotCounterReset,
                    3 => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                }
            }
            15 => t = field.varint()? as i64,
            16 => field.doubles(&mut h.custom_values)?,
            _ => {}
        }
    }
    h.zero_count = if float { zero_float } else { zero_int as f64 };
    (h.positive_spans, h.positive_buckets) = positive.into_parts(float);
    (h.negative_spans, h.negative_buckets) = negative.into_parts(float);
    Ok((t, h))
}
