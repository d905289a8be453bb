//! Go's predefined template functions.

use std::cmp::Ordering;

use crate::{
    escape,
    function::Param,
    print::{self, TooLong},
    value::Value,
};

/// How a builtin is called: its parameters, and what may follow them.
pub(crate) fn signature(name: &str) -> Option<(&'static [Param], Option<Param>)> {
    use Param::{Any, Text};
    Some(match name {
        "and" | "or" | "call" | "index" | "slice" | "eq" => (&[Any], Some(Any)),
        "html" | "js" | "urlquery" | "print" | "println" => (&[], Some(Any)),
        "len" | "not" => (&[Any], None),
        "printf" => (&[Text], Some(Any)),
        "ne" | "lt" | "le" | "gt" | "ge" => (&[Any, Any], None),
        _ => return None,
    })
}

/// Calls a builtin; no text it returns is longer than `limit` bytes.
pub(crate) fn call(name: &str, args: &[Value], limit: usize) -> Result<Value, String> {
    let first = args.first().unwrap_or(&Value::Nil);
    let second = args.get(1).unwrap_or(&Value::Nil);
    let rest = args.get(1..).unwrap_or(&[]);
    match name {
        "and" => Ok(args.iter().find(|v| !v.truth()).or(args.last()).cloned().unwrap_or_default()),
        "or" => Ok(args.iter().find(|v| v.truth()).or(args.last()).cloned().unwrap_or_default()),
        "not" => Ok(Value::Bool(!first.truth())),
        "len" => length(first),
        "index" => index(first, rest),
        "slice" => slice(first, rest),
        "eq" => equal(first, rest).map(Value::Bool),
        "ne" => equal(first, rest).map(|same| Value::Bool(!same)),
        "lt" => less(first, second).map(Value::Bool),
        "le" => less_or_equal(first, second).map(Value::Bool),
        // Go negates, so that a comparison with NaN is true here.
        "gt" => less_or_equal(first, second).map(|le| Value::Bool(!le)),
        "ge" => less(first, second).map(|lt| Value::Bool(!lt)),
        "print" => text(print::sprint(args, limit), limit),
        "println" => text(print::sprintln(args, limit), limit),
        "printf" => text(print::sprintf(&first.as_str().unwrap_or_default(), rest, limit), limit),
        "html" => Ok(Value::from(escape::html(&joined(args, limit)?))),
        "js" => Ok(Value::from(escape::js(&joined(args, limit)?))),
        "urlquery" => Ok(Value::from(escape::query(&joined(args, limit)?))),
        "call" => Err(match first {
            Value::Nil => "call of nil".to_owned(),
            other => format!("non-function of type {}", other.type_name()),
        }),
        _ => Err(format!("no builtin {name}")),
    }
}

/// What every text beyond the limit ends in.
pub(crate) fn too_long(limit: usize) -> String {
    format!("text is longer than {limit} bytes")
}

fn text(result: Result<String, TooLong>, limit: usize) -> Result<Value, String> {
    result.map(Value::from).map_err(|TooLong| too_long(limit))
}

/// The arguments of an escaping function as one text.
fn joined(args: &[Value], limit: usize) -> Result<String, String> {
    match args {
        [Value::String(s)] => Ok(s.to_string()),
        _ => {
            let shown = |v: &Value| if matches!(v, Value::Nil) { Value::from(NO_VALUE) } else { v.clone() };
            let shown: Vec<Value> = args.iter().map(shown).collect();
            print::sprint(&shown, limit).map_err(|TooLong| too_long(limit))
        }
    }
}

/// How nothing prints by itself.
pub(crate) const NO_VALUE: &str = "<no value>";

fn length(item: &Value) -> Result<Value, String> {
    let n = match item.plain() {
        Value::String(s) => s.len(),
        Value::List(l) => l.items.len(),
        Value::StringMap(m) => m.len(),
        Value::Map(m) => m.entries.len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        _ => return Err(format!("len of type {}", item.type_name())),
    };
    Ok(Value::Int(n as i64))
}

/// A position inside something of `len` items; `end` may be `len` itself.
fn position(index: &Value, len: usize, end: bool) -> Result<usize, String> {
    let n = match index.plain() {
        Value::Int(n) => n,
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        _ => return Err(format!("cannot index slice/array with type {}", index.type_name())),
    };
    let last = if end { len + 1 } else { len };
    usize::try_from(n).ok().filter(|n| *n < last).ok_or_else(|| format!("index out of range: {n}"))
}

fn index(item: &Value, indexes: &[Value]) -> Result<Value, String> {
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = item.clone();
    for index in indexes {
        let key = || {
            index.as_str().ok_or_else(|| match index {
                Value::Nil => "value is nil; should be of type string".to_owned(),
                other => format!("value has type {}; should be string", other.type_name()),
            })
        };
        item = match item.plain() {
            Value::List(l) => l.items[position(index, l.items.len(), false)?].clone(),
            Value::String(s) => {
                let at = position(index, s.len(), false)?;
                Value::Int(i64::from(s.as_bytes()[at]))
            }
            Value::StringMap(m) => Value::from(m.get(&*key()?).map_or("", String::as_str)),
            Value::Map(m) => m.entries.get(&*key()?).cloned().unwrap_or_default(),
            Value::Nil => return Err("index of nil pointer".to_owned()),
            _ => return Err(format!("can't index item of type {}", item.type_name())),
        };
    }
    Ok(item)
}

fn slice(item: &Value, indexes: &[Value]) -> Result<Value, String> {
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let plain = item.plain();
    let len = match &plain {
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        Value::String(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::String(s) => s.len(),
        Value::List(l) => l.items.len(),
        _ => return Err(format!("can't slice item of type {}", item.type_name())),
    };
    let mut bounds = [0, len, len];
    for (i, index) in indexes.iter().enumerate() {
        bounds[i] = position(index, len, true)?;
    }
    for pair in bounds[..indexes.len().max(2)].windows(2) {
        if pair[0] > pair[1] {
            return Err(format!("invalid slice index: {} > {}", pair[0], pair[1]));
        }
    }
    Ok(match plain {
        Value::String(s) => {
            Value::from(String::from_utf8_lossy(&s.as_bytes()[bounds[0]..bounds[1]]).into_owned())
        }
        Value::List(l) => Value::list(l.items[bounds[0]..bounds[1]].to_vec()),
        other => other,
    })
}

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";

/// Whether `first` equals any of the others.
fn equal(first: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let same = match (first.plain(), other.plain()) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            (
                Value::List(_) | Value::Map(_) | Value::StringMap(_) | Value::Object(_),
                Value::List(_) | Value::Map(_) | Value::StringMap(_) | Value::Object(_),
            ) => return Err(format!("non-comparable type {}", first.type_name())),
            _ => return Err(INCOMPATIBLE.to_owned()),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(order(a, b)? == Some(Ordering::Less))
}

fn less_or_equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(matches!(order(a, b)?, Some(Ordering::Less | Ordering::Equal)))
}

/// How two values compare; `None` if one is not a number.
fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    let basic = |v: &Value| matches!(v, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_));
    let (a, b) = (a.plain(), b.plain());
    if !basic(&a) || !basic(&b) {
        return Err(INVALID.to_owned());
    }
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(&b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(&b)),
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(&b))),
        (Value::Bool(_), Value::Bool(_)) => Err(INVALID.to_owned()),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}
