//! Scripts about LogQL: lines are loaded, queries evaluated, answers compared.
//!
//! ```text
//! clear
//! load
//!   {app="a"} "level=info" @ 20s [repeat every 20s for 4] [metadata k="v"]
//! eval instant at 60s count_over_time({app="a"}[1m])
//!   {app="a"} 3
//! eval range from 40s to 80s step 20s count_over_time({app="a"}[1m])
//!   {app="a"} 2 3 _
//! eval instant at 60s {
//!   expect fail msg: parse error
//! ```

use std::collections::BTreeMap;

use reba_model::{GoRegex, Labels, LogBatch, duration};

use crate::almost_equal;

/// When a query is evaluated, Unix nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTimes {
    /// At one time.
    Instant(i64),
    /// From, to, every.
    Range(i64, i64, i64),
}

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum LogAnswer {
    /// A number.
    Scalar(f64),
    /// Series with a value each, in the order of the answer.
    Vector(Vec<(Labels, f64)>),
    /// Series with values and their times, Unix nanoseconds.
    Matrix(Vec<(Labels, Vec<(i64, f64)>)>),
}

/// What runs a script.
pub trait LogScriptEngine {
    /// Forgets everything.
    fn clear(&mut self);

    /// Takes lines.
    fn load(&mut self, batch: &LogBatch) -> Result<(), String>;

    /// Runs a query; an error is the text that a user would see.
    fn query(&mut self, query: &str, times: LogTimes) -> Result<LogAnswer, String>;
}

/// One evaluation of a script.
#[derive(Clone, Debug)]
pub struct LogCase {
    /// Its line, from 1.
    pub line: usize,
    /// Its query.
    pub query: String,
    /// Whether it passed.
    pub result: Result<(), String>,
}

struct Eval {
    line: usize,
    times: LogTimes,
    query: String,
    expected: Vec<String>,
}

/// Runs a script; an error is about the script itself.
pub fn run_log_script(text: &str, engine: &mut dyn LogScriptEngine) -> Result<Vec<LogCase>, String> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    engine.clear();
    while let Some((number, line)) = lines.next() {
        let fail = |why: String| format!("line {}: {why}", number + 1);
        let mut indented = Vec::new();
        while let Some((_, next)) = lines.next_if(|(_, next)| {
            next.starts_with([' ', '\t']) || (!indented.is_empty() && next.starts_with('#'))
        }) {
            let next = next.trim();
            if !next.is_empty() && !next.starts_with('#') {
                indented.push(next.to_owned());
            }
        }
        match line.trim_end() {
            "" => {}
            line if line.starts_with('#') => {}
            "clear" => engine.clear(),
            "load" => {
                for entry in &indented {
                    let batch = parse_entry(entry).map_err(fail)?;
                    engine.load(&batch).map_err(fail)?;
                }
            }
            line => {
                let (times, query) = parse_eval(line).map_err(fail)?;
                let eval = Eval { line: number + 1, times, query, expected: indented };
                let result = check(&eval, engine);
                cases.push(LogCase { line: eval.line, query: eval.query, result });
            }
        }
    }
    Ok(cases)
}

/// `20s`, `100ms`
fn nanos(text: &str) -> Result<i64, String> {
    duration::parse(text).map(|ms| ms * 1_000_000).map_err(|e| format!("{e}: {text:?}"))
}

fn parse_eval(line: &str) -> Result<(LogTimes, String), String> {
    let bad = || format!("not a command: {line}");
    if let Some(rest) = line.strip_prefix("eval instant at ") {
        let (at, query) = rest.split_once(' ').ok_or_else(bad)?;
        return Ok((LogTimes::Instant(nanos(at)?), query.trim().to_owned()));
    }
    let rest = line.strip_prefix("eval range from ").ok_or_else(bad)?;
    let (from, rest) = rest.split_once(" to ").ok_or_else(bad)?;
    let (to, rest) = rest.split_once(" step ").ok_or_else(bad)?;
    let (step, query) = rest.split_once(' ').ok_or_else(bad)?;
    Ok((LogTimes::Range(nanos(from)?, nanos(to)?, nanos(step)?), query.trim().to_owned()))
}

