//! Directories, and files written once.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Clock, DiskError, Entry, Fs, FsFile, Lock, Mapped, RealFs, Result, SystemClock};

/// Ends the names of files and directories that are not finished.
const UNFINISHED: &str = ".tmp";

/// The outside world of an engine.
#[derive(Clone, Debug)]
pub struct Env {
    /// Files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Env {
    /// The operating system's files and clock.
    pub fn real() -> Self {
        Env { fs: Arc::new(RealFs), clock: Arc::new(SystemClock::new()) }
    }

    /// The directory at `path`, made if it does not exist.
    pub fn dir(&self, path: impl Into<PathBuf>) -> Result<Dir> {
        let dir = Dir { fs: Arc::clone(&self.fs), path: path.into() };
        dir.fs.create_dir_all(&dir.path).map_err(|e| DiskError::io("make directory", &dir.path, e))?;
        // The name of a new directory must be durable before anything in it can be. Those above it may belong to
        // somebody else and not be readable; then they are older than we are.
        for above in dir.path.ancestors().skip(1) {
            if above.as_os_str().is_empty() || self.fs.sync_dir(above).is_err() {
                break;
            }
        }
        Ok(dir)
    }
}

/// A directory of some file system.
#[derive(Clone, Debug)]
pub struct Dir {
    fs: Arc<dyn Fs>,
    path: PathBuf,
}

impl Dir {
    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory `name` in this one, made (durably) if it does not exist.
    pub fn subdir(&self, name: &str) -> Result<Dir> {
        let dir = Dir { fs: Arc::clone(&self.fs), path: self.join(name) };
        self.fs.create_dir_all(&dir.path).map_err(|e| DiskError::io("make directory", &dir.path, e))?;
        self.sync()?;
        Ok(dir)
    }

    /// The directory `name` in this one, which is expected to exist.
    pub fn existing(&self, name: &str) -> Dir {
        Dir { fs: Arc::clone(&self.fs), path: self.join(name) }
    }

    /// Names in the directory, sorted.
    pub fn list(&self) -> Result<Vec<Entry>> {
        self.fs.list(&self.path).map_err(|e| DiskError::io("list", &self.path, e))
    }

    /// Bytes of all files in the directory and below.
    pub fn size(&self) -> Result<u64> {
        let mut total = 0;
        for entry in self.list()? {
            total += if entry.is_dir { self.existing(&entry.name).size()? } else { entry.len };
        }
        Ok(total)
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.join(name);
        self.fs.read(&path).map_err(|e| DiskError::io("read", &path, e))
    }

    /// Reads a part of a file that may be growing: at most `max` bytes from `offset` on.
    pub fn read_from(&self, name: &str, offset: u64, max: usize) -> Result<Vec<u8>> {
        let path = self.join(name);
        self.fs.read_from(&path, offset, max).map_err(|e| DiskError::io("read", &path, e))
    }

    /// Maps a file that will not change any more.
    pub fn map(&self, name: &str) -> Result<Mapped> {
        let path = self.join(name);
        self.fs.map(&path).map_err(|e| DiskError::io("map", &path, e))
    }

    /// Makes an empty file for appending.
    pub fn create(&self, name: &str) -> Result<Box<dyn FsFile>> {
        let path = self.join(name);
        self.fs.create(&path).map_err(|e| DiskError::io("create", &path, e))
    }

    /// Opens an existing file for appending.
    pub fn open(&self, name: &str) -> Result<Box<dyn FsFile>> {
        let path = self.join(name);
        self.fs.open(&path).map_err(|e| DiskError::io("open", &path, e))
    }

    /// A buffered writer of a new file.
    pub fn writer(&self, name: &str) -> Result<FileWriter> {
        let (file, path) = (self.create(name)?, self.join(name));
        Ok(FileWriter { file, path, buf: Vec::new(), hasher: crc32fast::Hasher::new() })
    }

    /// Makes the names in the directory durable.
    pub fn sync(&self) -> Result<()> {
        self.fs.sync_dir(&self.path).map_err(|e| DiskError::io("fsync", &self.path, e))
    }

