//! What every request leaves behind: `loki_request_duration_seconds`, as upstream's dashboards and alerts expect it.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;

use crate::exposition::Page;

/// Upper bounds of the buckets, upstream's.
const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, f64::INFINITY];

/// A method, a route as upstream names it, a status, and whether the connection became a WebSocket.
type Key = (String, String, u16, bool);

/// Requests by method, route and status. Routes are templates, so there are as many as there are routes.
#[derive(Debug, Default)]
pub struct RequestMetrics(Mutex<BTreeMap<Key, Histogram>>);

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
}

impl RequestMetrics {
    /// Counts one finished request.
    pub fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        let upgraded = status == 101;
        let key = (known_method(method).to_owned(), upstream_route(route), status, upgraded);
        let mut all = self.0.lock();
        let histogram = all.entry(key).or_default();
        let seconds = took.as_secs_f64();
        histogram.seconds += seconds;
        let slot = BOUNDS.partition_point(|bound| *bound < seconds);
        histogram.buckets[slot.min(BOUNDS.len() - 1)] += 1;
    }

    /// Writes the family.
    pub fn write(&self, page: &mut Page) {
        self.write_as("loki_request_duration_seconds", page);
    }

    /// Writes the family under the name that another upstream has for it.
    pub(crate) fn write_as(&self, name: &str, page: &mut Page) {
        let all = self.0.lock();
        page.histogram(name, "Time (in seconds) spent serving HTTP requests.");
        for ((method, route, status, ws), histogram) in all.iter() {
            let labels: [(&str, &dyn std::fmt::Display); 4] =
                [("method", method), ("route", route), ("status_code", status), ("ws", ws)];
            let mut total = 0;
            for (bound, n) in BOUNDS.iter().zip(histogram.buckets) {
                total += n;
                let le = reba_model::float::format_g(*bound);
                let mut labels = labels.to_vec();
                labels.push(("le", &le));
                page.suffixed("_bucket", &labels, total as f64);
            }
            page.suffixed("_sum", &labels, histogram.seconds);
            page.suffixed("_count", &labels, total as f64);
        }
    }
}

/// The method, unless somebody made it up: each would be a series for ever.
pub(crate) fn known_method(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH" => method,
        _ => "other",
    }
}

/// `/loki/api/v1/label/{name}/values` is `loki_api_v1_label_name_values` upstream.
fn upstream_route(route: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '/' };
    let text: String = route.chars().map(word).collect();
    let words: Vec<&str> = text.split('/').filter(|w| !w.is_empty()).collect();
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_route_and_status() {
        let metrics = RequestMetrics::default();
        metrics.observe("GET", "/loki/api/v1/label/{name}/values", 200, Duration::from_millis(20));
        metrics.observe("POST", "/loki/api/v1/push", 204, Duration::from_secs(500));
        let mut page = Page::new();
        metrics.write(&mut page);
        let text = page.finish();
        for line in [
            r#"loki_request_duration_seconds_bucket{method="GET",route="loki_api_v1_label_name_values",status_code="200",ws="false",le="0.025"} 1"#,
            r#"loki_request_duration_seconds_count{method="POST",route="loki_api_v1_push",status_code="204",ws="false"} 1"#,
            r#"route="loki_api_v1_push",status_code="204",ws="false",le="100"} 0"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
