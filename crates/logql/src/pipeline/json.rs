//! JSON in lines: everything flattened, or single values by path.
//!
//! Own code instead of a library: the language keeps numbers as they are written, takes the first of two equal keys, leaves
//! everything it was not asked for unread, and is run over every line of a query.

/// How deep objects and arrays may nest.
const MAX_DEPTH: usize = 128;

/// Why a text is no JSON.
pub(super) type JsonError = &'static str;

/// Reads one text from its beginning.
struct Scanner<'a> {
    text: &'a str,
    pos: usize,
    /// Where escapes are resolved.
    scratch: String,
}

/// A value, without what is inside objects and arrays.
enum Value<'a> {
    /// As it is written, escapes and all.
    Text(&'a str),
    /// A number, `true` or `false`, as it is written.
    Plain(&'a str),
    Null,
    Object,
    Array,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Scanner { text, pos: 0, scratch: String::new() }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.pos) {
            self.pos += 1;
        }
        bytes.get(self.pos).copied()
    }

    fn expect(&mut self, byte: u8, error: JsonError) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        Err(error)
    }

    /// A text without its quotes, escapes still in it.
    fn raw_text(&mut self) -> Result<&'a str, JsonError> {
        self.expect(b'"', "expected a string")?;
        let start = self.pos;
        let bytes = self.text.as_bytes();
        loop {
            let at = memchr::memchr2(b'"', b'\\', &bytes[self.pos..]).ok_or("string is not terminated")?;
            self.pos += at;
            if bytes[self.pos] == b'"' {
                self.pos += 1;
                return Ok(&self.text[start..self.pos - 1]);
            }
            // The escaped byte is ASCII in every valid escape; anything else shows when it is resolved.
            self.pos += 1;
            let escaped = self.text[self.pos..].chars().next().ok_or("string is not terminated")?;
            self.pos += escaped.len_utf8();
        }
    }

    /// The next value; objects and arrays only begin here.
    fn value(&mut self) -> Result<Value<'a>, JsonError> {
        match self.peek().ok_or("value is missing")? {
            b'"' => self.raw_text().map(Value::Text),
            b'{' => {
                self.pos += 1;
                Ok(Value::Object)
            }
            b'[' => {
                self.pos += 1;
                Ok(Value::Array)
            }
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Result<Value<'a>, JsonError> {
        let rest = &self.text[self.pos..];
        let len =
            rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count();
        let word = &rest[..len];
        self.pos += len;
        match word {
            "null" => Ok(Value::Null),
            "true" | "false" => Ok(Value::Plain(word)),
            _ if is_number(word) => Ok(Value::Plain(word)),
            _ => Err("unknown value"),
        }
    }

    /// Passes over the rest of an object or array whose opening bracket was taken.
    fn skip_rest(&mut self) -> Result<(), JsonError> {
        let mut depth = 1usize;
        let bytes = self.text.as_bytes();
        while depth > 0 {
            match bytes.get(self.pos).ok_or("bracket is not closed")? {
                b'"' => {
                    self.raw_text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.pos += 1;
        }
        Ok(())
    }

    /// Resolves the escapes of a text.
    fn resolved<'s>(&'s mut self, raw: &'s str) -> Result<&'s str, JsonError> {
        if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
            return Ok(raw);
        }
        self.scratch.clear();
        unescape(raw, &mut self.scratch)?;
        Ok(&self.scratch)
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit()) && word.parse::<f64>().is_ok()
}

/// Resolves JSON's escapes behind what is in `out` already.
fn unescape(raw: &str, out: &mut String) -> Result<(), JsonError> {
    let bad = "invalid escape in a string";
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1).ok_or(bad)?;
        rest = rest.get(at + 2..).ok_or(bad)?;
        out.push(match escape {
            b'"' | b'\\' | b'/' => escape as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, behind) = unicode(rest).ok_or(bad)?;
                rest = behind;
                c
            }
            _ => return Err(bad),
        });
    }
    out.push_str(rest);
    Ok(())
}

/// The character of `XXXX` or of a pair of surrogates; half a pair is U+FFFD.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let unit = |t: &str| u32::from_str_radix(t.get(..4)?, 16).ok();
    let first = unit(rest)?;
    let behind = rest.get(4..)?;
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = behind.strip_prefix("\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let c = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
        return Some((c, behind.get(6..)?));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), behind))
}

/// Whether the reader wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

