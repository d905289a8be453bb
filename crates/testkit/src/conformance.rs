//! Where the conformance data lies, and how results are counted.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Results of a suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases that did not run.
    pub skipped: usize,
}

impl Tally {
    /// Counts a case.
    pub fn count(&mut self, passed: bool) {
        if passed { self.passed += 1 } else { self.failed += 1 }
    }
}

/// `passed 1 failed 2 skipped 3`
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "passed {} failed {} skipped {}", self.passed, self.failed, self.skipped)
    }
}

/// The folder `name` of the conformance data: below `given` (the value of `REBA_CONFORMANCE`), else in
/// `../shared/conformance` beside the workspace that `manifest_dir`, the folder of a crate, belongs to. `None` if it is
/// not there.
pub fn conformance_dir(given: Option<&str>, manifest_dir: &str, name: &str) -> Option<PathBuf> {
    let beside = || Path::new(manifest_dir).join("../../../shared/conformance");
    let dir = given.map_or_else(beside, PathBuf::from).join(name);
    dir.is_dir().then_some(dir)
}

/// The scripts (`*.test`) of a folder by name, with their texts.
pub fn script_files(dir: &Path) -> std::io::Result<Vec<(String, String)>> {
    files_with_extension(dir, "test")
}

/// The files of a folder with that extension, by name, with their texts.
pub fn files_with_extension(dir: &Path, extension: &str) -> std::io::Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            out.push((name, std::fs::read_to_string(&path)?));
        }
    }
    out.sort();
    Ok(out)
}
