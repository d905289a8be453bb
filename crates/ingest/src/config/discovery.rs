//! The discovery keys of a scrape or alertmanager section.

mod consul;
mod dns;
mod docker;
mod http;
mod kubernetes;
mod selector;

use std::{collections::BTreeMap, path::PathBuf};

pub use consul::ConsulSd;
pub(crate) use consul::ConsulSdYaml;
pub(crate) use dns::DnsSdYaml;
pub use dns::{DnsRecordKind, DnsSd};
pub(crate) use docker::DockerSdYaml;
pub use docker::{DockerFilter, DockerSd};
pub use http::HttpSd;
pub(crate) use http::HttpSdYaml;
pub(crate) use kubernetes::KubernetesSdYaml;
pub use kubernetes::{
    KubernetesAttach, KubernetesNamespaces, KubernetesRole, KubernetesSd, KubernetesSelector,
};
use reba_http::HttpClientConfig;
use serde::{Deserialize, Serialize};

use super::{
    Millis,
    yaml::{Invalid, List, items},
};
use crate::glob;

/// Targets that the configuration names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StaticGroup {
    /// Addresses, `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Targets that are listed in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSd {
    /// File names; the last element may hold `*`.
    pub files: Vec<PathBuf>,
    /// How often the files are read again even if nothing seems to have changed.
    pub refresh_interval: Millis,
}

