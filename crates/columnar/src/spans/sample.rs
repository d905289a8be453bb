//! Spans for tests.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::sync::Arc;

use proptest::prelude::*;
use reba_model::spans::{
    AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanBatch, SpanEvent, SpanExtra,
    SpanId, SpanKind, SpanLink, SpanStatus, TraceId,
};

/// The spans of a batch on their own.
pub(super) fn of_batch(batch: &SpanBatch) -> Vec<Span> {
    let mut out = Vec::new();
    for group in batch.groups() {
        let (resource, scope) = group.origin().unwrap();
        let (resource, scope) = (Arc::new(resource), Arc::new(scope));
        out.extend(group.spans().map(|view| view.to_span(&resource, &scope)));
    }
    out
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(AttributeValue::Str),
        any::<i64>().prop_map(AttributeValue::Int),
        (-1e9f64..1e9).prop_map(AttributeValue::Float),
        any::<bool>().prop_map(AttributeValue::Bool),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(AttributeValue::Bytes),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(AttributeValue::Array),
            prop::collection::vec(("[a-c]{1,2}", inner), 0..3)
                .prop_map(|v| AttributeValue::Map(Attributes(v))),
        ]
    })
}

fn attributes(most: usize) -> impl Strategy<Value = Attributes> {
    prop::collection::btree_map("[a-f]{1,2}", value(), 0..most)
        .prop_map(|map| Attributes(map.into_iter().collect()))
}

fn event() -> impl Strategy<Value = SpanEvent> {
    (any::<i32>(), "[x-z]{0,2}", attributes(3)).prop_map(|(ns, name, attributes)| SpanEvent {
        ns: i64::from(ns),
        name,
        attributes,
    })
}

fn link() -> impl Strategy<Value = SpanLink> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), "[a-c]{0,2}", attributes(2)).prop_map(
        |(trace_id, span_id, trace_state, attributes)| SpanLink {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            trace_state,
            attributes,
        },
    )
}

fn extra() -> impl Strategy<Value = SpanExtra> {
    prop_oneof![
        Just(SpanExtra::default()),
        (any::<u32>(), any::<u32>()).prop_map(|(flags, dropped_links)| SpanExtra {
            flags,
            dropped_links,
            ..SpanExtra::default()
        })
    ]
}

/// Spans of a few traces, of a few sources; ids come again.
pub(super) fn spans(most: usize) -> impl Strategy<Value = Vec<Span>> {
    let head = (0u8..4, 0u8..12, 0u8..14, -50i64..50, -20i64..200, 0usize..6, 0usize..3, "[m-p]{0,2}");
    let texts = ("[a-b]{0,2}", "[a-b]{0,2}", 0usize..3);
    let details = (attributes(5), prop::collection::vec(event(), 0..3), prop::collection::vec(link(), 0..2));
    let one = (head, texts, details, extra()).prop_map(|(head, texts, details, extra)| {
        let (trace, id, parent, start, duration, kind, status, name) = head;
        let (status_message, trace_state, source) = texts;
        let (attributes, events, links) = details;
        let id_of = |n: u8| if n == 0 { SpanId::NONE } else { SpanId([0, 0, 0, 0, 0, 0, 1, n]) };
        let name_of = AttributeValue::Str(format!("service-{source}"));
        Span {
            trace_id: TraceId([trace; 16]),
            span_id: SpanId([0, 0, 0, 0, 0, 0, 1, id + 1]),
            parent_id: id_of(parent),
            trace_state,
            name,
            kind: SpanKind::ALL[kind],
            status: SpanStatus::ALL[status],
            status_message,
            start_ns: 1_700_000_000_000_000_000 + start,
            end_ns: 1_700_000_000_000_000_000 + start + duration,
            attributes,
            events,
            links,
            extra,
            resource: Arc::new(Resource {
                attributes: Attributes(vec![("service.name".to_owned(), name_of)]),
            }),
            scope: Arc::new(InstrumentationScope {
                name: format!("lib-{}", source / 2),
                ..InstrumentationScope::default()
            }),
        }
    });
    prop::collection::vec(one, 0..most)
}
