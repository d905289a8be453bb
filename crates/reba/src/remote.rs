//! What `/metrics` says of remote write, by upstream's names.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use reba_api::prometheus::{MetricsSource, exposition::Page};
use reba_ingest::{otlp::metrics::OtlpReceiver, remote_write::RemoteWriteReceiver, scrape::ScrapeManager};
use reba_remote::{MetadataOf, RemoteMetrics, RemoteStatus, RemoteWrite};

/// The figures of all receivers; nothing while there are none.
pub fn source(remote: &Arc<RemoteWrite>) -> MetricsSource {
    let remote = Arc::clone(remote);
    Box::new(move |page: &mut Page| {
        let Some(queue) = remote.queue_status() else { return };
        if queue.newest_ms > i64::MIN {
            page.gauge("prometheus_remote_storage_highest_timestamp_in_seconds", "Newest sample to be sent.")
                .value(queue.newest_ms as f64 / 1000.0);
        }
        page.counter("prometheus_remote_storage_samples_in_total", "Samples queued.")
            .value(queue.queued as f64);
        page.counter(
            "reba_remote_storage_queue_refused_samples_total",
            "Samples stored but not queued, for the disk refused: they are never sent.",
        )
        .value(queue.refused as f64);
        receivers(page, &remote.status());
    })
}

/// What senders and the targets of all jobs say of their metric families; where they differ, the last one is believed.
pub fn metadata(
    scrape: ScrapeManager,
    receiver: Arc<RemoteWriteReceiver>,
    otlp: Arc<OtlpReceiver>,
) -> MetadataOf {
    Arc::new(move || {
        let mut out: BTreeMap<_, _> = receiver.metadata().all();
        out.extend(otlp.metadata().all());
        for status in scrape.targets().iter().flat_map(|p| &p.active) {
            for (name, metadata) in status.metadata.iter() {
                out.insert(name.clone(), metadata.clone());
            }
        }
        out
    })
}

fn receivers(page: &mut Page, all: &[RemoteStatus]) {
    for (name, help, field) in COUNTERS {
        page.counter(&format!("prometheus_remote_storage_{name}"), help);
        each(page, all, |s| get(field(&s.metrics)));
    }
    page.counter("prometheus_remote_storage_samples_dropped_total", "Samples that were not sent, by reason.");
    for s in all {
        for (reason, n) in
            [("dropped_series", &s.metrics.dropped_series), ("too_old", &s.metrics.dropped_old)]
        {
            page.with(&[("remote_name", &s.name), ("url", &s.url), ("reason", &reason)], get(n));
        }
    }
    page.counter(
        "reba_remote_storage_segments_missed_total",
        "Segments that went unsent, for the queue was full.",
    );
    each(page, all, |s| get(&s.metrics.segments_missed));
    page.gauge("prometheus_remote_storage_samples_pending", "Samples that are being sent.");
    each(page, all, |s| get(&s.metrics.pending));
    page.gauge("prometheus_remote_storage_shards", "Requests at a time.");
    each(page, all, |s| get(&s.metrics.shards));
    page.gauge("prometheus_remote_storage_shards_desired", "Requests at a time that the backlog calls for.");
    each(page, all, |s| get(&s.metrics.shards));
    for (name, help, field) in LIMITS {
        page.gauge(&format!("prometheus_remote_storage_{name}"), help);
        each(page, all, |s| field(&s.config.queue_config) as f64);
    }
    page.gauge(
        "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
        "Newest sample that a receiver took.",
    );
    each(page, all, |s| s.metrics.highest_sent_ms.load(Ordering::Relaxed) as f64 / 1000.0);
    page.summary("prometheus_remote_storage_sent_batch_duration_seconds", "Time of requests.");
    for s in all {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("remote_name", &s.name), ("url", &s.url)];
        page.suffixed("_sum", &labels, get(&s.metrics.request_micros) / 1e6);
        page.suffixed("_count", &labels, get(&s.metrics.requests));
    }
}

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

fn each(page: &mut Page, all: &[RemoteStatus], value: impl Fn(&RemoteStatus) -> f64) {
    for s in all {
        page.with(&[("remote_name", &s.name), ("url", &s.url)], value(s));
    }
}

/// Name, help, field.
type Counter = (&'static str, &'static str, fn(&RemoteMetrics) -> &AtomicU64);

const COUNTERS: [Counter; 13] = [
    ("samples_total", "Floats sent, each attempt.", |m| &m.samples_total),
    ("samples_failed_total", "Floats refused for good.", |m| &m.samples_failed_total),
    ("samples_retried_total", "Floats sent again.", |m| &m.samples_retried_total),
    ("histograms_total", "Native histograms sent, each attempt.", |m| &m.histograms_total),
    ("histograms_failed_total", "Native histograms refused for good.", |m| &m.histograms_failed_total),
    ("histograms_retried_total", "Native histograms sent again.", |m| &m.histograms_retried_total),
    ("exemplars_total", "Exemplars sent, each attempt.", |m| &m.exemplars_total),
    ("exemplars_failed_total", "Exemplars refused for good.", |m| &m.exemplars_failed_total),
    ("exemplars_retried_total", "Exemplars sent again.", |m| &m.exemplars_retried_total),
    ("metadata_total", "Entries of metadata sent.", |m| &m.metadata_total),
    ("metadata_failed_total", "Entries of metadata that did not arrive.", |m| &m.metadata_failed_total),
    ("metadata_bytes_total", "Bytes of metadata sent, compressed.", |m| &m.metadata_bytes_total),
    ("bytes_total", "Bytes sent, compressed, each attempt.", |m| &m.bytes_total),
];

/// Name, help, field.
type Limit = (&'static str, &'static str, fn(&reba_ingest::config::QueueConfig) -> i64);

const LIMITS: [Limit; 4] = [
    ("shards_max", "Requests at a time, at most.", |q| q.max_shards),
    ("shards_min", "Requests at a time, at least.", |q| q.min_shards),
    ("shard_capacity", "`capacity` of the configuration.", |q| q.capacity),
    ("max_samples_per_send", "Samples of a request, at most.", |q| q.max_samples_per_send),
];