/// How the targets of a section are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiscoveryConfig {
    /// Targets in the configuration itself.
    #[serde(rename = "static_configs", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<StaticGroup>,
    /// Targets in files.
    #[serde(rename = "file_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSd>,
    /// Targets that are services in Consul.
    #[serde(rename = "consul_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub consul: Vec<ConsulSd>,
    /// Targets that DNS records name.
    #[serde(rename = "dns_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<DnsSd>,
    /// Targets that are containers of Docker daemons.
    #[serde(rename = "docker_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub docker: Vec<DockerSd>,
    /// Targets that HTTP servers list.
    #[serde(rename = "http_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpSd>,
    /// Targets that are objects of Kubernetes clusters.
    #[serde(rename = "kubernetes_sd_configs", skip_serializing_if = "Vec::is_empty")]
    pub kubernetes: Vec<KubernetesSd>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StaticYaml {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileSdYaml {
    files: Option<Vec<String>>,
    refresh_interval: Option<Millis>,
}

impl StaticYaml {
    fn build(self) -> Result<StaticGroup, Invalid> {
        let labels = self.labels.unwrap_or_default();
        if labels.contains_key("") {
            return Err(Invalid::new("\"\" is not a valid label name").within("labels", None));
        }
        Ok(StaticGroup {
            targets: self.targets.unwrap_or_default(),
            labels: labels.into_iter().map(|(n, v)| (n, v.unwrap_or_default())).collect(),
        })
    }
}

impl FileSdYaml {
    fn build(self) -> Result<FileSd, Invalid> {
        let files = self.files.unwrap_or_default();
        if files.is_empty() {
            let text = "file service discovery config must contain at least one path name";
            return Err(Invalid::new(text).within("files", None));
        }
        for name in &files {
            let known =
                [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"].iter().any(|e| name.ends_with(e));
            if !known || !glob::is_simple(name) {
                return Err(Invalid::new(format!("path name {name:?} is not valid for file discovery")));
            }
        }
        Ok(FileSd {
            files: files.into_iter().map(PathBuf::from).collect(),
            refresh_interval: self.refresh_interval.unwrap_or_default().or(Millis::seconds(300)),
        })
    }
}

/// The keys of all kinds that are supported, as they are written.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    pub static_configs: List<StaticYaml>,
    pub file_sd_configs: List<FileSdYaml>,
    pub consul_sd_configs: List<ConsulSdYaml>,
    pub dns_sd_configs: List<DnsSdYaml>,
    pub docker_sd_configs: List<DockerSdYaml>,
    pub http_sd_configs: List<HttpSdYaml>,
    pub kubernetes_sd_configs: List<KubernetesSdYaml>,
}

impl Sections {
    pub fn build(self) -> Result<DiscoveryConfig, Invalid> {
        Ok(DiscoveryConfig {
            statics: kind(self.static_configs, "static_configs", StaticYaml::build)?,
            files: kind(self.file_sd_configs, "file_sd_configs", FileSdYaml::build)?,
            consul: kind(self.consul_sd_configs, "consul_sd_configs", ConsulSdYaml::build)?,
            dns: kind(self.dns_sd_configs, "dns_sd_configs", DnsSdYaml::build)?,
            docker: kind(self.docker_sd_configs, "docker_sd_configs", DockerSdYaml::build)?,
            http: kind(self.http_sd_configs, "http_sd_configs", HttpSdYaml::build)?,
            kubernetes: kind(self.kubernetes_sd_configs, "kubernetes_sd_configs", KubernetesSdYaml::build)?,
        })
    }
}

fn kind<T, U>(
    list: List<T>,
    key: &str,
    build: impl FnMut(T) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    items(list, key, &format!("empty or null section in {key}"), build)
}

impl DiscoveryConfig {
    /// Joins relative file names with `dir`.
    pub(crate) fn set_directory(&mut self, dir: &std::path::Path) {
        for file in self.files.iter_mut().flat_map(|f| &mut f.files) {
            *file = dir.join(&*file);
        }
        for file in self.kubernetes.iter_mut().filter_map(|k| k.kubeconfig_file.as_mut()) {
            *file = dir.join(&*file);
        }
        self.http_clients_mut().for_each(|http| http.set_directory(dir));
    }

    /// The HTTP clients of all kinds, each with the key of its kind.
    pub(crate) fn http_clients(&self) -> Vec<(&'static str, &HttpClientConfig)> {
        let consul = self.consul.iter().map(|c| ("consul_sd_configs", &c.http));
        let docker = self.docker.iter().map(|c| ("docker_sd_configs", &c.http));
        let http = self.http.iter().map(|c| ("http_sd_configs", &c.http));
        let kubernetes = self.kubernetes.iter().map(|c| ("kubernetes_sd_configs", &c.http));
        consul.chain(docker).chain(http).chain(kubernetes).collect()
    }

    fn http_clients_mut(&mut self) -> impl Iterator<Item = &mut HttpClientConfig> {
        let consul = self.consul.iter_mut().map(|c| &mut c.http);
        let docker = self.docker.iter_mut().map(|c| &mut c.http);
        let http = self.http.iter_mut().map(|c| &mut c.http);
        consul.chain(docker).chain(http).chain(self.kubernetes.iter_mut().map(|c| &mut c.http))
    }

    /// Refuses addresses that are URLs; upstream does it where no relabelling could repair them.
    pub(crate) fn refuse_urls(&self) -> Result<(), Invalid> {
        let bad = self.statics.iter().flat_map(|g| &g.targets).find(|t| t.contains('/'));
        match bad {
            Some(t) => {
                Err(Invalid::new(format!("{t:?} is not a valid hostname")).within("static_configs", None))
            }
            None => Ok(()),
        }
    }
}

/// Declares a serde struct with the keys of the HTTP client and of every kind of discovery that upstream knows, and
/// gives it `discovery()` and `unsupported()`.
macro_rules! with_discovery_keys {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* }) => {
        with_discovery_keys! {
            @kinds $(#[$meta])* $vis struct $name { $($fields)* }
            aws_sd_configs azure_sd_configs digitalocean_sd_configs
            dockerswarm_sd_configs ec2_sd_configs ecs_sd_configs elasticache_sd_configs
            eureka_sd_configs gce_sd_configs hetzner_sd_configs ionos_sd_configs
            kuma_sd_configs lightsail_sd_configs linode_sd_configs marathon_sd_configs
            msk_sd_configs nerve_sd_configs nomad_sd_configs oci_sd_configs openstack_sd_configs
            outscale_sd_configs ovhcloud_sd_configs puppetdb_sd_configs rds_sd_configs scaleway_sd_configs
            serverset_sd_configs stackit_sd_configs triton_sd_configs uyuni_sd_configs vultr_sd_configs
        }
    };
    (@kinds $(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* } $($kind:ident)*) => {
        reba_http::with_http_client_keys! {
            $(#[$meta])*
            $vis struct $name {
                $($fields)*
                static_configs: $crate::config::yaml::List<$crate::config::discovery::StaticYaml>,
                file_sd_configs: $crate::config::yaml::List<$crate::config::discovery::FileSdYaml>,
                consul_sd_configs: $crate::config::yaml::List<$crate::config::discovery::ConsulSdYaml>,
                dns_sd_configs: $crate::config::yaml::List<$crate::config::discovery::DnsSdYaml>,
                docker_sd_configs: $crate::config::yaml::List<$crate::config::discovery::DockerSdYaml>,
                http_sd_configs: $crate::config::yaml::List<$crate::config::discovery::HttpSdYaml>,
                kubernetes_sd_configs: $crate::config::yaml::List<$crate::config::discovery::KubernetesSdYaml>,
                $($kind: Option<serde_saphyr::Spanned<serde::de::IgnoredAny>>,)*
            }
        }

        impl $name {
            fn discovery(&mut self) -> Result<$crate::config::DiscoveryConfig, $crate::config::yaml::Invalid> {
                let sections = $crate::config::discovery::Sections {
                    static_configs: self.static_configs.take(),
                    file_sd_configs: self.file_sd_configs.take(),
                    consul_sd_configs: self.consul_sd_configs.take(),
                    dns_sd_configs: self.dns_sd_configs.take(),
                    docker_sd_configs: self.docker_sd_configs.take(),
                    http_sd_configs: self.http_sd_configs.take(),
                    kubernetes_sd_configs: self.kubernetes_sd_configs.take(),
                };
                sections.build()
            }

            /// Kinds of discovery that upstream knows and Reba does not have yet.
            fn unsupported(&self) -> Vec<$crate::config::yaml::Invalid> {
                let mut out = Vec::new();
                $(if let Some(found) = &self.$kind {
                    out.push($crate::config::yaml::Invalid::unsupported(stringify!($kind), found.referenced));
                })*
                out
            }
        }
    };
}
pub(crate) use with_discovery_keys;
