//! The log: many appenders, one writer at a time.
//!
//! An appender first pushes its frame (cheap, under its own locks, which fixes the order), lets its locks go, and then
//! commits. Whoever commits while nobody writes becomes the writer for all frames pushed so far; the others wait. So
//! one `write` (and one fsync, if it is asked for) serves as many batches as came in during the one before.

use std::{mem, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    Clock, Dir, DiskError, Env, FsFile, Result, frame,
    log_reader::{SEGMENT_HEADER, segment_header, segment_name, segments},
};

/// How a log writes.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// A segment that has grown to this many bytes is closed.
    pub segment_bytes: u64,
    /// The longest time between a write and its fsync while there are writes or calls of [`Log::sync_if_due`]. Zero:
    /// every commit waits for an fsync.
    pub fsync_interval: Duration,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { segment_bytes: 64 << 20, fsync_interval: Duration::from_secs(1) }
    }
}

/// A position in the log: everything pushed up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(u64);

/// Counters of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// The segment that is written now.
    pub segment: u64,
    /// Bytes handed to the kernel since the log was opened.
    pub written_bytes: u64,
    /// Calls of write.
    pub writes: u64,
    /// Calls of fsync.
    pub fsyncs: u64,
    /// Microseconds spent in fsync.
    pub fsync_micros: u64,
    /// Writes and fsyncs that failed.
    pub failures: u64,
}

/// An append-only log of frames in numbered segment files.
#[derive(Debug)]
pub struct Log {
    dir: Dir,
    clock: Arc<dyn Clock>,
    config: LogConfig,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug)]
struct State {
    /// Frames that are not yet written, in order.
    pending: Vec<u8>,
    /// Bytes pushed, written and synced since the log was opened.
    pushed: u64,
    written: u64,
    synced: u64,
    /// `None` while the writer has it.
    file: Option<Segment>,
    last_sync: Duration,
    failure: Failure,
    stats: LogStats,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    None,
    Full,
    Poisoned(String),
}

#[derive(Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    file: Box<dyn FsFile>,
}

/// What the writer does in one turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Write,
    WriteAndSync,
    WriteAndRotate,
}

impl Log {
    /// Opens the log in `dir` for writing: always in a new segment behind all that exist, so that what a crash left
    /// behind is never written to. Its number is at least `first`: whoever keeps a checkpoint says here from which
    /// segment on it will read, since the segments themselves may all be gone.
    pub fn open(env: &Env, dir: Dir, config: LogConfig, first: u64) -> Result<Self> {
        let number = segments(&dir)?.last().map_or(1, |n| n + 1).max(first);
        let segment = Segment::create(&dir, number)?;
        let state = State {
            pending: Vec::new(),
            pushed: 0,
            written: 0,
            synced: 0,
            file: Some(segment),
            last_sync: env.clock.monotonic(),
            failure: Failure::None,
            stats: LogStats { segment: number, ..LogStats::default() },
        };
        Ok(Log { dir, clock: Arc::clone(&env.clock), config, state: Mutex::new(state), done: Condvar::new() })
    }

    /// Fails if nothing can be written now. After a full disk this tries again to write what is waiting, so it is the
    /// call that notices that space has returned; make it before changing any state that the log must reflect.
    pub fn ready(&self) -> Result<()> {
        let state = self.state.lock();
        match &state.failure {
            Failure::None => Ok(()),
            Failure::Poisoned(_) => Err(self.error(&state.failure)),
            Failure::Full => self.take_turn(state, Turn::Write).map(drop),
        }
    }

    /// Queues a frame behind all those queued before; it is not written yet. The returned position is what to commit.
    pub fn push(&self, payload: &[u8]) -> Seq {
        let mut state = self.state.lock();
        let n = frame::push_frame(&mut state.pending, payload);
        state.pushed += n as u64;
        Seq(state.pushed)
    }

    /// Waits until everything up to `seq` is handed to the kernel (and is durable, if the interval is zero).
    ///
    /// After [`DiskError::Full`] the frames stay queued and will be written before any later one.
    pub fn commit(&self, seq: Seq) -> Result<()> {
        let durable = self.config.fsync_interval.is_zero();
        let mut state = self.state.lock();
        loop {
            let done = if durable { state.synced } else { state.written };
            if done >= seq.0 {
                return Ok(());
            }
            if state.failure != Failure::None {
                return Err(self.error(&state.failure));
            }
            if state.file.is_none() {
                self.done.wait(&mut state);
                continue;
            }
            let overdue = durable || self.is_sync_due(&state);
            state = self.take_turn(state, if overdue { Turn::WriteAndSync } else { Turn::Write })?;
        }
    }

    /// Writes and fsyncs if the last fsync is longer ago than the interval and something was written since.
    pub fn sync_if_due(&self) -> Result<()> {
        let state = self.state.lock();
        if state.pushed == state.synced || !self.is_sync_due(&state) {
            return Ok(());
        }
        self.take_turn(state, Turn::WriteAndSync).map(drop)
    }

    /// Makes everything that was pushed durable.
    pub fn sync(&self) -> Result<()> {
        self.take_turn(self.state.lock(), Turn::WriteAndSync).map(drop)
    }

    /// Closes the segment (durably) and starts the next; returns the number of the new one. Everything pushed before
    /// stands in older segments.
    pub fn rotate(&self) -> Result<u64> {
        let state = self.take_turn(self.state.lock(), Turn::WriteAndRotate)?;
        Ok(state.stats.segment)
    }

    /// Removes the segments before `number`.
    pub fn remove_before(&self, number: u64) -> Result<()> {
        for n in segments(&self.dir)?.into_iter().filter(|n| *n < number) {
            self.dir.remove_file(&segment_name(n))?;
        }
        Ok(())
    }

