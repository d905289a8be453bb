//! Talking to the Docker daemon, over a Unix socket or TCP.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use reba_http::{BodyBuffer, HttpClientConfig};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use crate::{
    config::DockerSd,
    discovery::{
        DiscoveryOptions,
        refresh::{MAX_BODY_BYTES, SourceError},
        remote::Remote,
    },
};

/// A container, as far as its labels need it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Container {
    pub id: String,
    pub names: Option<Vec<String>>,
    pub image: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub host_config: HostConfig,
    pub network_settings: Option<NetworkSettings>,
    pub ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

/// A container's place in a network.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(rename = "IPAddress")]
    pub ip: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub ipv6: String,
}

/// An exposed port; `public` is zero if it is not published.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Port {
    #[serde(rename = "IP")]
    pub ip: String,
    #[serde(rename = "PrivatePort")]
    pub private: u16,
    #[serde(rename = "PublicPort")]
    pub public: u16,
    #[serde(rename = "Type")]
    pub kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Network {
    pub id: String,
    pub name: String,
    pub scope: String,
    pub internal: bool,
    pub ingress: bool,
    pub labels: Option<BTreeMap<String, String>>,
}

static NO_NETWORKS: BTreeMap<String, Option<Endpoint>> = BTreeMap::new();

impl Container {
    /// Its places by the names of the networks.
    pub fn networks(&self) -> &BTreeMap<String, Option<Endpoint>> {
        self.network_settings.as_ref().and_then(|s| s.networks.as_ref()).unwrap_or(&NO_NETWORKS)
    }
}

/// The way to the daemon.
pub(crate) struct Daemon {
    way: Way,
    timeout: Duration,
}

enum Way {
    Unix(PathBuf),
    /// What stands before the path, and the client.
    Tcp(String, Remote),
}

impl Daemon {
    pub fn new(config: &DockerSd, options: DiscoveryOptions) -> Self {
        let way = match config.host.split_once("://") {
            Some(("unix", path)) => Way::Unix(PathBuf::from(path)),
            // As upstream has it, the client's keys are for http and https only.
            Some(("tcp", rest)) => {
                let remote = Remote::new(HttpClientConfig::default(), options);
                Way::Tcp(format!("http://{}", rest.trim_end_matches('/')), remote)
            }
            _ => {
                let base = config.host.trim_end_matches('/').to_owned();
                Way::Tcp(base, Remote::new(config.http.clone(), options))
            }
        };
        Daemon { way, timeout: config.refresh_interval.as_std() }
    }

    /// Asks for what stands at `path`, which may have a query.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, SourceError> {
        let body = match &mut self.way {
            Way::Unix(socket) => {
                let answer = by_socket(socket, path);
                let late = |_| SourceError::Unusable("context deadline exceeded".to_owned());
                tokio::time::timeout(self.timeout, answer).await.map_err(late)??
            }
            Way::Tcp(base, remote) => {
                let uri = format!("{base}{path}");
                let uri = uri.parse().map_err(|e| SourceError::Unusable(format!("{uri:?}: {e}")))?;
                let mut buffer = BodyBuffer::default();
                remote.get(uri, HeaderMap::new(), self.timeout, &mut buffer).await?;
                buffer.data
            }
        };
        serde_json::from_slice(&body).map_err(|e| SourceError::Unusable(format!("{path}: {e}")))
    }
}

async fn by_socket(socket: &std::path::Path, path: &str) -> Result<Vec<u8>, SourceError> {
    let fail = |e: &dyn std::fmt::Display| SourceError::Unusable(format!("{}: {e}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|e: io::Error| fail(&e))?;
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|e| fail(&e))?;
    let request = http::Request::get(path)
        .header(header::HOST, "docker")
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|e| fail(&e))?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|e| fail(&e))?;
        if answer.status() != StatusCode::OK {
            return Err(SourceError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_BODY_BYTES as usize).collect().await;
        Ok(body.map_err(|e| fail(&e))?.to_bytes().to_vec())
        // The sender goes, and with it the connection.
    };
    let (body, _) = tokio::join!(exchange, connection);
    body
}
