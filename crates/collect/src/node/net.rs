//! The network: devices, protocols, sockets, neighbours, tracked connections.

pub mod class;

use std::collections::BTreeMap;

use super::{Fault, Files, Node, Outcome};
use crate::page::Page;

/// The columns of `/proc/net/dev`.
const DEVICE: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// Files below `/sys/class/net/DEVICE/statistics`, and what they are called with `--collector.netdev.enable-detailed-metrics`.
const DETAILS: [(&str, &str); 24] = [
    ("collisions", "node_network_collisions_total"),
    ("multicast", "node_network_multicast_total"),
    ("rx_bytes", "node_network_receive_bytes_total"),
    ("rx_compressed", "node_network_receive_compressed_total"),
    ("rx_crc_errors", "node_network_receive_crc_errors_total"),
    ("rx_dropped", "node_network_receive_dropped_total"),
    ("rx_errors", "node_network_receive_errors_total"),
    ("rx_fifo_errors", "node_network_receive_fifo_errors_total"),
    ("rx_frame_errors", "node_network_receive_frame_errors_total"),
    ("rx_length_errors", "node_network_receive_length_errors_total"),
    ("rx_missed_errors", "node_network_receive_missed_errors_total"),
    ("rx_nohandler", "node_network_receive_nohandler_total"),
    ("rx_over_errors", "node_network_receive_over_errors_total"),
    ("rx_packets", "node_network_receive_packets_total"),
    ("tx_aborted_errors", "node_network_transmit_aborted_errors_total"),
    ("tx_bytes", "node_network_transmit_bytes_total"),
    ("tx_carrier_errors", "node_network_transmit_carrier_errors_total"),
    ("tx_compressed", "node_network_transmit_compressed_total"),
    ("tx_dropped", "node_network_transmit_dropped_total"),
    ("tx_errors", "node_network_transmit_errors_total"),
    ("tx_fifo_errors", "node_network_transmit_fifo_errors_total"),
    ("tx_heartbeat_errors", "node_network_transmit_heartbeat_errors_total"),
    ("tx_packets", "node_network_transmit_packets_total"),
    ("tx_window_errors", "node_network_transmit_window_errors_total"),
];

const DEVICE_HELP: &str = "What each network device counts.";

/// `netdev`
pub fn netdev(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("net/dev")?.to_owned();
    for line in text.lines().skip(2) {
        let Some((device, rest)) = line.rsplit_once(':') else { continue };
        let device = device.trim();
        if node.options.netdev_devices.ignores(device) {
            continue;
        }
        let labels = [("device", device)];
        if node.options.netdev_details {
            for (file, name) in DETAILS {
                let path = format!("class/net/{device}/statistics/{file}");
                if let Some(n) = files.sys_number::<f64>(&path) {
                    page.counter(name, DEVICE_HELP).with(&labels, n);
                }
            }
            continue;
        }
        for (name, field) in DEVICE.iter().zip(rest.split_ascii_whitespace()) {
            let value = field.parse().map_err(|_| Fault::failed(format!("/proc/net/dev: {line:?}")))?;
            page.counter(*name, DEVICE_HELP).with(&labels, value);
        }
        if let Some(n) = files.sys_number::<f64>(&format!("class/net/{device}/statistics/rx_nohandler")) {
            page.counter("node_network_receive_nohandler_total", DEVICE_HELP).with(&labels, n);
        }
    }
    Ok(())
}

/// `arp`
pub fn arp(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let mut devices: BTreeMap<&str, u32> = BTreeMap::new();
    for line in files.proc("net/arp")?.lines().skip(1) {
        if let Some(device) = line.split_ascii_whitespace().nth(5) {
            *devices.entry(device).or_default() += 1;
        }
    }
    let mut rows = page.gauge("node_arp_entries", "Neighbours by device.");
    for (device, n) in devices.into_iter().filter(|(device, _)| !node.options.arp_devices.ignores(device)) {
        rows.with(&[("device", device)], f64::from(n));
    }
    Ok(())
}

/// `netstat`
pub fn netstat(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const PREFIX: &str = "node_netstat_";
    let mut name = String::from(PREFIX);
    let mut put = |protocol: &str, field: &str, value: &str| -> Outcome {
        name.truncate(PREFIX.len());
        name.extend([protocol, "_", field]);
        let key = name.get(PREFIX.len()..).unwrap_or_default();
        if !node.options.netstat_fields.takes(key) {
            return Ok(());
        }
        let value = value.parse().map_err(|_| Fault::failed(format!("{key}: not a number: {value:?}")))?;
        page.untyped(name.clone(), "A counter of a network protocol.").value(value);
        Ok(())
    };
    for file in ["net/netstat", "net/snmp"] {
        // A line of names, then a line of values, both with the protocol before them.
        let mut lines = files.proc(file)?.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((_, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                return Err(Fault::failed(format!("/proc/{file}: {names:?}")));
            };
            let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
            pairs.try_for_each(|(name, value)| put(protocol, name, value))?;
        }
    }
    // Without IPv6 there is no such file.
    for line in files.proc("net/snmp6").unwrap_or_default().lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(key), Some(value)) = (fields.next(), fields.next()) else { continue };
        if let Some((protocol, field)) = key.find('6').and_then(|at| key.split_at_checked(at + 1)) {
            put(protocol, field, value)?;
        }
    }
    Ok(())
}

