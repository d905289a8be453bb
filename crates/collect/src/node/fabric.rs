//! InfiniBand, Fibre Channel, NFS, load balancing in the kernel.

use std::{collections::BTreeMap, net::Ipv6Addr};

use super::{Fault, Files, Node, Outcome};
use crate::page::{Kind, Page};

/// Files of an InfiniBand port, what they are called, and what a unit of them is.
const INFINIBAND: [(&str, &str, f64); 30] = [
    ("counters_ext/port_multicast_rcv_packets", "legacy_multicast_packets_received_total", 1.0),
    ("counters_ext/port_multicast_xmit_packets", "legacy_multicast_packets_transmitted_total", 1.0),
    ("counters_ext/port_rcv_data_64", "legacy_data_received_bytes_total", 4.0),
    ("counters_ext/port_rcv_packets_64", "legacy_packets_received_total", 1.0),
    ("counters_ext/port_unicast_rcv_packets", "legacy_unicast_packets_received_total", 1.0),
    ("counters_ext/port_unicast_xmit_packets", "legacy_unicast_packets_transmitted_total", 1.0),
    ("counters_ext/port_xmit_data_64", "legacy_data_transmitted_bytes_total", 4.0),
    ("counters_ext/port_xmit_packets_64", "legacy_packets_transmitted_total", 1.0),
    ("counters/excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors_total", 1.0),
    ("counters/link_downed", "link_downed_total", 1.0),
    ("counters/link_error_recovery", "link_error_recovery_total", 1.0),
    ("counters/local_link_integrity_errors", "local_link_integrity_errors_total", 1.0),
    ("counters/multicast_rcv_packets", "multicast_packets_received_total", 1.0),
    ("counters/multicast_xmit_packets", "multicast_packets_transmitted_total", 1.0),
    ("counters/port_rcv_constraint_errors", "port_constraint_errors_received_total", 1.0),
    ("counters/port_xmit_constraint_errors", "port_constraint_errors_transmitted_total", 1.0),
    ("counters/port_rcv_data", "port_data_received_bytes_total", 4.0),
    ("counters/port_xmit_data", "port_data_transmitted_bytes_total", 4.0),
    ("counters/port_rcv_discards", "port_discards_received_total", 1.0),
    ("counters/port_xmit_discards", "port_discards_transmitted_total", 1.0),
    ("counters/port_rcv_errors", "port_errors_received_total", 1.0),
    ("counters/port_rcv_packets", "port_packets_received_total", 1.0),
    ("counters/port_xmit_packets", "port_packets_transmitted_total", 1.0),
    ("counters/port_xmit_wait", "port_transmit_wait_total", 1.0),
    ("counters/unicast_rcv_packets", "unicast_packets_received_total", 1.0),
    ("counters/unicast_xmit_packets", "unicast_packets_transmitted_total", 1.0),
    ("counters/port_rcv_remote_physical_errors", "port_receive_remote_physical_errors_total", 1.0),
    ("counters/port_rcv_switch_relay_errors", "port_receive_switch_relay_errors_total", 1.0),
    ("counters/symbol_error", "symbol_error_total", 1.0),
    ("counters/VL15_dropped", "vl15_dropped_total", 1.0),
];

/// `infiniband`
pub fn infiniband(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for device in files.sys_names("class/infiniband")? {
        let base = format!("class/infiniband/{device}");
        let mut text = |file: &str| files.sys(&format!("{base}/{file}")).unwrap_or_default().to_owned();
        let (board, firmware, kind) = (text("board_id"), text("fw_ver"), text("hca_type"));
        let labels = [
            ("board_id", board.as_str()),
            ("device", &device),
            ("firmware_version", &firmware),
            ("hca_type", &kind),
        ];
        page.gauge("node_infiniband_info", "What each device is; always 1.").with(&labels, 1.0);
        for port in files.sys_names(&format!("{base}/ports")).unwrap_or_default() {
            let labels = [("device", device.as_str()), ("port", port.as_str())];
            let folder = format!("{base}/ports/{port}");
            let mut text = |file: &str| files.sys(&format!("{folder}/{file}")).unwrap_or_default().to_owned();
            // `4: ACTIVE`, and `40 Gb/sec (4X QDR)`.
            for (file, name) in
                [("state", "node_infiniband_state_id"), ("phys_state", "node_infiniband_physical_state_id")]
            {
                if let Some(id) = text(file).split(':').next().and_then(|n| n.trim().parse().ok()) {
                    page.gauge(name, "The state of each port.").with(&labels, id);
                }
            }
            if let Some(gigabits) = text("rate").split(' ').next().and_then(|n| n.parse::<f64>().ok()) {
                page.gauge("node_infiniband_rate_bytes_per_second", "How fast each port is.")
                    .with(&labels, gigabits * 1e9 / 8.0);
            }
            for (file, name, unit) in INFINIBAND {
                // Some say `N/A`.
                if let Some(n) = files.sys_number::<f64>(&format!("{folder}/{file}")) {
                    page.counter(format!("node_infiniband_{name}"), "What each port counts.")
                        .with(&labels, n * unit);
                }
            }
        }
    }
    Ok(())
}

