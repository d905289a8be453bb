//! Followers: rows handed on while they are written.
//!
//! Who writes only asks which streams somebody follows, and copies their rows into a queue; who follows runs the pipeline. A
//! follower that is too slow misses rows, and is told which.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use reba_logql::{
    pipeline::{LineState, Pipeline, Wanted},
    syntax::parse_log,
};
use reba_model::{Labels, LogBatch, LogStream, Matcher, Tenant};
use reba_storage::{AppendError, DemotedLabels, LogAppender, LogReport};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use super::{Line, LogError, demoted, rows::line_labels};

/// Pieces that wait for one follower; a piece is what one write brought it, at most [`PIECE_ROWS`] rows.
const QUEUED_PIECES: usize = 64;

/// Most rows of a piece.
const PIECE_ROWS: usize = 1000;

/// Most bytes that wait for one follower.
const QUEUED_BYTES: u64 = 16 << 20;

/// Most lines of a frame.
const FRAME_LINES: usize = 100;

/// Most missed rows that are named.
const NAMED_DROPS: usize = 1000;

/// An appender that others can listen to.
pub struct LogTails {
    inner: Arc<dyn LogAppender>,
    max_tails: usize,
    demoted: Arc<DemotedLabels>,
    followers: RwLock<Vec<Arc<Follower>>>,
    next: AtomicU64,
}

/// What the writing side knows of a follower.
struct Follower {
    id: u64,
    tenant: Tenant,
    matchers: Vec<Matcher>,
    queue: Sender<Piece>,
    queued_bytes: AtomicU64,
    missed: Mutex<Missed>,
}

#[derive(Default)]
struct Missed {
    named: Vec<Dropped>,
    count: u64,
}

/// Rows of one stream, from one write.
struct Piece {
    stream: Labels,
    rows: Vec<RawRow>,
    bytes: u64,
}

struct RawRow {
    ns: i64,
    line: String,
    metadata: Vec<(String, String)>,
}

/// A row that a follower was too slow for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Unix nanoseconds.
    pub ns: i64,
    /// The stream.
    pub labels: Labels,
}

/// What a follower gets at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailFrame {
    /// Lines, the oldest first.
    pub lines: Vec<Line>,
    /// Rows missed since the frame before, as far as they are named.
    pub dropped: Vec<Dropped>,
    /// How many were missed, named or not.
    pub dropped_count: u64,
}

impl LogTails {
    /// Listens to what goes to `inner`, for at most so many followers.
    pub fn new(inner: Arc<dyn LogAppender>, max_tails: usize) -> Arc<Self> {
        Self::with_demoted(inner, max_tails, Arc::default())
    }

    /// The same, where some labels are stored as structured metadata.
    pub fn with_demoted(
        inner: Arc<dyn LogAppender>,
        max_tails: usize,
        demoted: Arc<DemotedLabels>,
    ) -> Arc<Self> {
        let followers = RwLock::default();
        Arc::new(LogTails { inner, max_tails, demoted, followers, next: AtomicU64::new(0) })
    }

    /// Follows a log query from now on. For lines from before, ask the engine afterwards, and tell the follower what it gave
    /// ([`Tail::skip`]): then none is missing between the two, and none comes twice.
    ///
    /// # Errors
    /// If the query makes no sense or answers with numbers, and if there are too many followers.
    pub fn follow(self: &Arc<Self>, tenant: Tenant, query: &str, now_ns: i64) -> Result<Tail, LogError> {
        let mut log = parse_log(query)?;
        demoted::move_in_log(&mut log, &demoted::names(&self.demoted, &tenant));
        let pipeline = Pipeline::compile(&log.stages, Wanted::All, now_ns)?;
        let (queue, pieces) = channel(QUEUED_PIECES);
        let mut followers = self.followers.write();
        if self.max_tails != 0 && followers.len() >= self.max_tails {
            return Err(LogError::TooManyTails { count: followers.len() + 1, limit: self.max_tails });
        }
        let follower = Arc::new(Follower {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            tenant,
            matchers: log.matchers,
            queue,
            queued_bytes: AtomicU64::new(0),
            missed: Mutex::default(),
        });
        followers.push(Arc::clone(&follower));
        Ok(Tail {
            hub: Arc::clone(self),
            follower,
            pieces,
            pipeline,
            state: LineState::default(),
            ready: VecDeque::new(),
            known: HashSet::new(),
        })
    }

    /// How many follow.
    pub fn following(&self) -> usize {
        self.followers.read().len()
    }

    fn publish(&self, tenant: &Tenant, batch: &LogBatch) {
        let followers = self.followers.read();
        for follower in followers.iter().filter(|f| f.tenant == *tenant) {
            for stream in batch.streams().filter(|s| Matcher::all(&follower.matchers, s.labels())) {
                follower.offer(stream);
            }
        }
    }
}

