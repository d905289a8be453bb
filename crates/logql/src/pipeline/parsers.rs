//! The stages that take labels out of a line.

use std::collections::BTreeSet;

use reba_model::GoRegex;

use super::{
    json::{self, More, Path},
    logfmt,
    pattern::Pattern,
    state::LineState,
};
use crate::syntax::Extraction;

/// The error of a line that is no JSON.
const JSON_ERROR: &str = "JSONParserErr";
/// The error of a line that is no logfmt.
const LOGFMT_ERROR: &str = "LogfmtParserErr";

/// Which labels of a line the rest of the query looks at. A parser takes nothing else out of it, and nothing at all if nothing is
/// wanted: then not even an unreadable line is an error, as upstream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every label.
    All,
    /// These.
    Names(BTreeSet<String>),
}

impl Wanted {
    pub(super) fn nothing(&self) -> bool {
        matches!(self, Wanted::Names(names) if names.is_empty())
    }

    /// Whether a finding of this name could become a wanted label.
    fn wants(&self, name: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Names(names) => {
                names.contains(name)
                    || names.iter().any(|n| n.strip_suffix("_extracted").is_some_and(|base| base == name))
            }
        }
    }
}

/// `| json`
pub(super) fn json_all(state: &mut LineState, original: &str, wanted: &Wanted) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    let mut missing = match wanted {
        Wanted::All => usize::MAX,
        Wanted::Names(names) => names.len(),
    };
    let result = json::flatten(&line, |name, value| {
        if !wanted.wants(name) {
            return More::Yes;
        }
        let before = state.get(name).is_some();
        state.found(name, value);
        missing -= usize::from(!before && missing != usize::MAX);
        if missing == 0 { More::No } else { More::Yes }
    });
    if let Err(details) = result {
        state.fail(JSON_ERROR, details);
    }
}

/// `| json a="b.c"`
pub(super) fn json_paths(state: &mut LineState, original: &str, paths: &[(String, Path)], wanted: &Wanted) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    // A path may also begin in an array; what else is no object is an error.
    let in_array = line.trim_start().starts_with(['[', '"']);
    if !in_array && json::flatten(&line, |_, _| More::Yes).is_err() {
        state.fail(JSON_ERROR, "");
        return;
    }
    for (label, path) in paths {
        state.found_as_asked(label, &path.find(&line).unwrap_or_default());
    }
}

/// The paths of `| json a="b.c"`.
pub(super) fn compile_paths(extractions: &[Extraction]) -> Result<Vec<(String, Path)>, String> {
    extractions.iter().map(|e| Ok((e.label.clone(), Path::parse(&e.path)?))).collect()
}

/// `| logfmt`
pub(super) fn logfmt_all(
    state: &mut LineState,
    original: &str,
    (strict, keep_empty): (bool, bool),
    wanted: &Wanted,
) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    let mut name = String::new();
    let result = logfmt::pairs(&line, strict, |key, value| {
        if value.is_empty() && !keep_empty {
            return More::Yes;
        }
        name.clear();
        push_label_name(&mut name, key);
        if wanted.wants(&name) {
            state.found(&name, value);
        }
        More::Yes
    });
    if let Err(details) = result {
        state.fail(LOGFMT_ERROR, details);
    }
}

/// `| logfmt a="b"`
pub(super) fn logfmt_names(
    state: &mut LineState,
    original: &str,
    strict: bool,
    extractions: &[Extraction],
    wanted: &Wanted,
) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    let mut values: Vec<Option<String>> = vec![None; extractions.len()];
    let result = logfmt::pairs(&line, strict, |key, value| {
        for (slot, extraction) in values.iter_mut().zip(extractions) {
            // Of two values of a key the last one counts, as upstream has it (without names, the first).
            if extraction.path == key {
                *slot = Some(value.to_owned());
            }
        }
        More::Yes
    });
    if let Err(details) = result {
        state.fail(LOGFMT_ERROR, details);
        return;
    }
    for (extraction, value) in extractions.iter().zip(values) {
        state.found_as_asked(&extraction.label, &value.unwrap_or_default());
    }
}

/// A key in the characters of a label's name.
fn push_label_name(out: &mut String, key: &str) {
    if key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    json::push_sanitized(out, key);
}

/// The expression of `| regexp "…"`.
pub(super) fn compile_regexp(expression: &str) -> Result<GoRegex, String> {
    // Duplicates first: the library refuses them in words of its own.
    let names = group_names(expression);
    if let Some((_, twice)) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
        return Err(format!("duplicate extracted label name '{twice}'"));
    }
    let regex = GoRegex::search(expression).map_err(|e| e.to_string())?;
    if regex.named_groups().next().is_none() {
        return Err("at least one named capture must be supplied".to_owned());
    }
    if let Some((_, name)) = regex.named_groups().find(|(_, n)| !reba_model::is_legacy_label_name(n)) {
        return Err(format!("invalid extracted label name '{name}'"));
    }
    Ok(regex)
}

/// `| regexp "…"`
pub(super) fn regexp(state: &mut LineState, original: &str, regex: &GoRegex, wanted: &Wanted) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    regex.extract(&line, |name, value| {
        if wanted.wants(name) {
            state.found(name, value);
        }
    });
}

/// Names of groups as they are written.
fn group_names(expression: &str) -> Vec<&str> {
    expression.split("(?P<").skip(1).filter_map(|rest| rest.split_once('>').map(|(name, _)| name)).collect()
}

/// `| pattern "…"`
pub(super) fn pattern(state: &mut LineState, original: &str, pattern: &Pattern, wanted: &Wanted) {
    if wanted.nothing() {
        return;
    }
    let line = state.line_copy(original);
    pattern.extract(&line, |name, value| {
        if wanted.wants(name) {
            state.found(name, value);
        }
    });
}

/// `| unpack`
pub(super) fn unpack(state: &mut LineState, original: &str) {
    let line = state.line_copy(original);
    let mut members = Vec::new();
    let mut entry = None;
    let result = json::text_members(&line, |name, value| {
        if name == "_entry" {
            entry = Some(value.to_owned());
        } else {
            members.push((name.to_owned(), value.to_owned()));
        }
    });
    match (result, entry) {
        (Err(details), _) => state.fail(JSON_ERROR, details),
        (Ok(()), None) => {}
        (Ok(()), Some(entry)) => {
            for (name, value) in &members {
                let mut label = String::new();
                push_label_name(&mut label, name);
                state.found(&label, value);
            }
            state.set_line(&entry);
        }
    }
}
