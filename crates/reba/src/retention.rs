//! What `reba.yml` says of old samples: how long they are kept, and downsampled to what.

use reba_model::{Matcher, duration};
use reba_promql::syntax::parse_selector;
use reba_tsdb::{DownsampleLevel, RetentionRule};
use serde::Deserialize;

use crate::settings::{Check, Value};

/// A line of `metrics.retention_rules`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRule {
    #[serde(rename = "match")]
    selector: Value<String>,
    keep: Value<String>,
}

/// A line of `metrics.downsampling`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLevel {
    resolution: Value<String>,
    after: Value<String>,
    keep: Value<String>,
    #[serde(rename = "match")]
    selector: Value<String>,
}

const MINUTE_MS: i64 = 60_000;

/// Blocks are cut at multiples of it, and no window crosses a cut.
const BLOCK_MS: i64 = 120 * MINUTE_MS;

/// Each line costs a look at the index of every block that grows old.
const MAX_LINES: usize = 100;

/// The rules of retention.
pub fn rules(raw: &[RawRule], check: &mut Check<'_>) -> Vec<RetentionRule> {
    let mut out = Vec::new();
    for (i, rule) in raw.iter().enumerate() {
        let key = |name: &str| format!("metrics.retention_rules[{i}].{name}");
        if rule.selector.is_none() {
            check.fail_at(None, &key("match"), "is missing");
        }
        if rule.keep.is_none() {
            check.fail_at(None, &key("keep"), "is missing");
        }
        let matchers = matchers(&key("match"), &rule.selector, check);
        out.push(RetentionRule { matchers, keep_ms: check.positive_ms(&key("keep"), &rule.keep, 1) });
    }
    if raw.len() > MAX_LINES {
        check.fail_at(None, "metrics.retention_rules", format!("{MAX_LINES} rules at most"));
    }
    out
}

/// The levels of downsampling; samples as they come are kept for `retention` milliseconds.
pub fn levels(raw: &[RawLevel], retention: i64, check: &mut Check<'_>) -> Vec<DownsampleLevel> {
    let mut out: Vec<DownsampleLevel> = Vec::new();
    for (i, level) in raw.iter().enumerate() {
        let key = |name: &str| format!("metrics.downsampling[{i}].{name}");
        for (name, value) in [("resolution", &level.resolution), ("keep", &level.keep)] {
            if value.is_none() {
                check.fail_at(None, &key(name), "is missing");
            }
        }
        let new = DownsampleLevel {
            resolution_ms: check.positive_ms(&key("resolution"), &level.resolution, MINUTE_MS),
            after_ms: check.positive_ms(&key("after"), &level.after, retention),
            keep_ms: check.positive_ms(&key("keep"), &level.keep, i64::MAX),
            matchers: matchers(&key("match"), &level.selector, check),
        };
        let text = duration::format;
        if let Some(value) = &level.resolution
            && new.resolution_ms > 0
            && (new.resolution_ms < MINUTE_MS || BLOCK_MS % new.resolution_ms != 0)
        {
            check.fail(&key("resolution"), value, "must divide 2h, and be 1m at least");
        }
        if let Some(value) = &level.after
            && new.after_ms > retention
        {
            let why = format!("samples are gone by then: metrics.retention is {}", text(retention));
            check.fail(&key("after"), value, why);
        }
        if let Some(value) = &level.keep
            && new.keep_ms <= retention
        {
            let why = format!(
                "must be more than metrics.retention, for so long ({}) there are samples",
                text(retention)
            );
            check.fail(&key("keep"), value, why);
        }
        if let (Some(last), Some(value)) = (out.last(), &level.resolution)
            && (new.resolution_ms <= last.resolution_ms || new.resolution_ms % last.resolution_ms.max(1) != 0)
        {
            let why = format!("must be a multiple of the one before, {}", text(last.resolution_ms));
            check.fail(&key("resolution"), value, why);
        }
        if let (Some(last), Some(value)) = (out.last(), &level.keep)
            && new.keep_ms <= last.keep_ms
        {
            let why =
                format!("must be more than that of the finer resolution before, {}", text(last.keep_ms));
            check.fail(&key("keep"), value, why);
        }
        out.push(new);
    }
    if raw.len() > MAX_LINES {
        check.fail_at(None, "metrics.downsampling", format!("{MAX_LINES} levels at most"));
    }
    out
}

