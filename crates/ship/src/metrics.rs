//! What the shipper counts, under the names that Promtail's dashboards ask for.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
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
    samples: Mutex<BTreeMap<String, VecDeque<String>>>,
}

/// Name, whether it is a gauge, and what it says.
const FAMILIES: [(&str, bool, &str); 21] = [
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
    }
}
