//! The positions file: how far each source has been read, in Promtail's format.
//!
//! Promtail reads its file strictly, so what we know besides (which file a path was) stands in a file of our own beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// Which file a key stands for, and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    id: FileId,
    /// The job that reads it: two may read one file, each at its own pace.
    job: String,
}

/// Positions by key: a path, or `cursor-…` for what is no file.
#[derive(Debug)]
pub struct Positions {
    path: PathBuf,
    places: BTreeMap<String, String>,
    files: BTreeMap<String, Known>,
    /// Jobs that read files.
    jobs: BTreeSet<String>,
    /// Paths whose keys are taken, and by whom, although nothing stands under them yet.
    claims: BTreeMap<String, String>,
    changed: bool,
    /// Nothing is ever written.
    read_only: bool,
}

/// Both files as they are to be written.
#[derive(Debug)]
pub(crate) struct Rendered {
    path: PathBuf,
    ours: String,
    promtails: String,
}

impl Positions {
    /// Reads the file. One that makes no sense is moved aside, and what our own file remembers is gone on from.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut positions = Positions {
            path: path.to_owned(),
            places: BTreeMap::new(),
            files: BTreeMap::new(),
            jobs: BTreeSet::new(),
            claims: BTreeMap::new(),
            changed: false,
            read_only: false,
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
        self.claims.remove(key);
        self.changed |= self.places.remove(key).is_some() | self.files.remove(key).is_some();
    }

    /// Leaves the files as they are, whatever happens: for runs that only look.
    pub fn set_read_only(&mut self) {
        self.read_only = true;
    }

    /// Says that a job reads files. What jobs left that are no more is taken over by whoever asks.
    pub(crate) fn register(&mut self, job: &str) {
        self.jobs.insert(job.to_owned());
    }

    /// The key under which a job writes down its place in a file: the path, as Promtail does, unless another job has it.
    pub(crate) fn claim(&mut self, job: &str, path: &str) -> String {
        let other = |owner: &String| owner != job && self.jobs.contains(owner);
        let owner = self.claims.get(path).or_else(|| self.files.get(path).map(|k| &k.job));
        if owner.is_some_and(other) {
            return format!("cursor-{job}-{path}");
        }
        self.claims.insert(path.to_owned(), job.to_owned());
        path.to_owned()
    }

    fn is_mine(&self, known: &Known, job: &str) -> bool {
        known.job == job || !self.jobs.contains(&known.job)
    }

    /// Bytes of a file that are done with, and which file it was, if that is known.
    pub(crate) fn file(&self, key: &str) -> Option<(u64, Option<FileId>)> {
        let offset = self.get(key)?.parse().ok()?;
        Some((offset, self.files.get(key).map(|k| k.id)))
    }

    /// Where a job left a file that had another name then.
    pub(crate) fn renamed(&self, job: &str, device: u64, inode: u64) -> impl Iterator<Item = (u64, FileId)> {
        let same = move |k: &Known| (k.id.device, k.id.inode) == (device, inode) && self.is_mine(k, job);
        self.files
            .iter()
            .filter(move |(_, known)| same(known))
            .filter_map(|(key, known)| Some((self.file(key)?.0, known.id)))
    }

    /// The key of a file that was rotated away from its path.
    pub(crate) fn rotated_key(job: &str, path: &str, inode: u64) -> String {
        format!("cursor-{job}-{path}//{inode}")
    }

    /// The files that a job has left: key, path, place, which file it was.
    pub(crate) fn left_by(&self, job: &str) -> Vec<(String, String, u64, FileId)> {
        let prefix = format!("cursor-{job}-");
        let mine = self.files.iter().filter(|(_, known)| self.is_mine(known, job));
        mine.filter_map(|(key, known)| {
            let path = key.strip_prefix(&prefix).unwrap_or(key);
            let path = path.rsplit_once("//").map_or(path, |(path, _)| path);
            Some((key.clone(), path.to_owned(), self.file(key)?.0, known.id))
        })
        .collect()
    }

    pub(crate) fn set_file(&mut self, key: &str, offset: u64, id: FileId, job: &str) {
        self.set(key, offset.to_string());
        if self.files.get(key).is_none_or(|k| k.id != id || k.job != job) {
            self.files.insert(key.to_owned(), Known { id, job: job.to_owned() });
            self.changed = true;
        }
    }

    /// Writes both files if anything has changed.
    pub fn write(&mut self) -> io::Result<()> {
        let Some(rendered) = self.render() else { return Ok(()) };
        rendered.write().inspect_err(|_| self.changed = true)
    }

    /// Both files if anything has changed since they were asked for.
    pub(crate) fn render(&mut self) -> Option<Rendered> {
        if !self.changed || self.read_only {
            return None;
        }
        let mut ours = String::from("1\n");
        for (key, known) in self.files.iter().filter(|(key, _)| self.places.contains_key(*key)) {
            let offset = &self.places[key];
            let FileId { device, inode, prefix, hash } = known.id;
            let (key, job) =
                (serde_json::Value::from(key.as_str()), serde_json::Value::from(known.job.as_str()));
            ours.push_str(&format!("{offset} {device} {inode} {prefix} {hash:016x} {key} {job}\n"));
        }
        let mut promtails = String::from("positions:\n");
        for (key, place) in &self.places {
            let (key, place) =
                (serde_json::Value::from(key.as_str()), serde_json::Value::from(place.as_str()));
            promtails.push_str(&format!("  {key}: {place}\n"));
        }
        if self.places.is_empty() {
            promtails = String::from("positions: {}\n");
        }
        self.changed = false;
        Some(Rendered { path: self.path.clone(), ours, promtails })
    }

    /// What was asked for could not be written.
    pub(crate) fn not_written(&mut self) {
        self.changed = true;
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
            let Some((offset, key, known)) = our_line(line) else { continue };
            places.insert(key.clone(), offset.to_string());
            self.files.insert(key, known);
        }
        places
    }
}

