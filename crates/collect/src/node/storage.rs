//! Arrays, file systems and devices that keep statistics of their own.

use std::collections::BTreeMap;

use super::{Fault, Files, Node, Outcome};
use crate::page::{Kind, Page};

/// `mdadm`
pub fn mdadm(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const STATES: [(&str, &str); 5] = [
        ("active", "active"),
        ("inactive", "inactive"),
        ("recovering", "recovering"),
        ("resyncing", "resync"),
        ("checking", "check"),
    ];
    let text = files.proc("mdstat")?;
    for array in arrays(text).map_err(Fault::failed)? {
        let device = [("device", array.name)];
        page.gauge("node_md_disks_required", "Disks that each array should have.").with(&device, array.total);
        for (state, n) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
            page.gauge("node_md_disks", "Disks of each array, by state.")
                .with(&[("device", array.name), ("state", state)], n);
        }
        for (state, shown) in STATES {
            let is = if array.state == state { 1.0 } else { 0.0 };
            page.gauge("node_md_state", "What each array does: 1 for the state it is in.")
                .with(&[("device", array.name), ("state", shown)], is);
        }
        page.gauge("node_md_blocks", "Blocks of each array.").with(&device, array.blocks);
        page.gauge("node_md_blocks_synced", "Blocks of each array that are in order.")
            .with(&device, array.synced);
    }
    Ok(())
}

/// An array in `/proc/mdstat`.
#[derive(Debug, Default, PartialEq)]
struct Array<'a> {
    name: &'a str,
    state: &'static str,
    active: f64,
    failed: f64,
    spare: f64,
    total: f64,
    blocks: f64,
    synced: f64,
}

/// Reads blocks such as
///
/// ```text
/// md0 : active raid1 sdb1[1] sda1[0](F)
///       248896 blocks [2/1] [_U]
///       [==>....]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec
/// ```
fn arrays(text: &str) -> Result<Vec<Array<'_>>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(":"), Some(state)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if line.starts_with(char::is_whitespace) || matches!(name, "Personalities" | "unused") {
            continue;
        }
        let status = lines.get(i + 1).copied().unwrap_or_default();
        let bad = || format!("/proc/mdstat: {name}: {status:?}");
        let blocks: f64 =
            status.split_ascii_whitespace().next().and_then(|n| n.parse().ok()).ok_or_else(bad)?;
        let mut array = Array {
            name,
            state: if state == "active" { "active" } else { "inactive" },
            failed: line.matches("(F)").count() as f64,
            spare: line.matches("(S)").count() as f64,
            blocks,
            synced: blocks,
            ..Array::default()
        };
        let level_without_spares = line.contains("raid0") || line.contains("linear");
        if level_without_spares {
            array.total = line.matches('[').count() as f64;
            array.active = array.total;
        } else if array.state == "active" {
            (array.total, array.active) = disks(status).ok_or_else(bad)?;
        }
        // A line about a bitmap may stand between.
        let next = [lines.get(i + 2), lines.get(i + 3)].into_iter().flatten();
        let progress = next.map(|line| line.trim()).find(|line| !line.starts_with("bitmap"));
        if let Some(line) = progress {
            progressing(&mut array, line);
        }
        out.push(array);
    }
    Ok(out)
}

/// `[2/1]`: should be, are.
fn disks(status: &str) -> Option<(f64, f64)> {
    let mut brackets = status.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    brackets.find_map(|(inner, _)| {
        let (total, active) = inner.split_once('/')?;
        Some((total.parse().ok()?, active.parse().ok()?))
    })
}

fn progressing(array: &mut Array<'_>, line: &str) {
    let words = [
        ("recovery", "recovering"),
        ("reshape", "recovering"),
        ("resync", "resyncing"),
        ("check", "checking"),
    ];
    let Some((_, state)) = words.iter().find(|(word, _)| line.contains(word)) else { return };
    array.state = state;
    if line.contains("PENDING") || line.contains("DELAYED") {
        array.synced = 0.0;
        return;
    }
    let inner = line.split_once('(').and_then(|(_, rest)| rest.split_once('/'));
    if let Some(done) = inner.and_then(|(done, _)| done.parse().ok()) {
        array.synced = done;
    }
}

