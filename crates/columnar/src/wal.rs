//! Records of the write-ahead log (`docs/format/logs.md`): one frame is one batch.

use reba_model::{Labels, LogBatch, Tenant};

use crate::varint::{Reader, put, put_signed, put_text};

const BATCH: u8 = 1;

/// Where the number of the batch stands in its record.
const SEQ: std::ops::Range<usize> = 1..9;

/// Encodes the entries of a batch that `keep` says yes to. The number is filled in when it is known ([`set_seq`]).
pub(crate) fn encode(tenant: &Tenant, batch: &LogBatch, keep: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(batch.text_bytes() + 8 * batch.len() + 256);
    out.push(BATCH);
    out.extend_from_slice(&[0; 8]);
    put_text(&mut out, tenant.as_str());
    let mut texts: Vec<&str> = Vec::with_capacity(batch.len());
    let (mut index, mut before) = (0, 0i64);
    for stream in batch.streams() {
        let first = index;
        index += stream.entries().len();
        let kept = (first..index).filter(|i| keep(*i)).count();
        if kept == 0 {
            continue;
        }
        put(&mut out, kept as u64);
        put_text(&mut out, stream.labels().as_packed());
        for (_, entry) in stream.entries().enumerate().filter(|(i, _)| keep(first + i)) {
            put_signed(&mut out, entry.ns.wrapping_sub(before));
            before = entry.ns;
            put(&mut out, entry.line.len() as u64);
            texts.push(entry.line);
            let metadata = entry.metadata();
            put(&mut out, metadata.len() as u64);
            for (name, value) in metadata {
                put(&mut out, name.len() as u64);
                put(&mut out, value.len() as u64);
                texts.extend([name, value]);
            }
        }
    }
    put(&mut out, 0);
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Numbers a record.
pub(crate) fn set_seq(record: &mut [u8], seq: u64) {
    record[SEQ].copy_from_slice(&seq.to_le_bytes());
}

/// A record that was read.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) tenant: Tenant,
    pub(crate) batch: LogBatch,
}

/// The number of a record; `None` if it is none.
pub(crate) fn seq_of(record: &[u8]) -> Option<u64> {
    let mut r = Reader(record);
    if r.take(1)? != [BATCH] {
        return None;
    }
    r.fixed_u64()
}

/// Reads a record; `None` if it contradicts itself.
pub(crate) fn decode(record: &[u8]) -> Option<Record> {
    let seq = seq_of(record)?;
    let mut r = Reader(record.get(SEQ.end..)?);
    let tenant = Tenant::new(r.text()?).ok()?;
    // The texts stand behind everything else, so that they are found by reading the rest first.
    let mut texts = r;
    skip_entries(&mut texts)?;
    let mut batch = LogBatch::default();
    let mut ns = 0i64;
    let mut lengths = Vec::new();
    loop {
        let entries = r.count()?;
        if entries == 0 {
            break;
        }
        batch.begin_stream(Labels::from_packed(r.text()?)?);
        for _ in 0..entries {
            ns = ns.wrapping_add(r.signed()?);
            let line = text(&mut texts, r.unsigned()?)?;
            lengths.clear();
            for _ in 0..r.count()? {
                lengths.push((r.unsigned()?, r.unsigned()?));
            }
            let pairs: Vec<(&str, &str)> = lengths
                .iter()
                .map(|(name, value)| Some((text(&mut texts, *name)?, text(&mut texts, *value)?)))
                .collect::<Option<_>>()?;
            batch.push(ns, line, pairs).ok()?;
        }
    }
    texts.is_empty().then_some(Record { seq, tenant, batch })
}

fn skip_entries(r: &mut Reader<'_>) -> Option<()> {
    loop {
        let entries = r.count()?;
        if entries == 0 {
            return Some(());
        }
        r.text()?;
        for _ in 0..entries {
            r.unsigned()?;
            r.unsigned()?;
            for _ in 0..2 * r.count()? {
                r.unsigned()?;
            }
        }
    }
}

fn text<'a>(texts: &mut Reader<'a>, len: u64) -> Option<&'a str> {
    std::str::from_utf8(texts.take(usize::try_from(len).ok()?)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entries = Vec<(u8, i64, String, Vec<(String, String)>)>;

    fn entries() -> impl Strategy<Value = Entries> {
        let pairs = prop::collection::vec((".{0,4}", ".{0,6}"), 0..3);
        prop::collection::vec((0u8..3, any::<i64>(), ".{0,30}", pairs), 0..20)
    }

    fn batch(entries: &Entries) -> LogBatch {
        let mut batch = LogBatch::default();
        for (stream, ns, line, pairs) in entries {
            batch.begin_stream(Labels::from_pairs([("app", stream.to_string())]));
            batch.push(*ns, line, pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
        }
        batch
    }

    fn listed(batch: &LogBatch) -> Vec<String> {
        let entry = |labels: &Labels, e: reba_model::LogEntry<'_>| {
            format!("{labels} {} {:?} {:?}", e.ns, e.line, e.metadata().collect::<Vec<_>>())
        };
        batch.streams().flat_map(|s| s.entries().map(move |e| entry(s.labels(), e))).collect()
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_without_what_was_left_out(entries in entries(), mask in any::<u32>()) {
            let keep = |i: usize| mask >> (i % 32) & 1 == 1;
            let tenant = Tenant::new("t").unwrap();
            let mut record = encode(&tenant, &batch(&entries), keep);
            set_seq(&mut record, 77);
            let read = decode(&record).unwrap();
            prop_assert_eq!((read.seq, read.tenant), (77, tenant));
            let kept: Entries =
                entries.into_iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, e)| e).collect();
            prop_assert_eq!(listed(&read.batch), listed(&batch(&kept)));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>(), junk in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut record = encode(&Tenant::single(), &batch(&entries), |_| true);
            let at = at.index(record.len());
            record[at] = byte;
            drop(decode(&record));
            drop(decode(&record[..at]));
            drop(decode(&junk));
        }
    }
}
