//! The sections besides the limits, as far as they mean something to one process.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Size, Span, otlp};

/// `server`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Where the API listens; empty: everywhere.
    pub http_listen_address: String,
    /// Its port.
    pub http_listen_port: u16,
    /// Where gRPC listens; empty: everywhere.
    pub grpc_listen_address: String,
    /// Its port.
    pub grpc_listen_port: u16,
    /// How long a request may take to be read.
    pub http_server_read_timeout: Span,
    /// How long an answer may take to be written.
    pub http_server_write_timeout: Span,
    /// `debug`, `info`, `warn` or `error`
    pub log_level: String,
    /// `logfmt` or `json`
    pub log_format: String,
    /// What stands before every path.
    pub http_path_prefix: String,
    /// Most bytes of a request to push. Reba: 100 MiB unless it is set.
    pub grpc_server_max_recv_msg_size: Option<Size>,
    /// Whether there is `/metrics`.
    pub register_instrumentation: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            http_listen_address: String::new(),
            http_listen_port: 3100,
            grpc_listen_address: String::new(),
            grpc_listen_port: 9095,
            http_server_read_timeout: Span::seconds(30),
            http_server_write_timeout: Span::seconds(30),
            log_level: "info".to_owned(),
            log_format: "logfmt".to_owned(),
            http_path_prefix: String::new(),
            grpc_server_max_recv_msg_size: None,
            register_instrumentation: true,
        }
    }
}

/// `common`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommonConfig {
    /// The folder of everything whose folder is not named.
    pub path_prefix: PathBuf,
    /// Where data is.
    pub storage: CommonStorage,
}

/// `common.storage`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommonStorage {
    /// In files.
    pub filesystem: CommonFolders,
}

/// `common.storage.filesystem`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommonFolders {
    /// Of entries.
    pub chunks_directory: PathBuf,
    /// Of rules.
    pub rules_directory: PathBuf,
}

/// `ingester`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngesterConfig {
    /// After this time without entries a stream no longer counts as active.
    pub chunk_idle_period: Span,
    /// How long entries may be in memory only (and in the write-ahead log).
    pub max_chunk_age: Span,
    /// Faults that are named in the answer to a push.
    pub max_returned_stream_errors: usize,
    /// The write-ahead log.
    pub wal: WalConfig,
}

impl Default for IngesterConfig {
    fn default() -> Self {
        IngesterConfig {
            chunk_idle_period: Span::minutes(30),
            max_chunk_age: Span::hours(2),
            max_returned_stream_errors: 10,
            wal: WalConfig::default(),
        }
    }
}

/// `ingester.wal`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WalConfig {
    /// Its folder.
    pub dir: PathBuf,
}

/// `schema_config`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchemaConfig {
    /// Periods, which are checked, and have no effect otherwise.
    pub configs: Vec<PeriodConfig>,
}

/// One period of `schema_config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodConfig {
    /// First day.
    pub from: String,
    /// Kind of index.
    pub store: String,
    /// Where chunks are.
    pub object_store: String,
    /// `v9` to `v13`
    pub schema: String,
    /// How the index is cut.
    pub index: PeriodIndex,
}

/// How the index of a period is cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodIndex {
    /// What its names begin with.
    pub prefix: String,
    /// How long a piece of it is.
    pub period: Span,
}

/// `storage_config`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// In files.
    pub filesystem: StorageFolder,
}

/// `storage_config.filesystem`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageFolder {
    /// Of entries.
    pub directory: PathBuf,
}

/// `chunk_store_config`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkStoreConfig {
    /// How far into the past queries see, if the limits do not say.
    pub max_look_back_period: Span,
}

/// `compactor`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompactorConfig {
    /// Whether entries are deleted at the end of their time.
    pub retention_enabled: bool,
    /// How often that is looked at.
    pub compaction_interval: Span,
    /// How long after that they are really gone, at most.
    pub retention_delete_delay: Span,
    /// How long a request to delete can be taken back.
    pub delete_request_cancel_period: Span,
    /// Requests to delete are cut into such pieces.
    pub delete_max_interval: Span,
}

impl Default for CompactorConfig {
    fn default() -> Self {
        CompactorConfig {
            retention_enabled: false,
            compaction_interval: Span::minutes(10),
            retention_delete_delay: Span::hours(2),
            delete_request_cancel_period: Span::hours(24),
            delete_max_interval: Span::hours(24),
        }
    }
}

/// `table_manager`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableManagerConfig {
    /// Whether entries are deleted at the end of their time.
    pub retention_deletes_enabled: bool,
    /// Their time.
    pub retention_period: Span,
}

/// `query_range`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryRangeConfig {
    /// Whether ranges are moved to multiples of their step.
    pub align_queries_with_step: bool,
    /// Whether answers are kept.
    pub cache_results: bool,
    /// Where they are kept.
    pub results_cache: ResultsCache,
}

impl Default for QueryRangeConfig {
    fn default() -> Self {
        QueryRangeConfig {
            align_queries_with_step: true,
            cache_results: false,
            results_cache: ResultsCache::default(),
        }
    }
}

