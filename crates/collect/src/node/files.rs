//! Reads the small files of `/proc` and `/sys`: three system calls a file, one buffer for all of them.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    str::FromStr,
};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// Longer files are cut here. The longest that are read, tables of sockets and processors, have a few megabytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// A first guess that fits nearly all of them; an attribute of `/sys` never has more.
const PAGE: usize = 4096;

/// Where a host's files are: elsewhere in a container that looks at its host.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `--path.procfs`
    pub proc: String,
    /// `--path.sysfs`
    pub sys: String,
    /// `--path.rootfs`
    pub root: String,
    /// `--path.udev.data`
    pub udev: String,
}

/// A folder that is open: files in it are found without the way to it, which in `/sys` is long.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// Reads files of a host.
#[derive(Debug)]
pub struct Files<'r> {
    roots: &'r Roots,
    buffer: Vec<u8>,
    path: String,
    text: String,
    /// `/proc/stat`, which two collectors read; the kernel adds up for it what every interrupt did on every processor.
    stat: Option<String>,
}

impl<'r> Files<'r> {
    /// A reader.
    pub fn new(roots: &'r Roots) -> Self {
        Files { roots, buffer: vec![0; PAGE], path: String::new(), text: String::new(), stat: None }
    }

    /// Where the files are.
    pub fn roots(&self) -> &'r Roots {
        self.roots
    }

    /// A file of `/proc`.
    pub fn proc(&mut self, path: &str) -> io::Result<&str> {
        self.read(&self.roots.proc, path, false)
    }

    /// `/proc/stat`, as it was when somebody first asked.
    pub fn proc_stat(&mut self) -> io::Result<&str> {
        let text = match self.stat.take() {
            Some(text) => text,
            None => self.proc("stat")?.to_owned(),
        };
        Ok(self.stat.insert(text))
    }

    /// An attribute in `/sys`, without spaces around it.
    pub fn sys(&mut self, path: &str) -> io::Result<&str> {
        self.read(&self.roots.sys, path, true).map(str::trim)
    }

    /// A file below the host's root.
    pub fn root(&mut self, path: &str) -> io::Result<&str> {
        self.read(&self.roots.root, path, false)
    }

    /// What udev knows of a device.
    pub fn udev(&mut self, path: &str) -> io::Result<&str> {
        self.read(&self.roots.udev, path, false)
    }

    /// Opens a folder of `/sys`.
    pub fn sys_folder(&self, path: &str) -> io::Result<Folder> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder(openat(CWD, format!("{}/{path}", self.roots.sys), flags, Mode::empty())?))
    }

    /// An attribute in an open folder, without spaces around it.
    pub fn within(&mut self, folder: &Folder, file: &str) -> io::Result<&str> {
        let length = fill(folder.0.as_fd(), file, &mut self.buffer, true)?;
        self.shown(length).map(str::trim)
    }

    /// A number in `/sys`; absent if there is none.
    pub fn sys_number<T: FromStr>(&mut self, path: &str) -> Option<T> {
        self.sys(path).ok()?.parse().ok()
    }

    /// A number in `/proc`.
    pub fn proc_number<T: FromStr>(&mut self, path: &str) -> io::Result<T> {
        let text = self.proc(path)?.trim();
        text.parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not a number: {text:?}")))
    }

    /// The names in a folder of `/sys`, sorted.
    pub fn sys_names(&self, path: &str) -> io::Result<Vec<String>> {
        names(&format!("{}/{path}", self.roots.sys))
    }

    /// The names in a folder of `/proc`, sorted.
    pub fn proc_names(&self, path: &str) -> io::Result<Vec<String>> {
        names(&format!("{}/{path}", self.roots.proc))
    }

    fn read(&mut self, root: &str, path: &str, attribute: bool) -> io::Result<&str> {
        self.path.clear();
        self.path.push_str(root);
        if !self.path.ends_with('/') {
            self.path.push('/');
        }
        self.path.push_str(path);
        let length = fill(CWD, &self.path, &mut self.buffer, attribute)?;
        self.shown(length)
    }

    /// What was read, as text.
    fn shown(&mut self, length: usize) -> io::Result<&str> {
        let bytes = self.buffer.get(..length).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(_) => {
                Ok(std::str::from_utf8(self.buffer.get(..length).unwrap_or_default()).unwrap_or_default())
            }
            Err(_) => {
                self.text = String::from_utf8_lossy(bytes).into_owned();
                Ok(&self.text)
            }
        }
    }
}

/// Reads a file from its start. What an attribute of `/sys` has it tells at once; a file of `/proc` comes in pieces.
fn fill(folder: BorrowedFd<'_>, path: &str, buffer: &mut Vec<u8>, attribute: bool) -> io::Result<usize> {
    let mut file = File::from(openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= MAX_FILE_BYTES {
                return Ok(length);
            }
            buffer.resize(length * 2, 0);
        }
        let space = buffer.get_mut(length..).unwrap_or_default();
        match file.read(space) {
            Ok(0) => return Ok(length),
            Ok(n) => {
                length += n;
                if attribute && length < buffer.len() {
                    return Ok(length);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The names in a folder, sorted; what is not text is passed over.
pub fn names(path: &str) -> io::Result<Vec<String>> {
    let mut names: Vec<String> =
        fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_bytes_that_are_no_text_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap().to_owned();
        fs::write(dir.path().join("long"), "x".repeat(3 * PAGE)).unwrap();
        fs::write(dir.path().join("bytes"), b"a\xff\n").unwrap();
        fs::write(dir.path().join("7"), "42\n").unwrap();
        let roots = Roots { proc: root.clone(), sys: root.clone(), root: root.clone(), udev: root };
        let mut files = Files::new(&roots);
        assert_eq!(files.proc("long").unwrap().len(), 3 * PAGE);
        assert_eq!(files.sys("bytes").unwrap(), "a\u{fffd}");
        assert_eq!(files.sys_number::<u64>("7"), Some(42));
        assert!(files.proc_number::<u64>("bytes").is_err() && files.sys("nope").is_err());
        assert_eq!(files.sys_names("").unwrap(), ["7", "bytes", "long"]);
    }
}
