//! The files of one job: found by patterns, followed through rotations, read in turn.
//!
//! A file is known by where it is on the disk and how it begins, not by its name: one that was renamed keeps its place, whether
//! we saw it happen or were not there.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reba_model::{Labels, Relabel};

use crate::{
    config::{Decompress, LimitsConfig},
    entry::{Entry, Marks},
    glob::Glob,
    marks::Track,
    metrics::Counters,
    positions::{FileId, Positions},
    stage::nanos,
    status::{Board, TargetStatus},
    tail::{Encoding, Line, Polled, Reading, Scratch, Tail, identify},
    watch::Watch,
};

/// Bytes of lines after which a step ends, so that no file makes the others wait.
const STEP_BYTES: usize = 4 << 20;

/// A file that has been silent is looked at more seldom, up to this.
const LAZIEST: Duration = Duration::from_secs(5);

/// After a failure a file is tried again more seldom, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A file that was rotated away is still read for so long: its writer may not have noticed yet.
const GRACE: Duration = Duration::from_secs(5);

/// Files of a job that its page shows.
const SHOWN: usize = 1000;

/// What a job of files needs to know.
#[derive(Debug)]
pub(crate) struct FilesConfig {
    pub job: String,
    pub host: String,
    pub relabel: Vec<Relabel>,
    pub encoding: Encoding,
    pub decompress: Option<Decompress>,
    pub limits: LimitsConfig,
    pub sync_period: Duration,
    pub poll: Duration,
}

impl FilesConfig {
    fn reading(&self) -> Reading {
        let packing = self.decompress.as_ref().map(|d| d.packing);
        Reading { encoding: self.encoding, packing, max_line: self.limits.max_line_size }
    }
}

/// A pattern with the labels of its files.
#[derive(Debug)]
struct Group {
    include: Glob,
    exclude: Option<Glob>,
    labels: Labels,
    /// Before relabelling.
    discovered: Labels,
}

impl Group {
    fn means(&self, path: &str) -> bool {
        self.include.matches(path) && !self.exclude.as_ref().is_some_and(|e| e.matches(path))
    }

    fn labels(&self, path: &str) -> Labels {
        let mut builder = self.labels.to_builder();
        builder.set("filename", path);
        builder.build()
    }
}

/// Where a file is on the disk.
type Key = (u64, u64);

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    /// What its place is written down under.
    position: String,
    tail: Tail,
    labels: Labels,
    track: Track<u64>,
    next_ns: i64,
    wait_ns: i64,
    /// Since when its path is gone or leads to another file: it ends when it is read to its end, and some time has passed.
    left_ns: Option<i64>,
    /// Its path leads elsewhere, and nobody has looked for the files anew yet.
    moved: bool,
    failures: u32,
}

/// The files of one job.
#[derive(Debug)]
pub(crate) struct Files {
    config: FilesConfig,
    groups: Vec<Group>,
    positions: Arc<Mutex<Positions>>,
    counters: Arc<Counters>,
    board: Arc<Board>,
    watch: Option<Watch>,
    followed: BTreeMap<Key, Followed>,
    /// Since when files that are read only after a while have been known.
    waiting: BTreeMap<Key, i64>,
    /// Files that are of no use, each warned of once.
    refused: HashSet<Key>,
    scratch: Scratch,
    /// Behind which file the next step begins, so that each has its turn.
    turn: Key,
    begun: bool,
    synced_ns: i64,
    next_sync_ns: i64,
}

impl Files {
    pub fn new(
        config: FilesConfig,
        positions: Arc<Mutex<Positions>>,
        counters: Arc<Counters>,
        board: Arc<Board>,
    ) -> Self {
        positions.lock().register(&config.job);
        Files {
            config,
            groups: Vec::new(),
            positions,
            counters,
            board,
            watch: Watch::new(),
            followed: BTreeMap::new(),
            waiting: BTreeMap::new(),
            refused: HashSet::new(),
            scratch: Scratch::default(),
            turn: (0, 0),
            begun: false,
            synced_ns: i64::MIN,
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
            let (include, labels, discovered) = (Glob::new(&path), builder.build(), labels.clone());
            self.groups.push(Group { include, exclude, labels, discovered });
        }
        self.next_sync_ns = i64::MIN;
    }

