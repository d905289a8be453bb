//! What the messages of native histograms have in common, in exposition and in remote write.

use reba_model::{Span, histogram::absolute_counts};

use crate::wire::{Fields, WireError};

/// The buckets of one sign, as they stand in the message: as integers or as floats.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) spans: Vec<Span>,
    /// Differences of neighbours.
    pub(crate) deltas: Vec<i64>,
    pub(crate) counts: Vec<f64>,
}

impl Side {
    /// Spans and absolute counts: of a histogram with floats as they stand, of one with integers summed up.
    pub(crate) fn into_parts(self, float: bool) -> (Vec<Span>, Vec<f64>) {
        if float {
            return (self.spans, self.counts);
        }
        let mut counts = Vec::with_capacity(self.deltas.len());
        absolute_counts(&self.deltas, &mut counts);
        (self.spans, counts)
    }
}

/// Reads a `BucketSpan`.
pub(crate) fn span(message: &[u8]) -> Result<Span, WireError> {
    let mut s = Span { offset: 0, length: 0 };
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            1 => s.offset = field.zigzag()? as i32,
            2 => s.length = field.varint()? as u32,
            _ => {}
        }
    }
    Ok(s)
}
