//! Keys that Reba passes over: those of a cluster or of upstream's store, which it knows. Others are errors.

use std::path::Path;

use reba_config::{ConfigError, ConfigErrorKind, Key};
use serde_json::Value;

use super::{Warning, limits::Overrides};
use crate::loki::config::check::{is_among, is_known};

/// Sections and keys of upstream without a meaning here, each with all that is below it, and why.
const IGNORED: [(&str, bool, &str); 5] = [
    (
        "has no effect: it is about several processes, and Reba is one",
        true,
        "target memberlist ingester_client metrics_generator_client distributor.ring distributor.override_ring_key \
         distributor.forwarders distributor.extend_writes distributor.usage ingester.lifecycler \
         ingester.override_ring_key ingester.concurrent_flushes compactor.ring compactor.override_ring_key \
         compactor.disabled querier.frontend_worker querier.query_relevant_ingesters \
         querier.secondary_ingester_ring querier.shuffle_sharding_ingesters_enabled \
         querier.shuffle_sharding_ingesters_lookback_period querier.search.external_endpoints \
         querier.search.external_hedge_requests_at querier.search.external_hedge_requests_up_to \
         querier.search.external_backend querier.search.google_cloud_run querier.search.prefer_self \
         query_frontend.max_outstanding_per_tenant query_frontend.max_retries query_frontend.max_batch_size \
         query_frontend.querier_forget_delay query_frontend.response_consumers query_frontend.api_timeout \
         query_frontend.mcp_server query_frontend.multi_tenant_queries_enabled query_frontend.url_deny_list \
         query_frontend.rf1_after query_frontend.weights metrics_generator.ring metrics_generator.override_ring_key \
         metrics_generator.assigned_partitions metrics_generator.codec metrics_generator.instance_id \
         ingest partition_ring live_store block_builder backend_scheduler backend_worker \
         backend_scheduler_client live_store_client overrides.defaults.ingestion.rate_strategy \
         overrides.defaults.ingestion.tenant_shard_size overrides.defaults.ingestion.max_global_traces_per_user \
         overrides.defaults.ingestion.artificial_delay overrides.defaults.forwarders \
         overrides.defaults.metrics_generator.ring_size overrides.defaults.metrics_generator.forwarder \
         overrides.defaults.global.max_bytes_per_trace_strategy overrides.ingestion_rate_strategy \
         overrides.ingestion_tenant_shard_size overrides.max_global_traces_per_user overrides.forwarders \
         overrides.metrics_generator_ring_size overrides.metrics_generator_forwarder_queue_size \
         overrides.metrics_generator_forwarder_workers",
    ),
    (
        "has no effect: Reba keeps spans in a store of its own, which needs no such setting",
        true,
        "cache storage.trace.local storage.trace.wal storage.trace.pool storage.trace.block storage.trace.search \
         storage.trace.cache storage.trace.cache_min_compaction_level storage.trace.cache_max_block_age \
         storage.trace.background_cache storage.trace.memcached storage.trace.redis storage.trace.blocklist_poll \
         storage.trace.blocklist_poll_concurrency storage.trace.blocklist_poll_fallback \
         storage.trace.blocklist_poll_tenant_index_builders storage.trace.blocklist_poll_stale_tenant_index \
         storage.trace.blocklist_poll_jitter_ms storage.trace.blocklist_poll_tolerate_consecutive_errors \
         storage.trace.blocklist_poll_tolerate_tenant_failures storage.trace.empty_tenant_deletion_enabled \
         storage.trace.empty_tenant_deletion_age ingester.max_block_duration ingester.max_block_bytes \
         ingester.flush_check_period ingester.flush_op_timeout ingester.complete_block_timeout ingester.flush_all_on_shutdown \
         ingester.flush_object_storage ingester.trace_live_period ingester.max_trace_live ingester.max_trace_idle \
         ingester.autocomplete_filtering_enabled ingester.wal_v2 ingester.replay_wal compactor.compaction \
         query_frontend.search.concurrent_jobs query_frontend.search.target_bytes_per_job \
         query_frontend.search.query_backend_after query_frontend.search.query_ingesters_until \
         query_frontend.search.ingester_shards query_frontend.search.most_recent_shards \
         query_frontend.search.duration_slo query_frontend.search.throughput_bytes_slo \
         query_frontend.search.metadata_slo query_frontend.trace_by_id query_frontend.metadata \
         query_frontend.metrics.concurrent_jobs query_frontend.metrics.target_bytes_per_job \
         query_frontend.metrics.query_backend_after query_frontend.metrics.interval \
         query_frontend.metrics.duration_slo query_frontend.metrics.throughput_bytes_slo \
         query_frontend.metrics.streaming_shards query_frontend.query_shards query_frontend.tolerate_failed_blocks \
         querier.max_concurrent_queries_per_tenant querier.trace_by_id.external_endpoints \
         querier.metrics metrics_generator.storage.path metrics_generator.storage.wal \
         metrics_generator.storage.remote_write_flush_deadline \
         metrics_generator.storage.remote_write_add_org_id_header metrics_generator.storage.remote_write_remove_org_id_header \
         metrics_generator.traces_storage metrics_generator.traces_query_storage \
         metrics_generator.metrics_ingestion_time_range_slack metrics_generator.query_timeout \
         metrics_generator.processor.local_blocks metrics_generator.processor.service_graphs.workers \
         metrics_generator.processor.service_graphs.span_multiplier_key \
         metrics_generator.processor.service_graphs.messaging_system_latency_histogram \
         metrics_generator.processor.host_info metrics_generator.processor.span_metrics.subprocessors \
         metrics_generator.registry.inject_tenant_id_as metrics_generator.registry.max_series_per_label \
         overrides.defaults.read.max_blocks_per_tag_values_query overrides.defaults.read.unsafe_query_hints \
         overrides.defaults.read.max_metrics_duration overrides.defaults.read.leftpad_trace_ids \
         overrides.defaults.storage overrides.defaults.cost_attribution overrides.defaults.ingestion.max_attribute_bytes \
         overrides.defaults.metrics_generator.generate_native_histograms \
         overrides.defaults.metrics_generator.native_histogram_max_bucket_number \
         overrides.defaults.metrics_generator.trace_id_label_name \
         overrides.defaults.metrics_generator.remote_write_headers \
         overrides.defaults.metrics_generator.ingestion_time_range_slack \
         overrides.defaults.metrics_generator.processor.local_blocks \
         overrides.defaults.metrics_generator.processor.host_info overrides.max_blocks_per_tag_values_query \
         overrides.metrics_generator_processor_local_blocks_max_live_traces \
         overrides.metrics_generator_processor_local_blocks_max_block_duration \
         overrides.metrics_generator_processor_local_blocks_max_block_bytes \
         overrides.metrics_generator_processor_local_blocks_flush_check_period \
         overrides.metrics_generator_processor_local_blocks_trace_idle_period \
         overrides.metrics_generator_processor_local_blocks_complete_block_timeout \
         overrides.metrics_generator_trace_id_label_name overrides.metrics_generator_remote_write_headers",
    ),
    (
        "has no effect in Reba",
        true,
        "search_enabled metrics_generator_enabled use_otel_tracer enable_go_runtime_metrics shutdown_delay \
         usage_report usage user_configurable_overrides overrides.user_configurable_overrides \
         overrides.per_tenant_override_type overrides.enable_legacy_overrides overrides.expand_env \
         distributor.search_tags_deny_list distributor.log_discarded_spans distributor.log_received_traces \
         distributor.metric_received_spans distributor.retry_after_on_resource_exhausted distributor.cost_attribution \
         server.grpc_listen_port server.grpc_listen_address server.log_level server.log_format \
         server.http_server_read_timeout server.http_server_write_timeout server.http_server_idle_timeout \
         server.http_server_read_header_timeout server.http_listen_network server.grpc_listen_network \
         server.graceful_shutdown_timeout server.http_listen_conn_limit server.grpc_listen_conn_limit \
         server.http_tls_config server.grpc_tls_config server.tls_cipher_suites server.tls_min_version \
         server.grpc_server_max_send_msg_size server.grpc_server_max_concurrent_streams \
         server.grpc_server_max_connection_idle server.grpc_server_max_connection_age \
         server.grpc_server_max_connection_age_grace server.grpc_server_keepalive_time \
         server.grpc_server_keepalive_timeout server.grpc_server_min_time_between_pings \
         server.grpc_server_ping_without_stream_allowed server.register_instrumentation \
         server.log_source_ips_enabled server.log_request_headers server.http_path_prefix \
         distributor.receivers.otlp.protocols.grpc distributor.receivers.otlp.protocols.http \
         distributor.receivers.zipkin distributor.receivers.jaeger.protocols.thrift_http \
         distributor.receivers.jaeger.protocols.grpc distributor.receivers.jaeger.remote_sampling",
    ),
    (
        "is not there: spans are taken by OTLP, Zipkin (HTTP) and Jaeger (thrift_http, grpc)",
        false,
        "distributor.receivers.opencensus distributor.receivers.kafka \
         distributor.receivers.jaeger.protocols.thrift_compact distributor.receivers.jaeger.protocols.thrift_binary",
    ),
    (
        "has no effect: spans are kept in files, NOT in an object store",
        false,
        "storage.trace.s3 storage.trace.gcs storage.trace.azure",
    ),
];

