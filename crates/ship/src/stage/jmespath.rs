//! Expressions of the `json` stage: JMESPath (<https://jmespath.org/specification.html>).
//!
//! Most are plain paths (`a."b-c"[0].d`). These are followed here, in the parsed line itself. The `jmespath` crate does everything else
//! (projections, filters, multi-selects, pipes, functions); it wants the line in a form of its own, which is made once a line and only then.

use std::{cell::OnceCell, fmt, io, sync::Arc};

use jmespath::{Rcvar, Variable};
use serde_json::Value as Json;

use super::extract::of_json;
use crate::entry::Value;

/// Characters that an expression may have: its reader and its interpreter go as deep as it is nested.
const MAX_TEXT: usize = 512;

/// Brackets within brackets that an expression may have.
const MAX_DEPTH: usize = 32;

/// Digits of an index or of a part of a slice, so that no sum of them overflows.
const MAX_DIGITS: usize = 9;

/// Bytes of a list or an object that an expression makes, as text.
const MAX_RESULT: usize = 16 << 20;

/// What a name of the stage is set to.
#[derive(Debug)]
pub(crate) enum Expression {
    /// Names and indexes only.
    Path(Path),
    /// Anything else.
    Query(jmespath::Expression<'static>),
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExpressionError {
    text: String,
    why: String,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JMESPath {:?}: {}", self.text, self.why)
    }
}

/// A line that expressions are asked about.
#[derive(Debug)]
pub(crate) struct Document {
    value: Json,
    /// The same for the `jmespath` crate.
    copy: OnceCell<Option<Rcvar>>,
}

impl Document {
    pub fn new(value: Json) -> Self {
        Document { value, copy: OnceCell::new() }
    }

    fn copy(&self) -> Option<&Rcvar> {
        self.copy.get_or_init(|| Variable::from_serializable(&self.value).ok().map(Arc::new)).as_ref()
    }
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let refuse = |why: String| ExpressionError { text: text.chars().take(MAX_TEXT).collect(), why };
        if let Some(path) = Path::parse(text) {
            return Ok(Expression::Path(path));
        }
        within_bounds(text).map_err(refuse)?;
        let read = jmespath::compile(text)
            .map_err(|e| refuse(format!("{} at character {}", e.reason, e.offset.saturating_add(1))))?;
        Ok(Expression::Query(read))
    }

    /// What the expression makes of a line. `None`: it cannot be asked about this one, such as `length(a)` where `a` is a number.
    pub fn find(&self, document: &Document) -> Option<Value> {
        match self {
            Expression::Path(path) => Some(path.find(&document.value).map_or(Value::Nil, of_json)),
            Expression::Query(query) => {
                let found = query.search(document.copy()?).ok()?;
                of_variable(&found)
            }
        }
    }
}

/// A result as stages know it; lists and objects are JSON texts.
fn of_variable(value: &Variable) -> Option<Value> {
    Some(match value {
        Variable::Null | Variable::Expref(_) => Value::Nil,
        Variable::Bool(b) => Value::Bool(*b),
        Variable::Number(n) => of_json(&Json::Number(n.clone())),
        Variable::String(s) => Value::Text(s.clone()),
        Variable::Array(_) | Variable::Object(_) => {
            let mut text = Bounded(Vec::new());
            serde_json::to_writer(&mut text, value).ok()?;
            Value::Text(String::from_utf8(text.0).ok()?)
        }
    })
}

/// Takes so many bytes and no more: parts of a result are shared, so that few of them may be a long text.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RESULT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the crate may be given this text: it recurses without a limit of its own, and adds without looking.
fn within_bounds(text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_TEXT {
        return Err(format!("has more than {MAX_TEXT} characters"));
    }
    // `!` and `&` nest like brackets do, but end with what they stand before.
    let (mut depth, mut prefixes, mut digits) = (0_usize, 0, 0);
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        if let Some(end) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == end => quote = None,
                _ => {}
            }
            continue;
        }
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        prefixes = match c {
            '!' | '&' => prefixes + 1,
            c if c.is_whitespace() => prefixes,
            _ => 0,
        };
        match c {
            '\'' | '"' | '`' => quote = Some(c),
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth + prefixes > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} deep"));
        }
        if digits > MAX_DIGITS {
            return Err(format!("has a number of more than {MAX_DIGITS} digits"));
        }
    }
    Ok(())
}

/// A path into a JSON value: names, quoted names, indexes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(i64),
}

impl Path {
    /// Reads a path; `None` for an expression that is more than that, or none at all.
    fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        let mut wants_name = !rest.starts_with('[') && !rest.is_empty();
        // `@` is the value itself.
        if let Some(after) = rest.strip_prefix('@') {
            rest = after;
            wants_name = false;
        }
        while !rest.is_empty() || wants_name {
            if wants_name {
                let (key, after) = name(rest)?;
                steps.push(Step::Key(key));
                rest = after;
                wants_name = false;
            } else if let Some(after) = rest.strip_prefix('[') {
                let (index, after) = after.split_once(']')?;
                let index = index.trim();
                let digits = index.strip_prefix('-').unwrap_or(index);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                steps.push(Step::Index(index.parse().ok()?));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = after;
                wants_name = true;
            } else {
                return None;
            }
        }
        Some(Path(steps))
    }

    /// The value that the path leads to; null is none.
    fn find<'a>(&self, mut value: &'a Json) -> Option<&'a Json> {
        for step in &self.0 {
            value = match step {
                Step::Key(key) => value.get(key)?,
                Step::Index(i) => {
                    let list = value.as_array()?;
                    let at = if *i < 0 { i.checked_add(list.len() as i64)? } else { *i };
                    list.get(usize::try_from(at).ok()?)?
                }
            };
        }
        (!value.is_null()).then_some(value)
    }
}

