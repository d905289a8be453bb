//! The files of one job: found by patterns, followed through rotations, read in turn.
//!
//! A file is known by where it is on the disk and how it begins, not by its name: one that was renamed keeps its place, whether
//! we saw it happen or were not there.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reba_model::{Labels, Relabel};

use crate::{
    config::LimitsConfig,
    entry::{Entry, Marks},
    glob::Glob,
    marks::Track,
    metrics::Counters,
    positions::Positions,
    stage::nanos,
    tail::{Encoding, Line, Polled, Tail, identify},
};

/// Bytes of lines after which a step ends, so that no file makes the others wait.
const STEP_BYTES: usize = 4 << 20;

/// A file that has been silent is looked at more seldom, up to this.
const LAZIEST: Duration = Duration::from_secs(5);

/// What a job of files needs to know.
#[derive(Debug)]
pub(crate) struct FilesConfig {
    pub job: String,
    pub host: String,
    pub relabel: Vec<Relabel>,
    pub encoding: Encoding,
    pub gzip: Option<Duration>,
    pub limits: LimitsConfig,
    pub sync_period: Duration,
    pub poll: Duration,
}

/// A pattern with the labels of its files.
#[derive(Debug)]
struct Group {
    include: Glob,
    exclude: Option<Glob>,
    labels: Labels,
}

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    tail: Tail,
    labels: Labels,
    track: Track<u64>,
    next_ns: i64,
    wait_ns: i64,
    /// Its path is gone or leads to another file: it ends when it is read to its end.
    left: bool,
}

/// The files of one job.
#[derive(Debug)]
pub(crate) struct Files {
    config: FilesConfig,
    groups: Vec<Group>,
    positions: Arc<Mutex<Positions>>,
    counters: Arc<Counters>,
    followed: BTreeMap<(u64, u64), Followed>,
    /// Since when files that are read only after a while have been known.
    waiting: BTreeMap<(u64, u64), i64>,
    next_sync_ns: i64,
}

impl Files {
    pub fn new(config: FilesConfig, positions: Arc<Mutex<Positions>>, counters: Arc<Counters>) -> Self {
        Files {
            config,
            groups: Vec::new(),
            positions,
            counters,
            followed: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_sync_ns: i64::MIN,
        }
    }

    /// Says which files there are: labels with `__path__`. Relabelling and `__host__` decide about each set.
    pub fn set_targets(&mut self, targets: &[Labels]) {
        self.groups.clear();
        for labels in targets {
            let mut builder = labels.to_builder();
            if !Relabel::apply_all(&self.config.relabel, &mut builder) {
                continue;
            }
            let (path, exclude) =
                (builder.value("__path__").to_owned(), builder.value("__path_exclude__").to_owned());
            let host = builder.value("__host__");
            if path.is_empty() || !(host.is_empty() || host == self.config.host) {
                continue;
            }
            builder.retain(|n, _| !n.starts_with("__"));
            let exclude = (!exclude.is_empty()).then(|| Glob::new(&exclude));
            self.groups.push(Group { include: Glob::new(&path), exclude, labels: builder.build() });
        }
        self.next_sync_ns = i64::MIN;
    }

    /// Reads what there is; returns it with the time of the next step. Lines are entries of now.
    pub fn step(&mut self, now_ns: i64) -> (Vec<Entry>, i64) {
        if now_ns >= self.next_sync_ns {
            self.sync(now_ns);
            self.next_sync_ns = now_ns.saturating_add(nanos(self.config.sync_period));
        }
        let (mut out, mut bytes) = (Vec::new(), 0);
        let mut next = self.next_sync_ns;
        let mut gone = Vec::new();
        for (key, file) in &mut self.followed {
            if now_ns >= file.next_ns && bytes < STEP_BYTES {
                let before = out.len();
                file.read(&self.config, &self.counters, now_ns, &mut out);
                bytes += out[before..].iter().map(|e| e.line.len() + 1).sum::<usize>();
                if file.left && file.tail.is_at_end() {
                    gone.push(*key);
                }
            }
            next = next.min(file.next_ns);
        }
        for key in gone {
            self.leave(key, &mut out, now_ns);
        }
        (out, next.max(now_ns))
    }

