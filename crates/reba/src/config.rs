//! Reads the configuration folder into what the parts understand.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use reba_ingest::config::{Config, expand_env};
use reba_rules::{FileOptions, RuleFile};

use crate::{folder::Folder, shift};

/// Everything that a reload reads.
pub struct Loaded {
    /// prometheus.yml.
    pub config: Config,
    /// Its rule files.
    pub rules: Vec<RuleFile>,
    /// The process environment and `.env`.
    pub environment: BTreeMap<String, String>,
    /// Added to the ports of loopback targets: `reba demo --port-offset` moves the fleet as well as Reba.
    pub port_shift: u16,
}

/// Reads and checks all files. The error names file, line and key.
pub fn load(folder: &Folder, port_shift: u16) -> Result<Loaded> {
    let environment = folder.environment(std::env::vars())?;
    let lookup = |name: &str| environment.get(name).cloned();
    let mut config = if folder.prometheus.exists() {
        Config::load_with(&folder.prometheus, &|text| expand_env(text, lookup).text)?
    } else {
        tracing::info!(file = %folder.prometheus.display(), "no such file: nothing is scraped, no rule is evaluated");
        Config::parse("", &folder.prometheus)?
    };
    shift::loopback_ports(&mut config, port_shift);
    let rules = config.rule_paths()?.iter().map(|path| rule_file(path)).collect::<Result<_>>()?;
    Ok(Loaded { config, rules, environment, port_shift })
}

fn rule_file(path: &Path) -> Result<RuleFile> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| name.clone())?;
    match RuleFile::parse(&name, &text, &FileOptions::default()) {
        Ok(file) => Ok(file),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}
