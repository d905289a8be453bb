//! What every request leaves behind: counts and durations by handler.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;

use super::exposition::Page;

/// Upper bounds of `prometheus_http_request_duration_seconds`, upstream's.
const BOUNDS: [f64; 10] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0, f64::INFINITY];

/// Requests by handler and status. Handlers are route templates, so there are as many as there are routes.
#[derive(Debug, Default)]
pub struct HttpMetrics(Mutex<BTreeMap<String, Handler>>);

#[derive(Debug, Default)]
struct Handler {
    by_code: BTreeMap<u16, u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
}

impl HttpMetrics {
    /// Counts one finished request.
    pub fn observe(&self, route: &str, code: u16, took: Duration) {
        let mut all = self.0.lock();
        if !all.contains_key(route) {
            all.insert(route.to_owned(), Handler::default());
        }
        let Some(handler) = all.get_mut(route) else { return };
        *handler.by_code.entry(code).or_default() += 1;
        let seconds = took.as_secs_f64();
        handler.seconds += seconds;
        let slot = BOUNDS.partition_point(|bound| *bound < seconds);
        handler.buckets[slot.min(BOUNDS.len() - 1)] += 1;
    }

    /// Writes both families.
    pub fn write(&self, page: &mut Page) {
        let all = self.0.lock();
        page.counter("prometheus_http_requests_total", "Counter of HTTP requests.");
        for (route, handler) in all.iter() {
            let route = upstream_route(route);
            for (code, n) in &handler.by_code {
                page.with(&[("handler", &route), ("code", code)], *n as f64);
            }
        }
        page.histogram(
            "prometheus_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests.",
        );
        for (route, handler) in all.iter() {
            let route = upstream_route(route);
            let mut total = 0;
            for (bound, n) in BOUNDS.iter().zip(handler.buckets) {
                total += n;
                let le = reba_model::float::format_g(*bound);
                page.suffixed("_bucket", &[("handler", &route), ("le", &le)], total as f64);
            }
            page.suffixed("_sum", &[("handler", &route)], handler.seconds);
            page.suffixed("_count", &[("handler", &route)], total as f64);
        }
    }
}

/// `/api/v1/label/{name}/values` is `/api/v1/label/:name/values` upstream.
fn upstream_route(route: &str) -> String {
    route.replace("{*", "*").replace('{', ":").replace('}', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_code() {
        let m = HttpMetrics::default();
        m.observe("/api/v1/label/{name}/values", 200, Duration::from_millis(100));
        m.observe("/api/v1/label/{name}/values", 400, Duration::from_secs(500));
        let mut page = Page::new();
        m.write(&mut page);
        let text = page.finish();
        assert!(
            text.contains(
                r#"prometheus_http_requests_total{handler="/api/v1/label/:name/values",code="200"} 1"#
            ),
            "{text}"
        );
        assert!(text.contains(r#"_bucket{handler="/api/v1/label/:name/values",le="0.1"} 1"#), "{text}");
        assert!(text.contains(r#"_bucket{handler="/api/v1/label/:name/values",le="+Inf"} 2"#), "{text}");
    }
}
