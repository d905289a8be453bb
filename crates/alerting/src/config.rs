//! The sections of `alertmanager.yml` that say who hears of what: as they are written, and checked.
//!
//! Whoever reads the file has [`RouteSection`], [`InhibitSection`] and [`IntervalSection`] among its own keys, hands them over as
//! [`Sections`], and gets a [`Routing`].

mod interval;
mod route;
mod sections;

use std::{collections::BTreeMap, fmt};

pub use interval::TimeInterval;
pub(crate) use interval::{minute_of_day, zone};
pub use route::{GroupBy, Route, Routing};
pub use sections::{
    InhibitSection, IntervalSection, Millis, RouteSection, Sections, TimeIntervalSection, TimesSection,
};

use crate::{
    inhibition::InhibitRule,
    matchers::{self, Grammar, MatcherError},
};
use reba_model::{MatchOp, Matcher};

/// Routes that a tree may have.
pub const MAX_ROUTES: usize = 10_000;

/// How deep routes may be nested.
pub const MAX_ROUTE_DEPTH: usize = 100;

/// What is wrong, and with which key; whoever read the file knows its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingError {
    /// The path of the key in the file: `route.routes[1].receiver`.
    pub key: String,
    /// What is wrong, in upstream's words where it has some, without a full stop.
    pub reason: String,
}

impl RoutingError {
    fn new(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        RoutingError { key: key.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for RoutingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.reason)
    }
}

impl std::error::Error for RoutingError {}

/// Checked sections, with what their author should know.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What holds.
    pub routing: Routing,
    /// What is read, but not as its author may think; same form as errors.
    pub warnings: Vec<RoutingError>,
}

impl Routing {
    /// Checks the sections. `receivers` are the names that the file defines.
    #[expect(clippy::new_ret_no_self, reason = "warnings come with it")]
    pub fn new<S: AsRef<str>>(
        sections: &Sections,
        receivers: &[S],
        grammar: Grammar,
    ) -> Result<Checked, RoutingError> {
        let mut reader = Reader { grammar, warnings: Vec::new() };
        let rules = sections.inhibit_rules.iter().flatten().enumerate();
        let inhibit_rules = rules.map(|(i, r)| reader.inhibit_rule(i, r)).collect::<Result<Vec<_>, _>>()?;
        let intervals = intervals(sections)?;
        let routes = route::tree(sections, receivers, &intervals, &mut reader)?;
        let routing = Routing { routes, inhibit_rules, intervals };
        Ok(Checked { routing, warnings: reader.warnings })
    }
}

/// All intervals by name; both sections share one name space.
fn intervals(sections: &Sections) -> Result<BTreeMap<String, Vec<TimeInterval>>, RoutingError> {
    let mut all = BTreeMap::new();
    let old = ("mute_time_intervals", "mute time interval", sections.mute_time_intervals.as_deref());
    let new = ("time_intervals", "time interval", sections.time_intervals.as_deref());
    for (key, what, list) in [old, new] {
        for (i, section) in list.unwrap_or_default().iter().enumerate() {
            let key = format!("{key}[{i}]");
            let name = section.name.clone().unwrap_or_default();
            if name.is_empty() {
                return Err(RoutingError::new(key, format!("missing name in {what}")));
            }
            let parts = section.time_intervals.iter().flatten().enumerate();
            let parts = parts
                .map(|(n, part)| {
                    TimeInterval::new(part)
                        .map_err(|e| RoutingError::new(format!("{key}.time_intervals[{n}]"), e))
                })
                .collect::<Result<Vec<_>, _>>()?;
            if all.insert(name.clone(), parts).is_some() {
                return Err(RoutingError::new(key, format!("{what} {name:?} is not unique")));
            }
        }
    }
    Ok(all)
}

/// Reads matchers in any of their three forms.
struct Reader {
    grammar: Grammar,
    warnings: Vec<RoutingError>,
}

/// The three forms, with the names of their keys.
struct MatcherForms<'a> {
    equal: (&'a str, Option<&'a BTreeMap<String, Option<String>>>),
    regex: (&'a str, Option<&'a BTreeMap<String, Option<String>>>),
    list: (&'a str, Option<&'a [String]>),
}

impl Reader {
    /// All matchers of the three forms, sorted.
    fn matchers(&mut self, key: &str, forms: &MatcherForms<'_>) -> Result<Vec<Matcher>, RoutingError> {
        let mut all = Vec::new();
        for (name, value) in forms.equal.1.into_iter().flatten() {
            legacy_name(name).map_err(|e| RoutingError::new(format!("{key}.{}", forms.equal.0), e))?;
            all.push(Matcher::equal(name, value.clone().unwrap_or_default()));
        }
        for (name, value) in forms.regex.1.into_iter().flatten() {
            let key = || format!("{key}.{}", forms.regex.0);
            legacy_name(name).map_err(|e| RoutingError::new(key(), e))?;
            let value = value
                .as_ref()
                .ok_or_else(|| RoutingError::new(key(), format!("invalid regexp value for {name:?}")))?;
            // Upstream anchors the expression before it is a matcher, and so it stands in the keys of groups. By itself it must be
            // sound, too.
            let anchored = Matcher::new(MatchOp::Regex, name, value)
                .and_then(|_| Matcher::new(MatchOp::Regex, name, format!("^(?:{value})$")));
            all.push(anchored.map_err(|e| RoutingError::new(key(), e))?);
        }
        for (i, text) in forms.list.1.unwrap_or_default().iter().enumerate() {
            let key = || format!("{key}.{}[{i}]", forms.list.0);
            let parsed = matchers::parse_list(text, self.grammar)
                .map_err(|e: MatcherError| RoutingError::new(key(), e))?;
            self.warnings.extend(parsed.warning.map(|w| RoutingError::new(key(), w)));
            all.extend(parsed.matchers);
        }
        matchers::sort(&mut all);
        Ok(all)
    }

    fn inhibit_rule(&mut self, i: usize, section: &InhibitSection) -> Result<InhibitRule, RoutingError> {
        let key = format!("inhibit_rules[{i}]");
        let source = MatcherForms {
            equal: ("source_match", section.source_match.as_ref()),
            regex: ("source_match_re", section.source_match_re.as_ref()),
            list: ("source_matchers", section.source_matchers.as_deref()),
        };
        let target = MatcherForms {
            equal: ("target_match", section.target_match.as_ref()),
            regex: ("target_match_re", section.target_match_re.as_ref()),
            list: ("target_matchers", section.target_matchers.as_deref()),
        };
        let source = self.matchers(&key, &source)?;
        let target = self.matchers(&key, &target)?;
        let mut equal = section.equal.clone().unwrap_or_default();
        if let Some(name) = equal.iter().find(|n| !self.is_label_name(n)) {
            let reason = format!("invalid label name {name:?} in equal list");
            return Err(RoutingError::new(format!("{key}.equal"), reason));
        }
        equal.sort_unstable();
        equal.dedup();
        Ok(InhibitRule { name: section.name.clone().unwrap_or_default(), source, target, equal })
    }

    fn is_label_name(&self, name: &str) -> bool {
        match self.grammar {
            Grammar::Classic => reba_model::is_legacy_label_name(name),
            Grammar::Fallback | Grammar::Utf8 => !name.is_empty(),
        }
    }
}

/// `match` and its kin never took other names.
fn legacy_name(name: &str) -> Result<(), String> {
    if reba_model::is_legacy_label_name(name) { Ok(()) } else { Err(format!("invalid label name {name:?}")) }
}

#[cfg(test)]
mod tests;
