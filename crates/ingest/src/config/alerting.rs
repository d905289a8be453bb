//! The `alerting` section.

use std::path::Path;

use reba_http::HttpClientConfig;
use reba_model::{NameScheme, Relabel};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_saphyr::Spanned;

use super::{
    DiscoveryConfig, Millis,
    discovery::with_discovery_keys,
    relabel::{self, RelabelYaml},
    scrape::show_rules,
    yaml::{Invalid, List, items_with},
};

/// Where alerts are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AlertingConfig {
    /// Rules for every alert, before any manager's own.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<Relabel>,
    /// The managers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alertmanagers: Vec<AlertmanagerConfig>,
}

/// A set of Alertmanagers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertmanagerConfig {
    /// How they are found.
    #[serde(flatten)]
    pub discovery: DiscoveryConfig,
    /// The HTTP client.
    #[serde(flatten)]
    pub http: HttpClientConfig,
    /// `http` or `https`.
    pub scheme: String,
    /// What stands before `/api/v2/alerts`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// How long a request may take.
    pub timeout: Millis,
    /// Always `v2`.
    pub api_version: &'static str,
    /// Rules for managers.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<Relabel>,
    /// Rules for alerts to these managers.
    #[serde(serialize_with = "show_rules", skip_serializing_if = "Vec::is_empty")]
    pub alert_relabel_configs: Vec<Relabel>,
}

impl AlertingConfig {
    pub(crate) fn is_empty(&self) -> bool {
        self.alert_relabel_configs.is_empty() && self.alertmanagers.is_empty()
    }
}

impl AlertmanagerConfig {
    pub(crate) fn set_directory(&mut self, dir: &Path) {
        self.http.set_directory(dir);
        self.discovery.set_directory(dir);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertingYaml {
    alert_relabel_configs: List<RelabelYaml>,
    alertmanagers: List<AlertmanagerYaml>,
}

with_discovery_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct AlertmanagerYaml {
        scheme: Option<String>,
        path_prefix: Option<String>,
        timeout: Option<Millis>,
        api_version: Option<String>,
        sigv4: Option<Spanned<IgnoredAny>>,
        relabel_configs: List<RelabelYaml>,
        alert_relabel_configs: List<RelabelYaml>,
    }
}

impl AlertingYaml {
    pub fn build(
        self,
        scheme: NameScheme,
        unsupported: &mut Vec<Invalid>,
    ) -> Result<AlertingConfig, Invalid> {
        let null = "empty or null alert relabeling rule";
        Ok(AlertingConfig {
            alert_relabel_configs: relabel::rules(
                self.alert_relabel_configs,
                "alert_relabel_configs",
                null,
                scheme,
            )?,
            alertmanagers: items_with(
                self.alertmanagers,
                "alertmanagers",
                "empty or null alertmanager section",
                unsupported,
                |a, unsupported| a.build(scheme, unsupported),
            )?,
        })
    }
}

impl AlertmanagerYaml {
    fn build(
        mut self,
        names: NameScheme,
        unsupported: &mut Vec<Invalid>,
    ) -> Result<AlertmanagerConfig, Invalid> {
        unsupported.extend(self.unsupported());
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        if let Some(sigv4) = &self.sigv4 {
            if http.has_auth() {
                let text = "at most one of basic_auth, authorization, oauth2, & sigv4 must be configured";
                return Err(Invalid::new(text));
            }
            unsupported.push(Invalid::unsupported("sigv4", sigv4.referenced));
        }
        let discovery = self.discovery()?;
        if self.relabel_configs.as_ref().is_none_or(Vec::is_empty) {
            discovery.refuse_urls()?;
        }
        if let Some(v) = self.api_version.as_deref().filter(|v| *v != "v2") {
            let text = format!("expected Alertmanager api version to be one of [v2] but got {v}");
            return Err(Invalid::new(text).within("api_version", None));
        }
        Ok(AlertmanagerConfig {
            discovery,
            http,
            scheme: self.scheme.filter(|s| !s.is_empty()).unwrap_or_else(|| "http".to_owned()),
            path_prefix: self.path_prefix.unwrap_or_default(),
            timeout: self.timeout.unwrap_or_default().or(Millis::seconds(10)),
            api_version: "v2",
            relabel_configs: relabel::rules(
                self.relabel_configs,
                "relabel_configs",
                "empty or null Alertmanager target relabeling rule",
                names,
            )?,
            alert_relabel_configs: relabel::rules(
                self.alert_relabel_configs,
                "alert_relabel_configs",
                "empty or null Alertmanager alert relabeling rule",
                names,
            )?,
        })
    }
}
