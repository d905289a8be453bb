//! Which devices are looked at.

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