    /// Reads what there is; returns it with the time of the next step. Lines are entries of now.
    pub fn step(&mut self, now_ns: i64) -> (Vec<Entry>, i64) {
        self.look(now_ns);
        let (mut out, mut bytes, mut next) = (Vec::new(), 0, self.next_sync_ns);
        let mut over = Vec::new();
        let mut last = self.turn;
        let Files { config, counters, scratch, followed, turn, .. } = self;
        // Those behind the last one first.
        let (ahead, behind): (Vec<_>, Vec<_>) = followed.iter_mut().partition(|(key, _)| **key > *turn);
        for (key, file) in ahead.into_iter().chain(behind) {
            if now_ns >= file.next_ns && bytes < STEP_BYTES {
                let before = out.len();
                file.read(config, counters, scratch, now_ns, &mut out);
                bytes += out[before..].iter().map(|e| e.line.len() + 1).sum::<usize>();
                last = *key;
                if file.is_over(now_ns) {
                    over.push(*key);
                }
                if std::mem::take(&mut file.moved) {
                    self.next_sync_ns = now_ns;
                    next = now_ns;
                }
            }
            next = next.min(file.next_ns);
        }
        self.turn = last;
        for key in over {
            self.leave(key, &mut out, now_ns);
        }
        (out, next.max(now_ns))
    }

    /// Looks for new files if it is time. To be called also when nothing can be read on: a file that is opened is not lost when it
    /// is rotated away.
    pub fn look(&mut self, now_ns: i64) {
        if now_ns >= self.next_sync_ns {
            self.sync(now_ns);
            self.next_sync_ns = now_ns.saturating_add(nanos(self.config.sync_period));
        }
    }

