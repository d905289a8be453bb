//! Thrift's binary protocol: values with their types, structs of numbered fields.

use std::sync::Arc;

use reba_model::spans::{AttributeValue, Span, SpanId, TraceId};

use super::{Jaeger, Process, Reference, Tag};
use crate::traces::{TraceError, foreign::from_us};

/// How deep values may lie in each other; Jaeger's need five.
const MAX_DEPTH: usize = 16;

/// Most values of a message.
const MAX_VALUES: usize = 4 << 20;

/// A value.
#[derive(Debug)]
enum Value<'a> {
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Struct(Vec<(i16, Value<'a>)>),
    List(Vec<Value<'a>>),
    /// Maps, which Jaeger has not.
    Other,
}

/// Reads from the front of bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    values: usize,
}

type Result<T> = std::result::Result<T, TraceError>;

impl<'a> Reader<'a> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(TraceError::Malformed { offset: self.bytes.len() - self.rest.len(), reason: reason.into() })
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(n) else {
            return self.fail("thrift message ends inside a value");
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().or_else(|_| self.fail("thrift message ends inside a value"))
    }

    fn length(&mut self) -> Result<usize> {
        let length = i32::from_be_bytes(self.array()?);
        usize::try_from(length).or_else(|_| self.fail("a thrift length is negative"))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value<'a>> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return self
                .fail(format!("thrift values: more than {MAX_VALUES}, or nested in more than {MAX_DEPTH}"));
        }
        Ok(match kind {
            2 | 3 => Value::Int(i64::from(i8::from_be_bytes(self.array()?))),
            4 => Value::Double(f64::from_be_bytes(self.array()?)),
            6 => Value::Int(i64::from(i16::from_be_bytes(self.array()?))),
            8 => Value::Int(i64::from(i32::from_be_bytes(self.array()?))),
            10 => Value::Int(i64::from_be_bytes(self.array()?)),
            11 => {
                let length = self.length()?;
                Value::Bytes(self.take(length)?)
            }
            12 => Value::Struct(self.fields(depth)?),
            13 => {
                let [key, value] = self.array()?;
                for _ in 0..self.length()? {
                    self.value(key, depth + 1)?;
                    self.value(value, depth + 1)?;
                }
                Value::Other
            }
            14 | 15 => {
                let [kind] = self.array()?;
                let length = self.length()?;
                let mut all = Vec::new();
                for _ in 0..length {
                    all.push(self.value(kind, depth + 1)?);
                }
                Value::List(all)
            }
            kind => return self.fail(format!("there is no thrift type {kind}")),
        })
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<(i16, Value<'a>)>> {
        let mut all = Vec::new();
        loop {
            let [kind] = self.array()?;
            if kind == 0 {
                return Ok(all);
            }
            let number = i16::from_be_bytes(self.array()?);
            all.push((number, self.value(kind, depth + 1)?));
        }
    }
}

/// Reads a `Batch`.
pub(in crate::traces) fn read(message: &[u8]) -> Result<Vec<Span>> {
    let mut reader = Reader { bytes: message, rest: message, values: 0 };
    let fields = reader.fields(0)?;
    let mut process = Process::default();
    for (number, value) in &fields {
        if let (1, Value::Struct(fields)) = (number, value) {
            process = read_process(fields);
        }
    }
    let resource = process.resource();
    let spans = fields.iter().filter(|(number, _)| *number == 2).flat_map(|(_, value)| structs(value));
    Ok(spans.map(|fields| read_span(fields).span(Arc::clone(&resource))).collect())
}

