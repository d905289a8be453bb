//! Relabelling rules in the configuration.

use reba_model::{NameScheme, Relabel, RelabelAction, RelabelSpec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};

use serde_saphyr::FlowSeq;

use super::yaml::{Invalid, List, items};

/// A rule as it is written. A key that is given without a value is an empty text, other than a key left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RelabelYaml {
    source_labels: Option<Vec<String>>,
    #[serde(deserialize_with = "null_is_empty")]
    separator: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    regex: Option<String>,
    modulus: Option<u64>,
    target_label: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    replacement: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    action: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(d)?.unwrap_or_default()))
}

impl RelabelYaml {
    fn build(self, scheme: NameScheme) -> Result<Relabel, Invalid> {
        let action = match self.action.as_deref() {
            None => RelabelAction::default(),
            Some("") => return Err(Invalid::new("relabel action cannot be empty")),
            Some(name) => name.parse()?,
        };
        let spec = RelabelSpec {
            source_labels: self.source_labels,
            separator: self.separator,
            regex: self.regex,
            modulus: self.modulus.unwrap_or(0),
            target_label: self.target_label.unwrap_or_default(),
            replacement: self.replacement,
            action,
        };
        Ok(Relabel::new(spec, scheme)?)
    }
}

pub(crate) fn rules(
    list: List<RelabelYaml>,
    key: &str,
    null: &str,
    scheme: NameScheme,
) -> Result<Vec<Relabel>, Invalid> {
    items(list, key, null, |r| r.build(scheme))
}

/// A rule with its defaults, as upstream prints it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_labels: Option<FlowSeq<&'a [String]>>,
    separator: &'a str,
    regex: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_label: &'a str,
    replacement: &'a str,
    action: &'static str,
}

pub(crate) fn show<S: Serializer>(rules: &[Relabel], s: S) -> Result<S::Ok, S::Error> {
    let mut seq = s.serialize_seq(Some(rules.len()))?;
    for r in rules {
        let spec = r.spec();
        seq.serialize_element(&Shown {
            source_labels: spec.source_labels.as_deref().map(FlowSeq),
            separator: r.separator(),
            regex: r.regex(),
            modulus: (spec.modulus > 0).then_some(spec.modulus),
            target_label: &spec.target_label,
            replacement: r.replacement(),
            action: spec.action.as_str(),
        })?;
    }
    seq.end()
}
