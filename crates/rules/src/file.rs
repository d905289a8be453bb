//! Rule files: reading, strict checking, upstream's messages.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use reba_config::{ConfigError, Expanded, Unknown, Unresolved, Variables};
use reba_model::{Labels, METRIC_NAME, NameScheme, duration, float::go_quote};
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Location, Spanned};

use crate::{
    expand::{self, Text},
    language::Language,
};

/// What a rule file may contain.
#[derive(Clone, Copy, Debug)]
pub struct FileOptions {
    /// Which names are valid.
    pub names: NameScheme,
    /// The language of expressions.
    pub language: Language,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions { names: NameScheme::Utf8, language: Language::default() }
    }
}

/// One fault of a rule file, printed as `FILE:LINE:COL: group "g", rule 1, "name": REASON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The file, as it was named to [`RuleFile::parse`].
    pub file: String,
    /// Line and column, from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// What is wrong, in upstream's words.
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RuleError {}

/// A valid rule file.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFile {
    /// The file, as it was named.
    pub file: String,
    /// Its groups in source order; names are unique.
    pub groups: Vec<Arc<RuleGroup>>,
}

/// Rules that are evaluated together, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroup {
    /// Name, unique in the file.
    pub name: String,
    /// Milliseconds between evaluations; `None` for the global interval.
    pub interval: Option<i64>,
    /// Milliseconds by which queries look back; `None` for the global offset.
    pub query_offset: Option<i64>,
    /// How many series or alerts a rule may yield; 0 for any number.
    pub limit: usize,
    /// Labels for every rule that does not set them itself.
    pub labels: Labels,
    /// The rules in source order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The series that is recorded, or the alert's name.
    pub name: String,
    /// The expression, as upstream prints it.
    pub query: String,
    /// Its own labels with those of the group, templates unexpanded.
    pub labels: Labels,
    /// What kind of rule it is.
    pub kind: RuleKind,
}

/// Recording or alerting.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// The result is written as new series.
    Recording,
    /// Every element of the result is an alert.
    Alerting(Box<AlertingRule>),
}

/// What only alerting rules have.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingRule {
    /// Milliseconds for which an element must be there before it fires.
    pub hold: i64,
    /// Milliseconds for which it goes on firing after the element is gone.
    pub keep_firing_for: i64,
    /// Annotations, templates unexpanded.
    pub annotations: Labels,
    pub(crate) label_texts: Vec<(String, Text)>,
    pub(crate) annotation_texts: Vec<(String, Text)>,
}

/// A name that is not set stays as it is: it may be a group of `label_replace`, or of a shell command in an annotation.
const UNKNOWN: Unknown<'static> = Unknown { keep: true, groups: &["expr"] };

impl RuleFile {
    /// Reads the file at `path`, fills in `${NAME}` and `${file:…}`, and checks it. The names that nobody has set come with it.
    pub fn load(
        path: &Path,
        variables: &Variables,
        options: &FileOptions,
    ) -> Result<(Self, Vec<Unresolved>), Vec<RuleError>> {
        let text = Self::read_text(path, variables)?;
        let file = Self::parse_expanded(&path.display().to_string(), &text, options)?;
        Ok((file, text.unresolved))
    }

    /// Reads the text of a file and fills in `${NAME}` and `${file:…}`.
    pub(crate) fn read_text(path: &Path, variables: &Variables) -> Result<Expanded, Vec<RuleError>> {
        let one = |e: ConfigError| {
            let key = if e.key.is_empty() { String::new() } else { format!("key {}: ", e.key) };
            let file = path.display().to_string();
            vec![RuleError { file, at: e.at, message: format!("{key}{}", e.reason) }]
        };
        let text = std::fs::read_to_string(path).map_err(|e| one(ConfigError::io(path, &e)))?;
        variables.expand(&text, path, &UNKNOWN).map_err(one)
    }

    /// Checks a text that was filled in; errors show nothing of what that was.
    pub(crate) fn parse_expanded(
        file: &str,
        text: &Expanded,
        options: &FileOptions,
    ) -> Result<Self, Vec<RuleError>> {
        Self::parse(file, &text.text, options).map_err(|errors| {
            let hidden = |e: RuleError| RuleError { message: text.hide_in(&e.message), ..e };
            errors.into_iter().map(hidden).collect()
        })
    }

