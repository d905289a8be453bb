//! Relabelling: rules that rewrite, keep or drop a label set.

use std::{fmt, str::FromStr};

use md5::{Digest, Md5};
use thiserror::Error;

use crate::{GoRegex, LabelsBuilder, RegexError, is_legacy_label_name};

/// Which names of labels and metrics are valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// `[a-zA-Z_][a-zA-Z0-9_]*` only.
    Legacy,
    /// Any text that is not empty.
    #[default]
    Utf8,
}

impl NameScheme {
    /// Whether `name` may name a label.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            NameScheme::Legacy => is_legacy_label_name(name),
            NameScheme::Utf8 => !name.is_empty(),
        }
    }

    /// Whether `name` may name a metric.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            NameScheme::Legacy => crate::is_legacy_metric_name(name),
            NameScheme::Utf8 => !name.is_empty(),
        }
    }

    /// `legacy` or `utf8`, as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            NameScheme::Legacy => "legacy",
            NameScheme::Utf8 => "utf8",
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelabelAction {
    /// Sets the target label to the expanded replacement if the source matches.
    #[default]
    Replace,
    /// Drops the set unless the source matches.
    Keep,
    /// Drops the set if the source matches.
    Drop,
    /// Drops the set unless source and target label are equal.
    KeepEqual,
    /// Drops the set if source and target label are equal.
    DropEqual,
    /// Sets the target label to a hash of the source, modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to the name that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source in lower case.
    Lowercase,
    /// Sets the target label to the source in upper case.
    Uppercase,
}

impl RelabelAction {
    const ALL: [RelabelAction; 11] = [
        RelabelAction::Replace,
        RelabelAction::Keep,
        RelabelAction::Drop,
        RelabelAction::KeepEqual,
        RelabelAction::DropEqual,
        RelabelAction::HashMod,
        RelabelAction::LabelMap,
        RelabelAction::LabelDrop,
        RelabelAction::LabelKeep,
        RelabelAction::Lowercase,
        RelabelAction::Uppercase,
    ];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            RelabelAction::Replace => "replace",
            RelabelAction::Keep => "keep",
            RelabelAction::Drop => "drop",
            RelabelAction::KeepEqual => "keepequal",
            RelabelAction::DropEqual => "dropequal",
            RelabelAction::HashMod => "hashmod",
            RelabelAction::LabelMap => "labelmap",
            RelabelAction::LabelDrop => "labeldrop",
            RelabelAction::LabelKeep => "labelkeep",
            RelabelAction::Lowercase => "lowercase",
            RelabelAction::Uppercase => "uppercase",
        }
    }

    fn needs_target(self) -> bool {
        use RelabelAction::{DropEqual, HashMod, KeepEqual, Lowercase, Replace, Uppercase};
        matches!(self, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual)
    }
}

impl fmt::Display for RelabelAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RelabelAction {
    type Err = RelabelError;

    /// Reads an action's name in any case.
    fn from_str(s: &str) -> Result<Self, RelabelError> {
        let lower = s.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|a| a.as_str() == lower)
            .ok_or_else(|| RelabelError::UnknownAction(s.to_owned()))
    }
}

/// Why a rule is not valid, in upstream's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelabelError {
    /// The action has no such name.
    #[error("unknown relabel action {}", crate::float::go_quote(.0))]
    UnknownAction(String),
    /// The action is given as an empty text.
    #[error("relabel action cannot be empty")]
    EmptyAction,
    /// The regular expression does not compile.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// `hashmod` without `modulus`.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// The action writes a label, and none is named.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(RelabelAction),
    /// A field's value cannot be a label name.
    #[error("{} is invalid '{field}' for {action} action", crate::float::go_quote(.value))]
    InvalidName {
        /// The value.
        value: String,
        /// `target_label` or `replacement`.
        field: &'static str,
        /// The action.
        action: RelabelAction,
    },
    /// A replacement where none has a meaning.
    #[error("'replacement' can not be set for {0} action")]
    ReplacementSet(RelabelAction),
    /// More fields than the action uses.
    #[error("{0} action requires only {1}, and no other fields")]
    TooManyFields(RelabelAction, &'static str),
}

