//! The server's settings and its version.

use super::{
    queries::short_version,
    session::{Patience, QueryError, Session},
    table::Table,
};
use crate::page::{self, Page};

/// What our own session has set is not the server's.
const QUERY: &str = "SELECT name, CASE source WHEN 'session' THEN reset_val ELSE setting END, coalesce(unit, ''), vartype \
                     FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real') AND name <> 'sync_commit_cancel_wait'";

/// Adds `pg_static`.
pub fn write_static(page: &mut Page, session: &Session, labels: &[(String, String)]) {
    let short = short_version(session.version);
    let mut all: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    all.push(("short_version", &short));
    all.push(("version", &session.banner));
    all.sort_unstable();
    page.untyped("pg_static", "What the server is; always 1.").with(&all, 1.0);
}

/// Asks for all settings that are numbers.
pub async fn ask(session: &Session, patience: Patience) -> Result<Table, QueryError> {
    session.table(QUERY, patience).await
}

/// Adds `pg_settings_…`.
pub fn write(page: &mut Page, table: &Table, prefix: &str, labels: &[(String, String)]) {
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    labels.sort_unstable();
    let labels = page::labels(&labels);
    for row in table.rows() {
        let (Some(name), Some(setting)) = (row.get(0), row.get(1)) else { continue };
        let (Some(unit), Some(kind)) = (row.get(2), row.get(3)) else { continue };
        let Some((value, base)) = value(setting, unit, kind) else { continue };
        let mut family = String::with_capacity(prefix.len() + name.len() + 24);
        family.extend([prefix, "_settings_"]);
        family.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        if !base.is_empty() {
            family.extend(["_", base]);
        }
        page.gauge(family, "A setting of the server.").ready(&labels, value);
    }
}

/// A setting in its base unit; -1 means nothing in particular, and stays.
fn value(setting: &str, unit: &str, kind: &str) -> Option<(f64, &'static str)> {
    if kind == "bool" {
        return Some((if setting == "on" { 1.0 } else { 0.0 }, ""));
    }
    let value: f64 = setting.parse().ok()?;
    let digits = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let (count, unit) = unit.split_at_checked(digits)?;
    let count: f64 = if count.is_empty() { 1.0 } else { count.parse().ok()? };
    let (factor, base): (f64, _) = match unit {
        "" => return Some((value, "")),
        "us" => (1e-6, "seconds"),
        "ms" => (1e-3, "seconds"),
        "s" => (1.0, "seconds"),
        "min" => (60.0, "seconds"),
        "h" => (3600.0, "seconds"),
        "d" => (86_400.0, "seconds"),
        "B" => (1.0, "bytes"),
        "kB" => (1024.0, "bytes"),
        "MB" => (1_048_576.0, "bytes"),
        "GB" => (1_073_741_824.0, "bytes"),
        "TB" => (1_099_511_627_776.0, "bytes"),
        _ => return None,
    };
    // Divided rather than multiplied, so that 15 ms are 0.015 s to the last digit.
    let scaled = if factor < 1.0 { value / (1.0 / factor).round() } else { value * factor * count };
    Some((if value == -1.0 { -1.0 } else { scaled }, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_in_base_units() {
        for (setting, unit, kind, want) in [
            ("on", "", "bool", Some((1.0, ""))),
            ("100", "", "integer", Some((100.0, ""))),
            ("16384", "8kB", "integer", Some((134_217_728.0, "bytes"))),
            ("64", "16MB", "integer", Some((1_073_741_824.0, "bytes"))),
            ("200", "ms", "integer", Some((0.2, "seconds"))),
            ("5", "min", "integer", Some((300.0, "seconds"))),
            ("-1", "kB", "integer", Some((-1.0, "bytes"))),
            ("x", "", "real", None),
            ("1", "parsec", "real", None),
        ] {
            assert_eq!(value(setting, unit, kind), want, "{setting}{unit}");
        }
    }
}
