//! What the kernel tells of folders (inotify), so that new lines and new files are seen at once.
//!
//! It only ever says *look now*: file systems that tell nothing (network, some mounts of containers) are looked at in turn anyway.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// Folders that one job watches; the kernel has a limit for all of a user, 8192 on small machines.
const MAX_FOLDERS: usize = 4096;

/// Watches the folders of a job.
#[derive(Debug)]
pub(crate) struct Watch {
    fd: OwnedFd,
    folders: BTreeMap<i32, PathBuf>,
    known: BTreeSet<PathBuf>,
}

/// What has happened since it was asked last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Files that have grown.
    pub written: BTreeSet<PathBuf>,
    /// Files have come, gone, or got another name.
    pub named: bool,
    /// Too much has happened to be told.
    pub all: bool,
}

impl Watch {
    /// A watch of nothing; none where the kernel gives none.
    pub fn new() -> Option<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        Some(Watch { fd, folders: BTreeMap::new(), known: BTreeSet::new() })
    }

    /// Watches these folders besides those that are watched.
    pub fn add(&mut self, folders: BTreeSet<PathBuf>) {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::MODIFY
            | WatchFlags::ONLYDIR;
        for folder in folders {
            if self.known.len() >= MAX_FOLDERS || self.known.contains(&folder) {
                continue;
            }
            if let Ok(number) = inotify::add_watch(&self.fd, folder.as_path(), flags) {
                self.folders.insert(number, folder.clone());
                self.known.insert(folder);
            }
        }
    }

    /// What has happened; it never waits.
    pub fn changes(&mut self) -> Changes {
        let mut out = Changes::default();
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut gone = Vec::new();
        let mut reader = Reader::new(&self.fd, &mut buffer);
        while let Ok(event) = reader.next() {
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                out.all = true;
            }
            if what.contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
            }
            if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::MOVED_FROM) {
                out.named = true;
            } else if let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) {
                let name = Path::new(OsStr::from_bytes(name.to_bytes()));
                out.written.insert(folder.join(name));
            }
        }
        for number in gone {
            // The folder is no more; one of its name may come.
            if let Some(folder) = self.folders.remove(&number) {
                self.known.remove(&folder);
                out.named = true;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_happens_in_a_folder_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.add(BTreeSet::from([dir.path().to_owned()]));
        assert_eq!(watch.changes(), Changes::default());
        fs::write(dir.path().join("a"), "x").unwrap();
        let changes = watch.changes();
        assert!(changes.named && changes.written.contains(&dir.path().join("a")), "{changes:?}");
        assert_eq!(watch.changes(), Changes::default());
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(watch.changes().named);
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(watch.changes().named);
        assert!(watch.folders.is_empty() && watch.known.is_empty());
    }
}
