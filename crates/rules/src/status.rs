//! What the API and the metrics page show of rules.

use reba_model::Labels;

use crate::lifecycle::AlertState;

/// A group, as it was after its last evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupStatus {
    /// Name.
    pub name: String,
    /// File.
    pub file: String,
    /// Milliseconds between evaluations.
    pub interval_ms: i64,
    /// How many series or alerts a rule may yield; 0 for any number.
    pub limit: usize,
    /// Its rules in source order.
    pub rules: Vec<RuleStatus>,
    /// When it was last evaluated, Unix milliseconds.
    pub last_evaluation: Option<i64>,
    /// Seconds that took.
    pub evaluation_seconds: f64,
    /// Samples that gave.
    pub last_samples: u64,
    /// Evaluations of rules so far.
    pub evaluations: u64,
    /// Those that failed.
    pub evaluation_failures: u64,
    /// Iterations of the group so far, missed ones included.
    pub iterations: u64,
    /// Iterations that were missed because one took too long.
    pub iterations_missed: u64,
}

/// Whether a rule's last evaluation went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleHealth {
    /// There was none yet.
    #[default]
    Unknown,
    /// It did.
    Ok,
    /// It did not.
    Err,
}

impl RuleHealth {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleHealth::Unknown => "unknown",
            RuleHealth::Ok => "ok",
            RuleHealth::Err => "err",
        }
    }
}

/// A rule, as it was after its last evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus {
    /// The series that is recorded, or the alert's name.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Labels, those of the group included.
    pub labels: Labels,
    /// Health.
    pub health: RuleHealth,
    /// Why it is not well.
    pub last_error: Option<String>,
    /// When it was last evaluated, Unix milliseconds.
    pub last_evaluation: Option<i64>,
    /// Seconds that took.
    pub evaluation_seconds: f64,
    /// What only alerting rules have; `None` for a recording rule.
    pub alerting: Option<AlertingStatus>,
}

/// The alerts of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingStatus {
    /// `for`, milliseconds.
    pub hold_ms: i64,
    /// `keep_firing_for`, milliseconds.
    pub keep_firing_for_ms: i64,
    /// Annotations, templates unexpanded.
    pub annotations: Labels,
    /// The highest state of its alerts; `None` before the first evaluation (`unknown` in the API).
    pub state: Option<AlertState>,
    /// Its pending and firing alerts, sorted by labels.
    pub alerts: Vec<AlertStatus>,
}

/// A pending or firing alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertStatus {
    /// Labels.
    pub labels: Labels,
    /// Annotations, expanded.
    pub annotations: Labels,
    /// Pending or firing.
    pub state: AlertState,
    /// Since when, Unix milliseconds.
    pub active_at: i64,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<i64>,
    /// The value at the last evaluation.
    pub value: f64,
}

/// Figures for the metrics page (`prometheus_rule_*`, `prometheus_template_text_expansion*`) that belong to no group; the
/// others are in [`GroupStatus`], under the label `rule_group="FILE;NAME"`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Evaluations of rules (`prometheus_rule_evaluation_duration_seconds_count`).
    pub evaluations: u64,
    /// Seconds they took together.
    pub evaluation_seconds: f64,
    /// Evaluations of groups (`prometheus_rule_group_duration_seconds_count`).
    pub group_evaluations: u64,
    /// Seconds they took together.
    pub group_seconds: f64,
    /// Templates of labels and annotations that were expanded.
    pub template_expansions: u64,
    /// Those that failed.
    pub template_failures: u64,
    /// Alerts that found the way to the notifier full.
    pub alerts_dropped: u64,
}
