//! The notation of test scripts and rule tests: `{{schema:1 count:3 sum:5 offset:-1 buckets:[1 2]}}`.

use thiserror::Error;

use super::{CounterResetHint, Histogram, Span};
use crate::{duration, float::parse_go};

/// Why a text is no histogram.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotationError {
    /// The text does not begin with `{{`, or ends too early.
    #[error("histogram description incomplete")]
    Incomplete,
    /// A key that does not exist.
    #[error("bad histogram descriptor found: {0:?}")]
    UnknownKey(String),
    /// A key that stands twice.
    #[error("duplicate key {0:?} in histogram")]
    Duplicate(String),
    /// A value of the wrong form.
    #[error("error parsing {key}: {value:?}")]
    Value {
        /// The key.
        key: String,
        /// The text behind it.
        value: String,
    },
}

/// Reads a histogram at the beginning of `text`, which starts with `{{`. Returns it, whether its counter reset hint was
/// given, and how many bytes were read. Nothing is computed: a count that is not given is 0.
pub fn parse_notation(text: &str) -> Result<(Histogram, bool, usize), NotationError> {
    let body_and_rest = text.strip_prefix("{{").ok_or(NotationError::Incomplete)?;
    let end = body_and_rest.find("}}").ok_or(NotationError::Incomplete)?;
    let mut body = body_and_rest[..end].trim_start();
    let mut fields = Fields::default();
    let mut seen = Vec::new();
    while !body.is_empty() {
        let (key, after) = body.split_once(':').ok_or_else(|| NotationError::UnknownKey(body.to_owned()))?;
        let (value, rest) = if after.starts_with('[') {
            let close = after.find(']').ok_or(NotationError::Incomplete)?;
            after.split_at(close + 1)
        } else {
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        let key = key.to_ascii_lowercase();
        if !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            return Err(NotationError::Value { key, value: after.to_owned() });
        }
        if seen.contains(&key) {
            return Err(NotationError::Duplicate(key));
        }
        fields.set(&key, value)?;
        seen.push(key);
        body = rest.trim_start();
    }
    let (histogram, hint_given) = fields.build();
    Ok((histogram, hint_given, end + 4))
}

#[derive(Default)]
struct Fields {
    h: Histogram,
    hint_given: bool,
    offset: i32,
    n_offset: i32,
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) -> Result<(), NotationError> {
        let bad = || NotationError::Value { key: key.to_owned(), value: value.to_owned() };
        let int = || value.parse::<i32>().map_err(|_| bad());
        let number = || parse_number(value).ok_or_else(bad);
        let numbers = || parse_list(value).ok_or_else(bad);
        let h = &mut self.h;
        match key {
            "schema" => h.schema = int()?,
            "sum" => h.sum = number()?,
            "count" => h.count = number()?,
            "z_bucket" => h.zero_count = number()?,
            "z_bucket_w" => h.zero_threshold = number()?,
            "custom_values" => h.custom_values = numbers()?,
            "buckets" => h.positive_buckets = numbers()?,
            "offset" => self.offset = int()?,
            "n_buckets" => h.negative_buckets = numbers()?,
            "n_offset" => self.n_offset = int()?,
            "counter_reset_hint" => {
                h.hint = parse_hint(value).ok_or_else(bad)?;
                self.hint_given = true;
            }
            _ => return Err(NotationError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    fn build(self) -> (Histogram, bool) {
        let one_span = |offset, counts: &[f64]| match counts.len() {
            0 => Vec::new(),
            n => vec![Span { offset, length: n as u32 }],
        };
        let mut h = self.h;
        h.positive_spans = one_span(self.offset, &h.positive_buckets);
        h.negative_spans = one_span(self.n_offset, &h.negative_buckets);
        (h, self.hint_given)
    }
}

fn parse_hint(value: &str) -> Option<CounterResetHint> {
    Some(match value.to_ascii_lowercase().as_str() {
        "unknown" => CounterResetHint::Unknown,
        "reset" => CounterResetHint::CounterReset,
        "not_reset" => CounterResetHint::NotCounterReset,
        "gauge" => CounterResetHint::Gauge,
        _ => return None,
    })
}

/// A number, or a duration in seconds.
fn parse_number(value: &str) -> Option<f64> {
    parse_go(value).or_else(|| {
        let (sign, rest) = match value.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, value),
        };
        duration::parse(rest).ok().map(|ms| sign * ms as f64 / 1000.0)
    })
}

fn parse_list(value: &str) -> Option<Vec<f64>> {
    value.strip_prefix('[')?.strip_suffix(']')?.split_whitespace().map(parse_number).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "{{schema:-53 sum:-5 count:+Inf custom_values:[-1 5.5] buckets:[1 2 NaN] offset:1 \
                    counter_reset_hint:gauge}}x3";
        let (h, hint_given, read) = parse_notation(text).unwrap();
        assert_eq!(&text[read..], "x3");
        assert!(hint_given);
        assert_eq!((h.schema, h.sum, h.count), (-53, -5.0, f64::INFINITY));
        assert_eq!((h.custom_values.len(), h.hint), (2, CounterResetHint::Gauge));
        assert_eq!(h.positive_spans, [Span { offset: 1, length: 3 }]);
        let (h, ..) =
            parse_notation("{{ z_bucket:2 z_bucket_w:0.5 n_buckets:[ 1 2 ] n_offset:-3 }}").unwrap();
        assert_eq!((h.zero_count, h.zero_threshold), (2.0, 0.5));
        assert_eq!(h.negative_spans, [Span { offset: -3, length: 2 }]);
        assert_eq!(parse_notation("{{}}").unwrap(), (Histogram::default(), false, 4));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("{{sum:1", "histogram description incomplete"),
            ("{{foo:1}}", "bad histogram descriptor found: \"foo\""),
            ("{{sum:1 sum:2}}", "duplicate key \"sum\" in histogram"),
            ("{{schema:1.5}}", "error parsing schema: \"1.5\""),
            ("{{buckets:[1 x]}}", "error parsing buckets: \"[1 x]\""),
            ("{{counter_reset_hint:foo}}", "error parsing counter_reset_hint: \"foo\""),
        ] {
            assert_eq!(parse_notation(text).unwrap_err().to_string(), error);
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(s in "(\\{\\{)?([a-z_]{0,8}:?\\[?[-0-9 ]{0,4}\\]?){0,4}.{0,8}(\\}\\})?") {
            let _ = parse_notation(&s);
        }

        #[test]
        fn the_notation_round_trips(
            schema in -4i32..=8, offset in -9i32..9, buckets in proptest::collection::vec(0u32..4, 0..8),
            negative in proptest::collection::vec(0u32..4, 0..8), sum in -9i32..9,
        ) {
            let side = |counts: Vec<u32>| counts.into_iter().map(f64::from).collect::<Vec<_>>();
            let mut fields = Fields { offset, n_offset: -offset, ..Fields::default() };
            fields.h = Histogram {
                schema,
                sum: f64::from(sum),
                zero_count: 3.0,
                zero_threshold: 0.001,
                positive_buckets: side(buckets),
                negative_buckets: side(negative),
                ..Histogram::default()
            };
            let mut h = fields.build().0;
            let mut back = parse_notation(&h.notation()).unwrap().0;
            h.compact(0);
            back.compact(0);
            prop_assert_eq!(back, h);
        }
    }
}
