//! loki-config.yml, as upstream's 2.9.3 reads it, except that what it does not know is a warning.
//!
//! [`LokiConfig`] holds what means something to one process ([`sections`], [`limits`], [`otlp`]) and serialises to the text of
//! `/config`. Other keys are passed over with a [`Warning`] each ([`check`]): those of a cluster, of upstream's store, and those
//! that nobody knows.

pub(crate) mod check;
pub(crate) mod limits;
pub(crate) mod otlp;
mod retention;
mod scalar;
mod sections;

use std::{collections::BTreeMap, fs, path::Path};

pub use check::Warning;
pub use limits::{BlockedQuery, Limits, StreamRetention};
pub use otlp::{AttributeAction, AttributesRule, OtlpLabels, ResourceAttributes};
pub use reba_config::{ConfigError, Variables};
use reba_config::{Key, Unknown};
use reba_http::SECRET_TEXT;
use reba_model::Tenant;
pub use retention::{RetentionPeriods, RetentionPlan};
pub use scalar::{Size, Span};
pub use sections::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A name that is not set is an error.
const UNKNOWN: Unknown<'static> = Unknown { keep: false, groups: &[] };

/// A valid loki-config.yml. The default is upstream's, as Reba takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LokiConfig {
    /// Whether requests must name a tenant.
    pub auth_enabled: bool,
    /// The HTTP server.
    pub server: ServerConfig,
    /// Folders.
    pub common: CommonConfig,
    /// How long what is in memory, and what a push is told.
    pub ingester: IngesterConfig,
    /// How entries are taken in.
    pub distributor: DistributorConfig,
    /// Kinds of upstream's index; checked only.
    pub schema_config: SchemaConfig,
    /// Folders.
    pub storage_config: StorageConfig,
    /// How far queries look back.
    pub chunk_store_config: ChunkStoreConfig,
    /// Limits of tenants that have none of their own.
    #[serde(rename = "limits_config")]
    pub limits: Limits,
    /// Deleting entries.
    pub compactor: CompactorConfig,
    /// Deleting entries, as it was done once.
    pub table_manager: TableManagerConfig,
    /// Queries over ranges.
    pub query_range: QueryRangeConfig,
    /// Queries.
    pub querier: QuerierConfig,
    /// Rules.
    pub ruler: RulerConfig,
    /// Where the limits of single tenants are.
    pub runtime_config: RuntimeConfig,
    /// Those limits, whole.
    #[serde(skip)]
    pub overrides: BTreeMap<Tenant, Limits>,
    /// What `${file:…}` brought.
    #[serde(skip)]
    secrets: Vec<String>,
}

impl Default for LokiConfig {
    fn default() -> Self {
        LokiConfig {
            auth_enabled: true,
            server: ServerConfig::default(),
            common: CommonConfig::default(),
            ingester: IngesterConfig::default(),
            distributor: DistributorConfig::default(),
            schema_config: SchemaConfig::default(),
            storage_config: StorageConfig::default(),
            chunk_store_config: ChunkStoreConfig::default(),
            limits: Limits::default(),
            compactor: CompactorConfig::default(),
            table_manager: TableManagerConfig::default(),
            query_range: QueryRangeConfig::default(),
            querier: QuerierConfig::default(),
            ruler: RulerConfig::default(),
            runtime_config: RuntimeConfig::default(),
            overrides: BTreeMap::new(),
            secrets: Vec::new(),
        }
    }
}

/// The file that `runtime_config` names.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Runtime {
    overrides: BTreeMap<String, Value>,
}

/// The same, to find faults where they stand.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckedRuntime {
    overrides: BTreeMap<String, Limits>,
}

/// What `/config` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigView {
    /// What holds.
    #[default]
    Whole,
    /// What differs from the defaults.
    Diff,
    /// The defaults.
    Defaults,
}

impl LokiConfig {
    /// Reads the file at `path` and the limits of tenants that it names. The warnings are about keys without effect.
    pub fn load(path: &Path, variables: &Variables) -> Result<(LokiConfig, Vec<Warning>), ConfigError> {
        let text = fs::read_to_string(path).map_err(|e| ConfigError::io(path, &e))?;
        let (mut config, mut warnings) = Self::parse(&text, path, variables)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if !config.runtime_config.file.as_os_str().is_empty() {
            config.runtime_config.file = folder.join(&config.runtime_config.file);
        }
        warnings.extend(config.read_overrides(variables)?);
        Ok((config, warnings))
    }

    /// Reads a configuration that stands in `file`, without the file that `runtime_config` names.
    pub fn parse(
        text: &str,
        file: &Path,
        variables: &Variables,
    ) -> Result<(LokiConfig, Vec<Warning>), ConfigError> {
        let expanded = variables.expand(text, file, &UNKNOWN)?;
        let keys = reba_config::keys(&expanded.text, file)?;
        let mut config: LokiConfig = reba_config::read(&expanded.text, file).map_err(|e| expanded.hide(e))?;
        if let Some((key, reason)) = config.limits.fault() {
            return Err(expanded.hide(fault(file, &keys, &format!("limits_config.{key}"), &reason)));
        }
        if let Some((key, reason)) = config.schema_fault() {
            return Err(expanded.hide(fault(file, &keys, &key, &reason)));
        }
        config.secrets = expanded.secrets().to_vec();
        let mut warnings = check::passed_over(&keys, &known(), file);
        warnings.extend(config.retention_warning(file));
        Ok((config, warnings))
    }

