//! A host, in the words of node_exporter 1.7.
//!
//! A collector is a function that reads files and writes rows. [`COLLECTORS`] lists them; one that fails costs its own rows only.

#![expect(clippy::unnecessary_wraps, reason = "all collectors have one shape")]

mod cpu;
mod disk;
mod fabric;
mod files;
mod filesystem;
mod filter;
mod interrupts;
mod kernel;
mod memory;
mod net;
mod options;
mod processes;
mod sensors;
mod storage;
mod systemd;
mod textfile;
mod time;

use std::{collections::BTreeSet, io, time::Instant};

use http::StatusCode;
use parking_lot::Mutex;
use thiserror::Error;

pub use files::{Files, Roots};
use options::{Options, enabled};

use crate::{
    flags::{FlagError, Flags, Style},
    own::{Build, Process, Promhttp},
    page::Page,
    web::{Answer, Question, index, say},
};

/// The upstream's version whose names these are.
const BUILD: Build = Build::like("1.7.0");

/// The system's bus.
const BUS: &str = "/run/dbus/system_bus_socket";

/// Why a collector has nothing to tell.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// This host has nothing of the kind.
    #[error("there is nothing of the kind on this host")]
    NoData,
    /// It went wrong.
    #[error("{0}")]
    Failed(String),
}

impl Fault {
    fn failed(text: impl Into<String>) -> Self {
        Fault::Failed(text.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Fault::NoData,
            _ => Fault::Failed(error.to_string()),
        }
    }
}

pub(crate) type Outcome = Result<(), Fault>;

