//! Alerts as they are kept: checked, named and merged.

use std::sync::Arc;

use reba_model::{Labels, LabelsBuilder, MAX_SERIES_LABELS};
use thiserror::Error;

use crate::identity::{fingerprint, log_hash};

/// Bytes that labels, annotations and the generator's URL of one alert may have together.
pub const MAX_ALERT_BYTES: usize = 256 << 10;

/// An alert as it comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostedAlert {
    /// Names and values; empty values are left out.
    pub labels: Vec<(String, String)>,
    /// Names and values; empty values are left out.
    pub annotations: Vec<(String, String)>,
    /// When it began, Unix milliseconds; now, or when it ended, if the sender does not say.
    pub starts_at_ms: Option<i64>,
    /// When it ended, or ends unless it is sent again, Unix milliseconds; if the sender does not say, it ends after `resolve_timeout`.
    pub ends_at_ms: Option<i64>,
    /// Where the rule's expression is shown.
    pub generator_url: String,
}

/// Why an alert was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AlertError {
    /// It has no label with a value.
    #[error("at least one label pair required")]
    NoLabels,
    /// A label has no name.
    #[error("invalid label set: invalid name {0:?}")]
    LabelName(String),
    /// An annotation has no name.
    #[error("invalid annotations: invalid name {0:?}")]
    AnnotationName(String),
    /// It ends before it begins.
    #[error("start time must be before end time")]
    Reversed,
    /// It has too many labels or annotations.
    #[error(
        "an alert may have {MAX_SERIES_LABELS} labels and as many annotations, not {0} (MAX_SERIES_LABELS)"
    )]
    TooManyLabels(usize),
    /// It is too large.
    #[error("an alert may have {MAX_ALERT_BYTES} bytes, not {0} (MAX_ALERT_BYTES)")]
    TooLarge(usize),
    /// There are too many alerts.
    #[error("there are {0} alerts already, and no more are taken (limit: max_alerts)")]
    TooMany(usize),
    /// Together with the alerts that are there it is too large.
    #[error("alerts would take more than {0} bytes of memory (limit: max_memory_bytes)")]
    TooMuchMemory(usize),
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What identifies it; never empty.
    pub labels: Labels,
    /// What tells people about it.
    pub annotations: Labels,
    /// When it began to fire, Unix milliseconds.
    pub starts_at_ms: i64,
    /// When it was resolved, or counts as resolved unless it is sent again, Unix milliseconds.
    pub ends_at_ms: i64,
    /// When it was last sent, Unix milliseconds.
    pub updated_at_ms: i64,
    /// Where the rule's expression is shown; may be empty.
    pub generator_url: Arc<str>,
    /// Whether its end is a guess of ours, for its sender gave none.
    pub timeout: bool,
    /// [`crate::fingerprint`] of the labels.
    pub fingerprint: u64,
    /// What the notification log knows it by.
    pub(crate) log_hash: u64,
}

impl Alert {
    /// Checks an alert and fills in what its sender left open.
    pub fn new(posted: &PostedAlert, now_ms: i64, resolve_timeout_ms: i64) -> Result<Self, AlertError> {
        check_size(posted)?;
        let labels = pack(&posted.labels).map_err(AlertError::LabelName)?;
        let annotations = pack(&posted.annotations).map_err(AlertError::AnnotationName)?;
        if labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        let starts_at_ms = posted.starts_at_ms.or(posted.ends_at_ms).unwrap_or(now_ms);
        let ends_at_ms = posted.ends_at_ms.unwrap_or_else(|| now_ms.saturating_add(resolve_timeout_ms));
        if ends_at_ms < starts_at_ms {
            return Err(AlertError::Reversed);
        }
        Ok(Alert {
            fingerprint: fingerprint(&labels),
            log_hash: log_hash(&labels),
            labels,
            annotations,
            starts_at_ms,
            ends_at_ms,
            updated_at_ms: now_ms,
            generator_url: posted.generator_url.as_str().into(),
            timeout: posted.ends_at_ms.is_none(),
        })
    }

    /// Whether it is over. An alert is resolved at its end, not only after it.
    pub fn is_resolved(&self, now_ms: i64) -> bool {
        self.ends_at_ms <= now_ms
    }

    /// Bytes that it takes, about: its labels stand in its group's, in indexes and in keys, too.
    pub(crate) fn weight(&self) -> usize {
        const FIXED: usize = 1_000;
        FIXED + 3 * self.labels.memory_bytes() + self.annotations.memory_bytes() + self.generator_url.len()
    }

    /// The alert that is left when `self` is sent after `old`, both with the same labels: one if they overlap in time, else `self`
    /// as it is.
    pub(crate) fn after(mut self, old: &Alert, now_ms: i64) -> Alert {
        let within = |t: i64| t > old.starts_at_ms && t < old.ends_at_ms;
        if !within(self.ends_at_ms) && !within(self.starts_at_ms) {
            return self;
        }
        self.starts_at_ms = self.starts_at_ms.min(old.starts_at_ms);
        // An end that was given wins over one that we guessed; of two that are over, the later one.
        let keeps_old = if self.is_resolved(now_ms) { old.is_resolved(now_ms) } else { !old.timeout };
        if keeps_old && old.ends_at_ms > self.ends_at_ms {
            self.ends_at_ms = old.ends_at_ms;
        }
        self
    }
}

fn check_size(posted: &PostedAlert) -> Result<(), AlertError> {
    let count = posted.labels.len().max(posted.annotations.len());
    if count > MAX_SERIES_LABELS {
        return Err(AlertError::TooManyLabels(count));
    }
    let pairs = posted.labels.iter().chain(&posted.annotations);
    let bytes = pairs.map(|(n, v)| n.len() + v.len()).sum::<usize>() + posted.generator_url.len();
    if bytes > MAX_ALERT_BYTES { Err(AlertError::TooLarge(bytes)) } else { Ok(()) }
}

/// The pairs that have a value; the error is a name that cannot be one.
fn pack(pairs: &[(String, String)]) -> Result<Labels, String> {
    let mut builder = LabelsBuilder::new();
    for (name, value) in pairs {
        if name.is_empty() && !value.is_empty() {
            return Err(name.clone());
        }
        builder.set(name, value);
    }
    Ok(builder.build())
}
