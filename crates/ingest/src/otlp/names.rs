//! Names of metrics and labels, from OpenTelemetry's to Prometheus'.
//!
//! The rules are those of the OpenTelemetry specification ("Prometheus and OpenMetrics compatibility") as upstream's
//! library otlptranslator 1.0 reads them; `translation_strategy` chooses among four combinations of escaping and
//! suffixes.

use std::borrow::Cow;

use crate::config::OtlpConfig;

/// What a metric is, as far as its name depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// Gets `_ratio` where the unit is `1`.
    Gauge,
    /// Gets `_total`.
    Counter,
    /// Gets neither.
    Other,
}

/// How names are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Namer {
    /// Whether every character is left as it is.
    utf8: bool,
    /// Whether units and types are appended.
    suffixes: bool,
    /// Whether a label that begins with one `_` gets `key` in front.
    key_before_underscore: bool,
    /// Whether several `_` in a row stay in labels.
    keep_underscores: bool,
}

/// Units whose names in Prometheus differ from those in UCUM; any other is taken as it is.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units behind a `/`.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

impl Namer {
    /// The rules that a configuration asks for.
    pub(super) fn new(config: &OtlpConfig) -> Self {
        let strategy = config.translation_strategy.as_str();
        Namer {
            utf8: matches!(strategy, "NoTranslation" | "NoUTF8EscapingWithSuffixes"),
            suffixes: matches!(strategy, "UnderscoreEscapingWithSuffixes" | "NoUTF8EscapingWithSuffixes"),
            key_before_underscore: config.label_name_underscore_sanitization,
            keep_underscores: config.label_name_preserve_multiple_underscores,
        }
    }

    /// Whether every character is left as it is: then two attributes never become one label.
    pub(super) fn is_utf8(self) -> bool {
        self.utf8
    }

    /// The name of a metric; an error says why there is none.
    pub(super) fn metric(self, name: &str, unit: &str, kind: NameKind) -> Result<String, String> {
        if self.utf8 {
            let out = if self.suffixes { with_suffixes(name, unit, kind) } else { name.to_owned() };
            return if out.is_empty() { Err("metric without a name".to_owned()) } else { Ok(out) };
        }
        let out = if self.suffixes { escaped_with_suffixes(name, unit, kind) } else { escaped(name) };
        if out.is_empty() {
            return Err(format!("normalization for metric {name:?} resulted in empty name"));
        }
        if out != name && only_underscores(&out) {
            return Err(format!("normalization for metric {name:?} resulted in invalid name {out:?}"));
        }
        Ok(out)
    }

    /// A unit as metadata names it.
    pub(super) fn unit(self, unit: &str) -> String {
        let (main, per) = unit_suffixes(unit);
        let parts = if self.utf8 { [main, per] } else { [clean(&main), clean(&per)] };
        let parts =
            parts.iter().map(|part| part.trim_matches('_')).filter(|part| !matches!(*part, "" | "per"));
        parts.collect::<Vec<_>>().join("_")
    }

    /// The name of a label; an error says why there is none.
    pub(super) fn label(self, name: &str) -> Result<Cow<'_, str>, String> {
        if name.is_empty() {
            return Err("label name is empty".to_owned());
        }
        if self.utf8 {
            if only_underscores(name) {
                return Err(format!("label name {name:?} contains only underscores"));
            }
            return Ok(Cow::Borrowed(name));
        }
        let mut out = self.escape_label(name);
        if out.starts_with(|c: char| c.is_ascii_digit()) {
            out = Cow::Owned(format!("key_{out}"));
        } else if self.key_before_underscore && out.starts_with('_') && !out.starts_with("__") {
            out = Cow::Owned(format!("key{out}"));
        }
        if only_underscores(&out) {
            return Err(format!("normalization for label name {name:?} resulted in invalid name {out:?}"));
        }
        Ok(out)
    }

    fn escape_label(self, name: &str) -> Cow<'_, str> {
        let valid = |c: char| c.is_ascii_alphanumeric();
        if self.keep_underscores {
            if name.chars().all(|c| valid(c) || c == '_') {
                return Cow::Borrowed(name);
            }
            return Cow::Owned(name.chars().map(|c| if valid(c) { c } else { '_' }).collect());
        }
        let reserved =
            name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")).filter(|_| name.len() >= 4);
        let inner = collapse(reserved.unwrap_or(name), valid);
        Cow::Owned(if reserved.is_some() { format!("__{inner}__") } else { inner })
    }
}

fn only_underscores(name: &str) -> bool {
    name.bytes().all(|b| b == b'_')
}

/// Runs of characters that are not valid become one `_`.
fn collapse(text: &str, valid: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        if valid(c) {
            out.push(c);
        } else if !gap {
            out.push('_');
        }
        gap = !valid(c);
    }
    out
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn before_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Escaped, and nothing more.
fn escaped(name: &str) -> String {
    let parts = name.split(|c: char| !is_name_char(c) && c != '_').filter(|p| !p.is_empty());
    before_digit(parts.collect::<Vec<_>>().join("_"))
}

