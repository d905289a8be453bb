//! The functions of Alertmanager's notification templates.

use std::{fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use jiff::tz::TimeZone;
use reba_model::GoRegex;

use crate::{
    function::{Functions, Param},
    html::{safe_html, safe_url},
    humanize,
    text::title,
    time::{Duration, Time},
    time_parse::TimeFields,
    value::Value,
};

/// The longest regular expression a template may use.
const MAX_PATTERN: usize = 4096;

/// Bytes that one replacement may yield at worst.
const MAX_REPLACED: usize = 16 << 20;

/// Steps that compiling one regular expression costs.
const REGEX_COST: u64 = 1_000;

/// The table of functions: those of 0.26 and what newer versions have besides. `now_ms` is the time of the notification.
pub fn functions(now_ms: i64) -> Functions {
    let mut table = Functions::new();
    text_functions(&mut table);
    time_functions(&mut table, now_ms);
    value_functions(&mut table);
    table
}

fn text_functions(table: &mut Functions) {
    let mapped = |f: fn(&str) -> String| move |args: &[Value]| Ok(Value::from(f(&text(args, 0))));
    table
        .add("toUpper", &[Param::Text], mapped(|s| s.to_uppercase()))
        .add("toLower", &[Param::Text], mapped(|s| s.to_lowercase()))
        // Other than in Prometheus, the rest of a word becomes small.
        .add("title", &[Param::Text], mapped(|s| title(&s.to_lowercase())))
        .add("trimSpace", &[Param::Text], mapped(|s| s.trim().to_owned()))
        .add("join", &[Param::Text, Param::Any], |args| {
            let parts = texts(&args[1]).ok_or_else(|| {
                format!("wrong type for value; expected []string; got {}", args[1].type_name())
            })?;
            Ok(Value::from(parts.join(&text(args, 0))))
        })
        .add("safeHtml", &[Param::Text], |args| Ok(safe_html(&args[0])))
        .add("safeUrl", &[Param::Text], |args| Ok(safe_url(&args[0])))
        .add("urlUnescape", &[Param::Text], |args| url_unescape(&text(args, 0)).map(Value::from))
        .add("match", &[Param::Text, Param::Text], |args| {
            Ok(Value::Bool(regex(&text(args, 0))?.is_match(&text(args, 1))))
        })
        .cost("match", REGEX_COST)
        .add("reReplaceAll", &[Param::Text, Param::Text, Param::Text], |args| {
            let (with, subject) = (text(args, 1), text(args, 2));
            if 2 * (subject.len() + 1) * (with.len() + 1) > MAX_REPLACED {
                return Err("replacement may become too long".to_owned());
            }
            Ok(Value::from(regex(&text(args, 0))?.replace_all(&subject, &with).into_owned()))
        })
        .cost("reReplaceAll", REGEX_COST)
        .add("base64encode", &[Param::Text], mapped(|s| URL_SAFE.encode(s)))
        .add("base64decode", &[Param::Text], |args| {
            let bytes = URL_SAFE.decode(&*text(args, 0)).map_err(|e| e.to_string())?;
            Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()))
        });
}

fn time_functions(table: &mut Functions, now_ms: i64) {
    let now = move || Time::from_unix_ms(now_ms).ok_or_else(|| "time out of range".to_owned());
    table
        .add("now", &[], move |_| now().map(Value::object))
        .add("since", &[Param::Any], move |args| {
            let passed = now()?.unix_nanos() - time(&args[0])?.unix_nanos();
            // As in Go, what does not fit becomes the longest that does.
            let clamped = passed.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            Ok(Value::object(Duration(clamped as i64)))
        })
        .add("date", &[Param::Text, Param::Any], |args| {
            Ok(Value::from(time_in_its_zone(&args[1], &text(args, 0))?))
        })
        .add("tz", &[Param::Text, Param::Any], |args| {
            let name = text(args, 0);
            let zone = match &*name {
                "" | "UTC" => TimeZone::UTC,
                name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
            };
            Ok(Value::object(time(&args[1])?.in_zone(zone)))
        })
        .add("humanizeDuration", &[Param::Any], |args| {
            let seconds = match duration(&args[0]) {
                Some(d) => d.0 as f64 / 1e9,
                None => humanize::to_float(&args[0])?,
            };
            Ok(Value::from(humanize::humanize_duration(seconds)))
        })
        .add("toDate", &[Param::Text, Param::Text], |args| {
            let zero = Time::from_unix_ms(crate::alertmanager::ZERO_TIME_MS).map(Value::object);
            Ok(parsed(&text(args, 0), &text(args, 1)).unwrap_or_else(|_| zero.unwrap_or_default()))
        })
        .add("mustToDate", &[Param::Text, Param::Text], |args| parsed(&text(args, 0), &text(args, 1)));
}

