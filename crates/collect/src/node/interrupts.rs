//! Interrupts, and the work that they put off, by processor.

use super::{Fault, Files, Node, Outcome};
use crate::page::Page;

/// `interrupts`
pub fn interrupts(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let mut rows = page.counter("node_interrupts_total", "Interrupts of each source on each processor.");
    for source in sources(files.proc("interrupts")?) {
        for (cpu, count) in source.counts.iter().enumerate() {
            let count = number("interrupts", count)?;
            let cpu = cpu.to_string();
            let labels =
                [("cpu", &*cpu), ("devices", &source.devices), ("info", &source.info), ("type", source.name)];
            rows.with(&labels, count);
        }
    }
    Ok(())
}

/// `softirqs`
pub fn softirqs(_: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let help = "Work that interrupts put off, of each kind on each processor.";
    let mut rows = page.counter("node_softirqs_functions_total", help);
    for line in files.proc("softirqs")?.lines().skip(1) {
        let Some((kind, counts)) = line.split_once(':') else { continue };
        for (cpu, count) in counts.split_ascii_whitespace().enumerate() {
            let count = number("softirqs", count)?;
            rows.with(&[("cpu", &cpu.to_string()), ("type", kind.trim())], count);
        }
    }
    Ok(())
}

fn number(file: &str, text: &str) -> Result<f64, Fault> {
    text.parse().map_err(|_| Fault::failed(format!("/proc/{file}: not a number: {text:?}")))
}

/// A source of interrupts.
#[derive(Debug, PartialEq)]
struct Source<'t> {
    name: &'t str,
    /// One a processor.
    counts: Vec<&'t str>,
    info: String,
    devices: String,
}

/// Reads lines such as ` 24:  10  0  PCI-MSI 512000-edge  ahci[0000:00:1f.2]` below a head with a word for each processor.
/// Lines with less, which count errors of all processors, are passed over.
fn sources(text: &str) -> Vec<Source<'_>> {
    let mut lines = text.lines();
    let processors = lines.next().unwrap_or_default().split_ascii_whitespace().count();
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let (name, fields) = (name.trim(), rest.split_ascii_whitespace().collect::<Vec<_>>());
            let (counts, about) =
                fields.split_at_checked(processors).filter(|(_, about)| !about.is_empty())?;
            // Numbered ones name their controller first; the others are a sentence.
            let split = if name.parse::<i64>().is_ok() { 1 } else { about.len() };
            let (info, devices) = about.split_at_checked(split)?;
            let (info, devices) = (info.join(" "), devices.join(" "));
            Some(Source { name, counts: counts.to_vec(), info, devices })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbered_sources_have_devices_and_others_a_sentence() {
        let text = "           CPU0       CPU1\n  8:          1          2   IO-APIC   8-edge      rtc0\n\
                    NMI:          0          3   Non-maskable interrupts\nERR:          7\nIPI0:5 6 Rescheduling\n";
        let source = |name, counts: [&'static str; 2], info: &str, devices: &str| Source {
            name,
            counts: counts.to_vec(),
            info: info.to_owned(),
            devices: devices.to_owned(),
        };
        let want = [
            source("8", ["1", "2"], "IO-APIC", "8-edge rtc0"),
            source("NMI", ["0", "3"], "Non-maskable interrupts", ""),
            source("IPI0", ["5", "6"], "Rescheduling", ""),
        ];
        assert_eq!(sources(text), want);
        assert_eq!(sources(""), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_panics(text in "(CPU[0-9] |[0-9]+: |NMI: |[0-9]+ |\n|\\PC){0,20}") {
            let _ = sources(&text);
        }
    }
}