/// A rule as it is written: `None` stands for a key that was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelabelSpec {
    /// Labels whose values are joined.
    pub source_labels: Option<Vec<String>>,
    /// Text between the joined values; `;` if left out.
    pub separator: Option<String>,
    /// The expression, anchored at both ends; `(.*)` if left out.
    pub regex: Option<String>,
    /// The modulus of `hashmod`; 0 if left out.
    pub modulus: u64,
    /// The label that is written or compared with.
    pub target_label: String,
    /// The new value (or new name for `labelmap`); `$1` if left out.
    pub replacement: Option<String>,
    /// What to do.
    pub action: RelabelAction,
}

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// One valid rule.
#[derive(Clone, Debug)]
pub struct Relabel {
    spec: RelabelSpec,
    scheme: NameScheme,
    regex: GoRegex,
}

/// Rules are equal if they are written alike.
impl PartialEq for Relabel {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec && self.scheme == other.scheme
    }
}

impl Relabel {
    /// Checks a rule and compiles its expression.
    pub fn new(spec: RelabelSpec, scheme: NameScheme) -> Result<Self, RelabelError> {
        let regex = GoRegex::anchored(spec.regex.as_deref().unwrap_or(DEFAULT_REGEX))?;
        check(&spec, scheme)?;
        Ok(Relabel { spec, scheme, regex })
    }

    /// The rule as it was written.
    pub fn spec(&self) -> &RelabelSpec {
        &self.spec
    }

    /// Text between joined source values.
    pub fn separator(&self) -> &str {
        self.spec.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR)
    }

    /// The replacement.
    pub fn replacement(&self) -> &str {
        self.spec.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT)
    }

    /// The source of the expression.
    pub fn regex(&self) -> &str {
        self.regex.as_str()
    }

    /// Applies all of `rules` in order; `false` if one of them drops the set (which is then left half done).
    pub fn apply_all(rules: &[Relabel], labels: &mut LabelsBuilder) -> bool {
        rules.iter().all(|r| r.apply(labels))
    }

    /// Applies the rule; `false` if it drops the set.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let target = self.spec.target_label.as_str();
        match self.spec.action {
            RelabelAction::Keep => return self.regex.is_match(&self.source(labels)),
            RelabelAction::Drop => return !self.regex.is_match(&self.source(labels)),
            RelabelAction::KeepEqual => return labels.value(target) == self.source(labels),
            RelabelAction::DropEqual => return labels.value(target) != self.source(labels),
            RelabelAction::Replace => self.replace(labels),
            RelabelAction::Lowercase => {
                let value = self.source(labels).to_lowercase();
                labels.set(target, &value);
            }
            RelabelAction::Uppercase => {
                let value = self.source(labels).to_uppercase();
                labels.set(target, &value);
            }
            RelabelAction::HashMod => {
                let value = hash(&self.source(labels)) % self.spec.modulus.max(1);
                labels.set(target, &value.to_string());
            }
            RelabelAction::LabelMap => self.map_names(labels),
            RelabelAction::LabelDrop => labels.retain(|n, _| !self.regex.is_match(n)),
            RelabelAction::LabelKeep => labels.retain(|n, _| self.regex.is_match(n)),
        }
        true
    }

    fn source(&self, labels: &LabelsBuilder) -> String {
        let names = self.spec.source_labels.as_deref().unwrap_or_default();
        let mut out = String::new();
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                out.push_str(self.separator());
            }
            out.push_str(labels.value(name));
        }
        out
    }

    /// No match, or a name that is not valid, leaves the set as it is; an empty value removes the label.
    fn replace(&self, labels: &mut LabelsBuilder) {
        let source = self.source(labels);
        let Some(target) = self.regex.expand(&source, &self.spec.target_label) else { return };
        if !self.scheme.is_label_name(&target) {
            return;
        }
        let value = self.regex.expand(&source, self.replacement()).unwrap_or_default();
        labels.set(&target, &value);
    }

    /// Names are read before the first one is written, so that a copy is not copied again.
    fn map_names(&self, labels: &mut LabelsBuilder) {
        let copies: Vec<(String, String)> = labels
            .iter()
            .filter_map(|(n, v)| Some((self.regex.expand(n, self.replacement())?, v.to_owned())))
            .collect();
        // No label is called nothing, whatever the replacement expands to.
        for (name, value) in copies.iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
    }
}

