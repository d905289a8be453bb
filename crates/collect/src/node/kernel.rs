//! What the kernel says of itself: load, counters, pressure, entropy, its name and its host's.

use super::{Fault, Files, Node, Outcome};
use crate::page::{Kind, Page};

/// `loadavg`
pub fn loadavg(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("loadavg")?;
    let mut loads = text.split_ascii_whitespace().map(str::parse::<f64>);
    for (name, help) in [
        ("node_load1", "Load average of a minute."),
        ("node_load5", "Load average of five minutes."),
        ("node_load15", "Load average of fifteen minutes."),
    ] {
        let Some(Ok(load)) = loads.next() else {
            return Err(Fault::failed("/proc/loadavg is not three numbers"));
        };
        page.gauge(name, help).value(load);
    }
    Ok(())
}

/// Lines of `/proc/stat`.
const STAT: [(&str, &str, Kind, &str); 6] = [
    ("intr", "node_intr_total", Kind::Counter, "Interrupts served."),
    ("ctxt", "node_context_switches_total", Kind::Counter, "Context switches."),
    ("processes", "node_forks_total", Kind::Counter, "Processes and threads started."),
    ("btime", "node_boot_time_seconds", Kind::Gauge, "When the host started, in Unix time."),
    ("procs_running", "node_procs_running", Kind::Gauge, "Processes that can run."),
    ("procs_blocked", "node_procs_blocked", Kind::Gauge, "Processes that wait for a disk."),
];

/// `stat`
pub fn stat(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const VECTORS: [&str; 10] =
        ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];
    for line in files.proc_stat()?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(key), value) = (fields.next(), fields.next()) else { continue };
        let Some(value) = value.and_then(|v| v.parse::<f64>().ok()) else { continue };
        if let Some((_, name, kind, help)) = STAT.iter().find(|(of, ..)| *of == key) {
            page.family(*name, *kind, *help).value(value);
        } else if key == "softirq" && node.options.stat_softirq {
            let mut rows = page.counter("node_softirqs_total", "Deferred interrupts, by kind.");
            for (vector, value) in VECTORS.iter().zip(fields) {
                rows.with(&[("vector", vector)], value.parse().unwrap_or(0.0));
            }
        }
    }
    Ok(())
}

/// `filefd`
pub fn filefd(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("sys/fs/file-nr")?;
    let mut fields = text.split_ascii_whitespace().map(str::parse::<f64>);
    let (Some(Ok(allocated)), _, Some(Ok(most))) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Fault::failed("/proc/sys/fs/file-nr is not three numbers"));
    };
    page.gauge("node_filefd_allocated", "Files that are open on the host.").value(allocated);
    page.gauge("node_filefd_maximum", "Files that may be open on the host.").value(most);
    Ok(())
}

/// `entropy`
pub fn entropy(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let available: f64 = files.proc_number("sys/kernel/random/entropy_avail")?;
    let size: f64 = files.proc_number("sys/kernel/random/poolsize")?;
    page.gauge("node_entropy_available_bits", "Bits of entropy at hand.").value(available);
    page.gauge("node_entropy_pool_size_bits", "Bits of entropy that the pool holds.").value(size);
    Ok(())
}

/// `pressure`
pub fn pressure(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const FAMILIES: [(&str, &str, &str); 5] = [
        ("cpu", "some ", "node_pressure_cpu_waiting_seconds_total"),
        ("io", "some ", "node_pressure_io_waiting_seconds_total"),
        ("io", "full ", "node_pressure_io_stalled_seconds_total"),
        ("memory", "some ", "node_pressure_memory_waiting_seconds_total"),
        ("memory", "full ", "node_pressure_memory_stalled_seconds_total"),
    ];
    for resource in ["cpu", "io", "memory"] {
        let text = match files.proc(&format!("pressure/{resource}")) {
            Ok(text) => text,
            // The kernel has it, but it is off.
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => return Err(Fault::NoData),
            Err(e) => return Err(e.into()),
        };
        for (_, line, name) in FAMILIES.iter().filter(|(of, ..)| *of == resource) {
            let total = text.lines().filter(|l| l.starts_with(line)).find_map(|l| l.split_once("total="));
            let micros: f64 = total.and_then(|(_, n)| n.trim().parse().ok()).unwrap_or(0.0);
            page.counter(
                *name,
                "Seconds for which processes waited, or all of them stood still, for want of this.",
            )
            .value(micros / 1e3 / 1e3);
        }
    }
    Ok(())
}

/// `uname`
pub fn uname(_: &Node, _: &mut Files<'_>, page: &mut Page) -> Outcome {
    let name = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let (domain, machine, node) = (text(name.domainname()), text(name.machine()), text(name.nodename()));
    let (release, system, version) = (text(name.release()), text(name.sysname()), text(name.version()));
    let labels = [
        ("domainname", domain.as_str()),
        ("machine", &machine),
        ("nodename", &node),
        ("release", &release),
        ("sysname", &system),
        ("version", &version),
    ];
    page.gauge("node_uname_info", "What uname says; always 1.").with(&labels, 1.0);
    Ok(())
}