/// Escaped, with the unit and what the type asks for.
fn escaped_with_suffixes(name: &str, unit: &str, kind: NameKind) -> String {
    let mut tokens: Vec<&str> = name.split(|c: char| !is_name_char(c)).filter(|t| !t.is_empty()).collect();
    let (main, per) = unit_suffixes(unit);
    let (main, per) = (clean(&main), clean(&per));
    let main = if tokens.contains(&main.as_str()) { "" } else { main.as_str() };
    let per = per.trim_end_matches('_');
    let per = if per == "per" || tokens.contains(&per) { "" } else { per };
    let main = if per.is_empty() { main } else { main.strip_suffix('_').unwrap_or(main) };
    tokens.extend([main, per].into_iter().filter(|t| !t.is_empty()));
    let mut last = |suffix: &'static str| {
        tokens.retain(|t| *t != suffix);
        tokens.push(suffix);
    };
    match kind {
        NameKind::Counter => last("total"),
        NameKind::Gauge if unit == "1" => last("ratio"),
        _ => {}
    }
    before_digit(tokens.join("_"))
}

/// As it is, with the unit and what the type asks for.
fn with_suffixes(name: &str, unit: &str, kind: NameKind) -> String {
    let (main, per) = unit_suffixes(unit);
    let last = match kind {
        NameKind::Counter => "total",
        NameKind::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    let name = without_suffix(without_suffix(name, last), &per);
    let main = if name.ends_with(main.as_str()) { "" } else { main.as_str() };
    let mut out = name.to_owned();
    for part in [main, per.as_str(), last].into_iter().filter(|p| !p.is_empty()) {
        out.push('_');
        out.push_str(part);
    }
    out
}

/// Cuts `suffix` and the character before it.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    let Some(rest) = name.strip_suffix(suffix).filter(|_| !suffix.is_empty()) else { return name };
    let mut rest = rest.chars();
    match rest.next_back() {
        Some(_) if !rest.as_str().is_empty() => rest.as_str(),
        _ => name,
    }
}

/// What a unit adds to a name: the part before the `/`, and the part behind it with `per_` in front.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    // In braces stands what is counted, which is no unit.
    let known = |text: &str, list: &[(&str, &str)]| {
        let text = text.trim();
        match list.iter().find(|(short, _)| *short == text) {
            _ if text.contains(['{', '}']) => String::new(),
            Some((_, long)) => (*long).to_owned(),
            None => text.to_owned(),
        }
    };
    let main = known(main, &UNITS);
    let per = known(per, &PER_UNITS);
    (main, if per.is_empty() { per } else { format!("per_{per}") })
}