/// `nvme`
pub fn nvme(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for device in files.sys_names("class/nvme")? {
        let mut text = |file: &str| files.sys(&format!("class/nvme/{device}/{file}")).map(str::to_owned);
        let (firmware, model) = (text("firmware_rev")?, text("model")?);
        let (serial, state) = (text("serial")?, text("state")?);
        let labels = [
            ("device", device.as_str()),
            ("firmware_revision", &firmware),
            ("model", &model),
            ("serial", &serial),
            ("state", &state),
        ];
        page.gauge("node_nvme_info", "What each NVMe device is; always 1.").with(&labels, 1.0);
    }
    Ok(())
}

/// Lines of XFS' statistics, and what their numbers are called; empty ones are not shown.
const XFS: [(&str, &[&str]); 8] = [
    (
        "extent_alloc",
        &[
            "extent_allocation_extents_allocated_total",
            "extent_allocation_blocks_allocated_total",
            "extent_allocation_extents_freed_total",
            "extent_allocation_blocks_freed_total",
        ],
    ),
    (
        "abt",
        &[
            "allocation_btree_lookups_total",
            "allocation_btree_compares_total",
            "allocation_btree_records_inserted_total",
            "allocation_btree_records_deleted_total",
        ],
    ),
    (
        "blk_map",
        &[
            "block_mapping_reads_total",
            "block_mapping_writes_total",
            "block_mapping_unmaps_total",
            "block_mapping_extent_list_insertions_total",
            "block_mapping_extent_list_deletions_total",
            "block_mapping_extent_list_lookups_total",
            "block_mapping_extent_list_compares_total",
        ],
    ),
    (
        "bmbt",
        &[
            "block_map_btree_lookups_total",
            "block_map_btree_compares_total",
            "block_map_btree_records_inserted_total",
            "block_map_btree_records_deleted_total",
        ],
    ),
    (
        "dir",
        &[
            "directory_operation_lookup_total",
            "directory_operation_create_total",
            "directory_operation_remove_total",
            "directory_operation_getdents_total",
        ],
    ),
    (
        "ig",
        &[
            "inode_operation_attempts_total",
            "inode_operation_found_total",
            "inode_operation_recycled_total",
            "inode_operation_missed_total",
            "inode_operation_duplicates_total",
            "inode_operation_reclaims_total",
            "inode_operation_attribute_changes_total",
        ],
    ),
    ("rw", &["write_calls_total", "read_calls_total"]),
    (
        "vnodes",
        &[
            "vnode_active_total",
            "vnode_allocate_total",
            "vnode_get_total",
            "vnode_hold_total",
            "vnode_release_total",
            "vnode_reclaim_total",
            "vnode_remove_total",
        ],
    ),
];

/// `xfs`
pub fn xfs(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for device in files.sys_names("fs/xfs").unwrap_or_default() {
        let Ok(text) = files.sys(&format!("fs/xfs/{device}/stats/stats")) else { continue };
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let key = fields.next().unwrap_or_default();
            let Some((_, names)) = XFS.iter().find(|(of, _)| *of == key) else { continue };
            for (name, value) in names.iter().zip(fields) {
                let value = value.parse().map_err(|_| Fault::failed(format!("fs/xfs: {line:?}")))?;
                page.counter(format!("node_xfs_{name}"), "What a file system XFS counts.")
                    .with(&[("device", &device)], value);
            }
        }
    }
    Ok(())
}

/// Files of ZFS' statistics, and what their families begin with.
const ZFS: [(&str, &str); 11] = [
    ("abdstats", "zfs_abd"),
    ("arcstats", "zfs_arc"),
    ("dbufstats", "zfs_dbuf"),
    ("dmu_tx", "zfs_dmu_tx"),
    ("dnodestats", "zfs_dnode"),
    ("fm", "zfs_fm"),
    ("vdev_cache_stats", "zfs_vdev_cache"),
    ("vdev_mirror_stats", "zfs_vdev_mirror"),
    ("xuio_stats", "zfs_xuio"),
    ("zfetchstats", "zfs_zfetch"),
    ("zil", "zfs_zil"),
];

