//! Targets behind services: endpoints, and the slices that replace them.

use std::collections::BTreeMap;

use reba_model::{Labels, LabelsBuilder};

use super::{
    labels::{self, set},
    object::{
        Address, Container, ContainerPort, EndpointPort, Kind, Object, Reference, SliceEndpoint, SlicePort,
    },
    world::World,
};
use crate::{
    config::KubernetesAttach,
    discovery::{ADDRESS_LABEL, join_host_port, set_sanitized},
};

/// The label that names the service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The targets of one object, and the pods behind them.
struct Behind<'a> {
    world: &'a World,
    attach: &'a KubernetesAttach,
    /// Pods by namespace and name, with their ports that are targets.
    seen: BTreeMap<(&'a str, &'a str), (&'a Object, Vec<u32>)>,
    out: Vec<Labels>,
}

impl<'a> Behind<'a> {
    fn new(world: &'a World, attach: &'a KubernetesAttach) -> Self {
        Behind { world, attach, seen: BTreeMap::new(), out: Vec::new() }
    }

    /// Adds a target, with the labels of the pod to which `reference` leads. A container's port has the protocol of
    /// the endpoint's port where that is given.
    fn add(
        &mut self,
        mut t: LabelsBuilder,
        reference: Option<&'a Reference>,
        port: Option<u32>,
        protocol: Option<&str>,
    ) {
        let reference = reference.filter(|r| r.kind == "Pod");
        let pod = reference.and_then(|r| self.world.get(Kind::Pod, &r.namespace, &r.name));
        if let Some(pod) = pod {
            labels::pod(&mut t, self.world, self.attach, pod);
            for (container, is_init) in pod.containers() {
                if let Some(own) = container.ports.iter().find(|p| Some(p.container_port) == port) {
                    container_port(&mut t, container, own, protocol.unwrap_or(&own.protocol), is_init);
                }
            }
            let key = (pod.metadata.namespace.as_str(), pod.metadata.name.as_str());
            self.seen.entry(key).or_insert((pod, Vec::new())).1.extend(port);
        }
        self.out.push(t.build());
    }

    /// All targets: those that were added, then the other ports of their pods.
    fn finish(mut self) -> Vec<Labels> {
        for (pod, ports) in self.seen.values() {
            if pod.status.pod_ip.is_empty() {
                continue;
            }
            for (container, is_init) in pod.containers() {
                for own in container.ports.iter().filter(|p| !ports.contains(&p.container_port)) {
                    let mut t = LabelsBuilder::new();
                    let number = own.container_port.to_string();
                    t.set(ADDRESS_LABEL, &join_host_port(&pod.status.pod_ip, &number));
                    container_port(&mut t, container, own, &own.protocol, is_init);
                    labels::pod(&mut t, self.world, self.attach, pod);
                    self.out.push(t.build());
                }
            }
        }
        self.out
    }
}

fn container_port(
    t: &mut LabelsBuilder,
    container: &Container,
    port: &ContainerPort,
    protocol: &str,
    is_init: bool,
) {
    set(t, "pod_container_name", &container.name);
    set(t, "pod_container_image", &container.image);
    set(t, "pod_container_port_name", &port.name);
    set(t, "pod_container_port_number", &port.container_port.to_string());
    set(t, "pod_container_port_protocol", protocol);
    set(t, "pod_container_init", &is_init.to_string());
}

/// Every address with every port.
pub(crate) fn endpoints(
    attach: &KubernetesAttach,
    world: &World,
    object: &Object,
    b: &mut LabelsBuilder,
) -> Vec<Labels> {
    let meta = &object.metadata;
    if let Some(service) = world.get(Kind::Service, &meta.namespace, &meta.name) {
        labels::service(b, service);
    }
    labels::meta(b, "endpoints", meta);
    let mut behind = Behind::new(world, attach);
    for subset in &object.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|a| (a, "true"));
            for (address, ready) in ready.chain(subset.not_ready_addresses.iter().map(|a| (a, "false"))) {
                let t = endpoint(attach, world, address, port, ready);
                behind.add(t, address.target_ref.as_ref(), Some(port.port), Some(&port.protocol));
            }
        }
    }
    behind.finish()
}

