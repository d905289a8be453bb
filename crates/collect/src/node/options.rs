//! The flags of node_exporter.

use std::{collections::BTreeSet, time::Duration};

use reba_model::GoRegex;

use super::{
    COLLECTORS,
    filter::{DeviceFilter, FieldFilter, expression},
};
use crate::flags::{
    Flag, FlagError, Flags,
    Takes::{self, Nothing, Text},
    WEB, refuse_web, wrong,
};

const fn flag(name: &'static str, takes: Takes, default: &'static str, help: &'static str) -> Flag {
    Flag::new(name, "", takes, default, help)
}

/// A flag that says where something is; containers say it in their environment.
const fn path(name: &'static str, env: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag::new(name, env, Text, default, help)
}

/// Flags beside those that switch collectors. Those without help are old spellings, or without effect here.
const FLAGS: &[Flag] = &[
    path("path.procfs", "NODE_EXPORTER_PROCFS", "/proc", "Where /proc is."),
    path("path.sysfs", "NODE_EXPORTER_SYSFS", "/sys", "Where /sys is."),
    path(
        "path.rootfs",
        "NODE_EXPORTER_ROOTFS",
        "/",
        "Where the host's root is: its mount points are shown without this.",
    ),
    path("path.udev.data", "NODE_EXPORTER_UDEV_DATA", "/run/udev/data", "Where udev keeps what it knows."),
    flag("web.listen-address", Text, "", "Where to listen, as :9100."),
    flag("web.telemetry-path", Text, "/metrics", "The path of the page."),
    flag("web.max-requests", Text, "40", "Scrapes at once; 0: no limit."),
    flag("web.disable-exporter-metrics", Nothing, "", "Leave out process_, go_ and promhttp_ metrics."),
    flag("collector.disable-defaults", Nothing, "", "Run only the collectors that are switched on."),
    flag("collector.arp.device-exclude", Text, "", "Devices that arp leaves out."),
    flag("collector.arp.device-include", Text, "", "The only devices that arp shows."),
    flag("collector.arp.netlink", Nothing, "true", ""),
    flag("collector.bcache.priorityStats", Nothing, "", "Read bcache's priority statistics, which are slow."),
    flag("collector.cpu.guest", Nothing, "true", "Show the time of guests."),
    flag("collector.cpu.info", Nothing, "", "Show what the processors are."),
    flag(
        "collector.cpu.info.flags-include",
        Text,
        "",
        "Flags of processors to show; implies collector.cpu.info.",
    ),
    flag(
        "collector.cpu.info.bugs-include",
        Text,
        "",
        "Faults of processors to show; implies collector.cpu.info.",
    ),
    flag(
        "collector.diskstats.device-exclude",
        Text,
        r"^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        "Disks that diskstats leaves out.",
    ),
    flag("collector.diskstats.device-include", Text, "", "The only disks that diskstats shows."),
    flag("collector.diskstats.ignored-devices", Text, "", ""),
    flag(
        "collector.filesystem.mount-points-exclude",
        Text,
        r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
        "Mount points that filesystem leaves out.",
    ),
    flag("collector.filesystem.ignored-mount-points", Text, "", ""),
    flag(
        "collector.filesystem.fs-types-exclude",
        Text,
        "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$",
        "Types of file systems that filesystem leaves out.",
    ),
    flag("collector.filesystem.ignored-fs-types", Text, "", ""),
    flag("collector.filesystem.mount-timeout", Text, "5s", "How long a file system may take to answer."),
    flag("collector.filesystem.stat-workers", Text, "4", ""),
    flag("collector.hwmon.chip-exclude", Text, "", "Chips that hwmon leaves out."),
    flag("collector.hwmon.chip-include", Text, "", "The only chips that hwmon shows."),
    flag(
        "collector.ipvs.backend-labels",
        Text,
        "local_address,local_port,remote_address,remote_port,proto,local_mark",
        "Labels of ipvs' servers; those that differ in others are added up.",
    ),
    flag("collector.netclass.ignored-devices", Text, "^$", "Devices that netclass leaves out."),
    flag("collector.netclass.ignore-invalid-speed", Nothing, "", "Leave out speeds below zero."),
    flag("collector.netclass.netlink", Nothing, "", ""),
    flag("collector.netdev.device-exclude", Text, "", "Devices that netdev leaves out."),
    flag("collector.netdev.device-include", Text, "", "The only devices that netdev shows."),
    flag("collector.netdev.device-blacklist", Text, "", ""),
    flag("collector.netdev.device-whitelist", Text, "", ""),
    flag("collector.netdev.address-info", Nothing, "", ""),
    flag("collector.netdev.netlink", Nothing, "true", ""),
    flag("collector.netdev.enable-detailed-metrics", Nothing, "", "Show errors of devices by their kinds."),
    flag(
        "collector.netstat.fields",
        Text,
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
        "Fields that netstat shows.",
    ),
    flag("collector.powersupply.ignored-supplies", Text, "^$", "Supplies that powersupplyclass leaves out."),
    flag("collector.rapl.enable-zone-label", Nothing, "", "Name rapl's zones in a label."),
    flag("collector.stat.softirq", Nothing, "", "Count deferred interrupts by kind."),
    flag("collector.systemd.unit-include", Text, ".+", "Units that systemd shows."),
    flag(
        "collector.systemd.unit-exclude",
        Text,
        r".+\.(automount|device|mount|scope|slice)",
        "Units that systemd leaves out.",
    ),
    flag("collector.systemd.unit-whitelist", Text, "", ""),
    flag("collector.systemd.unit-blacklist", Text, "", ""),
    flag("collector.systemd.private", Nothing, "", ""),
    flag("collector.systemd.enable-task-metrics", Nothing, "", "Show the tasks of services."),
    flag("collector.systemd.enable-restarts-metrics", Nothing, "", "Count restarts of services."),
    flag("collector.systemd.enable-start-time-metrics", Nothing, "", "Show when units started."),
    flag("collector.tapestats.ignored-devices", Text, "^$", "Tapes that tapestats leaves out."),
    flag("collector.textfile.directory", Text, "", "A folder of *.prom files; may have wildcards."),
    flag("collector.vmstat.fields", Text, "^(oom_kill|pgpg|pswp|pg.*fault).*", "Fields that vmstat shows."),
    flag("runtime.gomaxprocs", Text, "1", ""),
    flag("log.level", Text, "info", ""),
    flag("log.format", Text, "logfmt", ""),
];

