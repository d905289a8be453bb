//! Parameters of lists.

use reba_alerting::{
    AlertFilter,
    matchers::{self, Grammar},
};
use reba_model::{GoRegex, Matcher};

use super::refusal::Refusal;
use crate::prometheus::params::Params;

/// Matchers that one request may name.
const MAX_FILTERS: usize = 100;

/// The matchers of all `filter` parameters, each of which has exactly one.
pub fn matchers(params: &Params) -> Result<Vec<Matcher>, Refusal> {
    let (mut all, mut size) = (Vec::new(), 0);
    for text in params.all("filter") {
        let matcher =
            matchers::parse_one(text, Grammar::Fallback).map_err(|e| Refusal::bad(e.to_string()))?;
        size += matcher.regex().map_or(0, GoRegex::size);
        if all.len() == MAX_FILTERS || size > GoRegex::MAX_TOGETHER {
            return Err(Refusal::bad(format!(
                "too many or too large filters; at most {MAX_FILTERS} (MAX_FILTERS)"
            )));
        }
        all.push(matcher);
    }
    Ok(all)
}

/// Which alerts are asked for.
pub fn alerts(params: &Params) -> Result<AlertFilter, Refusal> {
    let flag = |name: &str| params.get(name).is_none_or(is_true);
    let receiver = params.get("receiver").map(GoRegex::anchored).transpose();
    let receiver = receiver.map_err(|e| Refusal::bad(format!("failed to parse receiver param: {e}")))?;
    Ok(AlertFilter {
        active: flag("active"),
        silenced: flag("silenced"),
        inhibited: flag("inhibited"),
        muted: flag("muted"),
        matchers: matchers(params)?,
        receiver,
    })
}

/// What upstream takes for yes; anything else is no.
fn is_true(text: &str) -> bool {
    let yes = ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
    yes.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_on_unless_they_are_given_and_not_a_yes() {
        let read = |query: &str| alerts(&Params::parse(query)).unwrap();
        assert!(read("").active && read("active=").active && read("active=Yes").active);
        assert!(!read("active=maybe").active && !read("silenced=false").silenced);
        let filter = read("receiver=a|b&filter=x=%22y%22&filter=z!~q");
        assert_eq!(filter.matchers.len(), 2);
        assert!(filter.receiver.as_ref().is_some_and(|r| r.is_match("b") && !r.is_match("ab")));
    }

    #[test]
    fn a_filter_that_is_no_matcher_and_a_receiver_that_is_no_expression_are_refused() {
        for query in ["filter=alertname", "filter=%7Ba=%22b%22%7D", "receiver=("] {
            assert!(alerts(&Params::parse(query)).is_err(), "{query}");
        }
    }
}
