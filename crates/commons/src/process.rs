//! What the process itself uses, under the names that every client library of the ecosystem uses.

use std::{fmt, fs, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Reads the figures of a process at the moment of a scrape; nothing where the platform does not tell.
pub type ProcessReader = Arc<dyn Fn() -> Option<ProcessStats> + Send + Sync>;

/// The clock ticks per second that Linux reports to programs, whatever the kernel's own rate is.
const USER_HZ: f64 = 100.0;

/// The names below, without `_total`, so that nobody registers them again.
pub(crate) const PROCESS_NAMES: [&str; 6] = [
    "process_cpu_seconds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
];

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// User and system time since the start, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: f64,
    /// Virtual memory.
    pub virtual_bytes: f64,
    /// Open file descriptors.
    pub open_fds: f64,
    /// The most file descriptors it may open.
    pub max_fds: f64,
    /// When it started, in seconds since 1970.
    pub start_time_seconds: f64,
}

impl ProcessStats {
    /// A reader of this process, from Linux' `/proc/self`.
    pub fn of_this_process() -> ProcessReader {
        Arc::new(read_proc)
    }
}

fn read_proc() -> Option<ProcessStats> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    parse(&stat, &status, &limits, &boot).map(|stats| ProcessStats { open_fds: open as f64, ..stats })
}

/// Reads the four files of proc(5). The name of a process may hold spaces and parentheses: fields of `stat` are
/// counted from behind the last `)`.
fn parse(stat: &str, status: &str, limits: &str, boot: &str) -> Option<ProcessStats> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let kib = |key: &str| second_word(status, key).map(|kib| kib * 1024.0);
    let soft_limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    Some(ProcessStats {
        cpu_seconds: (ticks(11)? + ticks(12)?) / USER_HZ,
        resident_bytes: kib("VmRSS:")?,
        virtual_bytes: kib("VmSize:")?,
        open_fds: 0.0,
        max_fds: soft_limit?.split_ascii_whitespace().next()?.parse().unwrap_or(f64::INFINITY),
        start_time_seconds: second_word(boot, "btime")? + ticks(19)? / USER_HZ,
    })
}

fn second_word(text: &str, first: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(first))?.split_ascii_whitespace().next()?.parse().ok()
}

pub(crate) struct ProcessCollector(pub(crate) ProcessReader);

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(stats) = (self.0)() else { return Ok(()) };
        let cpu = ConstCounter::new(stats.cpu_seconds);
        let help = "User and system CPU time spent, in seconds.";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory, in bytes.", stats.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory, in bytes.", stats.virtual_bytes),
            ("process_open_fds", "Open file descriptors.", stats.open_fds),
            ("process_max_fds", "The most file descriptors that may be open.", stats.max_fds),
            (
                "process_start_time_seconds",
                "When the process started, as a Unix time.",
                stats.start_time_seconds,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ProcessCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProcessCollector")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_even_when_the_name_holds_a_parenthesis() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 150 13 14 15 16 17 18 6000 20 21";
        let status = "Name:\tx\nVmSize:\t   2048 kB\nVmRSS:\t    1024 kB\n";
        let limits = "Limit   Soft   Hard   Units\nMax open files            1024      4096     files\n";
        let stats = parse(stat, status, limits, "cpu 1 2\nbtime 1700000000\n").unwrap();
        assert_eq!(stats.cpu_seconds, 4.0);
        assert_eq!(stats.resident_bytes, 1024.0 * 1024.0);
        assert_eq!(stats.virtual_bytes, 2048.0 * 1024.0);
        assert_eq!(stats.max_fds, 1024.0);
        assert_eq!(stats.start_time_seconds, 1_700_000_060.0);
    }

    #[test]
    fn a_file_cut_short_gives_nothing() {
        assert_eq!(parse("42 (a) S 1", "", "", ""), None);
        assert_eq!(parse("", "", "", ""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_start() {
        let stats = ProcessStats::of_this_process()().unwrap();
        assert!(stats.resident_bytes > 1e5 && stats.open_fds >= 3.0 && stats.start_time_seconds > 1.6e9);
    }
}
