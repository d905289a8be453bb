//! `kubernetes_sd_configs`.

use std::path::PathBuf;

use reba_http::{HttpClientConfig, Url};
use serde::{Deserialize, Serialize, Serializer};

use super::selector;
use crate::config::yaml::Invalid;

/// Targets that are objects of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KubernetesSd {
    /// The API server; none for that of the cluster in which Reba runs, or of the kubeconfig.
    #[serde(serialize_with = "show_server", skip_serializing_if = "Option::is_none")]
    pub api_server: Option<Url>,
    /// Which objects become targets.
    pub role: KubernetesRole,
    /// A file that says how the API server is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_file: Option<PathBuf>,
    /// The client towards `api_server`.
    #[serde(flatten)]
    pub http: HttpClientConfig,
    /// Which namespaces.
    pub namespaces: KubernetesNamespaces,
    /// Which objects, by labels or fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<KubernetesSelector>,
    /// Labels of objects to which a target belongs.
    pub attach_metadata: KubernetesAttach,
}

impl KubernetesSd {
    /// Reads a section that stands in another kind of file, which has been parsed already. The error names the key.
    pub fn from_json(section: serde_json::Value) -> Result<Self, String> {
        let written: KubernetesSdYaml = serde_json::from_value(section).map_err(|e| e.to_string())?;
        written
            .build()
            .map_err(|e| if e.key.is_empty() { e.reason } else { format!("{}: {}", e.key, e.reason) })
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn show_server<S: Serializer>(url: &Option<Url>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&url.as_ref().map(Url::to_string).unwrap_or_default())
}

/// Which objects become targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KubernetesRole {
    /// The nodes' kubelets.
    Node,
    /// The ports of the pods' containers.
    Pod,
    /// The ports of services.
    Service,
    /// The addresses behind services.
    Endpoints,
    /// The same in the newer kind of object.
    EndpointSlice,
    /// The paths of ingresses.
    Ingress,
}

impl KubernetesRole {
    /// All of them.
    pub const ALL: [KubernetesRole; 6] = [
        KubernetesRole::Node,
        KubernetesRole::Pod,
        KubernetesRole::Service,
        KubernetesRole::Endpoints,
        KubernetesRole::EndpointSlice,
        KubernetesRole::Ingress,
    ];

    /// Upstream's name for it.
    pub fn name(self) -> &'static str {
        match self {
            KubernetesRole::Node => "node",
            KubernetesRole::Pod => "pod",
            KubernetesRole::Service => "service",
            KubernetesRole::Endpoints => "endpoints",
            KubernetesRole::EndpointSlice => "endpointslice",
            KubernetesRole::Ingress => "ingress",
        }
    }

    fn parse(text: &str) -> Result<Self, Invalid> {
        let found = Self::ALL.into_iter().find(|r| r.name() == text);
        found.ok_or_else(|| Invalid::new(format!("unknown Kubernetes SD role {text:?}")).within("role", None))
    }

    /// The roles by whose objects the targets of this one can be selected.
    fn selectable(self) -> &'static [KubernetesRole] {
        use KubernetesRole::{EndpointSlice, Endpoints, Ingress, Node, Pod, Service};
        match self {
            Node => &[Node],
            Pod => &[Pod, Node],
            Service => &[Service],
            Endpoints => &[Pod, Service, Endpoints],
            EndpointSlice => &[Pod, Service, EndpointSlice],
            Ingress => &[Ingress],
        }
    }
}

/// Which namespaces are looked at; all if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesNamespaces {
    /// That in which Reba runs.
    pub own_namespace: bool,
    /// Those with these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// Which objects of a role are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KubernetesSelector {
    /// The role.
    pub role: KubernetesRole,
    /// A selector of labels.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// A selector of fields.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Labels of which other objects a target gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesAttach {
    /// Of its node.
    pub node: bool,
    /// Of its namespace.
    pub namespace: bool,
    /// The name of its deployment.
    pub deployment: bool,
    /// The name of its job.
    pub job: bool,
    /// The name of its cron job.
    pub cronjob: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SelectorYaml {
    role: Option<String>,
    label: Option<String>,
    field: Option<String>,
}

reba_http::with_http_client_keys! {
    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(crate) struct KubernetesSdYaml {
        api_server: Option<Url>,
        role: Option<String>,
        kubeconfig_file: Option<PathBuf>,
        namespaces: Option<KubernetesNamespaces>,
        selectors: Option<Vec<SelectorYaml>>,
        attach_metadata: Option<KubernetesAttach>,
    }
}

impl KubernetesSdYaml {
    pub fn build(mut self) -> Result<KubernetesSd, Invalid> {
        let role = self.role.take().unwrap_or_default();
        if role.is_empty() {
            let text = "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)";
            return Err(Invalid::new(text).within("role", None));
        }
        let role = KubernetesRole::parse(&role)?;
        let mut http = self.http_client(HttpClientConfig::default());
        http.validate()?;
        let plain = http == HttpClientConfig::default();
        let api_server = self.api_server.take().filter(|u| !u.to_string().trim_matches('/').is_empty());
        let kubeconfig_file = self.kubeconfig_file.take().filter(|f| !f.as_os_str().is_empty());
        let namespaces = self.namespaces.take().unwrap_or_default();
        let (server, kubeconfig) = (api_server.is_some(), kubeconfig_file.is_some());
        for (wrong, text) in [
            (server && kubeconfig, "cannot use 'kubeconfig_file' and 'api_server' simultaneously"),
            (
                kubeconfig && !plain,
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (
                !server && !plain,
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            ),
            (
                server && namespaces.own_namespace,
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            ),
            (
                kubeconfig && namespaces.own_namespace,
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            ),
        ] {
            if wrong {
                return Err(Invalid::new(text));
            }
        }
        let selectors = selectors(self.selectors.take().unwrap_or_default(), role)?;
        let attach_metadata = self.attach_metadata.take().unwrap_or_default();
        Ok(KubernetesSd { api_server, role, kubeconfig_file, http, namespaces, selectors, attach_metadata })
    }
}

fn selectors(written: Vec<SelectorYaml>, role: KubernetesRole) -> Result<Vec<KubernetesSelector>, Invalid> {
    let mut out: Vec<KubernetesSelector> = Vec::new();
    for (i, s) in written.into_iter().enumerate() {
        let within = |e: Invalid| e.within(format_args!("selectors[{i}]"), None);
        let of = KubernetesRole::parse(&s.role.unwrap_or_default()).map_err(within)?;
        if out.iter().any(|o| o.role == of) {
            return Err(within(Invalid::new(format!("duplicated selector role: {}", of.name()))));
        }
        if !role.selectable().contains(&of) {
            let allowed: Vec<&str> = role.selectable().iter().map(|r| r.name()).collect();
            let text = format!("{} role supports only {} selectors", role.name(), allowed.join(", "));
            return Err(within(Invalid::new(text)));
        }
        let (label, field) = (s.label.unwrap_or_default(), s.field.unwrap_or_default());
        selector::check_fields(&field).map_err(|e| within(Invalid::new(e)))?;
        selector::check_labels(&label).map_err(|e| within(Invalid::new(e)))?;
        out.push(KubernetesSelector { role: of, label, field });
    }
    Ok(out)
}
