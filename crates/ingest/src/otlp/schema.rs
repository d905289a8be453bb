//! The messages of OTLP as tables: number, name and kind of each field.
//!
//! The tables are what the JSON mapping needs ([`super::json`]) and what finds the place of a fault in a protobuf message
//! ([`locate`]). Decoding itself reads fields by number, without tables;
//! `opentelemetry/proto/*/v1/*.proto` 1.9 is where the numbers are from. Fields that nobody reads are left out: they are
//! passed over like unknown ones.

use super::MAX_DEPTH;
use crate::wire::{Fields, Wire, WireError, read_varint};

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name, for errors.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [FieldSpec],
}

/// A field of a message.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its number.
    pub number: u32,
    /// Its name as protobuf spells it; in JSON it is in lowerCamelCase.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes, base64 in JSON.
    Bytes,
    /// An id of a trace or a span, hexadecimal in JSON.
    Hex,
    /// A truth value.
    Bool,
    /// A signed or unsigned integer as a varint.
    Varint,
    /// A signed integer in zigzag form.
    Zigzag,
    /// An integer of eight bytes.
    Fixed64,
    /// An integer of four bytes.
    Fixed32,
    /// A double.
    Double,
    /// One of a list of names, numbered from 0, all of which begin with the prefix.
    Enum(&'static str, &'static [&'static str]),
    /// A message.
    Message(&'static Message),
    /// Several messages.
    Messages(&'static Message),
    /// Packed integers of eight bytes.
    PackedFixed64,
    /// Packed doubles.
    PackedDoubles,
    /// Packed unsigned varints.
    PackedVarints,
}

impl Message {
    /// The field with a number.
    pub fn field(&self, number: u32) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|f| f.number == number)
    }

    /// The field with a name in either spelling.
    pub fn named(&self, name: &str) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|f| f.name == name || is_camel_case_of(name, f.name))
    }
}

/// Whether `camel` is `snake` in lowerCamelCase.
fn is_camel_case_of(camel: &str, snake: &str) -> bool {
    let mut camel = camel.chars();
    let mut upper = false;
    for c in snake.chars() {
        if c == '_' {
            upper = true;
        } else if camel.next() != Some(if upper { c.to_ascii_uppercase() } else { c }) {
            return false;
        } else {
            upper = false;
        }
    }
    camel.next().is_none()
}

/// The first fault of a message: the byte at which its field begins, the message it is in, and what it is. `None` if the
/// message is sound.
pub fn locate(bytes: &[u8], message: &'static Message) -> Option<(usize, &'static str, WireError)> {
    locate_in(bytes, 0, message, 0)
}

fn locate_in(
    bytes: &[u8],
    base: usize,
    message: &'static Message,
    depth: usize,
) -> Option<(usize, &'static str, WireError)> {
    let mut fields = Fields::new(bytes);
    loop {
        let at = base + bytes.len() - fields.left();
        let field = match fields.next()? {
            Ok(field) => field,
            Err(e) => return Some((at, message.name, e)),
        };
        let Some(spec) = message.field(field.number) else { continue };
        let wrong = |e: WireError| Some((at, message.name, e));
        let inner = match (spec.kind, field.wire) {
            (Kind::Message(inner) | Kind::Messages(inner), Wire::Bytes(part)) => {
                // What is nested more deeply is not read either.
                let start = base + bytes.len() - fields.left() - part.len();
                (depth < MAX_DEPTH).then(|| locate_in(part, start, inner, depth + 1)).flatten()
            }
            (Kind::Text, _) => field.string().err().and_then(wrong),
            (Kind::Bytes | Kind::Hex | Kind::Message(_) | Kind::Messages(_), _) => {
                field.bytes().err().and_then(wrong)
            }
            (Kind::Bool | Kind::Varint | Kind::Zigzag | Kind::Enum(..), _) => {
                field.varint().err().and_then(wrong)
            }
            (Kind::Fixed64 | Kind::Double, _) => field.fixed64().err().and_then(wrong),
            (Kind::Fixed32, wire) => (!matches!(wire, Wire::Fixed32(_)))
                .then_some(WireError::Mismatch(field.number))
                .and_then(wrong),
            (Kind::PackedFixed64 | Kind::PackedDoubles, _) => {
                field.fixed64s(&mut Vec::new()).err().and_then(wrong)
            }
            (Kind::PackedVarints, wire) => packed_fault(wire, field.number).and_then(wrong),
        };
        if inner.is_some() {
            return inner;
        }
    }
}