/// `fibrechannel`
pub fn fibrechannel(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const TEXTS: [(&str, &str); 10] = [
        ("dev_loss_tmo", "dev_loss_tmo"),
        ("fabric_name", "fabric_name"),
        ("port_id", "port_id"),
        ("port_name", "port_name"),
        ("port_state", "port_state"),
        ("port_type", "port_type"),
        ("speed", "speed"),
        ("supported_classes", "supported_classes"),
        ("supported_speeds", "supported_speeds"),
        ("symbolic_name", "symbolic_name"),
    ];
    const COUNTERS: [(&str, &str); 14] = [
        ("dumped_frames", "dumped_frames_total"),
        ("error_frames", "error_frames_total"),
        ("invalid_crc_count", "invalid_crc_total"),
        ("rx_frames", "rx_frames_total"),
        ("rx_words", "rx_words_total"),
        ("tx_frames", "tx_frames_total"),
        ("tx_words", "tx_words_total"),
        ("seconds_since_last_reset", "seconds_since_last_reset_total"),
        ("invalid_tx_word_count", "invalid_tx_words_total"),
        ("link_failure_count", "link_failure_total"),
        ("loss_of_sync_count", "loss_of_sync_total"),
        ("loss_of_signal_count", "loss_of_signal_total"),
        ("nos_count", "nos_total"),
        ("fcp_packet_aborts", "fcp_packet_aborts_total"),
    ];
    for host in files.sys_names("class/fc_host")? {
        let base = format!("class/fc_host/{host}");
        let mut texts = vec![("fc_host", host.clone())];
        for (file, label) in TEXTS {
            let text = files.sys(&format!("{base}/{file}")).unwrap_or_default();
            texts.push((label, text.trim_start_matches("0x").to_owned()));
        }
        texts.sort();
        let labels: Vec<(&str, &str)> = texts.iter().map(|(n, v)| (*n, v.as_str())).collect();
        page.gauge("node_fibrechannel_info", "What each adapter is; always 1.").with(&labels, 1.0);
        for (file, name) in COUNTERS {
            let Ok(text) = files.sys(&format!("{base}/statistics/{file}")) else { continue };
            // All bits set means that the firmware does not count it.
            let n = u64::from_str_radix(text.trim_start_matches("0x"), 16).ok().filter(|n| *n != u64::MAX);
            if let Some(n) = n {
                page.counter(format!("node_fibrechannel_{name}"), "What each adapter counts.")
                    .with(&[("fc_host", &host)], n as f64);
            }
        }
    }
    Ok(())
}

/// Procedures in the kernel's order.
const NFS2: &str = "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir RmDir \
                    ReadDir FsStat";
const NFS3: &str = "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename Link \
                    ReadDir ReadDirPlus FsStat FsInfo PathConf Commit";
const NFS4: &str = "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr FsInfo Renew SetClientID \
                    SetClientIDConfirm Lock Lockt Locku Access Getattr Lookup LookupRoot Remove Rename Link Symlink Create \
                    Pathconf StatFs ReadLink ReadDir ServerCaps DelegReturn GetACL SetACL FsLocations ReleaseLockowner Secinfo \
                    FsidPresent ExchangeID CreateSession DestroySession Sequence GetLeaseTime ReclaimComplete LayoutGet \
                    GetDeviceInfo LayoutCommit LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList \
                    BindConnToSession DestroyClientID Seek Allocate DeAllocate LayoutStats Clone";
/// The server's operations; those that are not shown are dashes.
const NFSD4: &str = "- - - Access Close Commit Create DelegPurge DelegReturn GetAttr GetFH Link Lock Lockt Locku Lookup \
                     LookupRoot Nverify Open OpenAttr OpenConfirm OpenDgrd PutFH - - Read ReadDir ReadLink Remove Rename Renew \
                     RestoreFH SaveFH SecInfo SetAttr SetClientID SetClientIDConfirm Verify Write RelLockOwner";

