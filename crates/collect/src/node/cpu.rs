//! Processors: time, throttling, isolation, frequencies.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, Files, Node, Outcome};
use crate::{own::USER_HZ, page::Page};

/// The columns of a line `cpu…` in `/proc/stat`, as far as they are modes.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// How far idle time must fall until that means another processor in the same place, in seconds.
const LEAP: f64 = 3.0;

/// Seconds of each mode, and of guests (user, nice), by processor: as they were reported last.
pub type Times = BTreeMap<u32, [f64; 10]>;

/// `cpu`
pub fn cpu(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let options = &node.options;
    if options.cpu_info {
        info(node, files, page)?;
    }
    times(node, files, page)?;
    if let Ok(text) = files.sys("devices/system/cpu/isolated") {
        let isolated = list(text);
        let mut rows = page.gauge("node_cpu_isolated", "Whether each core is kept free of ordinary work.");
        for cpu in isolated {
            rows.with(&[("cpu", &cpu.to_string())], 1.0);
        }
    }
    throttles(files, page);
    Ok(())
}

fn times(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let now = read_times(files.proc_stat()?);
    if now.is_empty() {
        return Err(Fault::failed("/proc/stat has no processors"));
    }
    let mut times = node.cpu_times.lock();
    times.retain(|cpu, _| now.contains_key(cpu));
    for (cpu, new) in now {
        merge(times.entry(cpu).or_default(), &new);
    }
    let mut rows = page.counter("node_cpu_seconds_total", "Seconds that each processor spent in each mode.");
    for (cpu, values) in times.iter() {
        let cpu = cpu.to_string();
        for (mode, seconds) in MODES.iter().zip(values) {
            rows.with(&[("cpu", &cpu), ("mode", mode)], *seconds);
        }
    }
    if node.options.cpu_guest {
        let help = "Seconds that each processor ran guests; they are part of user and nice.";
        let mut rows = page.counter("node_cpu_guest_seconds_total", help);
        for (cpu, values) in times.iter() {
            let cpu = cpu.to_string();
            rows.with(&[("cpu", &cpu), ("mode", "user")], values[8]);
            rows.with(&[("cpu", &cpu), ("mode", "nice")], values[9]);
        }
    }
    Ok(())
}

fn read_times(stat: &str) -> Times {
    let mut out = Times::new();
    for line in stat.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let Some(cpu) = name.strip_prefix("cpu").and_then(|n| n.parse().ok()) else { continue };
        let mut values = [0.0; 10];
        for (value, field) in values.iter_mut().zip(rest.split_ascii_whitespace()) {
            *value = field.parse::<f64>().unwrap_or(0.0) / USER_HZ;
        }
        out.insert(cpu, values);
    }
    out
}

/// The kernel lets idle and waiting time fall a little at times: a counter must not.
fn merge(old: &mut [f64; 10], new: &[f64; 10]) {
    if old[3] - new[3] >= LEAP {
        *old = [0.0; 10];
    }
    for (old, new) in old.iter_mut().zip(new) {
        *old = old.max(*new);
    }
}

/// The processors of a list such as `1,3-5`.
fn list(text: &str) -> Vec<u32> {
    /// More processors than any kernel is built for.
    const MOST: u32 = 8192;
    let mut out = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.trim().parse::<u32>(), to.trim().parse::<u32>()) {
            out.extend((from..=to.min(MOST)).take(MOST as usize));
        }
    }
    out
}

fn throttles(files: &mut Files<'_>, page: &mut Page) {
    let names = files.sys_names("devices/system/cpu").unwrap_or_default();
    let (mut cores, mut packages) = (BTreeMap::new(), BTreeMap::new());
    for name in names {
        if name.strip_prefix("cpu").and_then(|n| n.parse::<u32>().ok()).is_none() {
            continue;
        }
        let base = format!("devices/system/cpu/{name}");
        // Virtual machines have none: one system call a processor, then.
        let count = |files: &mut Files<'_>, what: &str| {
            files.sys_number::<u64>(&format!("{base}/thermal_throttle/{what}_throttle_count"))
        };
        let (core_count, package_count) = (count(files, "core"), count(files, "package"));
        if core_count.is_none() && package_count.is_none() {
            continue;
        }
        let topology =
            |files: &mut Files<'_>, what: &str| files.sys_number::<u64>(&format!("{base}/topology/{what}"));
        let (Some(package), Some(core)) =
            (topology(files, "physical_package_id"), topology(files, "core_id"))
        else {
            continue;
        };
        if let Some(n) = core_count {
            cores.entry((package, core)).or_insert(n);
        }
        if let Some(n) = package_count {
            packages.entry(package).or_insert(n);
        }
    }
    let mut rows = page.counter("node_cpu_core_throttles_total", "How often each core was throttled.");
    for ((package, core), n) in cores {
        rows.with(&[("core", &core.to_string()), ("package", &package.to_string())], n as f64);
    }
    let mut rows = page.counter("node_cpu_package_throttles_total", "How often each package was throttled.");
    for (package, n) in packages {
        rows.with(&[("package", &package.to_string())], n as f64);
    }
}

