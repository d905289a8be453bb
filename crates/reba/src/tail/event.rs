//! What a line says, whatever form its program wrote it in.

use std::fmt;

use reba_model::Labels;
use reba_ship::level_name;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

/// Keys of a JSON line under which its level stands.
const LEVELS: [&str; 4] = ["level", "severity", "lvl", "log.level"];
/// Keys of the message.
const MESSAGES: [&str; 4] = ["msg", "message", "event_message", "body"];
/// Labels, and keys, of the service.
const SERVICES: [&str; 6] = ["service", "service_name", "app", "container", "job", "unit"];
/// What every line of a process repeats, and what is shown otherwise.
const HIDDEN: [&str; 9] =
    ["time", "timestamp", "ts", "@timestamp", "pid", "hostname", "v", "environment", "detected_level"];

/// A line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `error`, `info`, …; nothing if nobody says.
    pub level: Option<&'static str>,
    /// Who wrote it; may be empty.
    pub service: String,
    /// What happened; the whole line if it is plain text.
    pub message: String,
    /// What else the line says, in its order, on one line each.
    pub fields: Vec<(String, String)>,
    /// Texts of several lines, such as stack traces.
    pub blocks: Vec<String>,
}

/// A JSON object in its order.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Event {
    /// Takes a line apart.
    pub fn of(line: &str, labels: &Labels) -> Self {
        let label = |names: &[&str]| names.iter().map(|n| labels.value(n)).find(|v| !v.is_empty());
        let mut event = Event {
            level: label(&["level", "detected_level", "severity", "severity_text"]).and_then(level_name),
            service: label(&SERVICES).unwrap_or_default().to_owned(),
            ..Event::default()
        };
        match serde_json::from_str::<Pairs>(line.trim()).ok().filter(|_| line.trim_start().starts_with('{')) {
            Some(pairs) => event.read_object(pairs.0),
            None => event.read_text(line),
        }
        event
    }

    fn read_text(&mut self, line: &str) {
        let mut lines = line.trim_end().lines();
        lines.next().unwrap_or_default().clone_into(&mut self.message);
        let rest: Vec<&str> = lines.collect();
        if !rest.is_empty() {
            self.blocks.push(rest.join("\n"));
        }
    }

    fn read_object(&mut self, pairs: Vec<(String, Value)>) {
        let mut told = false;
        for (key, value) in pairs {
            let name = key.as_str();
            if LEVELS.contains(&name) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.level = level_name(&text).or(self.level);
            } else if !told && MESSAGES.contains(&name) {
                told = true;
                self.read_text(value.as_str().unwrap_or(&value.to_string()));
            } else if name == "service" && (self.service.is_empty() || value == self.service.as_str()) {
                value.as_str().unwrap_or_default().clone_into(&mut self.service);
            } else if !HIDDEN.contains(&name) {
                self.field(key, value, 0);
            }
        }
    }

    /// Objects become fields of their own, two levels deep; below they stay JSON.
    fn field(&mut self, key: String, value: Value, depth: u8) {
        match value {
            Value::Object(inner) if depth < 2 => {
                for (name, value) in inner {
                    self.field(format!("{key}.{name}"), value, depth + 1);
                }
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                self.blocks.push(format!("{key}: {}", text.trim_end()));
            }
            Value::String(text) => self.fields.push((key, quoted(text))),
            value => self.fields.push((key, value.to_string())),
        }
    }
}

/// As it is, unless one could not tell where it ends.
fn quoted(text: String) -> String {
    let clear = !text.is_empty() && !text.contains([' ', '"', '=', '\t', '\\']);
    if clear { text } else { Value::String(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_level_message_and_fields_in_their_order() {
        let line = r#"{"level":50,"time":1,"pid":7,"service":"wallet-service","z":"a b","a":{"c":1,"b":[2]},"msg":"no","stack":"E\n  at x"}"#;
        let event = Event::of(line, &Labels::from_pairs([("service", "wallet-service"), ("level", "info")]));
        assert_eq!((event.level, event.message.as_str()), (Some("error"), "no"), "the line knows best");
        assert_eq!(event.service, "wallet-service");
        let fields: Vec<String> = event.fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(fields.join(" "), r#"z="a b" a.b=[2] a.c=1"#);
        assert_eq!(event.blocks, ["stack: E\n  at x"]);
    }

    #[test]
    fn other_lines_are_their_own_message() {
        let labels = Labels::from_pairs([("app", "x"), ("detected_level", "WARN")]);
        let event = Event::of("Error: x\n    at y\n    at z\n", &labels);
        assert_eq!((event.level, event.service.as_str()), (Some("warn"), "x"));
        assert_eq!((event.message.as_str(), event.blocks.len()), ("Error: x", 1));
        for line in ["", "{", "[1]", "{\"a\":", "null"] {
            assert_eq!(Event::of(line, &Labels::empty()).message, line);
        }
        assert_eq!(Event::of("{}", &Labels::empty()), Event::default());
    }

    #[test]
    fn deep_objects_stay_short() {
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        let event = Event::of(&deep, &Labels::empty());
        assert_eq!(event.fields.len(), 1);
        assert!(event.fields[0].0 == "a.a.a", "{:?}", event.fields[0].0);
    }
}