/// `query_range.results_cache`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResultsCache {
    /// What keeps it.
    pub cache: CacheConfig,
}

/// `query_range.results_cache.cache`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheConfig {
    /// The one in this process.
    pub embedded_cache: EmbeddedCache,
}

/// `embedded_cache`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddedCache {
    /// Whether it is used.
    pub enabled: bool,
    /// Mebibytes.
    pub max_size_mb: u64,
    /// How long answers are kept.
    pub ttl: Span,
}

impl Default for EmbeddedCache {
    fn default() -> Self {
        EmbeddedCache { enabled: false, max_size_mb: 100, ttl: Span::hours(1) }
    }
}

/// `querier`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuerierConfig {
    /// How long somebody may follow.
    pub tail_max_duration: Span,
    /// Queries at a time.
    pub max_concurrent: usize,
    /// Whether `X-Scope-OrgID: a|b` asks for both.
    pub multi_tenant_queries_enabled: bool,
}

impl Default for QuerierConfig {
    fn default() -> Self {
        QuerierConfig {
            tail_max_duration: Span::hours(1),
            max_concurrent: 10,
            multi_tenant_queries_enabled: false,
        }
    }
}

/// `distributor`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistributorConfig {
    /// OTLP.
    pub otlp_config: DistributorOtlp,
}

/// `distributor.otlp_config`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistributorOtlp {
    /// Resource attributes that are labels of the stream by default.
    pub default_resource_attributes_as_index_labels: Vec<String>,
}

impl Default for DistributorOtlp {
    fn default() -> Self {
        DistributorOtlp { default_resource_attributes_as_index_labels: otlp::indexed() }
    }
}

/// `runtime_config`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeConfig {
    /// The file with limits of single tenants.
    pub file: PathBuf,
    /// How often it is looked at.
    pub period: Span,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        RuntimeConfig { file: PathBuf::new(), period: Span::seconds(10) }
    }
}

/// `ruler`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulerConfig {
    /// Where rules are copied to; unused.
    pub rule_path: PathBuf,
    /// Where rules are.
    pub storage: RulerStorage,
    /// Where alerts are sent, with commas between them.
    pub alertmanager_url: String,
    /// Reba: alerts are always sent to version 2 of the API.
    pub enable_alertmanager_v2: bool,
    /// How often the alertmanagers' names are looked up.
    pub alertmanager_refresh_interval: Span,
    /// Access to the alertmanagers.
    pub alertmanager_client: AlertmanagerClient,
    /// Whether rules can be written by the API.
    pub enable_api: bool,
    /// How often groups without an interval are evaluated.
    pub evaluation_interval: Span,
    /// How often files are looked at.
    pub poll_interval: Span,
    /// How long ago an alert may have been seen for its waiting time to go on after a restart.
    pub for_outage_tolerance: Span,
    /// Shortest waiting time after a restart.
    pub for_grace_period: Span,
    /// How often a firing alert is sent again.
    pub resend_delay: Span,
    /// Where people find us.
    pub external_url: String,
    /// Labels that every alert gets.
    pub external_labels: BTreeMap<String, String>,
    /// The data source that links of alerts name.
    pub datasource_uid: String,
    /// Alerts that wait to be sent.
    pub notification_queue_capacity: usize,
    /// How long sending may take.
    pub notification_timeout: Span,
    /// Where recorded samples go.
    pub remote_write: RulerRemoteWrite,
    /// Its log; unused, since samples go straight into the store.
    pub wal: WalConfig,
}

impl Default for RulerConfig {
    fn default() -> Self {
        RulerConfig {
            rule_path: PathBuf::new(),
            storage: RulerStorage::default(),
            alertmanager_url: String::new(),
            enable_alertmanager_v2: true,
            alertmanager_refresh_interval: Span::minutes(1),
            alertmanager_client: AlertmanagerClient::default(),
            enable_api: true,
            evaluation_interval: Span::minutes(1),
            poll_interval: Span::minutes(1),
            for_outage_tolerance: Span::hours(1),
            for_grace_period: Span::minutes(10),
            resend_delay: Span::minutes(1),
            external_url: String::new(),
            external_labels: BTreeMap::new(),
            datasource_uid: String::new(),
            notification_queue_capacity: 10_000,
            notification_timeout: Span::seconds(10),
            remote_write: RulerRemoteWrite::default(),
            wal: WalConfig::default(),
        }
    }
}

/// `ruler.storage`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulerStorage {
    /// `local`
    #[serde(rename = "type")]
    pub kind: String,
    /// In files.
    pub local: StorageFolder,
}

/// `ruler.alertmanager_client`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertmanagerClient {
    /// Name for basic authentication.
    pub basic_auth_username: String,
    /// Its password.
    pub basic_auth_password: Secret,
}

/// `ruler.remote_write`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulerRemoteWrite {
    /// Whether recorded samples go to somebody else as well.
    pub enabled: bool,
    /// To whom.
    pub client: RulerRemoteClient,
}

/// `ruler.remote_write.client`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulerRemoteClient {
    /// Where.
    pub url: String,
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(if self.0.is_empty() { "" } else { reba_http::SECRET_TEXT })
    }
}