    /// Reads and checks a file. All faults that can be found at once are reported at once.
    pub fn parse(file: &str, text: &str, options: &FileOptions) -> Result<Self, Vec<RuleError>> {
        let yaml: FileYaml = match serde_saphyr::from_str::<Option<FileYaml>>(text) {
            Ok(yaml) => yaml.unwrap_or_default(),
            Err(e) => return Err(vec![yaml_error(file, &e)]),
        };
        let mut check = Check { file, options, errors: Vec::new() };
        let mut groups = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for group in yaml.groups.unwrap_or_default() {
            let at = group.referenced;
            // Upstream's YAML reader passes over items that are null.
            let Some(group) = group.value else { continue };
            let name = group.name.clone().unwrap_or_default();
            if name.is_empty() {
                check.fail(Some(at), "Groupname must not be empty".to_owned());
            }
            if !names.insert(name.clone()) {
                check.fail(Some(at), format!("groupname: \"{name}\" is repeated in the same file"));
            }
            groups.push(Arc::new(check.group(name, group)));
        }
        if check.errors.is_empty() {
            Ok(RuleFile { file: file.to_owned(), groups })
        } else {
            Err(check.errors)
        }
    }

    /// How many rules the file has.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|g| g.rules.len()).sum()
    }

    /// Rules that write the same series or raise the same alert, by rising name and labels, each pair once
    /// (`promtool check rules --lint=duplicate-rules`).
    pub fn duplicates(&self) -> Vec<(String, Labels)> {
        let mut seen: BTreeMap<(String, Labels), usize> = BTreeMap::new();
        for rule in self.groups.iter().flat_map(|g| &g.rules) {
            *seen.entry((rule.name.clone(), rule.labels.clone())).or_default() += 1;
        }
        seen.into_iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect()
    }
}

/// The text that `promtool check rules` prints about duplicates.
pub fn describe_duplicates(duplicates: &[(String, Labels)]) -> String {
    let mut out = format!("{} duplicate rule(s) found.\n", duplicates.len());
    for (name, labels) in duplicates {
        out.push_str(&format!("Metric: {name}\nLabel(s):\n"));
        for (label, value) in labels {
            out.push_str(&format!("\t{label}: {value}\n"));
        }
    }
    out.push_str("Might cause inconsistency while recording expressions");
    out
}

fn position(at: Location) -> Option<(u64, u64)> {
    (at != Location::UNKNOWN).then(|| (at.line(), at.column()))
}

fn yaml_error(file: &str, e: &serde_saphyr::Error) -> RuleError {
    let text = e.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let end = line.rfind(" at line ").unwrap_or(line.len());
    RuleError {
        file: file.to_owned(),
        at: e.location().and_then(position),
        message: line[..end].trim_start_matches("error: ").to_owned(),
    }
}

/// A duration of the file in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Millis(i64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        duration::parse(&text).map(Millis).map_err(de::Error::custom)
    }
}

/// Labels or annotations; null is the empty text.
type Texts = BTreeMap<String, Option<String>>;

