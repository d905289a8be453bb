//! What the shipper counts, under the names that Promtail's dashboards ask for.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use parking_lot::Mutex;
use reba_model::Labels;

/// Lines kept as samples of what is dropped for one reason.
const SAMPLES: usize = 3;

/// Bytes of such a line.
const SAMPLE_BYTES: usize = 500;

/// Series that one counter may have: labels of files come from outside.
const MAX_SERIES: usize = 20_000;

/// Counters and gauges by name and labels.
#[derive(Debug, Default)]
pub struct Counters {
    values: Mutex<BTreeMap<&'static str, BTreeMap<Labels, u64>>>,
    durations: Mutex<BTreeMap<&'static str, BTreeMap<Labels, Durations>>>,
    samples: Mutex<BTreeMap<String, VecDeque<String>>>,
}

/// Upper bounds of durations in seconds, those of Prometheus' clients.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Durations as a histogram.
#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// Name, whether it is a gauge, and what it says.
const FAMILIES: [(&str, bool, &str); 29] = [
    ("logentry_dropped_lines_total", false, "Lines dropped by the pipeline, by reason."),
    ("logentry_dropped_lines_by_label_total", false, "Lines dropped by limits of one label's values."),
    ("promtail_read_bytes_total", true, "Bytes read so far, by file."),
    ("promtail_read_lines_total", false, "Lines read, by file."),
    ("promtail_file_bytes_total", true, "Bytes that a file has."),
    ("promtail_files_active_total", true, "Files that are read."),
    ("promtail_targets_active_total", true, "Targets that are read."),
    ("promtail_targets_failed_total", false, "Targets that could not be read, by reason."),
    ("promtail_encoded_bytes_total", false, "Bytes of requests, compressed."),
    ("promtail_sent_bytes_total", false, "Bytes of requests that were accepted."),
    ("promtail_dropped_bytes_total", false, "Bytes of entries that were given up."),
    ("promtail_sent_entries_total", false, "Entries that were accepted."),
    ("promtail_dropped_entries_total", false, "Entries that were given up, by reason."),
    ("promtail_mutated_entries_total", false, "Entries that were cut, by reason."),
    ("promtail_mutated_bytes_total", false, "Bytes that were cut off, by reason."),
    ("promtail_batch_retries_total", false, "Requests that were sent again."),
    ("promtail_docker_target_entries_total", false, "Entries read from containers."),
    ("promtail_docker_target_parsing_errors_total", false, "Pieces of containers' logs that make no sense."),
    ("promtail_syslog_target_entries_total", false, "Messages taken by syslog."),
    ("promtail_syslog_target_parsing_errors_total", false, "Connections of syslog that sent something else."),
    ("promtail_syslog_empty_messages_total", false, "Messages of syslog without text."),
    ("promtail_gelf_target_entries_total", false, "Messages taken by GELF."),
    ("promtail_gelf_target_parsing_errors_total", false, "Packets that are no messages of GELF."),
    ("promtail_journal_target_lines_total", false, "Entries read from the journal."),
    ("promtail_journal_target_parsing_errors_total", false, "Entries of the journal without a message."),
    ("promtail_build_info", true, "Always 1; the version is a label."),
    ("reba_ship_lost_packets_total", false, "Packets for which there was no room."),
    ("reba_timestamp_fallback_total", false, "Times that were not in the configured format."),
    ("reba_ship_queue_bytes", true, "Bytes that wait on disk to be sent, by client."),
];

impl Counters {
    /// Adds to a counter.
    pub fn add(&self, name: &'static str, labels: &[(&str, &str)], n: u64) {
        self.change(name, labels, |v| *v += n);
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&str, &str)], n: u64) {
        self.change(name, labels, |v| *v = n);
    }

    /// Adds a duration to a histogram.
    pub fn observe(&self, name: &'static str, labels: &[(&str, &str)], duration: Duration) {
        let mut all = self.durations.lock();
        let series = all.entry(name).or_default();
        let series = series.entry(Labels::from_pairs(labels.iter().copied())).or_default();
        let seconds = duration.as_secs_f64();
        for (bucket, _) in series.buckets.iter_mut().zip(BOUNDS).filter(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        series.count += 1;
        series.sum += seconds;
    }

    fn change(&self, name: &'static str, labels: &[(&str, &str)], change: impl FnOnce(&mut u64)) {
        let labels = Labels::from_pairs(labels.iter().copied());
        let mut values = self.values.lock();
        let series = values.entry(name).or_default();
        if series.len() < MAX_SERIES || series.contains_key(&labels) {
            change(series.entry(labels).or_default());
        }
    }

    /// Forgets a series, of a file that is gone.
    pub fn forget(&self, name: &'static str, labels: &[(&str, &str)]) {
        if let Some(series) = self.values.lock().get_mut(name) {
            series.remove(&Labels::from_pairs(labels.iter().copied()));
        }
    }

    /// The value of a series, 0 if there is none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels = Labels::from_pairs(labels.iter().copied());
        self.values.lock().get(name).and_then(|s| s.get(&labels)).copied().unwrap_or(0)
    }

    /// Counts a line that the pipeline drops, and keeps it as a sample.
    pub(crate) fn dropped(&self, reason: &str, line: &str) {
        self.add("logentry_dropped_lines_total", &[("reason", reason)], 1);
        let mut samples = self.samples.lock();
        let lines = samples.entry(reason.to_owned()).or_default();
        if lines.len() == SAMPLES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(SAMPLE_BYTES).collect());
    }

    pub(crate) fn dropped_by_label(&self, label: &str, value: &str) {
        let labels = [("label_name", label), ("label_value", value)];
        self.add("logentry_dropped_lines_by_label_total", &labels, 1);
    }

    pub(crate) fn timestamp_fallback(&self, job: &str, format: &str) {
        self.add("reba_timestamp_fallback_total", &[("job", job), ("format", format)], 1);
    }

    /// The newest lines that were dropped, by reason.
    pub fn dropped_samples(&self) -> BTreeMap<String, Vec<String>> {
        self.samples
            .lock()
            .iter()
            .map(|(reason, lines)| (reason.clone(), lines.iter().cloned().collect()))
            .collect()
    }

    /// Adds everything to `out` in the text format of Prometheus.
    pub fn write(&self, out: &mut String) {
        let values = self.values.lock();
        for (name, is_gauge, help) in FAMILIES {
            let Some(series) = values.get(name).filter(|s| !s.is_empty()) else { continue };
            let kind = if is_gauge { "gauge" } else { "counter" };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in series {
                if labels.is_empty() {
                    let _ = writeln!(out, "{name} {value}");
                } else {
                    let _ = writeln!(out, "{name}{labels} {value}");
                }
            }
        }
        drop(values);
        for (name, series) in self.durations.lock().iter() {
            let _ = writeln!(out, "# HELP {name} Durations in seconds.\n# TYPE {name} histogram");
            for (labels, durations) in series {
                durations.write(out, name, labels);
            }
        }
    }
}

impl Durations {
    fn write(&self, out: &mut String, name: &str, labels: &Labels) {
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(self.buckets.iter().chain([&self.count])) {
            let mut builder = labels.to_builder();
            builder.set("le", &bound);
            let _ = writeln!(out, "{name}_bucket{} {count}", builder.build());
        }
        let _ = writeln!(out, "{name}_sum{labels} {}", self.sum);
        let _ = writeln!(out, "{name}_count{labels} {}", self.count);
    }
}
