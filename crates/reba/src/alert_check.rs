//! What `reba check` says of alertmanager.yml beyond whether it can be loaded.

use std::{collections::BTreeSet, fs, path::Path};

use reba_alerting::config::{GroupBy, Route, Routing};
use reba_config::{
    ConfigError,
    tree::{self, At, Kind, Node},
};

/// What stands before the name of a label of the group.
const GROUP_LABEL: &str = ".GroupLabels.";

/// What can be asked of the labels of a group, and is no label.
const METHODS: [&str; 5] = ["SortedPairs", "Remove", "Names", "Values", "String"];

/// Warnings about texts that ask for a label by which nothing is grouped: it is always empty there.
pub fn ungrouped(path: &Path, routing: &Routing) -> Vec<ConfigError> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let Ok(root) = tree::parse(&text, path) else { return Vec::new() };
    let mut found = BTreeSet::new();
    for (i, receiver) in list(child(&root, "receivers")).enumerate() {
        let name = child(receiver, "name").and_then(Node::text).unwrap_or("");
        let routes: Vec<&Route> =
            routing.routes().iter().filter(|r| tells(routing, r) && r.receiver == name).collect();
        collect(receiver, &format!("receivers[{i}]"), &mut |at, key, label| {
            let lacking = routes.iter().find(|route| !groups_by(&route.group_by, label));
            if let Some(route) = lacking {
                found.insert((at, key.to_owned(), label.to_owned(), describe(route)));
            }
        });
    }
    let warning = |(at, key, label, route)| {
        let reason = format!(
            "{{{{ .GroupLabels.{label} }}}} is always empty: {route}; .CommonLabels.{label} may be meant"
        );
        ConfigError::invalid(path, Some(at), key, reason)
    };
    found.into_iter().map(warning).collect()
}

/// Whether anything can come to a route itself: not if one of its children takes everything.
fn tells(routing: &Routing, route: &Route) -> bool {
    let children = route.children.iter().filter_map(|child| routing.routes().get(*child));
    !children.into_iter().any(|child| child.matchers.is_empty())
}

fn groups_by(by: &GroupBy, label: &str) -> bool {
    match by {
        GroupBy::All => true,
        GroupBy::Labels(names) => names.iter().any(|name| name == label),
    }
}

fn describe(route: &Route) -> String {
    let names = match &route.group_by {
        GroupBy::All => "...".to_owned(),
        GroupBy::Labels(names) => names.join(", "),
    };
    format!("route {} groups by [{names}]", route.key)
}

fn child<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, node)| node),
        _ => None,
    }
}

fn list(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    let items = match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter()
}

/// Calls `each` with the place, the key and the name of every label of the group below `node`. Trees have a limited depth.
fn collect(node: &Node, key: &str, each: &mut dyn FnMut(At, &str, &str)) {
    match &node.kind {
        Kind::Scalar { text, .. } => labels_in(text).for_each(|label| each(node.at, key, label)),
        Kind::List(items) => {
            for (i, item) in items.iter().enumerate() {
                collect(item, &format!("{key}[{i}]"), each);
            }
        }
        Kind::Map(entries) => {
            for (name, value) in entries {
                collect(value, &format!("{key}.{name}"), each);
            }
        }
    }
}

/// The labels of the group that a template asks for by name.
fn labels_in(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.match_indices(GROUP_LABEL).map(|(at, found)| &text[at + found.len()..]);
    let names = behind.map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        &rest[..end]
    });
    names.filter(|name| !name.is_empty() && !METHODS.contains(name))
}

#[cfg(test)]
mod tests {
    use reba_config::Variables;

    use super::*;

    #[test]
    fn a_label_that_is_not_grouped_by_is_pointed_at_where_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alertmanager.yml");
        let text = "route:\n  receiver: a\n  group_by: [alertname]\n  routes:\n  - receiver: b\n    group_by: ['...']\n    matchers: [x=y]\n\
                    receivers:\n- name: a\n  webhook_configs:\n  - url: http://x/\n  discord_configs:\n  - webhook_url: http://x/\n    \
                    title: '{{ .GroupLabels.alertname }} {{ .GroupLabels.severity }} {{ .GroupLabels.SortedPairs.Values }}'\n\
                    - name: b\n  discord_configs:\n  - webhook_url: http://x/\n    title: '{{ .GroupLabels.severity }}'\n";
        fs::write(&path, text).unwrap();
        let (file, _) = reba_notify::config::load(&path, &Variables::default()).unwrap();
        let found: Vec<String> = ungrouped(&path, &file.routing).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].ends_with(
                "alertmanager.yml:14:12: key receivers[0].discord_configs[0].title: {{ .GroupLabels.severity }} is always \
                 empty: route {} groups by [alertname]; .CommonLabels.severity may be meant"
            ),
            "{found:?}"
        );
    }
}
