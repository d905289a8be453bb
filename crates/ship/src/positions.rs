//! The positions file: how far each source has been read, in Promtail's format.
//!
//! Promtail reads its file strictly, so what we know besides (which file a path was) stands in a file of our own beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::yaml::{self, Kind, Section};

/// What tells a file from others: where it is on the disk, and how it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileId {
    pub device: u64,
    pub inode: u64,
    /// How many bytes of the beginning were hashed.
    pub prefix: u32,
    /// Their hash (XXH3).
    pub hash: u64,
}

/// Bytes of a file's beginning that tell it from others.
pub(crate) const PREFIX: usize = 1024;

/// Positions by key: a path, or `cursor-…` for what is no file.
#[derive(Debug)]
pub struct Positions {
    path: PathBuf,
    places: BTreeMap<String, String>,
    files: BTreeMap<String, FileId>,
    changed: bool,
}

impl Positions {
    /// Reads the file. One that makes no sense is moved aside, and what our own file remembers is gone on from.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut positions = Positions {
            path: path.to_owned(),
            places: BTreeMap::new(),
            files: BTreeMap::new(),
            changed: false,
        };
        let ours = positions.read_ours();
        match fs::read_to_string(path) {
            Ok(text) => match read(&text, path) {
                Ok(places) => positions.places = places,
                Err(reason) => {
                    let aside = suffixed(path, ".broken");
                    fs::rename(path, &aside)?;
                    tracing::warn!(%reason, moved_to = %aside.display(), "the positions file makes no sense");
                    positions.places = ours;
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => positions.places = BTreeMap::new(),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => positions.places = ours,
            Err(e) => return Err(e),
        }
        Ok(positions)
    }

    /// What stands under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.places.get(key).map(String::as_str)
    }

    /// Writes down a place.
    pub fn set(&mut self, key: &str, place: String) {
        if self.places.get(key) != Some(&place) {
            self.places.insert(key.to_owned(), place);
            self.changed = true;
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: &str) {
        self.changed |= self.places.remove(key).is_some() | self.files.remove(key).is_some();
    }

    /// Bytes of the file at `path` that are done with, and which file it was, if that is known.
    pub(crate) fn file(&self, path: &str) -> Option<(u64, Option<FileId>)> {
        let offset = self.get(path)?.parse().ok()?;
        Some((offset, self.files.get(path).copied()))
    }

    /// Where a file was left that had another name then.
    pub(crate) fn renamed(&self, device: u64, inode: u64) -> impl Iterator<Item = (u64, FileId)> {
        let same = move |id: &FileId| (id.device, id.inode) == (device, inode);
        self.files
            .iter()
            .filter(move |(_, id)| same(id))
            .filter_map(|(path, id)| Some((self.file(path)?.0, *id)))
    }

    pub(crate) fn set_file(&mut self, path: &str, offset: u64, id: FileId) {
        self.set(path, offset.to_string());
        if self.files.get(path) != Some(&id) {
            self.files.insert(path.to_owned(), id);
            self.changed = true;
        }
    }

    /// Writes both files if anything has changed, ours first: it must know every file that Promtail's names.
    pub fn write(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut ours = String::from("1\n");
        for (path, id) in self.files.iter().filter(|(p, _)| self.places.contains_key(*p)) {
            let offset = &self.places[path];
            let FileId { device, inode, prefix, hash } = id;
            let path = serde_json::Value::from(path.as_str());
            ours.push_str(&format!("{offset} {device} {inode} {prefix} {hash:016x} {path}\n"));
        }
        write_atomic(&suffixed(&self.path, ".reba"), &ours)?;
        let mut text = String::from("positions:\n");
        for (key, place) in &self.places {
            let (key, place) =
                (serde_json::Value::from(key.as_str()), serde_json::Value::from(place.as_str()));
            text.push_str(&format!("  {key}: {place}\n"));
        }
        if self.places.is_empty() {
            text = String::from("positions: {}\n");
        }
        write_atomic(&self.path, &text)?;
        self.changed = false;
        Ok(())
    }

    /// Reads which file each path was; returns the offsets, too.
    fn read_ours(&mut self) -> BTreeMap<String, String> {
        let mut places = BTreeMap::new();
        let text = fs::read_to_string(suffixed(&self.path, ".reba")).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some("1") {
            return places;
        }
        for line in lines {
            let Some((offset, path, id)) = our_line(line) else { continue };
            places.insert(path.clone(), offset.to_string());
            self.files.insert(path, id);
        }
        places
    }
}

fn our_line(line: &str) -> Option<(u64, String, FileId)> {
    let mut parts = line.splitn(6, ' ');
    let offset = parts.next()?.parse().ok()?;
    let (device, inode) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let prefix = parts.next()?.parse().ok()?;
    let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some((offset, serde_json::from_str(parts.next()?).ok()?, FileId { device, inode, prefix, hash }))
}

fn read(text: &str, path: &Path) -> Result<BTreeMap<String, String>, String> {
    let node = yaml::parse(text, path).map_err(|e| e.to_string())?;
    let root = Section::new(&node, "").map_err(|f| f.reason)?;
    match root.get("positions") {
        None => Ok(BTreeMap::new()),
        Some(node) if matches!(node.kind, Kind::Map(_)) => {
            let places = Section::new(node, "positions").and_then(|s| s.all_texts());
            places.map(|p| p.into_iter().collect()).map_err(|f| f.reason)
        }
        Some(_) => Err("positions is no map".to_owned()),
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Only the owner may read: paths and cursors tell what runs here.
fn write_atomic(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = suffixed(path, ".tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_of_promtail_is_read_and_one_it_could_read_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.yaml");
        fs::write(&path, "positions:\n  /var/log/a.log: \"123\"\n  cursor-abc: '1700000000'\n").unwrap();
        let mut p = Positions::open(&path).unwrap();
        assert_eq!(p.file("/var/log/a.log"), Some((123, None)));
        assert_eq!(p.get("cursor-abc"), Some("1700000000"));
        let id = FileId { device: 1, inode: 2, prefix: 3, hash: 4 };
        p.set_file("/var/log/a.log", 456, id);
        p.remove("cursor-abc");
        p.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "positions:\n  \"/var/log/a.log\": \"456\"\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let p = Positions::open(&path).unwrap();
        assert_eq!(p.file("/var/log/a.log"), Some((456, Some(id))));
        assert_eq!(p.renamed(1, 2).collect::<Vec<_>>(), [(456, id)]);
    }

    #[test]
    fn a_file_without_sense_is_moved_aside_and_ours_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.yaml");
        let mut p = Positions::open(&path).unwrap();
        p.set_file("/a", 7, FileId::default());
        p.write().unwrap();
        fs::write(&path, "positions: [\n").unwrap();
        let p = Positions::open(&path).unwrap();
        assert_eq!(p.file("/a").unwrap().0, 7);
        assert!(dir.path().join("positions.yaml.broken").exists());
    }
}
