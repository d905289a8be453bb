//! Blocks of log rows. First byte even: any bytes, opened and read in every way, without a panic. Odd: lines (one a line) are
//! encoded, come back as they were, and conditions keep every row for which they hold.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use reba_columnar::block::{Block, Pairs, Reading, Rows, encode};
use reba_model::{GoRegex, Labels, NanoRange};
use reba_storage::{Comparison, Condition, Extract, LineParser, LogWant, TextTest, ValueForm};

fn conditions() -> Vec<Condition> {
    let label = |parser, test| Condition::Label { name: "a".to_owned(), parser, test };
    let regex = || TextTest::Matches(Arc::new(GoRegex::search("[0-9]+a?").unwrap()));
    let mut all = vec![
        Condition::Line(TextTest::Contains("1a".to_owned())),
        Condition::Line(TextTest::NotContains("ab".to_owned())),
        Condition::Line(regex()),
    ];
    for parser in [None, Some(LineParser::Json), Some(LineParser::Logfmt)] {
        all.push(label(parser, TextTest::Equals("ab".to_owned())));
        all.push(label(parser, TextTest::Contains("a".to_owned())));
        all.push(label(parser, regex()));
        let (name, comparison, value) = ("a".to_owned(), Comparison::Greater, 5.0);
        all.push(Condition::Number { name, parser, comparison, value });
    }
    all
}

fn read_every_way(bytes: &[u8]) {
    let Ok(block) = Block::open(bytes) else { return };
    let (stream, mut reading) = (Labels::empty(), Reading::default());
    let _ = block.rows(&mut reading);
    for condition in conditions() {
        let _ = block.may_match(&stream, std::slice::from_ref(&condition), &mut reading);
        for parser in [LineParser::Json, LineParser::Logfmt] {
            let names = vec![("a".to_owned(), ValueForm::Number), ("b".to_owned(), ValueForm::Text)];
            let extract = Some(Extract { parser, names, errors: true });
            let want = LogWant { conditions: vec![condition.clone()], extract, ..LogWant::everything() };
            let _ = block.read(&stream, NanoRange::new(0, 1 << 40), &want, &mut reading);
        }
    }
}

fn lines_come_back(text: &str) {
    let lines: Vec<&str> = text.split('\n').take(500).collect();
    let times: Vec<i64> = (0..lines.len() as i64).collect();
    let metadata: Vec<Pairs<'_>> = vec![&[]; lines.len()];
    let mut bytes = Vec::new();
    encode(&Rows { times: &times, lines: &lines, metadata: &metadata }, &mut bytes);
    let (block, mut reading) = (Block::open(&bytes).unwrap(), Reading::default());
    let rows = block.rows(&mut reading).unwrap();
    assert!(rows.iter().map(|r| r.line.as_str()).eq(lines.iter().copied()));
    // A needle from the middle of the text, so that it lies over borders of columns.
    let middle: String =
        text.chars().skip(text.chars().count() / 2).take(9).take_while(|c| *c != '\n').collect();
    if middle.is_empty() {
        return;
    }
    let holding: Vec<i64> = (0..).zip(&lines).filter(|(_, l)| l.contains(&middle)).map(|(i, _)| i).collect();
    let conditions = vec![Condition::Line(TextTest::Contains(middle))];
    let may = block.may_match(&Labels::empty(), &conditions, &mut reading);
    assert!(may || holding.is_empty());
    let want = LogWant { conditions, ..LogWant::everything() };
    let found = block.read(&Labels::empty(), NanoRange::ALL, &want, &mut reading).unwrap();
    let found = found.map(|b| b.times).unwrap_or_default();
    assert!(holding.iter().all(|i| found.contains(i)));
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match std::str::from_utf8(data) {
        Ok(text) if kind % 2 == 1 => lines_come_back(text),
        _ => read_every_way(data),
    }
});
