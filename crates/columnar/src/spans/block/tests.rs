//! Blocks read back what was written, and survive what was not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use reba_model::spans::{Span, SpanBatch, TraceId};

use super::*;
use crate::spans::{origins::Origins, sample};

fn encode(spans: &[Span]) -> (Vec<u8>, Vec<Span>) {
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace_id).or_default().push(span.clone());
    }
    for spans in traces.values_mut() {
        spans.sort_by_key(|s| (s.start_ns, s.span_id));
        let mut seen = std::collections::BTreeSet::new();
        spans.retain(|s| seen.insert(s.span_id));
    }
    let mut sorted: Vec<Vec<Span>> = traces.into_values().collect();
    sorted.sort_by_key(|spans| spans[0].start_ns);
    let all: Vec<Span> = sorted.iter().flatten().cloned().collect();
    let batch = SpanBatch::of(&all).unwrap();
    let rows: Vec<SpanRow<'_>> = batch
        .groups()
        .flat_map(|g| g.spans().map(move |view| SpanRow { view, source: g.source() }))
        .collect();
    let mut rest = rows.as_slice();
    let mut traces = Vec::new();
    for spans in &sorted {
        let (trace, after) = rest.split_at(spans.len());
        traces.push(trace);
        rest = after;
    }
    let mut out = Vec::new();
    let summary = SpanBlockEncoder::default().encode(&traces, &mut out);
    assert_eq!(summary.rows as usize, all.len());
    (out, all)
}

fn read(bytes: &[u8]) -> Result<Vec<Span>, crate::block::BlockError> {
    let block = SpanBlock::open(bytes)?;
    let origins = Origins::default().of_block(&block)?;
    let rows: Vec<u32> = (0..block.rows() as u32).collect();
    let spans = block.spans(&rows, &Wanted::all(&block), &origins)?;
    let mut records = SpanBatch::default();
    block.records(&|_| true, &mut records)?;
    assert_eq!(sample::of_batch(&records), spans, "both ways of reading agree");
    Ok(spans)
}

/// Attributes with a column and those without, in one order.
fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    for span in &mut spans {
        span.attributes.0.sort_by(|a, b| a.0.cmp(&b.0));
    }
    spans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_span_comes_back_as_it_was(spans in sample::spans(40)) {
        prop_assume!(!spans.is_empty());
        let (bytes, want) = encode(&spans);
        prop_assert_eq!(read(&bytes).unwrap(), want);
    }

    #[test]
    fn some_rows_are_the_same_as_of_all(spans in sample::spans(40), keep in any::<u64>()) {
        prop_assume!(!spans.is_empty());
        let (bytes, want) = encode(&spans);
        let block = SpanBlock::open(&bytes).unwrap();
        let origins = Origins::default().of_block(&block).unwrap();
        let rows: Vec<u32> = (0..want.len() as u32).filter(|row| keep >> (row % 64) & 1 == 1).collect();
        let some = block.spans(&rows, &Wanted::all(&block), &origins).unwrap();
        let expected: Vec<Span> = rows.iter().map(|row| want[*row as usize].clone()).collect();
        prop_assert_eq!(some, expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(spans in sample::spans(20), at in any::<prop::sample::Index>(), byte in any::<u8>(), junk in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assume!(!spans.is_empty());
        let (mut bytes, _) = encode(&spans);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(survive(&bytes));
        drop(survive(&bytes[..at]));
        drop(survive(&junk));
    }
}

fn survive(bytes: &[u8]) -> Result<Vec<Span>, crate::block::BlockError> {
    let block = SpanBlock::open(bytes)?;
    let origins = Origins::default().of_block(&block)?;
    let rows: Vec<u32> = (0..block.rows() as u32).collect();
    let mut records = SpanBatch::default();
    let _ = block.records(&|_| true, &mut records);
    block.spans(&rows, &Wanted::all(&block), &origins)
}

#[test]
fn attributes_beyond_all_columns_and_a_name_given_twice_are_kept() {
    use reba_model::spans::{AttributeValue, Attributes};
    let many = (0..700).map(|i| (format!("key-{i:03}"), AttributeValue::Int(i)));
    let twice = [("key-000".to_owned(), AttributeValue::Int(-1))];
    let span = Span { attributes: Attributes(many.chain(twice).collect()), ..Span::default() };
    let (bytes, want) = encode(std::slice::from_ref(&span));
    let found = read(&bytes).unwrap();
    assert_eq!(found[0].attributes.get("key-000"), Some(&AttributeValue::Int(0)), "the first one counts");
    assert_eq!(sorted(found), sorted(want));
}