/// Tells of the keys that are passed over: of a section that is, once, for the section. `known` is a configuration as JSON with
/// all that is honoured in it.
///
/// # Errors
/// If nobody knows a key.
pub(super) fn passed_over(keys: &[Key], known: &Value, file: &Path) -> Result<Vec<Warning>, ConfigError> {
    let mut warnings = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for key in keys {
        let path = key.path.as_str();
        let below = |told: &&str| path.strip_prefix(told).is_some_and(|rest| rest.starts_with(['.', '[']));
        if path.ends_with("<<") || told.iter().any(below) || is_free(path) || is_known(path, known) {
            continue;
        }
        let Some((why, harmless, _)) = IGNORED.iter().find(|(_, _, paths)| is_among(path, paths)) else {
            return Err(unknown(key, file));
        };
        told.push(path);
        warnings.push(Warning {
            place: format!("{}:{}:{}: key {path}", file.display(), key.at.0, key.at.1),
            reason: (*why).to_owned(),
            harmless: *harmless,
        });
    }
    Ok(warnings)
}

/// Whether others read what is below.
fn is_free(path: &str) -> bool {
    is_among(path, "metrics_generator.storage.remote_write")
}

/// Finds keys that nobody knows in a file of limits of tenants.
///
/// # Errors
/// If there is one.
pub(super) fn tenants(keys: &[Key], file: &Path) -> Result<(), ConfigError> {
    let known = serde_json::to_value(Overrides::every()).unwrap_or_default();
    for key in keys {
        let Some(rest) = key.path.strip_prefix("overrides.") else {
            if key.path == "overrides" {
                continue;
            }
            return Err(unknown(key, file));
        };
        let Some((_, limit)) = rest.split_once('.') else { continue };
        let (flat, nested) = (format!("overrides.{limit}"), format!("overrides.defaults.{limit}"));
        let ignored = IGNORED.iter().any(|(_, _, paths)| is_among(&flat, paths) || is_among(&nested, paths));
        if !is_known(limit, &known) && !ignored {
            return Err(unknown(key, file));
        }
    }
    Ok(())
}

fn unknown(key: &Key, file: &Path) -> ConfigError {
    ConfigError {
        kind: ConfigErrorKind::Syntax,
        file: file.to_owned(),
        at: Some(key.at),
        key: key.path.clone(),
        reason: "unknown key".to_owned(),
    }
}