    /// Writes a small file so that a crash leaves either the old or the new content.
    pub fn write_atomic(&self, name: &str, data: &[u8]) -> Result<()> {
        let tmp = format!("{name}{UNFINISHED}");
        let mut w = self.writer(&tmp)?;
        w.write(data)?;
        w.finish()?;
        self.rename(&tmp, name)?;
        self.sync()
    }

    /// Gives a finished file or directory its final name, which nothing else has, durably. Its files must be synced
    /// already ([`FileWriter::finish`]).
    ///
    /// If the directory cannot be synced, the name is taken back, so that the disk agrees with whoever is told of the
    /// failure. That is not durable either, and may fail: what must never come back is to be removed again, and the
    /// directory synced, before anything relies on its absence.
    pub fn publish(&self, tmp: &str, name: &str) -> Result<()> {
        self.rename(tmp, name)?;
        self.sync().inspect_err(|_| {
            if let Err(error) = self.rename(name, tmp) {
                let path = self.join(name);
                tracing::error!(path = %path.display(), %error, "it was not published durably, yet keeps its name");
            }
        })
    }

    /// Renames within the directory, not yet durably.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let from = self.join(from);
        self.fs.rename(&from, &self.join(to)).map_err(|e| DiskError::io("rename", &from, e))
    }

    /// Removes a file.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        let path = self.join(name);
        self.fs.remove_file(&path).map_err(|e| DiskError::io("remove", &path, e))
    }

    /// Removes directories with all they hold, durably; those that do not exist are passed over. They are renamed
    /// first, so that a crash never leaves a half of one under its own name. Nothing else in here may be unfinished.
    pub fn remove_dirs(&self, names: &[String]) -> Result<()> {
        let existing = self.list()?;
        for name in names.iter().filter(|n| existing.iter().any(|e| e.name == **n)) {
            self.rename(name, &format!("{name}{UNFINISHED}"))?;
        }
        self.sync()?;
        self.remove_unfinished().map(drop)
    }

    /// Removes files and directories that a crash left unfinished (names ending in `.tmp`); returns how many.
    pub fn remove_unfinished(&self) -> Result<usize> {
        let mut removed = 0;
        for entry in self.list()?.into_iter().filter(|e| e.name.ends_with(UNFINISHED)) {
            let path = self.join(&entry.name);
            if entry.is_dir { self.fs.remove_dir_all(&path) } else { self.fs.remove_file(&path) }
                .map_err(|e| DiskError::io("remove", &path, e))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Gives the file `name` a second name in `to`.
    pub fn hard_link(&self, name: &str, to: &Dir) -> Result<()> {
        let path = self.join(name);
        self.fs.hard_link(&path, &to.join(name)).map_err(|e| DiskError::io("link", &path, e))
    }

    /// Takes the lock file `name`; fails if another process holds it.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.join(name);
        self.fs.lock(&path).map_err(|e| DiskError::io("lock", &path, e))
    }
}

/// Writes a file from start to end through a buffer.
#[derive(Debug)]
pub struct FileWriter {
    file: Box<dyn FsFile>,
    path: PathBuf,
    buf: Vec<u8>,
    /// Of everything that is in the file, without the buffer.
    hasher: crc32fast::Hasher,
}

const WRITE_BUFFER: usize = 256 << 10;

impl FileWriter {
    /// Appends bytes.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        self.buf.extend_from_slice(data);
        if self.buf.len() >= WRITE_BUFFER { self.flush() } else { Ok(()) }
    }

    /// Where the next byte will stand.
    pub fn position(&self) -> u64 {
        self.file.len() + self.buf.len() as u64
    }

    fn flush(&mut self) -> Result<()> {
        self.file.append(&self.buf).map_err(|e| DiskError::io("write", &self.path, e))?;
        self.hasher.update(&self.buf);
        self.buf.clear();
        Ok(())
    }

    /// CRC-32 of everything written so far.
    pub fn checksum(&self) -> u32 {
        let mut hasher = self.hasher.clone();
        hasher.update(&self.buf);
        hasher.finalize()
    }

    /// Writes what is buffered and makes the file durable; returns its length.
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync().map_err(|e| DiskError::io("fsync", &self.path, e))?;
        Ok(self.file.len())
    }
}
