//! The exposition parsers against upstream's test data and against arbitrary bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use reba_ingest::exposition::{Event, ParseError, TextParser, exemplar_labels, series_labels};
use reba_model::{LabelsBuilder, MetricType};

/// The folder of the conformance data, if it is there.
fn conformance() -> Option<PathBuf> {
    let given = std::env::var_os("REBA_CONFORMANCE").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let found = given.unwrap_or(beside);
    if found.is_dir() {
        return Some(found);
    }
    eprintln!("conformance data not found, skipped");
    None
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    samples: usize,
    exemplars: usize,
    types: usize,
    helps: usize,
}

fn read(mut parser: TextParser<'_>) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let mut kind = MetricType::Unknown;
    let mut labels = LabelsBuilder::new();
    while let Some(event) = parser.next_event().map_err(|e: ParseError| e.to_string())? {
        match event {
            Event::Type { kind: k, .. } => {
                kind = k;
                counts.types += 1;
            }
            Event::Help { .. } => counts.helps += 1,
            Event::Sample(s) => {
                counts.samples += 1;
                series_labels(s.series, kind, &mut labels).map_err(|e| e.to_string())?;
                assert!(!labels.value("__name__").is_empty());
                if let Some(e) = s.exemplar {
                    counts.exemplars += 1;
                    exemplar_labels(e.labels, 128, &mut labels).map_err(|e| e.to_string())?;
                }
            }
            Event::Unit { .. } | Event::Comment => {}
        }
    }
    Ok(counts)
}

#[test]
fn realistic_pages_are_read_whole() {
    let Some(folder) = conformance() else { return };
    let mut seen = 0;
    for file in std::fs::read_dir(folder.join("exposition")).unwrap() {
        let path = file.unwrap().path();
        let page = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let openmetrics = name.contains(".om.");
        let parser = if openmetrics { TextParser::openmetrics(&page) } else { TextParser::text(&page) };
        let counts = read(parser).unwrap_or_else(|e| panic!("{name}: {e}"));
        let lines =
            |prefix: &str| page.split(|b| *b == b'\n').filter(|l| l.starts_with(prefix.as_bytes())).count();
        let samples = page.split(|b| *b == b'\n').filter(|l| !l.is_empty() && l[0] != b'#').count();
        assert_eq!(counts.samples, samples, "{name}");
        assert_eq!((counts.types, counts.helps), (lines("# TYPE"), lines("# HELP")), "{name}");
        seen += 1;
    }
    assert!(seen >= 4);
}

/// Cases where upstream's parser accepts what the specification forbids, or the other way round: name and reason.
fn deviations() -> BTreeMap<&'static str, &'static str> {
    include_str!("openmetrics_deviations.txt")
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(|l| l.split_once(": ").expect("name: reason"))
        .collect()
}

#[test]
fn openmetrics_are_accepted_and_refused_as_upstream_does() {
    let Some(folder) = conformance() else { return };
    let deviations = deviations();
    let (mut passed, mut failed, mut used) = (0, Vec::new(), BTreeSet::new());
    let mut cases: Vec<_> =
        std::fs::read_dir(folder.join("openmetrics")).unwrap().map(|f| f.unwrap().path()).collect();
    cases.sort();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let wanted: serde_json::Value =
            serde_json::from_slice(&std::fs::read(case.join("test.json")).unwrap()).unwrap();
        let page = std::fs::read(case.join(wanted["file"].as_str().unwrap())).unwrap();
        let result = read(TextParser::openmetrics(&page));
        let expected = wanted["shouldParse"].as_bool().unwrap();
        if let Some(known) = deviations.get_key_value(name.as_str()) {
            used.insert(*known.0);
            // A deviation that is none any more must go from the list.
            if result.is_ok() == expected {
                failed.push(format!("{name}: listed, but agrees with the specification"));
            } else {
                passed += 1;
            }
        } else if result.is_ok() == expected {
            passed += 1;
        } else {
            failed.push(format!("{name}: should parse: {expected}, got {result:?}"));
        }
    }
    println!("openmetrics passed {passed} failed {} skipped 0", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(used.len(), deviations.len(), "every deviation is a case");
    assert_eq!(cases.len(), 211);
}

