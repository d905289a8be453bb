//! Traces of a small shop: enough of everything that queries can ask about.

use std::sync::Arc;

use reba_model::spans::{
    AttributeValue, Attributes, InstrumentationScope, Resource, Span, SpanEvent, SpanId, SpanKind, SpanLink,
    SpanStatus, TraceId,
};

pub const T0: i64 = 1_700_000_000_000_000_000;
pub const SECOND: i64 = 1_000_000_000;

/// Numbers that look random and are the same every time (SplitMix64; Steele, Lea, Flood 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::Str(value.into())
}

fn attributes<const N: usize>(pairs: [(&str, AttributeValue); N]) -> Attributes {
    Attributes(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

const SERVICES: [&str; 4] = ["gateway", "shop", "payments", "users"];

/// One trace; of ten, one lacks its root, and one has a span that is its own parent.
pub fn trace(dice: &mut Dice, n: u64) -> Vec<Span> {
    let trace_id = TraceId((u128::from(n) << 64 | u128::from(dice.roll(1 << 40))).to_be_bytes());
    let start = T0 + n as i64 * SECOND / 4 - dice.roll(3 * SECOND as u64) as i64;
    let count = 1 + dice.roll(9);
    let mut spans: Vec<Span> = Vec::new();
    for i in 0..count {
        let service = SERVICES[dice.roll(4) as usize];
        let parent = match i {
            0 if n % 10 == 3 => SpanId([9; 8]),
            0 => SpanId::NONE,
            _ if n % 10 == 7 && i == 1 => SpanId((n * 100 + i + 1).to_be_bytes()),
            _ => spans[dice.roll(i) as usize].span_id,
        };
        let begin = start + dice.roll(SECOND as u64) as i64 * i64::from(i > 0);
        let code = [200, 200, 404, 500][dice.roll(4) as usize];
        let mut span = Span {
            trace_id,
            span_id: SpanId((n * 100 + i + 1).to_be_bytes()),
            parent_id: parent,
            name: ["GET /", "POST /buy", "SELECT", "charge"][dice.roll(4) as usize].to_owned(),
            kind: SpanKind::ALL[dice.roll(6) as usize],
            status: SpanStatus::ALL[dice.roll(3) as usize],
            start_ns: begin,
            // Clocks that were set make some end before they begin.
            end_ns: begin + if dice.roll(20) == 0 { -5000 } else { dice.roll(2 * SECOND as u64) as i64 },
            attributes: attributes([
                ("http.status_code", AttributeValue::Int(code)),
                ("user.id", text(format!("u{}", dice.roll(60)))),
                ("load", AttributeValue::Float(dice.roll(100) as f64 / 8.0)),
            ]),
            resource: Arc::new(Resource {
                attributes: attributes([
                    ("service.name", text(service)),
                    ("host.name", text(format!("host-{}", dice.roll(3)))),
                ]),
            }),
            scope: Arc::new(InstrumentationScope {
                name: format!("lib-{service}"),
                version: "1.0".to_owned(),
                attributes: Attributes::default(),
            }),
            ..Span::default()
        };
        extras(dice, &mut span);
        spans.push(span);
    }
    spans
}

fn extras(dice: &mut Dice, span: &mut Span) {
    let list = &mut span.attributes.0;
    match dice.roll(8) {
        0 => list.push(("cached".to_owned(), AttributeValue::Bool(dice.roll(2) == 0))),
        1 => list.push(("tags".to_owned(), AttributeValue::Array(vec![text("a"), text("b")]))),
        2 => list.push(("http.status_code".to_owned(), text("twice"))),
        3 => list.push(("size".to_owned(), AttributeValue::Int(dice.roll(1 << 40) as i64))),
        4 => list.push(("size".to_owned(), AttributeValue::Float(0.5))),
        5 => list.push(("host.name".to_owned(), text("span-host"))),
        6 => list.push(("map".to_owned(), AttributeValue::Map(attributes([("x", AttributeValue::Int(1))])))),
        _ => {}
    }
    if span.status == SpanStatus::Error {
        ["boom", "timeout", ""][dice.roll(3) as usize].clone_into(&mut span.status_message);
    }
    if dice.roll(4) == 0 {
        span.events.push(SpanEvent {
            ns: span.start_ns + 5_000_000,
            name: ["exception", "retry"][dice.roll(2) as usize].to_owned(),
            attributes: attributes([("exception.type", text("IOError")), ("try", AttributeValue::Int(2))]),
        });
    }
    if dice.roll(6) == 0 {
        span.links.push(SpanLink {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([8; 8]),
            trace_state: String::new(),
            attributes: attributes([("why", text("batch"))]),
        });
    }
}
