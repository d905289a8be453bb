//! The guard of developers: the gains of a quick run beside those that were kept in a file.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::report::Report;

/// Gains move by so much from run to run of a short measurement.
const NOISE: f64 = 1.5;

/// Writes down the present gains over the better peer.
pub fn keep(report: &Report, file: &Path) -> Result<()> {
    let mut text =
        String::from("# Gain over the better peer of a quick run (above 1: Reba is better), then what.\n");
    for row in report.rows("") {
        if let Some(gain) = row.gain() {
            let _ = writeln!(text, "{gain:.2}\t{}", row.what);
        }
    }
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// What has become worse than was kept, as lines. Wall times are left out: others use the machine, too.
pub fn regressions(report: &Report, file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let lines = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('\t'));
    let kept: BTreeMap<&str, f64> =
        lines.filter_map(|(gain, what)| Some((what, gain.parse().ok()?))).collect();
    let worse = report.rows("").filter(|r| !r.what.contains("wall")).filter_map(|row| {
        let (before, now) = (*kept.get(row.what.as_str())?, row.gain()?);
        (now < before / NOISE).then(|| format!("{}: gain {now:.2}, was {before:.2}", row.what))
    });
    Ok(worse.collect())
}
