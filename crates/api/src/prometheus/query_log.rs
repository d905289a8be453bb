//! `global.query_log_file`: a line of JSON for every query that ended, in upstream's form.
//!
//! Lines are written by a thread of their own. A disk that is too slow costs lines, never queries; a file that has grown to
//! its limit is set aside as `FILE.1`, in the place of the one before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use reba_query::QueryStats;
use serde_json::{Value, json};

use super::targets::rfc3339;

/// Bytes after which a file is set aside.
const MAX_BYTES: u64 = 256 << 20;

/// Lines that may wait to be written: what a disk that pauses for a second may miss at a thousand queries a second.
const MAX_WAITING: usize = 1024;

/// Who asked.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A request.
    Http {
        /// The address it came from.
        client: String,
        /// Its method.
        method: String,
        /// Its path.
        path: String,
    },
    /// A rule.
    Rules {
        /// The file of its group.
        file: String,
        /// The group.
        group: String,
    },
}

/// A query that has ended.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// Its text.
    pub query: &'a str,
    /// The first time it asked for, Unix milliseconds.
    pub start: i64,
    /// The last.
    pub end: i64,
    /// The distance of two times, milliseconds; 0 for an instant query.
    pub step: i64,
    /// What it cost, if that is known.
    pub stats: Option<&'a QueryStats>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked.
    pub origin: Origin,
}

/// The log, off until it is given a file.
#[derive(Debug)]
pub struct QueryLog {
    open: Arc<Mutex<Option<Open>>>,
    lines: Mutex<Option<SyncSender<String>>>,
    lost: AtomicU64,
    max_bytes: u64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Default for QueryLog {
    fn default() -> Self {
        QueryLog {
            open: Arc::default(),
            lines: Mutex::default(),
            lost: AtomicU64::new(0),
            max_bytes: MAX_BYTES,
        }
    }
}

impl QueryLog {
    /// Writes to `path` from now on, or nowhere. The file is opened anew even if it is the same: somebody may have moved it.
    pub fn reopen(&self, path: Option<&Path>) -> io::Result<()> {
        let new = path.map(Open::new).transpose()?;
        let mut lines = self.lines.lock();
        if new.is_some() && lines.is_none() {
            let (sender, receiver) = sync_channel(MAX_WAITING);
            let (open, max_bytes) = (Arc::clone(&self.open), self.max_bytes);
            thread::Builder::new()
                .name("query-log".to_owned())
                .spawn(move || write_all(&receiver, &open, max_bytes))?;
            *lines = Some(sender);
        }
        if new.is_none() {
            // The thread ends when it has written what waits.
            *lines = None;
        }
        *self.open.lock() = new;
        Ok(())
    }

    /// Whether anybody writes.
    pub fn is_on(&self) -> bool {
        self.lines.lock().is_some()
    }

    /// Lines that were not written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Logs a query that ended at `now`, Unix milliseconds.
    pub fn record(&self, ended: &Ended<'_>, now: i64) {
        let Some(sender) = self.lines.lock().clone() else { return };
        if sender.try_send(line(ended, now)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Open { path: path.to_owned(), file, bytes })
    }

