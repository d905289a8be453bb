//! Filter policies: which spans count.

use reba_model::{GoRegex, spans::ValueRef};

use super::{Spot, value_text};
use crate::traces::config::{FilterPolicy, MatchType, PolicyMatch};

/// A policy, its expressions compiled.
#[derive(Debug)]
pub(super) struct Policy {
    include: Option<Vec<Test>>,
    exclude: Option<Vec<Test>>,
}

#[derive(Debug)]
struct Test {
    key: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Regex(Box<GoRegex>),
    /// An expression that does not compile matches nothing.
    Nothing,
}

impl Policy {
    pub(super) fn new(policy: &FilterPolicy) -> Self {
        Policy { include: policy.include.as_ref().map(tests), exclude: policy.exclude.as_ref().map(tests) }
    }

    /// Whether a span counts.
    pub(super) fn admits(&self, spot: &Spot<'_, '_>) -> bool {
        let all = |tests: &Vec<Test>| tests.iter().all(|test| test.matches(spot));
        self.include.as_ref().is_none_or(all) && !self.exclude.as_ref().is_some_and(all)
    }
}

fn tests(policy: &PolicyMatch) -> Vec<Test> {
    let test = |attribute: &crate::traces::config::PolicyAttribute| {
        let text = match &attribute.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value = match policy.match_type {
            MatchType::Strict => Value::Text(text),
            MatchType::Regex => {
                GoRegex::search(&text).map_or(Value::Nothing, |regex| Value::Regex(Box::new(regex)))
            }
        };
        Test { key: attribute.key.clone(), value }
    };
    policy.attributes.iter().map(test).collect()
}

impl Test {
    fn matches(&self, spot: &Spot<'_, '_>) -> bool {
        let span = spot.span;
        let text = |value: ValueRef<'_>| value_text(value);
        let found = match self.key.as_str() {
            "kind" => Some(format!("SPAN_KIND_{}", span.kind.as_str().to_ascii_uppercase())),
            "status" => Some(format!("STATUS_CODE_{}", span.status.as_str().to_ascii_uppercase())),
            "name" => Some(span.name.to_owned()),
            key => match key.split_once('.') {
                Some(("span", name)) => span.attributes().get(name).map(text),
                Some(("resource", name)) => spot.resource.get(name).map(text),
                _ => None,
            },
        };
        found.is_some_and(|found| match &self.value {
            Value::Text(text) => found == *text || self.is_word(&found, text),
            Value::Regex(regex) => regex.is_match(&found),
            Value::Nothing => false,
        })
    }

    /// Kinds and statuses are written with and without their prefix.
    fn is_word(&self, found: &str, text: &str) -> bool {
        let prefix = match self.key.as_str() {
            "kind" => "SPAN_KIND_",
            "status" => "STATUS_CODE_",
            _ => return false,
        };
        found.strip_prefix(prefix).is_some_and(|word| word.eq_ignore_ascii_case(text))
    }
}