/// The numbers behind each word of a file.
fn numbers(text: &str) -> BTreeMap<&str, Vec<f64>> {
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        if let Some(key) = fields.next() {
            all.insert(key, fields.map(|f| f.parse().unwrap_or(0.0)).collect());
        }
    }
    all
}

fn procedures(page: &mut Page, family: &'static str, proto: &str, names: &str, values: &[f64]) {
    let mut rows = page.counter(family, "Requests of each kind.");
    for (method, value) in names.split_ascii_whitespace().zip(values).filter(|(method, _)| *method != "-") {
        rows.with(&[("method", method), ("proto", proto)], *value);
    }
}

/// `nfs`
pub fn nfs(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("net/rpc/nfs")?.to_owned();
    let all = numbers(&text);
    let get = |key: &str, n: usize| all.get(key).and_then(|values| values.get(n)).copied().unwrap_or(0.0);
    page.counter("node_nfs_packets_total", "Packets of the client, by protocol.")
        .with(&[("protocol", "tcp")], get("net", 2))
        .with(&[("protocol", "udp")], get("net", 1));
    page.counter("node_nfs_connections_total", "Connections of the client.").value(get("net", 3));
    page.counter("node_nfs_rpcs_total", "Calls of the client.").value(get("rpc", 0));
    page.counter("node_nfs_rpc_retransmissions_total", "Calls sent again.").value(get("rpc", 1));
    page.counter("node_nfs_rpc_authentication_refreshes_total", "Logins renewed.").value(get("rpc", 2));
    for (key, proto, names) in [("proc2", "2", NFS2), ("proc3", "3", NFS3), ("proc4", "4", NFS4)] {
        // The first number says how many there are.
        let values = all.get(key).and_then(|v| v.get(1..)).unwrap_or_default();
        procedures(page, "node_nfs_requests_total", proto, names, values);
    }
    Ok(())
}

/// `nfsd`
pub fn nfsd(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const ONES: [(&str, usize, &str, Kind); 11] = [
        ("rc", 0, "node_nfsd_reply_cache_hits_total", Kind::Counter),
        ("rc", 1, "node_nfsd_reply_cache_misses_total", Kind::Counter),
        ("rc", 2, "node_nfsd_reply_cache_nocache_total", Kind::Counter),
        ("fh", 0, "node_nfsd_file_handles_stale_total", Kind::Counter),
        ("io", 0, "node_nfsd_disk_bytes_read_total", Kind::Counter),
        ("io", 1, "node_nfsd_disk_bytes_written_total", Kind::Counter),
        ("th", 0, "node_nfsd_server_threads", Kind::Gauge),
        ("ra", 0, "node_nfsd_read_ahead_cache_size_blocks", Kind::Gauge),
        ("ra", 11, "node_nfsd_read_ahead_cache_not_found_total", Kind::Counter),
        ("net", 3, "node_nfsd_connections_total", Kind::Counter),
        ("rpc", 0, "node_nfsd_server_rpcs_total", Kind::Counter),
    ];
    let text = files.proc("net/rpc/nfsd")?.to_owned();
    let all = numbers(&text);
    let get = |key: &str, n: usize| all.get(key).and_then(|values| values.get(n)).copied().unwrap_or(0.0);
    for (key, n, name, kind) in ONES {
        page.family(name, kind, "What the server counts.").value(get(key, n));
    }
    page.counter("node_nfsd_packets_total", "Packets of the server, by protocol.")
        .with(&[("proto", "tcp")], get("net", 2))
        .with(&[("proto", "udp")], get("net", 1));
    page.counter("node_nfsd_rpc_errors_total", "Calls that were refused.")
        .with(&[("error", "fmt")], get("rpc", 2))
        .with(&[("error", "auth")], get("rpc", 3))
        .with(&[("error", "cInt")], get("rpc", 4));
    let (two, three) = (NFS2.replacen("Null", "-", 1), NFS3.replacen("Null", "-", 1));
    for (key, proto, names) in
        [("proc2", "2", two.as_str()), ("proc3", "3", &three), ("proc4ops", "4", NFSD4)]
    {
        let values = all.get(key).and_then(|v| v.get(1..)).unwrap_or_default();
        procedures(page, "node_nfsd_requests_total", proto, names, values);
    }
    Ok(())
}

