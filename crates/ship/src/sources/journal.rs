//! The journal of systemd, as `journalctl -o export` tells it.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use parking_lot::Mutex;
use reba_model::{Labels, LabelsBuilder, Relabel};

use crate::{
    client::wait,
    config::JournalConfig,
    entry::{Entry, Marks},
    job::Job,
    marks::Track,
    positions::Positions,
    stage::nanos,
};

/// Bytes that one entry may have.
const MAX_ENTRY: usize = 64 << 20;

/// Pause before the journal is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// What the source needs.
pub(crate) struct Journal {
    /// The program that is asked.
    pub program: PathBuf,
    pub config: JournalConfig,
    pub relabel: Vec<Relabel>,
    pub job: Arc<Job>,
    pub positions: Arc<Mutex<Positions>>,
}

/// Reads the export format: fields are `NAME=text` lines, or `NAME`, eight bytes of length, and bytes; a blank line ends an entry.
#[derive(Debug, Default)]
pub(crate) struct Export {
    rest: Vec<u8>,
    fields: BTreeMap<String, String>,
}

impl Export {
    /// Takes more of the output; entries that are complete are added to `out`.
    pub fn take(&mut self, data: &[u8], out: &mut Vec<BTreeMap<String, String>>) {
        self.rest.extend_from_slice(data);
        let mut pos = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.rest[pos..]).map(|i| pos + i) {
            let line = &self.rest[pos..end];
            if line.is_empty() {
                if !self.fields.is_empty() {
                    out.push(std::mem::take(&mut self.fields));
                }
                pos = end + 1;
                continue;
            }
            if let Some(equals) = memchr::memchr(b'=', line) {
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                self.fields.insert(text(&line[..equals]), text(&line[equals + 1..]));
                pos = end + 1;
                continue;
            }
            let name = String::from_utf8_lossy(line).into_owned();
            let Some(len) = self.rest.get(end + 1..).and_then(|b| b.first_chunk::<8>()) else { break };
            let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
            if len > MAX_ENTRY {
                // Not the format; what follows may be.
                pos = end + 1;
                continue;
            }
            let start = end + 9;
            // The bytes, and a line end behind them.
            let Some(value) = self.rest.get(start..=start + len) else { break };
            self.fields.insert(name, String::from_utf8_lossy(&value[..len]).into_owned());
            pos = start + len + 1;
        }
        self.rest.drain(..pos);
        if self.rest.len() > 2 * MAX_ENTRY {
            self.rest.clear();
        }
    }
}

/// Words of the priorities.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

impl Journal {
    fn command(&self, cursor: Option<&str>, now_ns: i64) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--output=export", "--follow", "--quiet"]);
        let oldest = now_ns.saturating_sub(nanos(self.config.max_age));
        match cursor.filter(|c| cursor_ns(c).is_none_or(|ns| ns >= oldest)) {
            Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
            None => command.arg(format!("--since=@{}", oldest / 1_000_000_000)),
        };
        if let Some(path) = &self.config.path {
            command.arg(format!("--directory={}", path.display()));
        }
        command.args(&self.config.matches).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// The entry that a set of fields is; nothing if relabelling drops it.
    fn entry(&self, fields: &BTreeMap<String, String>, now_ns: i64) -> Option<Entry> {
        let labels = self.labels(fields)?;
        let line = if self.config.json {
            serde_json::json!(fields).to_string()
        } else {
            fields.get("MESSAGE")?.clone()
        };
        let micros = fields.get("__REALTIME_TIMESTAMP").and_then(|t| t.parse::<i64>().ok());
        Some(Entry::new(micros.map_or(now_ns, |m| m.saturating_mul(1000)), line, labels))
    }

    fn labels(&self, fields: &BTreeMap<String, String>) -> Option<Labels> {
        let mut b: LabelsBuilder = self.config.labels.to_builder();
        // Fields with two underscores speak of the journal, not of the entry.
        for (name, value) in fields.iter().filter(|(n, _)| !n.starts_with("__")) {
            b.set(&format!("__journal_{}", name.to_lowercase()), value);
        }
        let priority = fields.get("PRIORITY").and_then(|p| p.parse::<usize>().ok());
        if let Some(word) = priority.and_then(|p| PRIORITIES.get(p)) {
            b.set("__journal_priority_keyword", word);
        }
        if !Relabel::apply_all(&self.relabel, &mut b) {
            return None;
        }
        b.retain(|n, _| !n.starts_with("__"));
        Some(b.build())
    }