type Collect = fn(&Node, &mut Files<'_>, &mut Page) -> Outcome;

/// A collector.
pub(crate) struct Collector {
    pub(crate) name: &'static str,
    /// The flag that switches it.
    pub(crate) flag: &'static str,
    /// Whether it runs unless told otherwise.
    pub(crate) default: bool,
    pub(crate) help: &'static str,
    collect: Collect,
}

/// A collector with the flag of its name.
macro_rules! collector {
    ($name:literal, $default:literal, $collect:path, $help:literal) => {
        Collector {
            name: $name,
            flag: concat!("collector.", $name),
            default: $default,
            help: $help,
            collect: $collect,
        }
    };
}

/// All of them, by name.
pub(crate) const COLLECTORS: &[Collector] = &[
    collector!("arp", true, net::arp, "Neighbours by device."),
    collector!("bcache", true, storage::bcache, "Caches in front of disks."),
    collector!("bonding", true, net::bonding, "Bonded devices."),
    collector!("btrfs", true, storage::btrfs, "File systems Btrfs."),
    collector!("conntrack", true, net::conntrack, "Tracked connections."),
    collector!("cpu", true, cpu::cpu, "Time of processors."),
    collector!("cpufreq", true, cpu::cpufreq, "Frequencies of processors."),
    collector!("diskstats", true, disk::diskstats, "Work of disks."),
    collector!("dmi", true, kernel::dmi, "What the firmware says of the machine."),
    collector!("edac", true, sensors::edac, "Errors of memory."),
    collector!("entropy", true, kernel::entropy, "Entropy at hand."),
    collector!("fibrechannel", true, fabric::fibrechannel, "Adapters of Fibre Channel."),
    collector!("filefd", true, kernel::filefd, "Open files."),
    collector!("filesystem", true, filesystem::filesystem, "Space in file systems."),
    collector!("hwmon", true, sensors::hwmon, "Sensors and fans."),
    collector!("infiniband", true, fabric::infiniband, "InfiniBand."),
    collector!("interrupts", false, interrupts::interrupts, "Interrupts by source and processor."),
    collector!("ipvs", true, fabric::ipvs, "Load balancing in the kernel."),
    collector!("loadavg", true, kernel::loadavg, "Load averages."),
    collector!("mdadm", true, storage::mdadm, "Arrays of disks."),
    collector!("meminfo", true, memory::meminfo, "Memory."),
    collector!("netclass", true, net::class::netclass, "Properties of network devices."),
    collector!("netdev", true, net::netdev, "Traffic of network devices."),
    collector!("netstat", true, net::netstat, "Counters of network protocols."),
    collector!("nfs", true, fabric::nfs, "The client of NFS."),
    collector!("nfsd", true, fabric::nfsd, "The server of NFS."),
    collector!("nvme", true, storage::nvme, "NVMe devices."),
    collector!("os", true, kernel::os, "The operating system's release."),
    collector!("powersupplyclass", true, sensors::power_supplies, "Power supplies."),
    collector!("pressure", true, kernel::pressure, "Time lost for want of processors, memory and disks."),
    collector!("processes", false, processes::processes, "Processes and threads by state."),
    collector!("rapl", true, sensors::rapl, "Energy used by processors."),
    collector!("schedstat", true, cpu::schedstat, "Work of the scheduler."),
    collector!("selinux", true, kernel::selinux, "SELinux."),
    collector!("sockstat", true, net::sockstat, "Sockets."),
    collector!("softirqs", false, interrupts::softirqs, "Work put off by interrupts, by kind and processor."),
    collector!("softnet", true, cpu::softnet, "Packets on their way to processors."),
    collector!("stat", true, kernel::stat, "Interrupts, context switches, processes."),
    collector!("systemd", false, systemd::systemd, "Units of systemd."),
    collector!("tapestats", true, storage::tapestats, "Tape drives."),
    collector!("textfile", true, textfile::textfile, "Metrics that stand in files."),
    collector!("thermal_zone", true, sensors::thermal_zone, "Temperatures and cooling."),
    collector!("time", true, time::time, "The host's time."),
    collector!("timex", true, time::timex, "How well the clock is set."),
    collector!("udp_queues", true, net::udp_queues, "Bytes in the queues of UDP."),
    collector!("uname", true, kernel::uname, "The kernel's release."),
    collector!("vmstat", true, memory::vmstat, "Counters of virtual memory."),
    collector!("xfs", true, storage::xfs, "File systems XFS."),
    collector!("zfs", true, storage::zfs, "File systems ZFS."),
];

/// The exporter of a host.
pub struct Node {
    roots: Roots,
    options: Options,
    enabled: BTreeSet<&'static str>,
    cpu_times: Mutex<cpu::Times>,
    mounts: filesystem::Mounts,
    bus_path: String,
    process: Process,
    http: Promhttp,
}

impl Node {
    /// An exporter that is started with these flags.
    pub fn new(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        let flags = Flags::parse("node", &options::all(), Style::Kingpin, args, env)?;
        let options = Options::new(&flags)?;
        let text = |flag: &str| flags.text(flag).to_owned();
        Ok(Node {
            roots: Roots {
                proc: text("path.procfs"),
                sys: text("path.sysfs"),
                root: text("path.rootfs"),
                udev: text("path.udev.data"),
            },
            enabled: enabled(&flags),
            cpu_times: Mutex::default(),
            mounts: filesystem::Mounts::new(options.mount_timeout),
            bus_path: BUS.to_owned(),
            options,
            process: Process::new(),
            http: Promhttp::default(),
        })
    }

    /// Where the flags want it to listen.
    pub fn listen(&self) -> Option<&str> {
        self.options.listen.as_deref()
    }

    /// Answers a request. Blocks while it reads files.
    pub fn answer(&self, question: &Question) -> Answer {
        if question.path != self.options.telemetry_path {
            return match question.path.as_str() {
                "/" => index("Node Exporter", &[(&self.options.telemetry_path, "Metrics")]),
                _ => say(StatusCode::NOT_FOUND, "404 page not found\n"),
            };
        }
        let Some(_busy) = self.http.begin(self.options.max_requests) else {
            let text = format!(
                "Limit of concurrent requests reached ({}), try again later.\n",
                self.options.max_requests
            );
            return say(StatusCode::SERVICE_UNAVAILABLE, text);
        };
        let wanted: BTreeSet<&str> = question.all("collect[]").collect();
        if let Some(fault) = wanted.iter().find_map(|name| self.refuses(name)) {
            self.http.answered(400);
            return say(
                StatusCode::BAD_REQUEST,
                format!("Couldn't create filtered metrics handler: {fault}"),
            );
        }
        let page = self.page(&wanted);
        let answer = question.answer(&page);
        self.http.answered(200);
        answer
    }

    fn refuses(&self, name: &str) -> Option<String> {
        match COLLECTORS.iter().find(|collector| collector.name == name) {
            None => Some(format!("missing collector: {name}")),
            Some(_) if !self.is_on(name) => Some(format!("disabled collector: {name}")),
            Some(_) => None,
        }
    }

    /// Whether a collector runs.
    pub(crate) fn is_on(&self, collector: &str) -> bool {
        self.enabled.contains(collector)
    }

    /// Asks the collectors that are `wanted`; all that run, if none is named.
    pub fn page(&self, wanted: &BTreeSet<&str>) -> Page {
        let mut page = Page::new();
        let mut files = Files::new(&self.roots);
        let runs = |c: &&Collector| self.is_on(c.name) && (wanted.is_empty() || wanted.contains(c.name));
        for collector in COLLECTORS.iter().filter(runs) {
            let start = Instant::now();
            let outcome = (collector.collect)(self, &mut files, &mut page);
            let seconds = start.elapsed().as_secs_f64();
            let labels = [("collector", collector.name)];
            page.gauge("node_scrape_collector_duration_seconds", "How long each collector took.")
                .with(&labels, seconds);
            let success = if outcome.is_ok() { 1.0 } else { 0.0 };
            page.gauge("node_scrape_collector_success", "Whether each collector had something to tell.")
                .with(&labels, success);
            match outcome {
                Err(fault @ Fault::NoData) => {
                    tracing::debug!(collector = collector.name, %fault, "nothing collected");
                }
                Err(fault) => tracing::warn!(collector = collector.name, %fault, "a collector failed"),
                Ok(()) => {}
            }
        }
        BUILD.write(&mut page, "node_exporter_build_info");
        if !self.options.without_own {
            self.process.write(&mut page);
            self.http.write(&mut page);
        }
        page
    }
}
