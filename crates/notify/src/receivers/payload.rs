//! Structures of a user's own, whose texts are templates.

use reba_alerting::DeliverError;
use reba_config::tree::{Kind, Node};
use serde_json::Value;

use crate::config::Tpl;

/// Renders every text of a structure, keys included. A text that comes out as a number, a truth value, a list or a map in
/// YAML is one in JSON.
pub(super) fn render(
    node: &Node,
    text: &dyn Fn(&Tpl) -> Result<String, DeliverError>,
) -> Result<Value, DeliverError> {
    // Trees of files have a limited depth.
    Ok(match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::Scalar { text: t, plain } => {
            if *plain && !t.contains("{{") {
                return Ok(scalar(t));
            }
            typed(text(&Tpl::new(format!("line {}", node.at.0), t))?)
        }
        Kind::List(items) => items.iter().map(|n| render(n, text)).collect::<Result<Vec<_>, _>>()?.into(),
        Kind::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (key, value) in entries {
                let key = text(&Tpl::new(format!("line {}", node.at.0), key))?;
                map.insert(key, render(value, text)?);
            }
            map.into()
        }
    })
}

/// The longest rendered text that is looked at for a structure.
const MAX_STRUCTURE: usize = 64 << 10;

/// What a rendered text is when it is read as YAML.
pub(super) fn typed(text: String) -> Value {
    if text.len() > MAX_STRUCTURE || text.trim().is_empty() {
        return text.into();
    }
    match reba_config::read::<Value>(&text, std::path::Path::new("")) {
        Err(_) | Ok(Value::String(_) | Value::Null) => text.into(),
        Ok(structure) => structure,
    }
}

/// What stands without quotes.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true.into(),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false.into(),
        t => {
            let digits = t.strip_prefix(['-', '+']).unwrap_or(t).starts_with(|c: char| c.is_ascii_digit());
            match (t.parse::<i64>(), t.parse::<f64>()) {
                (Ok(n), _) if digits => n.into(),
                (_, Ok(f)) if digits && f.is_finite() => f.into(),
                _ => t.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_structure_is_one() {
        assert_eq!(typed("3".to_owned()), serde_json::json!(3));
        assert_eq!(typed("a: [1, x]".to_owned()), serde_json::json!({"a": [1, "x"]}));
        assert_eq!(typed("[FIRING:1] x".to_owned()), serde_json::json!("[FIRING:1] x"));
        assert_eq!(typed("just a text".to_owned()), serde_json::json!("just a text"));
        assert_eq!(typed("\"quoted\"".to_owned()), serde_json::json!("\"quoted\""));
    }
}
