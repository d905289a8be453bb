//! Steps and the variables that speak of them, by Grafana's rules.

use reba_model::duration;

/// Points that one query of Prometheus may have.
const MAX_POINTS: i64 = 11_000;

/// Distance of samples where nobody says it.
const SCRAPE_MS: i64 = 15_000;

/// Up to which interval (ms) which one is taken.
const ROUND: [(i64, i64); 30] = [
    (10, 1),
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1500, 1000),
    (3500, 2000),
    (7500, 5000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
    (1_500_000, 1_200_000),
    (2_700_000, 1_800_000),
    (5_400_000, 3_600_000),
    (9_000_000, 7_200_000),
    (16_200_000, 10_800_000),
    (32_400_000, 21_600_000),
    (86_400_000, 43_200_000),
    (604_800_000, 86_400_000),
    (1_814_400_000, 604_800_000),
    (3_628_800_000, 2_592_000_000),
    (i64::MAX, 31_536_000_000),
];

/// The interval that people would have chosen.
fn rounded(ms: i64) -> i64 {
    ROUND.iter().find(|(up_to, _)| ms <= *up_to).map_or(SCRAPE_MS, |(_, take)| *take)
}

/// A range of time, and how finely it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub from_ms: i64,
    pub to_ms: i64,
    /// Between two points.
    pub step_ms: i64,
    /// Between two samples, as far as we know.
    pub scrape_ms: i64,
}

impl Grid {
    /// The grid of a query: `least` is its own or its data source's shortest interval.
    pub(super) fn new(from_ms: i64, to_ms: i64, max_points: i64, least: Option<&str>, factor: i64) -> Self {
        let range = to_ms.saturating_sub(from_ms).max(0);
        // Prometheus' own syntax, or Grafana's `>15s`.
        let least = least.map(|text| text.trim().trim_start_matches('>'));
        let scrape_ms =
            least.and_then(|text| duration::parse(text).ok()).filter(|ms| *ms > 0).unwrap_or(SCRAPE_MS);
        let wanted = rounded(range / max_points.max(1)).max(scrape_ms);
        let safe = rounded_up(range / MAX_POINTS);
        let step_ms = wanted.max(safe).saturating_mul(factor.max(1));
        Grid { from_ms, to_ms, step_ms, scrape_ms }
    }

    /// Beginning and end on multiples of the step, so that points stay where they are from one refresh to the next.
    pub(super) fn aligned(&self) -> (i64, i64) {
        let down = |ms: i64| ms.div_euclid(self.step_ms) * self.step_ms;
        (down(self.from_ms), down(self.to_ms))
    }

    /// A query with `$__interval` and its like filled in.
    pub(super) fn fill_in(&self, query: &str) -> String {
        let range = self.to_ms.saturating_sub(self.from_ms).max(0);
        let rate = self.step_ms.saturating_add(self.scrape_ms).max(self.scrape_ms.saturating_mul(4));
        let mut out = query.to_owned();
        // Longer names before those that they begin with.
        for (name, value) in [
            ("__rate_interval", text(rate)),
            ("__interval_ms", self.step_ms.to_string()),
            ("__interval", text(self.step_ms)),
            ("__auto", text(self.step_ms)),
            ("__range_ms", range.to_string()),
            ("__range_s", (range / 1000).to_string()),
            ("__range", format!("{}s", range / 1000)),
        ] {
            out = out.replace(&format!("${{{name}}}"), &value).replace(&format!("${name}"), &value);
        }
        out
    }
}

fn rounded_up(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000 * 1000
}

/// A duration as all query languages read it.
pub(super) fn text(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_variables_follow_grafanas_rules() {
        let hour = Grid::new(0, 3_600_000, 1000, None, 1);
        assert_eq!((hour.step_ms, hour.scrape_ms), (15_000, 15_000));
        assert_eq!(
            hour.fill_in("rate(x[$__rate_interval]) $__interval ${__interval_ms} $__range $__range_s"),
            "rate(x[60s]) 15s 15000 3600s 3600"
        );
        let week = Grid::new(5, 604_800_005, 1000, Some("30s"), 1);
        assert_eq!((week.step_ms, week.aligned()), (600_000, (0, 604_800_000)));
        assert_eq!(Grid::new(0, 31_536_000_000, 1_000_000, None, 1).step_ms, 2_867_000);
    }
}
