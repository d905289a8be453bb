//! What a frame of the queue says. `docs/format/remote-queue.md` has the bytes.

use std::sync::Arc;

use reba_ingest::{
    remote_write::{decode_histogram, encode_histogram},
    wire::{Fields, WireError, put_bytes_field, put_double_field, put_varint, put_varint_field, read_varint},
};
use reba_model::{Exemplar, Histogram, Labels};

/// One thing that a frame says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// From here to the end of the segment, this number means this series.
    Series(u64, Labels),
    Float(u64, i64, f64),
    Histogram(u64, i64, Arc<Histogram>),
    Exemplar(u64, Exemplar),
}

/// Collects the records of one frame.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    series: Vec<u8>,
    floats: Vec<u8>,
    others: Vec<u8>,
    part: Vec<u8>,
    before: (u64, i64),
    pub(crate) samples: u64,
}

fn zigzag(x: i64) -> u64 {
    ((x << 1) ^ (x >> 63)) as u64
}

fn unzigzag(x: u64) -> i64 {
    (x >> 1) as i64 ^ -((x & 1) as i64)
}

impl RecordWriter {
    pub(crate) fn clear(&mut self) {
        *self = RecordWriter {
            series: std::mem::take(&mut self.series),
            floats: std::mem::take(&mut self.floats),
            others: std::mem::take(&mut self.others),
            part: std::mem::take(&mut self.part),
            ..RecordWriter::default()
        };
        self.series.clear();
        self.floats.clear();
        self.others.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.others.is_empty()
    }

    pub(crate) fn series(&mut self, id: u64, labels: &Labels) {
        self.part.clear();
        put_varint_field(1, id, &mut self.part);
        put_bytes_field(2, labels.as_packed().as_bytes(), &mut self.part);
        put_bytes_field(1, &self.part, &mut self.series);
    }

    pub(crate) fn float(&mut self, id: u64, t: i64, v: f64) {
        put_varint(zigzag(id.wrapping_sub(self.before.0) as i64), &mut self.floats);
        put_varint(zigzag(t.wrapping_sub(self.before.1)), &mut self.floats);
        self.floats.extend_from_slice(&v.to_bits().to_le_bytes());
        self.before = (id, t);
        self.samples += 1;
    }

    pub(crate) fn histogram(&mut self, id: u64, t: i64, h: &Histogram) {
        let mut encoded = Vec::new();
        encode_histogram(t, h, &mut encoded);
        self.part.clear();
        put_varint_field(1, id, &mut self.part);
        put_bytes_field(2, &encoded, &mut self.part);
        put_bytes_field(3, &self.part, &mut self.others);
        self.samples += 1;
    }

    pub(crate) fn exemplar(&mut self, id: u64, e: &Exemplar) {
        self.part.clear();
        put_varint_field(1, id, &mut self.part);
        put_bytes_field(2, e.labels.as_packed().as_bytes(), &mut self.part);
        put_double_field(3, e.value, &mut self.part);
        put_varint_field(4, e.t as u64, &mut self.part);
        put_bytes_field(4, &self.part, &mut self.others);
    }

    /// Bytes of the payload that say what series are.
    pub(crate) fn series_bytes(&self) -> usize {
        self.series.len()
    }

    /// The payload of the frame: first the series, then what belongs to them.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut out = self.series.clone();
        if !self.floats.is_empty() {
            put_bytes_field(2, &self.floats, &mut out);
        }
        out.extend_from_slice(&self.others);
        out
    }
}

/// Calls `each` with every record of a frame.
pub(crate) fn read_records(payload: &[u8], mut each: impl FnMut(Record)) -> Result<(), WireError> {
    for field in Fields::new(payload) {
        let field = field?;
        let body = field.bytes()?;
        match field.number {
            1 => each(series(body)?),
            2 => floats(body, &mut each)?,
            3 => each(histogram(body)?),
            4 => each(exemplar(body)?),
            _ => {}
        }
    }
    Ok(())
}

fn floats(mut body: &[u8], each: &mut impl FnMut(Record)) -> Result<(), WireError> {
    let (mut id, mut t) = (0u64, 0i64);
    while !body.is_empty() {
        id = id.wrapping_add(unzigzag(read_varint(&mut body)?) as u64);
        t = t.wrapping_add(unzigzag(read_varint(&mut body)?));
        let (bits, rest) = body.split_first_chunk::<8>().ok_or(WireError::Truncated)?;
        body = rest;
        each(Record::Float(id, t, f64::from_bits(u64::from_le_bytes(*bits))));
    }
    Ok(())
}

fn labels(body: &str) -> Result<Labels, WireError> {
    Labels::from_packed(body).ok_or(WireError::Truncated)
}

fn series(body: &[u8]) -> Result<Record, WireError> {
    let (mut id, mut text) = (0, "");
    for field in Fields::new(body) {
        let field = field?;
        match field.number {
            1 => id = field.varint()?,
            2 => text = field.string()?,
            _ => {}
        }
    }
    Ok(Record::Series(id, labels(text)?))
}

fn histogram(body: &[u8]) -> Result<Record, WireError> {
    let (mut id, mut message) = (0, &[][..]);
    for field in Fields::new(body) {
        let field = field?;
        match field.number {
            1 => id = field.varint()?,
            2 => message = field.bytes()?,
            _ => {}
        }
    }
    let (t, h) = decode_histogram(message)?;
    Ok(Record::Histogram(id, t, Arc::new(h)))
}

fn exemplar(body: &[u8]) -> Result<Record, WireError> {
    let (mut id, mut text, mut value, mut t) = (0, "", 0.0, 0);
    for field in Fields::new(body) {
        let field = field?;
        match field.number {
            1 => id = field.varint()?,
            2 => text = field.string()?,
            3 => value = field.double()?,
            4 => t = field.varint()? as i64,
            _ => {}
        }
    }
    Ok(Record::Exemplar(id, Exemplar { labels: labels(text)?, value, t }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back(floats in proptest::collection::vec(any::<(u64, i64, u64)>(), 0..20), name in ".{1,8}") {
            let mut w = RecordWriter::default();
            let mut expected = Vec::new();
            let labels = Labels::from_pairs([("__name__", name.as_str())]);
            w.series(7, &labels);
            expected.push(Record::Series(7, labels.clone()));
            for (id, t, v) in &floats {
                w.float(*id, *t, f64::from_bits(*v));
            }
            let h = Histogram { count: 2.0, ..Histogram::default() };
            w.histogram(7, -5, &h);
            let e = Exemplar { labels, value: 0.5, t: 9 };
            w.exemplar(7, &e);
            let mut records = Vec::new();
            read_records(&w.payload(), |r| records.push(r)).unwrap();
            let bits: Vec<(u64, i64, u64)> = records.iter().filter_map(|r| match r {
                Record::Float(id, t, v) => Some((*id, *t, v.to_bits())),
                _ => None,
            }).collect();
            prop_assert_eq!(bits, floats);
            records.retain(|r| !matches!(r, Record::Float(..)));
            expected.push(Record::Histogram(7, -5, Arc::new(h)));
            expected.push(Record::Exemplar(7, e));
            prop_assert_eq!(records, expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_records(&bytes, |_| {});
        }
    }
}
