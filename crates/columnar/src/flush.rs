//! From the table in memory to parts.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use reba_disk::{Env, Log};
use reba_model::{Labels, LogBatch, Tenant};
use reba_storage::AppendError;

use crate::{
    Columnar, ColumnarConfig, ColumnarError,
    block::{MAX_ROWS, MAX_TEXT_BYTES},
    catalog::{Catalog, Change},
    day::Day,
    memory::{RowRef, Table, TenantTable, text_bytes},
    metrics::Counters,
    part::{LivePart, Part, PartSpec, PartWriter},
    state::{Frozen, Rows, State},
};

/// After a failure nothing is tried for so long, unless somebody asks for it: writing a part only to find that it does not fit is
/// work that need not be done at every append.
const PAUSE: Duration = Duration::from_secs(5);

/// What is remembered between flushes.
#[derive(Debug, Default)]
pub(crate) struct Flushing {
    not_before: Option<Duration>,
}

/// Writes a table to parts, which it adds to a list even if it fails.
pub(crate) type Write<'a, T, P> = dyn Fn(&T, &mut Vec<Arc<P>>) -> Result<(), ColumnarError> + 'a;

/// What moves rows from memory to parts, whatever they are of.
pub(crate) struct Machine<'a, T, P> {
    pub(crate) env: &'a Env,
    pub(crate) config: &'a ColumnarConfig,
    pub(crate) log: &'a Log,
    pub(crate) state: &'a RwLock<State<T, P>>,
    pub(crate) catalog: &'a Catalog<P>,
    pub(crate) flushing: &'a Mutex<Flushing>,
    pub(crate) counters: &'a Counters,
    pub(crate) write: &'a Write<'a, T, P>,
}

impl<T: Rows, P: LivePart> Machine<'_, T, P> {
    /// Before an append: writes the table to parts if it is full. Whoever fills it does the work; the others go on until memory
    /// runs out, then they wait.
    pub(crate) fn make_room(&self) -> Result<(), AppendError> {
        loop {
            let (active, total) = {
                let state = self.state.read();
                (state.active.bytes(), state.bytes())
            };
            if active < self.config.flush_bytes {
                return Ok(());
            }
            let is_out_of_memory = total >= self.config.memory_bytes;
            let mut flushing = match self.flushing.try_lock() {
                Some(flushing) => flushing,
                None if is_out_of_memory => {
                    drop(self.flushing.lock());
                    continue;
                }
                None => return Ok(()),
            };
            let is_paused = flushing.not_before.is_some_and(|t| self.env.clock.monotonic() < t);
            let failure = if is_paused { None } else { self.flush(&mut flushing).err() };
            if !is_out_of_memory || !is_paused && failure.is_none() {
                return Ok(());
            }
            let reason = failure.map_or_else(|| "waiting for space".to_owned(), |e| e.to_string());
            return Err(AppendError::Full(format!("what is in memory cannot be written to parts: {reason}")));
        }
    }

    /// Whether the table is full or old, and no failure is too recent.
    pub(crate) fn flush_if_due(&self) -> Result<(), ColumnarError> {
        let mut flushing = self.flushing.lock();
        let now = self.env.clock.monotonic();
        let due = {
            let state = self.state.read();
            let is_old = state.active.since().is_some_and(|t| now.saturating_sub(t) >= self.config.flush_age);
            state.frozen.is_some() || state.active.bytes() >= self.config.flush_bytes || is_old
        };
        if !due || flushing.not_before.is_some_and(|t| now < t) {
            return Ok(());
        }
        self.flush(&mut flushing)
    }

    /// Writes everything that is in memory now to parts.
    pub(crate) fn flush_all(&self) -> Result<(), ColumnarError> {
        let mut flushing = self.flushing.lock();
        if self.state.read().frozen.is_some() {
            self.flush(&mut flushing)?;
        }
        self.flush(&mut flushing)
    }

    /// Writes the frozen table, or freezes the active one and writes it.
    fn flush(&self, flushing: &mut Flushing) -> Result<(), ColumnarError> {
        let result = self.try_flush();
        flushing.not_before = None;
        if let Err(error) = &result {
            self.counters.flushes_failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "rows in memory cannot be written to parts");
            flushing.not_before = Some(self.env.clock.monotonic() + PAUSE);
        }
        result
    }

    fn try_flush(&self) -> Result<(), ColumnarError> {
        self.catalog.settle(self.state)?;
        let Some(frozen) = self.freeze()? else { return Ok(()) };
        let mut add = Vec::new();
        if let Err(e) = (self.write)(&frozen.table, &mut add) {
            // No manifest knows them, and space may be what is missing.
            self.catalog.remove_files(&add);
            return Err(e);
        }
        self.catalog.commit(self.state, Change { add, remove: Vec::new(), flushed: true })?;
        self.log.remove_before(frozen.first_segment)?;
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The table to be written: the one that could not be written before, else the one that is being filled.
    fn freeze(&self) -> Result<Option<Arc<Frozen<T>>>, ColumnarError> {
        {
            let state = self.state.read();
            if let Some(frozen) = &state.frozen {
                return Ok(Some(Arc::clone(frozen)));
            }
            if state.active.is_empty() {
                return Ok(None);
            }
        }
        // Everything in older segments is in the table that is frozen next. What is pushed in between is in both the table and a
        // newer segment, and is known by its number.
        let first_segment = self.log.rotate()?;
        let mut state = self.state.write();
        let table = std::mem::take(&mut state.active);
        let frozen = Arc::new(Frozen { table, first_segment });
        state.frozen = Some(Arc::clone(&frozen));
        Ok(Some(frozen))
    }
}

