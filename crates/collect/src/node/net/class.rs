//! Properties of network devices, from `/sys/class/net`.

use crate::{
    node::{Files, Node, Outcome},
    page::{Kind, Page},
};

const UP: u64 = 1;

/// Files with a number, and what it is called.
const NUMBERS: [(&str, &str, Kind); 16] = [
    ("addr_assign_type", "node_network_address_assign_type", Kind::Gauge),
    ("carrier", "node_network_carrier", Kind::Gauge),
    ("carrier_changes", "node_network_carrier_changes_total", Kind::Counter),
    ("carrier_up_count", "node_network_carrier_up_changes_total", Kind::Counter),
    ("carrier_down_count", "node_network_carrier_down_changes_total", Kind::Counter),
    ("dev_id", "node_network_device_id", Kind::Gauge),
    ("dormant", "node_network_dormant", Kind::Gauge),
    ("flags", "node_network_flags", Kind::Gauge),
    ("ifindex", "node_network_iface_id", Kind::Gauge),
    ("iflink", "node_network_iface_link", Kind::Gauge),
    ("link_mode", "node_network_iface_link_mode", Kind::Gauge),
    ("mtu", "node_network_mtu_bytes", Kind::Gauge),
    ("name_assign_type", "node_network_name_assign_type", Kind::Gauge),
    ("netdev_group", "node_network_net_dev_group", Kind::Gauge),
    ("tx_queue_len", "node_network_transmit_queue_length", Kind::Gauge),
    ("type", "node_network_protocol_type", Kind::Gauge),
];

/// `netclass`
pub fn netclass(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for device in files.sys_names("class/net")? {
        let ignored = node.options.netclass_ignored.as_ref().is_some_and(|r| r.is_match(&device));
        // Beside devices there is a file of bonds.
        if ignored || device == "bonding_masters" {
            continue;
        }
        one(node, files, page, &device);
    }
    Ok(())
}

fn one(node: &Node, files: &mut Files<'_>, page: &mut Page, device: &str) {
    let labels = [("device", device)];
    let Ok(folder) = files.sys_folder(&format!("class/net/{device}")) else { return };
    let mut flags = None;
    for (file, name, kind) in NUMBERS {
        let Some(value) = files.within(&folder, file).ok().and_then(number) else { continue };
        if file == "flags" {
            flags = Some(value as u64);
        }
        page.family(name, kind, "A property of each network device.").with(&labels, value);
    }
    let speed = files.within(&folder, "speed").ok().and_then(|text| text.parse::<i64>().ok());
    if let Some(megabits) = speed {
        // Devices that do not know say -1.
        if megabits >= 0 || !node.options.netclass_valid_speed {
            let bytes = megabits.saturating_mul(1_000_000) / 8;
            page.gauge("node_network_speed_bytes", "How fast each network device is.")
                .with(&labels, bytes as f64);
        }
    }
    let mut text = |file: &str| files.within(&folder, file).unwrap_or_default().to_owned();
    let (address, broadcast, duplex) = (text("address"), text("broadcast"), text("duplex"));
    let (alias, state) = (text("ifalias"), text("operstate"));
    let admin = match flags {
        None => "unknown",
        Some(flags) if flags & UP == UP => "up",
        Some(_) => "down",
    };
    let up = if state == "up" { 1.0 } else { 0.0 };
    page.gauge("node_network_up", "Whether each network device is in operation.").with(&labels, up);
    let labels = [
        ("address", address.as_str()),
        ("adminstate", admin),
        ("broadcast", &broadcast),
        ("device", device),
        ("duplex", &duplex),
        ("ifalias", &alias),
        ("operstate", &state),
    ];
    page.gauge("node_network_info", "What each network device is; always 1.").with(&labels, 1.0);
}

/// A number, decimal or with `0x`.
fn number(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as f64),
        None => text.parse::<i64>().ok().map(|n| n as f64),
    }
}