const ZFS_HELP: &str = "What ZFS counts.";

/// Datasets of a pool at most.
const MAX_DATASETS: usize = 20_000;

/// `zfs`
pub fn zfs(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];
    const BASE: &str = "spl/kstat/zfs";
    let entries = files.proc_names(BASE)?;
    for (file, name) in ZFS {
        let Ok(text) = files.proc(&format!("{BASE}/{file}")) else { continue };
        for (key, value) in kstats(text) {
            page.untyped(format!("node_{name}_{}", key.replace('-', "_")), ZFS_HELP).value(value);
        }
    }
    for pool in entries {
        // Pools are folders, statistics are files.
        let Ok(parts) = files.proc_names(&format!("{BASE}/{pool}")) else { continue };
        let labels = [("zpool", pool.as_str())];
        for part in parts.iter().take(MAX_DATASETS) {
            let Ok(text) = files.proc(&format!("{BASE}/{pool}/{part}")) else { continue };
            match part.as_str() {
                "io" => {
                    let mut rows = text.lines().skip_while(|line| !line.trim_start().starts_with("nread"));
                    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
                    for (key, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                        page.untyped(format!("node_zfs_zpool_{key}"), ZFS_HELP)
                            .with(&labels, value.parse().unwrap_or(0.0));
                    }
                }
                "state" => {
                    let now = text.trim().to_lowercase();
                    let mut rows =
                        page.gauge("node_zfs_zpool_state", "The state of each pool: 1 for the one it is in.");
                    for state in STATES {
                        let is = if state == now { 1.0 } else { 0.0 };
                        rows.with(&[("state", state), ("zpool", &pool)], is);
                    }
                }
                part if part.starts_with("objset-") => dataset(page, &pool, text),
                _ => {}
            }
        }
    }
    Ok(())
}

fn dataset(page: &mut Page, pool: &str, text: &str) {
    let name = text.lines().find_map(|line| line.strip_prefix("dataset_name"));
    let Some(name) = name.and_then(|rest| rest.split_ascii_whitespace().nth(1)) else { return };
    for (key, value) in kstats(text) {
        page.untyped(format!("node_zfs_zpool_dataset_{key}"), ZFS_HELP)
            .with(&[("dataset", name), ("zpool", pool)], value);
    }
}

/// Lines `name type data` behind the head of the same words; types 3 and 4 are numbers.
fn kstats(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let is_head = |line: &&str| line.split_ascii_whitespace().eq(["name", "type", "data"]);
    text.lines().skip_while(move |line| !is_head(line)).skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (name, kind, value) = (fields.next()?, fields.next()?, fields.next()?);
        matches!(kind, "3" | "4").then_some((name, value.parse().ok()?))
    })
}

