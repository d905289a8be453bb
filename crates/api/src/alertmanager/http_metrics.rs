//! What every request leaves behind, by handler and method, under upstream's names.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{exposition::Page, loki::known_method};

/// Upper bounds of durations, upstream's.
const SECONDS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0];
const MORE_SECONDS: [f64; 3] = [20.0, 60.0, f64::INFINITY];
/// Upper bounds of sizes, upstream's.
const BYTES: [f64; 8] = [100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, f64::INFINITY];

/// Requests by handler and method. Handlers are routes, so there are as many as there are routes.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    by_handler: Mutex<BTreeMap<(String, String), Handler>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Handler {
    seconds: Histogram,
    bytes: Histogram,
}

#[derive(Debug)]
struct Histogram {
    bounds: Vec<f64>,
    buckets: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: Vec<f64>) -> Self {
        Histogram { buckets: vec![0; bounds.len()], bounds, sum: 0.0 }
    }

    fn observe(&mut self, value: f64) {
        let slot = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get_mut(slot) {
            *bucket += 1;
        }
        self.sum += value;
    }

    fn write(&self, page: &mut Page, handler: &str, method: &str) {
        let mut total = 0;
        for (bound, n) in self.bounds.iter().zip(&self.buckets) {
            total += n;
            let le = reba_model::float::format_g(*bound);
            page.suffixed(
                "_bucket",
                &[("handler", &handler), ("method", &method), ("le", &le)],
                total as f64,
            );
        }
        page.suffixed("_sum", &[("handler", &handler), ("method", &method)], self.sum);
        page.suffixed("_count", &[("handler", &handler), ("method", &method)], total as f64);
    }
}

impl HttpMetrics {
    /// Counts one finished request.
    pub fn observe(&self, route: &str, method: &str, took: Duration, bytes: u64) {
        let key = (upstream_handler(route), known_method(method).to_ascii_lowercase());
        let mut all = self.by_handler.lock();
        let handler = all.entry(key).or_insert_with(|| Handler {
            seconds: Histogram::new([&SECONDS[..], &MORE_SECONDS[..]].concat()),
            bytes: Histogram::new(BYTES.to_vec()),
        });
        handler.seconds.observe(took.as_secs_f64());
        handler.bytes.observe(bytes as f64);
    }

    /// Counts a reader for whom there was no place.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes all families.
    pub fn write(&self, page: &mut Page, reading: usize) {
        page.counter(
            "alertmanager_http_concurrency_limit_exceeded_total",
            "Total number of times an HTTP request failed because the concurrency limit was reached.",
        )
        .with(&[("method", &"get")], self.refused.load(Ordering::Relaxed) as f64);
        page.gauge(
            "alertmanager_http_requests_in_flight",
            "Current number of HTTP requests being processed.",
        )
        .with(&[("method", &"get")], reading as f64);
        let all = self.by_handler.lock();
        page.histogram(
            "alertmanager_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests.",
        );
        for ((handler, method), h) in all.iter() {
            h.seconds.write(page, handler, method);
        }
        page.histogram(
            "alertmanager_http_response_size_bytes",
            "Histogram of response size for HTTP requests.",
        );
        for ((handler, method), h) in all.iter() {
            h.bytes.write(page, handler, method);
        }
    }
}

/// `/api/v2/silence/{id}` is `/silence/:id` upstream, and `/-/ready` itself.
fn upstream_handler(route: &str) -> String {
    let route = route.strip_prefix("/api/v2").unwrap_or(route);
    route.replace("{*", "*").replace('{', ":").replace('}', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_handler_and_method() {
        let metrics = HttpMetrics::default();
        metrics.observe("/api/v2/silence/{id}", "GET", Duration::from_millis(60), 1500);
        metrics.observe("/-/ready", "GET", Duration::from_secs(100), 2);
        // Methods that a client makes up are one series, and not as many as it likes.
        for n in 0..100 {
            metrics.observe("/-/ready", &format!("MADE-UP-{n}"), Duration::ZERO, 0);
        }
        metrics.count_refused();
        let mut page = Page::new();
        metrics.write(&mut page, 3);
        let text = page.finish();
        for line in [
            r#"alertmanager_http_request_duration_seconds_bucket{handler="/silence/:id",method="get",le="0.05"} 0"#,
            r#"alertmanager_http_request_duration_seconds_bucket{handler="/silence/:id",method="get",le="0.1"} 1"#,
            r#"alertmanager_http_request_duration_seconds_bucket{handler="/-/ready",method="get",le="+Inf"} 1"#,
            r#"alertmanager_http_response_size_bytes_bucket{handler="/silence/:id",method="get",le="10000"} 1"#,
            r#"alertmanager_http_concurrency_limit_exceeded_total{method="get"} 1"#,
            r#"alertmanager_http_request_duration_seconds_count{handler="/-/ready",method="other"} 100"#,
            r#"alertmanager_http_requests_in_flight{method="get"} 3"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