/// Collectors that there are not. They are off in upstream's program, or were on in an older one: that somebody switches them off
/// is nothing to stop at.
const ABSENT: [&str; 21] = [
    "collector.buddyinfo",
    "collector.cgroups",
    "collector.cpu_vulnerabilities",
    "collector.drbd",
    "collector.drm",
    "collector.ethtool",
    "collector.ksmd",
    "collector.lnstat",
    "collector.logind",
    "collector.meminfo_numa",
    "collector.mountstats",
    "collector.network_route",
    "collector.ntp",
    "collector.perf",
    "collector.qdisc",
    "collector.runit",
    "collector.slabinfo",
    "collector.supervisord",
    "collector.tcpstat",
    "collector.wifi",
    "collector.zoneinfo",
];

/// Every flag: those above, and one for each collector.
pub fn all() -> Vec<Flag> {
    let switches = COLLECTORS.iter().map(|collector| Flag {
        name: collector.flag,
        env: "",
        takes: Nothing,
        default: if collector.default { "true" } else { "false" },
        help: collector.help,
    });
    let absent = ABSENT.iter().map(|name| Flag::new(name, "", Nothing, "", ""));
    FLAGS.iter().copied().chain(WEB).chain(switches).chain(absent).collect()
}

/// The collectors that run.
pub fn enabled(flags: &Flags) -> BTreeSet<&'static str> {
    let none = flags.on("collector.disable-defaults");
    let runs = |flag: &str| flags.on(flag) && (!none || flags.given(flag));
    COLLECTORS.iter().filter(|collector| runs(collector.flag)).map(|collector| collector.name).collect()
}

/// What the flags say, understood.
#[derive(Debug)]
pub struct Options {
    pub listen: Option<String>,
    pub telemetry_path: String,
    pub max_requests: u64,
    pub without_own: bool,
    pub arp_devices: DeviceFilter,
    pub bcache_priority: bool,
    pub cpu_guest: bool,
    pub cpu_info: bool,
    pub cpu_flags: Option<GoRegex>,
    pub cpu_bugs: Option<GoRegex>,
    pub disks: DeviceFilter,
    pub mount_points_exclude: Option<GoRegex>,
    pub fs_types_exclude: Option<GoRegex>,
    pub mount_timeout: Duration,
    pub hwmon_chips: DeviceFilter,
    pub ipvs_labels: Vec<String>,
    pub netclass_ignored: Option<GoRegex>,
    pub netclass_valid_speed: bool,
    pub netdev_devices: DeviceFilter,
    pub netdev_details: bool,
    pub netstat_fields: FieldFilter,
    pub supplies_ignored: Option<GoRegex>,
    pub rapl_zone_label: bool,
    pub stat_softirq: bool,
    pub systemd_include: GoRegex,
    pub systemd_exclude: GoRegex,
    pub systemd_tasks: bool,
    pub systemd_restarts: bool,
    pub systemd_start_times: bool,
    pub tapes_ignored: Option<GoRegex>,
    pub textfile_directory: String,
    pub vmstat_fields: FieldFilter,
}

