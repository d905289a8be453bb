//! The sections as they are written.

use std::{collections::BTreeMap, fmt};

use reba_model::duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in milliseconds, written `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::format(self.0))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        duration::parse(&text).map(Millis).map_err(de::Error::custom)
    }
}

/// What [`super::Routing`] is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections {
    /// `route`
    pub route: Option<RouteSection>,
    /// `inhibit_rules`
    pub inhibit_rules: Option<Vec<InhibitSection>>,
    /// `time_intervals`
    pub time_intervals: Option<Vec<IntervalSection>>,
    /// `mute_time_intervals`, the old name of the same thing
    pub mute_time_intervals: Option<Vec<IntervalSection>>,
}

/// A node of `route`. What is not set is inherited, intervals excepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSection {
    /// Whom to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Labels that make a group, or `...` for all. An empty list counts as not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// Labels that must have a value.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub equal: Option<BTreeMap<String, Option<String>>>,
    /// Labels that must match an expression.
    #[serde(rename = "match_re", skip_serializing_if = "Option::is_none")]
    pub regex: Option<BTreeMap<String, Option<String>>>,
    /// Matchers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matchers: Option<Vec<String>>,
    /// When to keep silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_time_intervals: Option<Vec<String>>,
    /// When to speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_time_intervals: Option<Vec<String>>,
    /// Whether siblings behind this one may match, too.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    pub continues: Option<bool>,
    /// How long a new group waits for more alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<Millis>,
    /// From one look at a group to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<Millis>,
    /// After how long the same is said again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<Millis>,
    /// Children, asked in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<RouteSection>>,
}

/// An item of `inhibit_rules`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InhibitSection {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels that a source must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_match: Option<BTreeMap<String, Option<String>>>,
    /// Expressions that a source must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_match_re: Option<BTreeMap<String, Option<String>>>,
    /// Matchers of sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_matchers: Option<Vec<String>>,
    /// Labels that a target must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_match: Option<BTreeMap<String, Option<String>>>,
    /// Expressions that a target must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_match_re: Option<BTreeMap<String, Option<String>>>,
    /// Matchers of targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_matchers: Option<Vec<String>>,
    /// Labels that must be the same on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<Vec<String>>,
}

/// An item of `time_intervals`: a name for several intervals, of which one is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntervalSection {
    /// The name by which routes know it.
    pub name: Option<String>,
    /// The intervals.
    pub time_intervals: Option<Vec<TimeIntervalSection>>,
}

/// One interval: every list that is there must have an item that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeIntervalSection {
    /// Times of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Vec<TimesSection>>,
    /// `monday:friday`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekdays: Option<Vec<String>>,
    /// `1:5`, `-3:-1`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_of_month: Option<Vec<String>>,
    /// `may:august`, `1:3`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub months: Option<Vec<String>>,
    /// `2024:2026`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub years: Option<Vec<String>>,
    /// The time zone, by its name; UTC if there is none, the machine's own for `Local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// From a time of day (included) to another (excluded).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimesSection {
    /// `HH:MM`
    pub start_time: String,
    /// `HH:MM`, up to `24:00`
    pub end_time: String,
}
