//! prometheus.yml, as upstream reads it.
//!
//! Every section has two structs: what is written (`…Yaml`, serde, unknown keys refused) and what it means (checked,
//! defaults filled in). The second serialises to the text of `/api/v1/status/config`.

mod alerting;
mod check;
mod discovery;
mod global;
mod protocol;
mod relabel;
mod remote;
mod scalar;
mod scrape;
mod storage;
mod yaml;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub use alerting::{AlertingConfig, AlertmanagerConfig};
pub use check::{Diagnostic, Severity, check, check_with};
pub use discovery::{
    ConsulSd, DiscoveryConfig, DnsRecordKind, DnsSd, DockerFilter, DockerSd, FileSd, HttpSd,
    KubernetesAttach, KubernetesNamespaces, KubernetesRole, KubernetesSd, KubernetesSelector, StaticGroup,
};
pub use global::{GlobalConfig, Limits, NameEscaping};
pub use protocol::ScrapeProtocol;
pub use reba_config::{ConfigError, ConfigErrorKind, Expanded, Unknown, Variables};
use reba_http::SECRET_TEXT;
pub use remote::{MetadataConfig, QueueConfig, RemoteReadConfig, RemoteWriteConfig};
pub use scalar::{ByteSize, Millis};
pub use scrape::ScrapeConfig;
use serde::{Deserialize, Serialize};
pub use storage::{ExemplarsConfig, OtlpConfig, RetentionConfig, StorageConfig, TracingConfig, TsdbConfig};

use self::yaml::{Invalid, List, items, items_with};
use crate::glob;