/// `sockstat`
pub fn sockstat(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let page_size = rustix::param::page_size() as f64;
    for file in ["net/sockstat", "net/sockstat6"] {
        for line in files.proc(file).unwrap_or_default().lines() {
            let Some((protocol, rest)) = line.split_once(':') else { continue };
            let mut fields = rest.split_ascii_whitespace();
            while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
                let Ok(value) = value.parse::<f64>() else { continue };
                if protocol == "sockets" {
                    page.gauge("node_sockstat_sockets_used", "Sockets in use.").value(value);
                    continue;
                }
                let help = "Sockets of a protocol, by state, or their memory.";
                page.gauge(format!("node_sockstat_{protocol}_{key}"), help).value(value);
                if key == "mem" {
                    page.gauge(format!("node_sockstat_{protocol}_mem_bytes"), help).value(value * page_size);
                }
            }
        }
    }
    Ok(())
}

/// `udp_queues`
pub fn udp_queues(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let mut found = false;
    for (file, ip) in [("net/udp", "v4"), ("net/udp6", "v6")] {
        let Ok(text) = files.proc(file) else { continue };
        found = true;
        let (mut tx, mut rx) = (0_u64, 0_u64);
        for line in text.lines().skip(1) {
            let queues = line.split_ascii_whitespace().nth(4).and_then(|field| field.split_once(':'));
            let Some((t, r)) = queues else { continue };
            tx = tx.saturating_add(u64::from_str_radix(t, 16).unwrap_or(0));
            rx = rx.saturating_add(u64::from_str_radix(r, 16).unwrap_or(0));
        }
        page.gauge("node_udp_queues", "Bytes that wait in the queues of UDP sockets.")
            .with(&[("ip", ip), ("queue", "tx")], tx as f64)
            .with(&[("ip", ip), ("queue", "rx")], rx as f64);
    }
    if found { Ok(()) } else { Err(Fault::NoData) }
}

/// `conntrack`
pub fn conntrack(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const COLUMNS: [(&str, &str); 8] = [
        ("found", "node_nf_conntrack_stat_found"),
        ("invalid", "node_nf_conntrack_stat_invalid"),
        ("ignore", "node_nf_conntrack_stat_ignore"),
        ("insert", "node_nf_conntrack_stat_insert"),
        ("insert_failed", "node_nf_conntrack_stat_insert_failed"),
        ("drop", "node_nf_conntrack_stat_drop"),
        ("early_drop", "node_nf_conntrack_stat_early_drop"),
        ("search_restart", "node_nf_conntrack_stat_search_restart"),
    ];
    let entries: f64 = files.proc_number("sys/net/netfilter/nf_conntrack_count")?;
    let limit: f64 = files.proc_number("sys/net/netfilter/nf_conntrack_max")?;
    page.gauge("node_nf_conntrack_entries", "Connections that are tracked.").value(entries);
    page.gauge("node_nf_conntrack_entries_limit", "Connections that can be tracked.").value(limit);
    let text = files.proc("net/stat/nf_conntrack")?;
    let mut lines = text.lines();
    // Kernels have swapped and dropped columns: their names count.
    let head: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let mut sums = vec![0.0; head.len()];
    for line in lines {
        for (sum, field) in sums.iter_mut().zip(line.split_ascii_whitespace()) {
            *sum += u64::from_str_radix(field, 16).unwrap_or(0) as f64;
        }
    }
    for (column, name) in COLUMNS {
        let sum = head.iter().position(|h| *h == column).and_then(|at| sums.get(at)).copied();
        page.gauge(name, "What the tracking of connections did, on all processors.")
            .value(sum.unwrap_or(0.0));
    }
    Ok(())
}

/// `bonding`
pub fn bonding(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let masters = files.sys("class/net/bonding_masters")?.to_owned();
    for master in masters.split_ascii_whitespace() {
        let slaves = files.sys(&format!("class/net/{master}/bonding/slaves"))?.to_owned();
        let (mut all, mut up) = (0.0, 0.0);
        for slave in slaves.split_ascii_whitespace() {
            let mut status = |prefix: &str| {
                let path = format!("class/net/{master}/{prefix}_{slave}/bonding_slave/mii_status");
                files.sys(&path).map(|status| status == "up")
            };
            // Older kernels say slave_.
            let is_up = status("lower").or_else(|_| status("slave"))?;
            all += 1.0;
            up += if is_up { 1.0 } else { 0.0 };
        }
        page.gauge("node_bonding_slaves", "Devices in each bond.").with(&[("master", master)], all);
        page.gauge("node_bonding_active", "Devices in each bond that are up.")
            .with(&[("master", master)], up);
    }
    Ok(())
}
