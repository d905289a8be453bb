//! `INFO`: which of its fields become which families.

use std::collections::{BTreeMap, BTreeSet};

use super::Out;
use crate::page::Kind;

/// Fields that become gauges, sorted, and the names of those that have another one there.
const GAUGES: &[(&str, &str)] = &[
    ("active_defrag_hits", "defrag_hits"),
    ("active_defrag_key_hits", "defrag_key_hits"),
    ("active_defrag_key_misses", "defrag_key_misses"),
    ("active_defrag_misses", "defrag_misses"),
    ("active_defrag_running", ""),
    ("allocator_active", "allocator_active_bytes"),
    ("allocator_allocated", "allocator_allocated_bytes"),
    ("allocator_frag_bytes", ""),
    ("allocator_frag_ratio", ""),
    ("allocator_resident", "allocator_resident_bytes"),
    ("allocator_rss_bytes", ""),
    ("allocator_rss_ratio", ""),
    ("aof_base_size", "aof_base_size_bytes"),
    ("aof_buffer_length", ""),
    ("aof_current_rewrite_time_sec", "aof_current_rewrite_duration_sec"),
    ("aof_current_size", "aof_current_size_bytes"),
    ("aof_delayed_fsync", ""),
    ("aof_enabled", ""),
    ("aof_last_bgrewrite_status", ""),
    ("aof_last_cow_size", "aof_last_cow_size_bytes"),
    ("aof_last_rewrite_time_sec", "aof_last_rewrite_duration_sec"),
    ("aof_last_write_status", ""),
    ("aof_pending_bio_fsync", ""),
    ("aof_pending_rewrite", ""),
    ("aof_rewrite_buffer_length", ""),
    ("aof_rewrite_in_progress", ""),
    ("aof_rewrite_scheduled", ""),
    ("blocked_clients", ""),
    ("client_biggest_input_buf", ""),
    ("client_longest_output_list", ""),
    ("client_recent_max_input_buffer", "client_recent_max_input_buffer_bytes"),
    ("client_recent_max_output_buffer", "client_recent_max_output_buffer_bytes"),
    ("clients_in_timeout_table", ""),
    ("cluster_stats_messages_received", "cluster_messages_received_total"),
    ("cluster_stats_messages_sent", "cluster_messages_sent_total"),
    ("connected_clients", ""),
    ("connected_slaves", ""),
    ("current_client_thread", ""),
    ("expired_stale_perc", "expired_stale_percentage"),
    ("expired_time_cap_reached_count", "expired_time_cap_reached_total"),
    ("io_threads_active", ""),
    ("latest_fork_usec", "latest_fork_seconds"),
    ("lazyfree_pending_objects", ""),
    ("loading", "loading_dump_file"),
    ("long_lock_waits", "long_lock_waits_total"),
    ("master_repl_offset", ""),
    ("maxfragmentationmemory_desired_reservation", "memory_max_fragmentation_reservation_desired_bytes"),
    ("maxfragmentationmemory_reservation", "memory_max_fragmentation_reservation_bytes"),
    ("maxmemory", "memory_max_bytes"),
    ("maxmemory_desired_reservation", "memory_max_reservation_desired_bytes"),
    ("maxmemory_reservation", "memory_max_reservation_bytes"),
    ("mem_clients_normal", ""),
    ("mem_clients_slaves", ""),
    ("mem_fragmentation_bytes", ""),
    ("mem_fragmentation_ratio", ""),
    ("mem_not_counted_for_evict", "mem_not_counted_for_eviction_bytes"),
    ("migrate_cached_sockets", "migrate_cached_sockets_total"),
    ("module_fork_in_progress", ""),
    ("module_fork_last_cow_size", ""),
    ("number_of_cached_scripts", ""),
    ("process_id", ""),
    ("pubsub_channels", ""),
    ("pubsub_patterns", ""),
    ("pubsubshard_channels", ""),
    ("rdb_bgsave_in_progress", ""),
    ("rdb_changes_since_last_save", ""),
    ("rdb_current_bgsave_time_sec", "rdb_current_bgsave_duration_sec"),
    ("rdb_last_bgsave_status", ""),
    ("rdb_last_bgsave_time_sec", "rdb_last_bgsave_duration_sec"),
    ("rdb_last_cow_size", "rdb_last_cow_size_bytes"),
    ("rdb_last_save_time", "rdb_last_save_timestamp_seconds"),
    ("repl_backlog_active", "repl_backlog_is_active"),
    ("repl_backlog_first_byte_offset", ""),
    ("repl_backlog_histlen", "repl_backlog_history_bytes"),
    ("repl_backlog_size", "replication_backlog_bytes"),
    ("second_repl_offset", ""),
    ("server_threads", "server_threads_total"),
    ("slave_expires_tracked_keys", ""),
    ("slave_priority", ""),
    ("sync_full", "replica_resyncs_full"),
    ("sync_partial_err", "replica_partial_resync_denied"),
    ("sync_partial_ok", "replica_partial_resync_accepted"),
    ("tracking_clients", ""),
    ("tracking_total_items", ""),
    ("tracking_total_keys", ""),
    ("tracking_total_prefixes", ""),
    ("uptime_in_seconds", ""),
    ("used_memory", "memory_used_bytes"),
    ("used_memory_dataset", "memory_used_dataset_bytes"),
    ("used_memory_lua", "memory_used_lua_bytes"),
    ("used_memory_overhead", "memory_used_overhead_bytes"),
    ("used_memory_peak", "memory_used_peak_bytes"),
    ("used_memory_rss", "memory_used_rss_bytes"),
    ("used_memory_scripts", "memory_used_scripts_bytes"),
    ("used_memory_startup", "memory_used_startup_bytes"),
];

