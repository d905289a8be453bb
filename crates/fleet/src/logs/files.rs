//! The files: written by one thread, renamed when they are full.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
};

use super::LogFiles;
use crate::Service;

/// Lines that are written at once, at most.
const BATCH: usize = 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Line(Service, String),
    /// End.
    Stop,
}

/// Writes the files.
#[derive(Debug)]
pub(super) struct Writer {
    files: LogFiles,
    open: BTreeMap<Service, Open>,
    lost: Arc<AtomicU64>,
    /// Whose last attempt failed, which is said once.
    failing: BTreeSet<Service>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl Writer {
    /// Makes the folder; files are opened by their first lines.
    pub(super) fn open(files: LogFiles, lost: Arc<AtomicU64>) -> io::Result<Self> {
        fs::create_dir_all(&files.dir)?;
        Ok(Self { files, open: BTreeMap::new(), lost, failing: BTreeSet::new() })
    }

    /// Writes what comes, until it is told to stop or nobody is left who could say more.
    pub(super) fn run(mut self, messages: Receiver<Message>) {
        let mut texts: BTreeMap<Service, String> = BTreeMap::new();
        while let Ok(first) = messages.recv() {
            let more = messages.try_iter().take(BATCH);
            let mut stop = false;
            for message in std::iter::once(first).chain(more) {
                match message {
                    Message::Line(service, text) => texts.entry(service).or_default().push_str(&text),
                    Message::Stop => {
                        stop = true;
                        break;
                    }
                }
            }
            for (service, text) in &mut texts {
                let result = self.write(*service, text.as_bytes());
                self.report(*service, result);
                text.clear();
            }
            if stop {
                break;
            }
        }
    }

    fn report(&mut self, service: Service, result: io::Result<()>) {
        if let Err(error) = &result {
            self.open.remove(&service);
            // One line for a full disk, whoever else can write a last line meanwhile.
            if self.failing.is_empty() {
                let (service, dir) = (service.name(), self.files.dir.display());
                tracing::warn!(%error, service, %dir, "the fleet cannot write its logs");
            }
        }
        if result.is_err() {
            self.failing.insert(service);
        } else {
            self.failing.remove(&service);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "the fleet left out lines of its logs: the disk is too slow");
        }
    }

    fn write(&mut self, service: Service, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let full = |open: &Open| open.bytes > 0 && open.bytes + text.len() as u64 > self.files.max_bytes;
        if self.open.get(&service).is_some_and(full) {
            self.open.remove(&service);
            self.rotate(service)?;
        }
        let path = self.path(service, 0);
        let open = match self.open.entry(service) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let file = File::options().create(true).append(true).open(path)?;
                let bytes = file.metadata()?.len();
                place.insert(Open { file, bytes })
            }
        };
        open.file.write_all(text)?;
        open.bytes += text.len() as u64;
        Ok(())
    }

    /// Renames a service's files to make room for a new one; the oldest goes.
    fn rotate(&self, service: Service) -> io::Result<()> {
        for n in (0..self.files.keep).rev() {
            match fs::rename(self.path(service, n), self.path(service, n + 1)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        if self.files.keep == 0 { fs::remove_file(self.path(service, 0)) } else { Ok(()) }
    }

    /// The file being written, or the nth that was renamed.
    fn path(&self, service: Service, n: usize) -> PathBuf {
        let number = if n == 0 { String::new() } else { format!(".{n}") };
        self.files.dir.join(format!("{}.log{number}", service.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(dir: &std::path::Path, keep: usize) -> Writer {
        let files = LogFiles { dir: dir.join("logs"), max_bytes: 100, keep };
        Writer::open(files, Arc::default()).unwrap()
    }

    fn names(writer: &Writer) -> Vec<String> {
        let entries = fs::read_dir(&writer.files.dir).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn full_files_are_renamed_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), 2);
        for n in 0..10 {
            writer.write(Service::Ranking, format!("{n:59}\n").as_bytes()).unwrap();
        }
        let expected = ["ranking-service.log", "ranking-service.log.1", "ranking-service.log.2"];
        assert_eq!(names(&writer), expected);
        let read = |n| fs::read_to_string(writer.path(Service::Ranking, n)).unwrap().trim().to_owned();
        assert_eq!([read(0), read(1), read(2)], ["9", "8", "7"]);
    }

    #[test]
    fn a_file_from_before_is_continued_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let text = [b'x'; 60];
        writer(dir.path(), 1).write(Service::Wallet, &text).unwrap();
        let mut again = writer(dir.path(), 1);
        again.write(Service::Wallet, &text[..30]).unwrap();
        assert_eq!(names(&again), ["wallet-service.log"]);
        again.write(Service::Wallet, &text).unwrap();
        assert_eq!(names(&again), ["wallet-service.log", "wallet-service.log.1"]);
        assert_eq!(fs::metadata(again.path(Service::Wallet, 1)).unwrap().len(), 90);
    }

    #[test]
    fn a_line_larger_than_a_file_is_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), 0);
        writer.write(Service::Wallet, &[b'a'; 500]).unwrap();
        writer.write(Service::Wallet, &[b'b'; 300]).unwrap();
        assert_eq!(fs::read(writer.path(Service::Wallet, 0)).unwrap(), [b'b'; 300]);
        assert_eq!(names(&writer), ["wallet-service.log"]);
    }
}
