//! The metrics of parts that the API does not know: the store and the process.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use reba_api::prometheus::{MetricsSource, exposition::Page};
use reba_columnar::{Columnar, ColumnarMetrics};
use reba_tsdb::{DiskMetrics, HeadMetrics, Tsdb};

/// What `/metrics` adds.
pub fn sources(store: &Arc<Tsdb>) -> Vec<MetricsSource> {
    let store = Arc::clone(store);
    vec![
        Box::new(move |page: &mut Page| {
            let metrics = store.metrics();
            head(page, &metrics.head);
            disk(page, &metrics.disk);
        }),
        Box::new(process),
    ]
}

/// What `/metrics` of a role adds that is scraped by itself: the process.
pub fn of_process() -> MetricsSource {
    Box::new(process)
}

/// What `/metrics` of the logs adds, the process included: Loki is scraped by itself.
pub fn of_logs(store: &Arc<Columnar>, lost: Arc<AtomicU64>) -> Vec<MetricsSource> {
    let store = Arc::clone(store);
    vec![
        Box::new(move |page: &mut Page| {
            logs(page, &store.metrics());
            page.counter(
                "reba_own_log_lines_lost_total",
                "Lines of our own that the log store did not take.",
            )
            .value(lost.load(Ordering::Relaxed) as f64);
        }),
        Box::new(process),
    ]
}

/// How a store of records is named: its own part of the names, and its rows.
struct Naming {
    store: &'static str,
    rows: &'static str,
    rows_in_words: &'static str,
}

fn logs(page: &mut Page, m: &ColumnarMetrics) {
    let naming = Naming { store: "reba_logs", rows: "entries", rows_in_words: "Entries" };
    records(page, &naming, m);
    page.gauge("loki_ingester_memory_streams", "Streams with entries in memory.")
        .value(m.memory_streams as f64);
    for (name, help, value) in [
        ("corruptions_total", "Damaged places found in the log.", m.wal_corruptions),
        ("bytes_written_total", "Bytes written to the log.", m.wal.written_bytes),
        ("disk_full_failures_total", "Writes and fsyncs of the log that failed.", m.wal.failures),
    ] {
        page.counter(&format!("loki_ingester_wal_{name}"), help).value(value as f64);
    }
}

/// What `/metrics` of the traces says of their store.
pub fn traces(page: &mut Page, m: &ColumnarMetrics) {
    let naming = Naming { store: "reba_traces", rows: "spans", rows_in_words: "Spans" };
    records(page, &naming, m);
    page.gauge("reba_traces_memory_traces", "Traces with spans in memory.").value(m.memory_streams as f64);
}

fn records(page: &mut Page, naming: &Naming, m: &ColumnarMetrics) {
    let Naming { store, rows, rows_in_words } = naming;
    for (name, help, value) in [
        (&*format!("memory_{rows}"), &*format!("{rows_in_words} that are not in a part yet."), m.memory_rows),
        ("memory_bytes", "Memory that they take.", m.memory_bytes),
        ("parts", "Parts in use.", m.parts),
        ("part_bytes", "Bytes of their files.", m.part_bytes),
        (&*format!("part_{rows}"), &*format!("{rows_in_words} in them."), m.part_rows),
        ("part_text_bytes", "Bytes of text that they stand for.", m.part_text_bytes),
        ("blocks", "Blocks in them.", m.blocks),
        ("wal_bytes", "Bytes of the write-ahead log.", m.wal_bytes),
    ] {
        page.gauge(&format!("{store}_{name}"), help).value(value as f64);
    }
    if m.oldest_ns < i64::MAX {
        let name = format!("{store}_lowest_timestamp_seconds");
        page.gauge(&name, &format!("Oldest of the {rows} in parts.")).value(m.oldest_ns as f64 / 1e9);
    }
    page.gauge(&format!("{store}_replay_duration_seconds"), "Time that opening the store took.")
        .value(m.replay_ms as f64 / 1000.0);
    for (name, help, value) in [
        (&*format!("{rows}_appended_total"), &*format!("{rows_in_words} written."), m.appended),
        (
            &*format!("duplicate_{rows}_total"),
            &*format!("{rows_in_words} that were there already."),
            m.duplicates,
        ),
        (&*format!("{rows}_deleted_total"), &*format!("{rows_in_words} deleted on request."), m.rows_deleted),
        ("flushes_total", "Times that memory was written to parts.", m.flushes),
        ("flushes_failed_total", "Times that it could not be.", m.flushes_failed),
        ("merges_total", "Merges of parts.", m.merges),
        ("merges_failed_total", "Merges that failed.", m.merges_failed),
        ("merged_bytes_total", "Bytes that merges read.", m.merged_bytes),
        ("parts_expired_total", "Parts that retention dropped or cut.", m.parts_expired),
        ("parts_quarantined_total", "Parts found damaged or missing, and set aside.", m.quarantined_parts),
        ("blocks_damaged_total", "Blocks found damaged.", m.bad_blocks),
        ("wal_corruptions_total", "Damaged places found in the log.", m.wal_corruptions),
        ("wal_written_bytes_total", "Bytes written to the log.", m.wal.written_bytes),
        ("wal_failures_total", "Writes and fsyncs of the log that failed.", m.wal.failures),
    ] {
        page.counter(&format!("{store}_{name}"), help).value(value as f64);
    }
}

