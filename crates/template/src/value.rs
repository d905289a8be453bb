//! What templates compute with.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::print;

/// A value of a template.
///
/// Values are shared, never copied deeply, so that handing one around costs a counter.
#[derive(Clone, Default)]
pub enum Value {
    /// Go's nil, and what a missing key yields: `<no value>` where it is printed by itself.
    #[default]
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    String(Arc<str>),
    /// `[]interface {}`
    List(Arc<List>),
    /// `map[string]string`: a key that is not there reads as the empty text.
    StringMap(Arc<BTreeMap<String, String>>),
    /// `map[string]interface {}`
    Map(Arc<Map>),
    /// A value of the host with fields and methods of its own.
    Object(Arc<dyn Object>),
}

/// Items with how deeply they nest.
#[derive(Debug)]
pub struct List {
    pub(crate) items: Vec<Value>,
    depth: u32,
}

/// Entries with how deeply they nest.
#[derive(Debug)]
pub struct Map {
    pub(crate) entries: BTreeMap<String, Value>,
    depth: u32,
}

/// A value that the host lends to templates.
///
/// It may be a struct (fields), a defined type over a list, a map, a text or a number (`underlying`), and have
/// methods in either case: that is how `.Alerts.Firing | len` and `range .Alerts` both work in Go.
pub trait Object: Send + Sync {
    /// The Go type, as error texts name it (`template.Alerts`).
    fn type_name(&self) -> &str;

    /// The plain value that is ranged over, measured, indexed, compared and printed; [`Value::Nil`] for a struct.
    fn underlying(&self) -> Value {
        Value::Nil
    }

    /// The fields of a struct in the order of their declaration.
    fn fields(&self) -> Vec<(&str, Value)> {
        Vec::new()
    }

    /// One field of a struct.
    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Calls a method; `None` if there is no such method, `Err` with the text of the error it returns.
    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let _ = (name, args);
        None
    }

    /// What `String()` (or `Error()`) gives, which is how `%v` and `%s` print the object.
    fn text(&self) -> Option<String> {
        None
    }
}

impl Value {
    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
        Value::List(Arc::new(List { items, depth }))
    }

    /// A map from names to anything.
    pub fn map(entries: BTreeMap<String, Value>) -> Self {
        let depth = entries.values().map(Value::depth).max().unwrap_or(0) + 1;
        Value::Map(Arc::new(Map { entries, depth }))
    }

    /// A map from names to texts.
    pub fn string_map<N: Into<String>, V: Into<String>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        Value::StringMap(Arc::new(entries.into_iter().map(|(n, v)| (n.into(), v.into())).collect()))
    }

    /// An object.
    pub fn object(object: impl Object + 'static) -> Self {
        Value::Object(Arc::new(object))
    }

    /// How many levels of lists and maps stand inside each other.
    pub fn depth(&self) -> u32 {
        match self {
            Value::List(l) => l.depth,
            Value::Map(m) => m.depth,
            Value::StringMap(_) | Value::Object(_) => 1,
            _ => 0,
        }
    }

    /// Whether `if` takes it for true: not nil, not zero, not empty; objects by what they stand for, structs always.
    pub fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(f) => *f != 0.0,
            Value::String(s) => !s.is_empty(),
            Value::List(l) => !l.items.is_empty(),
            Value::StringMap(m) => !m.is_empty(),
            Value::Map(m) => !m.entries.is_empty(),
            Value::Object(o) => match o.underlying() {
                Value::Nil => true,
                plain => plain.truth(),
            },
        }
    }

    /// The Go type.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::String(_) => "string",
            Value::List(_) => "[]interface {}",
            Value::StringMap(_) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Object(o) => o.type_name(),
        }
    }

    /// What the value stands for without its methods: itself, except for objects over a plain value.
    pub fn plain(&self) -> Value {
        match self {
            Value::Object(o) => match o.underlying() {
                Value::Nil => self.clone(),
                plain => plain,
            },
            other => other.clone(),
        }
    }

    /// The items of a list, or of an object over one; none for anything else.
    pub fn items(&self) -> Vec<Value> {
        match self.plain() {
            Value::List(list) => list.items.clone(),
            _ => Vec::new(),
        }
    }

    /// The text of a string value, or of an object over one.
    pub fn as_str(&self) -> Option<Arc<str>> {
        match self.plain() {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// Roughly how many bytes a function that reads the value has to look at.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::String(s) => s.len(),
            Value::List(l) => l.items.len(),
            Value::StringMap(m) => m.len(),
            Value::Map(m) => m.entries.len(),
            _ => 1,
        }
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Value::String(Arc::from(s))
    }
}

impl From<String> for Value {
    fn from(s: String) -> Self {
        Value::String(Arc::from(s))
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Value::Float(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::list(items)
    }
}

/// As `%#v` prints it, up to 4 KiB.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match print::sprintf("%#v", std::slice::from_ref(self), 4096) {
            Ok(text) => f.write_str(&text),
            Err(_) => f.write_str("<large value>"),
        }
    }
}