/// `btrfs`
pub fn btrfs(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for uuid in files.sys_names("fs/btrfs").unwrap_or_default() {
        let base = format!("fs/btrfs/{uuid}");
        // Beside file systems there is a folder of features.
        let Some(reserve) = files.sys_number::<f64>(&format!("{base}/allocation/global_rsv_size")) else {
            continue;
        };
        let label = files.sys(&format!("{base}/label")).unwrap_or_default().to_owned();
        page.gauge("node_btrfs_info", "What each file system is; always 1.")
            .with(&[("label", &label), ("uuid", &uuid)], 1.0);
        page.gauge("node_btrfs_global_rsv_size_bytes", "The global reserve.")
            .with(&[("uuid", &uuid)], reserve);
        let devices = files.sys_names(&format!("{base}/devices")).unwrap_or_default();
        for device in &devices {
            if let Some(sectors) = files.sys_number::<f64>(&format!("{base}/devices/{device}/size")) {
                page.gauge("node_btrfs_device_size_bytes", "The size of each device.")
                    .with(&[("device", device), ("uuid", &uuid)], sectors * 512.0);
            }
        }
        for kind in ["data", "metadata", "system"] {
            let folder = format!("{base}/allocation/{kind}");
            if let Some(n) = files.sys_number::<f64>(&format!("{folder}/bytes_reserved")) {
                page.gauge("node_btrfs_reserved_bytes", "Space that is reserved, by kind.")
                    .with(&[("block_group_type", kind), ("uuid", &uuid)], n);
            }
            for mode in files.sys_names(&folder).unwrap_or_default() {
                let mut number = |file: &str| files.sys_number::<f64>(&format!("{folder}/{mode}/{file}"));
                let (Some(total), Some(used)) = (number("total_bytes"), number("used_bytes")) else {
                    continue;
                };
                let labels = [("block_group_type", kind), ("mode", mode.as_str()), ("uuid", &uuid)];
                page.gauge("node_btrfs_size_bytes", "Space that is set apart, by kind.").with(&labels, total);
                page.gauge("node_btrfs_used_bytes", "Space that is used, by kind.").with(&labels, used);
                page.gauge("node_btrfs_allocation_ratio", "Bytes on disks for each byte of a file, by kind.")
                    .with(&labels, ratio(&mode, devices.len() as f64));
            }
        }
    }
    Ok(())
}

/// How many bytes of `disks` devices one byte of a file takes.
fn ratio(mode: &str, disks: f64) -> f64 {
    match mode {
        "dup" | "raid1" | "raid10" => 2.0,
        "raid1c3" => 3.0,
        "raid1c4" => 4.0,
        "raid5" if disks > 1.0 => disks / (disks - 1.0),
        "raid6" if disks > 2.0 => disks / (disks - 2.0),
        _ => 1.0,
    }
}

/// `bcache`
pub fn bcache(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const SET: [(&str, &str, Kind, f64); 9] = [
        ("average_key_size", "average_key_size_sectors", Kind::Gauge, 1.0),
        ("btree_cache_size", "btree_cache_size_bytes", Kind::Gauge, 1.0),
        ("cache_available_percent", "cache_available_percent", Kind::Gauge, 1.0),
        ("congested", "congested", Kind::Gauge, 1.0),
        ("root_usage_percent", "root_usage_percent", Kind::Gauge, 1.0),
        ("tree_depth", "tree_depth", Kind::Gauge, 1.0),
        ("internal/active_journal_entries", "active_journal_entries", Kind::Gauge, 1.0),
        ("internal/btree_nodes", "btree_nodes", Kind::Gauge, 1.0),
        ("internal/cache_read_races", "cache_read_races_total", Kind::Counter, 1.0),
    ];
    for uuid in files.sys_names("fs/bcache").unwrap_or_default() {
        let base = format!("fs/bcache/{uuid}");
        let Ok(entries) = files.sys_names(&base) else { continue };
        let labels = [("uuid", uuid.as_str())];
        for (file, name, kind, factor) in SET {
            if let Some(value) = files.sys(&format!("{base}/{file}")).ok().and_then(human) {
                page.family(format!("node_bcache_{name}"), kind, BCACHE_HELP).with(&labels, value * factor);
            }
        }
        let nanos =
            files.sys(&format!("{base}/internal/btree_read_average_duration_us")).ok().and_then(human);
        let nanos = nanos.map(|us| us * 1e3).or_else(|| {
            files.sys(&format!("{base}/internal/btree_read_average_duration_ns")).ok().and_then(human)
        });
        if let Some(nanos) = nanos {
            page.gauge("node_bcache_btree_read_average_duration_seconds", BCACHE_HELP)
                .with(&labels, nanos * 1e-9);
        }
        for entry in &entries {
            if entry.starts_with("bdev") {
                backing(files, page, &uuid, &base, entry);
            } else if entry.strip_prefix("cache").is_some_and(|n| n.parse::<u32>().is_ok()) {
                cache(node, files, page, &uuid, &base, entry);
            }
        }
    }
    Ok(())
}

const BCACHE_HELP: &str = "What bcache counts.";

