//! The functions of `line_format` and `label_format`.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use reba_model::{GoRegex, float};
use reba_template::{Functions, Param, Value, title};

use super::{decimal::Operation, state::LineState};
use crate::units;

/// Longest text that a function makes: a template can ask for more in a few characters.
const MAX_TEXT: usize = 1 << 20;

/// Longest expression of the functions that take one.
const MAX_PATTERN: usize = 4096;

/// What the functions without arguments tell about the line.
#[derive(Default)]
struct LineFacts {
    line: String,
    ns: i64,
    /// Time of the query, Unix nanoseconds.
    now_ns: i64,
}

/// The functions, and the line for which those without arguments answer. Making the table costs more than running most templates:
/// one serves a thread.
pub(super) struct Tools {
    facts: Arc<Mutex<LineFacts>>,
    pub(super) table: Functions,
}

impl Tools {
    pub(super) fn new() -> Self {
        let facts = Arc::<Mutex<LineFacts>>::default();
        let mut table = Functions::new();
        let (line, ns, now) = (Arc::clone(&facts), Arc::clone(&facts), Arc::clone(&facts));
        table
            .add("__line__", &[], move |_| Ok(Value::from(lock(&line).line.as_str())))
            .add("__timestamp__", &[], move |_| Ok(super::moments::time(lock(&ns).ns)))
            .add("now", &[], move |_| Ok(super::moments::time(lock(&now).now_ns)));
        text_functions(&mut table);
        search_functions(&mut table);
        layout_functions(&mut table);
        number_functions(&mut table);
        conversion_functions(&mut table);
        super::moments::add(&mut table);
        Tools { facts, table }
    }

    /// From now on the functions answer for the line in `state`.
    pub(super) fn tell(&self, state: &LineState, original: &str, now_ns: i64) {
        let mut facts = lock(&self.facts);
        facts.line.clear();
        facts.line.push_str(state.line(original));
        (facts.ns, facts.now_ns) = (state.ns(), now_ns);
    }
}

fn lock(facts: &Mutex<LineFacts>) -> MutexGuard<'_, LineFacts> {
    facts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(args: &[Value], i: usize) -> String {
    args.get(i).and_then(Value::as_str).map(|s| s.to_string()).unwrap_or_default()
}

fn whole(args: &[Value], i: usize) -> i64 {
    args.get(i).map_or(0, to_int)
}

fn bounded(text: String) -> Result<Value, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("text is longer than {MAX_TEXT} bytes"));
    }
    Ok(Value::from(text))
}

/// A function from a text to a text.
fn mapped(f: fn(&str) -> String) -> impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static {
    move |args| bounded(f(&text(args, 0)))
}

fn text_functions(table: &mut Functions) {
    use Param::Text;
    let chars = |set: &str| set.chars().collect::<Vec<char>>();
    table
        .add("ToLower", &[Text], mapped(str::to_lowercase))
        .add("ToUpper", &[Text], mapped(str::to_uppercase))
        .add("lower", &[Text], mapped(str::to_lowercase))
        .add("upper", &[Text], mapped(str::to_uppercase))
        .add("title", &[Text], mapped(title))
        .add("TrimSpace", &[Text], mapped(|s| s.trim().to_owned()))
        .add("trim", &[Text], mapped(|s| s.trim().to_owned()))
        .add("Trim", &[Text, Text], move |a| {
            let set = chars(&text(a, 1));
            Ok(Value::from(text(a, 0).trim_matches(set.as_slice())))
        })
        .add("TrimLeft", &[Text, Text], move |a| {
            let set = chars(&text(a, 1));
            Ok(Value::from(text(a, 0).trim_start_matches(set.as_slice())))
        })
        .add("TrimRight", &[Text, Text], move |a| {
            let set = chars(&text(a, 1));
            Ok(Value::from(text(a, 0).trim_end_matches(set.as_slice())))
        })
        .add("trimAll", &[Text, Text], move |a| {
            let set = chars(&text(a, 0));
            Ok(Value::from(text(a, 1).trim_matches(set.as_slice())))
        })
        .add("TrimPrefix", &[Text, Text], |a| Ok(Value::from(without_prefix(&text(a, 0), &text(a, 1)))))
        .add("TrimSuffix", &[Text, Text], |a| Ok(Value::from(without_suffix(&text(a, 0), &text(a, 1)))))
        .add("trimPrefix", &[Text, Text], |a| Ok(Value::from(without_prefix(&text(a, 1), &text(a, 0)))))
        .add("trimSuffix", &[Text, Text], |a| Ok(Value::from(without_suffix(&text(a, 1), &text(a, 0)))))
        .add("Replace", &[Text, Text, Text, Param::Any], |a| {
            bounded(replace(&text(a, 0), &text(a, 1), &text(a, 2), whole(a, 3)))
        })
        .add("replace", &[Text, Text, Text], |a| bounded(replace(&text(a, 2), &text(a, 0), &text(a, 1), -1)))
        .add("default", &[Param::Any, Param::Any], |a| {
            Ok(if a[1].truth() { a[1].clone() } else { a[0].clone() })
        });
}

