//! The sections `storage`, `tracing`, `otlp` and `runtime`.

use std::collections::{BTreeMap, BTreeSet};

use reba_http::TlsConfig;
use reba_model::NameScheme;
use serde::{Deserialize, Serialize};

use super::{ByteSize, Millis, remote::reserved_header, yaml::Invalid};

/// What of the store can be changed by a reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StorageConfig {
    /// The metric store.
    pub tsdb: TsdbConfig,
    /// Exemplars.
    pub exemplars: ExemplarsConfig,
}

/// The metric store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TsdbConfig {
    /// How much older than the newest one a sample may be.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub out_of_order_time_window: Millis,
    /// Share of stale series in the head at which they are compacted; zero means never.
    #[serde(skip_serializing_if = "is_zero")]
    pub stale_series_compaction_threshold: f64,
    /// What is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionConfig>,
}

/// What is kept; zero means no bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// By age.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub time: Millis,
    /// By size.
    #[serde(skip_serializing_if = "ByteSize::is_zero")]
    pub size: ByteSize,
    /// By per cent of the disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub percentage: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &f64) -> bool {
    *n == 0.0
}

/// Exemplars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExemplarsConfig {
    /// How many are kept; zero or less for none.
    pub max_exemplars: i64,
}

impl Default for ExemplarsConfig {
    fn default() -> Self {
        ExemplarsConfig { max_exemplars: 100_000 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageYaml {
    tsdb: Option<TsdbYaml>,
    exemplars: Option<ExemplarsYaml>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TsdbYaml {
    out_of_order_time_window: Option<Millis>,
    stale_series_compaction_threshold: Option<f64>,
    chunk_encoding: Option<ChunkEncodingYaml>,
    retention: Option<RetentionConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChunkEncodingYaml {
    floats: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExemplarsYaml {
    max_exemplars: Option<i64>,
}

impl StorageYaml {
    pub fn build(self) -> Result<StorageConfig, Invalid> {
        let tsdb = self.tsdb.unwrap_or_default();
        // Upstream's choice of encoding means nothing to our chunks, but a wrong one is still a wrong one.
        let floats = tsdb.chunk_encoding.unwrap_or_default().floats.unwrap_or_default();
        if !["", "xor", "xor2"].contains(&floats.as_str()) {
            let text = format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted \
                 entirely, got {floats:?}"
            );
            return Err(Invalid::new(text).within("tsdb.chunk_encoding.floats", None));
        }
        if let Some(r) = &tsdb.retention
            && !(0.0..=100.0).contains(&r.percentage)
        {
            let text = format!(
                "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {}",
                r.percentage
            );
            return Err(Invalid::new(text).within("tsdb.retention.percentage", None));
        }
        let exemplars = self.exemplars.unwrap_or_default();
        Ok(StorageConfig {
            tsdb: TsdbConfig {
                out_of_order_time_window: tsdb.out_of_order_time_window.unwrap_or_default(),
                stale_series_compaction_threshold: tsdb.stale_series_compaction_threshold.unwrap_or(0.0),
                retention: tsdb.retention,
            },
            exemplars: exemplars
                .max_exemplars
                .map_or_else(ExemplarsConfig::default, |n| ExemplarsConfig { max_exemplars: n }),
        })
    }
}

/// Where our own traces are sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TracingConfig {
    /// `grpc` or `http`.
    pub client_type: String,
    /// The collector.
    pub endpoint: String,
    /// Share of requests that are traced.
    pub sampling_fraction: f64,
    /// Whether without TLS.
    pub insecure: bool,
    /// TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `gzip`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub compression: String,
    /// How long a request may take; zero for the default.
    #[serde(skip_serializing_if = "Millis::is_zero")]
    pub timeout: Millis,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TracingYaml {
    client_type: Option<String>,
    endpoint: Option<String>,
    sampling_fraction: Option<f64>,
    insecure: Option<bool>,
    tls_config: Option<TlsConfig>,
    headers: Option<BTreeMap<String, String>>,
    compression: Option<String>,
    timeout: Option<Millis>,
}

impl TracingYaml {
    pub fn build(self) -> Result<TracingConfig, Invalid> {
        let client_type = self.client_type.unwrap_or_else(|| "grpc".to_owned());
        if !["http", "grpc"].contains(&client_type.as_str()) {
            let text =
                format!("expected tracing client type to be to be http or grpc, but got {client_type}");
            return Err(Invalid::new(text).within("client_type", None));
        }
        let headers = self.headers.unwrap_or_default();
        if headers.keys().any(|h| h.eq_ignore_ascii_case("authorization")) {
            let text = "custom authorization header configuration is not yet supported";
            return Err(Invalid::new(text).within("headers", None));
        }
        if let Some(h) = reserved_header(&headers) {
            let text = format!("{h} is a reserved header. It must not be changed");
            return Err(Invalid::new(text).within("headers", None));
        }
        let endpoint = self.endpoint.unwrap_or_default();
        if endpoint.is_empty() {
            return Err(Invalid::new("tracing endpoint must be set"));
        }
        let compression = self.compression.unwrap_or_default();
        if !["", "gzip"].contains(&compression.as_str()) {
            let text = format!("invalid compression type {compression} provided, valid options: gzip");
            return Err(Invalid::new(text).within("compression", None));
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        Ok(TracingConfig {
            client_type,
            endpoint,
            sampling_fraction: self.sampling_fraction.unwrap_or(0.0),
            insecure: self.insecure.unwrap_or(false),
            tls_config: self.tls_config,
            headers,
            compression,
            timeout: self.timeout.unwrap_or_default(),
        })
    }
}

/// How OTLP metrics become series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtlpConfig {
    /// Whether all resource attributes become labels.
    pub promote_all_resource_attributes: bool,
    /// Resource attributes that become labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub promote_resource_attributes: Vec<String>,
    /// Resource attributes that do not, where all others do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_resource_attributes: Vec<String>,
    /// How names are translated.
    pub translation_strategy: String,
    /// Whether `service.name` and its like stay on `target_info`.
    pub keep_identifying_resource_attributes: bool,
    /// Whether explicit histograms become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Whether the scope becomes labels.
    pub promote_scope_metadata: bool,
    /// Whether a label that begins with `_` gets `key` in front.
    pub label_name_underscore_sanitization: bool,
    /// Whether several `_` in a row stay.
    pub label_name_preserve_multiple_underscores: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OtlpYaml {
    promote_all_resource_attributes: Option<bool>,
    promote_resource_attributes: Option<Vec<String>>,
    ignore_resource_attributes: Option<Vec<String>>,
    translation_strategy: Option<String>,
    keep_identifying_resource_attributes: Option<bool>,
    convert_histograms_to_nhcb: Option<bool>,
    promote_scope_metadata: Option<bool>,
    label_name_underscore_sanitization: Option<bool>,
    label_name_preserve_multiple_underscores: Option<bool>,
}

const ESCAPING_STRATEGIES: [&str; 2] =
    ["UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes"];
const UTF8_STRATEGIES: [&str; 2] = ["NoTranslation", "NoUTF8EscapingWithSuffixes"];

impl OtlpYaml {
    pub fn build(self, scheme: NameScheme) -> Result<OtlpConfig, Invalid> {
        let all = self.promote_all_resource_attributes.unwrap_or(false);
        let promote = self.promote_resource_attributes.unwrap_or_default();
        let ignore = self.ignore_resource_attributes.unwrap_or_default();
        if all && !promote.is_empty() {
            return Err(Invalid::new(
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured \
                 simultaneously",
            ));
        }
        if !all && !ignore.is_empty() {
            return Err(Invalid::new(
                "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true",
            ));
        }
        let strategy = self.translation_strategy.filter(|s| !s.is_empty());
        let strategy = strategy.unwrap_or_else(|| ESCAPING_STRATEGIES[0].to_owned());
        if UTF8_STRATEGIES.contains(&strategy.as_str()) {
            if scheme == NameScheme::Legacy {
                let text =
                    format!("OTLP translation strategy {strategy:?} is not allowed when UTF8 is disabled");
                return Err(Invalid::new(text).within("translation_strategy", None));
            }
        } else if !ESCAPING_STRATEGIES.contains(&strategy.as_str()) {
            let text = format!("unsupported OTLP translation strategy {strategy:?}");
            return Err(Invalid::new(text).within("translation_strategy", None));
        }
        Ok(OtlpConfig {
            promote_all_resource_attributes: all,
            promote_resource_attributes: attributes(promote, "promote_resource_attributes", "promoted")?,
            ignore_resource_attributes: attributes(ignore, "ignore_resource_attributes", "ignored")?,
            translation_strategy: strategy,
            keep_identifying_resource_attributes: self.keep_identifying_resource_attributes.unwrap_or(false),
            convert_histograms_to_nhcb: self.convert_histograms_to_nhcb.unwrap_or(false),
            promote_scope_metadata: self.promote_scope_metadata.unwrap_or(false),
            label_name_underscore_sanitization: self.label_name_underscore_sanitization.unwrap_or(true),
            label_name_preserve_multiple_underscores: self
                .label_name_preserve_multiple_underscores
                .unwrap_or(true),
        })
    }
}

fn attributes(list: Vec<String>, key: &str, adjective: &str) -> Result<Vec<String>, Invalid> {
    let mut seen = BTreeSet::new();
    let list: Vec<String> = list.iter().map(|a| a.trim().to_owned()).collect();
    for a in &list {
        let fault = if a.is_empty() {
            format!("empty {adjective} OTel resource attribute")
        } else if !seen.insert(a.as_str()) {
            format!("duplicated {adjective} OTel resource attribute {a:?}")
        } else {
            continue;
        };
        return Err(Invalid::new(format!("invalid '{key}': {fault}")).within(key, None));
    }
    Ok(list)
}

/// Settings of upstream's runtime; read, and without effect.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuntimeYaml {
    // Go's garbage collector has no counterpart here: the key is only checked.
    #[serde(rename = "gogc")]
    _gogc: Option<i64>,
}
