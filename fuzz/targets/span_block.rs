//! Blocks of spans. First byte even: any bytes, opened, read and searched in every way, without a panic. Odd: what is a record is
//! encoded as a block of one span, comes back with the same ids and texts, and is found by what it has.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_columnar::spans::block::{SpanBlock, SpanBlockEncoder, SpanRow};
use reba_model::{
    GoRegex,
    spans::{InstrumentationScope, Resource, SpanBatch, SpanView},
};
use reba_storage::{AttributeScope, Comparison, SpanCondition, SpanField, SpanNeed, SpanTest, SpanValue};

fn needs() -> Vec<SpanNeed> {
    let attribute = |scope| SpanField::Attribute { scope, name: "a".to_owned() };
    let fields = [
        SpanField::Name,
        SpanField::Kind,
        SpanField::Status,
        SpanField::StatusMessage,
        SpanField::Duration,
        SpanField::SpanId,
        SpanField::ParentId,
        SpanField::TraceId,
        SpanField::EventName,
        SpanField::LinkTraceId,
        SpanField::InstrumentationName,
        attribute(None),
        attribute(Some(AttributeScope::Event)),
        attribute(Some(AttributeScope::Link)),
    ];
    let tests = [
        SpanTest::Exists,
        SpanTest::Compare(Comparison::Equal, SpanValue::Str("a".to_owned())),
        SpanTest::Compare(Comparison::Greater, SpanValue::Int(5)),
        SpanTest::Compare(Comparison::NotEqual, SpanValue::Float(0.5)),
        SpanTest::Matches(Arc::new(GoRegex::search("[0-9]+a?").unwrap())),
    ];
    let one = |(field, test): (&SpanField, &SpanTest)| SpanNeed {
        conditions: vec![SpanCondition { field: field.clone(), test: test.clone() }],
        all: true,
    };
    fields.iter().flat_map(|field| tests.iter().map(move |test| (field, test))).map(one).collect()
}

fn read_every_way(bytes: &[u8]) {
    let Ok(block) = SpanBlock::open(bytes) else { return };
    let _ = block.all_spans();
    for need in needs() {
        let _ = block.rows_that_may_meet(&need);
    }
}

fn comes_back(record: &[u8]) {
    let Some(view) = SpanView::read(record).filter(SpanView::is_whole) else { return };
    let mut batch = SpanBatch::default();
    batch.begin_group(&Resource::default(), &InstrumentationScope::default());
    let Some(group) = batch.groups().next() else { return };
    let row = [SpanRow { view, source: group.source() }];
    let mut bytes = Vec::new();
    SpanBlockEncoder::default().encode(&[&row], &mut bytes);
    let block = SpanBlock::open(&bytes).unwrap();
    let spans = block.all_spans().unwrap();
    let [span] = &spans[..] else { panic!("one span was written") };
    assert_eq!((span.trace_id, span.span_id, span.parent_id), (view.trace_id, view.span_id, view.parent_id));
    assert_eq!((span.name.as_str(), span.start_ns, span.kind), (view.name, view.start_ns, view.kind));
    let attributes = view.attributes();
    assert_eq!(span.attributes.0.len(), attributes.iter().count());
    for (name, _) in attributes.iter() {
        let field = SpanField::Attribute { scope: Some(AttributeScope::Span), name: name.to_owned() };
        let need = SpanNeed { conditions: vec![SpanCondition { field, test: SpanTest::Exists }], all: true };
        assert_eq!(block.rows_that_may_meet(&need).unwrap(), [0]);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    if kind % 2 == 1 { comes_back(data) } else { read_every_way(data) }
});