fn info(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("cpuinfo")?;
    let blocks = text.split("\n\n").map(fields).filter(|fields| fields.contains_key("processor"));
    for (i, cpu) in blocks.enumerate() {
        let get = |key: &str| cpu.get(key).copied().unwrap_or_default();
        let labels = [
            ("cachesize", get("cache size")),
            ("core", get("core id")),
            ("cpu", get("processor")),
            ("family", get("cpu family")),
            ("microcode", get("microcode")),
            ("model", get("model")),
            ("model_name", get("model name")),
            ("package", get("physical id")),
            ("stepping", get("stepping")),
            ("vendor", get("vendor_id")),
        ];
        page.gauge("node_cpu_info", "What each processor is; always 1.").with(&labels, 1.0);
        if !node.is_on("cpufreq") {
            let hertz = get("cpu MHz").parse::<f64>().unwrap_or(0.0) * 1e6;
            let labels =
                [("core", get("core id")), ("cpu", get("processor")), ("package", get("physical id"))];
            page.gauge("node_cpu_frequency_hertz", "How fast each processor runs.").with(&labels, hertz);
        }
        if i > 0 {
            continue;
        }
        let options = &node.options;
        for (pattern, key, name, label) in [
            (&options.cpu_flags, "flags", "node_cpu_flag_info", "flag"),
            (&options.cpu_bugs, "bugs", "node_cpu_bug_info", "bug"),
        ] {
            let Some(pattern) = pattern else { continue };
            let words: BTreeSet<&str> =
                get(key).split_ascii_whitespace().filter(|word| pattern.is_match(word)).collect();
            let mut rows = page.gauge(name, "A flag or fault of the first processor; always 1.");
            for word in words {
                rows.with(&[(label, word)], 1.0);
            }
        }
    }
    Ok(())
}

fn fields(block: &str) -> BTreeMap<&str, &str> {
    block.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.trim(), v.trim())).collect()
}

/// `cpufreq`
pub fn cpufreq(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const FREQUENCIES: [(&str, &str); 6] = [
        ("cpuinfo_cur_freq", "node_cpu_frequency_hertz"),
        ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz"),
        ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz"),
        ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz"),
        ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz"),
        ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz"),
    ];
    for name in files.sys_names("devices/system/cpu")? {
        let Some(cpu) = name.strip_prefix("cpu").filter(|n| n.parse::<u32>().is_ok()) else { continue };
        let base = format!("devices/system/cpu/{name}/cpufreq");
        let Ok(governor) = files.sys(&format!("{base}/scaling_governor")).map(str::to_owned) else {
            continue;
        };
        for (file, family) in FREQUENCIES {
            if let Some(khz) = files.sys_number::<f64>(&format!("{base}/{file}")) {
                page.gauge(family, "A frequency of each processor, in hertz.")
                    .with(&[("cpu", cpu)], khz * 1e3);
            }
        }
        let help = "Which governor sets each processor's frequency: 1 for the one in force.";
        let mut rows = page.gauge("node_cpu_scaling_governor", help);
        let available = files.sys(&format!("{base}/scaling_available_governors")).unwrap_or_default();
        for one in available.split_ascii_whitespace() {
            let is = if one == governor { 1.0 } else { 0.0 };
            rows.with(&[("cpu", cpu), ("governor", one)], is);
        }
    }
    Ok(())
}

/// `schedstat`
pub fn schedstat(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const NS: f64 = 1e9;
    let text = files.proc("schedstat")?.to_owned();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(cpu) = fields.next().and_then(|n| n.strip_prefix("cpu")) else { continue };
        let values: Vec<f64> = fields.skip(6).filter_map(|f| f.parse().ok()).collect();
        let [running, waiting, slices, ..] = values.as_slice() else { continue };
        let labels = [("cpu", cpu)];
        page.counter("node_schedstat_running_seconds_total", "Seconds that each processor ran a process.")
            .with(&labels, running / NS);
        page.counter(
            "node_schedstat_waiting_seconds_total",
            "Seconds that processes waited for each processor.",
        )
        .with(&labels, waiting / NS);
        page.counter("node_schedstat_timeslices_total", "Time slices that each processor ran.")
            .with(&labels, *slices);
    }
    Ok(())
}

/// `softnet`
pub fn softnet(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const COLUMNS: [(&str, usize); 6] = [
        ("node_softnet_processed_total", 0),
        ("node_softnet_dropped_total", 1),
        ("node_softnet_times_squeezed_total", 2),
        ("node_softnet_cpu_collision_total", 8),
        ("node_softnet_received_rps_total", 9),
        ("node_softnet_flow_limit_count_total", 10),
    ];
    let text = files.proc("net/softnet_stat")?.to_owned();
    for (i, line) in text.lines().enumerate() {
        let values: Vec<u32> =
            line.split_ascii_whitespace().map(|f| u32::from_str_radix(f, 16).unwrap_or(0)).collect();
        let value = |column: usize| f64::from(values.get(column).copied().unwrap_or(0));
        // Lines of processors that are off are missing; newer kernels say whose line it is.
        let cpu = values.get(12).map_or(i, |cpu| *cpu as usize).to_string();
        for (name, column) in COLUMNS {
            page.counter(name, "Packets that each processor took from the network, by their fate.")
                .with(&[("cpu", &cpu)], value(column));
        }
        page.gauge("node_softnet_backlog_len", "Packets that wait for each processor.")
            .with(&[("cpu", &cpu)], value(11));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(list("1,3-5"), [1, 3, 4, 5]);
        assert!(list("").is_empty() && list("9-0").is_empty() && list("0-4294967295").len() <= 8193);
    }

    #[test]
    fn a_little_less_idle_time_is_passed_over_and_much_less_is_another_processor() {
        let mut old = [10.0; 10];
        merge(&mut old, &[11.0, 1.0, 1.0, 9.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!((old[0], old[3]), (11.0, 10.0));
        merge(&mut old, &[2.0; 10]);
        assert_eq!(old, [2.0; 10]);
    }
}
