//! From an instance of a service to a target.

use reba_model::{Labels, LabelsBuilder};

use super::api::{Check, Instance};
use crate::{
    config::ConsulSd,
    discovery::{ADDRESS_LABEL, TargetGroup, join_host_port, set_sanitized},
};

/// The group of a service.
pub(crate) fn group(
    config: &ConsulSd,
    service: &str,
    datacenter: &str,
    instances: &[Instance],
) -> TargetGroup {
    TargetGroup {
        source: service.to_owned(),
        labels: Labels::from_pairs([("__meta_consul_service", service), ("__meta_consul_dc", datacenter)]),
        targets: instances.iter().map(|i| target(i, &config.tag_separator)).collect(),
    }
}

fn target(instance: &Instance, separator: &str) -> Labels {
    let Instance { node, service, checks } = instance;
    let port = service.port.to_string();
    let host = if service.address.is_empty() { &node.address } else { &service.address };
    // A separator on both ends, so that an expression need not care where a tag stands.
    let tags = service.tags.as_deref().unwrap_or_default().join(separator);
    let mut b = LabelsBuilder::new();
    for (name, value) in [
        (ADDRESS_LABEL, join_host_port(host, &port).as_str()),
        ("__meta_consul_address", &node.address),
        ("__meta_consul_node", &node.node),
        ("__meta_consul_namespace", &service.namespace),
        ("__meta_consul_partition", &service.partition),
        ("__meta_consul_tags", &format!("{separator}{tags}{separator}")),
        ("__meta_consul_service_address", &service.address),
        ("__meta_consul_service_port", &port),
        ("__meta_consul_service_id", &service.id),
        ("__meta_consul_health", health(checks.as_deref().unwrap_or_default())),
    ] {
        b.set(name, value);
    }
    for (prefix, values) in [
        ("__meta_consul_metadata_", &node.meta),
        ("__meta_consul_service_metadata_", &service.meta),
        ("__meta_consul_tagged_address_", &node.tagged_addresses),
    ] {
        for (name, value) in values.iter().flatten() {
            set_sanitized(&mut b, prefix, name, value);
        }
    }
    b.build()
}

/// The worst of the checks, as Consul's own client sums them up; a status that it does not know is none.
fn health(checks: &[Check]) -> &'static str {
    let mut worst = 0;
    for check in checks {
        let maintenance = check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:");
        let rank = match check.status.as_str() {
            _ if maintenance => 3,
            "passing" => 0,
            "warning" => 1,
            "critical" => 2,
            _ => return "",
        };
        worst = worst.max(rank);
    }
    ["passing", "warning", "critical", "maintenance"][worst]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_counts_and_maintenance_most() {
        let checks = |all: &[(&str, &str)]| -> Vec<Check> {
            all.iter().map(|(id, s)| Check { id: (*id).to_owned(), status: (*s).to_owned() }).collect()
        };
        for (all, text) in [
            (&[][..], "passing"),
            (&[("a", "passing"), ("b", "warning")][..], "warning"),
            (&[("a", "critical"), ("b", "warning")][..], "critical"),
            (&[("_node_maintenance", "critical"), ("b", "critical")][..], "maintenance"),
            (&[("_service_maintenance:x", "")][..], "maintenance"),
            (&[("a", "odd"), ("b", "critical")][..], ""),
        ] {
            assert_eq!(health(&checks(all)), text);
        }
    }
}