/// Fields that become counters, sorted as well.
const COUNTERS: &[(&str, &str)] = &[
    ("cached_keys", "cached_keys_total"),
    ("dump_payload_sanitizations", ""),
    ("evicted_keys", "evicted_keys_total"),
    ("expired_keys", "expired_keys_total"),
    ("io_threaded_reads_processed", ""),
    ("io_threaded_writes_processed", ""),
    ("keyspace_hits", "keyspace_hits_total"),
    ("keyspace_misses", "keyspace_misses_total"),
    ("rejected_connections", "rejected_connections_total"),
    ("storage_provider_read_hits", ""),
    ("storage_provider_read_misses", ""),
    ("total_commands_processed", "commands_processed_total"),
    ("total_connections_received", "connections_received_total"),
    ("total_error_replies", ""),
    ("total_net_input_bytes", "net_input_bytes_total"),
    ("total_net_output_bytes", "net_output_bytes_total"),
    ("total_reads_processed", ""),
    ("total_writes_processed", ""),
    ("unexpected_error_replies", ""),
    ("used_cpu_sys", "cpu_sys_seconds_total"),
    ("used_cpu_sys_children", "cpu_sys_children_seconds_total"),
    ("used_cpu_sys_main_thread", "cpu_sys_main_thread_seconds_total"),
    ("used_cpu_user", "cpu_user_seconds_total"),
    ("used_cpu_user_children", "cpu_user_children_seconds_total"),
    ("used_cpu_user_main_thread", "cpu_user_main_thread_seconds_total"),
];

/// What `INFO` says beside what is written down at once.
#[derive(Debug, Default)]
pub struct Info {
    /// Calls and microseconds of each command.
    commands: BTreeMap<String, (f64, f64)>,
    /// Percentiles of each command.
    percentiles: BTreeMap<String, Vec<(String, f64)>>,
    databases: BTreeSet<String>,
    /// Whether a Sentinel answers.
    pub sentinel: bool,
}

impl Info {
    /// Microseconds of a command with all its sub-commands, as upstream adds them up.
    pub fn microseconds(&self, command: &str) -> f64 {
        self.commands.iter().filter(|(name, _)| name.starts_with(command)).map(|(_, (_, us))| us).sum()
    }

