//! Trees of `/proc` and `/sys`, written by hand, of hosts that are not like the one the tests run on.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use reba_collect::node::Node;
use tempfile::TempDir;

/// A host whose files are these; the first part of a path is `proc`, `sys`, `root` or `udev`.
struct Host(TempDir);

impl Host {
    fn with(files: &[(&str, &str)]) -> Self {
        let host = Host(tempfile::tempdir().unwrap());
        for root in ["proc", "sys", "root", "udev"] {
            fs::create_dir(host.path(root)).unwrap();
        }
        for (path, text) in files {
            host.write(path, text);
        }
        host
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn page(&self, collector: &str, flags: &[&str]) -> String {
        let mut args: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        for (flag, root) in [("procfs", "proc"), ("sysfs", "sys"), ("rootfs", "root"), ("udev.data", "udev")]
        {
            args.push(format!("--path.{flag}={}", self.path(root).display()));
        }
        args.push(format!("--collector.{collector}"));
        let node = Node::new(&args, &|_| None).unwrap();
        let text = node.page(&BTreeSet::from([collector])).text();
        text.replace(self.0.path().to_str().unwrap(), "HOST")
    }
}

#[track_caller]
fn has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|l| l == *line), "missing: {line}\n{page}");
    }
}

#[test]
fn a_container_sees_its_hosts_file_systems_without_the_prefix() {
    let host = Host::with(&[]);
    let root = host.path("root");
    fs::create_dir_all(root.join("data disk")).unwrap();
    let root = root.display().to_string();
    host.write(
        "proc/1/mounts",
        &format!(
            "/dev/sda1 {root} ext4 ro,relatime 0 0\n/dev/sdb1 {root}/data\\040disk xfs rw 0 0\n\
             nas:/export {root}/mnt/nas nfs4 rw,hard 0 0\ntmpfs {root}/run/credentials/x tmpfs rw 0 0\n\
             overlay {root}/var/lib/docker/overlay2/1/merged overlay rw 0 0\n/dev/sdb1 {root}/data\\040disk xfs rw 0 0\n"
        ),
    );
    let page = host.page("filesystem", &[]);
    has(
        &page,
        &[
            "node_filesystem_readonly{device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"} 1",
            "node_filesystem_device_error{device=\"/dev/sdb1\",fstype=\"xfs\",mountpoint=\"/data disk\"} 0",
            // The server of files is away.
            "node_filesystem_device_error{device=\"nas:/export\",fstype=\"nfs4\",mountpoint=\"/mnt/nas\"} 1",
        ],
    );
    assert!(!page.contains("credentials") && !page.contains("overlay"), "{page}");
    assert!(!page.contains("node_filesystem_size_bytes{device=\"nas"), "{page}");
    let page = host.page("filesystem", &["--collector.filesystem.fs-types-exclude=^nfs"]);
    assert!(!page.contains("nas:/export"));
}

#[test]
fn bonds_count_their_devices_and_those_that_are_up() {
    let host = Host::with(&[
        ("sys/class/net/bonding_masters", "bond0 bond1\n"),
        ("sys/class/net/bond0/bonding/slaves", "eth0 eth1\n"),
        ("sys/class/net/bond0/lower_eth0/bonding_slave/mii_status", "up\n"),
        ("sys/class/net/bond0/slave_eth1/bonding_slave/mii_status", "down\n"),
        ("sys/class/net/bond1/bonding/slaves", "\n"),
    ]);
    has(
        &host.page("bonding", &[]),
        &[
            "node_bonding_slaves{master=\"bond0\"} 2",
            "node_bonding_active{master=\"bond0\"} 1",
            "node_bonding_slaves{master=\"bond1\"} 0",
            "node_scrape_collector_success{collector=\"bonding\"} 1",
        ],
    );
}

#[test]
fn a_thousand_disks_of_old_and_new_kernels_are_told() {
    let mut text = String::new();
    for n in 0..1000 {
        text.push_str(&format!("   8 {n} disk{n} {n} 2 4 8 5 6 8 9 1 11 12 13 14 15 16 17 18\n"));
    }
    text.push_str("   8 16 sda1 1 1 1 1 1 1 1 1 1 1 1\n   2 0 old 1 2 3 4 5 6 7 8 9 10 11\n");
    let host = Host::with(&[
        ("proc/diskstats", &text),
        (
            "udev/b8:7",
            "S:disk/by-id/x\nE:ID_MODEL=Model\nE:ID_SERIAL_SHORT=S1\nE:ID_ATA=1\nE:ID_ATA_ROTATION_RATE_RPM=7200\nE:DM_NAME=vg-root\n",
        ),
    ]);
    let page = host.page("diskstats", &[]);
    has(
        &page,
        &[
            "node_disk_reads_completed_total{device=\"disk999\"} 999",
            "node_disk_read_bytes_total{device=\"disk3\"} 2048",
            "node_disk_read_time_seconds_total{device=\"disk3\"} 0.008",
            "node_disk_flush_requests_time_seconds_total{device=\"disk3\"} 0.018",
            "node_disk_info{device=\"disk7\",major=\"8\",minor=\"7\",model=\"Model\",path=\"\",revision=\"\",serial=\"S1\",wwn=\"\"} 1",
            "node_disk_ata_rotation_rate_rpm{device=\"disk7\"} 7200",
            "node_disk_io_time_weighted_seconds_total{device=\"old\"} 0.011",
        ],
    );
    assert!(!page.contains("sda1") && !page.contains("node_disk_flush_requests_total{device=\"old\""));
}

