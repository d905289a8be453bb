//! How the API server is reached: as the section says, as a kubeconfig says, or as every pod is told.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use reba_http::{Authorization, BasicAuth, HttpClientConfig, Secret, TlsConfig, Url};
use serde::Deserialize;

use crate::{
    config::KubernetesSd,
    discovery::{DiscoveryOptions, InCluster, remote::Remote},
};

/// A way to the API server.
pub(crate) struct Access {
    /// What stands before the path.
    pub base: String,
    pub remote: Remote,
    /// The namespace in which we run, if it is asked for.
    pub own_namespace: Option<String>,
}

impl Access {
    /// Reads the files that say how; they may change or come into being later.
    pub async fn open(config: &KubernetesSd, options: &DiscoveryOptions) -> Result<Self, String> {
        let mut own_namespace = None;
        let (url, http) = match (&config.kubeconfig_file, &config.api_server) {
            (Some(file), _) => kubeconfig(file).await?,
            (None, Some(url)) => (url.clone(), config.http.clone()),
            (None, None) => {
                if config.namespaces.own_namespace {
                    own_namespace = Some(namespace(&options.in_cluster).await?);
                }
                in_cluster(&options.in_cluster).await?
            }
        };
        let base = url.uri().to_string().trim_end_matches('/').to_owned();
        Ok(Access { base, remote: Remote::for_url(&url, http, options.clone()), own_namespace })
    }
}

async fn read(file: &Path) -> Result<String, String> {
    tokio::fs::read_to_string(file).await.map_err(|e| format!("{}: {e}", file.display()))
}