fn search_functions(table: &mut Functions) {
    use Param::Text;
    table
        .add("contains", &[Text, Text], |a| Ok(Value::from(text(a, 1).contains(&text(a, 0)))))
        .add("hasPrefix", &[Text, Text], |a| Ok(Value::from(text(a, 1).starts_with(&text(a, 0)))))
        .add("hasSuffix", &[Text, Text], |a| Ok(Value::from(text(a, 1).ends_with(&text(a, 0)))))
        .add("count", &[Text, Text], |a| {
            let (regex, text) = (regex(&text(a, 0))?, text(a, 1));
            Ok(Value::from(regex.count_matches(&text) as i64))
        })
        .add("regexReplaceAll", &[Text, Text, Text], |a| {
            bounded(regex(&text(a, 0))?.replace_all(&text(a, 1), &text(a, 2)).into_owned())
        })
        .add("regexReplaceAllLiteral", &[Text, Text, Text], |a| {
            let literal = text(a, 2).replace('$', "$$");
            bounded(regex(&text(a, 0))?.replace_all(&text(a, 1), &literal).into_owned())
        })
        .cost("count", 50)
        .cost("regexReplaceAll", 50)
        .cost("regexReplaceAllLiteral", 50);
}

fn regex(pattern: &str) -> Result<GoRegex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("expression is longer than {MAX_PATTERN} bytes"));
    }
    GoRegex::search(pattern).map_err(|e| e.to_string())
}

fn layout_functions(table: &mut Functions) {
    use Param::{Any, Text};
    table
        .add("trunc", &[Any, Text], |a| Ok(Value::from(truncated(&text(a, 1), whole(a, 0)))))
        .add("substr", &[Any, Any, Text], |a| substr(&text(a, 2), whole(a, 0), whole(a, 1)).map(Value::from))
        .add("repeat", &[Any, Text], |a| {
            let (times, text) = (whole(a, 0).max(0) as usize, text(a, 1));
            if text.len().saturating_mul(times) > MAX_TEXT {
                return Err(format!("text is longer than {MAX_TEXT} bytes"));
            }
            Ok(Value::from(text.repeat(times)))
        })
        .add("indent", &[Any, Text], |a| bounded(indented(&text(a, 1), whole(a, 0))))
        .add("nindent", &[Any, Text], |a| bounded(format!("\n{}", indented(&text(a, 1), whole(a, 0)))))
        .add("alignLeft", &[Any, Text], |a| bounded(aligned(&text(a, 1), whole(a, 0), false)))
        .add("alignRight", &[Any, Text], |a| bounded(aligned(&text(a, 1), whole(a, 0), true)));
}

fn number_functions(table: &mut Functions) {
    table
        .add("int", &[Param::Any], |a| Ok(Value::from(to_int(&a[0]))))
        .add("float64", &[Param::Any], |a| Ok(Value::from(to_float(&a[0]))))
        .add("ceil", &[Param::Any], |a| Ok(Value::from(to_float(&a[0]).ceil())))
        .add("floor", &[Param::Any], |a| Ok(Value::from(to_float(&a[0]).floor())))
        .add("round", &[Param::Any, Param::Any], |a| {
            let scale = 10f64.powi(whole(a, 1).clamp(-300, 300) as i32);
            Ok(Value::from((to_float(&a[0]) * scale).round() / scale))
        })
        .variadic("round", Param::Any);
    for (name, f) in [("add", i64::wrapping_add as fn(i64, i64) -> i64), ("mul", i64::wrapping_mul)] {
        table.add(name, &[Param::Any], move |a| Ok(Value::from(ints(a).reduce(f).unwrap_or(0))));
        table.variadic(name, Param::Any);
    }
    for (name, f) in [("max", i64::max as fn(i64, i64) -> i64), ("min", i64::min)] {
        table.add(name, &[Param::Any], move |a| Ok(Value::from(ints(a).reduce(f).unwrap_or(0))));
        table.variadic(name, Param::Any);
    }
    for (name, f) in [
        ("sub", (|a, b| Ok(a.wrapping_sub(b))) as fn(i64, i64) -> Result<i64, String>),
        ("div", |a, b| if b == 0 { Err("division by zero".to_owned()) } else { Ok(a.wrapping_div(b)) }),
        ("mod", |a, b| if b == 0 { Err("division by zero".to_owned()) } else { Ok(a.wrapping_rem(b)) }),
    ] {
        table.add(name, &[Param::Any, Param::Any], move |a| f(to_int(&a[0]), to_int(&a[1])).map(Value::from));
    }
    for (name, operation) in [
        ("addf", Operation::Add),
        ("subf", Operation::Subtract),
        ("mulf", Operation::Multiply),
        ("divf", Operation::Divide),
    ] {
        table.add(name, &[Param::Any], move |a| {
            let mut numbers = a.iter().map(to_float);
            let first = numbers.next().unwrap_or(0.0);
            numbers.try_fold(first, |a, b| operation.of(a, b)).map(Value::from)
        });
        table.variadic(name, Param::Any);
    }
    for (name, f) in [("maxf", f64::max as fn(f64, f64) -> f64), ("minf", f64::min)] {
        table.add(name, &[Param::Any], move |a| {
            Ok(Value::from(a.iter().map(to_float).reduce(f).unwrap_or(0.0)))
        });
        table.variadic(name, Param::Any);
    }
}

