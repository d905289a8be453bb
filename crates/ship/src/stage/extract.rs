//! The stages that take values out of a line: `json`, `logfmt`, `regex`.

use std::sync::Arc;

use reba_model::GoRegex;

use super::{
    Flow,
    jmespath::{Document, Expression},
};
use crate::entry::{Entry, Value};

/// The reason of an entry that `drop_malformed` drops.
const MALFORMED: &str = "json_parse_error";

/// `json`
#[derive(Debug)]
pub(crate) struct Json {
    /// Name of the value, and what it is set to.
    pub expressions: Vec<(String, Expression)>,
    pub source: Option<String>,
    pub drop_malformed: bool,
}

/// A value of JSON as stages know it.
pub(crate) fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => {
            n.as_i64().map(Value::Int).or_else(|| n.as_f64().map(Value::Float)).unwrap_or(Value::Nil)
        }
        serde_json::Value::String(s) => Value::Text(s.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// The object that a text is.
pub(crate) fn json_object(text: &str) -> Option<serde_json::Value> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.is_object().then_some(value)
}

impl Json {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let parsed = match &self.source {
            None => json_object(&entry.line),
            Some(source) => entry.extracted.text(source).and_then(|t| json_object(&t)),
        };
        let Some(object) = parsed else {
            return if self.drop_malformed { Flow::Drop(Arc::from(MALFORMED)) } else { Flow::Missed };
        };
        let document = Document::new(object);
        for (name, expression) in &self.expressions {
            if let Some(value) = expression.find(&document) {
                entry.extracted.set(name, value);
            }
        }
        Flow::Next
    }
}

/// `logfmt`
#[derive(Debug)]
pub(crate) struct Logfmt {
    /// Name of the value, and the key in the line.
    pub mapping: Vec<(String, String)>,
    pub source: Option<String>,
}

impl Logfmt {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let Some(text) = entry.source(self.source.as_deref()) else { return Flow::Missed };
        let mut found = false;
        for_each_pair(&text, |key, value| {
            for (name, _) in self.mapping.iter().filter(|(_, k)| k == key) {
                entry.extracted.set(name, Value::Text(value.clone()));
                found = true;
            }
        });
        if found { Flow::Next } else { Flow::Missed }
    }
}

/// Hands over the pairs of a logfmt line; a key without a value has an empty one.
pub(crate) fn for_each_pair(text: &str, mut each: impl FnMut(&str, String)) {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => logfmt_value(after),
            None => (String::new(), after),
        };
        if !key.is_empty() {
            each(key, value);
        }
        rest = after.trim_start();
    }
}

fn logfmt_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[i + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c)) => value.push(c),
                None => {}
            },
            c => value.push(c),
        }
    }
    (value, "")
}

/// `regex`
#[derive(Debug)]
pub(crate) struct Regex {
    pub expression: GoRegex,
    pub source: Option<String>,
}

impl Regex {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let Entry { line, extracted, .. } = entry;
        let from_source = self.source.as_deref().map(|s| extracted.text(s));
        let text = match &from_source {
            None => line.as_str(),
            Some(Some(text)) => text,
            Some(None) => return Flow::Missed,
        };
        // A group that took no part is an empty text, as in Go.
        let mut groups: Vec<(&str, &str)> =
            self.expression.named_groups().map(|(_, name)| (name, "")).collect();
        let matched = self.expression.extract(text, |name, value| {
            if let Some(group) = groups.iter_mut().find(|(n, _)| *n == name) {
                group.1 = value;
            }
        });
        if !matched {
            return Flow::Missed;
        }
        for (name, value) in groups {
            extracted.set(name, Value::Text(value.to_owned()));
        }
        Flow::Next
    }
}
