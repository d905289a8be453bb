//! What a page says, before it is written.

use std::{
    collections::{BTreeMap, HashSet},
    num::NonZeroU64,
    sync::Arc,
};

use reba_model::{Exemplar, Histogram, Metadata, MetricType};
use reba_storage::{FloatSample, SeriesRef, WriteBatch};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::{MAX_AHEAD_MS, PageError, PageReport, resolve::Resolver};

/// The series has no reference: relabelling dropped it.
const DROPPED: u64 = 0;

const TRACKED: u8 = 1;
const OWN_TIME: u8 = 2;
const DUPLICATE: u8 = 4;

/// One entry of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Where its bytes begin and end.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Bytes of the series at its beginning; 0: the entry is no sample.
    pub(super) series: u32,
    /// Of a `# TYPE`: the type.
    pub(super) kind: Option<MetricType>,
    flags: u8,
    target: u64,
    /// The value, if it is a float.
    pub(super) v: f64,
}

impl Line {
    /// An entry that is no sample.
    pub(super) fn other(start: usize, end: usize, kind: Option<MetricType>) -> Line {
        Line { start: start as u32, end: end as u32, series: 0, kind, flags: 0, target: DROPPED, v: 0.0 }
    }

    /// A sample whose series takes the first `series` bytes.
    pub(super) fn sample(start: usize, end: usize, series: usize, target: Option<SeriesRef>, v: f64) -> Line {
        let target = target.map_or(DROPPED, |r| r.0.get());
        Line { start: start as u32, end: end as u32, series: series as u32, kind: None, flags: 0, target, v }
    }

    /// The same series elsewhere, with another value.
    #[inline]
    pub(super) fn with(self, start: usize, end: usize, v: f64) -> Line {
        Line { start: start as u32, end: end as u32, v, ..self }
    }

    /// The same entry elsewhere.
    #[inline]
    pub(super) fn moved(self, start: usize) -> Line {
        Line { start: start as u32, end: (start + (self.end - self.start) as usize) as u32, ..self }
    }

    pub(super) fn series_bytes<'p>(&self, page: &'p [u8]) -> &'p [u8] {
        &page[self.start as usize..(self.start + self.series) as usize]
    }

    #[inline]
    pub(super) fn series_ref(&self) -> Option<SeriesRef> {
        NonZeroU64::new(self.target).map(SeriesRef)
    }

    /// Whether the series gets a staleness marker when it vanishes.
    #[inline]
    pub(super) fn is_tracked(&self) -> bool {
        self.flags & TRACKED != 0
    }

    /// Whether the entry says its own time.
    #[inline]
    pub(super) fn has_own_time(&self) -> bool {
        self.flags & OWN_TIME != 0
    }

    fn is_duplicate(&self) -> bool {
        self.flags & DUPLICATE != 0
    }
}

/// The samples of a page.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) lines: Vec<Line>,
    /// Whether entries came, went or moved.
    pub(super) changed: bool,
    /// Series that the page before did not have.
    pub(super) added: usize,
    /// Own times by index of the line, rising.
    times: Vec<(u32, i64)>,
    /// Native histograms by index of the line, rising.
    histograms: Vec<(u32, Arc<Histogram>)>,
    /// Exemplars by index of the line, and whether they have a time.
    exemplars: Vec<(u32, bool, Exemplar)>,
    /// What takes the place of the page in the cache, if not the page.
    pub(super) bytes: Option<Vec<u8>>,
    /// New metadata, if it changed.
    pub(super) metadata: Option<BTreeMap<String, Metadata>>,
    pub(super) over_bucket_limit: bool,
}

impl Draft {
    pub(super) fn with_capacity(lines: usize) -> Self {
        Draft { lines: Vec::with_capacity(lines), ..Draft::default() }
    }

