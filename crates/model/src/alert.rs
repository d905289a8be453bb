//! An alert as it travels from rules to whoever routes or sends it.

use crate::Labels;

/// One alert, firing or resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What identifies it; always with `alertname`.
    pub labels: Labels,
    /// What tells people about it.
    pub annotations: Labels,
    /// When it began to fire, Unix milliseconds.
    pub starts_at: i64,
    /// When it was resolved; for one that fires, when it counts as resolved unless it is sent again. Unix milliseconds.
    pub ends_at: i64,
    /// Where the rule's expression is shown; may be empty.
    pub generator_url: String,
}

/// Alerts that one evaluation of one rule wants sent, never empty.
pub type AlertBatch = Vec<Alert>;
