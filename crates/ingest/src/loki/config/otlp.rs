//! `limits_config.otlp_config`: what becomes of the attributes of OTLP's logs.

use serde::{Deserialize, Serialize};

use super::limits::fault_of_list;

/// Resource attributes that are labels of the stream unless somebody says otherwise.
const INDEXED: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// Resource attributes that are labels of the stream, as `distributor.otlp_config` may have them.
pub(super) fn indexed() -> Vec<String> {
    INDEXED.map(str::to_owned).to_vec()
}

/// What becomes of attributes; those that nobody names become structured metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpLabels {
    /// Of a resource.
    pub resource_attributes: ResourceAttributes,
    /// Of a scope.
    pub scope_attributes: Vec<AttributesRule>,
    /// Of an entry.
    pub log_attributes: Vec<AttributesRule>,
}

/// What becomes of the attributes of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceAttributes {
    /// Whether those that are labels of the stream by default are not.
    pub ignore_defaults: bool,
    /// The first that matches counts.
    pub attributes_config: Vec<AttributesRule>,
}

/// What becomes of some attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributesRule {
    /// What.
    pub action: AttributeAction,
    /// Those of these names.
    pub attributes: Vec<String>,
    /// Those whose whole name this expression matches, instead.
    pub regex: String,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeAction {
    /// A label of the stream; only of resources.
    IndexLabel,
    /// Structured metadata.
    #[default]
    StructuredMetadata,
    /// Nothing.
    Drop,
}

impl AttributesRule {
    fn fault(&self, resource: bool) -> Option<(&'static str, String)> {
        if self.action == AttributeAction::IndexLabel && !resource {
            return Some(("action", "index_label is for attributes of resources only".to_owned()));
        }
        match (self.attributes.is_empty(), self.regex.is_empty()) {
            (true, true) => Some(("attributes", "either attributes or regex must be set".to_owned())),
            (false, false) => Some(("regex", "only one of attributes and regex may be set".to_owned())),
            _ => reba_model::GoRegex::anchored(&self.regex).err().map(|e| ("regex", e.to_string())),
        }
    }
}

impl OtlpLabels {
    /// The first value that makes no sense: its key, and why.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let resource = &self.resource_attributes.attributes_config;
        fault_of_list("resource_attributes.attributes_config", resource, |r| r.fault(true))
            .or_else(|| fault_of_list("scope_attributes", &self.scope_attributes, |r| r.fault(false)))
            .or_else(|| fault_of_list("log_attributes", &self.log_attributes, |r| r.fault(false)))
    }
}
