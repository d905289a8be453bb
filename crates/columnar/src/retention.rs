//! Dropping what is too old or too much.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reba_disk::Env;
use reba_model::{Labels, Matcher, NanoRange, Tenant};

use crate::{
    Columnar, ColumnarError, Retention,
    catalog::{Change, PartSet},
    config::Periods,
    delete::{Fate, Fates},
    part::{LivePart, Part, PartInfo},
};

/// The wall clock leaps when it moves so much more or less than time passes, or is so far ahead of the newest row at the start.
const LEAP_MS: i64 = 5 * 60_000;
const GAP_MS: i64 = 24 * 3_600_000;

/// So long after a leap nothing is dropped for its age: mostly it is a clock that is about to be set right.
const TRUSTED_AFTER: Duration = Duration::from_secs(15 * 60);

/// What retention remembers.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Wall clock minus time that passed, when it was last looked at.
    offset_ms: Option<i64>,
    leapt_at: Option<Duration>,
    /// Of parts that rules were applied to, the longest period that had passed.
    trimmed: BTreeMap<u64, Duration>,
}

impl Watch {
    /// Whether the clock has not leapt of late. `newest_ms` is asked when it is not known what the clock showed before.
    fn trusts(&mut self, now_ms: i64, passed: Duration, newest_ms: impl FnOnce() -> Option<i64>) -> bool {
        let offset = now_ms.saturating_sub(passed.as_millis() as i64);
        let has_leapt = match self.offset_ms {
            Some(before) => offset.saturating_sub(before).saturating_abs() > LEAP_MS,
            None => newest_ms().is_some_and(|newest| now_ms.saturating_sub(newest) > GAP_MS),
        };
        self.offset_ms = Some(offset);
        if has_leapt {
            self.leapt_at = Some(passed);
        }
        self.leapt_at = self.leapt_at.filter(|t| passed.saturating_sub(*t) < TRUSTED_AFTER);
        self.leapt_at.is_none()
    }
}

impl Retention {
    fn of(&self, tenant: &Tenant) -> &Periods {
        self.tenants.get(tenant).unwrap_or(&self.periods)
    }
}

impl Periods {
    /// How long a stream is kept; `None` is for ever.
    fn keep(&self, labels: &Labels) -> Option<Duration> {
        let matching = self.rules.iter().filter(|r| Matcher::all(&r.matchers, labels));
        matching.min_by_key(|r| (std::cmp::Reverse(r.priority), r.keep)).map_or(self.keep, |r| Some(r.keep))
    }

    /// All periods, the longest last; `None` if there are streams that are kept for ever.
    fn longest(&self) -> Option<Duration> {
        self.rules.iter().map(|r| r.keep).chain(self.keep).max().filter(|_| self.keep.is_some())
    }

    /// The longest of the periods that are at most so long.
    fn longest_passed(&self, age: Duration) -> Option<Duration> {
        self.rules.iter().map(|r| r.keep).chain(self.keep).filter(|k| *k < age).max()
    }
}

/// How long ago the newest row of a part was; none if it lies ahead.
fn age(info: &PartInfo, now_ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(now_ns.saturating_sub(info.max_ns)).unwrap_or(0))
}

/// Parts that are too old or too many, as long as the clock can be trusted.
pub(crate) fn outdated<P: LivePart>(
    parts: &PartSet<P>,
    retention: &Retention,
    env: &Env,
    now_ms: i64,
    watch: &mut Watch,
) -> Vec<Arc<P>> {
    let now_ns = now_ms.saturating_mul(1_000_000);
    let newest = || parts.all().map(|p| p.info().max_ns / 1_000_000).max();
    let is_trusted = watch.trusts(now_ms, env.clock.monotonic(), newest);
    let is_over = |part: &Arc<P>| {
        let longest = retention.of(&part.info().tenant).longest();
        longest.is_some_and(|keep| keep < age(part.info(), now_ns))
    };
    let (mut remove, mut kept): (Vec<_>, Vec<_>) =
        parts.all().cloned().partition(|p| is_trusted && is_over(p));
    if let Some(limit) = retention.max_bytes {
        kept.sort_by_key(|p| (p.info().max_ns, p.info().number));
        let mut bytes: u64 = kept.iter().map(|p| p.info().bytes).sum();
        for part in kept {
            if bytes <= limit {
                break;
            }
            bytes -= part.info().bytes;
            remove.push(part);
        }
    }
    remove
}

