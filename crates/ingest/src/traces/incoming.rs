//! Spans of one request, on their way from its bytes to the batch that is stored.

use reba_model::spans::{AttributeValue, Attributes, SpanHead, SpanStatus};

use super::tenant::Gate;

/// Most values that are built before they are written: attributes of resources and scopes, and what is in lists and maps. An
/// empty one takes two bytes of a request and sixty here.
pub(super) const MAX_BUILT: usize = 1 << 20;

/// Reasons that are spelt out; more are only counted.
const MAX_REASONS: usize = 10;

/// What becomes of the spans of a request.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    /// Those that make no sense, or are beyond a limit.
    pub(super) refused: Refusals,
    /// Attributes that were cut.
    pub(super) truncated: u64,
    /// Values that were built.
    pub(super) built: usize,
    /// Most bytes of the value of an attribute; 0: any number.
    max_attribute_bytes: usize,
    gate: &'a Gate<'a>,
}

/// What was refused, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How many spans.
    pub(super) count: u64,
    /// Of these, those that make no sense.
    pub(super) invalid: u64,
    reasons: Vec<String>,
}

impl Refusals {
    /// Refuses a span that makes no sense.
    pub(super) fn invalid(&mut self, reason: String) {
        self.invalid += 1;
        self.add(reason);
    }

    /// Refuses a span.
    fn add(&mut self, reason: String) {
        self.count += 1;
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// The reasons, one a line.
    pub(super) fn reason(&self) -> String {
        self.reasons.join("\n")
    }
}

impl<'a> Tally<'a> {
    /// Nothing yet. Values of attributes are cut to so many bytes, unless it is 0.
    pub(super) fn new(max_attribute_bytes: usize, gate: &'a Gate<'a>) -> Self {
        Tally { refused: Refusals::default(), truncated: 0, built: 0, max_attribute_bytes, gate }
    }

    /// Whether a span that took so many bytes is to be stored. One whose ids make no sense is refused, with Tempo's words, and
    /// so is one beyond the limits of its trace.
    pub(super) fn admits(&mut self, head: &SpanHead<'_>, bytes: usize) -> bool {
        if head.trace_id.0 == [0; 16] {
            self.refused.invalid("trace ids must be 128 bit, received 0 bits".to_owned());
            return false;
        }
        if head.span_id.is_none() {
            self.refused.invalid("span ids must be 64 bit, received 0 bits".to_owned());
            return false;
        }
        // What went wrong, and where it began, are worth more than the rest of a trace that is too large.
        let matters = head.status == SpanStatus::Error || head.parent_id.is_none();
        let verdict = self.gate.admit(head.trace_id, bytes, matters);
        verdict.map_err(|reason| self.refused.add(reason)).is_ok()
    }

    /// A text, cut if it is too long.
    pub(super) fn cut_text<'t>(&mut self, text: &'t str) -> &'t str {
        if self.max_attribute_bytes == 0 || text.len() <= self.max_attribute_bytes {
            return text;
        }
        self.truncated += 1;
        &text[..char_boundary(text, self.max_attribute_bytes)]
    }

    /// Bytes, cut if they are too many.
    pub(super) fn cut_bytes<'t>(&mut self, bytes: &'t [u8]) -> &'t [u8] {
        if self.max_attribute_bytes == 0 || bytes.len() <= self.max_attribute_bytes {
            return bytes;
        }
        self.truncated += 1;
        &bytes[..self.max_attribute_bytes]
    }

    /// Cuts a value if it is too long. What is in lists and maps has the limit together.
    pub(super) fn cut(&mut self, value: &mut AttributeValue) {
        if self.max_attribute_bytes == 0 {
            return;
        }
        match value {
            AttributeValue::Str(text) => {
                let len = self.cut_text(text).len();
                text.truncate(len);
            }
            AttributeValue::Bytes(bytes) => {
                let len = self.cut_bytes(bytes).len();
                bytes.truncate(len);
            }
            AttributeValue::Array(values) => {
                let fit = self.fitting(values.iter().map(weight));
                values.truncate(fit);
            }
            AttributeValue::Map(map) => {
                let fit = self.fitting(map.0.iter().map(|(key, value)| key.len() + weight(value)));
                map.0.truncate(fit);
            }
            AttributeValue::Int(_) | AttributeValue::Float(_) | AttributeValue::Bool(_) => {}
        }
    }

    /// Cuts values of attributes that are too long.
    pub(super) fn cut_all(&mut self, attributes: &mut Attributes) {
        attributes.0.iter_mut().for_each(|(_, value)| self.cut(value));
    }

    /// How many of these weights fit together.
    fn fitting(&mut self, weights: impl ExactSizeIterator<Item = usize>) -> usize {
        let (all, mut left, mut fit) = (weights.len(), self.max_attribute_bytes, 0);
        for weight in weights {
            let Some(rest) = left.checked_sub(weight) else { break };
            (left, fit) = (rest, fit + 1);
        }
        self.truncated += u64::from(fit < all);
        fit
    }
}

/// About how many bytes a value takes. Values are nested as deeply as decoders let them be.
fn weight(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::Str(text) => text.len(),
        AttributeValue::Bytes(bytes) => bytes.len(),
        AttributeValue::Int(_) | AttributeValue::Float(_) => 8,
        AttributeValue::Bool(_) => 1,
        AttributeValue::Array(values) => values.iter().map(weight).sum(),
        AttributeValue::Map(map) => map.0.iter().map(|(key, value)| key.len() + weight(value)).sum(),
    }
}

/// The last place at or before `at` where a text can be cut.
pub(super) fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_where_a_character_ends() {
        let gate = Gate::open();
        let text = |s: &str| AttributeValue::Str(s.to_owned());
        let list = |items: Vec<AttributeValue>| AttributeValue::Array(items);
        let given = Attributes(vec![
            ("a".to_owned(), text("aäää")),
            ("b".to_owned(), text("abcd")),
            ("c".to_owned(), AttributeValue::Bytes(vec![1; 9])),
            ("d".to_owned(), list(vec![text("ab"), text("cd"), text("e")])),
            ("e".to_owned(), AttributeValue::Int(1 << 40)),
        ]);
        let (mut tally, mut cut) = (Tally::new(4, &gate), given.clone());
        tally.cut_all(&mut cut);
        assert_eq!((cut.text("a"), cut.text("b")), (Some("aä"), Some("abcd")));
        assert_eq!(cut.get("c"), Some(&AttributeValue::Bytes(vec![1; 4])));
        assert_eq!(cut.get("d"), Some(&list(vec![text("ab"), text("cd")])));
        assert_eq!((cut.get("e"), tally.truncated), (Some(&AttributeValue::Int(1 << 40)), 3));
        let mut whole = given.clone();
        Tally::new(0, &gate).cut_all(&mut whole);
        assert_eq!(whole, given);
    }
}