#[test]
fn sensors_are_named_by_their_devices() {
    let host = Host::with(&[
        ("sys/devices/platform/coretemp.0/uevent", ""),
        ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "55000\n"),
        ("sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
        ("sys/class/hwmon/hwmon0/temp1_crit_alarm", "0\n"),
        ("sys/class/hwmon/hwmon1/fan2_input", "1098\n"),
        ("sys/class/hwmon/hwmon1/pwm1", "160\n"),
        ("sys/class/hwmon/hwmon1/pwm1_mode", "1\n"),
    ]);
    symlink(host.path("sys/devices/platform/coretemp.0"), host.path("sys/class/hwmon/hwmon0/device"))
        .unwrap();
    has(
        &host.page("hwmon", &[]),
        &[
            "node_hwmon_temp_celsius{chip=\"platform_coretemp_0\",sensor=\"temp1\"} 55",
            "node_hwmon_temp_crit_alarm_celsius{chip=\"platform_coretemp_0\",sensor=\"temp1\"} 0",
            "node_hwmon_sensor_label{chip=\"platform_coretemp_0\",label=\"Package id 0\",sensor=\"temp1\"} 1",
            "node_hwmon_chip_names{chip=\"platform_coretemp_0\",chip_name=\"coretemp\"} 1",
            "node_hwmon_fan_rpm{chip=\"hwmon1\",sensor=\"fan2\"} 1098",
            "node_hwmon_pwm{chip=\"hwmon1\",sensor=\"pwm1\"} 160",
            "node_hwmon_pwm_mode{chip=\"hwmon1\",sensor=\"pwm1\"} 1",
        ],
    );
}

#[test]
fn processors_that_are_hot_or_kept_apart_are_told() {
    let host = Host::with(&[
        (
            "proc/stat",
            "cpu  1 2 3 4\ncpu0 100 200 300 400 500 600 700 800 900 1000\ncpu10 1 1 1 1\nintr 5 1 2\n",
        ),
        ("sys/devices/system/cpu/isolated", "10\n"),
        ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "5\n"),
        ("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "30\n"),
        ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
        ("sys/devices/system/cpu/cpu0/topology/core_id", "3\n"),
        ("sys/devices/system/cpu/cpu1/topology/core_id", "1\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors", "performance powersave\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1699981\n"),
    ]);
    has(
        &host.page("cpu", &[]),
        &[
            "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 8",
            "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 10",
            "node_cpu_isolated{cpu=\"10\"} 1",
            "node_cpu_core_throttles_total{core=\"3\",package=\"0\"} 5",
            "node_cpu_package_throttles_total{package=\"0\"} 30",
        ],
    );
    has(
        &host.page("cpufreq", &[]),
        &[
            "node_cpu_scaling_governor{cpu=\"0\",governor=\"performance\"} 0",
            "node_cpu_scaling_governor{cpu=\"0\",governor=\"powersave\"} 1",
            "node_cpu_scaling_frequency_hertz{cpu=\"0\"} 1.699981e+09",
        ],
    );
}