    /// Adds a sample. `t` is its own time, if that counts; `track` says whether it is to be marked when it vanishes.
    #[inline]
    pub(super) fn push_sample(&mut self, mut line: Line, t: Option<i64>, track_own_times: bool) {
        let was_tracked = line.flags & TRACKED;
        line.flags &= DUPLICATE;
        if let Some(t) = t {
            self.times.push((self.lines.len() as u32, t));
            line.flags |= OWN_TIME;
        }
        if line.target != DROPPED && (t.is_none() || track_own_times) {
            line.flags |= TRACKED;
        } else if was_tracked != 0 {
            // It had no time of its own before, and now has: its markers end.
            self.changed = true;
        }
        self.lines.push(line);
    }

    /// Gives the newest sample a histogram in the place of its value.
    pub(super) fn push_histogram(&mut self, h: Arc<Histogram>) {
        self.histograms.push(((self.lines.len() - 1) as u32, h));
    }

    /// Gives the newest sample an exemplar, whose time is that of the sample if it has none.
    pub(super) fn push_exemplar(&mut self, has_time: bool, exemplar: Exemplar) {
        if self.lines.last().is_some_and(|l| l.target != DROPPED) {
            self.exemplars.push(((self.lines.len() - 1) as u32, has_time, exemplar));
        }
    }

    /// Marks the samples whose series stands further up already.
    pub(super) fn mark_duplicates(&mut self) {
        let mut seen: HashSet<u64, Xxh3DefaultBuilder> =
            HashSet::with_capacity_and_hasher(self.lines.len(), Xxh3DefaultBuilder::new());
        for line in self.lines.iter_mut().filter(|l| l.target != DROPPED) {
            line.flags &= !DUPLICATE;
            if !seen.insert(line.target) {
                line.flags |= DUPLICATE;
            }
        }
    }

    /// Writes the samples to `batch`, if no limit is passed.
    pub(super) fn write(
        &self,
        t: i64,
        resolver: &Resolver<'_>,
        batch: &mut WriteBatch,
    ) -> Result<PageReport, PageError> {
        let mut report = PageReport { series_added: self.added, ..PageReport::default() };
        let mut times = self.times.iter().peekable();
        let mut histograms = self.histograms.iter().peekable();
        batch.floats.reserve(self.lines.len());
        for (i, line) in self.lines.iter().enumerate() {
            if line.series == 0 {
                continue;
            }
            report.scraped += 1;
            let own =
                if line.has_own_time() { times.next_if(|x| x.0 == i as u32).map(|x| x.1) } else { None };
            let h = histograms.next_if(|x| x.0 == i as u32).map(|x| &x.1);
            let Some(series) = line.series_ref() else { continue };
            report.post_relabel += 1;
            let at = own.unwrap_or(t);
            if own.is_none() && line.is_duplicate() {
                report.duplicates += 1;
            } else if at > t.saturating_add(MAX_AHEAD_MS) {
                report.out_of_bounds += 1;
            } else if let Some(h) = h {
                batch.histograms.push((series, at, Arc::clone(h)));
            } else {
                batch.floats.push(FloatSample { series, t: at, v: line.v });
            }
        }
        report.scraped += resolver.not_resolved();
        report.post_relabel += resolver.not_resolved();
        let limit = resolver.options().sample_limit;
        if resolver.not_resolved() > 0 || limit > 0 && report.post_relabel > limit {
            batch.clear();
            return Err(PageError::SampleLimit(report));
        }
        if self.over_bucket_limit {
            batch.clear();
            return Err(PageError::BucketLimit(report));
        }
        self.write_exemplars(t, batch);
        Ok(report)
    }

    fn write_exemplars(&self, t: i64, batch: &mut WriteBatch) {
        for (i, has_time, exemplar) in &self.exemplars {
            let line = &self.lines[*i as usize];
            let Some(series) = line.series_ref() else { continue };
            let mut exemplar = exemplar.clone();
            if !has_time {
                let own = self.times.binary_search_by_key(i, |x| x.0).ok().map(|k| self.times[k].1);
                exemplar.t = own.unwrap_or(t);
            }
            batch.exemplars.push((series, exemplar));
        }
    }
}
