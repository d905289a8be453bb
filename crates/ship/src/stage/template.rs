//! The stages with Go templates: `template` and `replace`.

use std::collections::BTreeMap;

use reba_logql::pipeline::template_functions;
use reba_model::GoRegex;
use reba_template::{Functions, Limits, MissingKey, Options, Param, Template, Value as TemplateValue};

use super::{Flow, digest};
use crate::entry::{Entry, Value};

/// One template may not hold up a log.
const OPTIONS: Options = Options {
    missing_key: MissingKey::Invalid,
    limits: Limits { output_bytes: 16 << 20, steps: 100_000, depth: 50 },
};

/// A template with its functions.
#[derive(Debug)]
pub(crate) struct Text {
    template: Template,
    functions: Functions,
}

impl Text {
    pub fn parse(source: &str) -> Result<Self, String> {
        let functions = functions();
        let template = Template::parse("pipeline_template", source, &functions).map_err(|e| e.to_string())?;
        Ok(Text { template, functions })
    }

    fn execute(&self, values: &BTreeMap<String, TemplateValue>) -> Option<String> {
        let data = TemplateValue::map(values.clone());
        self.template.execute(&data, &self.functions, &OPTIONS).ok()
    }
}

/// Those of queries, and the two that hash with a salt.
fn functions() -> Functions {
    let mut table = template_functions();
    let text = |args: &[TemplateValue], i: usize| {
        args.get(i).and_then(TemplateValue::as_str).map(|s| s.to_string()).unwrap_or_default()
    };
    table
        .add("Hash", &[Param::Text, Param::Text], move |a| {
            Ok(TemplateValue::from(digest::hex(&digest::sha3_256(&salted(&text(a, 0), &text(a, 1))))))
        })
        .add("Sha2Hash", &[Param::Text, Param::Text], move |a| {
            Ok(TemplateValue::from(digest::hex(&digest::sha256(&salted(&text(a, 0), &text(a, 1))))))
        })
        .cost("Hash", 50)
        .cost("Sha2Hash", 50);
    table
}

fn salted(salt: &str, text: &str) -> Vec<u8> {
    [salt.as_bytes(), text.as_bytes()].concat()
}

/// What a template sees: every value that is there by its name, the line as `Entry`.
fn values(entry: &Entry) -> BTreeMap<String, TemplateValue> {
    let mut out: BTreeMap<String, TemplateValue> = entry
        .extracted
        .iter()
        .filter_map(|(name, value)| Some((name.to_owned(), TemplateValue::from(value.text()?))))
        .collect();
    out.insert("Entry".to_owned(), TemplateValue::from(entry.line.as_str()));
    out
}

/// `template`
#[derive(Debug)]
pub(crate) struct TemplateStage {
    pub source: String,
    pub template: Text,
}

impl TemplateStage {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let mut values = values(entry);
        if let Some(text) = entry.extracted.text(&self.source) {
            values.insert("Value".to_owned(), TemplateValue::from(text));
        }
        match self.template.execute(&values) {
            None => return Flow::Missed,
            Some(text) if text.is_empty() => entry.extracted.remove(&self.source),
            Some(text) => entry.extracted.set(&self.source, Value::Text(text)),
        }
        Flow::Next
    }
}

/// `replace`
#[derive(Debug)]
pub(crate) struct Replace {
    pub expression: GoRegex,
    pub source: Option<String>,
    pub replace: Text,
}

impl Replace {
    /// Every group of every match gives way to what the template makes of it; a group inside of one that did stays.
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let Some(text) = entry.source(self.source.as_deref()) else { return Flow::Missed };
        let mut values = values(entry);
        let (mut out, mut end, mut matched) = (String::new(), 0, false);
        let mut named: Vec<(String, String)> = Vec::new();
        self.expression.each_group(&text, |name, range| {
            matched = true;
            values.insert("Value".to_owned(), TemplateValue::from(&text[range.clone()]));
            let Some(replacement) = self.replace.execute(&values) else { return };
            if range.start >= end {
                out.push_str(&text[end..range.start]);
                out.push_str(&replacement);
                end = range.end;
            }
            if let Some(name) = name {
                named.push((name.to_owned(), replacement));
            }
        });
        if !matched {
            return Flow::Missed;
        }
        out.push_str(&text[end..]);
        match &self.source {
            None => entry.line = out,
            Some(source) => entry.extracted.set(source, Value::Text(out)),
        }
        for (name, value) in named {
            entry.extracted.set(&name, Value::Text(value));
        }
        Flow::Next
    }
}
