//! tempo.yml, as upstream's 2.3 reads it, and what later versions made of its keys.
//!
//! [`TempoConfig`] holds what means something to one process, and serialises to the text of `/status/config`. A key of a cluster or
//! of upstream's store is passed over with one line of warning; one that nobody knows is an error ([`check`]).

mod check;
mod generator;
mod limits;
mod scalar;
mod sections;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub use generator::*;
pub use limits::{Limits, Processor};
pub use reba_config::{ConfigError, Variables};
use reba_config::{Key, Unknown};
use reba_http::SECRET_TEXT;
use reba_model::Tenant;
pub use scalar::Bytes;
pub use sections::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::loki::config::{ConfigView, Span as Period, Warning};

/// A name that is not set is an error.
const UNKNOWN: Unknown<'static> = Unknown { keep: false, groups: &[] };

/// A valid tempo.yml. The default is upstream's, as Reba takes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TempoConfig {
    /// Stands before every path.
    pub http_api_prefix: String,
    /// Whether requests must name a tenant.
    pub multitenancy_enabled: bool,
    /// Whether gRPC is answered on the port of HTTP. Reba always does.
    pub stream_over_http_enabled: bool,
    /// Whether values are looked up by what else a query asks. Reba always does.
    pub autocomplete_filtering_enabled: bool,
    /// The HTTP server.
    pub server: ServerConfig,
    /// How spans are taken in.
    pub distributor: DistributorConfig,
    /// How long what is in memory.
    pub ingester: IngesterConfig,
    /// How long spans are kept.
    pub compactor: CompactorConfig,
    /// Folders.
    pub storage: StorageConfig,
    /// Limits of answers.
    pub query_frontend: QueryFrontendConfig,
    /// Limits of queries.
    pub querier: QuerierConfig,
    /// Metrics out of spans.
    pub metrics_generator: GeneratorConfig,
    /// Limits as they are written, in either of upstream's shapes.
    overrides: limits::Overrides,
    /// Limits of tenants that have none of their own.
    #[serde(skip)]
    pub limits: Limits,
    /// Those of tenants that have, whole.
    #[serde(skip)]
    pub tenants: BTreeMap<Tenant, Limits>,
    /// What `${file:…}` brought.
    #[serde(skip)]
    secrets: Vec<String>,
}

impl TempoConfig {
    /// Reads the file at `path` and the limits of tenants that it names. The warnings are about keys without effect.
    ///
    /// # Errors
    /// With file, line and key.
    pub fn load(path: &Path, variables: &Variables) -> Result<(TempoConfig, Vec<Warning>), ConfigError> {
        let text = fs::read_to_string(path).map_err(|e| ConfigError::io(path, &e))?;
        let (mut config, warnings) = Self::parse(&text, path, variables)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(file) = config.overrides_file() {
            config.overrides.per_tenant_override_config = folder.join(file);
        }
        config.read_tenants(variables)?;
        Ok((config, warnings))
    }

    /// Reads a configuration that stands in `file`, without the file of tenants' limits that it names.
    ///
    /// # Errors
    /// With file, line and key.
    pub fn parse(
        text: &str,
        file: &Path,
        variables: &Variables,
    ) -> Result<(TempoConfig, Vec<Warning>), ConfigError> {
        let expanded = variables.expand(text, file, &UNKNOWN)?;
        let keys = reba_config::keys(&expanded.text, file)?;
        let mut config: TempoConfig =
            reba_config::read(&expanded.text, file).map_err(|e| expanded.hide(e))?;
        let warnings = check::passed_over(&keys, &known(), file).map_err(|e| expanded.hide(e))?;
        config.limits = config.overrides.limits();
        if let Some((key, reason)) = config.fault() {
            return Err(expanded.hide(fault(file, &keys, &key, &reason)));
        }
        config.secrets = expanded.secrets().to_vec();
        Ok((config, warnings))
    }

    /// The file with limits of tenants, if there is one.
    pub fn overrides_file(&self) -> Option<&PathBuf> {
        let file = &self.overrides.per_tenant_override_config;
        (!file.as_os_str().is_empty()).then_some(file)
    }

