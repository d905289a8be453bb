//! HTTP requests that a service sends.

use std::time::Duration;

use crate::{
    family::{Counters, Histograms},
    http::method_label,
    registry::Registrar,
};

const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The status of a request that got no answer.
const NO_ANSWER: &str = "error";

/// Counts requests that are sent, by method, host and status, never by path.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    requests: Counters<3>,
    duration: Histograms<3>,
}

impl ClientMetrics {
    pub(crate) fn register(r: &mut Registrar) -> Self {
        let labels = ["method", "host", "status_code"];
        let help = "Time until the answer to a request that was sent began";
        Self {
            requests: r.counter("http_client_requests", "HTTP requests sent", labels),
            duration: r.histogram("http_client_request_duration_seconds", help, labels, SECONDS),
        }
    }

    /// Notes a request to `host` that took `took`; without a status it got no answer.
    pub fn track(&self, method: &::http::Method, host: &str, status: Option<u16>, took: Duration) {
        let status = status.map_or_else(|| NO_ANSWER.to_owned(), |status| status.to_string());
        let labels = [method_label(method), host, &status];
        self.requests.inc(labels);
        self.duration.observe(labels, took.as_secs_f64());
    }
}