#[expect(clippy::ref_option, reason = "a field of the settings as it stands there")]
fn matchers(key: &str, value: &Value<String>, check: &mut Check<'_>) -> Vec<Matcher> {
    let Some(text) = value else { return Vec::new() };
    match parse_selector(&text.value) {
        Ok(matchers) if matchers.is_empty() => {
            check.fail(key, text, "names no label: this is every series");
            matchers
        }
        Ok(matchers) => matchers,
        Err(e) => {
            check.fail(key, text, e);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::settings::Settings;

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        Settings::parse(text, Path::new("reba.yml"))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn rules_and_levels_are_read() {
        let s = parse(
            "metrics:\n  retention: 30d\n  retention_rules:\n  - match: '{job=\"payments\"}'\n    keep: 1y\n  \
             downsampling:\n  - resolution: 5m\n    after: 2d\n    keep: 1y\n  - resolution: 1h\n    keep: 5y\n    \
             match: '{__name__!~\"go_.*\"}'\n",
        )
        .unwrap();
        assert_eq!((s.retention_rules[0].keep_ms, s.retention_rules[0].matchers.len()), (365 * DAY, 1));
        let levels: Vec<_> = s
            .downsampling
            .iter()
            .map(|l| (l.resolution_ms, l.after_ms, l.keep_ms, l.matchers.len()))
            .collect();
        assert_eq!(
            levels,
            [(HOUR / 12, 2 * DAY, 365 * DAY, 0), (HOUR, 30 * DAY, 5 * 365 * DAY, 1)],
            "what is downsampled when is said, or when its samples go"
        );
    }

    #[test]
    fn what_cannot_be_is_said_with_its_key() {
        for (text, want) in [
            ("retention_rules: [{match: up}]", "retention_rules[0].keep: is missing"),
            ("retention_rules: [{match: '{', keep: 1d}]", "retention_rules[0].match: "),
            ("retention_rules: [{match: '{}', keep: 1d}]", "retention_rules[0].match: "),
            ("retention_rules: [{match: up, keep: 0s}]", "retention_rules[0].keep: must be above zero"),
            ("downsampling: [{keep: 1y}]", "downsampling[0].resolution: is missing"),
            ("downsampling: [{resolution: 5m}]", "downsampling[0].keep: is missing"),
            ("downsampling: [{resolution: 7m, keep: 1y}]", "downsampling[0].resolution: must divide 2h"),
            ("downsampling: [{resolution: 1d, keep: 1y}]", "downsampling[0].resolution: must divide 2h"),
            (
                "downsampling: [{resolution: 5m, after: 40d, keep: 1y}]",
                "downsampling[0].after: samples are gone by then",
            ),
            (
                "downsampling: [{resolution: 5m, keep: 20d}]",
                "downsampling[0].keep: must be more than metrics.retention",
            ),
            (
                "downsampling: [{resolution: 10m, keep: 1y}, {resolution: 15m, keep: 2y}]",
                "downsampling[1].resolution: must be a multiple of the one before, 10m",
            ),
            (
                "downsampling: [{resolution: 5m, keep: 1y}, {resolution: 1h, keep: 300d}]",
                "downsampling[1].keep: must be more than that of the finer resolution before, 1y",
            ),
        ] {
            let faults = parse(&format!("metrics: {{{text}}}")).unwrap_err();
            assert!(
                faults.len() == 1 && faults[0].contains(&format!("metrics.{want}")),
                "{text}: {faults:?}"
            );
        }
    }
}