/// Hands over every value of the object in `line`: nested keys joined by `_`, characters that no label may have as `_`, arrays and
/// nulls left out.
pub(super) fn flatten(line: &str, mut found: impl FnMut(&str, &str) -> More) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(line);
    scanner.expect(b'{', "value is not an object")?;
    let mut key = String::new();
    // Lengths of `key` outside of each open object.
    let mut open: Vec<usize> = vec![0];
    let mut first = true;
    while let Some(&prefix) = open.last() {
        if scanner.peek() == Some(b'}') {
            scanner.pos += 1;
            open.pop();
            first = false;
            continue;
        }
        if !first {
            scanner.expect(b',', "objects' members are separated by commas")?;
        }
        first = false;
        key.truncate(prefix);
        let raw = scanner.raw_text()?;
        push_key(&mut key, scanner.resolved(raw)?);
        scanner.expect(b':', "a key is followed by a colon")?;
        match scanner.value()? {
            // No label has an empty name.
            Value::Text(_) | Value::Plain(_) if key.is_empty() => {}
            Value::Text(raw) if found(&key, scanner.resolved(raw)?) == More::No => return Ok(()),
            Value::Plain(text) if found(&key, text) == More::No => return Ok(()),
            Value::Text(_) | Value::Plain(_) => {}
            Value::Null => {}
            Value::Array => scanner.skip_rest()?,
            Value::Object if open.len() == MAX_DEPTH => return Err("objects nest too deeply"),
            Value::Object => {
                open.push(key.len());
                first = true;
            }
        }
    }
    // Upstream does not look at what stands behind the object.
    Ok(())
}

/// Adds a key to the path so far, in the characters of a label's name.
fn push_key(path: &mut String, key: &str) {
    let key = key.trim();
    if !path.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) {
        path.push('_');
    }
    push_sanitized(path, key);
}

/// Adds text with every character that no label's name may have as `_`.
pub(super) fn push_sanitized(out: &mut String, text: &str) {
    if text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
        out.push_str(text);
        return;
    }
    out.extend(text.chars().map(|c| if c == '_' || c.is_ascii_alphanumeric() { c } else { '_' }));
}

/// Hands over the members of the object in `line` whose values are texts, as they are.
pub(super) fn text_members(line: &str, mut found: impl FnMut(&str, &str)) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(line);
    scanner.expect(b'{', "value is not an object")?;
    if scanner.peek() == Some(b'}') {
        return Ok(());
    }
    let (mut key, mut value) = (String::new(), String::new());
    loop {
        key.clear();
        let raw = scanner.raw_text()?;
        unescape(raw, &mut key)?;
        scanner.expect(b':', "a key is followed by a colon")?;
        match scanner.value()? {
            Value::Text(raw) => {
                value.clear();
                unescape(raw, &mut value)?;
                found(&key, &value);
            }
            Value::Object | Value::Array => scanner.skip_rest()?,
            Value::Plain(_) | Value::Null => {}
        }
        match scanner.peek() {
            Some(b',') => scanner.pos += 1,
            Some(b'}') => return Ok(()),
            _ => return Err("objects' members are separated by commas"),
        }
    }
}

/// Where a value stands: `user.tags[0]["odd key"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fail = || format!("cannot parse expression [{text}]: syntax error");
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix("[\"") {
                let end = inner.find("\"]").ok_or_else(fail)?;
                let mut key = String::new();
                unescape(&inner[..end], &mut key).map_err(|_| fail())?;
                steps.push(Step::Key(key));
                rest = &inner[end + 2..];
            } else if let Some(inner) = rest.strip_prefix('[') {
                let (index, behind) = inner.split_once(']').ok_or_else(fail)?;
                steps.push(Step::Index(index.trim().parse().map_err(|_| fail())?));
                rest = behind;
            } else {
                let name = match (rest.strip_prefix('.'), steps.is_empty()) {
                    (Some(name), false) => name,
                    (None, true) => rest,
                    _ => return Err(fail()),
                };
                let len = name.find(['.', '[']).unwrap_or(name.len());
                let valid = |c: char| c == '_' || c == '-' || c.is_alphanumeric();
                if len == 0 || !name[..len].chars().all(valid) {
                    return Err(fail());
                }
                steps.push(Step::Key(name[..len].to_owned()));
                rest = &name[len..];
            }
        }
        if steps.is_empty() { Err(fail()) } else { Ok(Path(steps)) }
    }

    /// The value there: a text without quotes, anything else as it is written, none if there is nothing, or null.
    pub(super) fn find(&self, line: &str) -> Option<String> {
        let mut scanner = Scanner::new(line);
        let mut value_at = 0;
        for step in &self.0 {
            scanner.pos = value_at;
            let value = scanner.value().ok()?;
            match (step, value) {
                (Step::Key(key), Value::Object) => find_member(&mut scanner, key)?,
                (Step::Index(index), Value::Array) => find_item(&mut scanner, *index)?,
                _ => return None,
            }
            value_at = scanner.pos;
        }
        scanner.peek()?;
        let start = scanner.pos;
        match scanner.value().ok()? {
            Value::Text(raw) => scanner.resolved(raw).ok().map(str::to_owned),
            Value::Plain(text) => Some(text.to_owned()),
            Value::Null => None,
            Value::Object | Value::Array => {
                scanner.skip_rest().ok()?;
                Some(line[start..scanner.pos].to_owned())
            }
        }
    }
}

