//! Conditions and extracted values, against what LogQL's own pipeline makes of every row.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use reba_logql::pipeline::{LineState, Pipeline, Wanted};
use reba_model::{Column, GoRegex, TextColumn, float::parse_go};
use reba_storage::{Comparison, Extract, LineParser, MetadataWant, TextTest, ValueForm};

use super::{
    tests::{any_rows, encoded},
    *,
};

fn pipeline(parser: Option<LineParser>, names: &[&str]) -> Pipeline {
    let query = match parser {
        None => r#"{a="b"}"#,
        Some(LineParser::Json) => r#"{a="b"} | json"#,
        Some(LineParser::Logfmt) => r#"{a="b"} | logfmt"#,
    };
    let expr = reba_logql::syntax::parse_log(query).unwrap();
    let names: BTreeSet<String> = names.iter().map(|n| (*n).to_owned()).collect();
    Pipeline::compile(&expr.stages, Wanted::Names(names), 0).unwrap()
}

/// The label of a row, and whether the parser refuses its line.
fn label(stream: &Labels, row: &OwnedRow, parser: Option<LineParser>, name: &str) -> (Option<String>, bool) {
    let mut state = LineState::default();
    let metadata = row.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    pipeline(parser, &[name]).run(&mut state, stream, (row.ns, &row.line), metadata);
    let value = state.labels().find(|(n, ..)| *n == name).map(|(_, v, _)| v.to_owned());
    (value, state.error().is_some())
}

fn text_holds(test: &TextTest, text: &str) -> bool {
    match test {
        TextTest::Contains(t) => text.contains(t.as_str()),
        TextTest::ContainsFold(t) => text.to_ascii_lowercase().contains(&t.to_ascii_lowercase()),
        TextTest::NotContains(t) => !text.contains(t.as_str()),
        TextTest::Equals(t) => text == t,
        TextTest::NotEquals(t) => text != t,
        TextTest::Matches(r) => r.is_match(text),
        TextTest::NotMatches(r) => !r.is_match(text),
    }
}

fn holds(stream: &Labels, row: &OwnedRow, condition: &Condition) -> bool {
    match condition {
        Condition::Line(test) => text_holds(test, &row.line),
        Condition::Label { name, parser, test } => {
            text_holds(test, &label(stream, row, *parser, name).0.unwrap_or_default())
        }
        Condition::Number { name, parser, comparison, value } => {
            let (text, refused) = label(stream, row, *parser, name);
            let Some(text) = text else { return refused };
            let Some(n) = parse_go(&text) else { return true };
            refused
                || match comparison {
                    Comparison::Equal => n == *value,
                    Comparison::NotEqual => n != *value,
                    Comparison::Less => n < *value,
                    Comparison::LessOrEqual => n <= *value,
                    Comparison::Greater => n > *value,
                    Comparison::GreaterOrEqual => n >= *value,
                }
        }
        Condition::Any(any) => any.iter().any(|c| holds(stream, row, c)),
        Condition::All(all) => all.iter().all(|c| holds(stream, row, c)),
    }
}

/// Rows without two values of one name, of which stores and pipelines may take either.
fn rows() -> impl Strategy<Value = Vec<OwnedRow>> {
    any_rows(25).prop_map(|mut rows| {
        for row in &mut rows {
            row.metadata.sort();
            row.metadata.dedup_by(|a, b| a.0 == b.0);
        }
        rows
    })
}

fn parser() -> impl Strategy<Value = Option<LineParser>> {
    prop_oneof![Just(None), Just(Some(LineParser::Json)), Just(Some(LineParser::Logfmt))]
}

/// A text that often is part of one of the rows.
fn test() -> impl Strategy<Value = (prop::sample::Index, prop::sample::Index, usize, String, u8)> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1usize..14, "[a-z0-9=:\"]{1,3}", 0u8..8)
}

fn text_test(
    source: &str,
    (_, at, len, other, kind): &(prop::sample::Index, prop::sample::Index, usize, String, u8),
) -> TextTest {
    let chars: Vec<char> = source.chars().collect();
    let from = if chars.is_empty() { 0 } else { at.index(chars.len()) };
    let part: String = chars.iter().skip(from).take(*len).collect();
    let part = if part.is_empty() || *kind == 7 { other.clone() } else { part };
    match kind {
        0 | 1 | 7 => TextTest::Contains(part),
        2 => TextTest::NotContains(part),
        3 => TextTest::Equals(source.to_owned()),
        4 => TextTest::NotEquals(source.to_owned()),
        5 => TextTest::ContainsFold(part),
        _ => TextTest::Matches(Arc::new(GoRegex::search("[0-9]{2}").unwrap())),
    }
}