    /// Reads the file that `runtime_config` names again, if it names one: its limits replace those from before. After an error
    /// those from before hold.
    pub fn read_overrides(&mut self, variables: &Variables) -> Result<Vec<Warning>, ConfigError> {
        let file = self.runtime_config.file.clone();
        if file.as_os_str().is_empty() {
            self.overrides.clear();
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&file).map_err(|e| ConfigError::io(&file, &e))?;
        let (overrides, warnings) = self.parse_overrides(&text, &file, variables)?;
        self.overrides = overrides;
        Ok(warnings)
    }

    fn parse_overrides(
        &self,
        text: &str,
        file: &Path,
        variables: &Variables,
    ) -> Result<(BTreeMap<Tenant, Limits>, Vec<Warning>), ConfigError> {
        let expanded = variables.expand(text, file, &UNKNOWN)?;
        let hide = |e: ConfigError| expanded.hide(e);
        let keys = reba_config::keys(&expanded.text, file)?;
        let checked: CheckedRuntime = reba_config::read(&expanded.text, file).map_err(hide)?;
        let written: Runtime = reba_config::read(&expanded.text, file).map_err(hide)?;
        let mut overrides = BTreeMap::new();
        for (name, limits) in &checked.overrides {
            let key = format!("overrides.{name}");
            let wrong = |key: &str, reason: &dyn std::fmt::Display| hide(fault(file, &keys, key, reason));
            let tenant = Tenant::new(name).map_err(|e| wrong(&key, &e))?;
            if let Some((inner, reason)) = limits.fault() {
                return Err(wrong(&format!("{key}.{inner}"), &reason));
            }
            let own = written.overrides.get(name).cloned().unwrap_or_default();
            let limits = overlay(&self.limits, own).map_err(|e| wrong(&key, &e))?;
            overrides.insert(tenant, limits);
        }
        // Below the name of each tenant stand the keys of `limits_config`.
        let of_limits: Vec<Key> = keys.iter().filter_map(as_limit).collect();
        let warnings = check::passed_over(&of_limits, &known(), file);
        Ok((overrides, warnings))
    }

    /// The configuration as YAML, without secrets.
    pub fn to_yaml(&self, view: ConfigView) -> String {
        let value = |config: &LokiConfig| serde_json::to_value(config).unwrap_or_default();
        let shown = match view {
            ConfigView::Whole => value(self),
            ConfigView::Defaults => value(&LokiConfig::default()),
            ConfigView::Diff => difference(value(self), &value(&LokiConfig::default()))
                .unwrap_or(Value::Object(serde_json::Map::default())),
        };
        let yaml = serde_saphyr::to_string(&shown)
            .unwrap_or_else(|e| format!("<error creating config string: {e}>"));
        reba_config::hide_in_yaml(&yaml, &self.secrets, SECRET_TEXT)
    }

    /// The first period of `schema_config` that makes no sense.
    fn schema_fault(&self) -> Option<(String, String)> {
        limits::fault_of_list("schema_config.configs", &self.schema_config.configs, |period| {
            let known = |key, value: &str, names: &[&str]| {
                let wrong = !value.is_empty() && !names.contains(&value);
                wrong.then(|| (key, format!("{value:?} is none of {}", names.join(", "))))
            };
            known("schema", &period.schema, &["v9", "v10", "v11", "v12", "v13"]).or_else(|| {
                let day: Result<jiff::civil::Date, _> = period.from.parse();
                (!period.from.is_empty()).then(|| day.err()).flatten().map(|e| ("from", e.to_string()))
            })
        })
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

/// `overrides.TENANT.KEY` as the same key of `limits_config`.
fn as_limit(key: &Key) -> Option<Key> {
    let Some(rest) = key.path.strip_prefix("overrides.") else {
        return (key.path != "overrides").then(|| key.clone());
    };
    let (_, limit) = rest.split_once('.')?;
    Some(Key { path: format!("limits_config.{limit}"), at: key.at })
}

/// The limits with those of `own` in the place of theirs.
fn overlay(limits: &Limits, own: Value) -> Result<Limits, serde_json::Error> {
    let mut all = serde_json::to_value(limits)?;
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        for (key, value) in own {
            // Durations and sizes are texts, however they are written.
            let value = match (all.get(&key), value) {
                (Some(Value::String(_)), Value::Number(n)) => Value::String(n.to_string()),
                (_, value) => value,
            };
            all.insert(key, value);
        }
    }
    serde_json::from_value(all)
}

/// What of `value` is not in `other`.
pub(crate) fn difference(value: Value, other: &Value) -> Option<Value> {
    match (value, other) {
        (Value::Object(map), Value::Object(other)) => {
            let own = |(key, value)| {
                let value = match other.get(&key) {
                    Some(other) => difference(value, other)?,
                    None => value,
                };
                Some((key, value))
            };
            let map: serde_json::Map<_, _> = map.into_iter().filter_map(own).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        (value, other) => (value != *other).then_some(value),
    }
}

/// A configuration with one of everything that there can be several of, so that it has every key.
fn known() -> Value {
    let mut config = LokiConfig::default();
    config.schema_config.configs.push(PeriodConfig::default());
    config.limits.retention_stream.push(StreamRetention::default());
    config.limits.blocked_queries.push(BlockedQuery::default());
    let otlp = &mut config.limits.otlp_config;
    otlp.resource_attributes.attributes_config.push(AttributesRule::default());
    otlp.scope_attributes.push(AttributesRule::default());
    otlp.log_attributes.push(AttributesRule::default());
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests;