/// `os`
pub fn os(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = match files.root("etc/os-release") {
        Ok(text) => text.to_owned(),
        Err(_) => files.root("usr/lib/os-release")?.to_owned(),
    };
    let get = |key: &str| {
        let line = text.lines().filter_map(|line| line.trim().split_once('=')).find(|(k, _)| *k == key);
        line.map(|(_, value)| unquoted(value)).unwrap_or_default()
    };
    const LABELS: [(&str, &str); 12] = [
        ("build_id", "BUILD_ID"),
        ("id", "ID"),
        ("id_like", "ID_LIKE"),
        ("image_id", "IMAGE_ID"),
        ("image_version", "IMAGE_VERSION"),
        ("name", "NAME"),
        ("pretty_name", "PRETTY_NAME"),
        ("variant", "VARIANT"),
        ("variant_id", "VARIANT_ID"),
        ("version", "VERSION"),
        ("version_codename", "VERSION_CODENAME"),
        ("version_id", "VERSION_ID"),
    ];
    let values: Vec<(&str, String)> = LABELS.iter().map(|(label, key)| (*label, get(key))).collect();
    let labels: Vec<(&str, &str)> = values.iter().map(|(label, value)| (*label, value.as_str())).collect();
    page.gauge("node_os_info", "What os-release says; always 1.").with(&labels, 1.0);
    let version = get("VERSION_ID");
    if let Some(version) = leading_number(&version).filter(|v| *v > 0.0) {
        let labels = [("id", get("ID")), ("id_like", get("ID_LIKE")), ("name", get("NAME"))];
        let labels: Vec<(&str, &str)> =
            labels.iter().map(|(label, value)| (*label, value.as_str())).collect();
        page.gauge("node_os_version", "The first two parts of the system's version.").with(&labels, version);
    }
    Ok(())
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
    inner.map_or_else(|| text.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The number with at most one dot that `text` begins with.
fn leading_number(text: &str) -> Option<f64> {
    let mut dots = 0;
    let end = text.find(|c: char| {
        dots += usize::from(c == '.');
        !(c.is_ascii_digit() || (c == '.' && dots <= 1))
    });
    text.get(..end.unwrap_or(text.len()))?.trim_end_matches('.').parse().ok()
}

/// `selinux`
pub fn selinux(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let current = files.sys_number::<f64>("fs/selinux/enforce");
    let enabled = if current.is_some() { 1.0 } else { 0.0 };
    page.gauge("node_selinux_enabled", "Whether SELinux is on.").value(enabled);
    let Some(current) = current else { return Ok(()) };
    let config = files.root("etc/selinux/config").unwrap_or_default();
    let line = config.lines().find_map(|line| line.trim().strip_prefix("SELINUX="));
    let mode = match line.map(str::trim) {
        Some("enforcing") => 1.0,
        Some("permissive") => 0.0,
        _ => -1.0,
    };
    page.gauge("node_selinux_config_mode", "SELinux as configured: 1 enforces, 0 permits, -1 is off.")
        .value(mode);
    page.gauge("node_selinux_current_mode", "SELinux as it is: 1 enforces, 0 permits.").value(current);
    Ok(())
}

/// `dmi`
pub fn dmi(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    const LABELS: [&str; 20] = [
        "bios_date",
        "bios_release",
        "bios_vendor",
        "bios_version",
        "board_asset_tag",
        "board_name",
        "board_serial",
        "board_vendor",
        "board_version",
        "chassis_asset_tag",
        "chassis_serial",
        "chassis_vendor",
        "chassis_version",
        "product_family",
        "product_name",
        "product_serial",
        "product_sku",
        "product_uuid",
        "product_version",
        "system_vendor",
    ];
    files.sys_names("class/dmi/id")?;
    let mut values: Vec<(&str, String)> = Vec::new();
    for label in LABELS {
        let file = if label == "system_vendor" { "sys_vendor" } else { label };
        match files.sys(&format!("class/dmi/id/{file}")) {
            Ok(text) => values.push((label, text.to_owned())),
            // Serial numbers are root's.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => values.push((label, String::new())),
            Err(_) => {}
        }
    }
    if values.is_empty() {
        return Err(Fault::NoData);
    }
    let labels: Vec<(&str, &str)> = values.iter().map(|(label, value)| (*label, value.as_str())).collect();
    page.gauge("node_dmi_info", "What the firmware says of the machine; always 1.").with(&labels, 1.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_begin_with_a_number() {
        for (text, want) in
            [("12", Some(12.0)), ("22.04.3", Some(22.04)), ("3.x", Some(3.0)), ("rolling", None)]
        {
            assert_eq!(leading_number(text), want, "{text}");
        }
    }

    #[test]
    fn quotes_go() {
        assert_eq!(
            (unquoted("\"Debian \\\"x\\\"\""), unquoted("'a'"), unquoted("b ")),
            ("Debian \"x\"".into(), "a".into(), "b".into())
        );
    }
}