impl Columnar {
    /// Before an append: writes the table to parts if it is full.
    pub(crate) fn make_room(&self) -> Result<(), AppendError> {
        self.machine(&|table, add| self.write_table(table, add)).make_room()
    }

    /// Writes the table if it is full or old.
    pub(crate) fn flush_if_due(&self) -> Result<(), ColumnarError> {
        self.machine(&|table, add| self.write_table(table, add)).flush_if_due()
    }

    /// Writes everything that is in memory now to parts.
    pub(crate) fn flush_all(&self) -> Result<(), ColumnarError> {
        self.machine(&|table, add| self.write_table(table, add)).flush_all()
    }

    fn machine<'a>(&'a self, write: &'a Write<'a, Table, Part>) -> Machine<'a, Table, Part> {
        let Columnar { env, config, log, state, catalog, flushing, counters, .. } = self;
        Machine { env, config, log, state, catalog, flushing, counters, write }
    }

    fn write_table(&self, table: &Table, add: &mut Vec<Arc<Part>>) -> Result<(), ColumnarError> {
        for (tenant, rows) in table.tenants() {
            let mut days: BTreeMap<Day, Vec<(&Labels, Vec<RowRef>)>> = BTreeMap::new();
            for (labels, stream) in rows.streams() {
                for rows in stream.sorted().chunk_by(|a, b| Day::of(a.ns) == Day::of(b.ns)) {
                    let day = days.entry(Day::of(rows[0].ns)).or_default();
                    day.push((labels, rows.to_vec()));
                }
            }
            for (day, mut streams) in days {
                streams.sort_by(|a, b| a.0.as_packed().cmp(b.0.as_packed()));
                add.extend(self.write_day(tenant, rows, day, &streams)?);
            }
        }
        Ok(())
    }

    fn write_day(
        &self,
        tenant: &Tenant,
        table: &TenantTable,
        day: Day,
        streams: &[(&Labels, Vec<RowRef>)],
    ) -> Result<Option<Arc<Part>>, ColumnarError> {
        let number = self.catalog.next_number();
        let spec = PartSpec { number, day, tenant: tenant.clone(), parents: Vec::new() };
        self.write_part(spec, |writer| {
            for (labels, rows) in streams {
                for rows in blocks(rows, &table.batches) {
                    write_rows(writer, rows, &table.batches)?;
                }
                writer.end_stream(labels);
            }
            Ok(())
        })
    }

    /// Writes a part and opens it; nothing of it is left after an error.
    pub(crate) fn write_part(
        &self,
        spec: PartSpec,
        fill: impl FnOnce(&mut PartWriter) -> Result<(), ColumnarError>,
    ) -> Result<Option<Arc<Part>>, ColumnarError> {
        let dir = self.catalog.day_dir(spec.day)?;
        let mut writer = PartWriter::new(&dir, spec)?;
        if let Err(e) = fill(&mut writer) {
            writer.abandon();
            return Err(e);
        }
        let tmp = writer.tmp_name();
        let info = writer.finish().inspect_err(|_| {
            if let Err(error) = dir.remove_file(&tmp) {
                tracing::debug!(%error, "an unfinished part is left for the next start");
            }
        })?;
        let Some(info) = info else { return Ok(None) };
        match Part::open(&dir, info.number) {
            Ok(part) => Ok(Some(Arc::new(part))),
            Err(e) => {
                dir.remove_file(&info.file_name())?;
                Err(e.into())
            }
        }
    }
}

/// Cuts rows into what goes into one block.
fn blocks<'a>(
    mut rows: &'a [RowRef],
    batches: &'a [Arc<LogBatch>],
) -> impl Iterator<Item = &'a [RowRef]> + 'a {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |row: &&RowRef| {
            bytes += text_bytes(&row.entry(batches));
            bytes <= MAX_TEXT_BYTES
        };
        let n = rows.iter().take(MAX_ROWS).take_while(fits).count().max(1).min(rows.len());
        let (block, rest) = rows.split_at(n);
        rows = rest;
        (!block.is_empty()).then_some(block)
    })
}

fn write_rows(
    writer: &mut PartWriter,
    rows: &[RowRef],
    batches: &[Arc<LogBatch>],
) -> Result<(), ColumnarError> {
    let times: Vec<i64> = rows.iter().map(|r| r.ns).collect();
    let entries: Vec<_> = rows.iter().map(|r| r.entry(batches)).collect();
    let lines: Vec<&str> = entries.iter().map(|e| e.line).collect();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut ends = Vec::with_capacity(entries.len());
    for entry in &entries {
        pairs.extend(entry.metadata());
        ends.push(pairs.len());
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let metadata: Vec<&[(&str, &str)]> = starts.zip(&ends).map(|(start, end)| &pairs[start..*end]).collect();
    Ok(writer.rows(&times, &lines, &metadata)?)
}
