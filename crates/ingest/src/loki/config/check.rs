//! Keys that Reba passes over: those of a cluster or of another store, which it knows, and those that nobody knows.

use std::fmt;

use reba_config::Key;
use serde_json::Value;

/// Something about a configuration that its owner should know, and that does not keep it from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// File, line and key.
    pub place: String,
    /// What it is, without a full stop.
    pub reason: String,
    /// Whether nothing is lost by it: a key that has a meaning for several processes only.
    pub harmless: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Why a key of upstream's means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// It is about several processes.
    Cluster,
    /// It is about upstream's store or its caches.
    Store,
    /// It is about something that upstream has, and Reba never does.
    Elsewhere,
    /// It would bring in a store that Reba has not.
    ObjectStore,
}

impl Ignored {
    fn reason(self) -> &'static str {
        match self {
            Ignored::Cluster => "has no effect: it is about several processes, and Reba is one",
            Ignored::Store => {
                "has no effect: Reba keeps logs in a store of its own, which needs no such setting"
            }
            Ignored::Elsewhere => "has no effect in Reba",
            Ignored::ObjectStore => "has no effect: logs are kept in files, NOT in an object store",
        }
    }
}

/// Sections and keys of upstream that are passed over, each with all that is below it.
const IGNORED: [(Ignored, &str); 4] = [
    (
        Ignored::Cluster,
        "target memberlist frontend frontend_worker query_scheduler ingester_client index_gateway common.ring \
         common.instance_addr common.instance_enable_ipv6 common.instance_interface_names common.replication_factor \
         common.compactor_address common.compactor_grpc_address common.persist_tokens distributor.ring \
         distributor.rate_store distributor.write_failures_logging ingester.lifecycler ingester.max_transfer_retries \
         ingester.autoforget_unhealthy ingester.concurrent_flushes ingester.query_store_max_look_back_period \
         compactor.compactor_ring ruler.ring ruler.enable_sharding ruler.sharding_strategy ruler.sharding_algo \
         ruler.ruler_client ruler.flush_period ruler.search_pending_for ruler.evaluation querier.query_ingesters_within \
         querier.query_store_only querier.query_ingester_only limits_config.shard_streams \
         limits_config.ingester_query_split_duration limits_config.ruler_tenant_shard_size \
         limits_config.query_ready_index_num_days limits_config.max_queriers_per_tenant \
         limits_config.max_querier_bytes_read limits_config.tsdb_max_query_parallelism \
         limits_config.tsdb_max_bytes_per_shard limits_config.max_query_parallelism limits_config.bloom \
         limits_config.ruler_remote_evaluation_timeout limits_config.ruler_remote_evaluation_max_response_size \
         query_range.parallelise_shardable_queries query_range.max_retries query_range.shard_aggregations",
    ),
    (
        Ignored::Store,
        "ingester.chunk_retain_period ingester.chunk_target_size ingester.chunk_block_size ingester.chunk_encoding \
         ingester.flush_check_period ingester.flush_op_timeout ingester.sync_period ingester.sync_min_utilization \
         ingester.index_shards ingester.max_dropped_streams ingester.wal.enabled ingester.wal.replay_memory_ceiling \
         ingester.wal.flush_on_shutdown ingester.wal.checkpoint_duration ingester.shutdown_marker_path \
         schema_config.configs[].chunks schema_config.configs[].row_shards schema_config.configs[].index.tags \
         storage_config.boltdb_shipper storage_config.tsdb_shipper storage_config.boltdb storage_config.index_cache_validity \
         storage_config.index_queries_cache_config storage_config.disable_broad_index_queries \
         storage_config.max_parallel_get_chunk storage_config.max_chunk_batch_size storage_config.hedging \
         storage_config.object_prefix storage_config.use_thanos_objstore chunk_store_config.chunk_cache_config \
         chunk_store_config.write_dedupe_cache_config chunk_store_config.cache_lookups_older_than \
         compactor.working_directory compactor.shared_store compactor.shared_store_key_prefix \
         compactor.delete_request_store compactor.retention_delete_worker_count compactor.retention_table_timeout \
         compactor.retention_backoff_config compactor.delete_batch_size compactor.max_compaction_parallelism \
         compactor.upload_parallelism compactor.apply_retention_interval compactor.tables_to_compact \
         compactor.skip_latest_n_tables compactor.run_once table_manager.throughput_updates_disabled \
         table_manager.poll_interval table_manager.creation_grace_period table_manager.index_tables_provisioning \
         table_manager.chunk_tables_provisioning limits_config.max_chunks_per_query limits_config.cardinality_limit \
         limits_config.max_streams_matchers_per_query limits_config.unordered_writes \
         limits_config.max_cache_freshness_per_query limits_config.max_stats_cache_freshness \
         limits_config.split_queries_by_interval limits_config.split_metadata_queries_by_interval \
         limits_config.index_gateway_shard_size limits_config.max_metadata_cache_freshness \
         query_range.results_cache.compression query_range.cache_index_stats_results \
         query_range.index_stats_results_cache query_range.cache_volume_results query_range.volume_results_cache \
         query_range.results_cache.cache.default_validity query_range.results_cache.cache.memcached \
         query_range.results_cache.cache.memcached_client query_range.results_cache.cache.redis \
         query_range.results_cache.cache.background query_range.results_cache.cache.async_cache_write_back_concurrency \
         query_range.split_queries_by_interval ruler.wal_cleaner ruler.wal.truncate_frequency ruler.wal.min_age \
         ruler.wal.max_age ruler.evaluation_delay",
    ),
    (
        Ignored::Elsewhere,
        "analytics tracing ballast_bytes shutdown_delay profiling pattern_ingester bloom_build bloom_gateway \
         bloom_compactor bloom_planner bloom_builder ui operational_config block_builder block_scheduler \
         kafka_config dataobj querier.query_timeout querier.engine querier.extra_query_delay \
         querier.tail_max_duration_jitter limits_config.enforce_metric_name limits_config.per_tenant_override_config \
         limits_config.per_tenant_override_period limits_config.pattern_ingester_enabled \
         limits_config.volume_max_concurrency limits_config.allow_deletes limits_config.ruler_remote_write_disabled \
         limits_config.ruler_remote_write limits_config.ruler_alertmanager_config limits_config.enable_multi_variant_queries \
         server.http_server_idle_timeout server.graceful_shutdown_timeout server.http_listen_network \
         server.grpc_listen_network server.http_listen_conn_limit server.grpc_listen_conn_limit \
         server.http_tls_config server.grpc_tls_config server.tls_cipher_suites server.tls_min_version \
         server.grpc_server_max_send_msg_size server.grpc_server_max_concurrent_streams \
         server.grpc_server_max_connection_idle server.grpc_server_max_connection_age \
         server.grpc_server_max_connection_age_grace server.grpc_server_keepalive_time \
         server.grpc_server_keepalive_timeout server.grpc_server_min_time_between_pings \
         server.grpc_server_ping_without_stream_allowed server.log_source_ips_enabled server.log_source_ips_header \
         server.log_source_ips_regex server.log_request_headers server.log_request_at_info_level_enabled \
         server.log_request_exclude_headers_list server.report_grpc_codes_in_instrumentation_label_enabled \
         server.proxy_protocol_enabled ruler.disable_rule_group_label ruler.remote_write.clients \
         ruler.remote_write.config_refresh_period ruler.remote_write.client.name ruler.remote_write.client \
         ruler.alertmanager_discovery ruler.alertmanager_client ruler.query_stats_enabled ruler.storage.alibaba",
    ),
    (
        Ignored::ObjectStore,
        "storage_config.aws storage_config.azure storage_config.bos storage_config.gcs storage_config.swift \
         storage_config.cos storage_config.alibabacloud storage_config.bigtable storage_config.bigtable_chunk \
         storage_config.gcs_chunk storage_config.cassandra storage_config.grpc_store storage_config.named_stores \
         storage_config.object_store common.storage.s3 common.storage.gcs common.storage.azure common.storage.bos \
         common.storage.swift common.storage.cos common.storage.alibabacloud common.storage.hedging ruler.storage.s3 \
         ruler.storage.gcs ruler.storage.azure ruler.storage.swift ruler.storage.cos ruler.storage.bos",
    ),
];

