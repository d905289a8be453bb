//! What is counted while entries are taken in, under upstream's names.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why entries were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    MissingLabels,
    InvalidLabels,
    TooManyLabels,
    NameTooLong,
    ValueTooLong,
    DuplicateLabels,
    TooOld,
    TooNew,
    LineTooLong,
    MetadataTooLarge,
    MetadataTooMany,
    RateLimited,
    StreamLimit,
    StreamRate,
}

impl Reason {
    const ALL: [Reason; 14] = [
        Reason::MissingLabels,
        Reason::InvalidLabels,
        Reason::TooManyLabels,
        Reason::NameTooLong,
        Reason::ValueTooLong,
        Reason::DuplicateLabels,
        Reason::TooOld,
        Reason::TooNew,
        Reason::LineTooLong,
        Reason::MetadataTooLarge,
        Reason::MetadataTooMany,
        Reason::RateLimited,
        Reason::StreamLimit,
        Reason::StreamRate,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Reason::MissingLabels => "missing_labels",
            Reason::InvalidLabels => "invalid_labels",
            Reason::TooManyLabels => "max_label_names_per_series",
            Reason::NameTooLong => "label_name_too_long",
            Reason::ValueTooLong => "label_value_too_long",
            Reason::DuplicateLabels => "duplicate_label_names",
            Reason::TooOld => "greater_than_max_sample_age",
            Reason::TooNew => "too_far_in_future",
            Reason::LineTooLong => "line_too_long",
            Reason::MetadataTooLarge => "structured_metadata_too_large",
            Reason::MetadataTooMany => "structured_metadata_too_many",
            Reason::RateLimited => "rate_limited",
            Reason::StreamLimit => "stream_limit",
            Reason::StreamRate => "per_stream_rate_limit",
        }
    }
}

/// Entries and bytes of one tenant.
#[derive(Debug, Default)]
pub(super) struct Counters {
    lines: AtomicU64,
    bytes: AtomicU64,
    discarded: [(AtomicU64, AtomicU64); Reason::ALL.len()],
}

impl Counters {
    /// Entries that came in.
    pub(super) fn received(&self, lines: usize, bytes: usize) {
        self.lines.fetch_add(lines as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Entries that were not taken.
    pub(super) fn discarded(&self, reason: Reason, lines: usize, bytes: usize) {
        let (samples, total) = &self.discarded[reason as usize];
        samples.fetch_add(lines as u64, Ordering::Relaxed);
        total.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What is shown of one tenant.
pub(super) struct Shown<'a> {
    pub(super) tenant: &'a str,
    pub(super) counters: &'a Counters,
    pub(super) retention_hours: u64,
    pub(super) streams: usize,
}

/// Appends the metrics of the tenants as text.
pub(super) fn write(tenants: &[Shown<'_>], demoted: u64, out: &mut String) {
    let mut family = |name: &str, kind: &str, help: &str, lines: Vec<(String, u64)>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        for (labels, value) in lines {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let lines = tenants.iter().map(|t| (format!("{{tenant=\"{}\"}}", t.tenant), load(&t.counters.lines)));
    family(
        "loki_distributor_lines_received_total",
        "counter",
        "Log entries that were pushed.",
        lines.collect(),
    );
    let bytes = tenants.iter().map(|t| {
        let labels = format!("{{tenant=\"{}\",retention_hours=\"{}\"}}", t.tenant, t.retention_hours);
        (labels, load(&t.counters.bytes))
    });
    let help = "Bytes of pushed lines and their structured metadata.";
    family("loki_distributor_bytes_received_total", "counter", help, bytes.collect());
    let discarded = |pick: fn(&(AtomicU64, AtomicU64)) -> &AtomicU64| -> Vec<(String, u64)> {
        let all = tenants.iter().flat_map(|t| Reason::ALL.map(|r| (t, r)));
        all.map(|(t, reason)| {
            let labels = format!("{{reason=\"{}\",tenant=\"{}\"}}", reason.as_str(), t.tenant);
            (labels, load(pick(&t.counters.discarded[reason as usize])))
        })
        .filter(|(_, n)| *n > 0)
        .collect()
    };
    let samples = discarded(|pair| &pair.0);
    family("loki_discarded_samples_total", "counter", "Log entries that were not taken.", samples);
    let bytes = discarded(|pair| &pair.1);
    family("loki_discarded_bytes_total", "counter", "Bytes of log entries that were not taken.", bytes);
    let streams = tenants.iter().map(|t| (format!("{{tenant=\"{}\"}}", t.tenant), t.streams as u64));
    family("loki_ingester_memory_streams", "gauge", "Streams with entries of late.", streams.collect());
    let help = "Labels that began to be stored as structured metadata since they have too many values.";
    family("reba_log_labels_demoted_total", "counter", help, vec![(String::new(), demoted)]);
}
