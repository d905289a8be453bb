//! The few fields of Kubernetes objects that labels are made of.
//!
//! One struct for all kinds: no two of them use a name for different things, and so one watch and one store serve all.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Where the API server writes `null`, an empty value is meant.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(crate) struct $name {
            $($(#[$of_field])* #[serde(deserialize_with = "or_default")] pub $field: $kind,)*
        }
    )*};
}

objects! {
    /// Any object.
    Object {
        metadata: Meta,
        spec: Spec,
        status: Status,
        // Of endpoints.
        subsets: Vec<Subset>,
        // Of endpoint slices.
        address_type: String,
        endpoints: Vec<SliceEndpoint>,
        ports: Vec<SlicePort>,
    }
    Meta {
        name: String,
        namespace: String,
        uid: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        owner_references: Vec<Owner>,
        resource_version: String,
    }
    Owner { kind: String, name: String, controller: bool, }
    Spec {
        // Of nodes.
        #[serde(rename = "providerID")]
        provider_id: String,
        // Of pods.
        node_name: String,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        // Of services.
        ports: Vec<ServicePort>,
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        external_name: String,
        #[serde(rename = "loadBalancerIP")]
        load_balancer_ip: String,
        ip_family_policy: String,
        ip_families: Vec<String>,
        // Of ingresses.
        ingress_class_name: Option<String>,
        rules: Vec<IngressRule>,
        tls: Vec<IngressTls>,
    }
    Status {
        conditions: Vec<Condition>,
        // Of nodes.
        addresses: Vec<NodeAddress>,
        daemon_endpoints: DaemonEndpoints,
        // Of pods.
        #[serde(rename = "podIP")]
        pod_ip: String,
        #[serde(rename = "hostIP")]
        host_ip: String,
        phase: String,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
        // Of services.
        load_balancer: LoadBalancer,
    }
    Condition { #[serde(rename = "type")] kind: String, status: String, }
    NodeAddress { #[serde(rename = "type")] kind: String, address: String, }
    DaemonEndpoints { kubelet_endpoint: KubeletEndpoint, }
    KubeletEndpoint { #[serde(rename = "Port")] port: u32, }
    Container { name: String, image: String, ports: Vec<ContainerPort>, }
    ContainerPort { name: String, container_port: u32, protocol: String, }
    ContainerStatus { name: String, #[serde(rename = "containerID")] container_id: String, }
    ServicePort { name: String, port: u32, protocol: String, }
    LoadBalancer { ingress: Vec<LoadBalancerIngress>, }
    LoadBalancerIngress { ip: String, }
    Subset { addresses: Vec<Address>, not_ready_addresses: Vec<Address>, ports: Vec<EndpointPort>, }
    Address { ip: String, hostname: String, node_name: Option<String>, target_ref: Option<Reference>, }
    EndpointPort { name: String, port: u32, protocol: String, }
    Reference { kind: String, namespace: String, name: String, }
    SliceEndpoint {
        addresses: Vec<String>,
        conditions: SliceConditions,
        hostname: Option<String>,
        target_ref: Option<Reference>,
        deprecated_topology: BTreeMap<String, String>,
        node_name: Option<String>,
        zone: Option<String>,
    }
    SliceConditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>, }
    SlicePort { name: Option<String>, protocol: Option<String>, port: Option<u32>, app_protocol: Option<String>, }
    IngressRule { host: String, http: Option<IngressHttp>, }
    IngressHttp { paths: Vec<IngressPath>, }
    IngressPath { path: String, }
    IngressTls { hosts: Vec<String>, }
    /// A page of a list.
    List { metadata: ListMeta, items: Vec<Object>, }
    ListMeta { resource_version: String, #[serde(rename = "continue")] more: String, }
}

impl Object {
    /// The object that controls this one.
    pub fn controller(&self) -> Option<&Owner> {
        self.metadata.owner_references.iter().find(|o| o.controller)
    }

    /// All containers of a pod, each with whether it runs before the others.
    pub fn containers(&self) -> impl Iterator<Item = (&Container, bool)> {
        let init = self.spec.init_containers.iter().map(|c| (c, true));
        self.spec.containers.iter().map(|c| (c, false)).chain(init)
    }
}

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Node,
    Namespace,
    Pod,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
    ReplicaSet,
    Job,
}

impl Kind {
    /// Where the objects of a namespace, or of all if it is empty, are listed.
    pub fn path(self, namespace: &str) -> String {
        let (group, name) = match self {
            Kind::Node => ("/api/v1", "nodes"),
            Kind::Namespace => ("/api/v1", "namespaces"),
            Kind::Pod => ("/api/v1", "pods"),
            Kind::Service => ("/api/v1", "services"),
            Kind::Endpoints => ("/api/v1", "endpoints"),
            Kind::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Kind::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
            Kind::ReplicaSet => ("/apis/apps/v1", "replicasets"),
            Kind::Job => ("/apis/batch/v1", "jobs"),
        };
        if namespace.is_empty() {
            format!("{group}/{name}")
        } else {
            format!("{group}/namespaces/{}/{name}", crate::discovery::percent_encode(namespace))
        }
    }
}