impl Options {
    /// Understands `flags`.
    pub fn new(flags: &Flags) -> Result<Self, FlagError> {
        refuse_web(flags)?;
        if let Some(flag) = ABSENT.iter().find(|flag| flags.on(flag)) {
            return Err(wrong(format!("--{flag}: there is no such collector here")));
        }
        if flags.on("collector.netdev.address-info") {
            return Err(wrong("--collector.netdev.address-info is not supported here"));
        }
        let (cpu_flags, cpu_bugs) = (
            expression(flags, "collector.cpu.info.flags-include")?,
            expression(flags, "collector.cpu.info.bugs-include")?,
        );
        let netdev = [
            renamed(flags, "collector.netdev.device-exclude", "collector.netdev.device-blacklist")?,
            renamed(flags, "collector.netdev.device-include", "collector.netdev.device-whitelist")?,
        ];
        let disks =
            renamed(flags, "collector.diskstats.device-exclude", "collector.diskstats.ignored-devices")?;
        let points = "collector.filesystem.mount-points-exclude";
        let points = renamed(flags, points, "collector.filesystem.ignored-mount-points")?;
        let types = "collector.filesystem.fs-types-exclude";
        let types = renamed(flags, types, "collector.filesystem.ignored-fs-types")?;
        Ok(Options {
            listen: flags.texts("web.listen-address").last().cloned(),
            telemetry_path: flags.text("web.telemetry-path").to_owned(),
            max_requests: flags.number("web.max-requests")?,
            without_own: flags.on("web.disable-exporter-metrics"),
            arp_devices: DeviceFilter::new(
                flags,
                "collector.arp.device-exclude",
                "collector.arp.device-include",
            )?,
            bcache_priority: flags.on("collector.bcache.priorityStats"),
            cpu_guest: flags.on("collector.cpu.guest"),
            cpu_info: flags.on("collector.cpu.info") || cpu_flags.is_some() || cpu_bugs.is_some(),
            cpu_flags,
            cpu_bugs,
            disks: DeviceFilter::new(flags, disks, "collector.diskstats.device-include")?,
            mount_points_exclude: expression(flags, points)?,
            fs_types_exclude: expression(flags, types)?,
            mount_timeout: flags.time("collector.filesystem.mount-timeout")?,
            hwmon_chips: DeviceFilter::new(
                flags,
                "collector.hwmon.chip-exclude",
                "collector.hwmon.chip-include",
            )?,
            ipvs_labels: ipvs_labels(flags)?,
            netclass_ignored: expression(flags, "collector.netclass.ignored-devices")?,
            netclass_valid_speed: flags.on("collector.netclass.ignore-invalid-speed"),
            netdev_devices: DeviceFilter::new(flags, netdev[0], netdev[1])?,
            netdev_details: flags.on("collector.netdev.enable-detailed-metrics"),
            netstat_fields: FieldFilter::new(flags, "collector.netstat.fields")?,
            supplies_ignored: expression(flags, "collector.powersupply.ignored-supplies")?,
            rapl_zone_label: flags.on("collector.rapl.enable-zone-label"),
            stat_softirq: flags.on("collector.stat.softirq"),
            systemd_include: units(
                flags,
                "collector.systemd.unit-include",
                "collector.systemd.unit-whitelist",
            )?,
            systemd_exclude: units(
                flags,
                "collector.systemd.unit-exclude",
                "collector.systemd.unit-blacklist",
            )?,
            systemd_tasks: flags.on("collector.systemd.enable-task-metrics"),
            systemd_restarts: flags.on("collector.systemd.enable-restarts-metrics"),
            systemd_start_times: flags.on("collector.systemd.enable-start-time-metrics"),
            tapes_ignored: expression(flags, "collector.tapestats.ignored-devices")?,
            textfile_directory: flags.text("collector.textfile.directory").to_owned(),
            vmstat_fields: FieldFilter::new(flags, "collector.vmstat.fields")?,
        })
    }
}

