//! What labels and fields there are in logs that say nothing about themselves.

use std::collections::{BTreeMap, BTreeSet};

use reba_logql::{
    pipeline::{LineState, Pipeline, Wanted},
    syntax::{Stage, parse_log},
    units,
};
use reba_model::{Labels, Matcher, NanoRange, Tenant};

use super::{
    Direction, Line, LogError, LogQueryEngine, LogStats, demoted,
    info::is_hidden,
    limits,
    rows::{self, Selection},
    scans::Context,
};

/// A label, and how many values it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedLabel {
    /// The label.
    pub label: String,
    /// How many values it has.
    pub cardinality: usize,
}

/// What the values of a field look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// `true` and `false`
    Boolean,
    /// Durations.
    Duration,
    /// Sizes.
    Bytes,
    /// Anything else.
    String,
}

impl FieldType {
    /// As upstream names it.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Int => "int",
            FieldType::Float => "float",
            FieldType::Boolean => "boolean",
            FieldType::Duration => "duration",
            FieldType::Bytes => "bytes",
            FieldType::String => "string",
        }
    }

    fn of(value: &str) -> Self {
        if value.parse::<i64>().is_ok() {
            FieldType::Int
        } else if reba_model::float::parse_go(value).is_some() {
            FieldType::Float
        } else if matches!(value, "true" | "false") {
            FieldType::Boolean
        } else if units::go_duration(value).is_ok() {
            FieldType::Duration
        } else if units::byte_size(value).is_ok() {
            FieldType::Bytes
        } else {
            FieldType::String
        }
    }
}

/// A field of lines or of structured metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedField {
    /// The label that it would become.
    pub label: String,
    /// What its values look like.
    pub kind: FieldType,
    /// Its values, as far as they were looked at, at most [`MAX_VALUES`].
    pub values: BTreeSet<String>,
    /// The parsers that find it; none if it is metadata.
    pub parsers: Vec<&'static str>,
    /// The keys that lead to it in lines that are JSON, the outermost first; empty if it is not found there.
    pub json_path: Vec<String>,
}

/// The fields of some lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectedFields {
    /// By label.
    pub fields: Vec<DetectedField>,
    /// Lines that were looked at.
    pub lines: usize,
}

/// Most values of a field that are held.
pub const MAX_VALUES: usize = 1000;

/// A question about fields.
#[derive(Clone, Debug)]
pub struct FieldsQuery {
    /// Whose logs.
    pub tenant: Tenant,
    /// A log query.
    pub query: String,
    /// The range.
    pub range: NanoRange,
    /// Lines to look at, the newest.
    pub line_limit: usize,
    /// Most fields of the answer.
    pub limit: usize,
}

impl LogQueryEngine {
    /// The labels of the streams that match, and how many values each has.
    pub async fn detected_labels(
        &self,
        tenant: Tenant,
        matchers: Vec<Matcher>,
        range: NanoRange,
        now_ns: i64,
    ) -> Result<Vec<DetectedLabel>, LogError> {
        let question = move |context: Context<'_>| {
            let streams = context.streams(std::slice::from_ref(&matchers), range)?;
            let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (name, value) in streams.iter().flat_map(|s| s.labels.iter()) {
                values.entry(name).or_default().insert(value);
            }
            let shown = values.into_iter().filter(|(name, _)| !is_hidden(name));
            let label = |(name, values): (&str, BTreeSet<&str>)| DetectedLabel {
                label: name.to_owned(),
                cardinality: values.len(),
            };
            Ok(shown.map(label).collect())
        };
        self.ask(tenant, now_ns, question).await
    }

    /// The fields of the newest lines that a log query selects, and what their values look like.
    pub async fn detected_fields(&self, query: FieldsQuery, now_ns: i64) -> Result<DetectedFields, LogError> {
        let tenant = query.tenant.clone();
        self.ask(tenant, now_ns, move |context| fields(&query, context)).await
    }
}

fn fields(query: &FieldsQuery, context: Context<'_>) -> Result<DetectedFields, LogError> {
    let mut log = parse_log(&query.query)?;
    let limits = context.limits;
    limits::check_matchers(limits, &log.matchers)?;
    demoted::move_in_log(&mut log, &context.demoted());
    limits::check_entries(limits, query.line_limit)?;
    let range = limits::visible(limits, query.range, context.now_ns)?;
    let (limit, direction) = (query.line_limit, Direction::Backward);
    let selection = Selection { range, interval: 0, limit, direction };
    let lines = rows::answer(&log, selection, context, &mut LogStats::default())?;
    let mut detector = Detector::new()?;
    for line in &lines {
        detector.line(line);
    }
    let mut fields = detector.fields();
    fields.truncate(query.limit);
    Ok(DetectedFields { fields, lines: lines.len() })
}

/// A field while lines come in.
#[derive(Default)]
struct Found {
    kind: Option<FieldType>,
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
    json_path: Vec<String>,
}