/// The structs of a list.
fn structs<'v, 'a>(list: &'v Value<'a>) -> impl Iterator<Item = &'v [(i16, Value<'a>)]> {
    let items = if let Value::List(items) = list { items.as_slice() } else { &[] };
    items.iter().filter_map(|item| match item {
        Value::Struct(fields) => Some(fields.as_slice()),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_process(fields: &[(i16, Value<'_>)]) -> Process {
    let mut process = Process::default();
    for (number, value) in fields {
        match (number, value) {
            (1, Value::Bytes(name)) => process.service = text(name),
            (2, list) => process.tags = structs(list).map(read_tag).collect(),
            _ => {}
        }
    }
    process
}

fn read_span(fields: &[(i16, Value<'_>)]) -> Jaeger {
    let (mut span, mut low, mut high) = (Jaeger::default(), 0, 0);
    for (number, value) in fields {
        match (number, value) {
            (1, Value::Int(id)) => low = *id,
            (2, Value::Int(id)) => high = *id,
            (3, Value::Int(id)) => span.span_id = SpanId(id.to_be_bytes()),
            (4, Value::Int(id)) => span.parent_id = SpanId(id.to_be_bytes()),
            (5, Value::Bytes(name)) => span.name = text(name),
            (6, list) => span.references = structs(list).map(read_reference).collect(),
            (8, Value::Int(us)) => span.start_ns = from_us(*us),
            (9, Value::Int(us)) => span.duration_ns = from_us(*us),
            (10, list) => span.tags = structs(list).map(read_tag).collect(),
            (11, list) => span.logs = structs(list).map(read_log).collect(),
            _ => {}
        }
    }
    span.trace_id = trace_id(high, low);
    span
}

fn trace_id(high: i64, low: i64) -> TraceId {
    TraceId((u128::from(high as u64) << 64 | u128::from(low as u64)).to_be_bytes())
}

fn read_reference(fields: &[(i16, Value<'_>)]) -> Reference {
    let (mut reference, mut low, mut high) = (Reference::default(), 0, 0);
    for (number, value) in fields {
        match (number, value) {
            (1, Value::Int(kind)) => reference.follows = *kind == 1,
            (2, Value::Int(id)) => low = *id,
            (3, Value::Int(id)) => high = *id,
            (4, Value::Int(id)) => reference.span_id = SpanId(id.to_be_bytes()),
            _ => {}
        }
    }
    reference.trace_id = trace_id(high, low);
    reference
}

fn read_log(fields: &[(i16, Value<'_>)]) -> (i64, Vec<Tag>) {
    let (mut ns, mut tags) = (0, Vec::new());
    for (number, value) in fields {
        match (number, value) {
            (1, Value::Int(us)) => ns = from_us(*us),
            (2, list) => tags = structs(list).map(read_tag).collect(),
            _ => {}
        }
    }
    (ns, tags)
}

/// Some clients write a tag's fields of all types, and say by `vType` which one counts.
fn read_tag(fields: &[(i16, Value<'_>)]) -> Tag {
    let (mut key, mut kind, mut values) = (String::new(), None, Vec::new());
    for (number, field) in fields {
        let value = match (number, field) {
            (1, Value::Bytes(name)) => {
                key = text(name);
                continue;
            }
            (2, Value::Int(of)) => {
                kind = Some(*of);
                continue;
            }
            (3, Value::Bytes(bytes)) => AttributeValue::Str(text(bytes)),
            (4, Value::Double(x)) => AttributeValue::Float(*x),
            (5, Value::Int(x)) => AttributeValue::Bool(*x != 0),
            (6, Value::Int(x)) => AttributeValue::Int(*x),
            (7, Value::Bytes(bytes)) => AttributeValue::Bytes(bytes.to_vec()),
            _ => continue,
        };
        values.push((i64::from(*number) - 3, value));
    }
    // Without the one that is meant the last one is better than none.
    let meant = values.iter().position(|(of, _)| Some(*of) == kind).or(values.len().checked_sub(1));
    let value = meant.map(|at| values.swap_remove(at).1);
    (key, value.unwrap_or(AttributeValue::Str(String::new())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_model::spans::{SpanKind, SpanStatus};

    use super::*;

    fn field(kind: u8, number: i16, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &number.to_be_bytes(), value].concat()
    }

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn list(items: &[Vec<u8>]) -> Vec<u8> {
        [&[12][..], &(items.len() as i32).to_be_bytes(), &items.concat()].concat()
    }

    fn tag(key: &str, kind: u8, number: i16, value: &[u8]) -> Vec<u8> {
        [field(11, 1, &string(key)), field(kind, number, value), vec![0]].concat()
    }

    /// A batch of one span of `api`, whose tags say that it is a server's and failed.
    fn batch() -> Vec<u8> {
        let process = [field(11, 1, &string("api")), vec![0]].concat();
        let log = [
            field(10, 1, &7i64.to_be_bytes()),
            field(15, 2, &list(&[tag("event", 11, 3, &string("boom"))])),
            vec![0],
        ];
        let span = [
            field(10, 1, &2i64.to_be_bytes()),
            field(10, 2, &1i64.to_be_bytes()),
            field(10, 3, &3i64.to_be_bytes()),
            field(10, 4, &0i64.to_be_bytes()),
            field(11, 5, &string("GET /")),
            field(10, 8, &5i64.to_be_bytes()),
            field(10, 9, &2i64.to_be_bytes()),
            field(
                15,
                10,
                &list(&[
                    tag("span.kind", 11, 3, &string("server")),
                    tag("error", 2, 5, &[1]),
                    tag("n", 10, 6, &9i64.to_be_bytes()),
                ]),
            ),
            field(15, 11, &list(&[log.concat()])),
            vec![0],
        ];
        [field(12, 1, &process), field(15, 2, &list(&[span.concat()])), vec![0]].concat()
    }

    #[test]
    fn a_batch_becomes_spans() {
        let spans = read(&batch()).unwrap();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.trace_id.to_string(), "00000000000000010000000000000002");
        assert_eq!((span.name.as_str(), span.resource.service_name()), ("GET /", "api"));
        assert_eq!((span.kind, span.status), (SpanKind::Server, SpanStatus::Error));
        assert_eq!((span.start_ns, span.end_ns, span.parent_id.is_none()), (5_000, 7_000, true));
        assert_eq!(span.attributes.0, [("n".to_owned(), AttributeValue::Int(9))]);
        assert_eq!((span.events[0].name.as_str(), span.events[0].ns), ("boom", 7_000));
    }

    #[test]
    fn of_a_tag_with_values_of_all_types_the_one_it_names_counts() {
        let all = |kind: i32| {
            let fields = [
                field(11, 1, &string("k")),
                field(8, 2, &kind.to_be_bytes()),
                field(11, 3, &string("client")),
                field(4, 4, &2.5f64.to_be_bytes()),
                field(2, 5, &[1]),
                field(10, 6, &7i64.to_be_bytes()),
                field(11, 7, &string("b")),
                vec![0],
            ];
            let bytes = fields.concat();
            let mut reader = Reader { bytes: &bytes, rest: &bytes, values: 0 };
            read_tag(&reader.fields(0).unwrap()).1
        };
        let values = [
            AttributeValue::Str("client".to_owned()),
            AttributeValue::Float(2.5),
            AttributeValue::Bool(true),
            AttributeValue::Int(7),
            AttributeValue::Bytes(b"b".to_vec()),
        ];
        for (kind, value) in (0..).zip(values) {
            assert_eq!(all(kind), value);
        }
    }

    #[test]
    fn a_batch_cut_anywhere_is_refused_with_its_place() {
        let whole = batch();
        for cut in 0..whole.len() {
            let error = read(&whole[..cut]).unwrap_err().to_string();
            assert!(error.starts_with("byte "), "{error}");
        }
    }

    #[test]
    fn depth_and_numbers_have_limits() {
        let mut deep = Vec::new();
        for _ in 0..1000 {
            deep.extend(field(12, 1, &[]));
        }
        assert!(read(&deep).unwrap_err().to_string().contains("nested in more than 16"));
        // A list that says it has two billion structs.
        let liar = field(15, 2, &[12, 0x7f, 0xff, 0xff, 0xff]);
        assert!(read(&liar).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
