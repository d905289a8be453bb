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

fn logs(page: &mut Page, m: &ColumnarMetrics) {
    for (name, help, value) in [
        ("loki_ingester_memory_streams", "Streams with entries in memory.", m.memory_streams),
        ("reba_logs_memory_entries", "Entries that are not in a part yet.", m.memory_rows),
        ("reba_logs_memory_bytes", "Memory that they take.", m.memory_bytes),
        ("reba_logs_parts", "Parts in use.", m.parts),
        ("reba_logs_part_bytes", "Bytes of their files.", m.part_bytes),
        ("reba_logs_part_entries", "Their entries.", m.part_rows),
        ("reba_logs_part_text_bytes", "Bytes of lines and metadata that they stand for.", m.part_text_bytes),
        ("reba_logs_blocks", "Blocks in them.", m.blocks),
        ("reba_logs_wal_bytes", "Bytes of the write-ahead log.", m.wal_bytes),
    ] {
        page.gauge(name, help).value(value as f64);
    }
    if m.oldest_ns < i64::MAX {
        page.gauge("reba_logs_lowest_timestamp_seconds", "Oldest entry in a part.")
            .value(m.oldest_ns as f64 / 1e9);
    }
    page.gauge("reba_logs_replay_duration_seconds", "Time that opening the store took.")
        .value(m.replay_ms as f64 / 1000.0);
    for (name, help, value) in [
        ("reba_logs_entries_appended_total", "Entries written.", m.appended),
        ("reba_logs_duplicate_entries_total", "Entries that were there already.", m.duplicates),
        ("reba_logs_flushes_total", "Times that memory was written to parts.", m.flushes),
        ("reba_logs_flushes_failed_total", "Times that it could not be.", m.flushes_failed),
        ("reba_logs_merges_total", "Merges of parts.", m.merges),
        ("reba_logs_merges_failed_total", "Merges that failed.", m.merges_failed),
        ("reba_logs_merged_bytes_total", "Bytes that merges read.", m.merged_bytes),
        ("reba_logs_parts_expired_total", "Parts that retention dropped or cut.", m.parts_expired),
        ("reba_logs_entries_deleted_total", "Entries deleted on request.", m.rows_deleted),
        (
            "reba_logs_parts_quarantined_total",
            "Parts found damaged or missing, and set aside.",
            m.quarantined_parts,
        ),
        ("reba_logs_blocks_damaged_total", "Blocks found damaged.", m.bad_blocks),
        ("loki_ingester_wal_corruptions_total", "Damaged places found in the log.", m.wal_corruptions),
        ("loki_ingester_wal_bytes_written_total", "Bytes written to the log.", m.wal.written_bytes),
        (
            "loki_ingester_wal_disk_full_failures_total",
            "Writes and fsyncs of the log that failed.",
            m.wal.failures,
        ),
    ] {
        page.counter(name, help).value(value as f64);
    }
}

/// What `/metrics` of the traces says of their store.
pub fn traces(page: &mut Page, m: &ColumnarMetrics) {
    for (name, help, value) in [
        ("reba_traces_memory_traces", "Traces with spans in memory.", m.memory_streams),
        ("reba_traces_memory_spans", "Spans that are not in a part yet.", m.memory_rows),
        ("reba_traces_memory_bytes", "Memory that they take.", m.memory_bytes),
        ("reba_traces_parts", "Parts in use.", m.parts),
        ("reba_traces_part_bytes", "Bytes of their files.", m.part_bytes),
        ("reba_traces_part_spans", "Their spans.", m.part_rows),
        ("reba_traces_blocks", "Blocks in them.", m.blocks),
        ("reba_traces_wal_bytes", "Bytes of the write-ahead log.", m.wal_bytes),
    ] {
        page.gauge(name, help).value(value as f64);
    }
    if m.oldest_ns < i64::MAX {
        page.gauge("reba_traces_lowest_timestamp_seconds", "Oldest span in a part.")
            .value(m.oldest_ns as f64 / 1e9);
    }
    for (name, help, value) in [
        ("reba_traces_spans_appended_total", "Spans written.", m.appended),
        ("reba_traces_duplicate_spans_total", "Spans that were there already.", m.duplicates),
        ("reba_traces_flushes_total", "Times that memory was written to parts.", m.flushes),
        ("reba_traces_flushes_failed_total", "Times that it could not be.", m.flushes_failed),
        ("reba_traces_merges_total", "Merges of parts.", m.merges),
        ("reba_traces_merges_failed_total", "Merges that failed.", m.merges_failed),
        ("reba_traces_parts_expired_total", "Parts that retention dropped or cut.", m.parts_expired),
        (
            "reba_traces_parts_quarantined_total",
            "Parts found damaged or missing, and set aside.",
            m.quarantined_parts,
        ),
        ("reba_traces_blocks_damaged_total", "Blocks found damaged.", m.bad_blocks),
    ] {
        page.counter(name, help).value(value as f64);
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