struct Detector {
    json: Pipeline,
    logfmt: Pipeline,
    state: LineState,
    found: BTreeMap<String, Found>,
}

impl Detector {
    fn new() -> Result<Self, LogError> {
        let logfmt = Stage::Logfmt { strict: true, keep_empty: false, extractions: Vec::new() };
        Ok(Detector {
            json: Pipeline::compile(&[Stage::Json(Vec::new())], Wanted::All, 0)?,
            logfmt: Pipeline::compile(&[logfmt], Wanted::All, 0)?,
            state: LineState::default(),
            found: BTreeMap::new(),
        })
    }

    fn line(&mut self, line: &Line) {
        for (name, value) in line.labels.metadata.iter().chain(line.labels.parsed.iter()) {
            note(&mut self.found, name, value, None);
        }
        let parser = if line.text.trim_start().starts_with('{') { "json" } else { "logfmt" };
        let pipeline = if parser == "json" { &self.json } else { &self.logfmt };
        pipeline.run(&mut self.state, &Labels::empty(), (line.ns, &line.text), []);
        if self.state.error().is_some() {
            return;
        }
        // Words without a value are a sentence, not fields.
        let labels = self.state.labels().filter(|(_, value, _)| !value.is_empty());
        for (name, value, _) in labels {
            note(&mut self.found, name, value, Some(parser));
        }
        if parser == "json" {
            self.find_paths(&line.text);
        }
    }

    /// Looks in a line for the keys behind fields whose keys are not known yet.
    fn find_paths(&mut self, line: &str) {
        let unknown = |f: &Found| f.json_path.is_empty() && f.parsers.contains("json");
        if !self.found.values().any(unknown) {
            return;
        }
        let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) else { return };
        let found = &mut self.found;
        walk(&object, &mut Vec::new(), &mut |path| {
            let label = label_of(path);
            if let Some(field) = found.get_mut(&label).filter(|f| unknown(f)) {
                field.json_path = path.iter().map(|key| (*key).to_owned()).collect();
            }
        });
    }

    fn fields(self) -> Vec<DetectedField> {
        let field = |(label, found): (String, Found)| DetectedField {
            label,
            kind: found.kind.unwrap_or(FieldType::String),
            values: found.values,
            parsers: found.parsers.into_iter().collect(),
            json_path: found.json_path,
        };
        self.found.into_iter().map(field).collect()
    }
}

/// Calls `visit` with the keys that lead to each value of an object. (What is nested deeper than a hundred levels, the reader of
/// JSON has refused.)
fn walk<'a>(
    object: &'a serde_json::Map<String, serde_json::Value>,
    path: &mut Vec<&'a str>,
    visit: &mut dyn FnMut(&[&str]),
) {
    for (key, value) in object {
        path.push(key);
        match value {
            serde_json::Value::Object(inner) => walk(inner, path, visit),
            _ => visit(path),
        }
        path.pop();
    }
}

/// The label that the parser makes of a value behind these keys.
fn label_of(path: &[&str]) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut label: String = path.join("_").chars().map(word).collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

/// Most fields that are held.
const MAX_FIELDS: usize = 5000;

fn note(found: &mut BTreeMap<String, Found>, name: &str, value: &str, parser: Option<&'static str>) {
    if !found.contains_key(name) && found.len() == MAX_FIELDS {
        return;
    }
    let field = found.entry(name.to_owned()).or_default();
    field.parsers.extend(parser);
    let kind = FieldType::of(value);
    // Values of different kinds are texts, but for whole numbers among others and among sizes.
    field.kind = Some(match (field.kind, kind) {
        (None, kind) => kind,
        (Some(a), b) if a == b => a,
        (Some(FieldType::Int), FieldType::Float) | (Some(FieldType::Float), FieldType::Int) => {
            FieldType::Float
        }
        // A size may do without its unit.
        (Some(FieldType::Int), FieldType::Bytes) | (Some(FieldType::Bytes), FieldType::Int) => {
            FieldType::Bytes
        }
        _ => FieldType::String,
    });
    if field.values.len() < MAX_VALUES {
        field.values.insert(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_nested_keys_is_made_as_the_parser_makes_it() {
        let value: serde_json::Value = serde_json::from_str(r#"{"a-b": {"c d": 1}, "1x": 2}"#).unwrap();
        let mut seen = Vec::new();
        walk(value.as_object().unwrap(), &mut Vec::new(), &mut |path| {
            seen.push((label_of(path), path.join("/")));
        });
        assert_eq!(seen, [("_1x".into(), "1x".into()), ("a_b_c_d".to_owned(), "a-b/c d".to_owned())]);
    }

    #[test]
    fn values_tell_what_they_are() {
        for (value, kind) in [
            ("12", FieldType::Int),
            ("1.5", FieldType::Float),
            ("true", FieldType::Boolean),
            ("1m30s", FieldType::Duration),
            ("5MB", FieldType::Bytes),
            ("GET /", FieldType::String),
        ] {
            assert_eq!(FieldType::of(value), kind, "{value}");
        }
    }
}
