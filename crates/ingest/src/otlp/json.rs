//! OTLP in JSON: a message in JSON becomes the same message in protobuf, so that everything behind reads one form.
//!
//! The mapping is that of protobuf with OTLP's exceptions: ids are hexadecimal, enumerations are numbers. What other
//! writers do is taken, too: fields in snake_case, enumerations by name, 64-bit integers as numbers or texts, `null` for
//! what is not set. Unknown fields are passed over.

use std::fmt;

use base64::Engine as _;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    MAX_DEPTH,
    schema::{FieldSpec, Kind, Message},
};
use crate::wire::{put_bytes_field, put_fixed64_field, put_varint, put_varint_field};

/// Why a text is no message: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFault {
    /// Bytes before the place.
    pub offset: usize,
    /// What is wrong there.
    pub reason: String,
}

/// Turns a message in JSON into protobuf.
pub fn to_protobuf(text: &[u8], message: &'static Message) -> Result<Vec<u8>, JsonFault> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut json = serde_json::Deserializer::from_slice(text);
    let result =
        MessageSeed { message, depth: 0, out: &mut out }.deserialize(&mut json).and_then(|()| json.end());
    match result {
        Ok(()) => Ok(out),
        Err(e) => Err(fault(text, &e)),
    }
}

/// The fault of a text in JSON that the library found, at its byte.
pub(crate) fn fault(text: &[u8], error: &serde_json::Error) -> JsonFault {
    let before = text.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1));
    let offset = before.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let mut reason = error.to_string();
    if let Some(at) = reason.rfind(" at line ") {
        reason.truncate(at);
    }
    JsonFault { offset: offset.min(text.len()), reason }
}