    /// Asks the kernel what has happened; whether the next step should come at once.
    pub fn woken(&mut self, now_ns: i64) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let changes = watch.changes();
        let poll = nanos(self.config.poll);
        if changes.named || changes.all {
            // Not more often than files are read: a folder may be full of comings and goings.
            let soon = self.synced_ns.saturating_add(poll).max(now_ns);
            self.next_sync_ns = self.next_sync_ns.min(soon);
        }
        let mut any = false;
        if changes.all || !changes.written.is_empty() {
            for file in self.followed.values_mut() {
                if changes.all || changes.written.contains(&file.path) {
                    (file.wait_ns, file.next_ns) = (poll, file.next_ns.min(now_ns));
                    any = true;
                }
            }
        }
        any || self.next_sync_ns <= now_ns
    }

    /// Writes down how far files are done with.
    pub fn commit(&mut self) {
        let mut positions = self.positions.lock();
        for (key, file) in &mut self.followed {
            let id = file.tail.id();
            debug_assert_eq!(*key, (id.device, id.inode));
            positions.set_file(&file.position, *file.track.done(), id, &self.config.job);
        }
    }

    /// How many files are read.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// Looks the patterns up anew.
    fn sync(&mut self, now_ns: i64) {
        self.synced_ns = now_ns;
        let (mut seen, mut found, mut folders) = (HashSet::new(), Vec::new(), BTreeSet::new());
        for (number, group) in self.groups.iter().enumerate() {
            group.include.folders(&mut folders);
            for path in group.include.files() {
                let excluded = group.exclude.as_ref().is_some_and(|e| e.matches(&path.to_string_lossy()));
                if let (false, Ok((device, inode, _))) = (excluded, identify(&path)) {
                    found.push((path, (device, inode), number));
                }
            }
        }
        // Before anything is opened: what comes now is told.
        if let Some(watch) = &mut self.watch {
            watch.add(folders);
        }
        let mut failures: Vec<(PathBuf, io::Error)> = Vec::new();
        for (path, key, number) in found {
            if !seen.insert(key) || self.refused.contains(&key) {
                continue;
            }
            if let Some(file) = self.followed.get_mut(&key) {
                if file.path != path || file.left_ns.is_some() {
                    let mut positions = self.positions.lock();
                    positions.remove(&file.position);
                    file.position = positions.claim(&self.config.job, &path.to_string_lossy());
                    file.path = path;
                }
                file.left_ns = None;
            } else if let Err(error) = self.open(path.clone(), key, number, now_ns) {
                failures.push((path, error));
            }
        }
        if let Some((path, error)) = failures.first() {
            let (file, files) = (path.display(), failures.len());
            tracing::warn!(%file, %error, files, "files of logs cannot be read; they are tried again");
            self.counters.add("promtail_targets_failed_total", &[("reason", "open")], files as u64);
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.find_rotated(now_ns);
        }
        self.let_go(&seen, now_ns);
        self.waiting.retain(|key, _| seen.contains(key));
        self.refused.retain(|key| seen.contains(key));
        self.tell();
    }

    /// Files that were not seen are read to their end; their places are written down under keys of their own from now on, for
    /// their paths may lead to other files.
    fn let_go(&mut self, seen: &HashSet<Key>, now_ns: i64) {
        let gone = |(key, file): &(&Key, &mut Followed)| !seen.contains(key) && file.left_ns.is_none();
        for (key, file) in self.followed.iter_mut().filter(gone) {
            (file.left_ns, file.next_ns) = (Some(now_ns), now_ns);
            let mut positions = self.positions.lock();
            let (job, path, id) = (&self.config.job, file.path.to_string_lossy(), file.tail.id());
            if positions.file(&file.position).is_some_and(|(_, known)| known == Some(id)) {
                positions.remove(&file.position);
            }
            file.position = Positions::rotated_key(job, &path, key.1);
            positions.set_file(&file.position, *file.track.done(), id, job);
        }
    }

    fn open(&mut self, path: PathBuf, key: Key, number: usize, now_ns: i64) -> io::Result<()> {
        if let Some(delay) = self.config.decompress.as_ref().map(|d| d.delay).filter(|d| !d.is_zero()) {
            let since = *self.waiting.entry(key).or_insert(now_ns);
            if now_ns.saturating_sub(since) < nanos(delay) {
                return Ok(());
            }
        }
        let mut tail = Tail::open(&path, self.config.reading())?;
        if (tail.id().device, tail.id().inode) != key {
            // It was rotated under our hands: look again.
            self.next_sync_ns = now_ns;
            return Ok(());
        }
        if let Some(packing) = tail.looks_packed() {
            let file = path.display();
            tracing::warn!(%file, packing, "a compressed file is passed over: `decompression` is not enabled in this job");
            self.counters.add("promtail_targets_failed_total", &[("reason", "compressed")], 1);
            self.refused.insert(key);
            return Ok(());
        }
        let name = path.to_string_lossy().into_owned();
        let mut positions = self.positions.lock();
        let position = positions.claim(&self.config.job, &name);
        let offset = known_offset(&positions, &self.config.job, &position, &tail);
        drop(positions);
        tail.seek(offset)?;
        let labels = self.groups[number].labels(&name);
        self.followed.insert(key, Followed::new(path, position, tail, labels, now_ns, &self.config));
        Ok(())
    }

    /// Files that were left half-read and have been rotated to a name that no pattern means since: their rest is read.
    fn find_rotated(&mut self, now_ns: i64) {
        let left = self.positions.lock().left_by(&self.config.job);
        for (position, path, offset, id) in left {
            let key = (id.device, id.inode);
            if id.prefix == 0 || self.followed.contains_key(&key) || self.refused.contains(&key) {
                continue;
            }
            let path = PathBuf::from(path);
            let Some(now_at) = beside(&path, key) else {
                // Of a folder that is not there nothing is known.
                if path.parent().is_some_and(Path::exists) && !self.is_position(&position) {
                    self.positions.lock().remove(&position);
                }
                continue;
            };
            let name = path.to_string_lossy();
            let Some(labels) = self.groups.iter().find(|g| g.means(&name)).map(|g| g.labels(&name)) else {
                continue;
            };
            let Ok(mut tail) = Tail::open(&now_at, self.config.reading()) else { continue };
            if !tail.begins_as(id) || tail.is_packed() || tail.len() <= offset || tail.seek(offset).is_err() {
                continue;
            }
            tracing::info!(file = %now_at.display(), from = offset, "a file that was rotated away is read to its end");
            let position = Positions::rotated_key(&self.config.job, &name, key.1);
            let file = Followed::new(path, position, tail, labels, now_ns, &self.config);
            self.followed.insert(key, file);
        }
    }

    fn is_position(&self, position: &str) -> bool {
        self.followed.values().any(|f| f.position == position)
    }

    /// Puts the files on the board.
    fn tell(&self) {
        let job = [("job", self.config.job.as_str())];
        self.counters.set("promtail_files_active_total", &job, self.followed.len() as u64);
        let discovered = |path: &str| {
            self.groups.iter().find(|g| g.means(path)).map_or_else(Labels::empty, |g| g.discovered.clone())
        };
        let files = self.followed.values().take(SHOWN).map(|file| {
            let name = file.path.to_string_lossy();
            let mut details = format!("{} of {} bytes", file.tail.place(), file.tail.len());
            if file.left_ns.is_some() {
                details.push_str(", rotated away");
            }
            TargetStatus {
                job: self.config.job.clone(),
                kind: "file",
                discovered: discovered(&name),
                labels: file.labels.clone(),
                details,
                ready: file.failures == 0,
            }
        });
        self.board.set(&format!("file {}", self.config.job), files.collect(), self.followed.len());
    }

    /// A file is at its end and will not be found any more.
    fn leave(&mut self, key: Key, out: &mut Vec<Entry>, now_ns: i64) {
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
            self.positions.lock().remove(&file.position);
            // Another file may have this name by now.
            if self.followed.values().any(|f| f.path == file.path) {
                return;
            }
            for family in
                ["promtail_read_bytes_total", "promtail_read_lines_total", "promtail_file_bytes_total"]
            {
                self.counters.forget(family, &[("path", &name)]);
            }
        }
    }
}

