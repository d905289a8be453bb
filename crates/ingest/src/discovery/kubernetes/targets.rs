//! From objects to targets, role by role.

use std::collections::BTreeMap;

use reba_model::{Labels, LabelsBuilder};

use super::{
    endpoints,
    labels::{self, set},
    object::{Kind, Object},
    world::World,
};
use crate::{
    config::{KubernetesRole, KubernetesSd},
    discovery::{ADDRESS_LABEL, TargetGroup, join_host_port, set_sanitized},
};

/// The groups of a section, one an object.
pub(crate) fn groups(config: &KubernetesSd, world: &World) -> Vec<TargetGroup> {
    let attach = &config.attach_metadata;
    let (kind, prefix) = match config.role {
        KubernetesRole::Node => (Kind::Node, "node"),
        KubernetesRole::Pod => (Kind::Pod, "pod"),
        KubernetesRole::Service => (Kind::Service, "svc"),
        KubernetesRole::Endpoints => (Kind::Endpoints, "endpoints"),
        KubernetesRole::EndpointSlice => (Kind::EndpointSlice, "endpointslice"),
        KubernetesRole::Ingress => (Kind::Ingress, "ingress"),
    };
    let build = |object: &Object| {
        let mut b = LabelsBuilder::new();
        set(&mut b, "namespace", &object.metadata.namespace);
        let targets = match config.role {
            KubernetesRole::Node => node(object, &mut b),
            KubernetesRole::Pod => pod(config, world, object, &mut b),
            KubernetesRole::Service => service(object, &mut b),
            KubernetesRole::Endpoints => endpoints::endpoints(attach, world, object, &mut b),
            KubernetesRole::EndpointSlice => endpoints::slice(attach, world, object, &mut b),
            KubernetesRole::Ingress => ingress(object, &mut b),
        };
        labels::namespace(&mut b, world, attach, &object.metadata.namespace);
        let (namespace, name) = (&object.metadata.namespace, &object.metadata.name);
        let source = match kind {
            Kind::Node => format!("{prefix}/{name}"),
            _ => format!("{prefix}/{namespace}/{name}"),
        };
        TargetGroup { source, labels: b.build(), targets }
    };
    world.all(kind).map(build).filter(|g| !g.targets.is_empty()).collect()
}

/// The kubelet, at the best address that the node has.
fn node(node: &Object, b: &mut LabelsBuilder) -> Vec<Labels> {
    set(b, "node_provider_id", &node.spec.provider_id);
    for c in &node.status.conditions {
        let kind = c.kind.to_lowercase();
        set_sanitized(b, "__meta_kubernetes_node_condition_", &kind, &c.status.to_lowercase());
    }
    labels::meta(b, "node", &node.metadata);
    let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
    for a in &node.status.addresses {
        addresses.entry(&a.kind).or_insert(&a.address);
    }
    let order = ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];
    let Some(address) = order.iter().find_map(|kind| addresses.get(kind)) else { return Vec::new() };
    let port = node.status.daemon_endpoints.kubelet_endpoint.port.to_string();
    let mut t = LabelsBuilder::new();
    t.set(ADDRESS_LABEL, &join_host_port(address, &port));
    t.set("instance", &node.metadata.name);
    for (kind, address) in addresses {
        set_sanitized(&mut t, "__meta_kubernetes_node_address_", kind, address);
    }
    vec![t.build()]
}

