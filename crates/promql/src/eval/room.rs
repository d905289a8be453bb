//! How many samples may still be held, shared by the workers of one operation.

use std::sync::atomic::{AtomicUsize, Ordering};

use reba_model::Labels;

use super::{error::EvalError, value::Column};

/// Room for samples.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicUsize,
    limit: usize,
}

impl Room {
    pub fn new(limit: usize) -> Self {
        Room { used: AtomicUsize::new(0), limit }
    }

    /// Takes room for `samples` that are kept until the operation is over.
    pub fn take(&self, samples: usize) -> Result<(), EvalError> {
        let before = self.used.fetch_add(samples, Ordering::Relaxed);
        self.check(before, samples)
    }

    /// Whether `samples` more, which are soon dropped again, still fit.
    pub fn fits(&self, samples: usize) -> Result<(), EvalError> {
        self.check(self.used.load(Ordering::Relaxed), samples)
    }

    fn check(&self, used: usize, more: usize) -> Result<(), EvalError> {
        if used.saturating_add(more) > self.limit { Err(EvalError::TooManySamples) } else { Ok(()) }
    }
}

/// Samples that a column counts for. Empty slots take memory too, half as much as upstream's samples.
pub(super) fn charge(column: &Column) -> usize {
    column.weight().max(column.len() / 2)
}

/// Bytes of labels that come for free with a series.
const FREE_LABEL_BYTES: usize = 1024;

/// Samples (16 bytes each) that long labels count for: `label_replace` in itself can make a text of gigabytes out of a
/// short one.
pub(super) fn charge_labels(labels: &Labels) -> usize {
    labels.as_packed().len().saturating_sub(FREE_LABEL_BYTES) / 16
}
