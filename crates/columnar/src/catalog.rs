//! The set of live parts: opening them, and replacing some by others in one commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use reba_disk::{Dir, DiskError};
use reba_model::{NanoRange, Tenant};

use crate::{
    day::Day,
    manifest::{Found, Manifest},
    part::{LivePart, Part, file_name, number_of},
    state::{Rows, State},
};

/// Ends the name of a part that was set aside.
const QUARANTINED: &str = ".quarantined";

/// Live parts, by tenant and first row.
#[derive(Debug)]
pub(crate) struct PartSet<P = Part> {
    tenants: BTreeMap<Tenant, Vec<Arc<P>>>,
}

impl<P: LivePart> PartSet<P> {
    fn new(parts: impl IntoIterator<Item = Arc<P>>) -> Self {
        let mut tenants: BTreeMap<Tenant, Vec<Arc<P>>> = BTreeMap::new();
        for part in parts {
            tenants.entry(part.info().tenant.clone()).or_default().push(part);
        }
        for parts in tenants.values_mut() {
            parts.sort_by_key(|p| (p.info().day, p.info().number));
        }
        PartSet { tenants }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<P>> {
        self.tenants.values().flatten()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = (&Tenant, &[Arc<P>])> {
        self.tenants.iter().map(|(t, parts)| (t, parts.as_slice()))
    }

    pub(crate) fn of(&self, tenant: &Tenant) -> &[Arc<P>] {
        self.tenants.get(tenant).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn overlapping(&self, tenant: &Tenant, range: NanoRange) -> impl Iterator<Item = &Arc<P>> {
        self.of(tenant).iter().filter(move |p| p.info().overlaps(range))
    }
}

/// Live parts that could not be read.
type Unread = Vec<(Day, u64)>;

/// A change of the set of parts.
#[derive(Debug)]
pub(crate) struct Change<P = Part> {
    pub(crate) add: Vec<Arc<P>>,
    pub(crate) remove: Vec<Arc<P>>,
    /// The rows that were being written are in `add`.
    pub(crate) flushed: bool,
}

impl<P> Default for Change<P> {
    fn default() -> Self {
        Change { add: Vec::new(), remove: Vec::new(), flushed: false }
    }
}

/// Who commits changes.
#[derive(Debug)]
pub(crate) struct Catalog<P = Part> {
    dir: Dir,
    parts: Dir,
    next_part: AtomicU64,
    pub(crate) set_aside: AtomicU64,
    committed: Mutex<Committed<P>>,
}

#[derive(Debug)]
struct Committed<P> {
    manifest: Manifest,
    /// Live parts that could not be read at the start for a reason that may pass.
    unread: Unread,
    /// Changes whose commit failed: they may be on the disk or not, so they come to pass at the next commit.
    pending: Vec<Change<P>>,
}

/// What was found in the data directory.
#[derive(Debug)]
pub(crate) struct Opened<P = Part> {
    pub(crate) catalog: Catalog<P>,
    pub(crate) parts: PartSet<P>,
    /// Batches up to this one are in parts.
    pub(crate) flushed_seq: u64,
    pub(crate) first_segment: u64,
    /// The manifest was lost: batches of the log may be in parts.
    pub(crate) rebuilt: bool,
}

impl<P: LivePart> Catalog<P> {
    pub(crate) fn open(dir: &Dir) -> Result<Opened<P>, DiskError> {
        dir.remove_unfinished()?;
        dir.sync()?;
        let parts = dir.subdir("parts")?;
        let found = Manifest::read(dir)?;
        let catalog = Catalog {
            dir: dir.clone(),
            parts,
            next_part: AtomicU64::new(1),
            set_aside: AtomicU64::new(0),
            committed: Mutex::new(Committed {
                manifest: Manifest::default(),
                unread: Vec::new(),
                pending: Vec::new(),
            }),
        };
        let (live, rebuilt) = match found {
            Found::Manifest(manifest) => {
                let live = manifest.parts.iter().map(|(day, n)| (*n, *day)).collect();
                catalog.committed.lock().manifest = manifest;
                (Some(live), false)
            }
            // Without a manifest there may be parts: of a first flush that was not finished.
            Found::Nothing | Found::Damaged => (None, true),
        };
        let (opened, unread) = catalog.open_parts(live.as_ref())?;
        let mut committed = catalog.committed.lock();
        committed.unread = unread;
        let Manifest { flushed_seq, first_segment, .. } = committed.manifest;
        drop(committed);
        Ok(Opened { catalog, parts: opened, flushed_seq, first_segment, rebuilt })
    }

    /// Opens what is live and removes what is not. Without a manifest every part is live whose rows are in no other.
    fn open_parts(&self, live: Option<&BTreeMap<u64, Day>>) -> Result<(PartSet<P>, Unread), DiskError> {
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        let mut missing = live.cloned().unwrap_or_default();
        for day in self.parts.list()?.into_iter().filter(|e| e.is_dir) {
            let dir = self.parts.existing(&day.name);
            dir.remove_unfinished()?;
            for entry in dir.list()? {
                let number = number_of(entry.name.trim_end_matches(QUARANTINED));
                self.next_part.fetch_max(number.unwrap_or(0) + 1, Ordering::Relaxed);
                let Some(number) = number_of(&entry.name) else { continue };
                // A number can come again once its part is gone; a power loss can bring back the file of the one that is gone.
                let is_live = |l: &BTreeMap<u64, Day>| l.get(&number).is_some_and(|d| d.folder() == day.name);
                if live.is_some_and(|l| !is_live(l)) {
                    dir.remove_file(&entry.name)?;
                    continue;
                }
                missing.remove(&number);
                match P::open(&dir, number) {
                    Ok(part) => found.push(Arc::new(part)),
                    Err(e @ DiskError::Corrupt { .. }) => self.quarantine(&dir, &entry.name, &e)?,
                    Err(error) => {
                        let day = live.and_then(|l| l.get(&number).copied());
                        let Some(day) = day else { return Err(error) };
                        tracing::error!(part = number, %error, "part cannot be read now; the rest keeps working");
                        unread.push((day, number));
                    }
                }
            }
        }
        for number in missing.keys() {
            self.set_aside.fetch_add(1, Ordering::Relaxed);
            tracing::error!(part = number, "a part of the manifest is missing; the rest keeps working");
        }
        let replaced: BTreeSet<u64> = match live {
            Some(_) => BTreeSet::new(),
            None => found.iter().flat_map(|p: &Arc<P>| p.info().parents.iter().copied()).collect(),
        };
        let (old, kept): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|p| replaced.contains(&p.info().number));
        self.remove_files(&old);
        Ok((PartSet::new(kept), unread))
    }

    /// Renames a damaged part.
    fn quarantine(&self, dir: &Dir, name: &str, error: &DiskError) -> Result<(), DiskError> {
        self.set_aside.fetch_add(1, Ordering::Relaxed);
        tracing::error!(part = name, %error, "part is set aside; the rest keeps working");
        dir.rename(name, &format!("{name}{QUARANTINED}"))?;
        dir.sync()
    }

    /// The folder of a day.
    pub(crate) fn day_dir(&self, day: Day) -> Result<Dir, DiskError> {
        self.parts.subdir(&day.folder())
    }

    /// A number for a new part.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_part.fetch_add(1, Ordering::Relaxed)
    }

    /// Commits what could not be committed before.
    pub(crate) fn settle<T: Rows>(&self, state: &RwLock<State<T, P>>) -> Result<(), DiskError> {
        let mut committed = self.committed.lock();
        if committed.pending.is_empty() { Ok(()) } else { self.commit_pending(&mut committed, state) }
    }

    /// Makes a change, durably and at once for all who read. If that fails it is still going to happen: by
    /// [`Catalog::settle`], or because the manifest was written after all and is found at the next start.
    pub(crate) fn commit<T: Rows>(
        &self,
        state: &RwLock<State<T, P>>,
        change: Change<P>,
    ) -> Result<(), DiskError> {
        let mut committed = self.committed.lock();
        committed.pending.push(change);
        self.commit_pending(&mut committed, state)
    }

    fn commit_pending<T: Rows>(
        &self,
        committed: &mut Committed<P>,
        state: &RwLock<State<T, P>>,
    ) -> Result<(), DiskError> {
        let (current, frozen) = {
            let state = state.read();
            (Arc::clone(&state.parts), state.frozen.clone())
        };
        let removed: BTreeSet<u64> =
            committed.pending.iter().flat_map(|c| c.remove.iter().map(|p| p.info().number)).collect();
        let flushed = committed.pending.iter().any(|c| c.flushed);
        let added = committed.pending.iter().flat_map(|c| &c.add);
        let parts =
            PartSet::new(current.all().chain(added).filter(|p| !removed.contains(&p.info().number)).cloned());
        let mut manifest = Manifest {
            generation: committed.manifest.generation + 1,
            parts: parts
                .all()
                .map(|p| (p.info().day, p.info().number))
                .chain(committed.unread.clone())
                .collect(),
            ..committed.manifest
        };
        if let Some(frozen) = frozen.as_ref().filter(|_| flushed) {
            manifest.flushed_seq = frozen.table.last_seq();
            manifest.first_segment = frozen.first_segment;
        }
        manifest.write(&self.dir)?;
        {
            let mut state = state.write();
            state.parts = Arc::new(parts);
            if flushed {
                state.frozen = None;
            }
        }
        committed.manifest = manifest;
        for change in std::mem::take(&mut committed.pending) {
            self.remove_files(&change.remove);
        }
        Ok(())
    }

    /// Gives the parts that are live now second names in `snapshots/NAME`, with a manifest that knows no log; returns that folder.
    pub(crate) fn snapshot(&self, name: &str) -> Result<PathBuf, DiskError> {
        // No part is added or removed as long as this is held.
        let committed = self.committed.lock();
        let to = self.dir.subdir("snapshots")?.subdir(name)?;
        let parts = to.subdir("parts")?;
        let mut days: BTreeMap<Day, Vec<u64>> = BTreeMap::new();
        for (day, number) in &committed.manifest.parts {
            days.entry(*day).or_default().push(*number);
        }
        for (day, numbers) in days {
            let (from, to) = (self.parts.existing(&day.folder()), parts.subdir(&day.folder())?);
            for number in numbers {
                match from.hard_link(&file_name(number), &to) {
                    // It was missing at the start, and was told of then.
                    Err(e) if e.is_not_found() => {}
                    done => done?,
                }
            }
            to.sync()?;
        }
        committed.manifest.write(&to)?;
        Ok(to.path().to_owned())
    }

    /// Removes files of parts that are not live any more; those that are damaged are kept under another name. What cannot be
    /// removed now is removed at the next start.
    pub(crate) fn remove_files(&self, parts: &[Arc<P>]) {
        for part in parts {
            let dir = self.parts.existing(&part.info().day.folder());
            let name = part.info().file_name();
            let done = if part.damage().is_some() || part.bad_blocks() > 0 {
                self.set_aside.fetch_add(1, Ordering::Relaxed);
                dir.rename(&name, &format!("{name}{QUARANTINED}")).and_then(|()| dir.sync())
            } else {
                dir.remove_file(&name)
            };
            if let Err(error) = done {
                tracing::warn!(part = name, %error, "a part that is not used any more could not be removed");
            }
        }
    }
}
