//! Which devices and fields are looked at.

use std::collections::HashMap;

use parking_lot::Mutex;
use reba_model::GoRegex;

use crate::flags::{FlagError, Flags, wrong};

/// An expression of a flag. Unlike Prometheus' these match anywhere in the text.
pub fn expression(flags: &Flags, flag: &str) -> Result<Option<GoRegex>, FlagError> {
    let text = flags.text(flag);
    if text.is_empty() {
        return Ok(None);
    }
    GoRegex::search(text).map(Some).map_err(|e| wrong(format!("--{flag}: {e}")))
}

/// Fields that are remembered at most; no kernel has as many.
const MAX_FIELDS: usize = 10_000;

/// Fields that an expression chooses. The kernel has hundreds, the same every time: what was decided is remembered.
#[derive(Debug)]
pub struct FieldFilter {
    wanted: Option<GoRegex>,
    decided: Mutex<HashMap<String, bool>>,
}

impl FieldFilter {
    /// Reads the flag; without an expression no field is wanted.
    pub fn new(flags: &Flags, flag: &str) -> Result<Self, FlagError> {
        Ok(FieldFilter { wanted: expression(flags, flag)?, decided: Mutex::default() })
    }

    /// Whether a field is shown.
    pub fn takes(&self, field: &str) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let mut decided = self.decided.lock();
        if let Some(decision) = decided.get(field) {
            return *decision;
        }
        let decision = wanted.is_match(field);
        if decided.len() < MAX_FIELDS {
            decided.insert(field.to_owned(), decision);
        }
        decision
    }
}

/// Devices to leave out, or the only ones to look at.
#[derive(Debug, Default)]
pub struct DeviceFilter {
    exclude: Option<GoRegex>,
    include: Option<GoRegex>,
}

impl DeviceFilter {
    /// Reads the two flags; both at once are an error, unless the one is only there by default.
    pub fn new(flags: &Flags, exclude: &str, include: &str) -> Result<Self, FlagError> {
        let (mut out, only) = (expression(flags, exclude)?, expression(flags, include)?);
        if out.is_some() && only.is_some() {
            if flags.given(exclude) {
                return Err(wrong(format!("--{exclude} and --{include} exclude each other")));
            }
            out = None;
        }
        Ok(DeviceFilter { exclude: out, include: only })
    }

    /// Whether a device is left out.
    pub fn ignores(&self, device: &str) -> bool {
        self.exclude.as_ref().is_some_and(|r| r.is_match(device))
            || self.include.as_ref().is_some_and(|r| !r.is_match(device))
    }
}
