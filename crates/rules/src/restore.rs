//! Restores since when alerts have been active, from the series they left behind before a restart.

use std::collections::BTreeMap;

use reba_model::{Labels, METRIC_NAME, Matcher, SampleColumns, TimeRange};
use reba_storage::{Budget, MetricQuerier, QueryError, SelectHints, SelectRequest};

use crate::{
    alerting::{ALERT_NAME, ALERTS_FOR_STATE, ActiveAlerts},
    file::Rule,
    lifecycle::restored_active_at,
};

/// Time and value (both Unix milliseconds) of the last sample of each series of a rule, by the alert's labels.
pub(crate) type LastStates = BTreeMap<Labels, (i64, i64)>;

/// The last second of the year 9999: no alert is active since a later one.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Reads `ALERTS_FOR_STATE` of a rule. Series that ended with a marker, or with what is no time, are left out. Blocks.
pub(crate) fn read_states(
    store: &dyn MetricQuerier,
    rule: &Rule,
    range: TimeRange,
) -> Result<LastStates, QueryError> {
    let mut matchers =
        vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, rule.name.as_str())];
    // A templated label has another value in every series.
    let plain = rule.labels.iter().filter(|(n, v)| !v.contains("{{") && *n != ALERT_NAME);
    matchers.extend(plain.map(|(n, v)| Matcher::equal(n, v)));
    let budget = Budget::new(1_000_000, 1 << 30);
    let request =
        SelectRequest { matchers: &matchers, range, hints: &SelectHints::default(), budget: &budget };
    let mut states = LastStates::new();
    let mut columns = SampleColumns::default();
    for series in store.select(&request)? {
        if !Matcher::all(&matchers, &series.labels) {
            continue;
        }
        series.read_into(range, &mut columns)?;
        let (Some(t), Some(v)) = (columns.t.last(), columns.v.last()) else { continue };
        if let Some(since) = whole_seconds(*v) {
            // Upstream keeps whole seconds of both.
            states.insert(series.labels.without_name(), (t.div_euclid(1000) * 1000, since));
        }
    }
    Ok(states)
}

/// Since when an alert has been active, Unix milliseconds, from its sample's seconds: whoever may write can write any number.
fn whole_seconds(seconds: f64) -> Option<i64> {
    (0.0..=LAST_SECOND).contains(&seconds).then(|| seconds as i64 * 1000)
}

/// Moves the alerts that were active before the restart back to when they became so.
pub(crate) fn restore(active: &mut ActiveAlerts, states: &LastStates, now: i64, hold: i64, grace: i64) {
    for (labels, alert) in active.iter_mut() {
        if let Some((down_at, stored)) = states.get(labels) {
            alert.life.active_at = restored_active_at(*stored, *down_at, now, hold, grace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_no_time_restores_nothing() {
        assert_eq!(whole_seconds(1_700_000_000.9), Some(1_700_000_000_000));
        for wrong in [f64::NAN, -1.0, 1e300, -1e300, f64::INFINITY] {
            assert_eq!(whole_seconds(wrong), None, "{wrong}");
        }
    }
}
