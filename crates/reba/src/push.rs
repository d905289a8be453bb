//! What `/metrics` says of OTLP and of line protocol.

use std::sync::{Arc, atomic::Ordering};

use reba_api::prometheus::{MetricsSource, exposition::Page};
use reba_ingest::{influx::InfluxReceiver, otlp::metrics::OtlpReceiver};

/// Series that a receiver recognises without decoding their labels, about 40 bytes of memory each.
pub const CACHED_SERIES: usize = 500_000;

/// What was refused.
pub fn source(otlp: &Arc<OtlpReceiver>, influx: &Arc<InfluxReceiver>) -> MetricsSource {
    let (otlp, influx) = (Arc::clone(otlp), Arc::clone(influx));
    Box::new(move |page: &mut Page| {
        let metrics = otlp.metrics();
        page.counter("prometheus_api_otlp_out_of_order_exemplars_total", "OTLP exemplars older than others.")
            .value(metrics.exemplars_out_of_order.load(Ordering::Relaxed) as f64);
        page.counter("reba_otlp_refused_data_points_total", "OTLP data points that were refused.")
            .value(metrics.refused_points.load(Ordering::Relaxed) as f64);
        page.counter("reba_influx_refused_lines_total", "Lines of InfluxDB's protocol that were refused.")
            .value(influx.refused_lines() as f64);
    })
}
