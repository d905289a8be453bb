//! The script language of upstream's `promqltest`: `load`, `clear`, `eval`, with the old and the new expectations.

use std::sync::Arc;

use reba_model::{
    Labels, duration,
    float::parse_go,
    notation::{SeriesValue, parse_series, parse_start_times, quoted},
};
use thiserror::Error;

use crate::nhcb;

/// Why a script cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// A command of a script.
#[derive(Clone, Debug)]
pub enum Command {
    /// Adds series.
    Load(Load),
    /// Forgets all series.
    Clear,
    /// Evaluates an expression and compares.
    Eval(Box<Eval>),
}

/// Series to be added.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The line of the command.
    pub line: usize,
    /// The series, in the order of the script.
    pub series: Vec<LoadedSeries>,
}

/// A series to be added.
#[derive(Clone, Debug)]
pub struct LoadedSeries {
    /// Its labels.
    pub labels: Labels,
    /// Times and values, rising; none is omitted.
    pub samples: Vec<(i64, SeriesValue)>,
    /// For some of the samples: when what they count began, by index.
    pub starts: Vec<(usize, i64)>,
}

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalTimes {
    /// At one time.
    Instant(i64),
    /// At every step.
    Range {
        /// First time, milliseconds.
        start: i64,
        /// Last time, milliseconds.
        end: i64,
        /// Milliseconds between two steps.
        step: i64,
    },
}

/// An evaluation and what it must give.
#[derive(Clone, Debug)]
pub struct Eval {
    /// The line of the command, from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// When.
    pub times: EvalTimes,
    /// What is expected of errors, annotations and order.
    pub expects: Vec<Expect>,
    /// Expected series in the order of the script.
    pub series: Vec<(Labels, Vec<SeriesValue>)>,
    /// An expected number.
    pub scalar: Option<f64>,
    /// An expected string.
    pub string: Option<String>,
    /// `expect range vector`: start, end and step of the samples of an instant query's range vector.
    pub range_vector: Option<(i64, i64, i64)>,
}

/// One expectation.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Of what.
    pub kind: ExpectKind,
    /// The text.
    pub text: ExpectText,
}

/// What an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectKind {
    /// The order of the result.
    Ordered,
    /// An error.
    Fail,
    /// A warning.
    Warn,
    /// No warning.
    NoWarn,
    /// An info.
    Info,
    /// No info.
    NoInfo,
}

/// How a text is expected to be.
#[derive(Clone, Debug)]
pub enum ExpectText {
    /// In any way.
    Any,
    /// Exactly so.
    Exact(String),
    /// Matching somewhere.
    Regex(Arc<reba_model::GoRegex>),
}

impl ExpectText {
    /// Whether `text` is as expected.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            ExpectText::Any => true,
            ExpectText::Exact(exact) => exact == text,
            ExpectText::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Eval {
    /// Whether there is an expectation of this kind.
    pub fn expects(&self, kind: ExpectKind) -> bool {
        self.expects.iter().any(|e| e.kind == kind)
    }
}

/// Reads a script.
pub fn parse_script(text: &str) -> Result<Vec<Command>, ScriptError> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut reader = Reader { lines, at: 0 };
    let mut commands = Vec::new();
    while let Some(line) = reader.next_line() {
        let word = line.split_whitespace().next().unwrap_or("");
        if word == "clear" {
            commands.push(Command::Clear);
        } else if word.starts_with("load") {
            commands.push(Command::Load(reader.load(line)?));
        } else if word.starts_with("eval") {
            commands.push(Command::Eval(Box::new(reader.eval(line)?)));
        } else if !word.is_empty() {
            return Err(reader.error(format!("invalid command {line:?}")));
        }
    }
    Ok(commands)
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    /// Behind the line that was read last.
    at: usize,
}

