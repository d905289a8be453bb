//! Reading the files of `provisioning/`: YAML with variables, and what is wrong in it by file and line.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::settings::{Lookup, interpolate};

/// Bytes of a provisioning file.
const MAX_FILE: u64 = 4 << 20;

/// Where files are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The configuration folder: what relative paths start from.
    pub root: PathBuf,
    /// `grafana/provisioning`
    pub provisioning: PathBuf,
    /// `grafana/dashboards`: what there is without a provider, or where a provider names a folder that is not on this machine.
    pub dashboards: PathBuf,
}

impl Paths {
    /// The layout below a configuration folder.
    pub fn below(root: &Path) -> Self {
        let grafana = root.join("grafana");
        Paths {
            root: root.to_owned(),
            provisioning: grafana.join("provisioning"),
            dashboards: grafana.join("dashboards"),
        }
    }
}

/// Something that could not be loaded, or was loaded otherwise than it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// Whether it was loaded all the same.
    pub loaded: bool,
}

impl Fault {
    pub(super) fn new(file: &Path, message: impl Into<String>) -> Self {
        Fault {
            file: file.display().to_string(),
            line: None,
            column: None,
            message: message.into(),
            loaded: false,
        }
    }

    pub(super) fn at(self, line: u64, column: u64) -> Self {
        Fault { line: Some(line), column: Some(column), ..self }
    }

    /// The same as a remark: it was loaded otherwise than it is written.
    pub(super) fn but_loaded(self) -> Self {
        Fault { loaded: true, ..self }
    }

    /// What the JSON parser says, with its place.
    pub(super) fn json(file: &Path, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Fault::new(file, message).at(error.line() as u64, error.column() as u64)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The YAML files of a folder, by name. There may be no folder.
pub(super) fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yml" || e == "yaml");
    let mut all: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_yaml).filter(|p| p.is_file()).collect();
    all.sort();
    all
}

/// Reads a file and fills in its values' variables.
pub(super) fn read<T: DeserializeOwned>(file: &Path, lookup: Lookup<'_>) -> Result<T, Fault> {
    let length = fs::metadata(file).map_err(|e| Fault::new(file, e.to_string()))?.len();
    if length > MAX_FILE {
        return Err(Fault::new(file, format!("larger than {MAX_FILE} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|e| Fault::new(file, e.to_string()))?;
    parse(&text, file, lookup)
}

fn parse<T: DeserializeOwned>(text: &str, file: &Path, lookup: Lookup<'_>) -> Result<T, Fault> {
    let mut value: Value = reba_config::read(text, file).map_err(|e| {
        let fault = Fault::new(
            file,
            if e.key.is_empty() { e.reason.clone() } else { format!("key {}: {}", e.key, e.reason) },
        );
        e.at.map_or(fault.clone(), |(line, column)| fault.at(line, column))
    })?;
    fill_in(&mut value, lookup).map_err(|e| Fault::new(file, e))?;
    serde_path_to_error::deserialize(value).map_err(|e| {
        let path = e.path().to_string();
        let fault = Fault::new(file, format!("key {path}: {}", e.inner()));
        let keys = reba_config::keys(text, file).unwrap_or_default();
        match keys.iter().find(|key| key.path == path) {
            Some(key) => fault.at(key.at.0, key.at.1),
            None => fault,
        }
    })
}

/// Fills in variables in every text. The depth was bounded by the parser.
fn fill_in(value: &mut Value, lookup: Lookup<'_>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            if text.contains('$') {
                *text = interpolate(text, lookup)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_in(item, lookup)),
        Value::Object(map) => map.values_mut().try_for_each(|item| fill_in(item, lookup)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Doc {
        names: Vec<String>,
        n: u64,
    }

    fn read(text: &str) -> Result<Doc, String> {
        let lookup = |name: &str| (name == "X").then(|| "y: [".to_owned());
        parse(text, Path::new("d.yml"), &lookup).map_err(|e| e.to_string())
    }

    #[test]
    fn values_are_filled_in_and_faults_name_their_place() {
        assert_eq!(read("names: [$X, '$${X}']").unwrap().names, ["y: [", "${X}"]);
        for (text, place) in [
            ("names: [a\n", "d.yml:"),
            ("names: []\nn: -1\n", "d.yml:2:1: key n: "),
            ("names: ['$__file{/nonexistent/x}']", "d.yml: /nonexistent/x"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
