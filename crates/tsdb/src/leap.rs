//! Clocks that leap: nothing is cut while the wall clock is not to be trusted, and what a clock that was ahead left behind is
//! put aside.

use std::time::Duration;

use crate::{
    Tsdb, TsdbError,
    head::{Part, span_start},
};

/// The wall clock leaps when it moves so much more or less than time passes.
const LEAP_MS: i64 = 5 * 60_000;

/// So long after a leap the head is not cut: mostly it is a clock that is about to be set right.
const TRUSTED_AFTER: Duration = Duration::from_secs(15 * 60);

/// The head of a store that runs never spans so much.
const GAP_MS: i64 = 24 * 3_600_000;

/// Watches the wall clock.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Wall clock minus time that passed, when it was last looked at.
    offset: Option<i64>,
    leapt_at: Option<Duration>,
}

impl Watch {
    /// Whether the clock has not leapt of late. `has_gap` is asked at the first look, when it is not known what the clock
    /// showed before: whether the newest data is long after what comes before it.
    pub(crate) fn trusts(&mut self, wall_ms: i64, passed: Duration, has_gap: impl FnOnce() -> bool) -> bool {
        let offset = wall_ms.saturating_sub(passed.as_millis() as i64);
        let leapt = match self.offset {
            Some(before) => offset.saturating_sub(before).saturating_abs() > LEAP_MS,
            None => has_gap(),
        };
        if leapt {
            self.leapt_at = Some(passed);
        }
        self.offset = Some(offset);
        self.leapt_at = self.leapt_at.filter(|t| passed.saturating_sub(*t) < TRUSTED_AFTER);
        self.leapt_at.is_none()
    }
}

impl Tsdb {
    /// Whether the wall clock seems to be right; see [`Watch`].
    pub(crate) fn trusts_clock(&self, watch: &mut Watch) -> bool {
        let clock = &self.env.clock;
        watch.trusts(clock.now_ms(), clock.monotonic(), || {
            let (oldest, newest) = (self.head.min_time(), self.head.max_time());
            oldest < newest && newest.saturating_sub(oldest) > GAP_MS
        })
    }

    /// Moves samples that lie further ahead of the clock than any that would be taken now to blocks; whether there were
    /// any. Their series could take no others before the clock gets there.
    pub(crate) fn move_future(&self, now_ms: i64) -> Result<bool, TsdbError> {
        let range = self.config.block_range_ms;
        let acceptable = now_ms.saturating_add(self.config.accept_future_ms);
        let border = span_start(acceptable, range).saturating_add(range);
        if self.head.max_time() < border {
            return Ok(false);
        }
        let ahead = self.head.series_ahead(border);
        for start in &ahead.spans {
            self.write_span(*start, Part::All, Some(&ahead), true)?;
        }
        let mut seq = None;
        self.head.forget_ahead(&ahead, border, |records| seq = Some(self.log.push(records.frame())));
        if let Some(seq) = seq {
            self.log.commit(seq)?;
        }
        tracing::warn!(
            series = ahead.len(),
            border,
            "samples were far ahead of the clock; they are in a block of their own now"
        );
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_either_way_is_not_trusted_for_a_quarter_of_an_hour() {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        let at = |m: u64| 1_700_000_000_000 + 60_000 * m as i64;
        const YEAR: i64 = 365 * 86_400_000;
        let mut watch = Watch::default();
        let mut trusts = |wall, passed| watch.trusts(wall, passed, || false);
        assert!(trusts(at(0), minutes(0)));
        // Slewing is no leap.
        assert!(trusts(at(1) + 30_000, minutes(1)));
        assert!(!trusts(at(2) + YEAR, minutes(2)));
        assert!(!trusts(at(10) + YEAR, minutes(10)));
        assert!(!trusts(at(12), minutes(12)));
        assert!(!trusts(at(26), minutes(26)));
        assert!(trusts(at(27), minutes(27)));
        let mut restarted = Watch::default();
        assert!(!restarted.trusts(at(30), minutes(0), || true));
        assert!(restarted.trusts(at(45), minutes(15), || true));
    }
}