impl<'a> Reader<'a> {
    fn next_line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied()?;
        self.at += 1;
        Some(line)
    }

    /// The next line of the same command: a command ends at an empty line.
    fn next_of_command(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied().filter(|l| !l.is_empty())?;
        self.at += 1;
        Some(line)
    }

    fn error(&self, reason: impl ToString) -> ScriptError {
        ScriptError { line: self.at, reason: reason.to_string() }
    }

    fn duration(&self, text: &str) -> Result<i64, ScriptError> {
        duration::parse(text).map_err(|e| self.error(e))
    }

    fn load(&mut self, line: &str) -> Result<Load, ScriptError> {
        let (word, gap) =
            line.split_once(char::is_whitespace).ok_or_else(|| self.error("load without step"))?;
        let gap = self.duration(gap.trim())?;
        let mut load = Load { line: self.at, series: Vec::new() };
        let mut starts: Option<(Labels, Vec<Option<i64>>)> = None;
        while let Some(line) = self.next_of_command() {
            if let Some(parsed) = parse_start_times(line) {
                starts = Some(parsed.map_err(|e| self.error(e))?);
                continue;
            }
            let parsed = parse_series(line).map_err(|e| self.error(e))?;
            let mut series = LoadedSeries { labels: parsed.labels, samples: Vec::new(), starts: Vec::new() };
            let offsets = starts.take().map(|(_, offsets)| offsets).unwrap_or_default();
            for (i, value) in parsed.values.into_iter().enumerate() {
                if value == SeriesValue::Omitted {
                    continue;
                }
                let t = i as i64 * gap;
                if let Some(Some(offset)) = offsets.get(i) {
                    series.starts.push((series.samples.len(), t + offset));
                }
                series.samples.push((t, value));
            }
            load.series.push(series);
        }
        // Upstream keeps the last of several lines of one series.
        let all = std::mem::take(&mut load.series);
        for s in all {
            match load.series.iter_mut().find(|o| o.labels == s.labels) {
                Some(old) => *old = s,
                None => load.series.push(s),
            }
        }
        match word {
            "load" => {}
            "load_with_nhcb" => {
                let native = nhcb::convert(&load.series).map_err(|e| self.error(e))?;
                load.series.extend(native);
            }
            _ => return Err(self.error(format!("invalid command {word:?}"))),
        }
        Ok(load)
    }

    fn eval(&mut self, line: &str) -> Result<Eval, ScriptError> {
        let fail = || self.error("invalid evaluation");
        let (word, rest) = split_word(line);
        let old = word.strip_prefix("eval").ok_or_else(fail)?.trim_start_matches('_');
        let (mode, rest) = split_word(rest);
        let (times, expr) = match mode {
            "instant" => {
                let (at, rest) = split_word(rest.strip_prefix("at").ok_or_else(fail)?.trim_start());
                (EvalTimes::Instant(self.duration(at)?), rest)
            }
            "range" => {
                let mut rest = rest;
                let mut parts = [0i64; 3];
                for (slot, keyword) in parts.iter_mut().zip(["from", "to", "step"]) {
                    let (value, after) =
                        split_word(rest.strip_prefix(keyword).ok_or_else(fail)?.trim_start());
                    *slot = self.duration(value)?;
                    rest = after;
                }
                let [start, end, step] = parts;
                (EvalTimes::Range { start, end, step }, rest)
            }
            _ => return Err(fail()),
        };
        let mut eval = Eval {
            line: self.at,
            expr: expr.trim().to_owned(),
            times,
            expects: Vec::new(),
            series: Vec::new(),
            scalar: None,
            string: None,
            range_vector: None,
        };
        let kind = match old {
            "" => None,
            "fail" => Some(ExpectKind::Fail),
            "warn" => Some(ExpectKind::Warn),
            "info" => Some(ExpectKind::Info),
            "ordered" => Some(ExpectKind::Ordered),
            _ => return Err(self.error(format!("invalid command {word:?}"))),
        };
        eval.expects.extend(kind.map(|kind| Expect { kind, text: ExpectText::Any }));
        while let Some(line) = self.next_of_command() {
            if self.expectation(line, &mut eval)? {
                break;
            }
        }
        Ok(eval)
    }

    /// Reads a line below `eval`; true if no more lines belong to it.
    fn expectation(&self, line: &str, eval: &mut Eval) -> Result<bool, ScriptError> {
        let fail_with = |text: ExpectText| Expect { kind: ExpectKind::Fail, text };
        if let Some(text) = line.strip_prefix("expected_fail_message") {
            eval.expects.push(fail_with(ExpectText::Exact(text.trim().to_owned())));
            return Ok(true);
        }
        if let Some(text) = line.strip_prefix("expected_fail_regexp") {
            eval.expects.push(fail_with(self.regex(text)?));
            return Ok(true);
        }
        if let Some(rest) = line.strip_prefix("expect range vector") {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let ["from", from, "to", to, "step", step] = words[..] else {
                return Err(self.error("invalid range vector definition"));
            };
            eval.range_vector = Some((self.duration(from)?, self.duration(to)?, self.duration(step)?));
            return Ok(false);
        }
        if let Some(rest) = line.strip_prefix("expect string") {
            let (text, _) = quoted(rest.trim()).ok_or_else(|| self.error("invalid string literal"))?;
            eval.string = Some(text);
            return Ok(false);
        }
        if line == "expect" || line.starts_with("expect ") {
            eval.expects.push(self.expect(line)?);
            return Ok(false);
        }
        if let Some(v) = parse_number(line) {
            eval.scalar = Some(v);
            return Ok(true);
        }
        let parsed = parse_series(line).map_err(|e| self.error(e))?;
        match eval.series.iter_mut().find(|(labels, _)| *labels == parsed.labels) {
            Some(same) => same.1 = parsed.values,
            None => eval.series.push((parsed.labels, parsed.values)),
        }
        Ok(false)
    }

    fn expect(&self, line: &str) -> Result<Expect, ScriptError> {
        let (_, rest) = split_word(line);
        let (kind, rest) = split_word(rest);
        let kind = match kind {
            "ordered" => ExpectKind::Ordered,
            "fail" => ExpectKind::Fail,
            "warn" => ExpectKind::Warn,
            "no_warn" => ExpectKind::NoWarn,
            "info" => ExpectKind::Info,
            "no_info" => ExpectKind::NoInfo,
            _ => return Err(self.error(format!("invalid expectation {line:?}"))),
        };
        let text = match rest.split_once(':') {
            None => ExpectText::Any,
            Some(("msg", text)) => ExpectText::Exact(text.trim().to_owned()),
            Some(("regex", text)) => self.regex(text)?,
            Some(_) => return Err(self.error(format!("invalid expectation {line:?}"))),
        };
        Ok(Expect { kind, text })
    }

    fn regex(&self, text: &str) -> Result<ExpectText, ScriptError> {
        let regex = reba_model::GoRegex::search(text.trim()).map_err(|e| self.error(e))?;
        Ok(ExpectText::Regex(Arc::new(regex)))
    }
}