impl Rendered {
    /// Writes ours first: it must know every file that Promtail's names.
    pub fn write(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        write_atomic(&suffixed(&self.path, ".reba"), &self.ours)?;
        write_atomic(&self.path, &self.promtails)
    }
}

fn our_line(line: &str) -> Option<(u64, String, Known)> {
    let mut parts = line.splitn(6, ' ');
    let offset = parts.next()?.parse().ok()?;
    let (device, inode) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let prefix = parts.next()?.parse().ok()?;
    let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
    let mut texts = serde_json::Deserializer::from_str(parts.next()?).into_iter::<String>();
    let (key, job) = (texts.next()?.ok()?, texts.next()?.ok()?);
    Some((offset, key, Known { id: FileId { device, inode, prefix, hash }, job }))
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
        p.set_file("/var/log/a.log", 456, id, "j");
        p.remove("cursor-abc");
        p.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "positions:\n  \"/var/log/a.log\": \"456\"\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let p = Positions::open(&path).unwrap();
        assert_eq!(p.file("/var/log/a.log"), Some((456, Some(id))));
        assert_eq!(p.renamed("j", 1, 2).collect::<Vec<_>>(), [(456, id)]);
    }

    #[test]
    fn the_folder_of_the_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/there/yet.yaml");
        let mut p = Positions::open(&path).unwrap();
        p.set_file("/a", 7, FileId::default(), "j");
        p.write().unwrap();
        assert_eq!(Positions::open(&path).unwrap().file("/a").unwrap().0, 7);
    }

    #[test]
    fn a_file_without_sense_is_moved_aside_and_ours_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.yaml");
        let mut p = Positions::open(&path).unwrap();
        p.set_file("/a", 7, FileId::default(), "j");
        p.write().unwrap();
        fs::write(&path, "positions: [\n").unwrap();
        let p = Positions::open(&path).unwrap();
        assert_eq!(p.file("/a").unwrap().0, 7);
        assert!(dir.path().join("positions.yaml.broken").exists());
    }

    #[test]
    fn two_jobs_that_read_one_file_have_places_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.yaml");
        let mut p = Positions::open(&path).unwrap();
        p.register("a");
        p.register("b");
        assert_eq!(p.claim("a", "/x"), "/x");
        let other = p.claim("b", "/x");
        p.set_file("/x", 100, FileId::default(), "a");
        assert_eq!((other.as_str(), p.file(&other)), ("cursor-b-/x", None));
        p.set_file(&other, 5, FileId::default(), "b");
        p.write().unwrap();
        let mut p = Positions::open(&path).unwrap();
        p.register("a");
        p.register("b");
        // Whoever comes first.
        let key = p.claim("b", "/x");
        assert_eq!(p.file(&key).unwrap().0, 5);
        let key = p.claim("a", "/x");
        assert_eq!(p.file(&key).unwrap().0, 100);
        assert_eq!(p.left_by("b"), [(other, "/x".to_owned(), 5, FileId::default())]);
        // A job that got another name goes on where it was.
        let mut p = Positions::open(&path).unwrap();
        p.register("new");
        let key = p.claim("new", "/x");
        assert_eq!(p.file(&key).unwrap().0, 100);
    }

    #[test]
    fn a_run_that_only_looks_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions.yaml");
        let mut p = Positions::open(&path).unwrap();
        p.set_read_only();
        p.set("cursor-a", "1".to_owned());
        p.write().unwrap();
        assert!(!path.exists());
    }
}
