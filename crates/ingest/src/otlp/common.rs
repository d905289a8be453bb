//! What metrics, logs and traces of OTLP have in common: resources, scopes and attributes of any value.

use base64::Engine as _;
use reba_model::float::format_json;

use super::MAX_DEPTH;
use crate::wire::{Fields, WireError};

/// A value of any kind, as an attribute has it. Lists and maps are read when they are walked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// None.
    Empty,
    /// A text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// The bytes of an `ArrayValue`.
    List(&'a [u8]),
    /// The bytes of a `KeyValueList`.
    Map(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A name and a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attribute<'a> {
    /// The name.
    pub key: &'a str,
    /// The value.
    pub value: Value<'a>,
}

impl<'a> Attribute<'a> {
    /// Reads a `KeyValue`.
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Attribute { key: "", value: Value::Empty };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => out.key = field.string()?,
                2 => out.value = Value::read(field.bytes()?)?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> Value<'a> {
    /// Reads an `AnyValue`. Of several kinds the last one holds, as protobuf has it.
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Value::Empty;
        for field in Fields::new(message) {
            let field = field?;
            out = match field.number {
                1 => Value::Text(field.string()?),
                2 => Value::Bool(field.varint()? != 0),
                3 => Value::Int(field.varint()? as i64),
                4 => Value::Double(field.double()?),
                5 => Value::List(field.bytes()?),
                6 => Value::Map(field.bytes()?),
                7 => Value::Bytes(field.bytes()?),
                _ => out,
            };
        }
        Ok(out)
    }

    /// The value as a label has it: a text as it is, lists and maps as JSON, bytes as base64. An error if it is nested
    /// too deeply.
    pub fn to_text(self) -> Result<String, WireError> {
        Ok(match self {
            Value::Empty => String::new(),
            Value::Text(text) => text.to_owned(),
            Value::Bool(x) => x.to_string(),
            Value::Int(x) => x.to_string(),
            Value::Double(x) if x.is_finite() => without_zero(format_json(x)),
            Value::Double(x) => format!("json: unsupported value: {}", reba_model::float::format_g(x)),
            Value::Bytes(bytes) => base64(bytes),
            Value::List(_) | Value::Map(_) => {
                let mut out = String::new();
                // JSON has no number that is none: what holds one becomes the empty text, as upstream.
                if self.push_json(0, &mut out)? { out } else { String::new() }
            }
        })
    }

    /// Appends the value as JSON. `false`: it has none.
    fn push_json(self, depth: usize, out: &mut String) -> Result<bool, WireError> {
        match self {
            Value::Empty => out.push_str("null"),
            Value::Text(text) => push_quoted(text, out),
            Value::Bool(x) => out.push_str(if x { "true" } else { "false" }),
            Value::Int(x) => out.push_str(&x.to_string()),
            Value::Double(x) if x.is_finite() => out.push_str(&without_zero(format_json(x))),
            Value::Double(_) => return Ok(false),
            Value::Bytes(bytes) => push_quoted(&base64(bytes), out),
            Value::List(_) | Value::Map(_) if depth == MAX_DEPTH => return Err(WireError::Depth),
            Value::List(list) => {
                out.push('[');
                for (i, value) in values(list).enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    if !Value::read(value?)?.push_json(depth + 1, out)? {
                        return Ok(false);
                    }
                }
                out.push(']');
            }
            Value::Map(map) => {
                let mut sorted = std::collections::BTreeMap::new();
                for entry in values(map) {
                    let Attribute { key, value } = Attribute::read(entry?)?;
                    sorted.insert(key, value);
                }
                out.push('{');
                for (i, (key, value)) in sorted.into_iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    push_quoted(key, out);
                    out.push(':');
                    if !value.push_json(depth + 1, out)? {
                        return Ok(false);
                    }
                }
                out.push('}');
            }
        }
        Ok(true)
    }
}

/// The messages in an `ArrayValue`, a `KeyValueList` or a `Resource`: all of field 1.
pub fn values(message: &[u8]) -> impl Iterator<Item = Result<&[u8], WireError>> {
    submessages(message, 1)
}

/// The messages in a repeated field.
pub fn submessages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.bytes()),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    })
}

/// The library that measured, logged or traced.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scope<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The `InstrumentationScope`, whose field 3 are its attributes.
    pub message: &'a [u8],
}

impl<'a> Scope<'a> {
    /// Reads an `InstrumentationScope`.
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Scope { message, ..Scope::default() };
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                1 => out.name = field.string()?,
                2 => out.version = field.string()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

/// Appends lower-case hexadecimal digits.
pub fn push_hex(bytes: &[u8], out: &mut String) {
    for b in bytes {
        out.extend([b >> 4, b & 15].into_iter().filter_map(|d| char::from_digit(u32::from(d), 16)));
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Go writes the exponent of `1e-07` in JSON as `1e-7`.
fn without_zero(number: String) -> String {
    number.replace("e-0", "e-")
}

/// A text in JSON as Go writes it: what could end a script in a page is escaped, too.
fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::{super::json::to_protobuf, super::schema::ANY_VALUE, *};

    fn text(json: &str) -> String {
        let message = to_protobuf(json.as_bytes(), &ANY_VALUE).unwrap();
        Value::read(&message).unwrap().to_text().unwrap()
    }

    #[test]
    fn values_become_texts_as_upstream_writes_them() {
        let cases = [
            ("{}", ""),
            (r#"{"stringValue": "a<b"}"#, "a<b"),
            (r#"{"boolValue": true}"#, "true"),
            (r#"{"intValue": "-9007199254740993"}"#, "-9007199254740993"),
            (r#"{"doubleValue": 1.5}"#, "1.5"),
            (r#"{"doubleValue": 1e21}"#, "1e+21"),
            (r#"{"doubleValue": 1e-7}"#, "1e-7"),
            (r#"{"doubleValue": 100}"#, "100"),
            (r#"{"doubleValue": "NaN"}"#, "json: unsupported value: NaN"),
            (r#"{"bytesValue": "AQI="}"#, "AQI="),
            (
                r#"{"arrayValue": {"values": [{"stringValue": "<"}, {}, {"intValue": 1}]}}"#,
                r#"["\u003c",null,1]"#,
            ),
            (r#"{"arrayValue": {"values": [{"doubleValue": "NaN"}]}}"#, ""),
            (
                r#"{"kvlistValue": {"values": [{"key": "b", "value": {"boolValue": false}},
                    {"key": "a", "value": {"kvlistValue": {}}}]}}"#,
                r#"{"a":{},"b":false}"#,
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(text(json), expected, "{json}");
        }
    }

    #[test]
    fn values_nested_too_deeply_are_refused() {
        let mut message = Vec::new();
        for _ in 0..10_000 {
            let mut list = Vec::new();
            crate::wire::put_bytes_field(1, &message, &mut list);
            message.clear();
            crate::wire::put_bytes_field(5, &list, &mut message);
        }
        assert_eq!(Value::read(&message).unwrap().to_text(), Err(WireError::Depth));
    }
}