fn backing(files: &mut Files<'_>, page: &mut Page, uuid: &str, base: &str, device: &str) {
    const TOTALS: [(&str, &str); 7] = [
        ("bypassed", "bypassed_bytes_total"),
        ("cache_hits", "cache_hits_total"),
        ("cache_misses", "cache_misses_total"),
        ("cache_bypass_hits", "cache_bypass_hits_total"),
        ("cache_bypass_misses", "cache_bypass_misses_total"),
        ("cache_miss_collisions", "cache_miss_collisions_total"),
        ("cache_readaheads", "cache_readaheads_total"),
    ];
    const DEBUG: [(&str, &str); 5] = [
        ("target", "dirty_target_bytes"),
        ("rate", "writeback_rate"),
        ("proportional", "writeback_rate_proportional_term"),
        ("integral", "writeback_rate_integral_term"),
        ("change", "writeback_change"),
    ];
    let labels = [("backing_device", device), ("uuid", uuid)];
    if let Some(value) = files.sys(&format!("{base}/{device}/dirty_data")).ok().and_then(human) {
        page.gauge("node_bcache_dirty_data_bytes", BCACHE_HELP).with(&labels, value);
    }
    let debug = files.sys(&format!("{base}/{device}/writeback_rate_debug")).unwrap_or_default();
    let debug: BTreeMap<&str, &str> =
        debug.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k, v.trim())).collect();
    for (key, name) in DEBUG {
        let value = debug.get(key).and_then(|v| human(v.trim_end_matches("/sec")));
        page.gauge(format!("node_bcache_{name}"), BCACHE_HELP).with(&labels, value.unwrap_or(0.0));
    }
    for (file, name) in TOTALS {
        let value = files.sys(&format!("{base}/{device}/stats_total/{file}")).ok().and_then(human);
        // Read-aheads went from newer kernels.
        if let Some(value) = value.filter(|v| file != "cache_readaheads" || *v != 0.0) {
            page.counter(format!("node_bcache_{name}"), BCACHE_HELP).with(&labels, value);
        }
    }
}

fn cache(node: &Node, files: &mut Files<'_>, page: &mut Page, uuid: &str, base: &str, device: &str) {
    let labels = [("cache_device", device), ("uuid", uuid)];
    for (file, name, kind) in [
        ("io_errors", "node_bcache_io_errors", Kind::Gauge),
        ("metadata_written", "node_bcache_metadata_written_bytes_total", Kind::Counter),
        ("written", "node_bcache_written_bytes_total", Kind::Counter),
    ] {
        if let Some(value) = files.sys(&format!("{base}/{device}/{file}")).ok().and_then(human) {
            page.family(name, kind, BCACHE_HELP).with(&labels, value);
        }
    }
    if !node.options.bcache_priority {
        return;
    }
    let text = files.sys(&format!("{base}/{device}/priority_stats")).unwrap_or_default();
    for (key, name) in [
        ("Unused:", "node_bcache_priority_stats_unused_percent"),
        ("Metadata:", "node_bcache_priority_stats_metadata_percent"),
    ] {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        if let Some(value) = value.and_then(|v| v.trim().trim_end_matches('%').parse().ok()) {
            page.gauge(name, BCACHE_HELP).with(&labels, value);
        }
    }
}

/// A number with a binary unit behind it: `1.5k`, `20.4G`.
fn human(text: &str) -> Option<f64> {
    let text = text.split_ascii_whitespace().next()?;
    let (number, unit) =
        text.split_at_checked(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))?;
    let power = match unit.get(..1).unwrap_or_default() {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    // What stands behind the point are 1024ths divided by 100 (bch_hprint in the kernel): .10 is more than .9.
    let factor = 1024_f64.powi(power);
    match number.split_once('.') {
        Some((whole, part)) => {
            let (whole, part): (f64, f64) = (whole.parse().ok()?, part.parse().ok()?);
            Some((whole + part / 10.24) * factor)
        }
        None => number.parse::<f64>().ok().map(|n| n * factor),
    }
}

