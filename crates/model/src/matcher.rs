//! Label matchers.

use std::{fmt, sync::Arc};

use crate::{GoRegex, Labels, RegexError, float::go_quote, is_legacy_label_name};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written in a selector.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A missing label has the value `""`.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// The value, or the source of the regular expression.
    pub value: String,
    regex: Option<Arc<GoRegex>>,
}

impl Matcher {
    /// Builds a matcher; fails only for a regular expression that does not compile.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Arc::new(GoRegex::anchored(&value)?)),
        };
        Ok(Matcher { name: name.into(), op, value, regex })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether `value` satisfies the condition.
    pub fn matches(&self, value: &str) -> bool {
        let by_regex = || self.regex.as_ref().is_some_and(|r| r.is_match(value));
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => by_regex(),
            MatchOp::NotRegex => !by_regex(),
        }
    }

    /// Whether a series without the label satisfies the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The compiled expression of `=~` and `!~`.
    pub fn regex(&self) -> Option<&GoRegex> {
        self.regex.as_deref()
    }

    /// Whether `labels` satisfy all of `matchers`.
    pub fn all(matchers: &[Matcher], labels: &Labels) -> bool {
        matchers.iter().all(|m| m.matches(labels.value(&m.name)))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

/// `name="value"`, as it stands in a selector.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            f.write_str(&go_quote(&self.name))?;
        }
        write!(f, "{}{}", self.op.as_str(), go_quote(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_a_missing_label_is_empty() {
        let m = Matcher::new(MatchOp::Regex, "code", "5..").unwrap();
        assert!(m.matches("503") && !m.matches("1503") && !m.matches_empty());
        let m = Matcher::new(MatchOp::NotRegex, "code", "a|b").unwrap();
        assert!(m.matches("") && !m.matches("b"));
        assert!(Matcher::new(MatchOp::Regex, "x", "(").is_err());
    }
}