    /// Whether the server is part of a cluster.
    pub fn is_cluster(text: &str) -> bool {
        text.contains("cluster_enabled:1")
    }
}

/// Fields that become labels.
const LABELS: [&str; 13] = [
    "maxmemory_policy",
    "os",
    "process_id",
    "redis_build_id",
    "redis_mode",
    "redis_version",
    "role",
    "run_id",
    "tcp_port",
    "master_host",
    "master_port",
    "slave_read_only",
    "server_mode",
];

/// Writes what `INFO ALL` says of a server with `databases` databases.
pub fn write(out: &mut Out<'_>, text: &str, databases: u32, now: f64) -> Info {
    let mut info = Info::default();
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut section, mut master) = ("", (String::new(), String::new()));
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("# ") {
            section = name;
            info.sentinel |= name == "Sentinel";
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        if LABELS.contains(&key) {
            labels.insert(key, value);
        }
        if of_master(key, "host") {
            value.clone_into(&mut master.0);
        }
        if of_master(key, "port") {
            value.clone_into(&mut master.1);
        }
        let done = match section {
            "Replication" => replication(out, &master, key, value),
            "Commandstats" => command(out, &mut info, key, value),
            "Latencystats" => percentiles(&mut info, key, value),
            "Errorstats" => error(out, key, value),
            "Keyspace" => keyspace(out, &mut info, key, value),
            "Sentinel" => sentinel(out, key, value),
            _ => false,
        };
        if section == "Server"
            && key == "uptime_in_seconds"
            && let Ok(uptime) = value.parse::<f64>()
        {
            out.gauge("start_time_seconds", "When the server started, in Unix time.", &[], now - uptime);
        }
        if !done {
            field(out, key, value);
        }
    }
    summaries(out, &info);
    for database in (0..databases).map(|n| format!("db{n}")).filter(|db| !info.databases.contains(db)) {
        out.gauge("db_keys", KEYS, &[("db", &database)], 0.0);
        out.gauge("db_keys_expiring", KEYS, &[("db", &database)], 0.0);
    }
    instance(out, &labels);
    info
}

const KEYS: &str = "Keys of each database.";

/// Writes what `CLUSTER INFO` says.
pub fn write_cluster(out: &mut Out<'_>, text: &str) {
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once(':')) {
        field(out, key, value);
    }
}

/// `master_host`, and KeyDB's `master_1_host`.
fn of_master(key: &str, what: &str) -> bool {
    let Some(rest) = key.strip_prefix("master_") else { return false };
    let rest = match rest.split_once('_') {
        Some((n, rest)) if n.parse::<u32>().is_ok() => rest,
        _ => rest,
    };
    rest.starts_with(what)
}

/// A field that stands for itself.
fn field(out: &mut Out<'_>, key: &str, value: &str) {
    let named = |map: &[(&'static str, &'static str)]| {
        let at = map.binary_search_by(|(field, _)| (*field).cmp(key)).ok()?;
        let (field, name) = map.get(at)?;
        Some(if name.is_empty() { *field } else { *name })
    };
    let (kind, name) = match (named(GAUGES), named(COUNTERS)) {
        (Some(name), _) => (Kind::Gauge, name),
        (None, Some(name)) => (Kind::Counter, name),
        _ if key == "total_system_memory" && out.system => (Kind::Gauge, "total_system_memory_bytes"),
        _ if key.starts_with("cluster_") || key.starts_with("db") => (Kind::Gauge, key),
        _ => return,
    };
    let number = match value {
        "ok" | "true" => 1.0,
        "err" | "fail" | "false" => 0.0,
        value => value.parse().unwrap_or(0.0),
    };
    let number = if key == "latest_fork_usec" { number / 1e6 } else { number };
    let help = "A field of INFO.";
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return out.put(kind, name, help, &[], number);
    }
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    out.put(kind, &name, help, &[], number);
}

