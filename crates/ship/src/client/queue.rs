//! The queue on disk of one client.
//!
//! Records are frames of a log with an fsync a commit: what was pushed survives a loss of power. A record is a piece of a
//! push request of one tenant, so that the sender only puts them together. See docs/format/ship.md.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use reba_disk::{
    Dir, DiskError, Env, FRAME_HEADER, FrameError, Log, LogConfig, SEGMENT_HEADER, next_frame, segment_name,
    segments,
};
use reba_model::Tenant;
use thiserror::Error;
use tokio::sync::watch;

use super::{Streams, push};

/// Bytes of entries in one record.
const RECORD: usize = 512 << 10;

/// Bytes of a segment.
const SEGMENT: u64 = 8 << 20;

/// Bytes read at once, and at most for one record.
const READ: usize = 1 << 20;
const MAX_READ: usize = 256 << 20;

/// Names the file that says up to where everything is sent.
const POSITION: &str = "position";

/// Why nothing was queued.
#[derive(Debug, Error)]
pub(crate) enum QueueError {
    /// There is no room until something is sent.
    #[error("the queue is full")]
    Full,
    /// The disk refuses.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A place in the queue: a segment, and a byte in it where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub segment: u64,
    pub offset: u64,
}

/// What waits to be sent.
#[derive(Debug)]
pub(crate) struct Queue {
    dir: Dir,
    log: Log,
    max_bytes: u64,
    /// Bytes pushed and not sent.
    waiting: AtomicU64,
    /// What was read from is here until it is sent.
    sent: Mutex<Place>,
    changed: watch::Sender<()>,
}

/// A record: whose entries, how many, and the piece of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub tenant: Option<Tenant>,
    pub entries: u64,
    pub request: Vec<u8>,
}

impl Record {
    fn bytes(&self) -> Vec<u8> {
        let tenant = self.tenant.as_ref().map_or("", Tenant::as_str).as_bytes();
        let mut out = Vec::with_capacity(10 + tenant.len() + self.request.len());
        out.push(1);
        // A tenant has at most 150 bytes.
        out.push(tenant.len() as u8);
        out.extend_from_slice(tenant);
        out.extend_from_slice(&(self.entries as u32).to_le_bytes());
        out.extend_from_slice(&self.request);
        out
    }

    /// Bytes that it has in the queue.
    pub fn framed(&self) -> u64 {
        let tenant = self.tenant.as_ref().map_or(0, |t| t.as_str().len());
        (FRAME_HEADER + 6 + tenant + self.request.len()) as u64
    }

    fn parse(data: &[u8]) -> Option<Self> {
        let [1, len, rest @ ..] = data else { return None };
        let (tenant, rest) = rest.split_at_checked(usize::from(*len))?;
        let tenant = match tenant {
            [] => None,
            name => Some(Tenant::new(std::str::from_utf8(name).ok()?).ok()?),
        };
        let (entries, request) = rest.split_first_chunk::<4>()?;
        Some(Record { tenant, entries: u64::from(u32::from_le_bytes(*entries)), request: request.to_vec() })
    }
}

/// The records of some streams.
pub(super) fn records(tenant: Option<&Tenant>, streams: &Streams<'_>) -> Vec<Record> {
    let mut out: Vec<Record> = Vec::new();
    let empty = || Record { tenant: tenant.cloned(), entries: 0, request: Vec::new() };
    for (labels, entries) in streams {
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            if out.last().is_none_or(|r| r.request.len() >= RECORD) {
                out.push(empty());
            }
            let Some(record) = out.last_mut() else { break };
            let mut room = RECORD.saturating_sub(record.request.len());
            // At least one entry, however large.
            let taken = rest.iter().enumerate().position(|(i, e)| {
                let fits = i == 0 || e.bytes() <= room;
                room = room.saturating_sub(e.bytes());
                !fits
            });
            let (now, later) = rest.split_at(taken.unwrap_or(rest.len()));
            push::encode(&mut record.request, labels, now.iter().copied());
            record.entries += now.len() as u64;
            rest = later;
        }
    }
    out
}

