//! Data points, whatever their kind.

use reba_model::{Exemplar, LabelsBuilder};

use super::super::common::{Attribute, push_hex};
use crate::wire::{Field, Fields, WireError};

/// Most characters in the labels of an exemplar, as upstream.
const MAX_EXEMPLAR_CHARACTERS: usize = 128;

/// Buckets of one sign of an exponential histogram.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// The index of the first bucket.
    pub(super) offset: i32,
    /// How much is in each.
    pub(super) counts: Vec<u64>,
}

/// A data point. What its kind does not have stays empty; the memory is used again for the next point.
#[derive(Debug, Default)]
pub(super) struct Point<'a> {
    /// Unix nanoseconds.
    pub(super) time: u64,
    /// The messages of its attributes.
    pub(super) attributes: Vec<&'a [u8]>,
    pub(super) exemplars: Vec<&'a [u8]>,
    /// Whether the point says that there is no value any more.
    pub(super) ended: bool,
    /// Of a number.
    pub(super) value: f64,
    /// Of all but a number.
    pub(super) count: u64,
    /// Of all but a number.
    pub(super) sum: Option<f64>,
    /// Of a histogram with explicit bounds: how much is in each bucket.
    pub(super) counts: Vec<u64>,
    /// Of a histogram with explicit bounds: all upper bounds but the last.
    pub(super) bounds: Vec<f64>,
    /// Of a summary: quantiles and their values.
    pub(super) quantiles: Vec<(f64, f64)>,
    /// Of an exponential histogram.
    pub(super) scale: i32,
    /// Of an exponential histogram.
    pub(super) zero_count: u64,
    /// Of an exponential histogram.
    pub(super) zero_threshold: f64,
    /// Of an exponential histogram.
    pub(super) positive: Buckets,
    /// Of an exponential histogram.
    pub(super) negative: Buckets,
}

impl<'a> Point<'a> {
    /// Unix milliseconds.
    pub(super) fn millis(&self) -> i64 {
        (self.time / 1_000_000) as i64
    }

    fn clear(&mut self) {
        self.attributes.clear();
        self.exemplars.clear();
        self.counts.clear();
        self.bounds.clear();
        self.quantiles.clear();
        for side in [&mut self.positive, &mut self.negative] {
            side.counts.clear();
            side.offset = 0;
        }
        (self.time, self.ended, self.value, self.count, self.sum) = (0, false, 0.0, 0, None);
        (self.scale, self.zero_count, self.zero_threshold) = (0, 0, 0.0);
    }

    fn set_flags(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        self.ended = field.varint()? & 1 == 1;
        Ok(())
    }

    /// Reads a `NumberDataPoint`.
    pub(super) fn read_number(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        self.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                3 => self.time = field.fixed64()?,
                4 => self.value = field.double()?,
                5 => self.exemplars.push(field.bytes()?),
                6 => self.value = field.fixed64()? as i64 as f64,
                7 => self.attributes.push(field.bytes()?),
                8 => self.set_flags(&field)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a `HistogramDataPoint`.
    pub(super) fn read_histogram(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        self.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                3 => self.time = field.fixed64()?,
                4 => self.count = field.fixed64()?,
                5 => self.sum = Some(field.double()?),
                6 => field.fixed64s(&mut self.counts)?,
                7 => field.doubles(&mut self.bounds)?,
                8 => self.exemplars.push(field.bytes()?),
                9 => self.attributes.push(field.bytes()?),
                10 => self.set_flags(&field)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads an `ExponentialHistogramDataPoint`.
    pub(super) fn read_exponential(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        self.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => self.attributes.push(field.bytes()?),
                3 => self.time = field.fixed64()?,
                4 => self.count = field.fixed64()?,
                5 => self.sum = Some(field.double()?),
                6 => self.scale = field.zigzag()? as i32,
                7 => self.zero_count = field.fixed64()?,
                8 => self.positive.read(field.bytes()?)?,
                9 => self.negative.read(field.bytes()?)?,
                10 => self.set_flags(&field)?,
                11 => self.exemplars.push(field.bytes()?),
                14 => self.zero_threshold = field.double()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a `SummaryDataPoint`.
    pub(super) fn read_summary(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        self.clear();
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                3 => self.time = field.fixed64()?,
                4 => self.count = field.fixed64()?,
                5 => self.sum = Some(field.double()?),
                6 => self.quantiles.push(quantile(field.bytes()?)?),
                7 => self.attributes.push(field.bytes()?),
                8 => self.set_flags(&field)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The exemplars, sorted by time. One without a time has that of the point.
    pub(super) fn exemplars(&self, labels: &mut LabelsBuilder) -> Result<Vec<Exemplar>, WireError> {
        let mut out = Vec::with_capacity(self.exemplars.len());
        for message in &self.exemplars {
            let mut e = exemplar(message, labels)?;
            e.t = if e.t == 0 { self.millis() } else { e.t };
            out.push(e);
        }
        out.sort_by_key(|e| e.t);
        Ok(out)
    }

    /// Samples that the point may become, and buckets, which take memory like samples.
    pub(super) fn weight(&self) -> usize {
        1 + self.exemplars.len()
            + self.counts.len()
            + self.quantiles.len()
            + self.positive.counts.len()
            + self.negative.counts.len()
    }
}

impl Buckets {
    fn read(&mut self, message: &[u8]) -> Result<(), WireError> {
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => self.offset = field.zigzag()? as i32,
                2 => field.varints(&mut self.counts)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn quantile(message: &[u8]) -> Result<(f64, f64), WireError> {
    let mut out = (0.0, 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => out.0 = field.double()?,
            2 => out.1 = field.double()?,
            _ => {}
        }
    }
    Ok(out)
}

fn exemplar(message: &[u8], labels: &mut LabelsBuilder) -> Result<Exemplar, WireError> {
    let (mut t, mut value) = (0, 0.0);
    let (mut trace, mut span) = (String::new(), String::new());
    let mut attributes = Vec::new();
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            2 => t = (field.fixed64()? / 1_000_000) as i64,
            3 => value = field.double()?,
            4 => set_id(field.bytes()?, &mut span),
            5 => set_id(field.bytes()?, &mut trace),
            6 => value = field.fixed64()? as i64 as f64,
            7 => {
                let attribute = Attribute::read(field.bytes()?)?;
                attributes.push((attribute.key, attribute.value.to_text()?));
            }
            _ => {}
        }
    }
    labels.clear();
    let ids = [("trace_id", trace.as_str()), ("span_id", span.as_str())];
    for (name, value) in ids.into_iter().filter(|(_, value)| !value.is_empty()) {
        labels.set(name, value);
    }
    let of_ids: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    let of_attributes: usize = attributes.iter().map(|(k, v)| k.chars().count() + v.chars().count()).sum();
    if of_ids + of_attributes <= MAX_EXEMPLAR_CHARACTERS {
        for (name, value) in attributes.iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
    }
    Ok(Exemplar { labels: labels.build(), value, t })
}

/// An id of zeros is none; one that is longer than ids are is none either.
fn set_id(bytes: &[u8], out: &mut String) {
    out.clear();
    if bytes.len() <= 16 && bytes.iter().any(|b| *b != 0) {
        push_hex(bytes, out);
    }
}