fn endpoint(
    attach: &KubernetesAttach,
    world: &World,
    address: &Address,
    port: &EndpointPort,
    ready: &str,
) -> LabelsBuilder {
    let mut t = LabelsBuilder::new();
    t.set(ADDRESS_LABEL, &join_host_port(&address.ip, &port.port.to_string()));
    set(&mut t, "endpoint_port_name", &port.name);
    set(&mut t, "endpoint_port_protocol", &port.protocol);
    set(&mut t, "endpoint_ready", ready);
    if let Some(target) = &address.target_ref {
        set(&mut t, "endpoint_address_target_kind", &target.kind);
        set(&mut t, "endpoint_address_target_name", &target.name);
    }
    set(&mut t, "endpoint_node_name", address.node_name.as_deref().unwrap_or_default());
    set(&mut t, "endpoint_hostname", &address.hostname);
    let is_node = address.target_ref.as_ref().filter(|r| r.kind == "Node").map(|r| r.name.as_str());
    labels::node(&mut t, world, attach, address.node_name.as_deref().or(is_node));
    t
}

/// Every address of every endpoint with every port.
pub(crate) fn slice(
    attach: &KubernetesAttach,
    world: &World,
    object: &Object,
    b: &mut LabelsBuilder,
) -> Vec<Labels> {
    let meta = &object.metadata;
    set(b, "endpointslice_address_type", &object.address_type);
    labels::meta(b, "endpointslice", meta);
    let name = meta.labels.get(SERVICE_NAME);
    if let Some(service) = name.and_then(|name| world.get(Kind::Service, &meta.namespace, name)) {
        labels::service(b, service);
        if is_second_family(service, object) {
            return Vec::new();
        }
    }
    let mut behind = Behind::new(world, attach);
    for endpoint in &object.endpoints {
        for port in &object.ports {
            for address in &endpoint.addresses {
                let t = slice_endpoint(attach, world, address, endpoint, port);
                behind.add(t, endpoint.target_ref.as_ref(), port.port, None);
            }
        }
    }
    behind.finish()
}

/// Whether a slice holds the same endpoints as another one, by the second family of addresses.
fn is_second_family(service: &Object, slice: &Object) -> bool {
    let dual = matches!(service.spec.ip_family_policy.as_str(), "PreferDualStack" | "RequireDualStack");
    dual && service.spec.ip_families.first().is_some_and(|first| *first != slice.address_type)
}

fn slice_endpoint(
    attach: &KubernetesAttach,
    world: &World,
    address: &str,
    endpoint: &SliceEndpoint,
    port: &SlicePort,
) -> LabelsBuilder {
    let mut t = LabelsBuilder::new();
    let number = port.port.map(|p| p.to_string());
    t.set(ADDRESS_LABEL, &number.as_ref().map_or(address.to_owned(), |n| join_host_port(address, n)));
    let shown = |flag: Option<bool>| flag.map(|f| f.to_string()).unwrap_or_default();
    let conditions = &endpoint.conditions;
    let target = endpoint.target_ref.as_ref();
    for (name, value) in [
        ("port_name", port.name.as_deref().unwrap_or_default()),
        ("port_protocol", port.protocol.as_deref().unwrap_or_default()),
        ("port", number.as_deref().unwrap_or_default()),
        ("port_app_protocol", port.app_protocol.as_deref().unwrap_or_default()),
        ("endpoint_conditions_ready", &shown(conditions.ready)),
        ("endpoint_conditions_serving", &shown(conditions.serving)),
        ("endpoint_conditions_terminating", &shown(conditions.terminating)),
        ("endpoint_hostname", endpoint.hostname.as_deref().unwrap_or_default()),
        ("address_target_kind", target.map_or("", |t| &t.kind)),
        ("address_target_name", target.map_or("", |t| &t.name)),
        ("endpoint_node_name", endpoint.node_name.as_deref().unwrap_or_default()),
        ("endpoint_zone", endpoint.zone.as_deref().unwrap_or_default()),
    ] {
        set(&mut t, &format!("endpointslice_{name}"), value);
    }
    let prefix = "__meta_kubernetes_endpointslice_endpoint_topology_";
    for (name, value) in &endpoint.deprecated_topology {
        set_sanitized(&mut t, prefix, name, value);
        set_sanitized(&mut t, &format!("{prefix}present_"), name, "true");
    }
    let is_node = target.filter(|r| r.kind == "Node").map(|r| r.name.as_str());
    labels::node(&mut t, world, attach, is_node.or(endpoint.node_name.as_deref()));
    t
}
