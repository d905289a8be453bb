//! What differs between two versions of a dashboard.

use serde_json::{Value, json};

/// Differences that are listed; who rewrote everything needs no list.
const MOST: usize = 2000;

/// The differences as `{path, kind, before, after}`, in the order of the paths. Both values come from our parser, so their depth is bounded.
pub(super) fn diff(before: &Value, after: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    walk(&mut out, "", Some(before), Some(after));
    out
}

fn walk(out: &mut Vec<Value>, path: &str, before: Option<&Value>, after: Option<&Value>) {
    if out.len() >= MOST || before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                walk(out, &format!("{path}/{}", escape(key)), a.get(key), b.get(key));
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                walk(out, &format!("{path}/{i}"), a.get(i), b.get(i));
            }
        }
        (Some(a), Some(b)) => out.push(json!({"path": path, "kind": "changed", "before": a, "after": b})),
        (Some(a), None) => out.push(json!({"path": path, "kind": "removed", "before": a})),
        (None, Some(b)) => out.push(json!({"path": path, "kind": "added", "after": b})),
        (None, None) => {}
    }
}

/// A key in a JSON pointer (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_paths() {
        let before = json!({"title": "a", "panels": [{"id": 1}, {"id": 2}], "gone": 1});
        let after = json!({"title": "b", "panels": [{"id": 1}], "new/key": true});
        let all = diff(&before, &after);
        let paths: Vec<_> =
            all.iter().map(|d| (d["path"].as_str().unwrap(), d["kind"].as_str().unwrap())).collect();
        assert_eq!(
            paths,
            [("/gone", "removed"), ("/panels/1", "removed"), ("/title", "changed"), ("/new~1key", "added")]
        );
        assert!(diff(&before, &before).is_empty());
    }
}