/// `{labels} "line" @ 20s [repeat every 20s for 4] [metadata k="v"]`
fn parse_entry(text: &str) -> Result<LogBatch, String> {
    let (labels, rest) = parse_labels(text)?;
    let (line, rest) = parse_text(rest.trim_start())?;
    let rest =
        rest.trim_start().strip_prefix('@').ok_or("a line is followed by @ and its time")?.trim_start();
    let (at, mut rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let at = nanos(at)?;
    let (mut every, mut times) = (0, 1);
    let mut metadata = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix("[repeat every ") {
            let (inner, behind) = inner.split_once(']').ok_or("[ without ]")?;
            let (step, count) = inner.split_once(" for ").ok_or("repeat every … for …")?;
            every = nanos(step.trim())?;
            times = count.trim().parse().map_err(|_| format!("not a count: {count}"))?;
            rest = behind;
        } else if let Some(inner) = rest.strip_prefix("[metadata ") {
            let (pairs, behind) = parse_pairs(inner)?;
            metadata = pairs;
            rest = behind.strip_prefix(']').ok_or("[ without ]")?;
        } else if rest.is_empty() || rest.starts_with('#') {
            break;
        } else {
            return Err(format!("unexpected {rest:?}"));
        }
    }
    let mut batch = LogBatch::default();
    batch.begin_stream(Labels::from_pairs(labels));
    for i in 0..times {
        let line = line.replace("{{.i}}", &i.to_string());
        let pairs = metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        batch.push(at + every * i, &line, pairs).map_err(|e| e.to_string())?;
    }
    Ok(batch)
}

type Pairs = Vec<(String, String)>;

/// `{a="b", c="d"}` and what follows it.
fn parse_labels(text: &str) -> Result<(Pairs, &str), String> {
    let rest = text.strip_prefix('{').ok_or_else(|| format!("labels expected: {text}"))?;
    let (pairs, rest) = parse_pairs(rest)?;
    Ok((pairs, rest.strip_prefix('}').ok_or_else(|| format!("unclosed labels: {text}"))?))
}

/// `a="b", c="d" e="f"` up to what is no name.
fn parse_pairs(text: &str) -> Result<(Pairs, &str), String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic()) {
        let (name, behind) = rest.split_once('=').ok_or_else(|| format!("name without value: {rest}"))?;
        let (value, behind) = parse_text(behind)?;
        pairs.push((name.to_owned(), value));
        rest = behind.trim_start_matches([' ', ',']);
    }
    Ok((pairs, rest))
}

/// A text in double or back quotes, and what follows it.
fn parse_text(text: &str) -> Result<(String, &str), String> {
    if let Some(rest) = text.strip_prefix('`') {
        let (value, behind) = rest.split_once('`').ok_or("unclosed `")?;
        return Ok((value.to_owned(), behind));
    }
    let rest = text.strip_prefix('"').ok_or_else(|| format!("text expected: {text}"))?;
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &rest[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 't')) => '\t',
                Some((_, c)) => c,
                None => break,
            }),
            c => value.push(c),
        }
    }
    Err(format!("unclosed text: {text}"))
}

fn check(eval: &Eval, engine: &mut dyn LogScriptEngine) -> Result<(), String> {
    let answer = engine.query(&eval.query, eval.times);
    let mut ordered = false;
    let mut rows = Vec::new();
    for line in &eval.expected {
        // Upstream leaves values uncompared in some of its own set-ups; ours is none of those.
        if line.starts_with("skip ") {
            continue;
        }
        let Some(expectation) = line.strip_prefix("expect ") else {
            rows.push(line.as_str());
            continue;
        };
        match expectation.split_once(' ') {
            _ if expectation == "ordered" => ordered = true,
            _ if expectation == "empty" => {}
            _ if expectation == "fail" => return expect_failure(answer, |_| true, ""),
            Some(("fail", how)) => {
                if let Some(text) = how.strip_prefix("msg: ") {
                    return expect_failure(answer, |e| e.contains(text), text);
                }
                let regex = how.strip_prefix("regex: ").ok_or_else(|| format!("unknown: {line}"))?;
                let compiled = GoRegex::search(regex).map_err(|e| e.to_string())?;
                return expect_failure(answer, |e| compiled.is_match(e), regex);
            }
            _ => return Err(format!("unknown expectation: {line}")),
        }
    }
    compare(&answer?, &rows, eval.times, ordered)
}

