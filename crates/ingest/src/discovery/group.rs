//! Target groups as files and HTTP servers list them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::TargetGroup;
use crate::config::StaticGroup;

/// One group as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupText {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// A list of groups as it is written; upstream has a text of its own for an item that is null.
pub(crate) type GroupTexts = Option<Vec<Option<GroupText>>>;

/// Makes groups of what is written. Each is named `SOURCE:INDEX` and gets the label `name` with `value`.
pub(crate) fn build(
    texts: GroupTexts,
    source: &str,
    name: &str,
    value: &str,
) -> Result<Vec<TargetGroup>, String> {
    let mut out = Vec::new();
    for (i, text) in texts.unwrap_or_default().into_iter().enumerate() {
        let Some(text) = text else {
            return Err(format!("nil target group item found (index {i})"));
        };
        let group = StaticGroup {
            targets: text.targets.unwrap_or_default(),
            labels: text.labels.unwrap_or_default(),
        };
        if group.labels.contains_key("") {
            return Err("\"\" is not a valid label name".to_owned());
        }
        let mut group = TargetGroup::from_static(&group, format!("{source}:{i}"));
        let mut labels = group.labels.to_builder();
        labels.set(name, value);
        group.labels = labels.build();
        out.push(group);
    }
    Ok(out)
}
