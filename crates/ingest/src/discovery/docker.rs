//! Targets that are containers of a Docker daemon.

mod daemon;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use reba_model::{Labels, LabelsBuilder};

use self::daemon::{Container, Daemon, Endpoint, Network};
use super::{
    ADDRESS_LABEL, DiscoveryOptions, TargetGroup, join_host_port, refresh::SourceError, set_sanitized,
};
use crate::config::DockerSd;

/// A container that shares the network of one that shares … is followed this far.
const MAX_SHARED: usize = 16;

pub(crate) struct DockerSource {
    config: DockerSd,
    daemon: Daemon,
}

impl DockerSource {
    pub fn new(config: DockerSd, options: DiscoveryOptions) -> Self {
        DockerSource { daemon: Daemon::new(&config, options), config }
    }

    pub fn interval(&self) -> Duration {
        self.config.refresh_interval.as_std()
    }

    pub async fn refresh(&mut self) -> Result<Vec<TargetGroup>, SourceError> {
        let containers: Vec<Container> = self.daemon.get(&containers_path(&self.config)).await?;
        let networks: Vec<Network> = self.daemon.get("/networks").await?;
        let targets = targets(&self.config, &containers, &networks);
        Ok(vec![TargetGroup { source: "Docker".to_owned(), labels: Labels::empty(), targets }])
    }
}

/// Where the containers are listed: `/containers/json`, with the filters as the daemon reads them.
fn containers_path(config: &DockerSd) -> String {
    let mut filters: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for filter in &config.filters {
        let values = filter.values.iter().map(|v| (v.as_str(), true));
        filters.entry(&filter.name).or_default().extend(values);
    }
    filters.retain(|_, values| !values.is_empty());
    if filters.is_empty() {
        return "/containers/json".to_owned();
    }
    let filters = serde_json::json!(filters).to_string();
    format!("/containers/json?filters={}", super::percent_encode(&filters))
}

fn targets(config: &DockerSd, containers: &[Container], networks: &[Network]) -> Vec<Labels> {
    let by_id: HashMap<&str, &Container> = containers.iter().map(|c| (c.id.as_str(), c)).collect();
    let networks: HashMap<&str, &Network> = networks.iter().map(|n| (n.id.as_str(), n)).collect();
    let mut out = Vec::new();
    for container in containers {
        let Some(name) = container.names.iter().flatten().next() else { continue };
        let mut common = LabelsBuilder::new();
        container_labels(container, name, &mut common);
        let mut endpoints: Vec<&Endpoint> = endpoints_of(container, &by_id).flatten().collect();
        if config.match_first_network {
            endpoints.truncate(1);
        }
        for endpoint in endpoints {
            let network = networks.get(endpoint.network_id.as_str()).copied();
            endpoint_targets(config, container, endpoint, &mut |own| {
                let mut b = common.clone();
                for (n, v) in own {
                    b.set(n, v);
                }
                if let Some(n) = network {
                    network_labels(n, &mut b);
                }
                out.push(b.build());
            });
        }
    }
    out
}

/// The container's places in networks, ordered by the networks' names; those of the container whose network it shares,
/// if it has none of its own.
fn endpoints_of<'a>(
    container: &'a Container,
    by_id: &HashMap<&str, &'a Container>,
) -> impl Iterator<Item = Option<&'a Endpoint>> {
    let mut at = container;
    for _ in 0..MAX_SHARED {
        if !at.networks().is_empty() {
            break;
        }
        let shared = at.host_config.network_mode.strip_prefix("container:");
        match shared.and_then(|id| by_id.get(id)) {
            Some(next) => at = next,
            None => break,
        }
    }
    at.networks().values().map(Option::as_ref)
}

/// Hands `add` the labels of every TCP port, or of one target if there is no such port.
fn endpoint_targets(
    config: &DockerSd,
    container: &Container,
    endpoint: &Endpoint,
    add: &mut impl FnMut(&[(&str, String)]),
) {
    let ip = if endpoint.ip.is_empty() { &endpoint.ipv6 } else { &endpoint.ip };
    let mut added = false;
    for port in container.ports.iter().flatten().filter(|p| p.kind == "tcp") {
        let private = port.private.to_string();
        let mut own = vec![
            (ADDRESS_LABEL, join_host_port(ip, &private)),
            ("__meta_docker_network_ip", ip.clone()),
            ("__meta_docker_port_private", private),
        ];
        if port.public > 0 {
            own.push(("__meta_docker_port_public", port.public.to_string()));
            own.push(("__meta_docker_port_public_ip", port.ip.clone()));
        }
        add(&own);
        added = true;
    }
    if !added {
        let address = if container.host_config.network_mode == "host" {
            config.host_networking_host.clone()
        } else {
            join_host_port(ip, &config.port.to_string())
        };
        add(&[(ADDRESS_LABEL, address), ("__meta_docker_network_ip", ip.clone())]);
    }
}

fn container_labels(container: &Container, name: &str, b: &mut LabelsBuilder) {
    b.set("__meta_docker_container_id", &container.id);
    b.set("__meta_docker_container_name", name);
    b.set("__meta_docker_container_network_mode", &container.host_config.network_mode);
    b.set("__meta_docker_container_image", &container.image);
    b.set("__meta_docker_container_image_id", &container.image_id);
    for (label, value) in container.labels.iter().flatten() {
        set_sanitized(b, "__meta_docker_container_label_", label, value);
    }
}

fn network_labels(network: &Network, b: &mut LabelsBuilder) {
    b.set("__meta_docker_network_id", &network.id);
    b.set("__meta_docker_network_name", &network.name);
    b.set("__meta_docker_network_scope", &network.scope);
    b.set("__meta_docker_network_internal", &network.internal.to_string());
    b.set("__meta_docker_network_ingress", &network.ingress.to_string());
    for (label, value) in network.labels.iter().flatten() {
        set_sanitized(b, "__meta_docker_network_label_", label, value);
    }
}

/// What containers and networks, in a list of the two, are made of.
#[cfg(any(test, fuzzing))]
pub(super) fn read(config: &DockerSd, json: &[u8]) -> Option<Vec<Labels>> {
    let (containers, networks): (Vec<Container>, Vec<Network>) = serde_json::from_slice(json).ok()?;
    Some(targets(config, &containers, &networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_share_each_others_network_have_none() {
        let container = |id: &str, of: &str| -> Container {
            serde_json::from_str(&format!(
                r#"{{"Id":"{id}","Names":["/{id}"],"HostConfig":{{"NetworkMode":"container:{of}"}}}}"#
            ))
            .unwrap()
        };
        let (a, b) = (container("a", "b"), container("b", "a"));
        let by_id = HashMap::from([("a", &a), ("b", &b)]);
        assert_eq!(endpoints_of(&a, &by_id).count(), 0);
    }
}