/// Go's zero time, the first of January of the year 1, in Unix milliseconds.
pub const ZERO_TIME_MS: i64 = -62_135_596_800_000;

fn value_functions(table: &mut Functions) {
    table
        .add("stringSlice", &[], |args| Ok(Value::list(args.to_vec())))
        .variadic("stringSlice", Param::Text)
        .add("list", &[], |args| Ok(Value::list(args.to_vec())))
        .variadic("list", Param::Any)
        .add("append", &[Param::Any], |args| match args[0].plain() {
            Value::List(list) => Ok(Value::list([&list.items, &args[1..]].concat())),
            _ => Err(format!("wrong type for value; expected []interface {{}}; got {}", args[0].type_name())),
        })
        .variadic("append", Param::Any)
        .add("dict", &[], |args| {
            if args.len() % 2 != 0 {
                return Err("dict requires an even number of arguments".to_owned());
            }
            let pair = |pair: &[Value]| match &pair[0] {
                Value::String(name) => Ok((name.to_string(), pair[1].clone())),
                _ => Err("dict keys must be strings".to_owned()),
            };
            Ok(Value::map(args.chunks(2).map(pair).collect::<Result<_, String>>()?))
        })
        .variadic("dict", Param::Any)
        .add("toJson", &[Param::Any], |args| {
            let mut out = String::new();
            json(&args[0], 0, &mut out)?;
            Ok(Value::from(out))
        });
}

fn text(args: &[Value], i: usize) -> Arc<str> {
    args.get(i).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list of texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value.plain() {
        Value::List(list) => list.items.iter().map(|v| v.as_str().map(|s| s.to_string())).collect(),
        _ => None,
    }
}

fn regex(pattern: &str) -> Result<GoRegex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("regular expression is longer than {MAX_PATTERN} bytes"));
    }
    GoRegex::search(pattern).map_err(|e| e.to_string())
}

fn time(value: &Value) -> Result<Time, String> {
    Time::of(value)
        .ok_or_else(|| format!("wrong type for value; expected time.Time; got {}", value.type_name()))
}

/// A time formatted by its own method, which knows its zone.
fn time_in_its_zone(value: &Value, layout: &str) -> Result<String, String> {
    time(value)?;
    let formatted = match value {
        Value::Object(o) => o.method("Format", &[Value::from(layout)]),
        _ => None,
    };
    formatted.unwrap_or(Ok(Value::Nil)).map(|v| v.as_str().unwrap_or_default().to_string())
}

fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Object(o) if o.type_name() == "time.Duration" => match o.underlying() {
            Value::Int(ns) => Some(Duration(ns)),
            _ => None,
        },
        _ => None,
    }
}

fn parsed(layout: &str, text: &str) -> Result<Value, String> {
    let fields = TimeFields::parse(layout, text)?;
    let moment = fields.moment(&TimeZone::UTC).ok_or_else(|| "time out of range".to_owned())?;
    Ok(Value::object(moment))
}