    /// Follows the journal until the job is stopped.
    pub fn run(&self) {
        let key = format!("cursor-{}", self.job.name);
        while !self.job.stop.is_cancelled() {
            let cursor = self.positions.lock().get(&key).map(str::to_owned);
            let now_ns = (self.job.outlet.now_ns)();
            match self.command(cursor.as_deref(), now_ns).spawn() {
                Ok(child) => self.follow(child, &key, cursor.unwrap_or_default()),
                Err(error) => {
                    tracing::warn!(%error, job = %self.job.name, "journalctl cannot be started; it is tried again");
                }
            }
            wait(&self.job.stop, AGAIN);
        }
    }

    fn follow(&self, mut child: Child, key: &str, cursor: String) {
        let Some(mut output) = child.stdout.take() else { return };
        // A few pieces of 64 KiB: who reads no faster than we deliver holds no more.
        let (send, receive) = mpsc::sync_channel::<Vec<u8>>(4);
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n) = output.read(&mut buffer)
                && n > 0
                && send.send(buffer[..n].to_vec()).is_ok()
            {}
        });
        let (mut export, mut track) = (Export::default(), Track::new(cursor));
        loop {
            if self.job.stop.is_cancelled() {
                break;
            }
            match receive.recv_timeout(Duration::from_millis(500)) {
                Ok(data) => {
                    let mut found = Vec::new();
                    export.take(&data, &mut found);
                    if !self.emit(&found, &mut track) {
                        break;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            let done = track.done();
            if !done.is_empty() {
                self.positions.lock().set(key, done.clone());
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        drop(receive);
        let _ = reader.join();
    }

    fn emit(&self, found: &[BTreeMap<String, String>], track: &mut Track<String>) -> bool {
        let Some(cursor) = found.last().and_then(|f| f.get("__CURSOR")) else { return true };
        let mark = track.mark(cursor.clone());
        let now_ns = (self.job.outlet.now_ns)();
        let mut entries = Vec::with_capacity(found.len());
        for fields in found {
            if !self.config.json && !fields.contains_key("MESSAGE") {
                let reason = [("error", "no_message")];
                self.job.outlet.counters.add("promtail_journal_target_parsing_errors_total", &reason, 1);
            }
            if let Some(mut entry) = self.entry(fields, now_ns) {
                entry.marks = Marks::one(mark.clone());
                entries.push(entry);
            }
        }
        drop(mark);
        self.job.outlet.counters.add("promtail_journal_target_lines_total", &[], entries.len() as u64);
        entries.is_empty() || self.job.handle(entries)
    }
}

/// The time that a cursor tells.
fn cursor_ns(cursor: &str) -> Option<i64> {
    let part = cursor.split(';').find_map(|p| p.strip_prefix("t="))?;
    i64::from_str_radix(part, 16).ok()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_as_text_and_as_bytes() {
        let mut data = b"__CURSOR=s=1;t=5\nMESSAGE\n".to_vec();
        data.extend(9u64.to_le_bytes());
        data.extend(b"two\nlines\nPRIORITY=3\n\nMESSAGE=x\n\n");
        for size in [1, 5, 1000] {
            let (mut export, mut out) = (Export::default(), Vec::new());
            data.chunks(size).for_each(|part| export.take(part, &mut out));
            assert_eq!(out.len(), 2);
            assert_eq!(out[0]["MESSAGE"], "two\nlines");
            assert_eq!(out[0]["PRIORITY"], "3");
            assert_eq!(out[1]["MESSAGE"], "x");
        }
        assert_eq!(cursor_ns("s=1;t=5f5e100;x=2"), Some(100_000_000_000));
    }

    proptest! {
        #[test]
        fn no_output_makes_the_reader_panic(data in prop::collection::vec(any::<u8>(), 0..100)) {
            Export::default().take(&data, &mut Vec::new());
        }
    }
}