/// Tells of the keys that are passed over: of a section that is, once, for the section. `known` is a configuration as JSON with
/// all that is honoured in it; `prefix` the path of the section that `keys` are about, with a dot, or nothing.
pub(super) fn passed_over(keys: &[Key], known: &Value, file: &std::path::Path) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut told: Vec<String> = Vec::new();
    for key in keys {
        let below = |path: &String| {
            key.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if key.path.ends_with("<<") || told.iter().any(below) || is_known(&key.path, known) {
            continue;
        }
        let ignored = ignored(&key.path);
        told.push(key.path.clone());
        warnings.push(Warning {
            place: format!("{}:{}:{}: key {}", file.display(), key.at.0, key.at.1, key.path),
            reason: ignored.map_or("unknown key, which has no effect", Ignored::reason).to_owned(),
            harmless: ignored.is_some_and(|i| i != Ignored::ObjectStore),
        });
    }
    warnings
}

/// Whether a key is honoured.
pub(crate) fn is_known(path: &str, known: &Value) -> bool {
    let mut at = known;
    for name in path.split(['.', '[']) {
        at = match at {
            // Whatever stands in a list of texts or in a map of the owner's own names.
            Value::Object(map) if map.is_empty() => return true,
            Value::Object(map) => match map.get(name) {
                Some(inner) => inner,
                None => return false,
            },
            Value::Array(items) => match items.first() {
                Some(inner) => inner,
                None => return true,
            },
            _ => return true,
        };
    }
    true
}

/// Whether upstream knows the key, or a section that it is in.
fn ignored(path: &str) -> Option<Ignored> {
    IGNORED.iter().find(|(_, paths)| is_among(path, paths)).map(|(why, _)| *why)
}

/// Whether a key, or a section that it is in, is among `known` with blanks between them.
pub(crate) fn is_among(path: &str, known: &str) -> bool {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            plain.push(c);
        }
    }
    let is = |known: &str| {
        plain.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    known.split_whitespace().any(is)
}
