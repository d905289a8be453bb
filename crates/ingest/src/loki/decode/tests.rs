use proptest::prelude::*;
use reba_model::LogBatchFull;

use super::*;
use crate::wire::{put_bytes_field, put_varint_field};

type Row = (i64, String, Vec<(String, String)>);

/// Keeps what it is given.
#[derive(Debug, Default, PartialEq)]
struct Kept(Vec<(String, Vec<Row>)>);

impl PushSink for Kept {
    fn stream(&mut self, labels: LabelsText<'_>) {
        self.0.push((String::from_utf8(labels.as_bytes().to_vec()).unwrap(), Vec::new()));
    }

    fn entry(&mut self, ns: i64, line: &str, metadata: &Pairs) -> Result<(), LogBatchFull> {
        let metadata = metadata.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        self.0.last_mut().unwrap().1.push((ns, line.to_owned(), metadata));
        Ok(())
    }
}

fn json(text: &str) -> Result<Kept, String> {
    let mut kept = Kept::default();
    push_json(text, &mut kept).map(|()| kept).map_err(|e| e.to_string())
}

fn row(ns: i64, line: &str, metadata: &[(&str, &str)]) -> Row {
    let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
    (ns, line.to_owned(), metadata.iter().map(own).collect())
}

#[test]
fn a_push_in_json_is_handed_over_wherever_its_parts_stand() {
    let text = r#" {"x": [1, {"y": null}], "streams": [
        {"stream": {"app": "a\"b"}, "values": [["1", "one"], ["-2", "t\u00e9\ud83d\ude00\n\"x\"", {"k": "v\\"}], ["3", "", null, 5]]},
        {"values": [["4", "four"]], "more": {}, "stream": {"app": "b"}},
        {"stream": {}, "values": null}, {"stream": {"a": "c"}}]}
    "#;
    let Kept(streams) = json(text).unwrap();
    let first = vec![row(1, "one", &[]), row(-2, "té😀\n\"x\"", &[("k", "v\\")]), row(3, "", &[])];
    assert_eq!(
        streams,
        [
            (r#"{"app": "a\"b"}"#.to_owned(), first),
            (r#"{"app": "b"}"#.to_owned(), vec![row(4, "four", &[])]),
            ("{}".to_owned(), vec![]),
            (r#"{"a": "c"}"#.to_owned(), vec![]),
        ]
    );
    assert_eq!(json(r#"{"streams": []}"#), Ok(Kept::default()));
    assert_eq!(json("{\"streams\": null}\n"), Ok(Kept::default()));
    assert_eq!(json("{}"), Ok(Kept::default()));
    let mut pairs = Pairs::default();
    object_pairs(&streams[0].0, &mut pairs).unwrap();
    assert_eq!(pairs.iter().collect::<Vec<_>>(), [("app", "a\"b")]);
}

#[test]
fn a_fault_in_json_names_stream_entry_and_byte() {
    let entry = |entry: &str| {
        format!(
            r#"{{"streams":[{{"stream":{{}},"values":[]}},{{"stream":{{}},"values":[["1","x"],{entry}]}}]}}"#
        )
    };
    for (text, want) in [
        (
            entry(r#"[1,"x"]"#),
            "stream 1, entry 1: byte 72: expected a time: nanoseconds in quotes, found '1'",
        ),
        (entry(r#"["1.5","x"]"#), "stream 1, entry 1: byte 72: \"1.5\" is no time in nanoseconds"),
        (entry(r#"["1"]"#), "stream 1, entry 1: byte 75: expected ',' and a line, found ']'"),
        (entry(r#"["1",5]"#), "stream 1, entry 1: byte 76: expected a line in quotes, found '5'"),
        (
            entry(r#"["1","x",{"a":1}]"#),
            "stream 1, entry 1: byte 85: expected a value of structured metadata, in quotes, found '1'",
        ),
        (entry(r#"["1","x",[]]"#), "stream 1, entry 1: byte 80: expected an object, found '['"),
        (
            r#"{"streams":[{"stream":{"a":1}}]}"#.to_owned(),
            "stream 0: byte 27: expected the value of a label, in quotes, found '1'",
        ),
        (
            r#"{"streams":[{"stream":[]}]}"#.to_owned(),
            "stream 0: byte 22: expected an object with labels, found '['",
        ),
        (r#"{"streams":{}}"#.to_owned(), "byte 11: expected a list of streams, found '{'"),
        (r#"{"streams":[]} x"#.to_owned(), "byte 15: expected nothing more, found 'x'"),
        (r#"{"streams":[{}"#.to_owned(), "stream 1: byte 14: expected ',' or ']', found the end"),
        (r#"{"a":"\x"}"#.to_owned(), "byte 6: an unknown escape in a text"),
        (r#"{"a":"b"#.to_owned(), "byte 5: a text without an end"),
        (r#"{"a":nan}"#.to_owned(), "byte 5: \"nan\" is no value"),
        (String::new(), "byte 0: expected an object with streams, found the end"),
    ] {
        assert_eq!(json(&text), Err(want.to_owned()), "{text}");
    }
    assert!(json(&format!(r#"{{"a":{}"#, "[".repeat(100_000))).unwrap_err().contains("too deeply"));
}

#[test]
fn the_older_json_is_handed_over() {
    let text = r#"{"streams":[{"entries":[{"ts":"2018-12-18T08:28:06.801064-04:00","line":"a\tb"}],"labels":"{foo=\"bar\"}"}]}"#;
    let mut kept = Kept::default();
    push_legacy_json(text, &mut kept).unwrap();
    assert_eq!(kept.0, [("{foo=\"bar\"}".to_owned(), vec![row(1_545_136_086_801_064_000, "a\tb", &[])])]);
    let wrong = r#"{"streams":[{"labels":"{}","entries":[{"line":"x"}]}]}"#;
    let fault = push_legacy_json(wrong, &mut kept).unwrap_err().to_string();
    assert_eq!(fault, "stream 0, entry 0: byte 38: an entry without \"ts\"");
}

fn in_protobuf(streams: &[(String, Vec<Row>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, rows) in streams {
        let mut stream = Vec::new();
        put_bytes_field(1, labels.as_bytes(), &mut stream);
        for (ns, line, metadata) in rows {
            let (mut time, mut entry) = (Vec::new(), Vec::new());
            put_varint_field(1, ns.div_euclid(1_000_000_000) as u64, &mut time);
            put_varint_field(2, ns.rem_euclid(1_000_000_000) as u64, &mut time);
            put_bytes_field(1, &time, &mut entry);
            put_bytes_field(2, line.as_bytes(), &mut entry);
            for (name, value) in metadata {
                let mut pair = Vec::new();
                put_bytes_field(1, name.as_bytes(), &mut pair);
                put_bytes_field(2, value.as_bytes(), &mut pair);
                put_bytes_field(3, &pair, &mut entry);
            }
            put_varint_field(9, 7, &mut entry);
            put_bytes_field(2, &entry, &mut stream);
        }
        put_varint_field(3, 99, &mut stream);
        put_bytes_field(1, &stream, &mut out);
    }
    out
}

#[test]
fn a_fault_in_protobuf_names_stream_entry_and_byte() {
    let mut message = in_protobuf(&[("{a=\"b\"}".to_owned(), vec![row(1, "x", &[])])]);
    let whole = message.len();
    let mut stream = Vec::new();
    put_bytes_field(1, b"{}", &mut stream);
    put_bytes_field(2, b"\x12\x05ab", &mut stream);
    put_bytes_field(1, &stream, &mut message);
    let fault = push_protobuf(&message, &mut Kept::default()).unwrap_err();
    assert_eq!((fault.stream, fault.entry, fault.offset), (Some(1), Some(0), whole + 6));
    assert!(push_protobuf(b"\x0d", &mut Kept::default()).is_err());
}

#[test]
fn labels_behind_their_entries_are_found_and_bytes_that_are_no_text_marked() {
    let mut stream = Vec::new();
    put_bytes_field(2, b"\x12\x02a\xff", &mut stream);
    put_bytes_field(1, b"{}", &mut stream);
    let mut message = Vec::new();
    put_bytes_field(1, &stream, &mut message);
    let mut kept = Kept::default();
    push_protobuf(&message, &mut kept).unwrap();
    assert_eq!(kept.0, [("{}".to_owned(), vec![row(0, "a\u{fffd}", &[])])]);
}

fn streams() -> impl Strategy<Value = Vec<(String, Vec<Row>)>> {
    let pairs = proptest::collection::vec(("[a-z]{1,4}", ".{0,8}"), 0..3);
    let entry = (-1_000_000_000_000i64..i64::MAX / 2, ".{0,30}", pairs);
    let labels = "[a-z]{1,3}".prop_map(|v| format!("{{\"a\":\"{v}\"}}"));
    proptest::collection::vec((labels, proptest::collection::vec(entry, 0..4)), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_forms_come_back_as_they_were_written(streams in streams()) {
        let mut kept = Kept::default();
        push_protobuf(&in_protobuf(&streams), &mut kept).unwrap();
        prop_assert_eq!(&kept.0, &streams);
        let object = |pairs: &[(String, String)]| -> serde_json::Value {
            pairs.iter().map(|(n, v)| (n.clone(), serde_json::Value::from(v.as_str()))).collect::<serde_json::Map<_, _>>().into()
        };
        let unique = |rows: &Vec<Row>| rows.iter().all(|(.., m)| m.windows(2).all(|w| w[0].0 < w[1].0));
        if streams.iter().all(|(_, rows)| unique(rows)) {
            let list: Vec<_> = streams.iter().map(|(labels, rows)| {
                let rows: Vec<_> = rows.iter().map(|(ns, line, m)| serde_json::json!([ns.to_string(), line, object(m)])).collect();
                let labels: serde_json::Value = serde_json::from_str(labels).unwrap();
                serde_json::json!({ "stream": labels, "values": rows })
            }).collect();
            prop_assert_eq!(json(&serde_json::json!({ "streams": list }).to_string()).unwrap().0, streams);
        }
    }

    #[test]
    fn any_bytes_are_walked_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = push_protobuf(&bytes, &mut Kept::default());
    }

    #[test]
    fn any_text_is_answered_with_a_place_in_it(
        text in r#"\{?("streams"|"stream"|"values"|"labels"|"entries"|"ts"|[\[\]{}":,\\u0-9a-dé ]){0,60}"#,
    ) {
        let faults = [push_json(&text, &mut Kept::default()), push_legacy_json(&text, &mut Kept::default())];
        for fault in faults.into_iter().filter_map(Result::err) {
            prop_assert!(fault.offset <= text.len());
        }
    }
}
