//! `scrape_failure_log_file`: a line of JSON for every scrape that failed.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use serde::Serialize;

/// One file, which several jobs may write to.
#[derive(Debug)]
pub(crate) struct FailureLog {
    path: PathBuf,
    file: Mutex<File>,
    /// The last write failed: said once, not at every scrape.
    is_broken: AtomicBool,
}

/// A line, in the words of upstream.
#[derive(Serialize)]
struct Entry<'a> {
    time: &'a str,
    level: &'static str,
    msg: &'a str,
    job_name: &'a str,
    target: &'a str,
}

impl FailureLog {
    fn open(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(append_to(path)?);
        Ok(FailureLog { path: path.to_owned(), file, is_broken: AtomicBool::new(false) })
    }

    /// Adds a line. One that cannot be written is lost; the scrape goes on.
    pub fn write(&self, unix_ms: i64, job: &str, target: &str, error: &str) {
        let time = jiff::Timestamp::from_millisecond(unix_ms).map(|t| format!("{t:.3}")).unwrap_or_default();
        let entry = Entry { time: &time, level: "ERROR", msg: error, job_name: job, target };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        let result = self.file.lock().write_all(&line);
        let was_broken = self.is_broken.swap(result.is_err(), Ordering::Relaxed);
        if let (Err(e), false) = (result, was_broken) {
            tracing::error!(error = %e, path = %self.path.display(), "writing the scrape failure log failed");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The files of all jobs by their paths.
#[derive(Debug, Default)]
pub(crate) struct FailureLogs {
    open: BTreeMap<PathBuf, Arc<FailureLog>>,
}

impl FailureLogs {
    /// Opens the files, those that are open already anew: who rotates them reloads the configuration. Nothing changes
    /// if one of them cannot be opened; the error names it.
    pub fn reopen<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) -> Result<(), (PathBuf, String)> {
        let mut now = BTreeMap::new();
        let mut renewed = Vec::new();
        for path in paths {
            if now.contains_key(path) {
                continue;
            }
            let fail = |e: io::Error| {
                (path.to_owned(), format!("can't create json log file: open {}: {e}", path.display()))
            };
            let log = match self.open.get(path) {
                Some(log) => {
                    renewed.push((Arc::clone(log), append_to(path).map_err(fail)?));
                    Arc::clone(log)
                }
                None => Arc::new(FailureLog::open(path).map_err(fail)?),
            };
            now.insert(path.to_owned(), log);
        }
        for (log, file) in renewed {
            *log.file.lock() = file;
        }
        self.open = now;
        Ok(())
    }

    /// The open file at `path`.
    pub fn get(&self, path: &Path) -> Option<Arc<FailureLog>> {
        self.open.get(path).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_which_target_and_why_and_a_rotated_file_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("failures.json"), dir.path().join("old"));
        let mut logs = FailureLogs::default();
        logs.reopen([path.as_path(), path.as_path()].into_iter()).unwrap();
        let log = logs.get(&path).unwrap();
        log.write(1_700_000_000_123, "j", "http://h:1/metrics", "connection \"refused\"\n");
        std::fs::rename(&path, &old).unwrap();
        logs.reopen([path.as_path()].into_iter()).unwrap();
        log.write(0, "j", "t", "e");
        assert_eq!(
            std::fs::read_to_string(&old).unwrap(),
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"ERROR\",\"msg\":\"connection \\\"refused\\\"\\n\",\
             \"job_name\":\"j\",\"target\":\"http://h:1/metrics\"}\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_and_leaves_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        let mut logs = FailureLogs::default();
        logs.reopen([good.as_path()].into_iter()).unwrap();
        let (path, e) = logs.reopen([good.as_path(), dir.path()].into_iter()).unwrap_err();
        assert_eq!(path, dir.path());
        assert!(e.contains(&dir.path().display().to_string()), "{e}");
        assert!(logs.get(&good).is_some());
    }
}
