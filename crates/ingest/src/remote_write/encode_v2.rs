//! Building requests of version 2.0.

use std::collections::HashMap;

use reba_model::{Exemplar, Histogram, Labels, Metadata, MetricType, Sample};

use super::encode::encode_histogram;
use crate::wire::{put_bytes_field, put_double_field, put_varint, put_varint_field};

/// An `io.prometheus.write.v2.Request` that grows series by series.
#[derive(Clone, Debug)]
pub struct WriteRequestV2 {
    symbols: HashMap<String, u64>,
    table: Vec<u8>,
    all: Vec<u8>,
    series: Vec<u8>,
    part: Vec<u8>,
}

impl Default for WriteRequestV2 {
    fn default() -> Self {
        let mut out = WriteRequestV2 {
            symbols: HashMap::new(),
            table: Vec::new(),
            all: Vec::new(),
            series: Vec::new(),
            part: Vec::new(),
        };
        out.clear();
        out
    }
}

impl WriteRequestV2 {
    /// An empty request.
    pub fn new() -> Self {
        Self::default()
    }

    fn symbol(&mut self, text: &str) -> u64 {
        if let Some(n) = self.symbols.get(text) {
            return *n;
        }
        let n = self.symbols.len() as u64;
        self.symbols.insert(text.to_owned(), n);
        put_bytes_field(4, text.as_bytes(), &mut self.table);
        n
    }

    fn refs(&mut self, labels: &Labels) -> Vec<u8> {
        let mut refs = Vec::new();
        for (name, value) in labels {
            put_varint(self.symbol(name), &mut refs);
            put_varint(self.symbol(value), &mut refs);
        }
        refs
    }

    /// Begins a series; what is added next belongs to it, until [`WriteRequestV2::end_series`].
    pub fn begin_series(&mut self, labels: &Labels) -> &mut Self {
        self.series.clear();
        let refs = self.refs(labels);
        put_bytes_field(1, &refs, &mut self.series);
        self
    }

    /// Adds a float.
    pub fn sample(&mut self, s: Sample) -> &mut Self {
        self.part.clear();
        put_double_field(1, s.v, &mut self.part);
        put_varint_field(2, s.t as u64, &mut self.part);
        put_bytes_field(2, &self.part, &mut self.series);
        self
    }

    /// Adds a native histogram, with float counts.
    pub fn histogram(&mut self, t: i64, h: &Histogram) -> &mut Self {
        self.part.clear();
        encode_histogram(t, h, &mut self.part);
        put_bytes_field(3, &self.part, &mut self.series);
        self
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, e: &Exemplar) -> &mut Self {
        let refs = self.refs(&e.labels);
        self.part.clear();
        put_bytes_field(1, &refs, &mut self.part);
        put_double_field(2, e.value, &mut self.part);
        put_varint_field(3, e.t as u64, &mut self.part);
        put_bytes_field(4, &self.part, &mut self.series);
        self
    }

    /// Says what the series is.
    pub fn metadata(&mut self, m: &Metadata) -> &mut Self {
        let (help, unit) = (self.symbol(&m.help), self.symbol(&m.unit));
        self.part.clear();
        put_varint_field(1, metric_type(m.kind), &mut self.part);
        put_varint_field(3, help, &mut self.part);
        put_varint_field(4, unit, &mut self.part);
        put_bytes_field(5, &self.part, &mut self.series);
        self
    }

    /// Ends the series.
    pub fn end_series(&mut self) -> &mut Self {
        put_bytes_field(5, &self.series, &mut self.all);
        self
    }

    /// The encoded message, not compressed.
    pub fn message(&self) -> Vec<u8> {
        [self.table.as_slice(), self.all.as_slice()].concat()
    }

    /// The body of the request: the message as a snappy block. An error only for messages of 4 GiB or more.
    pub fn body(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.message())
    }

    /// Removes all series.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.table.clear();
        self.all.clear();
        self.symbol("");
    }
}

/// The number of a type in messages of both versions.
pub(super) fn metric_type(kind: MetricType) -> u64 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}
