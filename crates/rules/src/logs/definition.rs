//! Groups as they are written: what the ruler API takes, keeps and gives back.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::duration;
use serde::{Deserialize, Serialize};

use crate::{
    file::{FileOptions, RuleError, RuleFile, RuleGroup},
    language::Language,
};

/// A group as it is written. Durations stay texts; a rule's expression is as its author wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupDefinition {
    /// Name, unique in its namespace.
    pub name: String,
    /// Time between evaluations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// How far queries look back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_offset: Option<String>,
    /// How many series or alerts a rule may yield.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Labels for every rule that does not set them itself.
    #[serde(deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The rules in order.
    #[serde(deserialize_with = "null_is_default")]
    pub rules: Vec<RuleDefinition>,
}

/// A rule as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleDefinition {
    /// The series to record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The alert's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The expression.
    pub expr: String,
    /// How long an element must be there before it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#for: Option<String>,
    /// How long it goes on firing after the element is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<String>,
    /// Labels, templates unexpanded.
    #[serde(deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, templates unexpanded.
    #[serde(deserialize_with = "texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A file of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FileDefinition {
    #[serde(deserialize_with = "null_is_default")]
    pub groups: Vec<GroupDefinition>,
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    // As upstream's YAML reader: null is no list, and an item that is null is passed over.
    let items = Option::<Vec<Option<T>>>::deserialize(d)?;
    Ok(items.unwrap_or_default().into_iter().flatten().collect())
}

fn texts<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = Option::<BTreeMap<String, Option<String>>>::deserialize(d)?.unwrap_or_default();
    Ok(texts.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect())
}

impl GroupDefinition {
    /// Reads one group. Unknown keys are passed over, as upstream does it here; durations are printed anew.
    pub fn read(yaml: &str) -> Result<Self, String> {
        let group = serde_saphyr::from_str::<Option<GroupDefinition>>(yaml);
        let group = group.map_err(|e| e.without_snippet().to_string())?.unwrap_or_default();
        Ok(group.normal())
    }

    /// The group as YAML.
    pub fn to_yaml(&self) -> Result<String, String> {
        serde_saphyr::to_string(self).map_err(|e| e.to_string())
    }

    /// Groups by namespace as YAML.
    pub fn all_to_yaml(namespaces: &BTreeMap<String, Vec<GroupDefinition>>) -> Result<String, String> {
        serde_saphyr::to_string(namespaces).map_err(|e| e.to_string())
    }

    /// The same with durations as upstream prints them; those that are zero are left out.
    fn normal(mut self) -> Self {
        let normal = |text: Option<String>| {
            let text = text?;
            match duration::parse(&text) {
                Ok(0) => None,
                Ok(ms) => Some(duration::format(ms)),
                Err(_) => Some(text),
            }
        };
        self.interval = normal(self.interval);
        self.query_offset = normal(self.query_offset);
        self.limit = self.limit.filter(|n| *n != 0);
        for rule in &mut self.rules {
            rule.r#for = normal(rule.r#for.take());
            rule.keep_firing_for = normal(rule.keep_firing_for.take());
            rule.record = rule.record.take().filter(|s| !s.is_empty());
            rule.alert = rule.alert.take().filter(|s| !s.is_empty());
        }
        self
    }

    /// Checks the group as a rule file would be, and prepares it.
    pub(crate) fn check(&self, namespace: &str) -> Result<Arc<RuleGroup>, Vec<RuleError>> {
        let fault = |message: String| vec![RuleError { file: namespace.to_owned(), at: None, message }];
        let text = FileDefinition { groups: vec![self.clone()] }.to_yaml().map_err(fault)?;
        let file = RuleFile::parse(namespace, &text, &FileOptions::logql())?;
        file.groups.into_iter().next().ok_or_else(|| fault("Groupname must not be empty".to_owned()))
    }
}

impl FileDefinition {
    /// Reads a file that was checked as a [`RuleFile`], or that was written by [`FileDefinition::to_yaml`].
    pub fn read(yaml: &str) -> Result<Self, String> {
        let file = serde_saphyr::from_str::<Option<FileDefinition>>(yaml);
        let file = file.map_err(|e| e.without_snippet().to_string())?.unwrap_or_default();
        Ok(FileDefinition { groups: file.groups.into_iter().map(GroupDefinition::normal).collect() })
    }

    /// As YAML.
    pub fn to_yaml(&self) -> Result<String, String> {
        serde_saphyr::to_string(self).map_err(|e| e.to_string())
    }
}

impl FileOptions {
    /// What a file of rules about logs may contain: LogQL, and names as Loki has them.
    pub fn logql() -> Self {
        FileOptions { names: reba_model::NameScheme::Legacy, language: Language::Logql }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~é\n\t]{0,40}",
            Just("yes".to_owned()),
            Just("1.50".to_owned()),
            Just("null".to_owned()),
            Just("~".to_owned()),
            Just("# no comment".to_owned()),
            Just("a: b".to_owned()),
            Just("{{ $labels.app }}\n\n  more\n".to_owned()),
            Just("5m".to_owned()),
            Just("\u{feff}\u{85}\u{2028}\r\n\u{0}".to_owned()),
        ]
    }

    prop_compose! {
        fn any_rule()(
            texts in proptest::collection::vec(any_text(), 5),
            alert in any::<bool>(),
            labels in proptest::collection::btree_map("[a-z]{1,5}", any_text(), 0..3),
            annotations in proptest::collection::btree_map("[a-z]{1,5}", any_text(), 0..3),
        ) -> RuleDefinition {
            let name = Some(texts[0].clone());
            RuleDefinition {
                record: name.clone().filter(|_| !alert),
                alert: name.filter(|_| alert),
                expr: texts[1].clone(),
                r#for: Some(texts[2].clone()),
                keep_firing_for: None,
                labels,
                annotations,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_written_is_read_back(
            name in any_text(),
            interval in proptest::option::of(any_text()),
            rules in proptest::collection::vec(any_rule(), 0..4),
        ) {
            let group = GroupDefinition { name, interval, rules, ..GroupDefinition::default() }.normal();
            let file = FileDefinition { groups: vec![group] };
            let text = file.to_yaml().unwrap();
            prop_assert_eq!(FileDefinition::read(&text).unwrap(), file, "{}", text);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[-a-z:{}\\[\\]\"' \n|>&*!#%0-9]{0,120}") {
            let _ = GroupDefinition::read(&text);
            let _ = GroupDefinition::read(&format!("name: g\nrules:\n- {text}"));
        }
    }

    #[test]
    fn durations_are_printed_as_upstream_prints_them() {
        let group = GroupDefinition::read(
            "name: g\ninterval: 60s\nlimit: 0\nunknown: x\nrules:\n- alert: A\n  expr: vector(1)\n  for: 0s\n  labels: {a: }\n- ~\n",
        )
        .unwrap();
        assert_eq!((group.interval.as_deref(), group.limit, group.rules.len()), (Some("1m"), None, 1));
        assert_eq!((&group.rules[0].r#for, group.rules[0].labels["a"].as_str()), (&None, ""));
    }
}