fn split_word(s: &str) -> (&str, &str) {
    let s = s.trim_start();
    s.split_once(char::is_whitespace).map_or((s, ""), |(word, rest)| (word, rest.trim_start()))
}

/// A line that is nothing but a number, integers in Go's notations included.
fn parse_number(s: &str) -> Option<f64> {
    let hex = s.strip_prefix("0x").and_then(|h| i64::from_str_radix(h, 16).ok()).map(|n| n as f64);
    hex.or_else(|| parse_go(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "
# A comment.
load 5m
  m{a=\"b\"} 1 2
  n _ 3

eval instant at 10m sum(m)
  expect no_warn
  expect info regex: not .* counter
  {} 2

eval_fail instant at 0s x
expected_fail_message no x

eval range from 0s to 10m step 5m m
  m{a=\"b\"} 1 2 _

eval instant at 1m 1 + 1
  2

clear
";

    #[test]
    fn a_script_is_read_command_by_command() {
        let commands = parse_script(SCRIPT).unwrap();
        assert_eq!(commands.len(), 6);
        let Command::Load(load) = &commands[0] else { panic!("no load") };
        let samples: Vec<_> = load.series.iter().map(|s| s.samples.clone()).collect();
        assert_eq!(samples[1], [(300_000, SeriesValue::Float(3.0))]);
        let Command::Eval(sum) = &commands[1] else { panic!("no eval") };
        assert!(sum.expects(ExpectKind::NoWarn) && sum.expects(ExpectKind::Info) && sum.scalar.is_none());
        let Command::Eval(fail) = &commands[2] else { panic!("no eval") };
        assert!(fail.expects.iter().any(|e| e.text.matches("no x") && !e.text.matches("no y")));
        let Command::Eval(range) = &commands[3] else { panic!("no eval") };
        assert_eq!(range.times, EvalTimes::Range { start: 0, end: 600_000, step: 300_000 });
        assert_eq!(range.series[0].1.len(), 3);
        let Command::Eval(number) = &commands[4] else { panic!("no eval") };
        assert_eq!(number.scalar, Some(2.0));
    }

    proptest::proptest! {
        #[test]
        fn any_script_is_read_or_refused(text in "((load|eval|clear|expect)?[ a-z0-9{}:\n]{0,20}){0,5}") {
            let _ = parse_script(&text);
        }
    }
}