fn head(page: &mut Page, h: &HeadMetrics) {
    for (name, help, value) in [
        ("prometheus_tsdb_head_series", "Series in the head.", h.series),
        ("prometheus_tsdb_head_chunks", "Chunks in the head.", h.chunks),
        ("reba_tsdb_head_memory_bytes", "Memory of series, index and open chunks.", h.memory_bytes),
        (
            "reba_tsdb_head_sealed_memory_bytes",
            "Memory of sealed chunks that are not in a file yet.",
            h.sealed_memory_bytes,
        ),
        ("prometheus_tsdb_symbol_table_size_bytes", "Bytes of label texts.", h.symbol_bytes),
        ("prometheus_tsdb_exemplar_exemplars_in_storage", "Exemplars in memory.", h.exemplars),
        (
            "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
            "Series with exemplars.",
            h.exemplar_series,
        ),
    ] {
        page.gauge(name, help).value(value as f64);
    }
    if h.min_time <= h.max_time {
        for (name, help, t) in [
            ("prometheus_tsdb_head_min_time", "Oldest sample of the head.", h.min_time),
            ("prometheus_tsdb_head_max_time", "Newest sample of the head.", h.max_time),
        ] {
            page.gauge(name, help).value(t as f64);
            page.gauge(&format!("{name}_seconds"), help).value(t as f64 / 1000.0);
        }
    }
    for (name, help, value) in [
        ("prometheus_tsdb_head_series_created_total", "Series made.", h.series_created),
        ("prometheus_tsdb_head_series_removed_total", "Series dropped from the head.", h.series_removed),
        (
            "prometheus_tsdb_head_series_not_found_total",
            "Samples for a series that is gone.",
            h.series_not_found,
        ),
        (
            "prometheus_tsdb_head_truncations_total",
            "Times that data moved from the head to blocks.",
            h.truncations,
        ),
        ("prometheus_tsdb_exemplar_exemplars_appended_total", "Exemplars written.", h.exemplars_appended),
        (
            "prometheus_tsdb_out_of_bound_samples_total",
            "Samples refused: too far in the future.",
            h.rejected_out_of_bounds,
        ),
        ("reba_tsdb_duplicate_samples_total", "Exact repetitions, which count as written.", h.duplicates),
        (
            "reba_tsdb_duplicate_timestamp_samples_total",
            "Samples refused: another value at the same time.",
            h.rejected_duplicate,
        ),
    ] {
        page.counter(name, help).value(value as f64);
    }
    page.counter("prometheus_tsdb_head_samples_appended_total", "Samples written.")
        .with(&[("type", &"float")], h.floats_appended as f64)
        .with(&[("type", &"histogram")], h.histograms_appended as f64);
    page.counter(
        "prometheus_tsdb_out_of_order_samples_total",
        "Samples refused: older than the newest of their series.",
    )
    .with(&[("type", &"float")], h.rejected_out_of_order as f64);
    page.counter(
        "prometheus_tsdb_too_old_samples_total",
        "Samples refused: older than anything that is accepted.",
    )
    .with(&[("type", &"float")], h.rejected_too_old as f64);
}