#[test]
fn text_pages_are_read_with_upstreams_laxity() {
    let page = b"# HELP a  two \\\\ blanks \\n\n# HELP nothing\n#comment\n# TYPE a counter\n\n a {b=\"c\" d=\"e\",} 1 1700\n\
        a 1\t2\nb-1\n{\"q\",x=\"y\"} +Inf\n#\n# HELP\nlast 3";
    assert_eq!(read(TextParser::text(page)), Ok(Counts { samples: 5, exemplars: 0, types: 1, helps: 2 }));
    let mut parser = TextParser::text(page);
    let Some(Event::Help { text, .. }) = parser.next_event().unwrap() else { panic!() };
    assert_eq!(text, " two \\ blanks \n");
}

#[test]
fn errors_name_line_and_byte() {
    for (page, line, at) in [
        ("a 1\nb{x=1} 2\n", 2, 8),
        ("a\n", 1, 1),
        ("a 1 -5\n", 1, 4),
        ("a 1\na 1e999\n", 2, 6),
        ("{x=\"y\"} 1\n", 1, 0),
        ("a{\"b\"} 1\n", 1, 2),
        ("# TYPE a  counter\n", 1, 8),
        ("a{,} 1\n", 1, 2),
    ] {
        let mut parser = TextParser::text(page.as_bytes());
        let error = loop {
            match parser.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{page} was accepted"),
                Err(e) => break e,
            }
        };
        assert_eq!((error.line, error.at), (line, at), "{page}: {error}");
    }
}

#[test]
fn openmetrics_exemplars_and_timestamps_are_read() {
    let page = b"# TYPE a counter\na_total{x=\"1\"} 5 1.5 # {trace_id=\"ab\"} 0.5 2.25\n# EOF\n";
    let mut parser = TextParser::openmetrics(page);
    parser.next_event().unwrap();
    let Some(Event::Sample(s)) = parser.next_event().unwrap() else { panic!() };
    assert_eq!((s.series, s.v, s.t), (&b"a_total{x=\"1\"}"[..], 5.0, Some(1500)));
    let e = s.exemplar.unwrap();
    assert_eq!((e.labels, e.v, e.t), (&b"{trace_id=\"ab\"}"[..], 0.5, Some(2250)));
    assert_eq!(parser.next_event(), Ok(None));
}

/// Bytes that look a little like a page.
fn pages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("a"),
        Just("{"),
        Just("}"),
        Just("b=\"c\""),
        Just("\"q\""),
        Just(","),
        Just(" "),
        Just("1"),
        Just("\n"),
        Just("# TYPE a counter\n"),
        Just("# HELP a b\n"),
        Just("# EOF"),
        Just(" # {"),
        Just("\\"),
        Just("\""),
        Just("\0"),
        Just("#"),
        Just("1.5"),
        Just("é"),
        Just("="),
        Just("\t"),
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..40).prop_map(|p| p.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_page_is_read_to_an_end(page in pages()) {
        for mut parser in [TextParser::text(&page), TextParser::openmetrics(&page)] {
            let mut last = 0;
            let mut labels = LabelsBuilder::new();
            while let Ok(Some(event)) = parser.next_event() {
                prop_assert!(parser.position() > last);
                last = parser.position();
                if let Event::Sample(s) = event {
                    let _ = series_labels(s.series, MetricType::Histogram, &mut labels);
                }
            }
        }
    }

    #[test]
    fn what_is_printed_is_read(name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,9}", value in any::<f64>(), label in ".{0,20}", quoted in ".{1,9}") {
        let escape = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let text = format!("{name}{{\"{}\"=\"{}\"}} {value:?}\n# EOF\n", escape(&quoted), escape(&label));
        for mut parser in [TextParser::text(text.as_bytes()), TextParser::openmetrics(text.as_bytes())] {
            let Some(Event::Sample(s)) = parser.next_event().unwrap() else { panic!() };
            prop_assert!(s.v == value || s.v.is_nan() && value.is_nan());
            let mut labels = LabelsBuilder::new();
            if quoted != "__name__" {
                series_labels(s.series, MetricType::Gauge, &mut labels).unwrap();
                prop_assert_eq!(labels.value("__name__"), name.as_str());
                prop_assert_eq!(labels.value(&quoted), label.as_str());
            }
        }
    }
}
