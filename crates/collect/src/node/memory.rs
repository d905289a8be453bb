//! Memory, and what the kernel counts of it.

use super::{Fault, Files, Node, Outcome};
use crate::page::Page;

/// `meminfo`: every line of `/proc/meminfo` is a family.
pub fn meminfo(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let text = files.proc("meminfo")?;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(key), Some(value)) = (fields.next(), fields.next()) else { continue };
        let Ok(mut value) = value.parse::<f64>() else {
            return Err(Fault::failed(format!("/proc/meminfo: not a number: {line:?}")));
        };
        let mut name = String::with_capacity(48);
        name.push_str("node_memory_");
        // Active(anon): becomes Active_anon.
        name.extend(key.trim_end_matches(':').chars().filter_map(|c| match c {
            '(' => Some('_'),
            ')' => None,
            c => Some(c),
        }));
        if fields.next().is_some() {
            value *= 1024.0;
            name.push_str("_bytes");
        }
        page.gauge(name, "A line of /proc/meminfo.").value(value);
    }
    Ok(())
}

/// `vmstat`
pub fn vmstat(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    for line in files.proc("vmstat")?.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        if node.options.vmstat_fields.takes(key) {
            let value = value.trim().parse().map_err(|_| Fault::failed(format!("/proc/vmstat: {line:?}")))?;
            page.untyped(format!("node_vmstat_{key}"), "A line of /proc/vmstat.").value(value);
        }
    }
    Ok(())
}
