//! The newest rows, in memory until they are written to a part.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::Duration,
};

use reba_model::{Labels, LogBatch, LogEntry, NanoRange, Tenant};
use xxhash_rust::xxh3::Xxh3;

use crate::state::Rows;

/// Small batches are put together until they have this much text, so that there are few of them.
const JOINED_TEXT: usize = 128 << 10;

/// What a stream costs besides its labels and rows, roughly.
const STREAM_BYTES: usize = 192;

/// Rows of all tenants.
#[derive(Debug, Default)]
pub(crate) struct Table {
    tenants: BTreeMap<Tenant, TenantTable>,
    /// Memory in use, roughly.
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) text_bytes: u64,
    /// Monotonic time of the first row.
    pub(crate) since: Option<Duration>,
    /// Number of the newest batch.
    pub(crate) last_seq: u64,
}

/// Rows of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantTable {
    streams: HashMap<Labels, MemStream>,
    pub(crate) batches: Vec<Arc<LogBatch>>,
}

/// Rows of one stream.
#[derive(Debug)]
pub(crate) struct MemStream {
    /// In the order they came.
    pub(crate) rows: Vec<RowRef>,
    min_ns: i64,
    max_ns: i64,
    pub(crate) text_bytes: u64,
    /// Rows by their fingerprint, once an entry came that is not newer than all others.
    seen: OnceLock<HashMap<u64, u32>>,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef {
    pub(crate) ns: i64,
    batch: u32,
    entry: u32,
}

impl RowRef {
    /// The row, out of the batches of its tenant.
    pub(crate) fn entry<'a>(&self, batches: &'a [Arc<LogBatch>]) -> LogEntry<'a> {
        batches[self.batch as usize].entry(self.entry as usize)
    }
}

/// What an entry is recognised by within its stream.
pub(crate) fn fingerprint<'a>(
    ns: i64,
    line: &str,
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&ns.to_le_bytes());
    hash.update(&(line.len() as u64).to_le_bytes());
    hash.update(line.as_bytes());
    for (name, value) in metadata {
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(&(value.len() as u64).to_le_bytes());
        hash.update(value.as_bytes());
    }
    hash.digest()
}

/// Bytes of the line and the metadata of an entry.
pub(crate) fn text_bytes(entry: &LogEntry<'_>) -> usize {
    entry.line.len() + entry.metadata().map(|(n, v)| n.len() + v.len()).sum::<usize>()
}

fn is_same(a: &LogEntry<'_>, b: &LogEntry<'_>) -> bool {
    a.ns == b.ns && a.line == b.line && a.metadata().eq(b.metadata())
}

impl Rows for Table {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn since(&self) -> Option<Duration> {
        self.since
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }
}

impl Table {
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<&TenantTable> {
        self.tenants.get(tenant)
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = (&Tenant, &TenantTable)> {
        self.tenants.iter()
    }

    pub(crate) fn stream_count(&self) -> usize {
        self.tenants.values().map(|t| t.streams.len()).sum()
    }

    /// Adds the entries of a batch that are not known yet. `known` are the entries of it that are stored elsewhere; those found
    /// here, or in `older`, are added to it. Returns how many entries were added.
    pub(crate) fn insert(
        &mut self,
        tenant: &Tenant,
        batch: &LogBatch,
        older: Option<&Table>,
        known: &mut [bool],
    ) -> usize {
        let older = older.and_then(|t| t.tenant(tenant));
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), TenantTable::default());
        }
        let Some(table) = self.tenants.get_mut(tenant) else { return 0 };
        let (place, offset) = table.store(batch);
        let (mut index, mut added) = (0usize, 0);
        for stream in batch.streams() {
            let entries = stream.entries();
            if entries.len() == 0 {
                continue;
            }
            if !table.streams.contains_key(stream.labels()) {
                self.bytes += (stream.labels().memory_bytes() + STREAM_BYTES) as u64;
                table.streams.insert(stream.labels().clone(), MemStream::new());
            }
            let Some(rows) = table.streams.get_mut(stream.labels()) else { continue };
            let before = older.and_then(|t| t.streams.get(stream.labels()).map(|s| (s, t)));
            for entry in entries {
                let known = &mut known[index];
                *known = *known
                    || rows.holds(&entry, &table.batches)
                    || before.is_some_and(|(s, t)| s.holds(&entry, &t.batches));
                if !*known {
                    let row = RowRef { ns: entry.ns, batch: place, entry: offset + index as u32 };
                    rows.push(row, &entry);
                    added += 1;
                }
                index += 1;
            }
        }
        if added == 0 && offset == 0 {
            table.batches.pop();
            return 0;
        }
        self.rows += added as u64;
        self.text_bytes += batch.text_bytes() as u64;
        self.bytes += (batch.text_bytes() + batch.len() * (24 + size_of::<RowRef>()) + 64) as u64;
        added
    }

    /// Puts everything of a batch that was read from the log back.
    pub(crate) fn restore(&mut self, tenant: &Tenant, batch: &LogBatch, mut known: Vec<bool>) {
        self.insert(tenant, batch, None, &mut known);
    }
}