impl Columnar {
    /// Drops parts that are too old or too many. To be called by whoever holds `maintenance`.
    pub(crate) fn retain(&self, now_ms: i64, watch: &mut Watch) -> Result<(), ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let remove = outdated(&parts, &self.retention.read(), &self.env, now_ms, watch);
        if remove.is_empty() {
            return Ok(());
        }
        let count = remove.len() as u64;
        tracing::info!(parts = count, "parts are dropped for their age or size");
        self.catalog.commit(&self.state, Change { remove, ..Change::default() })?;
        self.counters.parts_expired.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a part anew without the streams whose time is over, if there is such a part. To be called by whoever holds
    /// `maintenance`, after [`Columnar::retain`].
    pub(crate) fn trim(&self, now_ms: i64, watch: &mut Watch) -> Result<(), ColumnarError> {
        let retention = self.retention.read().clone();
        let has_rules = !retention.periods.rules.is_empty() || !retention.tenants.is_empty();
        if watch.leapt_at.is_some() || !has_rules {
            return Ok(());
        }
        let parts = Arc::clone(&self.state.read().parts);
        let now_ns = now_ms.saturating_mul(1_000_000);
        let mut before = std::mem::take(&mut watch.trimmed);
        for part in parts.all() {
            let number = part.info.number;
            let periods = retention.of(&part.info.tenant);
            let age = age(&part.info, now_ns);
            let Some(passed) = periods.longest_passed(age) else { continue };
            let known = before.remove(&number);
            if known.is_some_and(|t| t >= passed) {
                watch.trimmed.insert(number, passed);
                continue;
            }
            let fates = expired(part, periods, age)?;
            if fates.is_empty() {
                watch.trimmed.insert(number, passed);
                continue;
            }
            let add = self.without(part, &fates)?;
            watch.trimmed.append(&mut before);
            watch.trimmed.extend(add.as_ref().map(|p| (p.info.number, passed)));
            let change =
                Change { add: add.into_iter().collect(), remove: vec![Arc::clone(part)], flushed: false };
            self.catalog.commit(&self.state, change)?;
            self.counters.parts_expired.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Ok(())
    }
}

/// The blocks of the streams that are kept for less than `age`.
fn expired(part: &Part, periods: &Periods, age: Duration) -> Result<Fates, ColumnarError> {
    let mut fates = Fates::new();
    part.each_stream(None, NanoRange::ALL, &mut |entry| {
        let labels = Labels::from_packed(entry.packed).unwrap_or_default();
        if periods.keep(&labels).is_some_and(|keep| keep < age) {
            fates.extend(entry.blocks.iter().map(|b| (b.number, Fate::Dropped)));
        }
        Ok::<_, ColumnarError>(())
    })?;
    Ok(fates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamPeriod;

    #[test]
    fn the_highest_priority_counts_and_of_equal_ones_the_shortest_period() {
        let rule = |name: &str, priority, days: u64| StreamPeriod {
            matchers: vec![Matcher::equal(name, "x")],
            priority,
            keep: Duration::from_secs(86_400 * days),
        };
        let periods = Periods {
            keep: Some(Duration::from_secs(86_400 * 30)),
            rules: vec![rule("a", 1, 90), rule("b", 2, 7), rule("c", 2, 3), rule("d", 1, 1)],
        };
        let days = |names: &[&str]| -> u64 {
            let labels = Labels::from_pairs(names.iter().map(|n| (*n, "x")));
            periods.keep(&labels).unwrap().as_secs() / 86_400
        };
        assert_eq!([days(&[]), days(&["a"]), days(&["d", "a"])], [30, 90, 1]);
        assert_eq!([days(&["a", "b", "d"]), days(&["b", "c"])], [7, 3]);
        assert_eq!(periods.longest().unwrap().as_secs() / 86_400, 90);
        assert_eq!(Periods { keep: None, ..periods }.longest(), None);
    }

    #[test]
    fn after_a_leap_the_clock_is_trusted_again_when_it_has_been_steady_for_a_while() {
        let mut watch = Watch::default();
        let at = |minutes: u64| Duration::from_secs(60 * minutes);
        assert!(watch.trusts(1_000_000_000, at(0), || Some(999_990_000)));
        assert!(watch.trusts(1_000_060_000, at(1), || None));
        assert!(!watch.trusts(9_000_000_000, at(2), || None));
        assert!(!watch.trusts(9_000_000_000 + 14 * 60_000, at(16), || None));
        assert!(watch.trusts(9_000_000_000 + 16 * 60_000, at(18), || None));
        assert!(!Watch::default().trusts(9_000_000_000, at(0), || Some(1)));
    }
}