fn texts(texts: Option<Texts>) -> BTreeMap<String, String> {
    texts.unwrap_or_default().into_iter().map(|(n, v)| (n, v.unwrap_or_default())).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileYaml {
    groups: Option<Vec<Spanned<Option<GroupYaml>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GroupYaml {
    name: Option<String>,
    interval: Option<Millis>,
    query_offset: Option<Millis>,
    limit: Option<i64>,
    rules: Option<Vec<Spanned<Option<RuleYaml>>>>,
    labels: Option<Texts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleYaml {
    record: Option<Spanned<String>>,
    alert: Option<Spanned<String>>,
    expr: Option<Spanned<String>>,
    r#for: Option<Millis>,
    keep_firing_for: Option<Millis>,
    labels: Option<Texts>,
    annotations: Option<Texts>,
}

struct Check<'a> {
    file: &'a str,
    options: &'a FileOptions,
    errors: Vec<RuleError>,
}

impl Check<'_> {
    fn fail(&mut self, at: Option<Location>, message: String) {
        let error = RuleError { file: self.file.to_owned(), at: at.and_then(position), message };
        self.errors.push(error);
    }

    fn is_label_name(&self, name: &str) -> bool {
        self.options.names.is_label_name(name) && name != METRIC_NAME
    }

    fn group(&mut self, name: String, yaml: GroupYaml) -> RuleGroup {
        let labels = texts(yaml.labels);
        for label in labels.keys() {
            if !self.is_label_name(label) {
                self.fail(None, format!("invalid label name: {label}"));
            }
        }
        let labels = Labels::from_pairs(labels);
        let rules = yaml.rules.unwrap_or_default();
        let rules = rules.into_iter().filter_map(|r| Some((r.referenced, r.value?))).enumerate();
        RuleGroup {
            rules: rules.map(|(i, (at, r))| self.rule((&name, i + 1), at, r, &labels)).collect(),
            name,
            interval: yaml.interval.map(|m| m.0).filter(|ms| *ms > 0),
            query_offset: yaml.query_offset.map(|m| m.0),
            limit: yaml.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            labels,
        }
    }

    fn rule(
        &mut self,
        (group, number): (&str, usize),
        whole: Location,
        yaml: RuleYaml,
        outer: &Labels,
    ) -> Rule {
        let text = |s: &Option<Spanned<String>>| s.as_ref().map_or(String::new(), |s| s.value.clone());
        let place = |s: &Option<Spanned<String>>| s.as_ref().map_or(whole, |s| s.referenced);
        let (record, alert, expr) = (text(&yaml.record), text(&yaml.alert), text(&yaml.expr));
        let name = if alert.is_empty() { record.clone() } else { alert.clone() };
        let mut faults: Vec<(Location, String)> = Vec::new();
        let mut fault = |at: Location, message: &str| faults.push((at, message.to_owned()));

        if !record.is_empty() && !alert.is_empty() {
            fault(place(&yaml.record), "only one of 'record' and 'alert' must be set");
        }
        if record.is_empty() && alert.is_empty() {
            fault(whole, "one of 'record' or 'alert' must be set");
        }
        let mut query = String::new();
        if expr.is_empty() {
            fault(place(&yaml.expr), "field 'expr' must be set in rule");
        } else {
            match self.options.language.canonical(&expr) {
                Ok(text) => query = text,
                Err(e) => fault(place(&yaml.expr), &format!("could not parse expression: {e}")),
            }
        }
        let annotations = texts(yaml.annotations);
        let labels = texts(yaml.labels);
        if !record.is_empty() {
            let of_alerts = [
                (!annotations.is_empty(), "annotations"),
                (yaml.r#for.is_some_and(|d| d.0 != 0), "for"),
                (yaml.keep_firing_for.is_some_and(|d| d.0 != 0), "keep_firing_for"),
            ];
            for message in self.recording_faults(&record, &of_alerts) {
                fault(place(&yaml.record), &message);
            }
        }
        for label in labels.keys().filter(|l| !self.is_label_name(l)) {
            fault(whole, &format!("invalid label name: {label}"));
        }
        for label in annotations.keys().filter(|l| !self.options.names.is_label_name(l)) {
            fault(whole, &format!("invalid annotation name: {label}"));
        }
        let mut merged = outer.to_builder();
        for (label, value) in &labels {
            merged.set(label, value);
        }
        let merged = merged.build();
        let mut kind = RuleKind::Recording;
        if !alert.is_empty() {
            let annotations = Labels::from_pairs(annotations);
            let mut compile = |what: &str, texts: &Labels| {
                let (texts, errors) = compile_all((&alert, what), texts, self.options.language);
                for e in &errors {
                    fault(whole, e);
                }
                texts
            };
            kind = RuleKind::Alerting(Box::new(AlertingRule {
                hold: yaml.r#for.map_or(0, |d| d.0),
                keep_firing_for: yaml.keep_firing_for.map_or(0, |d| d.0),
                label_texts: compile("label", &merged),
                annotation_texts: compile("annotation", &annotations),
                annotations,
            }));
        }
        for (at, message) in faults {
            let (group, name) = (go_quote(group), go_quote(&name));
            self.fail(Some(at), format!("group {group}, rule {number}, {name}: {message}"));
        }
        Rule { name, query, labels: merged, kind }
    }

    /// What is wrong with a recording rule beyond its expression; `fields` says which fields of alerts are there.
    fn recording_faults(&self, record: &str, fields: &[(bool, &str)]) -> Vec<String> {
        let mut faults: Vec<String> = Vec::new();
        for (_, field) in fields.iter().filter(|(wrong, _)| *wrong) {
            faults.push(format!("invalid field '{field}' in recording rule"));
        }
        if !self.options.names.is_metric_name(record) {
            faults.push(format!("invalid recording rule name: {record}"));
        }
        if record.contains(['{', '}']) {
            let message = "braces present in the recording rule name; should it be in expr?";
            faults.push(format!("{message}: {record}"));
        }
        faults
    }
}

/// Parses the templates of an alert's labels or annotations.
fn compile_all(
    (alert, what): (&str, &str),
    texts: &Labels,
    language: Language,
) -> (Vec<(String, Text)>, Vec<String>) {
    let (mut compiled, mut errors) = (Vec::new(), Vec::new());
    for (label, text) in texts {
        match expand::compile(alert, text, language) {
            Ok(text) => compiled.push((label.to_owned(), text)),
            Err(e) => errors.push(format!("{what} {}: {e}", go_quote(label))),
        }
    }
    (compiled, errors)
}