struct MessageSeed<'o> {
    message: &'static Message,
    depth: usize,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.depth > 2 * MAX_DEPTH {
            return Err(de::Error::custom("values are nested too deeply"));
        }
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.message.named(&name) {
                Some(field) => {
                    map.next_value_seed(ValueSeed {
                        field,
                        depth: self.depth,
                        listed: false,
                        out: &mut *self.out,
                    })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The value of a field. In a list, `listed`, it is one of several.
struct ValueSeed<'o> {
    field: &'static FieldSpec,
    depth: usize,
    listed: bool,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl ValueSeed<'_> {
    fn is_repeated(&self) -> bool {
        matches!(
            self.field.kind,
            Kind::Messages(_) | Kind::PackedFixed64 | Kind::PackedDoubles | Kind::PackedVarints
        )
    }

    /// An integer, whatever its sign.
    fn integer<E: de::Error>(self, x: i128) -> Result<(), E> {
        let number = self.field.number;
        let wide = |x: i128| -> Result<u64, E> {
            match i64::try_from(x) {
                Ok(x) => Ok(x as u64),
                Err(_) => u64::try_from(x).map_err(|_| E::custom(format_args!("{x} has more than 64 bits"))),
            }
        };
        match self.field.kind {
            Kind::Varint | Kind::Enum(..) => put_varint_field(number, wide(x)?, self.out),
            Kind::Zigzag => {
                let x = i64::try_from(x).map_err(|_| E::custom(format_args!("{x} has more than 64 bits")))?;
                put_varint_field(number, (x << 1 ^ x >> 63) as u64, self.out);
            }
            Kind::Fixed64 => put_fixed64_field(number, wide(x)?, self.out),
            Kind::Fixed32 => {
                let x = u32::try_from(x).map_err(|_| E::custom(format_args!("{x} has more than 32 bits")))?;
                put_varint(u64::from(number) << 3 | 5, self.out);
                self.out.extend_from_slice(&x.to_le_bytes());
            }
            Kind::Double => put_fixed64_field(number, (x as f64).to_bits(), self.out),
            Kind::PackedDoubles if self.listed => self.out.extend_from_slice(&(x as f64).to_le_bytes()),
            Kind::PackedFixed64 if self.listed => self.out.extend_from_slice(&wide(x)?.to_le_bytes()),
            Kind::PackedVarints if self.listed => put_varint(wide(x)?, self.out),
            _ => return Err(E::invalid_type(de::Unexpected::Other("integer"), &self)),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            Kind::Text => "text",
            Kind::Bytes => "base64",
            Kind::Hex => "hexadecimal digits",
            Kind::Bool => "true or false",
            Kind::Message(m) | Kind::Messages(m) => m.name,
            Kind::Double | Kind::PackedDoubles => "a number",
            _ => "an integer",
        };
        write!(f, "{}{what} ({})", if self.is_repeated() { "a list of " } else { "" }, self.field.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, x: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) {
            return Err(E::invalid_type(de::Unexpected::Bool(x), &self));
        }
        put_varint_field(self.field.number, u64::from(x), self.out);
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, x: u64) -> Result<(), E> {
        self.integer(i128::from(x))
    }

    fn visit_i64<E: de::Error>(self, x: i64) -> Result<(), E> {
        self.integer(i128::from(x))
    }

    fn visit_f64<E: de::Error>(self, x: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => put_fixed64_field(self.field.number, x.to_bits(), self.out),
            Kind::PackedDoubles if self.listed => self.out.extend_from_slice(&x.to_le_bytes()),
            // 1e3 is an integer, too.
            _ if x.fract() == 0.0 && x.abs() < 1e18 => return self.integer(x as i128),
            _ => return Err(E::invalid_type(de::Unexpected::Float(x), &self)),
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, x: &str) -> Result<(), E> {
        let wrong = |this: &Self| E::invalid_value(de::Unexpected::Str(x), this);
        let number = self.field.number;
        match self.field.kind {
            Kind::Text => put_bytes_field(number, x.as_bytes(), self.out),
            Kind::Hex => put_bytes_field(number, &hex(x).ok_or_else(|| wrong(&self))?, self.out),
            Kind::Bytes => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(x).map_err(|_| wrong(&self))?;
                put_bytes_field(number, &bytes, self.out);
            }
            Kind::Enum(prefix, names) => {
                let short = x.strip_prefix(prefix);
                let at = short.and_then(|short| names.iter().position(|n| *n == short));
                put_varint_field(number, at.ok_or_else(|| wrong(&self))? as u64, self.out);
            }
            Kind::Double | Kind::PackedDoubles => {
                let v = match x {
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    "NaN" => f64::NAN,
                    _ => x.parse().map_err(|_| wrong(&self))?,
                };
                return self.visit_f64(v);
            }
            _ => {
                let v: i128 = x.parse().map_err(|_| wrong(&self))?;
                return self.integer(v);
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let message = match self.field.kind {
            Kind::Message(message) => message,
            Kind::Messages(message) if self.listed => message,
            _ => return Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
        };
        let mut part = Vec::new();
        let seed = MessageSeed { message, depth: self.depth + 1, out: &mut part };
        seed.deserialize(de::value::MapAccessDeserializer::new(map))?;
        put_bytes_field(self.field.number, &part, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.is_repeated() || self.listed {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let (field, depth) = (self.field, self.depth);
        if matches!(field.kind, Kind::Messages(_)) {
            while seq
                .next_element_seed(ValueSeed { field, depth, listed: true, out: &mut *self.out })?
                .is_some()
            {}
            return Ok(());
        }
        let mut packed = Vec::new();
        while seq.next_element_seed(ValueSeed { field, depth, listed: true, out: &mut packed })?.is_some() {}
        put_bytes_field(field.number, &packed, self.out);
        Ok(())
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digit = |b: u8| char::from(b).to_digit(16);
            Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::schema::METRICS_REQUEST, *};
    use crate::{otlp::schema, wire::Fields};

    fn fault_of(text: &str) -> JsonFault {
        to_protobuf(text.as_bytes(), &METRICS_REQUEST).unwrap_err()
    }

    #[test]
    fn numbers_names_and_ids_are_taken_in_every_spelling() {
        let a = r#"{"dataPoints": [{"timeUnixNano": "1500", "asDouble": 2.5, "attributes": [
            {"key": "k", "value": {"stringValue": "v"}}], "unknown": {"a": [1]}, "flags": 1, "exemplars": [
            {"traceId": "00FF", "asInt": "-3"}]}], "aggregationTemporality": 2, "isMonotonic": true}"#;
        let b = r#"{"data_points": [{"time_unix_nano": 1500, "as_double": "2.5", "attributes": [
            {"key": "k", "value": {"string_value": "v"}}], "start_time_unix_nano": null, "flags": "1", "exemplars": [
            {"trace_id": "00ff", "as_int": -3}]}],
            "aggregation_temporality": "AGGREGATION_TEMPORALITY_CUMULATIVE", "is_monotonic": true}"#;
        let a = to_protobuf(a.as_bytes(), &schema::SUM).unwrap();
        assert_eq!(a, to_protobuf(b.as_bytes(), &schema::SUM).unwrap());
        assert_eq!(schema::locate(&a, &schema::SUM), None);
        let fields: Vec<_> = Fields::new(&a).map(Result::unwrap).collect();
        assert_eq!(fields.iter().map(|f| f.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(fields[1].varint(), Ok(2));
    }

    #[test]
    fn lists_of_numbers_are_packed() {
        let text = r#"{"bucketCounts": ["1", 2, 3], "explicitBounds": [0.5, 1, "Infinity"]}"#;
        let out = to_protobuf(text.as_bytes(), &schema::HISTOGRAM_POINT).unwrap();
        let fields: Vec<_> = Fields::new(&out).map(Result::unwrap).collect();
        let (mut counts, mut bounds) = (Vec::new(), Vec::new());
        fields[0].fixed64s(&mut counts).unwrap();
        fields[1].doubles(&mut bounds).unwrap();
        assert_eq!((counts, bounds), (vec![1, 2, 3], vec![0.5, 1.0, f64::INFINITY]));
        let text = r#"{"offset": -3, "bucketCounts": [300, 0]}"#;
        let out = to_protobuf(text.as_bytes(), &schema::EXPONENTIAL_BUCKETS).unwrap();
        assert_eq!(out, [0x08, 5, 0x12, 3, 0xac, 2, 0]);
    }

    #[test]
    fn a_fault_has_its_place() {
        let text = "{\"resourceMetrics\": [\n  {\"resource\": 5}]}";
        let fault = fault_of(text);
        assert!(fault.reason.contains("expected Resource (resource)"), "{fault:?}");
        assert!((34..=39).contains(&fault.offset), "{fault:?}");
        assert!(fault_of("{").reason.contains("EOF"));
        assert!(fault_of("[]").reason.contains("ExportMetricsServiceRequest"));
        assert!(fault_of("{} x").reason.contains("trailing"));
        assert!(fault_of(r#"{"resourceMetrics": [[{}]]}"#).reason.contains("sequence"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |n: usize| {
            let value = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(n), "]}}".repeat(n));
            to_protobuf(value.as_bytes(), &schema::ANY_VALUE)
        };
        assert!(deep(10).is_ok());
        assert!(deep(1000).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in r#"[\[\]{}":,0-9a-z]{0,60}"#) {
            let _ = to_protobuf(text.as_bytes(), &METRICS_REQUEST);
        }

        #[test]
        fn what_comes_out_is_sound(name in "[a-zA-Z]{1,12}", value in r#"(\[?(-?[0-9]{1,20}|"[a-f0-9]{0,6}"|true|null|\{\})\]?)"#) {
            let known = schema::NUMBER_POINT.fields.iter().map(|f| f.name).find(|n| n.len() == name.len());
            let text = format!("{{\"{}\":{value}}}", known.unwrap_or(&name));
            if let Ok(out) = to_protobuf(text.as_bytes(), &schema::NUMBER_POINT) {
                prop_assert_eq!(schema::locate(&out, &schema::NUMBER_POINT), None, "{}", text);
            }
        }
    }
}