/// Decodes a URL's query text: `+` is a blank.
fn url_unescape(s: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(s.len());
    let mut rest = s.as_bytes();
    while let Some((b, behind)) = rest.split_first() {
        rest = behind;
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = rest.get(..2).and_then(|h| std::str::from_utf8(h).ok());
                let hex = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
                let Some(byte) = hex else {
                    let shown = String::from_utf8_lossy(&rest[..rest.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape \"%{shown}\""));
                };
                bytes.push(byte);
                rest = &rest[2..];
            }
            b => bytes.push(*b),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Values inside each other that are written as JSON.
const MAX_JSON_DEPTH: u32 = 32;

/// Bytes of one JSON text.
const MAX_JSON: usize = 4 << 20;

/// Writes a value as Go's `encoding/json` does.
fn json(value: &Value, depth: u32, out: &mut String) -> Result<(), String> {
    if depth > MAX_JSON_DEPTH || out.len() > MAX_JSON {
        return Err(format!("value nests deeper than {MAX_JSON_DEPTH} or is longer than {MAX_JSON} bytes"));
    }
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(b) => {
            let _ = write!(out, "{b}");
        }
        Value::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Value::Float(f) => match serde_json::Number::from_f64(*f) {
            Some(n) => out.push_str(&n.to_string()),
            None => return Err(format!("json: unsupported value: {f}")),
        },
        Value::String(s) => json_text(s, out),
        Value::List(list) => {
            json_items(list.items.iter().map(|v| (None, v.clone())), ('[', ']'), depth, out)?;
        }
        Value::StringMap(map) => {
            let items = map.iter().map(|(k, v)| (Some(k.clone()), Value::from(v.as_str())));
            json_items(items, ('{', '}'), depth, out)?;
        }
        Value::Map(map) => {
            let items = map.entries.iter().map(|(k, v)| (Some(k.clone()), v.clone()));
            json_items(items, ('{', '}'), depth, out)?;
        }
        Value::Object(object) => match (Time::of(value), object.underlying()) {
            (Some(_), _) => json_text(&time_in_its_zone(value, "2006-01-02T15:04:05.999999999Z07:00")?, out),
            (None, Value::Nil) => {
                let lower = object.type_name() != "template.Pair";
                let name = |n: &str| if lower { json_name(n) } else { n.to_owned() };
                let fields = object.fields();
                let items = fields.into_iter().map(|(n, v)| (Some(name(n)), v));
                json_items(items, ('{', '}'), depth, out)?;
            }
            (None, plain) => json(&plain, depth, out)?,
        },
    }
    Ok(())
}

fn json_items(
    items: impl Iterator<Item = (Option<String>, Value)>,
    (open, close): (char, char),
    depth: u32,
    out: &mut String,
) -> Result<(), String> {
    out.push(open);
    for (i, (name, value)) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if let Some(name) = name {
            json_text(&name, out);
            out.push(':');
        }
        json(&value, depth + 1, out)?;
    }
    out.push(close);
    Ok(())
}

/// The name of a field in JSON: `StartsAt` is `startsAt`.
fn json_name(field: &str) -> String {
    let mut chars = field.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + chars.as_str())
}

/// A text in quotes; what could end a script is escaped.
fn json_text(s: &str, out: &mut String) {
    for c in serde_json::Value::from(s).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Template};

    fn render(source: &str) -> String {
        let functions = functions(1_700_000_000_000);
        let t = Template::parse("t", source, &functions).unwrap();
        let data = Value::string_map([("a", "x<y")]);
        t.execute(&data, &functions, &Options::default()).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn the_functions_of_newer_versions_are_there() {
        for (source, want) in [
            ("{{ stringSlice \"a\" \"b\" | join \"-\" }}", "a-b"),
            ("{{ now | date \"2006-01-02 15:04\" }}", "2023-11-14 22:13"),
            ("{{ now | tz \"Africa/Kigali\" | date \"15:04 MST\" }}", "00:13 CAT"),
            ("{{ since (toDate \"2006-01-02\" \"2023-11-14\") }}", "22h13m20s"),
            ("{{ since (toDate \"2006-01-02\" \"2023-11-14\") | humanizeDuration }}", "22h 13m 20s"),
            ("{{ toJson . }}", "{\"a\":\"x\\u003cy\"}"),
            ("{{ toJson (list 1 (dict \"b\" true)) }}", "[1,{\"b\":true}]"),
            ("{{ base64encode \"a?>\" }} {{ base64decode \"YT8-\" }}", "YT8- a?>"),
            ("{{ urlUnescape \"a%20b+c\" }}", "a b c"),
            ("{{ reReplaceAll \"(.)b\" \"${1}c\" \"abxb\" }}", "acxc"),
            ("{{ match \"^a.$\" \"ab\" }}", "true"),
            ("{{ append (list 1) 2 | len }}", "2"),
            ("{{ title \"foo BAR user's\" }}", "Foo Bar User's"),
        ] {
            assert_eq!(render(source), want, "{source}");
        }
        assert!(render("{{ dict 1 2 }}").contains("dict keys must be strings"));
    }
}