/// The number in `key=number`.
fn number(pair: &str) -> Option<f64> {
    pair.split_once('=')?.1.parse().ok()
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.split(',').filter_map(|pair| pair.split_once('=')).collect()
}

fn replication(out: &mut Out<'_>, master: &(String, String), key: &str, value: &str) -> bool {
    let labels = [("master_host", master.0.as_str()), ("master_port", master.1.as_str())];
    if of_master(key, "link_status") {
        let up = if value == "up" { 1.0 } else { 0.0 };
        out.gauge("master_link_up", "Whether a replica is connected to its master.", &labels, up);
        return true;
    }
    let direct = [
        ("last_io_seconds_ago", "master_last_io_seconds_ago"),
        ("sync_in_progress", "master_sync_in_progress"),
    ];
    if let Some((_, name)) = direct.iter().find(|(what, _)| of_master(key, what)) {
        out.gauge(name, "How a replica hears of its master.", &labels, value.parse().unwrap_or(0.0));
        return true;
    }
    if key == "slave_repl_offset" {
        let offset = value.parse().unwrap_or(0.0);
        out.gauge("slave_repl_offset", "How far a replica has come.", &labels, offset);
        return true;
    }
    let is_replica = key.strip_prefix("slave").is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    let pairs = pairs(value);
    let get = |key: &str| pairs.get(key).copied();
    let Some(Ok(offset)) = get("offset").filter(|_| is_replica).map(str::parse::<f64>) else { return false };
    let text = |key| get(key).unwrap_or_default();
    let labels = [("slave_ip", text("ip")), ("slave_port", text("port")), ("slave_state", text("state"))];
    out.gauge("connected_slave_offset_bytes", "How far each replica has come.", &labels, offset);
    if let Some(lag) = get("lag").and_then(|lag| lag.parse::<f64>().ok()).filter(|lag| *lag > -1.0) {
        out.gauge("connected_slave_lag_seconds", "How far each replica is behind.", &labels, lag);
    }
    true
}

fn command(out: &mut Out<'_>, info: &mut Info, key: &str, value: &str) -> bool {
    let Some(cmd) = key.strip_prefix("cmdstat_") else { return true };
    let parts: Vec<&str> = value.split(',').collect();
    let at = |n: usize| parts.get(n).and_then(|part| number(part));
    let (Some(calls), Some(us)) = (at(0), at(1)) else { return true };
    let labels = [("cmd", cmd)];
    out.counter("commands_total", "Calls of each command.", &labels, calls);
    out.counter("commands_duration_seconds_total", "Seconds spent in each command.", &labels, us / 1e6);
    // Since 6.2.
    if let (Some(rejected), Some(failed)) = (at(3), at(4)) {
        out.counter("commands_rejected_calls_total", "Calls that were refused.", &labels, rejected);
        out.counter("commands_failed_calls_total", "Calls that failed.", &labels, failed);
    }
    info.commands.insert(cmd.to_owned(), (calls, us));
    true
}

fn percentiles(info: &mut Info, key: &str, value: &str) -> bool {
    let Some(cmd) = key.strip_prefix("latency_percentiles_usec_") else { return true };
    let one = |pair: &str| {
        let (percentile, value) = pair.strip_prefix('p')?.split_once('=')?;
        percentile.parse::<f64>().ok()?;
        Some((percentile.to_owned(), value.parse().ok()?))
    };
    let values: Option<Vec<(String, f64)>> = value.split(',').map(one).collect();
    if let Some(values) = values {
        info.percentiles.insert(cmd.to_owned(), values);
    }
    true
}