fn disk(page: &mut Page, d: &DiskMetrics) {
    for (name, help, value) in [
        ("prometheus_tsdb_blocks_loaded", "Blocks in use.", d.blocks),
        ("prometheus_tsdb_storage_blocks_bytes", "Bytes of blocks.", d.block_bytes),
        ("reba_tsdb_disk_bytes", "Bytes of everything on disk.", d.total_bytes),
        ("prometheus_tsdb_wal_segment_current", "Number of the segment that is written.", d.wal.segment),
    ] {
        page.gauge(name, help).value(value as f64);
    }
    if d.lowest_time < i64::MAX {
        page.gauge("prometheus_tsdb_lowest_timestamp", "Oldest sample.").value(d.lowest_time as f64);
        page.gauge("prometheus_tsdb_lowest_timestamp_seconds", "Oldest sample.")
            .value(d.lowest_time as f64 / 1000.0);
    }
    page.gauge("prometheus_tsdb_data_replay_duration_seconds", "Time that opening the store took.")
        .value(d.replay_ms as f64 / 1000.0);
    page.gauge("reba_tsdb_last_compaction_duration_seconds", "Time that the last compaction took.")
        .value(d.last_compaction_ms as f64 / 1000.0);
    for (name, help, value) in [
        (
            "prometheus_tsdb_compactions_total",
            "Blocks written from the head or from other blocks.",
            d.compactions,
        ),
        ("prometheus_tsdb_compactions_failed_total", "Such writes that failed.", d.compactions_failed),
        ("prometheus_tsdb_time_retentions_total", "Blocks dropped for their age.", d.time_retentions),
        ("prometheus_tsdb_size_retentions_total", "Blocks dropped for their size.", d.size_retentions),
        ("prometheus_tsdb_checkpoint_creations_total", "Checkpoints taken.", d.checkpoints),
        (
            "prometheus_tsdb_checkpoint_creations_failed_total",
            "Checkpoints that failed.",
            d.checkpoints_failed,
        ),
        ("prometheus_tsdb_wal_corruptions_total", "Damaged places found in the log.", d.wal_corruptions),
        (
            "prometheus_tsdb_wal_writes_failed_total",
            "Writes and fsyncs of the log that failed.",
            d.wal.failures,
        ),
        // What people alert on when blocks cannot be read; the second name is the plain one.
        ("prometheus_tsdb_reloads_failures_total", "Blocks that could not be used.", d.quarantined),
        ("reba_tsdb_blocks_quarantined_total", "Blocks found corrupt and set aside.", d.quarantined),
        ("reba_tsdb_wal_written_bytes_total", "Bytes written to the log.", d.wal.written_bytes),
    ] {
        page.counter(name, help).value(value as f64);
    }
    page.summary("prometheus_tsdb_wal_fsync_duration_seconds", "Time of fsyncs of the log.")
        .suffixed("_sum", &[], d.wal.fsync_micros as f64 / 1e6)
        .suffixed("_count", &[], d.wal.fsyncs as f64);
}

/// What the ecosystem's client libraries say of a process; silent where /proc is not to be had.
pub fn process(page: &mut Page) {
    let (Ok(stat), Ok(status)) =
        (fs::read_to_string("/proc/self/stat"), fs::read_to_string("/proc/self/status"))
    else {
        return;
    };
    // The command's name may hold blanks and parentheses; the fields begin behind the last one.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let kib = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key));
        line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
    };
    page.counter("process_cpu_seconds_total", "User and system time.")
        .value((number(11) + number(12)) / ticks);
    page.gauge("process_resident_memory_bytes", "Resident memory.").value(kib("VmRSS:"));
    page.gauge("process_virtual_memory_bytes", "Virtual memory.").value(kib("VmSize:"));
    page.gauge("process_threads", "Threads.").value(number(17));
    if let Some(boot) = boot_seconds() {
        page.gauge("process_start_time_seconds", "When the process started.")
            .value(boot + number(19) / ticks);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Open descriptors.").value(open.count() as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    page.gauge("process_max_fds", "Descriptors that may be open.")
        .value(limit.map_or(f64::INFINITY, |n| n as f64));
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stores_of_records_tell_the_same_and_dashboards_find_what_they_ask_for() {
        let (mut of_logs, mut of_traces) = (Page::new(), Page::new());
        logs(&mut of_logs, &ColumnarMetrics::default());
        traces(&mut of_traces, &ColumnarMetrics::default());
        let names = |page: Page| -> Vec<String> {
            let text = page.finish();
            text.lines()
                .filter_map(|l| Some(l.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned()))
                .collect()
        };
        let (of_logs, of_traces) = (names(of_logs), names(of_traces));
        for name in [
            "reba_logs_entries_appended_total",
            "reba_logs_part_bytes",
            "loki_ingester_wal_corruptions_total",
        ] {
            assert!(of_logs.iter().any(|n| n == name), "{name}");
        }
        for name in &of_logs {
            let same = name.replace("reba_logs", "reba_traces").replace("entries", "spans");
            assert!(!name.starts_with("reba_logs") || of_traces.contains(&same), "{same}");
        }
    }
}