/// The index of the rows that a block gives for the conditions, by the numbers in `marks`.
fn kept(block: &Block<'_>, stream: &Labels, conditions: Vec<Condition>) -> Vec<(i64, String)> {
    let want = LogWant { conditions, ..LogWant::everything() };
    let found = block.read(stream, NanoRange::ALL, &want, &mut Reading::default()).unwrap();
    let Some(found) = found else { return Vec::new() };
    let lines = found.lines.unwrap();
    (0..lines.len()).map(|i| (found.times[i], lines.get(i).unwrap().to_owned())).collect()
}

fn check(
    rows: &[OwnedRow],
    stream: &Labels,
    condition: &Condition,
    exact: bool,
) -> Result<(), TestCaseError> {
    let bytes = encoded(rows);
    let block = Block::open(&bytes).unwrap();
    let expected: Vec<(i64, String)> =
        rows.iter().filter(|r| holds(stream, r, condition)).map(|r| (r.ns, r.line.clone())).collect();
    let kept = kept(&block, stream, vec![condition.clone()]);
    let mut rest = kept.iter();
    for row in &expected {
        prop_assert!(rest.any(|k| k == row), "{row:?} is missing for {condition:?}");
    }
    prop_assert!(!exact || kept.len() == expected.len(), "{condition:?} keeps {kept:?}");
    let may = block.may_match(stream, std::slice::from_ref(condition), &mut Reading::default());
    prop_assert!(may || expected.is_empty(), "{condition:?} may match {expected:?}");
    Ok(())
}

