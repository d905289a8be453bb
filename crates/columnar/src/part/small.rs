//! Blocks of a few short rows: as they are, without columns, filters and compression, all of which would be larger than the rows.
//! A stream for every request is then no dearer than its bytes.

use crate::{
    block::{BlockSummary, OwnedRow, Pairs},
    varint::{Reader, put, put_text},
};

/// A block is small if it has at most so many rows, of so much text.
const ROWS: usize = 4;
const TEXT_BYTES: usize = 1024;

/// Encodes rows behind what is in `out`, if they are few and short.
pub(super) fn encode(
    times: &[i64],
    lines: &[&str],
    metadata: &[Pairs<'_>],
    out: &mut Vec<u8>,
) -> Option<BlockSummary> {
    let (first_ns, last_ns) = (*times.first()?, *times.last()?);
    if times.len() > ROWS {
        return None;
    }
    let texts = lines.iter().map(|l| l.len());
    let pairs = metadata.iter().flat_map(|pairs| pairs.iter()).map(|(n, v)| n.len() + v.len());
    let text_bytes: usize = texts.chain(pairs).sum();
    if text_bytes > TEXT_BYTES {
        return None;
    }
    let mut before = first_ns;
    for ((ns, line), pairs) in times.iter().zip(lines).zip(metadata) {
        put(out, ns.wrapping_sub(before) as u64);
        before = *ns;
        put_text(out, line);
        put(out, pairs.len() as u64);
        for (name, value) in *pairs {
            put_text(out, name);
            put_text(out, value);
        }
    }
    Some(BlockSummary { rows: times.len() as u32, text_bytes: text_bytes as u64, first_ns, last_ns })
}

/// Reads the rows back; `None` if the bytes are not what was written.
pub(crate) fn rows(bytes: &[u8], count: u32, first_ns: i64) -> Option<Vec<OwnedRow>> {
    let mut r = Reader(bytes);
    let mut ns = first_ns;
    let rows = (0..count)
        .map(|_| {
            ns = ns.wrapping_add(r.unsigned()? as i64);
            let line = r.text()?.to_owned();
            let metadata = (0..r.count()?)
                .map(|_| Some((r.text()?.to_owned(), r.text()?.to_owned())))
                .collect::<Option<_>>()?;
            Some(OwnedRow { ns, line, metadata })
        })
        .collect::<Option<_>>()?;
    r.is_empty().then_some(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn few_rows_come_back(rows_in in prop::collection::vec((0u32..9, ".{0,9}", prop::collection::vec((".{0,3}", ".{0,3}"), 0..3)), 1..4), start in any::<i32>()) {
            let mut ns = i64::from(start);
            let rows_in: Vec<OwnedRow> = rows_in.into_iter().map(|(delta, line, metadata)| {
                ns += i64::from(delta);
                OwnedRow { ns, line, metadata }
            }).collect();
            let times: Vec<i64> = rows_in.iter().map(|r| r.ns).collect();
            let lines: Vec<&str> = rows_in.iter().map(|r| r.line.as_str()).collect();
            let pairs: Vec<Vec<(&str, &str)>> = rows_in.iter().map(OwnedRow::pairs).collect();
            let metadata: Vec<Pairs<'_>> = pairs.iter().map(Vec::as_slice).collect();
            let mut bytes = Vec::new();
            let summary = encode(&times, &lines, &metadata, &mut bytes).unwrap();
            prop_assert_eq!(rows(&bytes, summary.rows, summary.first_ns), Some(rows_in));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0u32..9) {
            drop(rows(&bytes, count, i64::MAX));
        }
    }
}
