//! The checks of `cargo xtask tidy`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Lines a source file may have: the longest has little less, and the number only goes down.
const MAX_LINES: usize = 650;

/// Marks of work that is not finished; split so that this file does not find itself.
const UNFINISHED: &[&str] =
    &[concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Runs every check; the text says what was looked at, the error lists every finding.
pub fn check() -> Result<String> {
    let root = workspace_root()?;
    let packages = packages()?;
    let mut findings = Vec::new();
    arrows(&root, &packages, &mut findings)?;
    dependencies_are_documented(&root, &mut findings)?;
    readmes(&packages, &mut findings);
    let files = tracked_files(&root)?;
    sources(&root, &files, &mut findings)?;
    let links = crate::links::check(&root, &files, &mut findings)?;
    if findings.is_empty() {
        let (crates, files) = (packages.len(), files.len());
        return Ok(format!("tidy: {crates} crates, {files} files, {links} links, nothing to mend\n"));
    }
    bail!("{} to mend\n  {}", findings.len(), findings.join("\n  "))
}

struct Package {
    name: String,
    folder: PathBuf,
    /// Workspace crates this one depends on, dev-dependencies left out.
    uses: BTreeSet<String>,
}

fn workspace_root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask stands in the workspace")?.to_owned())
}

fn packages() -> Result<Vec<Package>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("run cargo metadata")?;
    let meta: Value = serde_json::from_slice(&out.stdout).context("read cargo metadata")?;
    let list = meta["packages"].as_array().context("packages in cargo metadata")?;
    let names: BTreeSet<&str> = list.iter().filter_map(|p| p["name"].as_str()).collect();
    list.iter()
        .map(|p| {
            let manifest = Path::new(p["manifest_path"].as_str().context("manifest_path")?);
            let uses = p["dependencies"].as_array().context("dependencies")?.iter();
            Ok(Package {
                name: p["name"].as_str().context("name")?.to_owned(),
                folder: manifest.parent().context("folder of a manifest")?.to_owned(),
                uses: uses
                    .filter(|d| d["kind"].is_null())
                    .filter_map(|d| d["name"].as_str())
                    .filter(|n| names.contains(n))
                    .map(str::to_owned)
                    .collect(),
            })
        })
        .collect()
}

/// The table between the two `arrows` marks of ARCHITECTURE.md: `| crate | may use |`.
fn allowed_arrows(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let table = text
        .split_once("<!-- arrows -->")
        .and_then(|(_, rest)| rest.split_once("<!-- /arrows -->"))
        .context("ARCHITECTURE.md has no table between <!-- arrows --> and <!-- /arrows -->")?
        .0;
    let mut allowed = BTreeMap::new();
    for line in table.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, uses, ..] = cells[..] else { bail!("odd row in the table of arrows: {line}") };
        let uses = uses.split_whitespace().map(|u| u.trim_matches(['`', ',']).to_owned());
        allowed.insert(name.trim_matches('`').to_owned(), uses.filter(|u| u != "-").collect());
    }
    Ok(allowed)
}

fn arrows(root: &Path, packages: &[Package], findings: &mut Vec<String>) -> Result<()> {
    let allowed = allowed_arrows(root)?;
    for p in packages.iter().filter(|p| p.name != "xtask") {
        match allowed.get(&p.name) {
            None => {
                findings.push(format!("ARCHITECTURE.md: crate {} is missing in the table of arrows", p.name));
            }
            Some(may) => {
                for used in p.uses.difference(may) {
                    findings.push(format!(
                        "{} -> {used}: no such arrow in ARCHITECTURE.md; a new one needs an ADR",
                        p.name
                    ));
                }
            }
        }
    }
    Ok(())
}

fn dependencies_are_documented(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let documented = fs::read_to_string(root.join("docs/dependencies.md"))?;
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or("");
    for line in section.lines().take_while(|l| !l.starts_with('[')) {
        let Some((name, _)) = line.split_once(" = ") else { continue };
        let ours = line.contains("path = ");
        if !ours && !documented.contains(&format!("| {name} |")) {
            findings.push(format!("docs/dependencies.md: no line for {name}"));
        }
    }
    Ok(())
}

fn readmes(packages: &[Package], findings: &mut Vec<String>) {
    for p in packages.iter().filter(|p| p.name != "xtask") {
        if !p.folder.join("README.md").is_file() {
            findings.push(format!("{}: README.md is missing", p.name));
        }
    }
}

fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "-z"])
        .output()
        .context("run git ls-files")?;
    let text = String::from_utf8(out.stdout).context("file names are UTF-8")?;
    Ok(text.split('\0').filter(|f| !f.is_empty()).map(PathBuf::from).collect())
}

fn sources(root: &Path, files: &[PathBuf], findings: &mut Vec<String>) -> Result<()> {
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let lines = text.lines().count();
        let name = file.to_str().context("file names are UTF-8")?;
        if lines > MAX_LINES {
            findings.push(format!("{name}: {lines} lines, at most {MAX_LINES}: is it one idea?"));
        }
        for (i, line) in text.lines().enumerate() {
            if let Some(mark) = UNFINISHED.iter().find(|m| line.contains(**m)) {
                findings.push(format!("{name}:{}: unfinished: {mark}", i + 1));
            }
        }
    }
    Ok(())
}
