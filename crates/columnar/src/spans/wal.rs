//! Records of the write-ahead log (`docs/format/spans.md`): one frame is one batch.

use reba_model::{
    Tenant,
    spans::{SpanBatch, SpanView, read_source},
};

use crate::varint::{Reader, put, put_text};

/// Logs have 1: a log of one schema is not read as that of the other.
const BATCH: u8 = 2;

/// Where the number of the batch stands in its record.
const SEQ: std::ops::Range<usize> = 1..9;

/// Encodes the spans of a batch that `keep` says yes to. The number is filled in when it is known ([`crate::wal::set_seq`]).
pub(super) fn encode(tenant: &Tenant, batch: &SpanBatch, keep: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(batch.byte_len() + 4 * batch.len() + 256);
    out.push(BATCH);
    out.extend_from_slice(&[0; 8]);
    put_text(&mut out, tenant.as_str());
    let mut first = 0;
    for group in batch.groups() {
        let kept = (first..first + group.len()).filter(|i| keep(*i)).count();
        if kept > 0 {
            put(&mut out, kept as u64);
            put(&mut out, group.source().len() as u64);
            out.extend_from_slice(group.source());
        }
        for (_, record) in group.records().enumerate().filter(|(i, _)| keep(first + i)) {
            put(&mut out, record.len() as u64);
            out.extend_from_slice(record);
        }
        first += group.len();
    }
    put(&mut out, 0);
    out
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) seq: u64,
    pub(super) tenant: Tenant,
    pub(super) batch: SpanBatch,
}

/// The number of a record; `None` if it is none.
pub(super) fn seq_of(record: &[u8]) -> Option<u64> {
    let mut r = Reader(record);
    if r.take(1)? != [BATCH] {
        return None;
    }
    r.fixed_u64()
}

/// Reads a record; `None` if it contradicts itself.
pub(super) fn decode(record: &[u8]) -> Option<Record> {
    let seq = seq_of(record)?;
    let mut r = Reader(record.get(SEQ.end..)?);
    let tenant = Tenant::new(r.text()?).ok()?;
    let mut batch = SpanBatch::default();
    loop {
        let spans = r.count()?;
        if spans == 0 {
            break;
        }
        let len = r.count()?;
        let source = r.take(len)?;
        read_source(source)?;
        batch.begin_raw_group(source);
        for _ in 0..spans {
            let len = r.count()?;
            let span = r.take(len)?;
            SpanView::read(span).filter(SpanView::is_whole)?;
            batch.push_record(span).ok()?;
        }
    }
    r.is_empty().then_some(Record { seq, tenant, batch })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spans::sample;

    proptest! {
        #[test]
        fn a_batch_comes_back_without_what_was_left_out(spans in sample::spans(20), mask in any::<u32>()) {
            let keep = |i: usize| mask >> (i % 32) & 1 == 1;
            let tenant = Tenant::new("t").unwrap();
            let batch = SpanBatch::of(&spans).unwrap();
            let mut record = encode(&tenant, &batch, keep);
            crate::wal::set_seq(&mut record, 77);
            let read = decode(&record).unwrap();
            prop_assert_eq!((read.seq, read.tenant), (77, tenant));
            let kept: Vec<_> = spans.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, s)| s).collect();
            prop_assert_eq!(sample::of_batch(&read.batch), kept);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(spans in sample::spans(5), at in any::<prop::sample::Index>(), byte in any::<u8>(), junk in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut record = encode(&Tenant::single(), &SpanBatch::of(&spans).unwrap(), |_| true);
            let at = at.index(record.len());
            record[at] = byte;
            drop(decode(&record));
            drop(decode(&record[..at]));
            drop(decode(&junk));
        }
    }
}
