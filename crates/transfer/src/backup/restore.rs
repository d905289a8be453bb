//! Bringing a backup back, into a folder that has nothing yet.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{
    ABOUT, About, BackupError, FORMAT, Progress, SUMS, list, read, sync_folder,
    write::{hex, make_folder, put},
};

/// Where files are until all of them are there and as they were.
pub const RESTORING: &str = "restore.tmp";

/// Where they are when that is so, and before each has come to its place.
const CHECKED: &str = "restore.checked";

/// Lists of sums larger than this are none of ours: a hundred bytes a file, ten million files.
const MAX_LIST: u64 = 1 << 30;

/// What became of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The backup is in the folder.
    Done(About),
    /// An earlier restore had been killed when all was checked; what it had brought is in the folder now.
    Finished,
}

/// Whether a restore into this folder began and did not end: then it has not all of its data.
pub fn unfinished(data: &Path) -> bool {
    [RESTORING, CHECKED].iter().any(|name| data.join(name).symlink_metadata().is_ok())
}

/// Reads a backup whole, and compares it with its sums.
///
/// # Errors
/// If it cannot be read, is not whole, or not as it was.
pub fn verify(from: &Path, progress: Progress<'_>) -> Result<About, BackupError> {
    let mut sums = Sums::default();
    read::each_file(from, &mut |name, source| sums.take(from, name, source, &mut io::sink()), progress)?;
    sums.check(from)
}

/// Puts what a backup holds into `data`, which is made if it does not exist. Files come to their places when all of them are there and
/// as they were: after a failure, or a crash, `data` has none of them, or a second call finishes the work.
///
/// # Errors
/// If `data` holds something, the backup is damaged or not whole, or files cannot be read or written.
pub fn restore(from: &Path, data: &Path, progress: Progress<'_>) -> Result<Restored, BackupError> {
    make_folder(data)?;
    let (restoring, checked) = (data.join(RESTORING), data.join(CHECKED));
    if checked.is_dir() {
        move_up(&checked, data)?;
        return Ok(Restored::Finished);
    }
    if restoring.is_dir() {
        fs::remove_dir_all(&restoring).map_err(BackupError::io(&restoring))?;
    }
    let mut present = fs::read_dir(data).map_err(BackupError::io(data))?.flatten();
    // A file system of its own begins with this one.
    if present.any(|entry| entry.file_name() != "lost+found") {
        let reason = "is not empty; a restore overwrites nothing";
        return Err(BackupError::InTheWay { path: data.to_owned(), reason });
    }
    make_folder(&restoring)?;
    let mut sums = Sums::default();
    let unpacked = read::each_file(
        from,
        &mut |name, source| {
            let mut hashed = Hashed::new(source);
            if list::is_data(name) {
                put(&restoring.join(name), &mut hashed)?;
                sums.found.insert(name.to_owned(), hashed.sum());
                return Ok(());
            }
            sums.take(from, name, &mut hashed, &mut io::sink())
        },
        progress,
    );
    let about = unpacked.and_then(|()| sums.check(from)).inspect_err(|_| {
        // What is left of it would be in the way of nobody but is of no use either.
        let _ = fs::remove_dir_all(&restoring);
    })?;
    sync_tree(&restoring)?;
    fs::rename(&restoring, &checked).map_err(BackupError::io(&checked))?;
    sync_folder(data)?;
    move_up(&checked, data)?;
    Ok(Restored::Done(about))
}

/// Moves everything in `checked` to `data`, and removes it.
fn move_up(checked: &Path, data: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(checked).map_err(BackupError::io(checked))? {
        let entry = entry.map_err(BackupError::io(checked))?;
        let to = data.join(entry.file_name());
        fs::rename(entry.path(), &to).map_err(BackupError::io(&to))?;
    }
    sync_folder(data)?;
    fs::remove_dir(checked).map_err(BackupError::io(checked))?;
    sync_folder(data)
}

fn sync_tree(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::io(folder))? {
        let path = entry.map_err(BackupError::io(folder))?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        }
    }
    sync_folder(folder)
}

/// What was found in a backup, and what it says should be there.
#[derive(Default)]
struct Sums {
    found: BTreeMap<String, String>,
    list: Option<String>,
    about: Option<Vec<u8>>,
}

impl Sums {
    /// Notes one file; what it holds goes to `out`, unless it is one of the backup's own.
    fn take(
        &mut self,
        from: &Path,
        name: &str,
        source: &mut dyn Read,
        out: &mut dyn io::Write,
    ) -> Result<(), BackupError> {
        let unreadable = |e: io::Error| BackupError::damaged(from, format!("{name} cannot be read: {e}"));
        match name {
            SUMS => {
                let mut text = String::new();
                source.take(MAX_LIST).read_to_string(&mut text).map_err(unreadable)?;
                self.list = Some(text);
            }
            ABOUT => {
                let mut bytes = Vec::new();
                source.take(MAX_LIST).read_to_end(&mut bytes).map_err(unreadable)?;
                self.about = Some(bytes);
            }
            name => {
                let mut hashed = Hashed::new(source);
                io::copy(&mut hashed, out).map_err(unreadable)?;
                self.found.insert(name.to_owned(), hashed.sum());
            }
        }
        Ok(())
    }

    /// Whether everything is there, and as it was.
    fn check(&self, from: &Path) -> Result<About, BackupError> {
        let damaged = |reason: String| BackupError::damaged(from, reason);
        let (Some(about), Some(list)) = (&self.about, &self.list) else {
            return Err(damaged(format!("this is no backup, or not a whole one: it has no {ABOUT}")));
        };
        let format =
            serde_json::from_slice::<serde_json::Value>(about).ok().and_then(|v| v["format"].as_u64());
        if format.is_some_and(|found| found > u64::from(FORMAT)) {
            return Err(damaged("a newer version of Reba made this backup".to_owned()));
        }
        let about: About = serde_json::from_slice(about).map_err(|e| damaged(format!("{ABOUT}: {e}")))?;
        if hex(&Sha256::digest(list.as_bytes())) != about.sums {
            return Err(damaged(format!("{SUMS} is not as it was")));
        }
        let mut listed = BTreeMap::new();
        for line in list.lines() {
            let (sum, name) =
                line.split_once("  ").ok_or_else(|| damaged(format!("{SUMS} has a line that is no sum")))?;
            listed.insert(name, sum);
        }
        for (name, sum) in &listed {
            match self.found.get(*name) {
                None => return Err(damaged(format!("{name} is missing"))),
                Some(found) if found != sum => return Err(damaged(format!("{name} is not as it was"))),
                Some(_) => {}
            }
        }
        match self.found.keys().find(|name| !listed.contains_key(name.as_str())) {
            Some(name) => Err(damaged(format!("{name} does not belong to it"))),
            None => Ok(about),
        }
    }
}

/// A reader that sums up what it reads.
struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Self {
        Hashed { inner, hasher: Sha256::new() }
    }

    fn sum(self) -> String {
        hex(&self.hasher.finalize())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // Else it would look like a failure to write.
        let said = |e: io::Error| io::Error::new(e.kind(), format!("the backup cannot be read: {e}"));
        let n = self.inner.read(buf).map_err(said)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}