impl TenantTable {
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&Labels, &MemStream)> {
        self.streams.iter().filter(|(_, s)| !s.rows.is_empty())
    }

    /// Keeps a batch; returns which it is and the number of its first entry there.
    fn store(&mut self, batch: &LogBatch) -> (u32, u32) {
        let count = self.batches.len() as u32;
        if let Some(last) = self.batches.last_mut()
            && last.text_bytes() + batch.text_bytes() <= JOINED_TEXT
            // A query that reads it keeps it as it is.
            && let Some(last) = Arc::get_mut(last)
        {
            let offset = last.len() as u32;
            for stream in batch.streams() {
                last.begin_stream(stream.labels().clone());
                for entry in stream.entries() {
                    let pushed = last.push(entry.ns, entry.line, entry.metadata());
                    debug_assert!(pushed.is_ok(), "a batch of a few kilobytes is not full");
                }
            }
            return (count - 1, offset);
        }
        self.batches.push(Arc::new(batch.clone()));
        (count, 0)
    }
}

impl MemStream {
    fn new() -> Self {
        MemStream {
            rows: Vec::new(),
            min_ns: i64::MAX,
            max_ns: i64::MIN,
            text_bytes: 0,
            seen: OnceLock::new(),
        }
    }

    /// Whether rows may lie in the range.
    pub(crate) fn overlaps(&self, range: NanoRange) -> bool {
        range.start <= self.max_ns && self.min_ns < range.end
    }

    /// First and last time.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.min_ns, self.max_ns)
    }

    /// Whether the stream has this very entry. Two entries that differ but have one fingerprint of 64 bits are told apart; if there
    /// were such, a later repetition of the second would be taken for new.
    fn holds(&self, entry: &LogEntry<'_>, batches: &[Arc<LogBatch>]) -> bool {
        if self.rows.is_empty() || entry.ns > self.max_ns {
            return false;
        }
        let seen = self.seen.get_or_init(|| {
            let print = |row: &RowRef| {
                let e = row.entry(batches);
                fingerprint(e.ns, e.line, e.metadata())
            };
            self.rows.iter().enumerate().map(|(i, row)| (print(row), i as u32)).collect()
        });
        seen.get(&fingerprint(entry.ns, entry.line, entry.metadata()))
            .is_some_and(|row| is_same(&self.rows[*row as usize].entry(batches), entry))
    }

    fn push(&mut self, row: RowRef, entry: &LogEntry<'_>) {
        if let Some(seen) = self.seen.get_mut() {
            let print = fingerprint(entry.ns, entry.line, entry.metadata());
            seen.entry(print).or_insert(self.rows.len() as u32);
        }
        self.rows.push(row);
        self.min_ns = self.min_ns.min(row.ns);
        self.max_ns = self.max_ns.max(row.ns);
        self.text_bytes += text_bytes(entry) as u64;
    }

    /// The rows by time; those of one time in the order they came.
    pub(crate) fn sorted(&self) -> Vec<RowRef> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|r| r.ns);
        rows
    }
}
