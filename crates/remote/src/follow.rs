//! Reading the queue behind its writer.

use std::{collections::HashMap, sync::Arc};

use reba_disk::{Dir, DiskError, FrameError, SEGMENT_HEADER, next_frame, segment_name, segments};
use reba_model::{Exemplar, Histogram, Labels};

use crate::{
    queue::Place,
    record::{Record, read_records},
};

/// Bytes read at a time.
const READ: usize = 1 << 20;

/// What a sample is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(i64, f64),
    Histogram(i64, Arc<Histogram>),
    Exemplar(Exemplar),
}

/// One thing to send, with the labels under which it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// Turns stored labels into those that are sent; `None`: the series is not sent.
pub(crate) type Prepare = Box<dyn Fn(&Labels) -> Option<Labels> + Send + Sync>;

/// Follows the queue from a place on.
pub(crate) struct Follower {
    dir: Dir,
    place: Place,
    /// What was read behind `place`.
    buffer: Vec<u8>,
    used: usize,
    series: HashMap<u64, Option<Labels>>,
    prepare: Prepare,
    /// Items of series that are not sent.
    pub(crate) filtered: u64,
    /// Segments that were removed before they were read.
    pub(crate) missed: u64,
}

impl Follower {
    /// A follower that reads from `place` on. Reads the part of its segment before it, for what the series are.
    pub(crate) fn new(dir: Dir, place: Place, prepare: Prepare) -> Result<Self, DiskError> {
        let start = Place { segment: place.segment, offset: SEGMENT_HEADER as u64 };
        let mut follower = Follower {
            dir,
            place: start,
            buffer: Vec::new(),
            used: 0,
            series: HashMap::new(),
            prepare,
            filtered: 0,
            missed: 0,
        };
        if !segments(&follower.dir)?.contains(&place.segment) {
            return Ok(follower);
        }
        let mut skipped = Vec::new();
        while follower.place.segment == place.segment && follower.place.offset < place.offset {
            if !follower.read_frame(&mut skipped)? {
                break;
            }
            skipped.clear();
        }
        follower.filtered = 0;
        Ok(follower)
    }

    /// Where the next frame begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Appends whole frames to `out` until it has `enough` items, or the place `until` is reached, or there are no more.
    pub(crate) fn read(
        &mut self,
        out: &mut Vec<Item>,
        enough: usize,
        until: Option<Place>,
    ) -> Result<(), DiskError> {
        while until.map_or(out.len() < enough, |end| self.place < end) && self.read_frame(out)? {}
        Ok(())
    }

    /// Appends one frame; `false` if there is none yet.
    fn read_frame(&mut self, out: &mut Vec<Item>) -> Result<bool, DiskError> {
        let mut reread = false;
        loop {
            match next_frame(&self.buffer, self.used) {
                Ok(Some((payload, next))) => {
                    let (series, prepare, filtered) = (&mut self.series, &self.prepare, &mut self.filtered);
                    let read = read_records(payload, |record| take(record, series, prepare, filtered, out));
                    if let Err(error) = read {
                        tracing::error!(%error, segment = self.place.segment, "a frame of the remote write queue makes no sense");
                    }
                    self.place.offset += (next - self.used) as u64;
                    self.used = next;
                    return Ok(true);
                }
                Err(FrameError::Checksum) => {
                    // Either the frame was just being written when it was read, or it is damaged, and then everything
                    // behind it is lost.
                    let behind = self.is_behind()?;
                    self.reread();
                    if !behind || (reread && !self.next_segment()?) {
                        return Ok(false);
                    }
                    reread = !reread;
                }
                Ok(None) | Err(FrameError::Truncated) => {
                    // First whether there is another segment, then whether this one has more: what is written to a
                    // segment is written before the next one exists.
                    let behind = self.is_behind()?;
                    if self.fill()? == 0 && !(behind && self.next_segment()?) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Whether there are newer segments.
    fn is_behind(&self) -> Result<bool, DiskError> {
        Ok(segments(&self.dir)?.last().is_some_and(|n| *n > self.place.segment))
    }

    fn reread(&mut self) {
        self.buffer.clear();
        self.used = 0;
    }

    fn fill(&mut self) -> Result<usize, DiskError> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let from = self.place.offset + self.buffer.len() as u64;
        let name = segment_name(self.place.segment);
        match self.dir.read_from(&name, from, READ) {
            Ok(more) => {
                self.buffer.extend_from_slice(&more);
                Ok(more.len())
            }
            // It was removed, for the queue is full or this receiver is new.
            Err(_) if !segments(&self.dir)?.contains(&self.place.segment) => Ok(0),
            Err(e) => Err(e),
        }
    }

    fn next_segment(&mut self) -> Result<bool, DiskError> {
        let all = segments(&self.dir)?;
        let Some(next) = all.iter().copied().find(|n| *n > self.place.segment) else {
            return Ok(false);
        };
        // This one was read to its end, unless it is gone.
        let read = u64::from(all.contains(&self.place.segment));
        self.missed += next - self.place.segment - read;
        self.place = Place { segment: next, offset: SEGMENT_HEADER as u64 };
        self.reread();
        self.series.clear();
        Ok(true)
    }
}

fn take(
    record: Record,
    series: &mut HashMap<u64, Option<Labels>>,
    prepare: &Prepare,
    filtered: &mut u64,
    out: &mut Vec<Item>,
) {
    let (id, value) = match record {
        Record::Series(id, labels) => {
            series.insert(id, prepare(&labels));
            return;
        }
        Record::Float(id, t, v) => (id, Value::Float(t, v)),
        Record::Histogram(id, t, h) => (id, Value::Histogram(t, h)),
        Record::Exemplar(id, e) => (id, Value::Exemplar(e)),
    };
    match series.get(&id) {
        Some(Some(labels)) => out.push(Item { labels: labels.clone(), value }),
        _ => *filtered += 1,
    }
}
