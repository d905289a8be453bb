//! From matchers to sets of series, the same for the head and for blocks.

use reba_model::{MatchOp, Matcher};
use roaring::RoaringBitmap;

/// An index of label pairs over dense series ids.
pub(crate) trait LabelIndex {
    /// Why the index cannot be read.
    type Error;

    /// Every series.
    fn all(&self) -> RoaringBitmap;

    /// Series with exactly this pair.
    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Self::Error>;

    /// Adds to `out` the series with a value of `name` that begins with `prefix` and is accepted.
    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        accepts: &mut dyn FnMut(&str) -> bool,
        out: &mut RoaringBitmap,
    ) -> Result<(), Self::Error>;
}

/// What evaluating a matcher costs, cheapest first.
fn cost(m: &Matcher) -> u8 {
    match (m.op, m.regex().and_then(|r| r.literals())) {
        (MatchOp::Equal, _) => 0,
        (MatchOp::NotEqual, _) => 1,
        (_, Some(_)) => 2,
        (_, None) if m.regex().is_some_and(|r| !r.prefix().is_empty()) => 3,
        _ => 4,
    }
}

/// Series that satisfy all of `matchers`. Positive matchers are intersected first, cheapest first; matchers that a
/// missing label satisfies take away the series whose value does not match.
pub(crate) fn resolve<I: LabelIndex>(index: &I, matchers: &[Matcher]) -> Result<RoaringBitmap, I::Error> {
    let (mut negative, mut positive): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_empty());
    positive.sort_by_key(|m| cost(m));
    negative.sort_by_key(|m| cost(m));
    let mut result: Option<RoaringBitmap> = None;
    for m in positive {
        let set = matching(index, m)?;
        let narrowed = match result {
            Some(r) => r & set,
            None => set,
        };
        if narrowed.is_empty() {
            return Ok(narrowed);
        }
        result = Some(narrowed);
    }
    let mut result = result.unwrap_or_else(|| index.all());
    for m in negative.into_iter().filter(|m| !matches_everything(m)) {
        result -= not_matching(index, m)?;
        if result.is_empty() {
            break;
        }
    }
    Ok(result)
}

fn matches_everything(m: &Matcher) -> bool {
    m.op == MatchOp::Regex && m.value == ".*"
}

/// Series that have the label with a value that matches.
fn matching<I: LabelIndex>(index: &I, m: &Matcher) -> Result<RoaringBitmap, I::Error> {
    match (m.op, m.regex()) {
        (MatchOp::Equal, _) => index.equal(&m.name, &m.value),
        (MatchOp::Regex, Some(regex)) => {
            let mut out = RoaringBitmap::new();
            if let Some(literals) = regex.literals() {
                for value in literals.iter().filter(|v| !v.is_empty()) {
                    out |= index.equal(&m.name, value)?;
                }
            } else if m.value == ".+" {
                index.union_where(&m.name, "", &mut |_| true, &mut out)?;
            } else {
                index.union_where(&m.name, regex.prefix(), &mut |v| regex.is_match(v), &mut out)?;
            }
            Ok(out)
        }
        _ => {
            let mut out = RoaringBitmap::new();
            index.union_where(&m.name, "", &mut |v| m.matches(v), &mut out)?;
            Ok(out)
        }
    }
}

/// Series that have the label with a value that does not match.
fn not_matching<I: LabelIndex>(index: &I, m: &Matcher) -> Result<RoaringBitmap, I::Error> {
    if m.op == MatchOp::NotEqual {
        return index.equal(&m.name, &m.value);
    }
    let mut out = RoaringBitmap::new();
    match (m.op, m.regex()) {
        (MatchOp::NotRegex, Some(regex)) => {
            if let Some(literals) = regex.literals() {
                for value in literals.iter().filter(|v| !v.is_empty()) {
                    out |= index.equal(&m.name, value)?;
                }
            } else {
                index.union_where(&m.name, regex.prefix(), &mut |v| regex.is_match(v), &mut out)?;
            }
        }
        _ => index.union_where(&m.name, "", &mut |v| !m.matches(v), &mut out)?,
    }
    Ok(out)
}