    /// Counters.
    pub fn stats(&self) -> LogStats {
        self.state.lock().stats
    }

    fn is_sync_due(&self, state: &State) -> bool {
        self.clock.monotonic().saturating_sub(state.last_sync) >= self.config.fsync_interval
    }

    fn error(&self, failure: &Failure) -> DiskError {
        let path = self.dir.path().display().to_string();
        match failure {
            Failure::Poisoned(reason) => DiskError::Poisoned { path, reason: reason.clone() },
            Failure::Full | Failure::None => DiskError::Full { path },
        }
    }

    /// Becomes the writer for everything that is pending. The lock is free while files are touched.
    fn take_turn<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        turn: Turn,
    ) -> Result<MutexGuard<'a, State>> {
        let mut segment = loop {
            if let Failure::Poisoned(_) = state.failure {
                return Err(self.error(&state.failure));
            }
            match state.file.take() {
                Some(segment) => break segment,
                None => self.done.wait(&mut state),
            }
        };
        let mut pending = mem::take(&mut state.pending);
        let target = state.pushed;
        let mut stats = state.stats;
        let outcome =
            MutexGuard::unlocked(&mut state, || self.write_out(&mut segment, &pending, turn, &mut stats));
        state.file = Some(segment);
        state.stats = stats;
        match &outcome {
            Ok(_) | Err(Trouble::NotRotated(_)) => {
                state.written = target;
                if !matches!(outcome, Ok(false)) {
                    state.synced = target;
                    state.last_sync = self.clock.monotonic();
                }
                state.failure = Failure::None;
            }
            Err(Trouble::NotWritten(_)) => {
                // What was pushed meanwhile goes behind.
                pending.append(&mut state.pending);
                state.pending = mem::take(&mut pending);
                state.failure = Failure::Full;
                state.stats.failures += 1;
            }
            Err(Trouble::Fatal(e)) => {
                state.failure = Failure::Poisoned(e.to_string());
                state.stats.failures += 1;
                tracing::error!(log = %self.dir.path().display(), error = %e, "log is poisoned until restart");
            }
        }
        if state.pending.capacity() == 0 {
            pending.clear();
            pending.shrink_to(KEEP_BUFFER);
            state.pending = pending;
        }
        self.done.notify_all();
        match outcome {
            Ok(_) => Ok(state),
            Err(Trouble::NotWritten(e) | Trouble::NotRotated(e) | Trouble::Fatal(e)) => Err(e),
        }
    }

    /// Returns whether the segment was synced as well.
    fn write_out(
        &self,
        segment: &mut Segment,
        pending: &[u8],
        turn: Turn,
        stats: &mut LogStats,
    ) -> std::result::Result<bool, Trouble> {
        if !pending.is_empty() {
            segment.append(pending)?;
            stats.writes += 1;
            stats.written_bytes += pending.len() as u64;
        }
        let full = segment.file.len() >= self.config.segment_bytes;
        if turn == Turn::Write && !full {
            return Ok(false);
        }
        let start = self.clock.monotonic();
        segment.file.sync().map_err(|e| Trouble::Fatal(DiskError::io("fsync", &segment.path, e)))?;
        stats.fsyncs += 1;
        stats.fsync_micros += self.clock.monotonic().saturating_sub(start).as_micros() as u64;
        if full || turn == Turn::WriteAndRotate {
            match Segment::create(&self.dir, segment.number + 1) {
                Ok(next) => {
                    *segment = next;
                    stats.segment = segment.number;
                }
                // The old segment is whole and goes on growing; only a caller who needs the new one must know.
                Err(e) if turn != Turn::WriteAndRotate && e.is_full() => {}
                Err(e) if e.is_full() => return Err(Trouble::NotRotated(e)),
                Err(e) => return Err(Trouble::Fatal(e)),
            }
        }
        Ok(true)
    }
}

/// Memory kept for the next group.
const KEEP_BUFFER: usize = 1 << 20;

enum Trouble {
    /// The disk is full; the segment is as it was before.
    NotWritten(DiskError),
    /// Everything was written and synced, but there is no room for the next segment.
    NotRotated(DiskError),
    /// Nothing is known about the segment any more.
    Fatal(DiskError),
}

impl Segment {
    fn create(dir: &Dir, number: u64) -> Result<Self> {
        let name = segment_name(number);
        Self::begin(dir, number, &name).inspect_err(|_| {
            // A segment that is not used must not stand behind the one that goes on growing.
            if let Err(error) = dir.remove_file(&name) {
                tracing::debug!(%error, "there was no unfinished segment to remove");
            }
        })
    }

    fn begin(dir: &Dir, number: u64, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let mut file = dir.create(name)?;
        file.append(&segment_header(number)).map_err(|e| DiskError::io("write", &path, e))?;
        debug_assert_eq!(file.len(), SEGMENT_HEADER as u64);
        // So that only the last segment can ever lack its header.
        file.sync().map_err(|e| DiskError::io("fsync", &path, e))?;
        dir.sync()?;
        Ok(Segment { number, path, file })
    }

    /// Appends all or, if the disk is full, nothing.
    fn append(&mut self, data: &[u8]) -> std::result::Result<(), Trouble> {
        let before = self.file.len();
        let Err(e) = self.file.append(data) else { return Ok(()) };
        let error = DiskError::io("write", &self.path, e);
        if error.is_full() && self.file.set_len(before).is_ok() {
            Err(Trouble::NotWritten(error))
        } else {
            Err(Trouble::Fatal(error))
        }
    }
}
