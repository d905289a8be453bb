//! `metrics_generator`: metrics out of spans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Period;

/// `metrics_generator`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorConfig {
    /// Which metrics.
    pub processor: Processors,
    /// How they are kept and told.
    pub registry: RegistryConfig,
    /// To whom.
    pub storage: GeneratorStorage,
    /// Spans that ended longer ago, or end later, are not counted.
    pub metrics_ingestion_time_range_slack: Period,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            processor: Processors::default(),
            registry: RegistryConfig::default(),
            storage: GeneratorStorage::default(),
            metrics_ingestion_time_range_slack: Period::seconds(30),
        }
    }
}

/// `metrics_generator.processor`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Processors {
    /// Who calls whom.
    pub service_graphs: ServiceGraphs,
    /// How often, how long.
    pub span_metrics: SpanMetrics,
}

/// `metrics_generator.processor.service_graphs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceGraphs {
    /// How long a half of an edge waits for the other one.
    pub wait: Period,
    /// Most halves that wait.
    pub max_items: usize,
    /// Upper bounds of the buckets, in seconds.
    pub histogram_buckets: Vec<f64>,
    /// Attributes that become labels.
    pub dimensions: Vec<String>,
    /// Whether these labels are told apart by `client_` and `server_`.
    pub enable_client_server_prefix: bool,
    /// Attributes that name whom a client calls, if that does not send spans itself.
    pub peer_attributes: Vec<String>,
    /// Whether there is a series for how long messages lie.
    pub enable_messaging_system_latency_histogram: bool,
    /// Whether a server that nobody calls, as far as is known, is called by `user`.
    pub enable_virtual_node_label: bool,
}

impl Default for ServiceGraphs {
    fn default() -> Self {
        ServiceGraphs {
            wait: Period::seconds(10),
            max_items: 10_000,
            histogram_buckets: (0..8).map(|n| 0.1 * f64::from(1 << n)).collect(),
            dimensions: Vec::new(),
            enable_client_server_prefix: false,
            peer_attributes: ["peer.service", "db.name", "db.system"].map(str::to_owned).to_vec(),
            enable_messaging_system_latency_histogram: false,
            enable_virtual_node_label: true,
        }
    }
}

/// `metrics_generator.processor.span_metrics`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpanMetrics {
    /// Upper bounds of the buckets, in seconds.
    pub histogram_buckets: Vec<f64>,
    /// Labels that everybody has.
    pub intrinsic_dimensions: IntrinsicDimensions,
    /// Attributes that become labels.
    pub dimensions: Vec<String>,
    /// Labels that are made of several attributes.
    pub dimension_mappings: Vec<DimensionMapping>,
    /// Whether there are `traces_target_info` and the labels `job` and `instance`.
    pub enable_target_info: bool,
    /// Attributes of resources that `traces_target_info` leaves out.
    pub target_info_excluded_dimensions: Vec<String>,
    /// The attribute that says for how many spans one stands.
    pub span_multiplier_key: String,
    /// Which spans count.
    pub filter_policies: Vec<FilterPolicy>,
}

impl Default for SpanMetrics {
    fn default() -> Self {
        SpanMetrics {
            histogram_buckets: (0..14).map(|n| 0.002 * f64::from(1 << n)).collect(),
            intrinsic_dimensions: IntrinsicDimensions::default(),
            dimensions: Vec::new(),
            dimension_mappings: Vec::new(),
            enable_target_info: false,
            target_info_excluded_dimensions: Vec::new(),
            span_multiplier_key: String::new(),
            filter_policies: Vec::new(),
        }
    }
}

/// `intrinsic_dimensions`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the name of the label that it switches on")]
pub struct IntrinsicDimensions {
    pub service: bool,
    pub span_name: bool,
    pub span_kind: bool,
    pub status_code: bool,
    pub status_message: bool,
}

impl Default for IntrinsicDimensions {
    fn default() -> Self {
        IntrinsicDimensions {
            service: true,
            span_name: true,
            span_kind: true,
            status_code: true,
            status_message: false,
        }
    }
}

/// An item of `dimension_mappings`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DimensionMapping {
    /// The label.
    pub name: String,
    /// The attributes.
    #[serde(alias = "source_label")]
    pub source_labels: Vec<String>,
    /// What stands between their values.
    pub join: String,
}

/// An item of `filter_policies`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilterPolicy {
    /// A span must match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<PolicyMatch>,
    /// A span must not match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<PolicyMatch>,
}

impl FilterPolicy {
    /// With all its keys.
    pub(super) fn every() -> Self {
        let one = PolicyMatch { attributes: vec![PolicyAttribute::default()], ..PolicyMatch::default() };
        FilterPolicy { include: Some(one.clone()), exclude: Some(one) }
    }
}

/// `include` or `exclude`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyMatch {
    /// How values are compared.
    pub match_type: MatchType,
    /// All must match.
    pub attributes: Vec<PolicyAttribute>,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// As they are.
    #[default]
    Strict,
    /// By an expression.
    Regex,
}

/// An attribute, or an intrinsic, and its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyAttribute {
    /// `kind`, `status`, `name`, `span.x` or `resource.x`.
    pub key: String,
    /// The value or the expression.
    pub value: serde_json::Value,
}

/// `metrics_generator.registry`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryConfig {
    /// How often series are told.
    pub collection_interval: Period,
    /// A series without spans for so long is given up.
    pub stale_duration: Period,
    /// Labels of all series.
    pub external_labels: BTreeMap<String, String>,
    /// Longest name of a label.
    pub max_label_name_length: usize,
    /// Longest value of a label.
    pub max_label_value_length: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig {
            collection_interval: Period::seconds(15),
            stale_duration: Period::minutes(15),
            external_labels: BTreeMap::new(),
            max_label_name_length: 1024,
            max_label_value_length: 2048,
        }
    }
}

/// `metrics_generator.storage`. Series go into the metric store of this process; whom else they are sent to is Prometheus'
/// format and read by its reader.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorStorage {
    /// Whom they are sent to.
    pub remote_write: Vec<serde_json::Value>,
}