/// A bare or quoted name at the start of `text`, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        // Quoted names are JSON texts.
        let mut texts = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = texts.next()?.ok()?;
        return Some((name, &text[texts.byte_offset()..]));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let bare = &text[..end];
    let valid = bare.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    valid.then(|| (bare.to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(expression: &str, json: &str) -> Option<Value> {
        let document = Document::new(serde_json::from_str(json).unwrap());
        Expression::parse(expression).unwrap().find(&document)
    }

    #[test]
    fn a_path_leads_through_names_quoted_names_and_indexes() {
        let json = r#"{"a":{"b-c":[{"d":1},{"d":2}]},"n":null,"_x":"y"}"#;
        for (path, expected) in [
            (r#"a."b-c"[0].d"#, Value::Int(1)),
            (r#"a."b-c"[-1].d"#, Value::Int(2)),
            (r#"a."b-c"[5].d"#, Value::Nil),
            ("_x", Value::Text("y".to_owned())),
            ("n", Value::Nil),
            ("a.x.y", Value::Nil),
            ("@._x", Value::Text("y".to_owned())),
        ] {
            assert!(matches!(Expression::parse(path), Ok(Expression::Path(_))), "{path}");
            assert_eq!(ask(path, json), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_more_than_a_path_is_asked_as_the_specification_says() {
        let json = r#"{"list":[{"n":"a","v":1},{"n":"b","v":2.5},{"n":"c"}],"o":{"y":2,"x":1},"deep":[[1,2],[3]],"s":"text","zero":0}"#;
        let text = |t: &str| Some(Value::Text(t.to_owned()));
        for (expression, expected) in [
            ("list[*].n", text(r#"["a","b","c"]"#)),
            ("list[*].v", text("[1,2.5]")),
            ("list[1:].n", text(r#"["b","c"]"#)),
            ("list[::-1].n", text(r#"["c","b","a"]"#)),
            ("list[?n == 'b'].v | [0]", Some(Value::Float(2.5))),
            ("list[?v > `1`] | length(@)", Some(Value::Int(1))),
            ("list[?!v].n", text(r#"["c"]"#)),
            ("o.*", text("[1,2]")),
            ("deep[]", text("[1,2,3]")),
            ("o.{b: y, a: x}", text(r#"{"a":1,"b":2}"#)),
            ("[s, zero]", text(r#"["text",0]"#)),
            ("missing || s", text("text")),
            ("s && zero", Some(Value::Int(0))),
            ("contains(s, 'ex')", Some(Value::Bool(true))),
            ("join(',', list[].n)", text("a,b,c")),
            ("keys(o)", text(r#"["x","y"]"#)),
            ("max_by(list[?v], &v).n", text("b")),
            ("sort_by(list, &n)[-1].n", text("c")),
            ("to_number('12')", Some(Value::Int(12))),
            ("not_null(missing, s)", text("text")),
            ("missing[*].x", Some(Value::Nil)),
            ("`{\"k\": [1]}`.k[0]", Some(Value::Int(1))),
        ] {
            assert_eq!(ask(expression, json), expected, "{expression}");
        }
        // Promtail leaves a value as it was if the expression cannot be asked.
        assert_eq!(ask("length(zero)", json), None);
        assert_eq!(ask("nosuch(s)", json), None);
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_place() {
        for expression in ["a.", "a-b", "a..b", "\"a", "a[", "a[?x", "{a b}", "@abc", "a[+1]", "|"] {
            let error = Expression::parse(expression).unwrap_err().to_string();
            assert!(error.contains("JMESPath") && error.contains("at character"), "{expression}: {error}");
        }
    }

    #[test]
    fn what_would_go_too_deep_or_overflow_is_refused() {
        for (expression, why) in [
            ("[".repeat(400), "nested"),
            ("!".repeat(400), "nested"),
            ("! ".repeat(200), "nested"),
            (format!("a{}", ".b.*".repeat(200)), "characters"),
            ("a[::2147483647]".to_owned(), "digits"),
            ("a[-2147483648] | b".to_owned(), "digits"),
        ] {
            let error = Expression::parse(&expression).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        // As long as can be, and yet harmless.
        for piece in [".*", "[]", "|@", "||a", "&&a", "!=a", "&&!a"] {
            let long = format!("a{}", piece.repeat((MAX_TEXT - 1) / piece.len()));
            let document = Document::new(serde_json::from_str("{\"a\":[[[1]]]}").unwrap());
            let _ = Expression::parse(&long).unwrap().find(&document);
        }
    }

    #[test]
    fn a_result_that_shares_its_parts_does_not_fill_memory() {
        let doubled = format!("s{}", "|[@,@]".repeat(40));
        assert_eq!(ask(&doubled, r#"{"s":"text"}"#), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_and_no_line_the_expression(
            text in r#"([ab]|\.|\*|\[|\]|\||\|\||&&|!|@|,|:|\(|\)|\{|\}|\?|`1`|'x'|"a"|==|<|-?[0-9]{1,9}|length\(|sort_by\(|max_by\(|map\(&|&|slice|\[::-?[0-9]{1,9}\]){0,24}|.{0,20}"#,
            json in r#"\{"a":(\[1,2,"x",null,\{"b":1\}\]|\{"b":\[\[1\],2\]\}|"t"|-1\.5|null)\}"#,
        ) {
            if let Ok(expression) = Expression::parse(&text) {
                let _ = expression.find(&Document::new(serde_json::from_str(&json).unwrap()));
            }
        }
    }
}