impl LogAppender for LogTails {
    fn append_logs(&self, tenant: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        let report = self.inner.append_logs(tenant, batch)?;
        // What was repeated as a whole has been seen.
        if report.appended > 0 {
            self.publish(tenant, batch);
        }
        Ok(report)
    }
}

impl std::fmt::Debug for LogTails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogTails").field("following", &self.following()).finish_non_exhaustive()
    }
}

impl Follower {
    /// Queues the rows of a stream, or notes that they are missed. Never waits.
    fn offer(&self, stream: LogStream<'_>) {
        let mut entries = stream.entries();
        loop {
            let rows: Vec<RawRow> = entries
                .by_ref()
                .take(PIECE_ROWS)
                .map(|e| RawRow {
                    ns: e.ns,
                    line: e.line.to_owned(),
                    metadata: e.metadata().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                })
                .collect();
            if rows.is_empty() {
                return;
            }
            self.queue(Piece { stream: stream.labels().clone(), bytes: bytes(&rows), rows });
        }
    }

    fn queue(&self, piece: Piece) {
        let bytes = piece.bytes;
        let before = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        // A piece that is too large by itself goes through an empty queue.
        let result = if before > 0 && before + bytes > QUEUED_BYTES {
            Err(TrySendError::Full(piece))
        } else {
            self.queue.try_send(piece)
        };
        if let Err(TrySendError::Full(piece) | TrySendError::Closed(piece)) = result {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.missed.lock().add(piece);
        }
    }
}

fn bytes(rows: &[RawRow]) -> u64 {
    let metadata = |r: &RawRow| r.metadata.iter().map(|(n, v)| n.len() + v.len() + 48).sum::<usize>();
    rows.iter().map(|r| (r.line.len() + metadata(r) + 56) as u64).sum()
}

impl Missed {
    fn add(&mut self, piece: Piece) {
        self.count += piece.rows.len() as u64;
        let room = NAMED_DROPS - self.named.len().min(NAMED_DROPS);
        let named = piece.rows.iter().take(room);
        self.named.extend(named.map(|row| Dropped { ns: row.ns, labels: piece.stream.clone() }));
    }
}

/// Follows a query. Dropping it ends that.
pub struct Tail {
    hub: Arc<LogTails>,
    follower: Arc<Follower>,
    pieces: Receiver<Piece>,
    pipeline: Pipeline,
    state: LineState,
    /// Lines that did not fit into the last frame.
    ready: VecDeque<Line>,
    /// Lines that were given out already.
    known: HashSet<u64>,
}

impl Tail {
    /// Leaves out lines that the follower has from elsewhere.
    pub fn skip(&mut self, lines: &[Line]) {
        self.known.extend(lines.iter().map(fingerprint));
    }

    /// Waits for lines, or for news about missed rows; none if nothing more will come.
    pub async fn next(&mut self) -> Option<TailFrame> {
        loop {
            while self.ready.len() < FRAME_LINES {
                match self.pieces.try_recv() {
                    Ok(piece) => self.take(&piece),
                    Err(_) => break,
                }
            }
            let frame = self.frame();
            if !frame.lines.is_empty() || frame.dropped_count > 0 {
                return Some(frame);
            }
            let piece = self.pieces.recv().await?;
            self.take(&piece);
        }
    }

    /// Runs the pipeline over rows.
    fn take(&mut self, piece: &Piece) {
        self.follower.queued_bytes.fetch_sub(piece.bytes, Ordering::Relaxed);
        for row in &piece.rows {
            let metadata: BTreeSet<(&str, &str)> =
                row.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let at = (row.ns, row.line.as_str());
            if !self.pipeline.run(&mut self.state, &piece.stream, at, metadata) {
                continue;
            }
            let labels = Arc::new(line_labels(&self.state));
            let text = self.state.line(&row.line).to_owned();
            let line = Line { ns: row.ns, text, labels };
            if self.known.is_empty() || !self.known.remove(&fingerprint(&line)) {
                self.ready.push_back(line);
            }
        }
    }

    fn frame(&mut self) -> TailFrame {
        let count = self.ready.len().min(FRAME_LINES);
        let mut lines: Vec<Line> = self.ready.drain(..count).collect();
        lines.sort_by_key(|line| line.ns);
        let missed = std::mem::take(&mut *self.follower.missed.lock());
        TailFrame { lines, dropped: missed.named, dropped_count: missed.count }
    }
}

fn fingerprint(line: &Line) -> u64 {
    let mut hasher = DefaultHasher::new();
    (line.ns, &line.text, &line.labels.all).hash(&mut hasher);
    hasher.finish()
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.hub.followers.write().retain(|f| f.id != self.follower.id);
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("id", &self.follower.id).finish_non_exhaustive()
    }
}