    /// Reads the file with limits of tenants again. After an error those from before hold.
    ///
    /// # Errors
    /// With file, line and key.
    pub fn read_tenants(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let Some(file) = self.overrides_file() else { return Ok(()) };
        let text = fs::read_to_string(file).map_err(|e| ConfigError::io(file, &e))?;
        let expanded = variables.expand(&text, file, &UNKNOWN)?;
        let keys = reba_config::keys(&expanded.text, file)?;
        let read: limits::TenantFile =
            reba_config::read(&expanded.text, file).map_err(|e| expanded.hide(e))?;
        check::tenants(&keys, file)?;
        let (mut tenants, mut others) = (BTreeMap::new(), None);
        for (name, written) in read.overrides {
            let limits = self.overrides.limits_with(&written);
            if name == "*" {
                others = Some(limits);
                continue;
            }
            let tenant = Tenant::new(&name)
                .map_err(|e| expanded.hide(fault(file, &keys, &format!("overrides.{name}"), &e)))?;
            tenants.insert(tenant, limits);
        }
        self.tenants = tenants;
        self.limits = others.unwrap_or_else(|| self.overrides.limits());
        Ok(())
    }

    /// The limits of a tenant.
    pub fn limits_of(&self, tenant: &Tenant) -> &Limits {
        self.tenants.get(tenant).unwrap_or(&self.limits)
    }

    /// How long spans are kept; `None`: for ever.
    pub fn retention(&self) -> Option<std::time::Duration> {
        let own = self.limits.block_retention;
        let all = self.compactor.compaction.block_retention;
        let period = if own.is_zero() { all } else { own };
        (!period.is_zero()).then(|| period.as_std())
    }

    /// The configuration as YAML, without secrets.
    pub fn to_yaml(&self, view: ConfigView) -> String {
        let value = |config: &TempoConfig| serde_json::to_value(config).unwrap_or_default();
        let shown = match view {
            ConfigView::Whole => value(self),
            ConfigView::Defaults => value(&TempoConfig::default()),
            ConfigView::Diff => crate::loki::config::difference(value(self), &value(&TempoConfig::default()))
                .unwrap_or(Value::Object(serde_json::Map::default())),
        };
        self.shown(&shown)
    }

    /// The limits in force as YAML, in upstream's nested shape: those of all tenants and, whole, those of tenants that have their own;
    /// or only what differs from the defaults.
    pub fn limits_yaml(&self, view: ConfigView) -> String {
        let (built_in, common) = (Limits::default().written(), self.limits.written());
        let tenants = self.tenants.iter().map(|(tenant, limits)| (tenant.to_string(), limits.written()));
        let nothing = || Value::Object(serde_json::Map::default());
        let differing =
            |value: Value, from: &Value| crate::loki::config::difference(value, from).unwrap_or_else(nothing);
        let (defaults, overrides) = match view {
            ConfigView::Whole => (common, tenants.collect()),
            ConfigView::Defaults => (built_in, serde_json::Map::default()),
            ConfigView::Diff => {
                let tenants = tenants.map(|(tenant, value)| (tenant, differing(value, &common)));
                let tenants = tenants.collect();
                (differing(common.clone(), &built_in), tenants)
            }
        };
        self.shown(&serde_json::json!({ "defaults": defaults, "overrides": overrides }))
    }

    /// The limits of one tenant as YAML.
    pub fn tenant_limits_yaml(&self, tenant: &Tenant) -> String {
        self.shown(&self.limits_of(tenant).written())
    }

    fn shown(&self, value: &Value) -> String {
        let yaml =
            serde_saphyr::to_string(value).unwrap_or_else(|e| format!("<error creating config string: {e}>"));
        reba_config::hide_in_yaml(&yaml, &self.secrets, SECRET_TEXT)
    }

    /// The first value that makes no sense, and why.
    fn fault(&self) -> Option<(String, String)> {
        let backend = &self.storage.trace.backend;
        if !matches!(backend.as_str(), "" | "local") {
            let reason = format!("{backend:?} is no store of this build: spans are kept in files, \"local\"");
            return Some(("storage.trace.backend".to_owned(), reason));
        }
        self.distributor.receivers.fault().or_else(|| self.overrides.fault())
    }
}

/// A fault of the key at a path.
fn fault(file: &Path, keys: &[Key], path: &str, reason: &(impl std::fmt::Display + ?Sized)) -> ConfigError {
    // What is not written stands where the nearest section above it does.
    let mut above = path;
    let at = loop {
        match keys.iter().find(|k| k.path == above) {
            Some(key) => break Some(key.at),
            None => match above.rfind(['.', '[']) {
                Some(end) => above = &above[..end],
                None => break None,
            },
        }
    };
    ConfigError::invalid(file, at, path, reason)
}

/// A configuration with one of everything that there can be several of, so that it has every key.
fn known() -> Value {
    let mut config = TempoConfig::default();
    config.distributor.receivers = Receivers::every();
    config.metrics_generator.processor.span_metrics.dimension_mappings.push(DimensionMapping::default());
    config.metrics_generator.processor.span_metrics.filter_policies.push(FilterPolicy::every());
    config.overrides = limits::Overrides::every();
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests;