/// Every port of every container, or the container if it has none.
fn pod(config: &KubernetesSd, world: &World, pod: &Object, b: &mut LabelsBuilder) -> Vec<Labels> {
    let (attach, ip, node) = (&config.attach_metadata, &pod.status.pod_ip, &pod.spec.node_name);
    // A pod without address is starting or was evicted; one on a node that was not selected is not meant.
    if ip.is_empty() || (attach.node && world.get(Kind::Node, "", node).is_none()) {
        return Vec::new();
    }
    labels::pod(b, world, attach, pod);
    labels::node(b, world, attach, Some(node));
    let mut out = Vec::new();
    for (container, is_init) in pod.containers() {
        let statuses =
            if is_init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
        let id = statuses.iter().find(|s| s.name == container.name).map_or("", |s| &s.container_id);
        let mut common = LabelsBuilder::new();
        common.set(ADDRESS_LABEL, ip);
        set(&mut common, "pod_container_name", &container.name);
        set(&mut common, "pod_container_id", id);
        set(&mut common, "pod_container_image", &container.image);
        set(&mut common, "pod_container_init", &is_init.to_string());
        if container.ports.is_empty() {
            out.push(common.build());
        }
        for port in &container.ports {
            let number = port.container_port.to_string();
            let mut t = common.clone();
            t.set(ADDRESS_LABEL, &join_host_port(ip, &number));
            set(&mut t, "pod_container_port_number", &number);
            set(&mut t, "pod_container_port_name", &port.name);
            set(&mut t, "pod_container_port_protocol", &port.protocol);
            out.push(t.build());
        }
    }
    out
}

/// Every port, by the service's name in the cluster.
fn service(service: &Object, b: &mut LabelsBuilder) -> Vec<Labels> {
    labels::service(b, service);
    let (meta, spec) = (&service.metadata, &service.spec);
    let host = format!("{}.{}.svc", meta.name, meta.namespace);
    let ports = spec.ports.iter().map(|port| {
        let number = port.port.to_string();
        let mut t = LabelsBuilder::new();
        t.set(ADDRESS_LABEL, &join_host_port(&host, &number));
        set(&mut t, "service_port_name", &port.name);
        set(&mut t, "service_port_number", &number);
        set(&mut t, "service_port_protocol", &port.protocol);
        set(&mut t, "service_type", &spec.kind);
        if spec.kind == "ExternalName" {
            set(&mut t, "service_external_name", &spec.external_name);
        } else {
            set(&mut t, "service_cluster_ip", &spec.cluster_ip);
        }
        if spec.kind == "LoadBalancer" {
            let given = service.status.load_balancer.ingress.iter().map(|i| i.ip.as_str());
            let given: Vec<&str> = given.filter(|ip| !ip.is_empty()).collect();
            let ips = if given.is_empty() { spec.load_balancer_ip.clone() } else { given.join(",") };
            set(&mut t, "service_loadbalancer_ip", &ips);
        }
        t.build()
    });
    ports.collect()
}

/// Every path of every host.
fn ingress(ingress: &Object, b: &mut LabelsBuilder) -> Vec<Labels> {
    set(b, "ingress_class_name", ingress.spec.ingress_class_name.as_deref().unwrap_or_default());
    labels::meta(b, "ingress", &ingress.metadata);
    let secure: Vec<&String> = ingress.spec.tls.iter().flat_map(|t| &t.hosts).collect();
    let mut out = Vec::new();
    for rule in &ingress.spec.rules {
        let scheme = if secure.iter().any(|p| matches_host(p, &rule.host)) { "https" } else { "http" };
        let paths = match &rule.http {
            Some(http) => http.paths.iter().map(|p| p.path.as_str()).collect(),
            None => vec!["/"],
        };
        for path in paths {
            let mut t = LabelsBuilder::new();
            t.set(ADDRESS_LABEL, &rule.host);
            set(&mut t, "ingress_scheme", scheme);
            set(&mut t, "ingress_host", &rule.host);
            set(&mut t, "ingress_path", if path.is_empty() { "/" } else { path });
            out.push(t.build());
        }
    }
    out
}

/// Whether a host is the pattern, or differs from it only in its first part where the pattern has `*`.
fn matches_host(pattern: &str, host: &str) -> bool {
    let wild = pattern.strip_prefix("*.").zip(host.split_once('.'));
    pattern == host || wild.is_some_and(|(pattern, (_, host))| pattern == host)
}

#[cfg(test)]
mod tests {
    use super::matches_host;

    #[test]
    fn a_star_stands_for_one_part_of_a_host() {
        for (pattern, host, matches) in [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "x.a.b", false),
            ("*.b", "b", false),
            ("a.*", "a.b", false),
        ] {
            assert_eq!(matches_host(pattern, host), matches, "{pattern} {host}");
        }
    }
}
