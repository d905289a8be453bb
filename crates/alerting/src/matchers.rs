//! Matchers as Alertmanager writes them, which is not how selectors of queries are written: two grammars, one name.
//!
//! The classic grammar takes a label name, an operator, and everything up to the next comma as the value. The UTF-8 grammar has
//! tokens: names and values are quoted, or free of reserved characters. [`Grammar::Fallback`] reads both, as upstream does by
//! default.

mod classic;
mod utf8;

use std::{cmp::Ordering, fmt};

use reba_model::{Matcher, RegexError, float::go_quote};
use thiserror::Error;

/// Bytes that one list of matchers may have.
pub const MAX_MATCHERS_BYTES: usize = 64 << 10;

/// Which grammar is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grammar {
    /// UTF-8 where it reads well and means the same, else classic.
    #[default]
    Fallback,
    /// Only classic (`--enable-feature=classic-mode`).
    Classic,
    /// Only UTF-8 (`--enable-feature=utf8-strict-mode`).
    Utf8,
}

/// Why a text is no list of matchers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MatcherError {
    /// Not of the form `name=value`.
    #[error("bad matcher format: {0}")]
    Format(String),
    /// A quote in the middle, or one that is missing at the end.
    #[error("matcher value contains unescaped double quote: {0}")]
    Quote(String),
    /// The UTF-8 grammar does not allow it.
    #[error("{0}")]
    Syntax(String),
    /// The regular expression does not compile.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// One matcher was asked for.
    #[error("expected 1 matcher, found {0}")]
    NotOne(usize),
    /// Braces belong around lists.
    #[error("unexpected open or close brace: {0}")]
    Brace(String),
    /// Longer than [`MAX_MATCHERS_BYTES`].
    #[error("matchers have {0} bytes; at most {MAX_MATCHERS_BYTES} are read (MAX_MATCHERS_BYTES)")]
    TooLong(usize),
}

/// Matchers with what a user should know of how they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In the order of the text.
    pub matchers: Vec<Matcher>,
    /// Set if only the classic grammar reads the text, or if it reads it differently.
    pub warning: Option<String>,
}

/// Reads a list: `a="b",c=~"d"`, with or without braces. An empty text is an empty list.
pub fn parse_list(text: &str, grammar: Grammar) -> Result<Parsed, MatcherError> {
    if text.len() > MAX_MATCHERS_BYTES {
        return Err(MatcherError::TooLong(text.len()));
    }
    let plain = |matchers| Parsed { matchers, warning: None };
    match grammar {
        Grammar::Classic => classic::list(text).map(plain),
        Grammar::Utf8 => utf8::list(text).map(plain),
        Grammar::Fallback => reconcile(text, utf8::list(text), classic::list(text)),
    }
}

/// Reads exactly one matcher, without braces.
pub fn parse_one(text: &str, grammar: Grammar) -> Result<Matcher, MatcherError> {
    if text.len() > MAX_MATCHERS_BYTES {
        return Err(MatcherError::TooLong(text.len()));
    }
    if grammar != Grammar::Classic && (text.starts_with('{') || text.ends_with('}')) {
        return Err(MatcherError::Brace(text.to_owned()));
    }
    let utf8 = || match <[Matcher; 1]>::try_from(utf8::list(text)?) {
        Ok([matcher]) => Ok(vec![matcher]),
        Err(list) => Err(MatcherError::NotOne(list.len())),
    };
    let classic = || classic::one(text).map(|m| vec![m]);
    let mut list = match grammar {
        Grammar::Classic => classic()?,
        Grammar::Utf8 => utf8()?,
        Grammar::Fallback => reconcile(text, utf8(), classic())?.matchers,
    };
    list.pop().ok_or(MatcherError::NotOne(0))
}

/// What [`Grammar::Fallback`] makes of both readings.
fn reconcile(
    text: &str,
    utf8: Result<Vec<Matcher>, MatcherError>,
    classic: Result<Vec<Matcher>, MatcherError>,
) -> Result<Parsed, MatcherError> {
    match (utf8, classic) {
        (Err(_), Err(error)) => Err(error),
        (Err(error), Ok(matchers)) => {
            let suggestion = MatcherList(&matchers).to_string();
            let warning = format!(
                "{text:?} is read by the old grammar of matchers, for the new one says: {error}; write {suggestion}"
            );
            Ok(Parsed { matchers, warning: Some(warning) })
        }
        (Ok(new), Ok(old)) if new != old => {
            let warning = format!(
                "{text:?} means {} in the old grammar of matchers and {} in the new one; the old one holds",
                MatcherList(&old),
                MatcherList(&new)
            );
            Ok(Parsed { matchers: old, warning: Some(warning) })
        }
        (Ok(matchers), _) => Ok(Parsed { matchers, warning: None }),
    }
}

/// Sorts as keys of routes need it: by name, then value, then operator.
pub fn sort(matchers: &mut [Matcher]) {
    matchers.sort_by(compare);
}

/// The order of [`sort`].
pub(crate) fn compare(a: &Matcher, b: &Matcher) -> Ordering {
    a.name.cmp(&b.name).then_with(|| a.value.cmp(&b.value)).then_with(|| a.op.cmp(&b.op))
}

/// Whether a label name may stand unquoted in the UTF-8 grammar.
fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Prints one matcher as upstream does: `name="value"`. Both grammars read it, unless the name has to be quoted.
pub struct MatcherText<'a>(pub &'a Matcher);

impl fmt::Display for MatcherText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Matcher { name, op, value, .. } = self.0;
        if name.is_empty() || name.contains(is_reserved) {
            return write!(f, "{}{}{}", go_quote(name), op.as_str(), go_quote(value));
        }
        write!(f, "{name}{}\"", op.as_str())?;
        for c in value.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Prints a list: `{a="b",c=~"d"}`, without spaces, as it stands in keys of routes.
pub struct MatcherList<'a>(pub &'a [Matcher]);

impl fmt::Display for MatcherList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, m) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            MatcherText(m).fmt(f)?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
