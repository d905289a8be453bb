//! Labels and annotations of alerts: texts that may be templates.

use std::sync::Arc;

use reba_model::Labels;
use reba_template::{
    Functions, MissingKey, Options, Param, Template, Value,
    prometheus::{self, ALERT_PREAMBLE, AlertData, Context, label_map},
};

use crate::{
    language::Language,
    querier::{RuleSample, SampleValue},
};

/// A text, parsed once.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// No template: printed as it is.
    Plain(String),
    /// A template with the preamble that declares `$labels` and the others.
    Template { source: String, template: Arc<Template> },
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Text::Plain(a), Text::Plain(b)) => a == b,
            (Text::Template { source: a, .. }, Text::Template { source: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// Parses the text of a label or annotation of `alert`; the error is the template engine's.
pub(crate) fn compile(alert: &str, text: &str, language: Language) -> Result<Text, String> {
    if !text.contains("{{") {
        return Ok(Text::Plain(text.to_owned()));
    }
    let mut functions = prometheus::functions(&Context::without_query("", 0));
    if language.has_lines() {
        add_lines(&mut functions, |_| Ok(Vec::new()));
    }
    let source = format!("{ALERT_PREAMBLE}{text}");
    let template = Template::parse(&template_name(alert), &source, &functions).map_err(|e| e.to_string())?;
    Ok(Text::Template { source, template: Arc::new(template) })
}

fn template_name(alert: &str) -> String {
    format!("__alert_{alert}")
}

impl Text {
    /// Whether it may ask for lines.
    pub fn wants_lines(&self) -> bool {
        matches!(self, Text::Template { source, .. } if source.contains("lines"))
    }
}

/// Most lines that one call of `lines` yields.
const MAX_LINES: i64 = 20;

/// Steps that one question for lines costs of a template's budget.
const LINES_COST: u64 = 1_000;

/// The newest lines behind the element with these labels, at most so many.
pub(crate) type Lines = Arc<dyn Fn(&Labels, usize) -> Result<Vec<String>, String> + Send + Sync>;

/// Adds our function `lines N`: texts of the newest lines behind an alert.
fn add_lines(
    functions: &mut Functions,
    newest: impl Fn(usize) -> Result<Vec<String>, String> + Send + Sync + 'static,
) {
    functions
        .add("lines", &[Param::Int], move |args| {
            let wanted = match args.first() {
                Some(Value::Int(n)) => (*n).clamp(0, MAX_LINES),
                _ => 0,
            };
            let lines = if wanted == 0 { Vec::new() } else { newest(wanted as usize)? };
            Ok(Value::list(lines.into_iter().map(Value::from).collect()))
        })
        .cost("lines", LINES_COST);
}

/// What all elements of one evaluation share.
#[derive(Clone)]
pub(crate) struct Expander {
    pub alert: String,
    pub functions: Functions,
    /// Where lines come from; `None` if no text of the rule asks for any.
    pub lines: Option<Lines>,
    pub external_labels: Value,
    pub external_url: Value,
}

/// How many texts were expanded, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expansions {
    pub total: u64,
    pub failed: u64,
}

impl Expander {
    /// The same with lines of one element; `None` if no text asks for any.
    pub fn with_lines_of(&self, labels: &Labels) -> Option<Self> {
        let (lines, labels) = (self.lines.clone()?, labels.clone());
        let mut own = self.clone();
        add_lines(&mut own.functions, move |limit| lines(&labels, limit));
        Some(own)
    }

    /// What the templates see of one element.
    pub fn data(&self, sample: &RuleSample) -> Value {
        Value::object(AlertData {
            labels: label_map(&sample.labels),
            external_labels: self.external_labels.clone(),
            external_url: self.external_url.clone(),
            value: sample_value(&sample.value),
        })
    }

    /// Expands the text; a failure becomes the text, as upstream has it.
    pub fn expand(&self, text: &Text, data: &Value, counts: &mut Expansions) -> String {
        counts.total += 1;
        let template = match text {
            Text::Plain(text) => return text.clone(),
            Text::Template { template, .. } => template,
        };
        let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
        template.execute(data, &self.functions, &options).unwrap_or_else(|e| {
            counts.failed += 1;
            let name = template_name(&self.alert);
            tracing::warn!(alert = %self.alert, error = %e, "expanding alert template failed");
            format!("<error expanding template: error executing template {name}: {e}>")
        })
    }
}

/// A sample's value as templates print it.
pub(crate) fn sample_value(value: &SampleValue) -> Value {
    match value {
        SampleValue::Float(v) => Value::Float(*v),
        SampleValue::Histogram(h) => Value::object(HistogramText(h.to_string())),
    }
}

struct HistogramText(String);

impl reba_template::Object for HistogramText {
    fn type_name(&self) -> &'static str {
        "*histogram.FloatHistogram"
    }

    fn text(&self) -> Option<String> {
        Some(self.0.clone())
    }
}
