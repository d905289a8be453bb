//! Paths of Prometheus' API.

/// A range query; times in milliseconds, the step in seconds.
pub fn range(expr: &str, start: i64, end: i64, step: u32) -> String {
    format!(
        "/api/v1/query_range?query={}&start={}&end={}&step={step}",
        escape(expr),
        start / 1000,
        end / 1000
    )
}

/// An instant query.
pub fn instant(expr: &str, t: i64) -> String {
    format!("/api/v1/query?query={}&time={}", escape(expr), t / 1000)
}

/// Escapes a query string's value.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