fn packed_fault(wire: Wire<'_>, number: u32) -> Option<WireError> {
    match wire {
        Wire::Varint(_) => None,
        Wire::Bytes(mut b) => {
            while !b.is_empty() {
                if let Err(e) = read_varint(&mut b) {
                    return Some(e);
                }
            }
            None
        }
        _ => Some(WireError::Mismatch(number)),
    }
}

/// Writes a table: `name: Message { number field: kind, … }`.
macro_rules! messages {
    ($($(#[$doc:meta])* $constant:ident = $name:literal { $($number:literal $field:ident: $kind:expr),* $(,)? })*) => {
        $(
            $(#[$doc])*
            pub static $constant: Message = Message {
                name: $name,
                fields: &[$(FieldSpec { number: $number, name: stringify!($field), kind: $kind }),*],
            };
        )*
    };
}

/// Writes the tables of the three messages around what a request is about: the request, a resource's share of it, and a scope's.
macro_rules! requests {
    ($($request:ident = $name:literal { $by_resource:ident: $resource:ident = $resource_name:literal,
        $by_scope:ident: $scope:ident = $scope_name:literal, $items:ident: $item:ident })*) => {
        messages! {
            $(
                #[doc = concat!("`", $name, "`")]
                $request = $name { 1 $by_resource: Kind::Messages(&$resource) }
                #[doc = "What a request holds of one resource."]
                $resource = $resource_name {
                    1 resource: Kind::Message(&RESOURCE),
                    2 $by_scope: Kind::Messages(&$scope),
                    3 schema_url: Kind::Text,
                }
                #[doc = "What a request holds of one scope of a resource."]
                $scope = $scope_name {
                    1 scope: Kind::Message(&SCOPE),
                    2 $items: Kind::Messages(&$item),
                    3 schema_url: Kind::Text,
                }
            )*
        }
    };
}

requests! {
    METRICS_REQUEST = "ExportMetricsServiceRequest" {
        resource_metrics: RESOURCE_METRICS = "ResourceMetrics",
        scope_metrics: SCOPE_METRICS = "ScopeMetrics",
        metrics: METRIC
    }
    LOGS_REQUEST = "ExportLogsServiceRequest" {
        resource_logs: RESOURCE_LOGS = "ResourceLogs",
        scope_logs: SCOPE_LOGS = "ScopeLogs",
        log_records: LOG_RECORD
    }
    TRACES_REQUEST = "ExportTraceServiceRequest" {
        resource_spans: RESOURCE_SPANS = "ResourceSpans",
        scope_spans: SCOPE_SPANS = "ScopeSpans",
        spans: SPAN
    }
}

const SEVERITIES: Kind = Kind::Enum(
    "SEVERITY_NUMBER_",
    &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ],
);

const SPAN_KINDS: Kind =
    Kind::Enum("SPAN_KIND_", &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]);

const STATUS_CODES: Kind = Kind::Enum("STATUS_CODE_", &["UNSET", "OK", "ERROR"]);

const TEMPORALITIES: Kind = Kind::Enum("AGGREGATION_TEMPORALITY_", &["UNSPECIFIED", "DELTA", "CUMULATIVE"]);

messages! {
    /// Any value of an attribute.
    ANY_VALUE = "AnyValue" {
        1 string_value: Kind::Text,
        2 bool_value: Kind::Bool,
        3 int_value: Kind::Varint,
        4 double_value: Kind::Double,
        5 array_value: Kind::Message(&ARRAY_VALUE),
        6 kvlist_value: Kind::Message(&KEY_VALUE_LIST),
        7 bytes_value: Kind::Bytes,
    }
    /// Values in a row.
    ARRAY_VALUE = "ArrayValue" { 1 values: Kind::Messages(&ANY_VALUE) }
    /// Values by name.
    KEY_VALUE_LIST = "KeyValueList" { 1 values: Kind::Messages(&KEY_VALUE) }
    /// An attribute.
    KEY_VALUE = "KeyValue" { 1 key: Kind::Text, 2 value: Kind::Message(&ANY_VALUE) }
    /// What sends.
    RESOURCE = "Resource" { 1 attributes: Kind::Messages(&KEY_VALUE) }
    /// The library that measured.
    SCOPE = "InstrumentationScope" {
        1 name: Kind::Text,
        2 version: Kind::Text,
        3 attributes: Kind::Messages(&KEY_VALUE),
        4 dropped_attributes_count: Kind::Varint,
    }
    /// A log entry.
    LOG_RECORD = "LogRecord" {
        1 time_unix_nano: Kind::Fixed64,
        2 severity_number: SEVERITIES,
        3 severity_text: Kind::Text,
        5 body: Kind::Message(&ANY_VALUE),
        6 attributes: Kind::Messages(&KEY_VALUE),
        7 dropped_attributes_count: Kind::Varint,
        8 flags: Kind::Fixed32,
        9 trace_id: Kind::Hex,
        10 span_id: Kind::Hex,
        11 observed_time_unix_nano: Kind::Fixed64,
        12 event_name: Kind::Text,
    }
    /// A span.
    SPAN = "Span" {
        1 trace_id: Kind::Hex,
        2 span_id: Kind::Hex,
        3 trace_state: Kind::Text,
        4 parent_span_id: Kind::Hex,
        5 name: Kind::Text,
        6 kind: SPAN_KINDS,
        7 start_time_unix_nano: Kind::Fixed64,
        8 end_time_unix_nano: Kind::Fixed64,
        9 attributes: Kind::Messages(&KEY_VALUE),
        10 dropped_attributes_count: Kind::Varint,
        11 events: Kind::Messages(&SPAN_EVENT),
        12 dropped_events_count: Kind::Varint,
        13 links: Kind::Messages(&SPAN_LINK),
        14 dropped_links_count: Kind::Varint,
        15 status: Kind::Message(&SPAN_STATUS),
        16 flags: Kind::Fixed32,
    }
    /// Something that happened while a span ran.
    SPAN_EVENT = "Event" {
        1 time_unix_nano: Kind::Fixed64,
        2 name: Kind::Text,
        3 attributes: Kind::Messages(&KEY_VALUE),
    }
    /// Another span that a span has to do with.
    SPAN_LINK = "Link" {
        1 trace_id: Kind::Hex,
        2 span_id: Kind::Hex,
        3 trace_state: Kind::Text,
        4 attributes: Kind::Messages(&KEY_VALUE),
    }
    /// How a span ended.
    SPAN_STATUS = "Status" { 2 message: Kind::Text, 3 code: STATUS_CODES }
    /// A metric, whose data is one of five kinds.
    METRIC = "Metric" {
        1 name: Kind::Text,
        2 description: Kind::Text,
        3 unit: Kind::Text,
        5 gauge: Kind::Message(&GAUGE),
        7 sum: Kind::Message(&SUM),
        9 histogram: Kind::Message(&HISTOGRAM),
        10 exponential_histogram: Kind::Message(&EXPONENTIAL_HISTOGRAM),
        11 summary: Kind::Message(&SUMMARY),
    }
    /// Points of a gauge.
    GAUGE = "Gauge" { 1 data_points: Kind::Messages(&NUMBER_POINT) }
    /// Points of a sum.
    SUM = "Sum" {
        1 data_points: Kind::Messages(&NUMBER_POINT),
        2 aggregation_temporality: TEMPORALITIES,
        3 is_monotonic: Kind::Bool,
    }
    /// Points of a histogram with explicit bounds.
    HISTOGRAM = "Histogram" {
        1 data_points: Kind::Messages(&HISTOGRAM_POINT),
        2 aggregation_temporality: TEMPORALITIES,
    }
    /// Points of an exponential histogram.
    EXPONENTIAL_HISTOGRAM = "ExponentialHistogram" {
        1 data_points: Kind::Messages(&EXPONENTIAL_POINT),
        2 aggregation_temporality: TEMPORALITIES,
    }
    /// Points of a summary.
    SUMMARY = "Summary" { 1 data_points: Kind::Messages(&SUMMARY_POINT) }
    /// A number at a time.
    NUMBER_POINT = "NumberDataPoint" {
        2 start_time_unix_nano: Kind::Fixed64,
        3 time_unix_nano: Kind::Fixed64,
        4 as_double: Kind::Double,
        5 exemplars: Kind::Messages(&EXEMPLAR),
        6 as_int: Kind::Fixed64,
        7 attributes: Kind::Messages(&KEY_VALUE),
        8 flags: Kind::Varint,
    }
    /// A histogram with explicit bounds at a time.
    HISTOGRAM_POINT = "HistogramDataPoint" {
        2 start_time_unix_nano: Kind::Fixed64,
        3 time_unix_nano: Kind::Fixed64,
        4 count: Kind::Fixed64,
        5 sum: Kind::Double,
        6 bucket_counts: Kind::PackedFixed64,
        7 explicit_bounds: Kind::PackedDoubles,
        8 exemplars: Kind::Messages(&EXEMPLAR),
        9 attributes: Kind::Messages(&KEY_VALUE),
        10 flags: Kind::Varint,
    }
    /// An exponential histogram at a time.
    EXPONENTIAL_POINT = "ExponentialHistogramDataPoint" {
        1 attributes: Kind::Messages(&KEY_VALUE),
        2 start_time_unix_nano: Kind::Fixed64,
        3 time_unix_nano: Kind::Fixed64,
        4 count: Kind::Fixed64,
        5 sum: Kind::Double,
        6 scale: Kind::Zigzag,
        7 zero_count: Kind::Fixed64,
        8 positive: Kind::Message(&EXPONENTIAL_BUCKETS),
        9 negative: Kind::Message(&EXPONENTIAL_BUCKETS),
        10 flags: Kind::Varint,
        11 exemplars: Kind::Messages(&EXEMPLAR),
        14 zero_threshold: Kind::Double,
    }
    /// Buckets of one sign.
    EXPONENTIAL_BUCKETS = "Buckets" { 1 offset: Kind::Zigzag, 2 bucket_counts: Kind::PackedVarints }
    /// A summary at a time.
    SUMMARY_POINT = "SummaryDataPoint" {
        2 start_time_unix_nano: Kind::Fixed64,
        3 time_unix_nano: Kind::Fixed64,
        4 count: Kind::Fixed64,
        5 sum: Kind::Double,
        6 quantile_values: Kind::Messages(&QUANTILE),
        7 attributes: Kind::Messages(&KEY_VALUE),
        8 flags: Kind::Varint,
    }
    /// A quantile of a summary.
    QUANTILE = "ValueAtQuantile" { 1 quantile: Kind::Double, 2 value: Kind::Double }
    /// An example of a measurement.
    EXEMPLAR = "Exemplar" {
        2 time_unix_nano: Kind::Fixed64,
        3 as_double: Kind::Double,
        4 span_id: Kind::Hex,
        5 trace_id: Kind::Hex,
        6 as_int: Kind::Fixed64,
        7 filtered_attributes: Kind::Messages(&KEY_VALUE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes_field, put_fixed64_field};

    #[test]
    fn names_are_found_in_both_spellings() {
        let number = |name| NUMBER_POINT.named(name).map(|f| f.number);
        assert_eq!(number("timeUnixNano"), Some(3));
        assert_eq!(number("time_unix_nano"), Some(3));
        assert_eq!(number("timeunixnano"), None);
        assert_eq!(number("timeUnixNanos"), None);
        assert_eq!(number("flags"), Some(8));
    }

    #[test]
    fn a_fault_is_found_by_its_byte() {
        let mut attribute = Vec::new();
        put_bytes_field(1, b"\xff", &mut attribute);
        let mut resource = Vec::new();
        put_bytes_field(1, &attribute, &mut resource);
        let mut metrics = Vec::new();
        put_bytes_field(1, &resource, &mut metrics);
        let mut request = Vec::new();
        put_bytes_field(1, &[], &mut request);
        put_bytes_field(1, &metrics, &mut request);
        // Two bytes of the empty one, then two bytes of head for each of three messages.
        assert_eq!(locate(&request, &METRICS_REQUEST), Some((8, "KeyValue", WireError::Utf8(1))));
        request.push(0x0a);
        request.truncate(2);
        assert_eq!(locate(&request, &METRICS_REQUEST), None);
        put_fixed64_field(1, 5, &mut request);
        assert_eq!(
            locate(&request, &METRICS_REQUEST),
            Some((2, "ExportMetricsServiceRequest", WireError::Mismatch(1)))
        );
    }
}