    /// Writes down how far files are done with.
    pub fn commit(&mut self) {
        let mut positions = self.positions.lock();
        for file in self.followed.values_mut() {
            let id = file.tail.id();
            positions.set_file(&file.path.to_string_lossy(), *file.track.done(), id);
        }
    }

    /// How many files are read.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// Looks the patterns up anew.
    fn sync(&mut self, now_ns: i64) {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for group in &self.groups {
            for path in group.include.files() {
                let excluded = group.exclude.as_ref().is_some_and(|e| e.matches(&path.to_string_lossy()));
                if let (false, Ok((device, inode, _))) = (excluded, identify(&path)) {
                    found.push((path, (device, inode), group.labels.clone()));
                }
            }
        }
        for (path, key, labels) in found {
            if !seen.insert(key) {
                continue;
            }
            if let Some(file) = self.followed.get_mut(&key) {
                if file.path != path {
                    self.positions.lock().remove(&file.path.to_string_lossy());
                    file.path = path;
                }
                file.left = false;
                file.next_ns = file.next_ns.min(now_ns);
            } else if let Err(error) = self.open(path.clone(), key, &labels, now_ns) {
                tracing::warn!(file = %path.display(), %error, "a file of logs cannot be read; it is tried again");
                self.counters.add("promtail_targets_failed_total", &[("reason", "open")], 1);
            }
        }
        for (key, file) in &mut self.followed {
            if !seen.contains(key) {
                file.left = true;
                file.next_ns = now_ns;
            }
        }
        self.waiting.retain(|key, _| seen.contains(key));
        self.counters.set(
            "promtail_files_active_total",
            &[("job", &self.config.job)],
            self.followed.len() as u64,
        );
    }

    fn open(&mut self, path: PathBuf, key: (u64, u64), labels: &Labels, now_ns: i64) -> io::Result<()> {
        if let Some(delay) = self.config.gzip.filter(|d| !d.is_zero()) {
            let since = *self.waiting.entry(key).or_insert(now_ns);
            if now_ns.saturating_sub(since) < nanos(delay) {
                return Ok(());
            }
        }
        let mut tail = Tail::open(&path, 0, self.config.encoding, self.config.gzip.is_some())?;
        let offset = self.known_offset(&path, key, &tail)?;
        tail.seek(offset)?;
        let name = path.to_string_lossy();
        let mut builder = labels.to_builder();
        builder.set("filename", &name);
        if tail.id().device != key.0 || tail.id().inode != key.1 {
            // It was rotated under our hands: the next look finds it.
            return Ok(());
        }
        let followed = Followed {
            labels: builder.build(),
            track: Track::new(offset),
            next_ns: now_ns,
            wait_ns: nanos(self.config.poll),
            left: false,
            tail,
            path,
        };
        self.followed.insert(key, followed);
        Ok(())
    }

    /// Where a file was left, under this name or another one.
    fn known_offset(&self, path: &Path, key: (u64, u64), tail: &Tail) -> io::Result<u64> {
        let positions = self.positions.lock();
        let (_, _, len) = identify(path)?;
        let reaches = |offset: u64| self.config.gzip.is_some() || offset <= len;
        match positions.file(&path.to_string_lossy()) {
            Some((offset, Some(id))) if tail.begins_as(id) && reaches(offset) => return Ok(offset),
            // Promtail wrote it down, and did not say which file it was.
            Some((offset, None)) if reaches(offset) => return Ok(offset),
            _ => {}
        }
        let renamed =
            positions.renamed(key.0, key.1).find(|(offset, id)| tail.begins_as(*id) && reaches(*offset));
        Ok(renamed.map_or(0, |(offset, _)| offset))
    }

