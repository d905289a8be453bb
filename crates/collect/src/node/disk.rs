//! Disks: what they did, and what udev knows of them.

use std::collections::BTreeMap;

use super::{Fault, Files, Node, Outcome};
use crate::page::{Kind, Page};

const SECTOR: f64 = 512.0;
const MS: f64 = 1000.0;

/// The columns of `/proc/diskstats` behind the device's name: the family, and what a unit of it is (divided by the last).
const COLUMNS: [(&str, f64, f64); 17] = [
    ("node_disk_reads_completed_total", 1.0, 1.0),
    ("node_disk_reads_merged_total", 1.0, 1.0),
    ("node_disk_read_bytes_total", SECTOR, 1.0),
    ("node_disk_read_time_seconds_total", 1.0, MS),
    ("node_disk_writes_completed_total", 1.0, 1.0),
    ("node_disk_writes_merged_total", 1.0, 1.0),
    ("node_disk_written_bytes_total", SECTOR, 1.0),
    ("node_disk_write_time_seconds_total", 1.0, MS),
    ("node_disk_io_now", 1.0, 1.0),
    ("node_disk_io_time_seconds_total", 1.0, MS),
    ("node_disk_io_time_weighted_seconds_total", 1.0, MS),
    ("node_disk_discards_completed_total", 1.0, 1.0),
    ("node_disk_discards_merged_total", 1.0, 1.0),
    ("node_disk_discarded_sectors_total", 1.0, 1.0),
    ("node_disk_discard_time_seconds_total", 1.0, MS),
    ("node_disk_flush_requests_total", 1.0, 1.0),
    ("node_disk_flush_requests_time_seconds_total", 1.0, MS),
];

/// `diskstats`
pub fn diskstats(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("diskstats")?.to_owned();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(device)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(Fault::failed(format!("/proc/diskstats: {line:?}")));
        };
        if node.options.disks.ignores(device) {
            continue;
        }
        // Older kernels have fewer columns.
        for ((name, factor, divisor), field) in COLUMNS.iter().zip(fields) {
            let value: f64 =
                field.parse().map_err(|_| Fault::failed(format!("/proc/diskstats: {line:?}")))?;
            let kind = if *name == "node_disk_io_now" { Kind::Gauge } else { Kind::Counter };
            page.family(*name, kind, "A column of /proc/diskstats.")
                .with(&[("device", device)], value * factor / divisor);
        }
        let udev = files.udev(&format!("b{major}:{minor}")).unwrap_or_default();
        about(page, device, (major, minor), &properties(udev));
    }
    Ok(())
}

/// The properties in udev's file: lines `E:NAME=value`.
fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('=')).collect()
}

fn about(page: &mut Page, device: &str, (major, minor): (&str, &str), udev: &BTreeMap<&str, &str>) {
    let get = |key: &str| udev.get(key).copied().unwrap_or_default();
    let serial = match get("SCSI_IDENT_SERIAL") {
        "" => get("ID_SERIAL_SHORT"),
        serial => serial,
    };
    let labels = [
        ("device", device),
        ("major", major),
        ("minor", minor),
        ("model", get("ID_MODEL")),
        ("path", get("ID_PATH")),
        ("revision", get("ID_REVISION")),
        ("serial", serial),
        ("wwn", get("ID_WWN")),
    ];
    page.gauge("node_disk_info", "What each disk is; always 1.").with(&labels, 1.0);
    if !get("ID_FS_TYPE").is_empty() {
        let labels = [
            ("device", device),
            ("type", get("ID_FS_TYPE")),
            ("usage", get("ID_FS_USAGE")),
            ("uuid", get("ID_FS_UUID")),
            ("version", get("ID_FS_VERSION")),
        ];
        page.gauge("node_disk_filesystem_info", "What is on each disk; always 1.").with(&labels, 1.0);
    }
    if !get("DM_NAME").is_empty() {
        let labels = [
            ("device", device),
            ("lv_layer", get("DM_LV_LAYER")),
            ("lv_name", get("DM_LV_NAME")),
            ("name", get("DM_NAME")),
            ("uuid", get("DM_UUID")),
            ("vg_name", get("DM_VG_NAME")),
        ];
        page.gauge("node_disk_device_mapper_info", "What each mapped device is; always 1.")
            .with(&labels, 1.0);
    }
    if get("ID_ATA").is_empty() {
        return;
    }
    for (key, name) in [
        ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache"),
        ("ID_ATA_WRITE_CACHE_ENABLED", "node_disk_ata_write_cache_enabled"),
        ("ID_ATA_ROTATION_RATE_RPM", "node_disk_ata_rotation_rate_rpm"),
    ] {
        if let Ok(value) = get(key).parse::<f64>() {
            page.gauge(name, "A property of each ATA disk.").with(&[("device", device)], value);
        }
    }
}
