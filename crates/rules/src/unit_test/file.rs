//! Files of rule unit tests, in promtool's format.

use std::{collections::BTreeMap, path::Path};

use reba_model::duration;
use serde::{Deserialize, Deserializer, de};

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub i64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        duration::parse(&text).map(Millis).map_err(de::Error::custom)
    }
}

/// A time, as Unix seconds or in RFC 3339.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartTime(pub i64);

impl<'de> Deserialize<'de> for StartTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if let Ok(seconds) = text.parse::<f64>() {
            return Ok(StartTime((seconds * 1000.0) as i64));
        }
        let moment = text.parse::<jiff::Timestamp>();
        let bad = |_| de::Error::custom(format!("cannot parse {text:?} to a valid timestamp"));
        moment.map(|t| StartTime(t.as_millisecond())).map_err(bad)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub rule_files: Option<Vec<String>>,
    pub evaluation_interval: Option<Millis>,
    pub group_eval_order: Option<Vec<String>>,
    pub tests: Option<Vec<Option<Test>>>,
    pub fuzzy_compare: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Test {
    pub name: Option<String>,
    pub interval: Option<Millis>,
    pub input_series: Option<Vec<InputSeries>>,
    pub alert_rule_test: Option<Vec<AlertTest>>,
    pub promql_expr_test: Option<Vec<ExprTest>>,
    pub external_labels: Option<BTreeMap<String, String>>,
    pub external_url: Option<String>,
    pub start_timestamp: Option<StartTime>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct InputSeries {
    pub series: String,
    pub values: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertTest {
    pub eval_time: Millis,
    pub alertname: String,
    pub exp_alerts: Option<Vec<ExpectedAlert>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedAlert {
    pub exp_labels: Option<BTreeMap<String, String>>,
    pub exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExprTest {
    pub expr: String,
    pub eval_time: Millis,
    pub exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedSample {
    pub labels: String,
    pub value: f64,
    pub histogram: String,
}

impl File {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let parsed = serde_saphyr::from_str::<Option<File>>(&text);
        parsed.map(Option::unwrap_or_default).map_err(|e| {
            let at = e.location().map_or(String::new(), |l| format!(":{}:{}", l.line(), l.column()));
            let text = e.without_snippet().to_string();
            format!("{}{at}: {}", path.display(), text.lines().next().unwrap_or_default())
        })
    }
}
