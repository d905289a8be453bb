//! What each stage does to an entry, in words: `--inspect`.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::Flow;
use crate::entry::{Entry, Value};

/// Takes what a stage did, a few lines of text.
#[derive(Clone)]
pub struct Inspector(pub Arc<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inspector")
    }
}

/// The texts of an entry by what they are.
type Seen = BTreeMap<String, String>;

/// An entry before a stage.
pub(super) fn seen(entry: &Entry) -> Seen {
    let mut out = BTreeMap::from([
        ("line".to_owned(), format!("{:?}", entry.line)),
        ("timestamp".to_owned(), time(entry.ns)),
    ]);
    let tenant = entry.tenant.iter().map(|t| ("tenant".to_owned(), t.clone()));
    let labels = entry.labels.iter().map(|(n, v)| (format!("label {n}"), format!("{v:?}")));
    let metadata = entry.metadata.iter().map(|(n, v)| (format!("metadata {n}"), format!("{v:?}")));
    let extracted = entry.extracted.iter().map(|(n, v)| {
        let text =
            if v == Value::Nil { "nil".to_owned() } else { format!("{:?}", v.text().unwrap_or_default()) };
        (format!("extracted {n}"), text)
    });
    out.extend(tenant.chain(labels).chain(metadata).chain(extracted));
    out
}

fn time(ns: i64) -> String {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(ns));
    moment.map_or_else(|_| format!("{ns} ns"), |t| t.to_string())
}

/// What a stage has made of an entry.
pub(super) fn changes(path: &str, before: &Seen, flow: &Flow, entry: &Entry) -> String {
    let mut out = format!("[{path}]\n");
    match flow {
        Flow::Drop(reason) => {
            let _ = writeln!(out, "  dropped: {reason}");
        }
        Flow::Instead(entries) if entries.is_empty() => {
            out.push_str("  held back: more lines may belong to it\n");
        }

        Flow::Instead(entries) => {
            let _ = writeln!(out, "  handed on: {} entries", entries.len());
            for entry in entries {
                difference(&mut out, before, &seen(entry));
            }
        }
        Flow::Next | Flow::Missed => difference(&mut out, before, &seen(entry)),
    }
    if out.lines().count() == 1 {
        out.push_str("  nothing changed\n");
    }
    out
}

fn difference(out: &mut String, before: &Seen, after: &Seen) {
    for (name, value) in after {
        let _ = match before.get(name) {
            None => writeln!(out, "  + {name}: {value}"),
            Some(old) if old != value => writeln!(out, "  ~ {name}: {old} -> {value}"),
            Some(_) => Ok(()),
        };
    }
    for (name, value) in before.iter().filter(|(n, _)| !after.contains_key(*n)) {
        let _ = writeln!(out, "  - {name}: {value}");
    }
}