const NAMES: [&str; 10] = ["a", "b", "c", "ab", "a_x", "a_b", "t", "b_", "_a", "cc"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_line_that_meets_a_condition_is_left_out(rows in rows(), test in test()) {
        let source = &rows[test.0.index(rows.len())].line;
        let condition = Condition::Line(text_test(source, &test));
        let exact = matches!(condition, Condition::Line(TextTest::Contains(_) | TextTest::NotContains(_)));
        check(&rows, &Labels::empty(), &condition, exact)?;
    }

    #[test]
    fn no_row_whose_label_meets_a_condition_is_left_out(
        rows in rows(), test in test(), parser in parser(), name in 0usize..10, with_stream in any::<bool>(),
    ) {
        let stream = if with_stream { Labels::from_pairs([("a", "true"), ("t", "x1")]) } else { Labels::empty() };
        let name = NAMES[name];
        let row = &rows[test.0.index(rows.len())];
        let source = label(&stream, row, parser, name).0.unwrap_or_default();
        let condition = Condition::Label { name: name.to_owned(), parser, test: text_test(&source, &test) };
        check(&rows, &stream, &condition, false)?;
    }

    #[test]
    fn no_row_whose_number_meets_a_condition_is_left_out(
        rows in rows(), parser in parser(), name in 0usize..10, at in any::<prop::sample::Index>(), op in 0usize..6,
    ) {
        let name = NAMES[name];
        let text = label(&Labels::empty(), &rows[at.index(rows.len())], parser, name).0;
        let value = text.and_then(|t| parse_go(&t)).unwrap_or(7.5);
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let comparison = [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual][op];
        let number = Condition::Number { name: name.to_owned(), parser, comparison, value };
        check(&rows, &Labels::empty(), &number, false)?;
        let needle = Condition::Line(TextTest::Contains("12".to_owned()));
        check(&rows, &Labels::empty(), &Condition::Any(vec![number.clone(), needle.clone()]), false)?;
        check(&rows, &Labels::empty(), &Condition::All(vec![needle, number]), false)?;
    }

    #[test]
    fn extracted_values_are_those_of_the_parser(
        rows in rows(), json in any::<bool>(), errors in any::<bool>(), numbers in any::<bool>(),
    ) {
        let parser = if json { LineParser::Json } else { LineParser::Logfmt };
        let form = if numbers { ValueForm::Number } else { ValueForm::Text };
        let names = NAMES.iter().map(|n| ((*n).to_owned(), form)).collect();
        let want = LogWant {
            lines: false,
            metadata: MetadataWant::All,
            extract: Some(Extract { parser, names, errors }),
            conditions: Vec::new(),
        };
        let bytes = encoded(&rows);
        let block = Block::open(&bytes).unwrap();
        let read = block.read(&Labels::empty(), NanoRange::ALL, &want, &mut Reading::default()).unwrap().unwrap();
        let Some(extracted) = read.extracted else {
            prop_assert!(read.lines.is_some());
            return Ok(());
        };
        for (i, row) in rows.iter().enumerate() {
            let bare = OwnedRow { metadata: Vec::new(), ..row.clone() };
            for (name, column) in NAMES.iter().zip(&extracted) {
                let (expected, refused) = label(&Labels::empty(), &bare, Some(parser), name);
                prop_assert!(!(errors && refused));
                match column {
                    Column::Text(texts) => prop_assert_eq!(texts.get(i), expected.as_deref(), "{} of {:?}", name, row),
                    Column::Number { values, present } => {
                        let value = present.as_ref().is_none_or(|p| p[i]).then_some(values[i]);
                        prop_assert_eq!(value, expected.and_then(|e| parse_go(&e)), "{} of {:?}", name, row);
                    }
                }
            }
            for (name, column) in &read.metadata {
                let expected = row.metadata.iter().find(|(n, _)| **n == **name).map(|(_, v)| v.as_str());
                prop_assert_eq!(column.get(i), expected);
            }
        }
    }

    #[test]
    fn damaged_blocks_answer_without_a_panic(
        rows in any_rows(20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encoded(&rows);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let Ok(block) = Block::open(&bytes) else { return Ok(()) };
        let conditions = vec![
            Condition::Line(TextTest::Contains("user 1".to_owned())),
            Condition::Label { name: "a".to_owned(), parser: Some(LineParser::Json), test: TextTest::Equals("1".to_owned()) },
            Condition::Number { name: "b".to_owned(), parser: Some(LineParser::Json), comparison: Comparison::Less, value: 7.0 },
        ];
        let names = NAMES.iter().map(|n| ((*n).to_owned(), ValueForm::Text)).collect();
        let extract = Some(Extract { parser: LineParser::Json, names, errors: false });
        for conditions in [Vec::new(), conditions] {
            let _ = block.may_match(&Labels::empty(), &conditions, &mut Reading::default());
            let want = LogWant { lines: false, metadata: MetadataWant::All, extract: extract.clone(), conditions };
            if let Ok(Some(read)) = block.read(&Labels::empty(), NanoRange::ALL, &want, &mut Reading::default()) {
                for column in read.metadata.iter().map(|(_, c)| c).chain(&read.lines) {
                    assert!((0..column.len()).all(|i| column.get(i).is_none_or(|t| t.len() < 1 << 30)));
                }
            }
        }
    }
}

#[test]
fn a_line_that_the_parser_refuses_passes_a_comparison_whatever_its_labels_are() {
    let row = |line: &str, t: &str| OwnedRow {
        ns: 0,
        line: line.to_owned(),
        metadata: vec![("t".to_owned(), t.to_owned())],
    };
    let rows = [row("", "8"), row("{}", "8"), row("{}", "5"), row("{\"a\"", "9")];
    let parser = Some(LineParser::Json);
    for (name, stream) in [("t", Labels::empty()), ("s", Labels::from_pairs([("s", "8")]))] {
        let condition =
            Condition::Number { name: name.to_owned(), parser, comparison: Comparison::Less, value: 7.0 };
        check(&rows, &stream, &condition, true).unwrap();
    }
}

#[test]
fn a_column_of_few_texts_comes_with_codes() {
    let rows: Vec<OwnedRow> = (0..100)
        .map(|i| OwnedRow {
            ns: i,
            line: format!(r#"{{"level":"l{}","n":{i}}}"#, i % 3),
            metadata: Vec::new(),
        })
        .collect();
    let bytes = encoded(&rows);
    let names = vec![("level".to_owned(), ValueForm::Text), ("n".to_owned(), ValueForm::Number)];
    let extract = Some(Extract { parser: LineParser::Json, names, errors: true });
    let want =
        LogWant { lines: false, metadata: MetadataWant::Names(Vec::new()), extract, conditions: Vec::new() };
    let block = Block::open(&bytes).unwrap();
    let read = block.read(&Labels::empty(), NanoRange::new(10, 20), &want, &mut Reading::default());
    let read = read.unwrap().unwrap();
    assert!(read.lines.is_none());
    let columns = read.extracted.unwrap();
    assert!(matches!(&columns[0], Column::Text(TextColumn::Dict { values, .. }) if values.len() == 3));
    let numbers = (10..20).map(f64::from).collect();
    assert_eq!(columns[1], Column::Number { values: numbers, present: None });
}
