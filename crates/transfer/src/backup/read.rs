//! Reading a backup from start to end, whatever form it has.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    rc::Rc,
};

use super::{BackupError, Progress, list};

/// What a reader does with each file of a backup: its name, and its bytes.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, &mut dyn Read) -> Result<(), BackupError>;

/// Calls `each` for every file. Names lead to places below the root.
pub(super) fn each_file(from: &Path, each: Each<'_>, progress: Progress<'_>) -> Result<(), BackupError> {
    if from.is_dir() { folder(from, each, progress) } else { archive(from, each, progress) }
}

fn folder(from: &Path, each: Each<'_>, progress: Progress<'_>) -> Result<(), BackupError> {
    let files = list::below(from, "", &|_| true)?;
    let total = files.iter().map(|f| f.bytes).sum();
    let mut done = 0;
    for file in files {
        let mut source = File::open(&file.path).map_err(BackupError::io(&file.path))?;
        each(&file.name, &mut source)?;
        done += file.bytes;
        progress(done, total);
    }
    Ok(())
}

fn archive(from: &Path, each: Each<'_>, progress: Progress<'_>) -> Result<(), BackupError> {
    let file = File::open(from).map_err(BackupError::io(from))?;
    let total = file.metadata().map_err(BackupError::io(from))?.len();
    // Of an archive only its packed bytes are known beforehand.
    let done = Rc::new(Cell::new(0));
    let packed = BufReader::new(Counted { inner: file, bytes: Rc::clone(&done) });
    let damaged = |e: io::Error| BackupError::damaged(from, format!("this archive cannot be read: {e}"));
    let mut tar = tar::Archive::new(zstd::Decoder::with_buffer(packed).map_err(damaged)?);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => continue,
            tar::EntryType::Regular if list::is_plain(&name) => {}
            _ => return Err(BackupError::damaged(from, format!("{name:?} does not belong into a backup"))),
        }
        each(&name, &mut entry)?;
        progress(done.get(), total);
    }
    // Behind the last file stands the checksum of zstd.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged).map(drop)
}

struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes.set(self.bytes.get() + n as u64);
        Ok(n)
    }
}