async fn namespace(cluster: &InCluster) -> Result<String, String> {
    let text = read(&cluster.folder.join("namespace")).await;
    let text = text.map_err(|e| format!("could not determine the pod's namespace: {e}"))?;
    match text.trim() {
        "" => Err("could not read own namespace name (empty file)".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// The service account of our pod. Its token is read at every request, since it changes.
async fn in_cluster(cluster: &InCluster) -> Result<(Url, HttpClientConfig), String> {
    let token = cluster.folder.join("token");
    read(&token).await.map_err(|e| format!("unable to load in-cluster configuration: {e}"))?;
    let ca = cluster.folder.join("ca.crt");
    let http = HttpClientConfig {
        authorization: Some(bearer(None, Some(token))),
        tls_config: Some(TlsConfig { ca_file: ca.is_file().then_some(ca), ..TlsConfig::default() }),
        ..HttpClientConfig::default()
    };
    Ok((cluster.server.parse::<Url>().map_err(|e| e.to_string())?, http))
}

fn bearer(credentials: Option<Secret>, credentials_file: Option<PathBuf>) -> Authorization {
    Authorization { kind: Some("Bearer".to_owned()), credentials, credentials_file }
}

/// What we need of a kubeconfig; other programs keep more in it.
#[derive(Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[derive(Default)]
struct Kubeconfig {
    current_context: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<Url>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

async fn kubeconfig(file: &Path) -> Result<(Url, HttpClientConfig), String> {
    let fail = |e: String| format!("{}: {e}", file.display());
    let text = read(file).await?;
    let first_line = |e: serde_saphyr::Error| e.to_string().lines().next().unwrap_or_default().to_owned();
    let config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|e| fail(first_line(e)))?;
    chosen(config, file.parent().unwrap_or(Path::new(""))).map_err(fail)
}

/// What the current context of a kubeconfig in `folder` says.
fn chosen(config: Kubeconfig, folder: &Path) -> Result<(Url, HttpClientConfig), String> {
    let name = &config.current_context;
    let context = config.contexts.into_iter().find(|c| c.name == *name);
    let context = context.ok_or_else(|| format!("context {name:?} does not exist"))?.context;
    let cluster = config.clusters.into_iter().find(|c| c.name == context.cluster);
    let cluster = cluster.ok_or_else(|| format!("cluster {:?} does not exist", context.cluster))?.cluster;
    let user = config.users.into_iter().find(|u| u.name == context.user).and_then(|u| u.user);
    let user = user.unwrap_or_default();
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(format!("user {:?}: exec and auth-provider are not supported", context.user));
    }
    let path = |p: Option<PathBuf>| p.filter(|p| !p.as_os_str().is_empty()).map(|p| folder.join(p));
    let tls = TlsConfig {
        ca: cluster.certificate_authority_data.as_deref().map(pem).transpose()?,
        cert: user.client_certificate_data.as_deref().map(pem).transpose()?,
        key: user.client_key_data.as_ref().map(|k| pem(k.expose())).transpose()?.map(Secret::new),
        ca_file: path(cluster.certificate_authority).filter(|_| cluster.certificate_authority_data.is_none()),
        cert_file: path(user.client_certificate).filter(|_| user.client_certificate_data.is_none()),
        key_file: path(user.client_key).filter(|_| user.client_key_data.is_none()),
        server_name: cluster.tls_server_name,
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        ..TlsConfig::default()
    };
    let token_file = path(user.token_file);
    let token = user.token.filter(|t| !t.is_empty() && token_file.is_none());
    let has_token = token.is_some() || token_file.is_some();
    let basic = user.username.filter(|u| !u.is_empty() && !has_token).map(|u| BasicAuth {
        username: Some(u),
        password: user.password,
        ..BasicAuth::default()
    });
    let mut http = HttpClientConfig {
        tls_config: Some(tls),
        authorization: has_token.then(|| bearer(token, token_file)),
        basic_auth: basic,
        proxy_url: cluster.proxy_url,
        ..HttpClientConfig::default()
    };
    http.validate().map_err(|e| e.to_string())?;
    let server = if cluster.server.is_empty() { "http://localhost:8080" } else { &cluster.server };
    Ok((server.parse::<Url>().map_err(|e| e.to_string())?, http))
}

fn pem(data: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(data.trim()).map_err(|e| format!("certificate or key: {e}"))?;
    String::from_utf8(bytes).map_err(|e| format!("certificate or key: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
apiVersion: v1
kind: Config
preferences: {}
current-context: b
clusters:
- {name: c1, cluster: {server: 'https://one:6443', certificate-authority: ca.pem}}
- {name: c2, cluster: {server: 'https://two:6443/x/', certificate-authority-data: cGVt, tls-server-name: k}}
contexts:
- {name: a, context: {cluster: c1, user: cert}}
- {name: b, context: {cluster: c2, user: token, namespace: n}}
- {name: e, context: {cluster: c1, user: exec}}
users:
- {name: cert, user: {client-certificate: /abs/c.pem, client-key-data: cGVt}}
- {name: token, user: {token: hunter2}}
- {name: exec, user: {exec: {command: aws}}}
";

    fn choose(context: &str) -> Result<(Url, HttpClientConfig), String> {
        let text = CONFIG.replace("current-context: b", &format!("current-context: {context}"));
        chosen(serde_saphyr::from_str(&text).unwrap(), Path::new("/home/u/.kube"))
    }

    #[test]
    fn the_current_context_says_which_cluster_and_which_user() {
        let (url, http) = choose("b").unwrap();
        assert_eq!(url.to_string(), "https://two:6443/x/");
        let tls = http.tls_config.unwrap();
        assert_eq!((tls.ca.as_deref(), tls.server_name.as_deref()), (Some("pem"), Some("k")));
        assert_eq!(http.authorization.unwrap().credentials.unwrap().expose(), "hunter2");
        let (_, http) = choose("a").unwrap();
        let tls = http.tls_config.unwrap();
        assert_eq!(tls.ca_file.as_deref(), Some(Path::new("/home/u/.kube/ca.pem")));
        assert_eq!(tls.cert_file.as_deref(), Some(Path::new("/abs/c.pem")));
        assert_eq!(tls.key.unwrap().expose(), "pem");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(choose("z").unwrap_err(), "context \"z\" does not exist");
        assert!(choose("e").unwrap_err().contains("exec and auth-provider are not supported"));
    }
}
