//! Making a backup.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{ABOUT, About, BackupError, FORMAT, Progress, SUMS, SourceFile, is_archive, list, sync_folder};

/// How hard zstd tries: most of what stores keep is compressed already.
const LEVEL: i32 = 3;

const BUFFER: usize = 256 << 10;

/// Writes `files` to `target`, which must not exist: an archive if its name ends in `.tar.zst`, else a folder. It gets its name when it
/// is whole; what a crash leaves behind is called `….partial`, and is replaced by the next try.
///
/// # Errors
/// If the target exists, a file cannot be read or written, or has become shorter than it was listed.
pub fn write(
    target: &Path,
    files: &[SourceFile],
    version: &str,
    taken_at: &str,
    progress: Progress<'_>,
) -> Result<About, BackupError> {
    if target.symlink_metadata().is_ok() {
        let reason = "is there already; a backup overwrites nothing";
        return Err(BackupError::InTheWay { path: target.to_owned(), reason });
    }
    let partial = partial(target);
    let mut out = Out::create(&partial, is_archive(target))?;
    let total = files.iter().map(|f| f.bytes).sum();
    let (mut done, mut sums) = (0, String::new());
    for file in files {
        debug_assert!(list::is_data(&file.name), "names were checked when files were listed");
        let sum = copy(&mut out, file, &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
        sums.push_str(&format!("{sum}  {}\n", file.name));
    }
    let about = About {
        format: FORMAT,
        version: version.to_owned(),
        taken_at: taken_at.to_owned(),
        files: files.len() as u64,
        bytes: total,
        sums: hex(&Sha256::digest(sums.as_bytes())),
    };
    out.add_text(SUMS, &sums)?;
    let text =
        serde_json::to_string_pretty(&about).map_err(|e| BackupError::damaged(target, e.to_string()))?;
    out.add_text(ABOUT, &format!("{text}\n"))?;
    out.finish()?;
    fs::rename(&partial, target).map_err(BackupError::io(target))?;
    sync_folder(target.parent().unwrap_or(Path::new(".")))?;
    Ok(about)
}

/// Where a backup is until it is whole.
fn partial(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Copies one file; returns its sum.
fn copy(out: &mut Out, file: &SourceFile, read: &mut dyn FnMut(u64)) -> Result<String, BackupError> {
    let source = File::open(&file.path).map_err(BackupError::io(&file.path))?;
    let mut source = Counted { inner: source.take(file.bytes), hasher: Sha256::new(), bytes: 0, read };
    out.add(&file.name, file.bytes, &mut source)?;
    if source.bytes != file.bytes {
        return Err(BackupError::damaged(&file.path, "the file became shorter while it was read"));
    }
    Ok(hex(&source.hasher.finalize()))
}

/// A reader that is watched.
struct Counted<'a, R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
    read: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.bytes += n as u64;
        (self.read)(n as u64);
        Ok(n)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Where a backup goes to. Only its owner may read it: it holds what the stores hold.
enum Out {
    Folder(PathBuf),
    Archive { path: PathBuf, tar: Box<tar::Builder<zstd::Encoder<'static, BufWriter<File>>>> },
}

impl Out {
    fn create(path: &Path, archive: bool) -> Result<Self, BackupError> {
        let io = BackupError::io;
        if archive {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            let file = BufWriter::with_capacity(BUFFER, file.map_err(io(path))?);
            let mut zstd = zstd::Encoder::new(file, LEVEL).map_err(io(path))?;
            // A bit that flips inside the archive is told of by zstd, too.
            zstd.include_checksum(true).map_err(io(path))?;
            return Ok(Out::Archive { path: path.to_owned(), tar: Box::new(tar::Builder::new(zstd)) });
        }
        if path.is_dir() {
            fs::remove_dir_all(path).map_err(io(path))?;
        }
        make_folder(path)?;
        Ok(Out::Folder(path.to_owned()))
    }

    fn add(&mut self, name: &str, bytes: u64, source: &mut dyn Read) -> Result<(), BackupError> {
        match self {
            Out::Folder(root) => put(&root.join(name), source),
            Out::Archive { path, tar } => {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes);
                header.set_mode(0o600);
                header.set_entry_type(tar::EntryType::Regular);
                tar.append_data(&mut header, name, source).map_err(BackupError::io(path))
            }
        }
    }

    fn add_text(&mut self, name: &str, text: &str) -> Result<(), BackupError> {
        self.add(name, text.len() as u64, &mut text.as_bytes())
    }

    /// Makes all of it durable.
    fn finish(self) -> Result<(), BackupError> {
        match self {
            Out::Folder(root) => sync_folder(&root),
            Out::Archive { path, tar } => {
                let file =
                    tar.into_inner().and_then(zstd::Encoder::finish).map_err(BackupError::io(&path))?;
                let file = file.into_inner().map_err(|e| BackupError::io(&path)(e.into_error()))?;
                file.sync_all().map_err(BackupError::io(&path))
            }
        }
    }
}

/// Writes a new file, durably, and the folders above it.
pub(super) fn put(path: &Path, source: &mut dyn Read) -> Result<(), BackupError> {
    let io = BackupError::io;
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    io::copy(source, &mut out).map_err(io(path))?;
    out.flush().map_err(io(path))?;
    out.get_ref().sync_all().map_err(io(path))
}

/// Makes a folder for its owner's eyes, with those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::io(path))
}