fn expect_failure(
    answer: Result<LogAnswer, String>,
    fits: impl Fn(&str) -> bool,
    wanted: &str,
) -> Result<(), String> {
    match answer {
        Ok(answer) => Err(format!("should fail with {wanted:?}, but gives {answer:?}")),
        Err(e) if fits(&e) => Ok(()),
        Err(e) => Err(format!("should fail with {wanted:?}, but fails with {e:?}")),
    }
}

/// Labels, and a value a step.
type Row = (BTreeMap<String, String>, Vec<Option<f64>>);

fn compare(answer: &LogAnswer, expected: &[&str], times: LogTimes, ordered: bool) -> Result<(), String> {
    let mut expected: Vec<Row> = expected.iter().map(|row| parse_row(row)).collect::<Result<_, _>>()?;
    let mut actual = rows_of(answer, times)?;
    if !ordered {
        let key = |row: &Row| row.0.clone();
        expected.sort_by_key(key);
        actual.sort_by_key(key);
    }
    let same = |a: &Row, b: &Row| {
        let values = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => almost_equal(*a, *b),
            (a, b) => a.is_none() && b.is_none(),
        };
        a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(values)
    };
    if expected.len() == actual.len() && expected.iter().zip(&actual).all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    Err(format!("expected {expected:?}, got {actual:?}"))
}

fn rows_of(answer: &LogAnswer, times: LogTimes) -> Result<Vec<Row>, String> {
    let names = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Ok(match (answer, times) {
        (LogAnswer::Scalar(value), _) => vec![(BTreeMap::new(), vec![Some(*value)])],
        (LogAnswer::Vector(series), _) => series.iter().map(|(l, v)| (names(l), vec![Some(*v)])).collect(),
        (LogAnswer::Matrix(series), LogTimes::Range(from, to, step)) => series
            .iter()
            .map(|(labels, points)| {
                let at = |t| points.iter().find(|(time, _)| *time == t).map(|(_, v)| *v);
                let steps = (0..).map(|i| from + i * step).take_while(|t| *t <= to);
                (names(labels), steps.map(at).collect())
            })
            .collect(),
        (LogAnswer::Matrix(_), LogTimes::Instant(_)) => return Err("a matrix at one time".to_owned()),
    })
}

/// `{labels} 1 2 _ 3+1x4`, or a number alone.
fn parse_row(text: &str) -> Result<Row, String> {
    let (labels, values) = if text.starts_with('{') { parse_labels(text)? } else { (Vec::new(), text) };
    let mut row = Vec::new();
    for word in values.split_whitespace().take_while(|w| !w.starts_with('#')) {
        if word == "_" {
            row.push(None);
        } else if let Some((run, times)) = word.split_once('x') {
            let times: u32 = times.parse().map_err(|_| format!("bad run {word}"))?;
            let sign = run[1..].find(['+', '-']).map(|i| i + 1);
            let (first, step) = sign.map_or((run, "0"), |i| run.split_at(i));
            let (first, step) = (number(first)?, number(step)?);
            row.extend((0..=times).map(|i| Some(first + step * f64::from(i))));
        } else {
            row.push(Some(number(word)?));
        }
    }
    Ok((labels.into_iter().collect(), row))
}

fn number(text: &str) -> Result<f64, String> {
    reba_model::float::parse_go(text).ok_or_else(|| format!("not a number: {text}"))
}