/// `tapestats`
pub fn tapestats(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const COLUMNS: [(&str, &str, Kind, f64); 10] = [
        ("in_flight", "node_tape_io_now", Kind::Gauge, 1.0),
        ("io_ns", "node_tape_io_time_seconds_total", Kind::Counter, 1e-9),
        ("other_cnt", "node_tape_io_others_total", Kind::Counter, 1.0),
        ("read_byte_cnt", "node_tape_read_bytes_total", Kind::Counter, 1.0),
        ("read_cnt", "node_tape_reads_completed_total", Kind::Counter, 1.0),
        ("read_ns", "node_tape_read_time_seconds_total", Kind::Counter, 1e-9),
        ("resid_cnt", "node_tape_residual_total", Kind::Counter, 1.0),
        ("write_byte_cnt", "node_tape_written_bytes_total", Kind::Counter, 1.0),
        ("write_cnt", "node_tape_writes_completed_total", Kind::Counter, 1.0),
        ("write_ns", "node_tape_write_time_seconds_total", Kind::Counter, 1e-9),
    ];
    for device in files.sys_names("class/scsi_tape")? {
        let is_drive = device.strip_prefix("st").is_some_and(|n| n.parse::<u32>().is_ok());
        let ignored = node.options.tapes_ignored.as_ref().is_some_and(|r| r.is_match(&device));
        if !is_drive || ignored {
            continue;
        }
        for (file, name, kind, factor) in COLUMNS {
            if let Some(value) = files.sys_number::<f64>(&format!("class/scsi_tape/{device}/stats/{file}")) {
                page.family(name, kind, "What a tape drive counts.")
                    .with(&[("device", &device)], value * factor);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MDSTAT: &str = "\
Personalities : [raid1] [raid6] [raid0]
md0 : active raid1 sdb1[1](F) sda1[0] sdc1[2](S)
      248896 blocks [2/1] [U_]
      bitmap: 0/1 pages [0KB], 65536KB chunk

md1 : active raid6 sda[0] sdb[1] sdc[2] sdd[3]
      195310144 blocks super 1.2 level 6, 64k chunk, algorithm 2 [4/3] [UUU_]
      bitmap: 1/1 pages
      [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec

md2 : active raid0 sdc1[0] sdd1[1]
      314159265 blocks 64k chunks

md3 : inactive sdb[2](S) sdc[1](S)
      7932 blocks super external:imsm

md4 : active raid1 sdg1[0] sdh1[1]
      100 blocks [2/2] [UU]
      \tresync=DELAYED
unused devices: <none>
";

    #[test]
    fn arrays_are_read_in_all_their_states() {
        let arrays = arrays(MDSTAT).unwrap();
        let of = |name: &str| arrays.iter().find(|a| a.name == name).unwrap();
        let md0 = of("md0");
        assert_eq!((md0.state, md0.total, md0.active, md0.failed, md0.spare), ("active", 2.0, 1.0, 1.0, 1.0));
        assert_eq!((of("md1").state, of("md1").synced), ("recovering", 16_775_552.0));
        assert_eq!((of("md2").total, of("md2").active, of("md2").synced), (2.0, 2.0, 314_159_265.0));
        assert_eq!((of("md3").state, of("md3").spare, of("md3").total), ("inactive", 2.0, 0.0));
        assert_eq!((of("md4").state, of("md4").synced), ("resyncing", 0.0));
        assert_eq!(arrays.len(), 5);
    }

    #[test]
    fn numbers_with_units_are_read() {
        for (text, want) in [
            ("0", Some(0.0)),
            ("512", Some(512.0)),
            ("4k", Some(4096.0)),
            ("20.4G", Some(21_894_266_880.0)),
            ("x", None),
        ] {
            assert_eq!(human(text), want, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_panics(text in "(md[0-9] : (active|inactive) |raid[016] |[0-9]+ blocks |\\[[0-9/]*\\] |\n|recovery|\\(|\\PC){0,20}") {
            let _ = (arrays(&text), human(&text), kstats(&text).count());
        }
    }
}