/// `ipvs`
pub fn ipvs(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const TOTALS: [&str; 5] = [
        "node_ipvs_connections_total",
        "node_ipvs_incoming_packets_total",
        "node_ipvs_outgoing_packets_total",
        "node_ipvs_incoming_bytes_total",
        "node_ipvs_outgoing_bytes_total",
    ];
    let stats = files.proc("net/ip_vs_stats")?;
    let line = stats.lines().nth(2).unwrap_or_default();
    let values: Vec<f64> = line
        .split_ascii_whitespace()
        .filter_map(|f| u64::from_str_radix(f, 16).ok())
        .map(|n| n as f64)
        .collect();
    if values.len() < TOTALS.len() {
        return Err(Fault::failed(format!("/proc/net/ip_vs_stats: {line:?}")));
    }
    for (name, value) in TOTALS.iter().zip(values) {
        page.counter(*name, "What the load balancing of the kernel counts.").value(value);
    }
    let text = files.proc("net/ip_vs")?;
    for (labels, [weight, active, inactive]) in servers(text, &node.options.ipvs_labels) {
        let labels: Vec<(&str, &str)> = node
            .options
            .ipvs_labels
            .iter()
            .map(String::as_str)
            .zip(labels.iter().map(String::as_str))
            .collect();
        let help = "Servers behind the load balancing of the kernel.";
        page.gauge("node_ipvs_backend_connections_active", help).with(&labels, active);
        page.gauge("node_ipvs_backend_connections_inactive", help).with(&labels, inactive);
        page.gauge("node_ipvs_backend_weight", help).with(&labels, weight);
    }
    Ok(())
}

/// Servers by the labels that are wanted: weight, active and inactive connections, added up.
fn servers(text: &str, wanted: &[String]) -> BTreeMap<Vec<String>, [f64; 3]> {
    let mut out: BTreeMap<Vec<String>, [f64; 3]> = BTreeMap::new();
    let (mut proto, mut local) = ("", (String::new(), String::new(), String::new()));
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.as_slice() {
            [kind @ ("TCP" | "UDP" | "SCTP"), address, ..] => {
                let (ip, port) = address_of(address).unwrap_or_default();
                (proto, local) = (kind, (ip, port, String::new()));
            }
            ["FWM", mark, ..] => {
                (proto, local) = ("FWM", (String::new(), "0".to_owned(), (*mark).to_owned()));
            }
            ["->", address, _, weight, active, inactive, ..] if !proto.is_empty() => {
                let Some((ip, port)) = address_of(address) else { continue };
                let label = |name: &String| match name.as_str() {
                    "local_address" => local.0.clone(),
                    "local_port" => local.1.clone(),
                    "local_mark" => local.2.clone(),
                    "proto" => proto.to_owned(),
                    "remote_address" => ip.clone(),
                    _ => port.clone(),
                };
                let sums = out.entry(wanted.iter().map(label).collect()).or_default();
                for (sum, text) in sums.iter_mut().zip([weight, active, inactive]) {
                    *sum += text.parse().unwrap_or(0.0);
                }
            }
            _ => {}
        }
    }
    out
}

/// `C0A80016:0CEA`, or `[2620:0000:…]:0050`.
fn address_of(text: &str) -> Option<(String, String)> {
    let (ip, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?.to_string();
    if let Some(inner) = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        return Some((inner.parse::<Ipv6Addr>().ok()?.to_string(), port));
    }
    let [a, b, c, d] = u32::from_str_radix(ip, 16).ok().filter(|_| ip.len() == 8)?.to_be_bytes();
    Some((format!("{a}.{b}.{c}.{d}"), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_behind_the_load_balancing_are_told() {
        let text = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n\
                    \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  C0A80016:0CEA wlc\n\
                    \x20 -> C0A85216:0CEA      Tunnel  100    248        2\n  -> C0A85315:0CEA      Tunnel  100    1        1\n\
                    FWM  10001000 wlc\n  -> [2620:0000:0000:0000:0000:0000:0000:0001]:0050 Route 20 64 1\n";
        let all: Vec<String> =
            ["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"]
                .map(str::to_owned)
                .into();
        let found = servers(text, &all);
        let key = ["192.168.0.22", "", "3306", "TCP", "192.168.82.22", "3306"].map(str::to_owned).to_vec();
        assert_eq!(found[&key], [100.0, 248.0, 2.0]);
        assert!(found.keys().any(|k| k[1] == "10001000" && k[4] == "2620::1" && k[5] == "80"));
        assert_eq!(servers(text, &["proto".to_owned()])[&vec!["TCP".to_owned()]], [200.0, 249.0, 3.0]);
    }

    #[test]
    fn procedures_have_the_kernels_numbers() {
        let count = |names: &str| names.split_ascii_whitespace().count();
        assert_eq!((count(NFS2), count(NFS3), count(NFS4), count(NFSD4)), (18, 22, 59, 40));
    }
}