/// Where a file was left, under this name or another one.
fn known_offset(positions: &Positions, job: &str, position: &str, tail: &Tail) -> u64 {
    let id = tail.id();
    let reaches = |offset: u64| tail.is_packed() || offset <= tail.len();
    match positions.file(position) {
        Some((offset, Some(known))) if tail.begins_as(known) && reaches(offset) => return offset,
        // Promtail wrote it down, and did not say which file it was.
        Some((offset, None)) if reaches(offset) => return offset,
        _ => {}
    }
    let mut renamed = positions.renamed(job, id.device, id.inode);
    renamed.find(|(offset, known)| tail.begins_as(*known) && reaches(*offset)).map_or(0, |(offset, _)| offset)
}

/// The file with this key in the folder of `path`.
fn beside(path: &Path, key: Key) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let same =
        |p: &PathBuf| identify(p).is_ok_and(|(device, inode, _)| (device, inode) == key) && p.is_file();
    entries.flatten().map(|e| e.path()).find(same)
}

impl Followed {
    fn new(
        path: PathBuf,
        position: String,
        tail: Tail,
        labels: Labels,
        now_ns: i64,
        config: &FilesConfig,
    ) -> Self {
        Followed {
            track: Track::new(tail.place()),
            path,
            position,
            tail,
            labels,
            next_ns: now_ns,
            wait_ns: nanos(config.poll),
            left_ns: None,
            moved: false,
            failures: 0,
        }
    }

    fn is_over(&self, now_ns: i64) -> bool {
        let waited = |since: i64| now_ns.saturating_sub(since) >= nanos(GRACE);
        // One that cannot be read will never be at its end.
        let ended = self.tail.is_at_end() || self.failures > 3;
        self.left_ns.is_some_and(waited) && ended
    }

    /// Reads once; at the end of the file, whoever was silent is asked more seldom.
    fn read(
        &mut self,
        config: &FilesConfig,
        counters: &Counters,
        scratch: &mut Scratch,
        now_ns: i64,
        out: &mut Vec<Entry>,
    ) {
        let mut lines = Vec::new();
        match self.tail.poll(scratch, &mut lines) {
            Ok(Polled::More) => {
                (self.failures, self.wait_ns, self.next_ns) = (0, nanos(config.poll), now_ns);
            }
            Ok(Polled::End) => {
                self.failures = 0;
                self.next_ns = now_ns.saturating_add(self.wait_ns);
                self.wait_ns = (self.wait_ns * 5 / 4).min(nanos(LAZIEST).max(nanos(config.poll)));
                let id: FileId = self.tail.id();
                let here = |(device, inode, _)| (device, inode) == (id.device, id.inode);
                self.moved = self.left_ns.is_none() && !identify(&self.path).is_ok_and(here);
            }
            Ok(Polled::Truncated) => {
                tracing::info!(file = %self.path.display(), "the file was cut; it is read from its beginning");
                self.track.restart(0);
                self.next_ns = now_ns;
            }
            Err(error) => self.failed(&error, config, counters, now_ns),
        }
        self.emit(&mut lines, config, counters, now_ns, out);
    }

    fn failed(&mut self, error: &io::Error, config: &FilesConfig, counters: &Counters, now_ns: i64) {
        if self.failures == 0 {
            tracing::warn!(file = %self.path.display(), %error, "reading failed; it is tried again");
        }
        counters.add("promtail_targets_failed_total", &[("reason", "read")], 1);
        self.failures += 1;
        let pause = LAZIEST.saturating_mul(2u32.saturating_pow(self.failures - 1)).min(LONGEST_PAUSE);
        self.next_ns = now_ns.saturating_add(nanos(pause));
        // A compressed file that is still being written ends in the middle of a block: only from its beginning there is a way on.
        if self.tail.is_packed()
            && let Ok(tail) = Tail::open_at(&self.path, self.tail.place(), config.reading())
        {
            self.tail = tail;
        }
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
        let path = [("path", name.as_ref())];
        let place = self.tail.place();
        counters.set("promtail_read_bytes_total", &path, place);
        counters.set("promtail_file_bytes_total", &path, self.tail.len());
        counters.add("promtail_read_lines_total", &path, lines.len() as u64);
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
    if max > 0 && text.len() + cut > max {
        if !limits.truncate {
            counters.add("promtail_dropped_entries_total", &[REASON], 1);
            counters.add("promtail_dropped_bytes_total", &[REASON], (text.len() + cut) as u64);
            return None;
        }
        let end = (0..=max.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
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