/// The last 8 bytes of the MD5 sum, big endian: what shards of many installations are computed with.
fn hash(source: &str) -> u64 {
    let sum: [u8; 16] = Md5::digest(source.as_bytes()).into();
    sum[8..].iter().fold(0, |h, b| (h << 8) | u64::from(*b))
}

fn check(spec: &RelabelSpec, scheme: NameScheme) -> Result<(), RelabelError> {
    use RelabelAction::{
        DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
    };
    let action = spec.action;
    let target = spec.target_label.as_str();
    let replacement = spec.replacement.as_deref().unwrap_or(DEFAULT_REPLACEMENT);
    if action == HashMod && spec.modulus == 0 {
        return Err(RelabelError::NoModulus);
    }
    if action.needs_target() && target.is_empty() {
        return Err(RelabelError::NoTarget(action));
    }
    let target_is_valid = match action {
        Replace if target.contains('$') => is_name_template(target, scheme),
        a if a.needs_target() => scheme.is_label_name(target),
        _ => true,
    };
    if !target_is_valid {
        return Err(RelabelError::InvalidName { value: target.to_owned(), field: "target_label", action });
    }
    if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && replacement != DEFAULT_REPLACEMENT {
        return Err(RelabelError::ReplacementSet(action));
    }
    if action == LabelMap && !is_name_template(replacement, scheme) {
        return Err(RelabelError::InvalidName {
            value: replacement.to_owned(),
            field: "replacement",
            action,
        });
    }
    let other_fields = spec.modulus != 0
        || spec.separator.as_deref().is_some_and(|s| s != DEFAULT_SEPARATOR)
        || replacement != DEFAULT_REPLACEMENT;
    match action {
        DropEqual | KeepEqual if spec.regex.is_some() || other_fields => {
            Err(RelabelError::TooManyFields(action, "'source_labels' and `target_label`"))
        }
        LabelDrop | LabelKeep if spec.source_labels.is_some() || !target.is_empty() || other_fields => {
            Err(RelabelError::TooManyFields(action, "'regex'"))
        }
        _ => Ok(()),
    }
}

/// Whether `s` is a label name once its `$1`, `${name}` are filled in: under the legacy scheme a run of letters,
/// digits, `_` and variables that does not begin with a digit; any text under the other.
fn is_name_template(s: &str, scheme: NameScheme) -> bool {
    if scheme == NameScheme::Utf8 {
        return !s.is_empty();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = s;
    let mut may_be_digit = false;
    while let Some(c) = rest.chars().next() {
        if c == '$' {
            let (name, after) = match rest[1..].strip_prefix('{') {
                Some(inner) => match inner.split_once('}') {
                    Some(parts) => parts,
                    None => return false,
                },
                None => rest[1..].split_at(rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1)),
            };
            if name.is_empty() || !name.chars().all(is_word) {
                return false;
            }
            rest = after;
        } else if is_word(c) && (may_be_digit || !c.is_ascii_digit()) {
            rest = &rest[1..];
        } else {
            return false;
        }
        may_be_digit = true;
    }
    !s.is_empty()
}

#[cfg(test)]
mod tests;