/// A valid configuration. File names are joined with the folder of the file that holds them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Values that other sections fall back to.
    pub global: GlobalConfig,
    /// Where alerts are sent.
    #[serde(skip_serializing_if = "AlertingConfig::is_empty")]
    pub alerting: AlertingConfig,
    /// Files of rules; the last element of a name may hold `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<PathBuf>,
    /// Files with more jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_config_files: Vec<PathBuf>,
    /// Jobs of the file itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Jobs of the files that `scrape_config_files` names.
    #[serde(skip)]
    pub included: Vec<ScrapeConfig>,
    /// The store.
    pub storage: StorageConfig,
    /// Where our own traces are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingConfig>,
    /// Receivers of all samples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Stores that are read besides our own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_read: Vec<RemoteReadConfig>,
    /// How OTLP metrics become series.
    pub otlp: OtlpConfig,
    /// What `${file:…}` brought, which [`Config::to_yaml`] must not show wherever it stands.
    #[serde(skip)]
    secrets: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigYaml {
    global: Option<global::GlobalYaml>,
    // Read so that a wrong key in it is found.
    #[serde(rename = "runtime")]
    _runtime: Option<storage::RuntimeYaml>,
    alerting: Option<alerting::AlertingYaml>,
    rule_files: Option<Vec<String>>,
    scrape_config_files: Option<Vec<String>>,
    scrape_configs: List<scrape::ScrapeYaml>,
    storage: Option<storage::StorageYaml>,
    tracing: Option<storage::TracingYaml>,
    remote_write: List<remote::RemoteWriteYaml>,
    remote_read: List<remote::RemoteReadYaml>,
    otlp: Option<storage::OtlpYaml>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScrapeFileYaml {
    scrape_configs: List<scrape::ScrapeYaml>,
}

/// Names that are not set are errors, but for those that may be a group of a rule's expression.
const UNKNOWN: Unknown<'static> = Unknown { keep: false, groups: &["replacement", "target_label"] };

impl Config {
    /// Reads a file and the files that it includes.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        Self::load_with(file, &Variables::default())
    }

    /// Like [`Config::load`]; `variables` are what `${NAME}` may ask for.
    pub fn load_with(file: &Path, variables: &Variables) -> Result<Config, ConfigError> {
        let mut unsupported = Vec::new();
        let config = Self::load_collecting(file, variables, &mut unsupported)?;
        match unsupported.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(config),
        }
    }

    /// Reads a file whose text is at hand; files that it includes are read from the disk.
    pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        let (variables, mut unsupported) = (Variables::default(), Vec::new());
        let mut config = Self::parse_main(text, file, &variables, &mut unsupported)?;
        config.include(&variables, &mut unsupported)?;
        match unsupported.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(config),
        }
    }

    /// Reads everything; what is not supported yet is listed rather than an error.
    pub(crate) fn load_collecting(
        file: &Path,
        variables: &Variables,
        unsupported: &mut Vec<ConfigError>,
    ) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(file).map_err(|e| ConfigError::io(file, &e))?;
        let mut config = Self::parse_main(&text, file, variables, unsupported)?;
        config.include(variables, unsupported)?;
        Ok(config)
    }

    fn parse_main(
        text: &str,
        file: &Path,
        variables: &Variables,
        unsupported: &mut Vec<ConfigError>,
    ) -> Result<Config, ConfigError> {
        let expanded = variables.expand(text, file, &UNKNOWN)?;
        let mut missing = Vec::new();
        let built = reba_config::read::<ConfigYaml>(&expanded.text, file)
            .and_then(|raw| raw.build(&mut missing).map_err(|e| e.in_file(file)));
        let mut config = built.map_err(|e| expanded.hide(e))?;
        unsupported.extend(missing.into_iter().map(|m| expanded.hide(m.in_file(file))));
        expanded.secrets().clone_into(&mut config.secrets);
        config.set_directory(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// All jobs, of the file itself and of those it includes.
    pub fn jobs(&self) -> impl Iterator<Item = &ScrapeConfig> {
        self.scrape_configs.iter().chain(&self.included)
    }

    /// The files of rules that exist now, in the order in which they are named.
    pub fn rule_paths(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let mut out = Vec::new();
        for pattern in &self.rule_files {
            out.extend(glob::expand(pattern).map_err(|e| ConfigError::io(pattern, &e))?);
        }
        Ok(out)
    }

    /// The effective configuration as YAML, defaults filled in, secrets as `<secret>`.
    pub fn to_yaml(&self) -> String {
        self.yaml_of(self)
    }

    /// One of its jobs in the same way.
    pub fn job_yaml(&self, job: &ScrapeConfig) -> String {
        self.yaml_of(job)
    }

    fn yaml_of(&self, section: &impl Serialize) -> String {
        let yaml = serde_saphyr::to_string(section)
            .unwrap_or_else(|e| format!("<error creating config string: {e}>"));
        reba_config::hide_in_yaml(&yaml, &self.secrets, SECRET_TEXT)
    }

    /// Files of rules that are named without `*` and are not there. Upstream passes over them.
    pub fn missing_rule_files(&self) -> Vec<&Path> {
        let named = self.rule_files.iter().filter(|f| !f.to_string_lossy().contains('*'));
        named.filter(|f| !f.exists()).map(PathBuf::as_path).collect()
    }

    fn set_directory(&mut self, dir: &Path) {
        let global = [&mut self.global.query_log_file, &mut self.global.scrape_failure_log_file];
        for file in global.into_iter().flatten() {
            *file = dir.join(&*file);
        }
        for file in self.rule_files.iter_mut().chain(&mut self.scrape_config_files) {
            *file = dir.join(&*file);
        }
        self.alerting.alertmanagers.iter_mut().for_each(|a| a.set_directory(dir));
        self.scrape_configs.iter_mut().for_each(|s| s.set_directory(dir));
        self.remote_write.iter_mut().for_each(|r| r.http.set_directory(dir));
        self.remote_read.iter_mut().for_each(|r| r.http.set_directory(dir));
        if let Some(tls) = self.tracing.as_mut().and_then(|t| t.tls_config.as_mut()) {
            tls.set_directory(dir);
        }
    }

    /// Reads the jobs of `scrape_config_files`.
    fn include(
        &mut self,
        variables: &Variables,
        unsupported: &mut Vec<ConfigError>,
    ) -> Result<(), ConfigError> {
        let main = "main config file".to_owned();
        let mut names: BTreeMap<String, String> =
            self.scrape_configs.iter().map(|s| (s.job_name.clone(), main.clone())).collect();
        for pattern in &self.scrape_config_files {
            for file in glob::expand(pattern).map_err(|e| ConfigError::io(pattern, &e))? {
                let text = fs::read_to_string(&file).map_err(|e| ConfigError::io(&file, &e))?;
                let expanded = variables.expand(&text, &file, &UNKNOWN)?;
                let mut missing = Vec::new();
                let jobs = reba_config::read::<ScrapeFileYaml>(&expanded.text, &file).and_then(|raw| {
                    jobs(raw.scrape_configs, &self.global, &mut names, &file, &mut missing)
                        .map_err(|e| e.in_file(&file))
                });
                let jobs = jobs.map_err(|e| expanded.hide(e))?;
                unsupported.extend(missing.into_iter().map(|m| expanded.hide(m.in_file(&file))));
                self.secrets.extend_from_slice(expanded.secrets());
                self.included.extend(jobs.into_iter().map(|mut job| {
                    job.set_directory(file.parent().unwrap_or(Path::new("")));
                    job
                }));
            }
        }
        Ok(())
    }
}

/// Builds jobs whose names are not taken yet; `names` maps a name to where it was first seen.
fn jobs(
    list: List<scrape::ScrapeYaml>,
    global: &GlobalConfig,
    names: &mut BTreeMap<String, String>,
    file: &Path,
    unsupported: &mut Vec<Invalid>,
) -> Result<Vec<ScrapeConfig>, Invalid> {
    items_with(
        list,
        "scrape_configs",
        "empty or null scrape config section",
        unsupported,
        |s, unsupported| {
            let job = s.build(global, unsupported)?;
            if let Some(first) = names.get(&job.job_name) {
                let text = format!(
                    "found multiple scrape configs with job name {:?}, first found in {first}",
                    job.job_name
                );
                return Err(Invalid::new(text).within("job_name", None));
            }
            names.insert(job.job_name.clone(), format!("{:?}", file.display().to_string()));
            Ok(job)
        },
    )
}

impl ConfigYaml {
    fn build(self, unsupported: &mut Vec<Invalid>) -> Result<Config, Invalid> {
        let within = |key: &'static str| move |e: Invalid| e.within(key, None);
        let global = match self.global {
            Some(g) => g.build().map_err(within("global"))?,
            None => GlobalConfig::default(),
        };
        for (key, files) in
            [("rule_files", &self.rule_files), ("scrape_config_files", &self.scrape_config_files)]
        {
            let what = if key == "rule_files" { "rule" } else { "scrape config" };
            if let Some(bad) = files.iter().flatten().find(|f| !glob::is_simple(f)) {
                return Err(Invalid::new(format!("invalid {what} file path {bad:?}")).within(key, None));
            }
        }
        let mut names = BTreeMap::new();
        let scrape_configs =
            jobs(self.scrape_configs, &global, &mut names, Path::new("main config file"), unsupported)?;
        let scheme = global.name_scheme;
        let mut of_alerting = Vec::new();
        let alerting = self.alerting.unwrap_or_default().build(scheme, &mut of_alerting);
        unsupported.extend(of_alerting.into_iter().map(within("alerting")));
        let null = "empty or null remote write config section";
        let remote_write =
            items_with(self.remote_write, "remote_write", null, unsupported, |r, unsupported| {
                r.build(scheme, unsupported)
            })?;
        let remote_read =
            items(self.remote_read, "remote_read", "empty or null remote read config section", |r| {
                r.build()
            })?;
        unique("write", remote_write.iter().map(|r| &r.name))?;
        unique("read", remote_read.iter().map(|r| &r.name))?;
        Ok(Config {
            alerting: alerting.map_err(within("alerting"))?,
            rule_files: paths(self.rule_files),
            scrape_config_files: paths(self.scrape_config_files),
            scrape_configs,
            included: Vec::new(),
            storage: self.storage.unwrap_or_default().build().map_err(within("storage"))?,
            tracing: self.tracing.map(|t| t.build()).transpose().map_err(within("tracing"))?,
            remote_write,
            remote_read,
            otlp: self.otlp.unwrap_or_default().build(scheme).map_err(within("otlp"))?,
            global,
            secrets: Vec::new(),
        })
    }
}

fn paths(list: Option<Vec<String>>) -> Vec<PathBuf> {
    list.unwrap_or_default().into_iter().map(PathBuf::from).collect()
}

/// Names of remote stores must differ, as far as they are given.
fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), Invalid> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names.filter(|n| !n.is_empty()) {
        if !seen.insert(name) {
            let text = format!("found multiple remote {what} configs with job name {name:?}");
            return Err(Invalid::new(text).within(format_args!("remote_{what}"), None));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