fn conversion_functions(table: &mut Functions) {
    use Param::Text;
    table
        .add("bytes", &[Text], |a| {
            units::byte_size(&text(a, 0)).map(|bytes| Value::from(bytes as f64)).map_err(|e| e.clone())
        })
        .add("duration", &[Text], |a| units::go_duration(&text(a, 0)).map(|ns| Value::from(ns as f64 / 1e9)))
        .add("duration_seconds", &[Text], |a| {
            units::go_duration(&text(a, 0)).map(|ns| Value::from(ns as f64 / 1e9))
        })
        .add("urlencode", &[Text], mapped(reba_template::escape::query))
        .add("urldecode", &[Text], |a| url_decoded(&text(a, 0)).map(Value::from))
        .add("fromJson", &[Text], |a| Ok(from_json(&text(a, 0))))
        .cost("fromJson", 50)
        .add("b64enc", &[Text], mapped(|s| STANDARD.encode(s)))
        .add("b64dec", &[Text], |a| Ok(Value::from(base64_decoded(&text(a, 0)))));
}

fn ints(args: &[Value]) -> impl Iterator<Item = i64> + '_ {
    args.iter().map(to_int)
}

/// A whole number of anything, 0 where there is none, as upstream's library casts.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(i) => *i,
        Value::Float(f) => *f as i64,
        Value::Bool(b) => i64::from(*b),
        other => other.as_str().and_then(|s| s.trim().parse().ok()).unwrap_or(0),
    }
}

fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(i) => *i as f64,
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        other => other.as_str().and_then(|s| float::parse_go(s.trim())).unwrap_or(0.0),
    }
}

fn without_prefix(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}

fn without_suffix(text: &str, suffix: &str) -> String {
    text.strip_suffix(suffix).unwrap_or(text).to_owned()
}

/// At most `times` replacements, all of them if it is negative.
fn replace(text: &str, old: &str, new: &str, times: i64) -> String {
    let most = MAX_TEXT / new.len().max(1) + 1;
    let times = usize::try_from(times).unwrap_or(usize::MAX).min(most);
    text.replacen(old, new, times)
}

/// The last place not behind `at` where a character begins, or the end.
fn char_start(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// The first `n` bytes, or with a negative `n` the last ones; never half a character.
fn truncated(text: &str, n: i64) -> String {
    let len = text.len();
    let count = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= len {
        return text.to_owned();
    }
    if n >= 0 {
        text[..char_start(text, count)].to_owned()
    } else {
        let mut start = len - count;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text[start..].to_owned()
    }
}

/// Bytes from `start` to `end`; a negative start is the beginning, a negative or too large end the end.
fn substr(text: &str, start: i64, end: i64) -> Result<String, String> {
    let start = usize::try_from(start).unwrap_or(0);
    let end = usize::try_from(end).unwrap_or(text.len()).min(text.len());
    if start > end {
        return Err(format!("slice bounds out of range [{start}:{end}]"));
    }
    Ok(text[char_start(text, start)..char_start(text, end)].to_owned())
}

/// What is written in JSON; nothing if it is none.
fn from_json(text: &str) -> Value {
    serde_json::from_str(text).map_or(Value::Nil, json_value)
}

/// (What is nested deeper than a hundred levels, the reader of JSON has refused.)
fn json_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::from(b),
        serde_json::Value::Number(n) => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(s) => Value::from(s),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(json_value).collect()),
        serde_json::Value::Object(members) => {
            Value::map(members.into_iter().map(|(name, value)| (name, json_value(value))).collect())
        }
    }
}