/// Goes to the value of a member of the object just opened.
fn find_member(scanner: &mut Scanner<'_>, wanted: &str) -> Option<()> {
    if scanner.peek()? == b'}' {
        return None;
    }
    loop {
        let raw = scanner.raw_text().ok()?;
        let here = scanner.resolved(raw).ok()? == wanted;
        scanner.expect(b':', "").ok()?;
        if here {
            return Some(());
        }
        skip_value(scanner)?;
        scanner.expect(b',', "").ok()?;
    }
}

/// Goes to an item of the array just opened.
fn find_item(scanner: &mut Scanner<'_>, index: usize) -> Option<()> {
    if scanner.peek()? == b']' {
        return None;
    }
    for _ in 0..index {
        skip_value(scanner)?;
        scanner.expect(b',', "").ok()?;
    }
    Some(())
}

fn skip_value(scanner: &mut Scanner<'_>) -> Option<()> {
    match scanner.value().ok()? {
        Value::Object | Value::Array => scanner.skip_rest().ok(),
        _ => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flat(line: &str) -> Result<Vec<(String, String)>, JsonError> {
        let mut all = Vec::new();
        flatten(line, |k, v| {
            all.push((k.to_owned(), v.to_owned()));
            More::Yes
        })?;
        Ok(all)
    }

    #[test]
    fn objects_are_flattened_and_arrays_and_nulls_left_out() {
        let line = r#"{"lvl":"warn","obj":{"x":1,"y":{"z":2},"e":{}},"ok":true,"nil":null,"arr":[1,{"a":"]"}],"f":1.50,"a.b":"é\n\u00e9\ud83d\ude00","9x":-3e2}"#;
        let expected = [
            ("lvl", "warn"),
            ("obj_x", "1"),
            ("obj_y_z", "2"),
            ("ok", "true"),
            ("f", "1.50"),
            ("a_b", "é\né😀"),
            ("_9x", "-3e2"),
        ];
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(flat(line), Ok(expected));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bad in
            ["", "broken", "[1]", "\"x\"", "{", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, r#"{"a":"\q"}"#]
        {
            assert!(flat(bad).is_err(), "{bad}");
        }
        assert_eq!(flat("{}"), Ok(vec![]));
        assert_eq!(flat(r#"{"":1,"a":2}behind"#), Ok(vec![("a".to_owned(), "2".to_owned())]));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
        assert!(flat(&deep).is_err());
    }

    #[test]
    fn a_path_leads_to_its_value() {
        let line = r#"{"user":{"id":"u1","tags":["x",{"k k":"y"}],"n":null},"a": [1, 2]}"#;
        let find = |path: &str| Path::parse(path).unwrap().find(line);
        assert_eq!(find("user.id").as_deref(), Some("u1"));
        assert_eq!(find("user.tags[0]").as_deref(), Some("x"));
        assert_eq!(find(r#"user.tags[1]["k k"]"#).as_deref(), Some("y"));
        assert_eq!(find("a").as_deref(), Some("[1, 2]"));
        for absent in ["user.age", "user.n", "user.tags[2]", "a.b", "user[0]"] {
            assert_eq!(find(absent), None, "{absent}");
        }
        for bad in ["user[", "", ".", "a..b", "a[x]", "[\"x]"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "[\\[\\]{}\",:a-c0-9\\\\u. \\-é]{0,40}") {
            let _ = flat(&text);
            let _ = text_members(&text, |_, _| {});
            if let Ok(path) = Path::parse(&text) {
                let _ = path.find(&text);
            }
        }
    }
}