fn summaries(out: &mut Out<'_>, info: &Info) {
    for (cmd, values) in &info.percentiles {
        let Some((calls, us)) = info.commands.get(cmd) else { continue };
        let name = "latency_percentiles_usec";
        let mut rows = out.rows(Kind::Summary, name, "Percentiles of each command's time, in microseconds.");
        for (percentile, value) in values {
            rows.with(&[("cmd", cmd), ("quantile", percentile)], *value);
        }
        rows.suffixed("_sum", &[("cmd", cmd)], *us).suffixed("_count", &[("cmd", cmd)], *calls);
    }
}

fn error(out: &mut Out<'_>, key: &str, value: &str) -> bool {
    if let (Some(name), Some(count)) = (key.strip_prefix("errorstat_"), number(value)) {
        out.counter("errors_total", "Refusals of each kind.", &[("err", name)], count);
    }
    false
}

fn keyspace(out: &mut Out<'_>, info: &mut Info, key: &str, value: &str) -> bool {
    if !key.starts_with("db") {
        return false;
    }
    let pairs = pairs(value);
    let get = |key: &str| pairs.get(key).and_then(|v| v.parse::<f64>().ok());
    let (Some(keys), Some(expiring)) = (get("keys"), get("expires")) else { return false };
    let labels = [("db", key)];
    out.gauge("db_keys", KEYS, &labels, keys);
    out.gauge("db_keys_expiring", KEYS, &labels, expiring);
    if let Some(cached) = get("cached_keys") {
        out.gauge("db_keys_cached", KEYS, &labels, cached);
    }
    if let Some(ttl) = get("avg_ttl") {
        out.gauge("db_avg_ttl_seconds", "How long keys have to live, on average.", &labels, ttl / 1e3);
    }
    info.databases.insert(key.to_owned());
    true
}

fn sentinel(out: &mut Out<'_>, key: &str, value: &str) -> bool {
    const OWN: [&str; 5] = [
        "sentinel_masters",
        "sentinel_tilt",
        "sentinel_running_scripts",
        "sentinel_scripts_queue_length",
        "sentinel_simulate_failure_flags",
    ];
    if OWN.contains(&key) {
        out.gauge(key, "What a Sentinel says of itself.", &[], value.parse().unwrap_or(0.0));
        return true;
    }
    let is_master = key.strip_prefix("master").is_some_and(|n| n.parse::<u32>().is_ok());
    let pairs = pairs(value);
    let text = |key: &str| pairs.get(key).copied().unwrap_or_default();
    let (Ok(slaves), Ok(sentinels)) = (text("slaves").parse::<f64>(), text("sentinels").parse::<f64>())
    else {
        return false;
    };
    if !is_master {
        return false;
    }
    let labels = [("master_address", text("address")), ("master_name", text("name"))];
    let ok = if text("status") == "ok" { 1.0 } else { 0.0 };
    let with_status = [labels[0], labels[1], ("master_status", text("status"))];
    out.gauge("sentinel_master_status", "Whether each master is well.", &with_status, ok);
    out.gauge("sentinel_master_slaves", "Replicas of each master.", &labels, slaves);
    out.gauge("sentinel_master_sentinels", "Sentinels of each master.", &labels, sentinels);
    true
}