fn indented(text: &str, spaces: i64) -> String {
    let pad = " ".repeat(usize::try_from(spaces).unwrap_or(0).min(1000));
    let mut out = String::with_capacity(text.len() + pad.len());
    for (i, line) in text.split('\n').enumerate() {
        let separator = if i == 0 { "" } else { "\n" };
        let _ = write!(out, "{separator}{pad}{line}");
        if out.len() > MAX_TEXT {
            break;
        }
    }
    out
}

/// The text cut or filled to so many characters.
fn aligned(text: &str, width: i64, right: bool) -> String {
    let width = usize::try_from(width).unwrap_or(0).min(MAX_TEXT);
    let chars = text.chars().count();
    if chars >= width {
        return if right {
            text.chars().skip(chars - width).collect()
        } else {
            text.chars().take(width).collect()
        };
    }
    let pad = " ".repeat(width - chars);
    if right { format!("{pad}{text}") } else { format!("{text}{pad}") }
}

fn url_decoded(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next(), bytes.next()];
                let hex = |d: Option<u8>| d.and_then(|d| (d as char).to_digit(16));
                match (hex(digits[0]), hex(digits[1])) {
                    (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
                    _ => return Err(format!("invalid URL escape in {}", float::go_quote(text))),
                }
            }
            b => out.push(b),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The bytes as text; what is no base64 gives the reason, as upstream's library does.
fn base64_decoded(text: &str) -> String {
    match STANDARD.decode(text) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _)) => {
            format!("illegal base64 data at input byte {at}")
        }
        Err(_) => format!("illegal base64 data at input byte {}", text.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reba_template::{MissingKey, Options, Template};

    use super::*;

    fn run(template: &str) -> String {
        let tools = Tools::new();
        tools.tell(&LineState::default(), "the line", 0);
        let table = &tools.table;
        let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
        let data = Value::string_map([("a", "Hello World"), ("n", "12")]);
        Template::parse("t", template, table).unwrap().execute(&data, table, &options).unwrap()
    }

    #[test]
    fn functions_take_their_subject_where_upstream_has_it() {
        for (template, expected) in [
            (r#"{{ Replace .a "l" "L" 1 }}"#, "HeLlo World"),
            (r#"{{ .a | replace "l" "L" }}"#, "HeLLo WorLd"),
            ("{{ .a | trunc 5 }}|{{ .a | trunc -5 }}", "Hello|World"),
            ("{{ .a | substr 0 4 }}", "Hell"),
            (r#"{{ if contains "World" .a }}y{{ end }}"#, "y"),
            (r#"{{ regexReplaceAll "(l+)" .a "<$1>" }}"#, "He<ll>o Wor<l>d"),
            ("{{ alignLeft 3 .n }}|{{ alignRight 4 .n }}|{{ alignRight 1 .n }}", "12 |  12|2"),
            ("{{ add 1 2 .n }} {{ sub 5 3 }} {{ div 7 2 }} {{ mulf 1.5 2 }} {{ max 1 9 3 }}", "15 2 3 3 9"),
            ("{{ .a | b64enc }}|{{ .a | b64enc | b64dec }}", "SGVsbG8gV29ybGQ=|Hello World"),
            (r#"{{ urlencode "a b&c" }}|{{ urldecode "a+b%26c" }}"#, "a+b%26c|a b&c"),
            (r#"{{ __line__ | title }}|{{ .missing | default "none" }}"#, "The Line|none"),
            (r#"{{ bytes "5MB" }} {{ duration "1m30s" }} {{ count "l" .a }}"#, "5e+06 90 3"),
            (
                r#"{{ fromJson "[1,2.5,\"a\",null,true,{\"a\":1}]" }} {{ (fromJson "{\"a\":{\"b\":\"c\"}}").a.b }}"#,
                "[1 2.5 a <nil> true map[a:1]] c",
            ),
            (
                r#"{{ fromJson "x" }} {{ range $i, $e := fromJson "[7]" }}{{ $i }}={{ $e }}{{ end }} {{ addf 63.496 1.5 }}"#,
                "<no value> 0=7 64.996",
            ),
            (r#"{{ indent 2 "x" }}{{ nindent 1 "y" }}"#, "  x\n y"),
        ] {
            assert_eq!(run(template), expected, "{template}");
        }
    }

    #[test]
    fn a_template_cannot_ask_for_gigabytes() {
        let table = Tools::new().table;
        for template in
            [r#"{{ repeat 1000000000 "xxxxxxxxxx" }}"#, r#"{{ alignRight 1000000000 "x" | repeat 1000 }}"#]
        {
            let parsed = Template::parse("t", template, &table).unwrap();
            assert!(parsed.execute(&Value::Nil, &table, &Options::default()).is_err(), "{template}");
        }
    }

    proptest! {
        #[test]
        fn base64_decodes_to_what_was_encoded(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(base64_decoded(&STANDARD.encode(&text)), text);
        }
    }
}