impl Queue {
    pub fn open(env: &Env, dir: Dir, max_bytes: u64) -> Result<Self, DiskError> {
        let sent = read_place(&dir);
        let old = segments(&dir)?;
        let first = sent.map_or(0, |p| p.segment + 1);
        let config = LogConfig { segment_bytes: SEGMENT, fsync_interval: std::time::Duration::ZERO };
        let log = Log::open(env, dir.clone(), config, first)?;
        let begin = old.first().copied().unwrap_or(log.stats().segment);
        let start = Place { segment: begin, offset: SEGMENT_HEADER as u64 };
        let sent = sent.filter(|p| *p > start).unwrap_or(start);
        let mut waiting = 0;
        for entry in dir.list()? {
            if old.iter().any(|n| *n >= sent.segment && segment_name(*n) == entry.name) {
                waiting += entry.len.saturating_sub(SEGMENT_HEADER as u64);
            }
        }
        waiting = waiting.saturating_sub(sent.offset - SEGMENT_HEADER as u64);
        Ok(Queue {
            dir,
            log,
            max_bytes,
            waiting: AtomicU64::new(waiting),
            sent: Mutex::new(sent),
            changed: watch::Sender::new(()),
        })
    }

    /// Queues a record durably.
    pub fn push(&self, record: &Record) -> Result<(), QueueError> {
        if self.waiting.load(Ordering::Relaxed) >= self.max_bytes {
            return Err(QueueError::Full);
        }
        self.log.ready()?;
        let payload = record.bytes();
        let seq = self.log.push(&payload);
        self.log.commit(seq)?;
        self.waiting.fetch_add((payload.len() + FRAME_HEADER) as u64, Ordering::Relaxed);
        self.changed.send_replace(());
        Ok(())
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Tells when there is more.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Where the sender begins.
    pub fn start(&self) -> Place {
        *self.sent.lock()
    }

    /// Everything before `place` is done with; `bytes` of it are new.
    pub fn done(&self, place: Place, bytes: u64) -> Result<(), DiskError> {
        let before = std::mem::replace(&mut *self.sent.lock(), place);
        let _ = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| Some(w.saturating_sub(bytes)));
        self.dir.write_atomic(POSITION, format!("1 {} {}\n", place.segment, place.offset).as_bytes())?;
        if before.segment != place.segment {
            self.log.remove_before(place.segment)?;
        }
        Ok(())
    }

    /// The records from `place` on, each with the place behind it, until there are about `most` bytes of one tenant.
    pub fn read(&self, mut place: Place, most: usize) -> Result<Vec<(Record, Place)>, DiskError> {
        let (mut out, mut bytes): (Vec<(Record, Place)>, usize) = (Vec::new(), 0);
        let current = self.log.stats().segment;
        let mut want = READ;
        loop {
            let data = match self.dir.read_from(&segment_name(place.segment), place.offset, want) {
                Ok(data) => data,
                // It was never made, or is gone.
                Err(e) if e.is_not_found() && place.segment < current => Vec::new(),
                Err(e) => return Err(e),
            };
            let mut pos = 0;
            let end = loop {
                match next_frame(&data, pos) {
                    Ok(Some((payload, next))) => {
                        let at = Place { offset: place.offset + next as u64, ..place };
                        if let Some(record) = Record::parse(payload) {
                            let other = out.first().is_some_and(|(r, _)| r.tenant != record.tenant);
                            if other || (!out.is_empty() && bytes + record.request.len() > most) {
                                return Ok(out);
                            }
                            bytes += record.request.len();
                            out.push((record, at));
                        }
                        pos = next;
                    }
                    Ok(None) => break None,
                    Err(e) => break Some(e),
                }
            };
            place.offset += pos as u64;
            let full = data.len() == want;
            want = READ;
            if end == Some(FrameError::Truncated) && full && data.len() < MAX_READ {
                // A record longer than what was read, unless some of it has been gone through.
                want = if pos == 0 { data.len() * 4 } else { READ };
            } else if !full || end.is_some() {
                // The end, torn or not: a segment that is not written any more leads to the next one.
                if place.segment >= current {
                    return Ok(out);
                }
                place = Place { segment: place.segment + 1, offset: SEGMENT_HEADER as u64 };
            }
        }
    }
}

fn read_place(dir: &Dir) -> Option<Place> {
    let text = String::from_utf8(dir.read(POSITION).ok()?).ok()?;
    let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [1, segment, offset] = numbers[..] else { return None };
    Some(Place { segment, offset: offset.max(SEGMENT_HEADER as u64) })
}