    fn write(&mut self, line: &str, max_bytes: u64) -> io::Result<()> {
        if self.bytes + line.len() as u64 > max_bytes && self.bytes > 0 {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            fs::rename(&self.path, aside)?;
            *self = Open::new(&self.path)?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

fn write_all(lines: &Receiver<String>, open: &Mutex<Option<Open>>, max_bytes: u64) {
    let mut said = false;
    for line in lines {
        let result = open.lock().as_mut().map_or(Ok(()), |open| open.write(&line, max_bytes));
        match result {
            Err(error) if !said => {
                tracing::warn!(%error, "writing the query log failed");
                said = true;
            }
            Err(_) => {}
            Ok(()) => said = false,
        }
    }
}

fn line(ended: &Ended<'_>, now: i64) -> String {
    // Upstream prints milliseconds here, whatever they are.
    let time = |ms: i64| match Timestamp::from_millisecond(ms) {
        Ok(t) => format!("{t:.3}"),
        Err(_) => rfc3339(None),
    };
    let mut out = json!({
        "time": rfc3339(Some(now)),
        "level": "INFO",
        "msg": "promql query logged",
        "params": {
            "query": ended.query,
            "start": time(ended.start),
            "end": time(ended.end),
            "step": ended.step / 1000,
        },
        "stats": ended.stats.map_or_else(|| stats_json(&QueryStats::default()), stats_json),
        "spanID": "0000000000000000",
        "traceID": "00000000000000000000000000000000",
    });
    if let Some(error) = &ended.error {
        out["error"] = error.as_str().into();
    }
    match &ended.origin {
        Origin::Http { client, method, path } => {
            out["httpRequest"] = json!({ "clientIP": client, "method": method, "path": path });
        }
        Origin::Rules { file, group } => out["ruleGroup"] = json!({ "file": file, "name": group }),
    }
    format!("{out}\n")
}

/// The statistics of a query as the API gives them.
pub(super) fn stats_json(stats: &QueryStats) -> Value {
    let t = &stats.timings;
    json!({
        "timings": {
            "evalTotalTime": t.eval_total.as_secs_f64(),
            "resultSortTime": t.result_sort.as_secs_f64(),
            "queryPreparationTime": t.query_preparation.as_secs_f64(),
            "innerEvalTime": t.inner_eval.as_secs_f64(),
            "execQueueTime": t.exec_queue.as_secs_f64(),
            "execTotalTime": t.exec_total.as_secs_f64(),
        },
        "samples": {
            "totalQueryableSamples": stats.total_samples,
            "peakSamples": stats.peak_samples,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(query: &str) -> Ended<'_> {
        let origin = Origin::Rules { file: "f".to_owned(), group: "g".to_owned() };
        Ended { query, start: 1000, end: 2500, step: 1500, stats: None, error: Some("no".to_owned()), origin }
    }

    /// Waits until the thread has written `n` lines.
    fn lines(path: &Path, n: usize) -> Vec<Value> {
        for _ in 0..500 {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.lines().count() >= n {
                return text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no {n} lines in {}", path.display());
    }

    #[test]
    fn a_line_has_the_fields_of_upstream() {
        let v: Value = serde_json::from_str(&line(&ended("up"), 3000)).unwrap();
        assert_eq!(
            v["params"],
            json!({"query": "up", "start": "1970-01-01T00:00:01.000Z", "end": "1970-01-01T00:00:02.500Z", "step": 1})
        );
        assert_eq!(v["ruleGroup"], json!({"file": "f", "name": "g"}));
        assert_eq!((v["error"].as_str(), v["time"].as_str()), (Some("no"), Some("1970-01-01T00:00:03Z")));
        assert!(v["stats"]["timings"]["execTotalTime"].is_number());
    }

    #[test]
    fn the_file_is_opened_anew_and_set_aside_when_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.log");
        let log = QueryLog { max_bytes: 1000, ..QueryLog::default() };
        log.record(&ended("lost"), 0);
        assert!(!log.is_on());
        log.reopen(Some(&path)).unwrap();
        log.record(&ended("a"), 0);
        assert_eq!(lines(&path, 1)[0]["params"]["query"], "a");
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.reopen(Some(&path)).unwrap();
        log.record(&ended("b"), 0);
        lines(&path, 1);
        // Three lines are too many for the limit.
        log.record(&ended("c"), 0);
        log.record(&ended("d"), 0);
        assert!(!lines(&dir.path().join("q.log.1"), 1).is_empty());
        log.reopen(None).unwrap();
        assert!(!log.is_on() && log.lost() == 0);
        assert!(log.reopen(Some(Path::new("/nonexistent/x"))).is_err());
    }
}