fn clean(unit: &str) -> String {
    let out = collapse(unit, is_name_char);
    out.strip_prefix('_').map(str::to_owned).unwrap_or(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn namer(utf8: bool, suffixes: bool) -> Namer {
        Namer { utf8, suffixes, key_before_underscore: true, keep_underscores: true }
    }

    #[test]
    fn metrics_are_named_as_upstream_names_them() {
        use NameKind::{Counter, Gauge, Other};
        // Escaping, suffixes, name, unit, type, expected: upstream's documented cases.
        let cases = [
            (false, "simple_metric", "", Gauge, "simple_metric"),
            (false, "metric@with#special$chars", "", Gauge, "metric_with_special_chars"),
            (false, "123metric", "", Gauge, "_123metric"),
            (false, "metric@@##$$name", "", Gauge, "metric_name"),
            (false, "___", "", Gauge, "___"),
            (true, "requests", "", Counter, "requests_total"),
            (true, "cpu_usage", "1", Gauge, "cpu_usage_ratio"),
            (true, "items", "1", Counter, "items_total"),
            (true, "response_time", "ms", Gauge, "response_time_milliseconds"),
            (true, "requests", "1/s", Gauge, "requests_per_second"),
            (true, "throughput", "By/s", Gauge, "throughput_bytes_per_second"),
            (true, "custom_metric", "custom_unit", Gauge, "custom_metric_custom_unit"),
            (true, "custom_metric", "{custom}", Gauge, "custom_metric"),
            (true, "custom_metric", "By/{custom}", Gauge, "custom_metric_bytes"),
            (true, "requests_total", "", Counter, "requests_total"),
            (true, "cpu_usage_ratio", "1", Gauge, "cpu_usage_ratio"),
            (true, "response_time_seconds", "s", Gauge, "response_time_seconds"),
            (true, "requests", "1/s", Counter, "requests_per_second_total"),
            (
                true,
                "metric__with__multiple__underscores",
                "unit__multiple__underscores",
                Gauge,
                "metric_with_multiple_underscores_unit_multiple_underscores",
            ),
            (
                true,
                "custom_metric",
                "unit@with#special/chars",
                Gauge,
                "custom_metric_unit_with_special_per_chars",
            ),
            (true, "request_duration", "s", Other, "request_duration_seconds"),
            (true, "system.filesystem.usage", "By", Gauge, "system_filesystem_usage_bytes"),
            (true, "hw.fan.speed", "rpm", Gauge, "hw_fan_speed_rpm"),
        ];
        for (suffixes, name, unit, kind, expected) in cases {
            assert_eq!(
                namer(false, suffixes).metric(name, unit, kind).as_deref(),
                Ok(expected),
                "{name} {unit}"
            );
        }
        let failed = |name| namer(false, false).metric(name, "", Gauge).unwrap_err();
        assert_eq!(failed("@#$%"), r#"normalization for metric "@#$%" resulted in empty name"#);
        assert_eq!(
            failed("@_#_$_%"),
            r#"normalization for metric "@_#_$_%" resulted in invalid name "_____""#
        );
    }

    #[test]
    fn units_are_spelt_out() {
        let units = [
            ("s", "seconds"),
            ("By/s", "bytes_per_second"),
            ("1", ""),
            ("", ""),
            ("{item}", ""),
            ("rpm", "rpm"),
        ];
        let more = [("By/{item}", "bytes"), ("1/s", "per_second"), ("a b", "a_b")];
        for (unit, expected) in units.into_iter().chain(more) {
            assert_eq!(namer(false, true).unit(unit), expected, "{unit}");
        }
    }

    #[test]
    fn characters_stay_where_utf8_is_allowed() {
        use NameKind::{Counter, Gauge};
        let cases = [
            (false, "métric_with_ñ_chars", "", Gauge, "métric_with_ñ_chars"),
            (true, "requêsts", "", Counter, "requêsts_total"),
            (true, "respønse_time", "ms", Gauge, "respønse_time_milliseconds"),
            (true, "requêsts", "1/s", Gauge, "requêsts_per_second"),
            (true, "@#$%", "", Counter, "@#$%_total"),
            (true, "cpu_seconds_total", "s", Counter, "cpu_seconds_total"),
            (true, "otelcol_process_cpu_seconds", "s", Counter, "otelcol_process_cpu_seconds_total"),
            (true, "http.server.duration", "s", Gauge, "http.server.duration_seconds"),
        ];
        for (suffixes, name, unit, kind, expected) in cases {
            assert_eq!(
                namer(true, suffixes).metric(name, unit, kind).as_deref(),
                Ok(expected),
                "{name} {unit}"
            );
        }
    }

    #[test]
    fn labels_are_named_as_upstream_names_them() {
        // Name, runs of underscores collapsed, runs kept; then the same with `key` before an underscore.
        let cases = [
            ("label:with:colons", ["label_with_colons"; 4]),
            ("label!with&special$chars)", ["label_with_special_chars_"; 4]),
            (".foo", ["_foo", "_foo", "key_foo", "key_foo"]),
            ("123label", ["key_123label"; 4]),
            ("_a", ["_a", "_a", "key_a", "key_a"]),
            ("__two", ["_two", "__two", "key_two", "__two"]),
            (
                "__reserved__label__name__",
                [
                    "__reserved_label_name__",
                    "__reserved__label__name__",
                    "__reserved_label_name__",
                    "__reserved__label__name__",
                ],
            ),
            ("trailing___", ["trailing_", "trailing___", "trailing_", "trailing___"]),
        ];
        for (name, expected) in cases {
            let forms = [(false, false), (false, true), (true, false), (true, true)];
            for ((key_before_underscore, keep_underscores), expected) in forms.into_iter().zip(expected) {
                let namer = Namer { key_before_underscore, keep_underscores, ..namer(false, true) };
                assert_eq!(namer.label(name).as_deref(), Ok(expected), "{namer:?}");
            }
        }
        assert_eq!(namer(false, true).label("").unwrap_err(), "label name is empty");
        let kept = namer(false, true).label("ようこそ").unwrap_err();
        assert_eq!(kept, r#"normalization for label name "ようこそ" resulted in invalid name "____""#);
        assert_eq!(
            namer(true, true).label("__").unwrap_err(),
            r#"label name "__" contains only underscores"#
        );
    }

    proptest! {
        #[test]
        fn escaped_names_are_legacy_names(name in ".{0,20}", unit in ".{0,8}", suffixes: bool) {
            let namer = namer(false, suffixes);
            if let Ok(out) = namer.metric(&name, &unit, NameKind::Gauge) {
                prop_assert!(reba_model::is_legacy_metric_name(&out), "{}", out);
            }
            if let Ok(out) = namer.label(&name) {
                prop_assert!(reba_model::is_legacy_label_name(&out), "{}", out);
            }
        }
    }
}
