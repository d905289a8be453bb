//! Which files a backup takes along.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::{ABOUT, BackupError, SUMS};

/// Folders deeper than this are none of ours.
const MAX_DEPTH: usize = 16;

/// A file that goes into a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Its name in the backup: components between slashes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How many of its bytes belong to the backup: it may be growing.
    pub bytes: u64,
}

/// The files of the folder `root` and below that `wanted` says yes to (it gets the name of a file or folder, without those above it),
/// named below `prefix`; sorted. What is neither a file nor a folder is passed over.
///
/// # Errors
/// If a folder cannot be read, or a name cannot stand in a backup.
pub fn below(
    root: &Path,
    prefix: &str,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<SourceFile>, BackupError> {
    let mut out = Vec::new();
    walk(root, prefix, wanted, MAX_DEPTH, &mut out)?;
    out.sort();
    Ok(out)
}

fn walk(
    folder: &Path,
    prefix: &str,
    wanted: &dyn Fn(&str) -> bool,
    depth: usize,
    out: &mut Vec<SourceFile>,
) -> Result<(), BackupError> {
    if depth == 0 {
        return Err(BackupError::damaged(folder, "folders lie deeper in each other than Reba makes them"));
    }
    for entry in fs::read_dir(folder).map_err(BackupError::io(folder))? {
        let entry = entry.map_err(BackupError::io(folder))?;
        let path = entry.path();
        let Some(own) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(BackupError::damaged(&path, "the name is no UTF-8"));
        };
        if !wanted(&own) {
            continue;
        }
        let name = if prefix.is_empty() { own } else { format!("{prefix}/{own}") };
        let meta = fs::symlink_metadata(&path).map_err(BackupError::io(&path))?;
        if meta.is_dir() {
            walk(&path, &name, wanted, depth - 1, out)?;
        } else if meta.is_file() {
            if !is_plain(&name) {
                return Err(BackupError::damaged(&path, "a file of this name cannot be in a backup"));
            }
            out.push(SourceFile { name, bytes: meta.len(), path });
        }
    }
    Ok(())
}

/// Whether a name of a backup leads to a place below its root, and is a line in the list of sums.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    plain
        && !name.is_empty()
        && !name.contains(['\n', '\r', '\\', '\0'])
        && !name.ends_with('/')
        && !name.contains("//")
}

/// Whether a name is one of data, rather than of the backup itself.
pub(super) fn is_data(name: &str) -> bool {
    is_plain(name) && name != SUMS && name != ABOUT
}
