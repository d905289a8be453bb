//! Texts that say themselves what they are.

use std::sync::Arc;

use crate::{
    print,
    value::{Object, Value},
};

/// What kind of text a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Anything.
    Plain,
    /// A number or a truth value.
    Number,
    /// HTML that its author vouches for.
    Html,
    /// A URL that its author vouches for.
    Url,
}

/// A text of a kind.
struct Safe {
    text: Arc<str>,
    type_name: &'static str,
}

const HTML: &str = "template.HTML";
const URL: &str = "template.URL";

impl Object for Safe {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn underlying(&self) -> Value {
        Value::String(Arc::clone(&self.text))
    }
}

/// The text as HTML that needs no escaping.
pub fn safe_html(text: &Value) -> Value {
    Value::object(Safe { text: text.as_str().unwrap_or_default(), type_name: HTML })
}

/// The text as a URL that may have any scheme.
pub fn safe_url(text: &Value) -> Value {
    Value::object(Safe { text: text.as_str().unwrap_or_default(), type_name: URL })
}

impl Content {
    /// The text of a value as it is printed, with its kind; nothing prints as nothing.
    pub fn of(value: &Value, limit: usize) -> Result<(String, Content), print::TooLong> {
        let kind = match value {
            Value::Nil => return Ok((String::new(), Content::Plain)),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Content::Number,
            Value::Object(o) if o.type_name() == HTML => Content::Html,
            Value::Object(o) if o.type_name() == URL => Content::Url,
            _ => Content::Plain,
        };
        Ok((print::sprint(std::slice::from_ref(value), limit)?, kind))
    }
}