/// The flag that counts: the old spelling if somebody uses it. Both at once are an error.
fn renamed(flags: &Flags, new: &'static str, old: &'static str) -> Result<&'static str, FlagError> {
    match (flags.given(old), flags.given(new)) {
        (true, true) => Err(wrong(format!("--{old} and --{new} exclude each other"))),
        (true, false) => Ok(old),
        _ => Ok(new),
    }
}

/// Names of units match as a whole.
fn units(flags: &Flags, new: &'static str, old: &'static str) -> Result<GoRegex, FlagError> {
    let flag = renamed(flags, new, old)?;
    GoRegex::anchored(flags.text(flag)).map_err(|e| wrong(format!("--{flag}: {e}")))
}

fn ipvs_labels(flags: &Flags) -> Result<Vec<String>, FlagError> {
    const ALL: [&str; 6] =
        ["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];
    let said: Vec<&str> =
        flags.text("collector.ipvs.backend-labels").split(',').filter(|label| !label.is_empty()).collect();
    match said.iter().find(|label| !ALL.contains(label)) {
        Some(label) => Err(wrong(format!("--collector.ipvs.backend-labels: unknown label {label:?}"))),
        None => {
            Ok(ALL.iter().filter(|label| said.contains(label)).map(|label| (*label).to_owned()).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Style;

    fn parse(args: &[&str]) -> Result<(Options, BTreeSet<&'static str>), FlagError> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let flags = Flags::parse("node", &all(), Style::Kingpin, &args, &|_| None)?;
        Ok((Options::new(&flags)?, enabled(&flags)))
    }

    #[test]
    fn the_flags_that_deployments_carry_are_taken() {
        // Those of kube-prometheus.
        let (options, on) = parse(&[
            "--web.listen-address=127.0.0.1:9100",
            "--path.sysfs=/host/sys",
            "--path.rootfs=/host/root",
            "--path.udev.data=/host/root/run/udev/data",
            "--no-collector.wifi",
            "--no-collector.hwmon",
            "--no-collector.btrfs",
            "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/k3s/containerd/.+)($|/)",
            "--collector.netclass.ignored-devices=^(veth.*|[a-f0-9]{15})$",
            "--collector.netdev.device-exclude=^(veth.*|[a-f0-9]{15})$",
        ])
        .unwrap();
        assert_eq!(options.listen.as_deref(), Some("127.0.0.1:9100"));
        assert!(!on.contains("hwmon") && !on.contains("btrfs") && on.contains("cpu") && on.len() == 43);
        assert!(options.netdev_devices.ignores("veth12") && !options.netdev_devices.ignores("eth0"));
        assert!(options.mount_points_exclude.unwrap().is_match("/run/k3s/containerd/x"));
    }

    #[test]
    fn collectors_are_chosen_one_by_one_or_all_but_some() {
        let (_, on) =
            parse(&["--collector.disable-defaults", "--collector.cpu", "--collector.systemd"]).unwrap();
        assert_eq!(on, BTreeSet::from(["cpu", "systemd"]));
        let (_, on) = parse(&["--no-collector.cpu", "--collector.interrupts"]).unwrap();
        assert!(!on.contains("cpu") && on.contains("interrupts") && !on.contains("systemd"));
        assert_eq!(parse(&[]).unwrap().1.len(), 45);
    }

    #[test]
    fn what_is_not_there_or_contradicts_itself_is_said() {
        for (args, want) in [
            (&["--collector.wifi"][..], "--collector.wifi: there is no such collector here"),
            (&["--web.config.file=x"], "web.config_file of reba.yml"),
            (&["--web.systemd-socket"], "not supported here"),
            (&["--collector.netdev.address-info"], "not supported here"),
            (
                &["--collector.netdev.device-exclude=a", "--collector.netdev.device-include=b"],
                "exclude each other",
            ),
            (
                &["--collector.filesystem.ignored-fs-types=a", "--collector.filesystem.fs-types-exclude=b"],
                "exclude each other",
            ),
            (&["--collector.vmstat.fields=("], "--collector.vmstat.fields"),
            (&["--collector.ipvs.backend-labels=nope"], "unknown label"),
        ] {
            let error = parse(args).err().unwrap().to_string();
            assert!(error.contains(want), "{args:?}: {error}");
        }
        let (options, _) = parse(&["--collector.filesystem.ignored-fs-types=^nfs"]).unwrap();
        assert!(options.fs_types_exclude.unwrap().is_match("nfs4"));
    }
}
