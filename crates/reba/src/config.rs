//! Reads the configuration folder into what the parts understand.

use std::path::Path;

use anyhow::{Result, bail};
use reba_config::Variables;
use reba_ingest::config::Config;
use reba_rules::{FileOptions, RuleFile};

use crate::{
    folder::{self, Folder},
    shift,
};

/// Everything that a reload reads.
pub struct Loaded {
    /// prometheus.yml.
    pub config: Config,
    /// Its rule files.
    pub rules: Vec<RuleFile>,
    /// The process environment and `.env`.
    pub variables: Variables,
    /// Added to the ports of loopback targets: `reba demo --port-offset` moves the fleet as well as Reba.
    pub port_shift: u16,
}

/// Reads and checks all files. The error names file, line and key.
pub fn load(folder: &Folder, port_shift: u16) -> Result<Loaded> {
    let variables = folder.variables(folder::process())?;
    let mut config = if folder.prometheus.exists() {
        Config::load_with(&folder.prometheus, &variables)?
    } else {
        tracing::info!(file = %folder.prometheus.display(), "no such file: nothing is scraped, no rule is evaluated");
        Config::parse("", &folder.prometheus)?
    };
    shift::loopback_ports(&mut config, port_shift);
    for file in config.missing_rule_files() {
        tracing::warn!(file = %file.display(), "rule_files names a file that does not exist");
    }
    let rules = config.rule_paths()?.iter().map(|path| rule_file(path, &variables)).collect::<Result<_>>()?;
    Ok(Loaded { config, rules, variables, port_shift })
}

fn rule_file(path: &Path, variables: &Variables) -> Result<RuleFile> {
    match RuleFile::load(path, variables, &FileOptions::default()) {
        Ok((file, _)) => Ok(file),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}