    /// A file is at its end and will not be found any more.
    fn leave(&mut self, key: (u64, u64), out: &mut Vec<Entry>, now_ns: i64) {
        let Some(file) = self.followed.get_mut(&key) else { return };
        if file.tail.has_rest()
            && let Some(line) = file.tail.finish()
        {
            let mut lines = vec![line];
            file.emit(&mut lines, &self.config, &self.counters, now_ns, out);
        }
        if !file.track.is_idle() {
            // Its last lines are under way; until they have arrived it must be remembered.
            return;
        }
        if let Some(file) = self.followed.remove(&key) {
            let name = file.path.to_string_lossy();
            // Another file may have this name by now, with a position of its own.
            if !self.followed.values().any(|f| f.path == file.path) {
                self.positions.lock().remove(&name);
            }
            for family in
                ["promtail_read_bytes_total", "promtail_read_lines_total", "promtail_file_bytes_total"]
            {
                self.counters.forget(family, &[("path", &name)]);
            }
        }
    }
}

impl Followed {
    /// Reads once; at the end of the file, whoever was silent is asked more seldom.
    fn read(&mut self, config: &FilesConfig, counters: &Counters, now_ns: i64, out: &mut Vec<Entry>) {
        let mut lines = Vec::new();
        match self.tail.poll(&mut lines) {
            Ok(Polled::More) => {
                self.wait_ns = nanos(config.poll);
                self.next_ns = now_ns;
            }
            Ok(Polled::End) => {
                self.next_ns = now_ns.saturating_add(self.wait_ns);
                self.wait_ns = (self.wait_ns * 5 / 4).min(nanos(LAZIEST).max(nanos(config.poll)));
            }
            Ok(Polled::Truncated) => {
                tracing::info!(file = %self.path.display(), "the file was cut; it is read from its beginning");
                self.track.restart(0);
                self.next_ns = now_ns;
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "reading failed; it is tried again");
                counters.add("promtail_targets_failed_total", &[("reason", "read")], 1);
                self.next_ns = now_ns.saturating_add(nanos(LAZIEST));
            }
        }
        self.emit(&mut lines, config, counters, now_ns, out);
    }

    fn emit(
        &mut self,
        lines: &mut Vec<Line>,
        config: &FilesConfig,
        counters: &Counters,
        now_ns: i64,
        out: &mut Vec<Entry>,
    ) {
        if lines.is_empty() {
            return;
        }
        let name = self.path.to_string_lossy();
        let place = self.tail.place();
        counters.set("promtail_read_bytes_total", &[("path", &name)], place);
        counters.add("promtail_read_lines_total", &[("path", &name)], lines.len() as u64);
        let mark = self.track.mark(place);
        for line in lines.drain(..) {
            if let Some(text) = within_limit(line, &config.limits, counters) {
                let mut entry = Entry::new(now_ns, text, self.labels.clone());
                entry.marks = Marks::one(mark.clone());
                out.push(entry);
            }
        }
    }
}

/// The line, cut or dropped if it is longer than the configuration allows.
fn within_limit(line: Line, limits: &LimitsConfig, counters: &Counters) -> Option<String> {
    const REASON: (&str, &str) = ("reason", "line_too_long");
    let Line { mut text, cut } = line;
    let mut lost = cut;
    let max = limits.max_line_size;
    if max > 0 && text.len() > max {
        if !limits.truncate {
            counters.add("promtail_dropped_entries_total", &[REASON], 1);
            counters.add("promtail_dropped_bytes_total", &[REASON], text.len() as u64);
            return None;
        }
        let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        lost += text.len() - end;
        text.truncate(end);
    }
    if lost > 0 {
        counters.add("promtail_mutated_entries_total", &[REASON], 1);
        counters.add("promtail_mutated_bytes_total", &[REASON], lost as u64);
    }
    Some(text)
}

#[cfg(test)]
mod tests;