#[test]
fn devices_that_do_not_know_their_speed_say_so_or_nothing() {
    let host = Host::with(&[
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth0/speed", "-1\n"),
        ("sys/class/net/eth0/mtu", "9000\n"),
        ("sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
        ("sys/class/net/bonding_masters", "\n"),
        (
            "proc/net/dev",
            "Inter-| Receive\n face |bytes\n  eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n eth0:1: 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        ),
    ]);
    has(
        &host.page("netclass", &[]),
        &[
            "node_network_speed_bytes{device=\"eth0\"} -125000",
            "node_network_flags{device=\"eth0\"} 4099",
            "node_network_mtu_bytes{device=\"eth0\"} 9000",
            "node_network_info{address=\"02:fc:00:00:00:01\",adminstate=\"up\",broadcast=\"\",device=\"eth0\",duplex=\"\",ifalias=\"\",operstate=\"up\"} 1",
        ],
    );
    assert!(!host.page("netclass", &["--collector.netclass.ignore-invalid-speed"]).contains("speed_bytes"));
    has(
        &host.page("netdev", &[]),
        &[
            "node_network_receive_multicast_total{device=\"eth0\"} 8",
            "node_network_transmit_carrier_total{device=\"eth0\"} 15",
            "node_network_receive_bytes_total{device=\"eth0:1\"} 1",
        ],
    );
}

#[test]
fn an_empty_host_has_no_data_and_no_collector_fails_the_page() {
    let host = Host::with(&[]);
    let mut args: Vec<String> = ["procfs=proc", "sysfs=sys", "rootfs=root", "udev.data=udev"]
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(flag, root)| format!("--path.{flag}={}", host.path(root).display()))
        .into();
    args.push("--collector.processes".to_owned());
    let page = Node::new(&args, &|_| None).unwrap().page(&BTreeSet::new()).text();
    for collector in ["cpu", "meminfo", "netdev", "nfs", "zfs", "mdadm", "hwmon", "filesystem", "conntrack"] {
        has(&page, &[&format!("node_scrape_collector_success{{collector=\"{collector}\"}} 0")]);
    }
    has(&page, &["node_scrape_collector_success{collector=\"uname\"} 1"]);
}

#[test]
fn file_systems_with_statistics_of_their_own_are_told() {
    let host = Host::with(&[
        (
            "sys/fs/xfs/sda1/stats/stats",
            "extent_alloc 1 872 0 0\nrw 28 7\nvnodes 4 0 0 0 1 1 1 0\nxpc 0 0 0\n",
        ),
        (
            "proc/spl/kstat/zfs/arcstats",
            "6 1 0x01 91 4368 1 2\nname type data\nhits 4 8772612\nc_max 4 10\nx 7 text\n",
        ),
        ("proc/spl/kstat/zfs/tank/state", "DEGRADED\n"),
        (
            "proc/spl/kstat/zfs/tank/io",
            "12 3 0x00 1 80 7 8\nnread nwritten reads writes wtime wlentime wupdate rtime rlentime rupdate wcnt rcnt\n11 22 33 44 0 0 0 0 0 0 0 0\n",
        ),
        (
            "proc/spl/kstat/zfs/tank/objset-1",
            "36 1 0x01 7 2160 1 2\nname type data\ndataset_name 7 tank/home\nwrites 4 5\n",
        ),
        ("sys/fs/btrfs/u-1/allocation/global_rsv_size", "16777216\n"),
        ("sys/fs/btrfs/u-1/label", "fixture\n"),
        ("sys/fs/btrfs/u-1/devices/loop22/size", "20971520\n"),
        ("sys/fs/btrfs/u-1/allocation/data/bytes_reserved", "0\n"),
        ("sys/fs/btrfs/u-1/allocation/data/raid1/total_bytes", "100\n"),
        ("sys/fs/btrfs/u-1/allocation/data/raid1/used_bytes", "50\n"),
        ("sys/fs/btrfs/features/raid56", "0\n"),
    ]);
    has(
        &host.page("xfs", &[]),
        &[
            "node_xfs_extent_allocation_blocks_allocated_total{device=\"sda1\"} 872",
            "node_xfs_read_calls_total{device=\"sda1\"} 7",
        ],
    );
    has(
        &host.page("zfs", &[]),
        &[
            "node_zfs_arc_hits 8.772612e+06",
            "node_zfs_zpool_state{state=\"degraded\",zpool=\"tank\"} 1",
            "node_zfs_zpool_nwritten{zpool=\"tank\"} 22",
            "node_zfs_zpool_dataset_writes{dataset=\"tank/home\",zpool=\"tank\"} 5",
        ],
    );
    has(
        &host.page("btrfs", &[]),
        &[
            "node_btrfs_device_size_bytes{device=\"loop22\",uuid=\"u-1\"} 1.073741824e+10",
            "node_btrfs_allocation_ratio{block_group_type=\"data\",mode=\"raid1\",uuid=\"u-1\"} 2",
            "node_btrfs_info{label=\"fixture\",uuid=\"u-1\"} 1",
        ],
    );
}

#[test]
fn wrong_flags_are_refused_with_their_names() {
    for (flags, want) in [
        (&["--collector.nope"][..], "unknown flag"),
        (&["--collector.ethtool"][..], "no such collector here"),
        (
            &["--collector.netdev.device-include=a", "--collector.netdev.device-exclude=b"][..],
            "exclude each other",
        ),
        (&["--collector.diskstats.device-exclude=("][..], "collector.diskstats.device-exclude"),
        (&["--collector.filesystem.mount-timeout=soon"][..], "mount-timeout"),
    ] {
        let args: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let error = Node::new(&args, &|_| None).err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
    }
}
