//! The stages that decide what is stored with a line: labels, metadata, tenant, and the line itself.

use std::collections::BTreeMap;

use reba_logql::pipeline::without_colors;
use reba_model::is_legacy_label_name;

use super::Flow;
use crate::entry::{Entry, Value};

/// `output`
pub(crate) fn output(entry: &mut Entry, source: &str) -> Flow {
    match entry.extracted.text(source) {
        Some(line) => {
            entry.line = line;
            Flow::Next
        }
        None => Flow::Missed,
    }
}

/// Calls `set` for each pair whose value is there.
fn each(
    entry: &mut Entry,
    pairs: &[(String, String)],
    mut set: impl FnMut(&mut Entry, &str, String),
) -> Flow {
    let mut found = false;
    for (name, source) in pairs {
        if let Some(value) = entry.extracted.text(source) {
            set(entry, name, value);
            found = true;
        }
    }
    if found { Flow::Next } else { Flow::Missed }
}

/// `labels`
pub(crate) fn labels(entry: &mut Entry, pairs: &[(String, String)]) -> Flow {
    each(entry, pairs, |entry, name, value| entry.set_label(name, &value))
}

/// `structured_metadata`
pub(crate) fn metadata(entry: &mut Entry, pairs: &[(String, String)]) -> Flow {
    each(entry, pairs, |entry, name, value| entry.set_metadata(name, value))
}

/// `static_labels`
pub(crate) fn static_labels(entry: &mut Entry, pairs: &[(String, String)]) -> Flow {
    for (name, value) in pairs.iter().filter(|(_, v)| !v.is_empty()) {
        entry.set_label(name, value);
    }
    Flow::Next
}

/// `labeldrop` and `labelallow`
pub(crate) fn retain(entry: &mut Entry, keep: impl Fn(&str) -> bool) -> Flow {
    if entry.labels.iter().all(|(n, _)| keep(n)) {
        return Flow::Missed;
    }
    let mut builder = entry.labels.to_builder();
    builder.retain(|n, _| keep(n));
    entry.labels = builder.build();
    Flow::Next
}

/// `tenant`
#[derive(Debug)]
pub(crate) enum TenantFrom {
    Label(String),
    Source(String),
    Value(String),
}

impl TenantFrom {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let tenant = match self {
            TenantFrom::Value(value) => Some(value.clone()),
            TenantFrom::Source(source) => entry.extracted.text(source),
            TenantFrom::Label(label) => entry.labels.get(label).map(str::to_owned),
        };
        let Some(tenant) = tenant else { return Flow::Missed };
        entry.tenant = Some(tenant);
        Flow::Next
    }
}

/// `pack`
#[derive(Debug)]
pub(crate) struct Pack {
    pub labels: Vec<String>,
    pub ingest_timestamp: bool,
}

impl Pack {
    pub fn apply(&self, entry: &mut Entry, now_ns: i64) -> Flow {
        let mut packed = BTreeMap::new();
        for name in &self.labels {
            // A label comes before a value of the same name; labels that are packed are labels no more.
            if let Some(value) = entry.labels.get(name) {
                packed.insert(name.as_str(), value.to_owned());
            } else if let Some(value) = entry.extracted.text(name) {
                packed.insert(name, value);
            }
        }
        let mut builder = entry.labels.to_builder();
        builder.retain(|n, _| !packed.contains_key(n));
        entry.labels = builder.build();
        packed.insert("_entry", std::mem::take(&mut entry.line));
        entry.line = serde_json::json!(packed).to_string();
        if self.ingest_timestamp {
            entry.ns = now_ns;
        }
        Flow::Next
    }
}

/// `decolorize`
pub(crate) fn decolorize(entry: &mut Entry) -> Flow {
    if !entry.line.contains(['\u{1b}', '\u{9b}']) {
        return Flow::Missed;
    }
    entry.line = without_colors(&entry.line);
    Flow::Next
}

/// `eventlogmessage`: the `Key: value` lines of a message of the Windows event log.
#[derive(Debug)]
pub(crate) struct EventLogMessage {
    pub source: String,
    pub overwrite_existing: bool,
    pub drop_invalid_labels: bool,
}

impl EventLogMessage {
    pub fn apply(&self, entry: &mut Entry) -> Flow {
        let Some(text) = entry.extracted.text(&self.source) else { return Flow::Missed };
        let mut found = false;
        for (key, value) in text.lines().filter_map(|l| l.split_once(':')) {
            let key = key.trim();
            let name = if is_legacy_label_name(key) {
                key.to_owned()
            } else if self.drop_invalid_labels || key.is_empty() {
                continue;
            } else {
                valid_name(key)
            };
            let name = if entry.extracted.get(&name).is_some() && !self.overwrite_existing {
                format!("{name}_extracted")
            } else {
                name
            };
            entry.extracted.set(&name, Value::Text(value.trim().to_owned()));
            found = true;
        }
        if found { Flow::Next } else { Flow::Missed }
    }
}

/// The name with everything that a label's name may not hold replaced.
fn valid_name(key: &str) -> String {
    let mut out: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}