fn instance(out: &mut Out<'_>, fields: &BTreeMap<&str, &str>) {
    let get = |key: &str| fields.get(key).copied().unwrap_or_default();
    // Valkey says it under a name of its own.
    let mode = if fields.contains_key("redis_mode") { "redis_mode" } else { "server_mode" };
    let labels = [
        ("maxmemory_policy", get("maxmemory_policy")),
        ("os", get("os")),
        ("process_id", get("process_id")),
        ("redis_build_id", get("redis_build_id")),
        ("redis_mode", get(mode)),
        ("redis_version", get("redis_version")),
        ("role", get("role")),
        ("run_id", get("run_id")),
        ("tcp_port", get("tcp_port")),
    ];
    out.gauge("instance_info", "What the server is; always 1.", &labels, 1.0);
    if get("role") == "slave" {
        let labels = [
            ("master_host", get("master_host")),
            ("master_port", get("master_port")),
            ("read_only", get("slave_read_only")),
        ];
        out.gauge("slave_info", "What the replica is; always 1.", &labels, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::Page;

    fn page(text: &str, databases: u32) -> String {
        let mut page = Page::new();
        write(&mut Out { page: &mut page, namespace: "redis", system: false }, text, databases, 1000.0);
        page.text()
    }

    #[test]
    fn fields_are_sorted_as_they_are_looked_up() {
        assert!(GAUGES.is_sorted() && COUNTERS.is_sorted());
    }

    #[test]
    fn a_replica_of_version_7_is_told() {
        let text = page(
            "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:40\r\nprocess_id:7\r\n# Replication\r\nrole:slave\r\n\
             master_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:3\r\n\
             master_sync_in_progress:0\r\nslave_repl_offset:77\r\nslave_read_only:1\r\nmaster_repl_offset:5\r\n\
             # Commandstats\r\ncmdstat_config|get:calls=2,usec=10,usec_per_call=5.0,rejected_calls=1,failed_calls=3\r\n\
             # Latencystats\r\nlatency_percentiles_usec_config|get:p50=1.003,p99.9=4.015\r\n# Errorstats\r\n\
             errorstat_NOAUTH:count=4\r\n# Keyspace\r\ndb1:keys=5,expires=1,avg_ttl=2500\r\n",
            2,
        );
        for line in [
            "redis_start_time_seconds 960",
            "redis_process_id 7",
            "redis_master_link_up{master_host=\"10.0.0.1\",master_port=\"6379\"} 1",
            "redis_master_last_io_seconds_ago{master_host=\"10.0.0.1\",master_port=\"6379\"} 3",
            "redis_slave_repl_offset{master_host=\"10.0.0.1\",master_port=\"6379\"} 77",
            "redis_slave_info{master_host=\"10.0.0.1\",master_port=\"6379\",read_only=\"1\"} 1",
            "redis_master_repl_offset 5",
            "redis_commands_failed_calls_total{cmd=\"config|get\"} 3",
            "redis_commands_duration_seconds_total{cmd=\"config|get\"} 1e-05",
            "redis_latency_percentiles_usec{cmd=\"config|get\",quantile=\"99.9\"} 4.015",
            "redis_latency_percentiles_usec_count{cmd=\"config|get\"} 2",
            "redis_errors_total{err=\"NOAUTH\"} 4",
            "redis_db_keys{db=\"db0\"} 0",
            "redis_db_keys{db=\"db1\"} 5",
            "redis_db_avg_ttl_seconds{db=\"db1\"} 2.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("redis_version 7"));
    }

    #[test]
    fn masters_of_a_sentinel_and_replicas_of_a_master_are_told() {
        let text = page(
            "# Sentinel\nsentinel_masters:1\nmaster0:name=m,status=sdown,address=10.0.0.1:6379,slaves=2,sentinels=3\n\
             # Replication\nslave0:ip=10.0.0.2,port=6379,state=online,offset=9,lag=1\n# Cluster\ncluster_enabled:0\n",
            0,
        );
        for line in [
            "redis_sentinel_masters 1",
            "redis_sentinel_master_status{master_address=\"10.0.0.1:6379\",master_name=\"m\",master_status=\"sdown\"} 0",
            "redis_sentinel_master_slaves{master_address=\"10.0.0.1:6379\",master_name=\"m\"} 2",
            "redis_connected_slave_lag_seconds{slave_ip=\"10.0.0.2\",slave_port=\"6379\",slave_state=\"online\"} 1",
            "redis_cluster_enabled 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_panics(lines in proptest::collection::vec(
            prop_oneof!["# (Replication|Commandstats|Latencystats|Keyspace|Sentinel|Errorstats)",
                        "(db0|slave0|master0|cmdstat_x|latency_percentiles_usec_y|errorstat_z):[a-z0-9=,.]{0,20}",
                        "\\PC{0,12}"], 0..12)) {
            page(&lines.join("\n"), 1);
        }
    }
}
