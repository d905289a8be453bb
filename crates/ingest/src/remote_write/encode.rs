//! Building requests: for senders, and for tests of the receiver.

use reba_model::{CounterResetHint, Exemplar, Histogram, Labels, Metadata, Sample, Span};

use super::encode_v2::metric_type;
use crate::wire::{put_bytes_field, put_double_field, put_varint_field};

/// A `WriteRequest` of version 1.0 that grows series by series.
#[derive(Clone, Debug, Default)]
pub struct WriteRequest {
    message: Vec<u8>,
    series: Vec<u8>,
    part: Vec<u8>,
    samples: usize,
}

impl WriteRequest {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a series; what is added next belongs to it, until [`WriteRequest::end_series`].
    pub fn begin_series(&mut self, labels: &Labels) -> &mut Self {
        self.series.clear();
        let mut pair = Vec::new();
        for (name, value) in labels {
            pair.clear();
            put_bytes_field(1, name.as_bytes(), &mut pair);
            put_bytes_field(2, value.as_bytes(), &mut pair);
            put_bytes_field(1, &pair, &mut self.series);
        }
        self
    }

    /// Adds a float.
    pub fn sample(&mut self, s: Sample) -> &mut Self {
        self.part.clear();
        put_double_field(1, s.v, &mut self.part);
        put_varint_field(2, s.t as u64, &mut self.part);
        put_bytes_field(2, &self.part, &mut self.series);
        self.samples += 1;
        self
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, e: &Exemplar) -> &mut Self {
        self.part.clear();
        for (name, value) in &e.labels {
            let mut pair = Vec::new();
            put_bytes_field(1, name.as_bytes(), &mut pair);
            put_bytes_field(2, value.as_bytes(), &mut pair);
            put_bytes_field(1, &pair, &mut self.part);
        }
        put_double_field(2, e.value, &mut self.part);
        put_varint_field(3, e.t as u64, &mut self.part);
        put_bytes_field(3, &self.part, &mut self.series);
        self
    }

    /// Adds a native histogram, with float counts.
    pub fn histogram(&mut self, t: i64, h: &Histogram) -> &mut Self {
        self.part.clear();
        encode_histogram(t, h, &mut self.part);
        put_bytes_field(4, &self.part, &mut self.series);
        self.samples += 1;
        self
    }

    /// Ends the series.
    pub fn end_series(&mut self) -> &mut Self {
        put_bytes_field(1, &self.series, &mut self.message);
        self
    }

    /// Says what a metric family is. It belongs to no series.
    pub fn metadata(&mut self, family: &str, m: &Metadata) -> &mut Self {
        self.part.clear();
        put_varint_field(1, metric_type(m.kind), &mut self.part);
        put_bytes_field(2, family.as_bytes(), &mut self.part);
        put_bytes_field(4, m.help.as_bytes(), &mut self.part);
        put_bytes_field(5, m.unit.as_bytes(), &mut self.part);
        put_bytes_field(3, &self.part, &mut self.message);
        self
    }

    /// Floats and histograms so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The encoded message, not compressed.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The body of the request: the message as a snappy block. An error only for messages of 4 GiB or more.
    pub fn body(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.message)
    }

    /// Removes all series, keeping the memory.
    pub fn clear(&mut self) {
        self.message.clear();
        self.samples = 0;
    }
}

/// Appends a histogram with float counts as a message, the same in both versions.
pub fn encode_histogram(t: i64, h: &Histogram, m: &mut Vec<u8>) {
    put_double_field(2, h.count, m);
    put_double_field(3, h.sum, m);
    put_varint_field(4, zigzag(h.schema), m);
    put_double_field(5, h.zero_threshold, m);
    put_double_field(7, h.zero_count, m);
    for (spans, buckets, number) in
        [(&h.negative_spans, &h.negative_buckets, 8), (&h.positive_spans, &h.positive_buckets, 11)]
    {
        for span in spans {
            put_bytes_field(number, &encode_span(*span), m);
        }
        put_doubles(number + 2, buckets, m);
    }
    let hint = match h.hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put_varint_field(14, hint, m);
    put_varint_field(15, t as u64, m);
    put_doubles(16, &h.custom_values, m);
}

fn zigzag(x: i32) -> u64 {
    let x = i64::from(x);
    ((x << 1) ^ (x >> 63)) as u64
}

fn encode_span(span: Span) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint_field(1, zigzag(span.offset), &mut out);
    put_varint_field(2, u64::from(span.length), &mut out);
    out
}

fn put_doubles(number: u32, values: &[f64], out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
    put_bytes_field(number, &bytes, out);
}
