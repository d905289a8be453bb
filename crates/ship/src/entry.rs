//! A line of a log on its way from a source to a store.

use std::sync::Arc;

use reba_model::{Labels, float};

/// What a stage has taken out of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Asked for and not there.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number, exactly.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text; lists and objects of JSON are their JSON.
    Text(String),
}

impl Value {
    /// The text of the value: numbers without an exponent; nothing for nil.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Nil => None,
            Value::Bool(b) => Some(b.to_string()),
            Value::Int(i) => Some(i.to_string()),
            Value::Float(f) => Some(float::format_f(*f)),
            Value::Text(t) => Some(t.clone()),
        }
    }
}

/// A place in a source. The place is behind us when nobody holds the mark of anything read before it (see [`crate::marks`]).
#[derive(Clone, Debug, Default)]
pub struct Mark(Arc<()>);

impl Mark {
    pub(crate) fn of(token: &Arc<()>) -> Self {
        Mark(Arc::clone(token))
    }
}

/// The marks of what an entry was made of.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    first: Option<Mark>,
    more: Vec<Mark>,
}

impl Marks {
    /// One mark.
    pub fn one(mark: Mark) -> Self {
        Marks { first: Some(mark), more: Vec::new() }
    }

    /// Takes over the marks of something that was joined to the entry.
    pub fn join(&mut self, other: Marks) {
        for mark in other.first.into_iter().chain(other.more) {
            let last = self.more.last().or(self.first.as_ref());
            if last.is_some_and(|l| Arc::ptr_eq(&l.0, &mark.0)) {
                continue;
            }
            if self.first.is_none() {
                self.first = Some(mark);
            } else {
                self.more.push(mark);
            }
        }
    }
}

/// A line of a log on its way through the stages of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The line.
    pub line: String,
    /// What its stream is identified by.
    pub labels: Labels,
    /// Structured metadata, in the order in which it was set.
    pub metadata: Vec<(String, String)>,
    /// Whose it is, if a stage has said so; an empty text is the default tenant.
    pub tenant: Option<String>,
    /// What stages have taken out of the line.
    pub extracted: Extracted,
    /// Which places of sources it stands for.
    pub marks: Marks,
}

impl Entry {
    /// An entry as a source reads it.
    pub fn new(ns: i64, line: impl Into<String>, labels: Labels) -> Self {
        let extracted = Extracted { base: labels.clone(), own: Vec::new() };
        Entry { ns, line: line.into(), labels, extracted, ..Entry::default() }
    }

    /// Sets a label; an empty value removes it.
    pub fn set_label(&mut self, name: &str, value: &str) {
        if self.labels.value(name) != value {
            let mut builder = self.labels.to_builder();
            builder.set(name, value);
            self.labels = builder.build();
        }
    }

    /// Sets a field of the metadata.
    pub fn set_metadata(&mut self, name: &str, value: String) {
        match self.metadata.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((name.to_owned(), value)),
        }
    }

    /// Bytes that count against the limit of a batch.
    pub fn bytes(&self) -> usize {
        self.line.len() + self.metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
    }

    /// The text that a stage with this `source` reads: the line itself without one.
    pub fn source(&self, source: Option<&str>) -> Option<String> {
        match source {
            None => Some(self.line.clone()),
            Some(name) => self.extracted.text(name),
        }
    }
}

/// Values by name; the labels that the entry began with are among them until they are set anew.
#[derive(Clone, Debug, Default)]
pub struct Extracted {
    base: Labels,
    /// `None` is a name that was removed.
    own: Vec<(String, Option<Value>)>,
}

impl Extracted {
    /// Sets a value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.put(name, Some(value));
    }

    /// Removes a value.
    pub fn remove(&mut self, name: &str) {
        self.put(name, None);
    }

    fn put(&mut self, name: &str, value: Option<Value>) {
        match self.own.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.own.push((name.to_owned(), value)),
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<Value> {
        match self.own.iter().find(|(n, _)| n == name) {
            Some((_, value)) => value.clone(),
            None => self.base.get(name).map(|v| Value::Text(v.to_owned())),
        }
    }

    /// The text of a value that is there and not nil.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    /// All that is there, names unique, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value)> {
        let is_own = |name: &str| self.own.iter().any(|(n, _)| n == name);
        let base =
            self.base.iter().filter(move |(n, _)| !is_own(n)).map(|(n, v)| (n, Value::Text(v.to_owned())));
        base.chain(self.own.iter().filter_map(|(n, v)| Some((n.as_str(), v.clone()?))))
    }
}
