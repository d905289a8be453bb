//! Labels that objects of several roles have in common.

use reba_model::LabelsBuilder;

use super::{
    object::{Kind, Meta, Object},
    world::World,
};
use crate::{config::KubernetesAttach, discovery::set_sanitized};

/// Sets the label `__meta_kubernetes_NAME`.
pub(crate) fn set(b: &mut LabelsBuilder, name: &str, value: &str) {
    b.set(&format!("__meta_kubernetes_{name}"), value);
}

/// The labels and annotations of an object, each with a second label that says it is there.
fn labels_and_annotations(b: &mut LabelsBuilder, resource: &str, meta: &Meta) {
    for (what, values) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
        for (name, value) in values {
            set_sanitized(b, &format!("__meta_kubernetes_{resource}_{what}_"), name, value);
            set_sanitized(b, &format!("__meta_kubernetes_{resource}_{what}present_"), name, "true");
        }
    }
}

/// Name, labels and annotations.
pub(crate) fn meta(b: &mut LabelsBuilder, resource: &str, meta: &Meta) {
    set(b, &format!("{resource}_name"), &meta.name);
    labels_and_annotations(b, resource, meta);
}

/// Those of a service.
pub(crate) fn service(b: &mut LabelsBuilder, service: &Object) {
    set(b, "namespace", &service.metadata.namespace);
    meta(b, "service", &service.metadata);
}

/// Those of a namespace, if they are asked for.
pub(crate) fn namespace(b: &mut LabelsBuilder, world: &World, attach: &KubernetesAttach, name: &str) {
    if attach.namespace
        && let Some(namespace) = world.get(Kind::Namespace, "", name)
    {
        labels_and_annotations(b, "namespace", &namespace.metadata);
    }
}

/// Those of a node, if they are asked for.
pub(crate) fn node(b: &mut LabelsBuilder, world: &World, attach: &KubernetesAttach, name: Option<&str>) {
    if attach.node
        && let Some(node) = name.and_then(|name| world.get(Kind::Node, "", name))
    {
        meta(b, "node", &node.metadata);
    }
}

/// Those of a pod.
pub(crate) fn pod(b: &mut LabelsBuilder, world: &World, attach: &KubernetesAttach, pod: &Object) {
    let ready = pod.status.conditions.iter().find(|c| c.kind == "Ready");
    set(b, "pod_ip", &pod.status.pod_ip);
    set(b, "pod_ready", &ready.map_or("unknown", |c| &c.status).to_lowercase());
    set(b, "pod_phase", &pod.status.phase);
    set(b, "pod_node_name", &pod.spec.node_name);
    set(b, "pod_host_ip", &pod.status.host_ip);
    set(b, "pod_uid", &pod.metadata.uid);
    meta(b, "pod", &pod.metadata);
    let Some(owner) = pod.controller() else { return };
    set(b, "pod_controller_kind", &owner.kind);
    set(b, "pod_controller_name", &owner.name);
    // The controller of the controller, if it is of the kind that is asked for.
    let above = |of: Kind, kind: &str| {
        let object = world.get(of, &pod.metadata.namespace, &owner.name)?;
        object.controller().filter(|o| o.kind == kind).map(|o| o.name.as_str())
    };
    match owner.kind.as_str() {
        "ReplicaSet" if attach.deployment => {
            set(b, "pod_deployment_name", above(Kind::ReplicaSet, "Deployment").unwrap_or_default());
        }
        "Job" => {
            if attach.job {
                set(b, "pod_job_name", &owner.name);
            }
            if attach.cronjob {
                set(b, "pod_cronjob_name", above(Kind::Job, "CronJob").unwrap_or_default());
            }
        }
        _ => {}
    }
}
