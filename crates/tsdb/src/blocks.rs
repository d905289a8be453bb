//! The set of blocks: opening them, setting corrupt ones aside, replacing them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use reba_disk::{Dir, DiskError};
use reba_model::TimeRange;
use reba_storage::ChangeLog;

use crate::block::{Block, BlockMeta, block_name};

/// Ends the name of a block that was set aside.
const QUARANTINED: &str = ".quarantined";

#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) dir: Dir,
    /// By start of their span.
    list: RwLock<Arc<Vec<Arc<Block>>>>,
    next: AtomicU64,
    unsettled: Mutex<Unsettled>,
    pub(crate) quarantined: AtomicU64,
    /// The retention of samples reaches back to here: what is older may be there in part.
    pub(crate) samples_from: AtomicI64,
    /// What changed when, in head and blocks.
    pub(crate) changes: Arc<ChangeLog>,
}

/// Where the folder may differ from the list, by number, since the disk did not do what it was asked to. A start takes up
/// what the folder holds, so nothing may be deleted before the two agree.
#[derive(Debug, Default)]
struct Unsettled {
    /// Blocks that are to go: they were never taken up, or others are in their place.
    doomed: BTreeSet<u64>,
    /// Blocks that are corrupt and must not keep their name.
    corrupt: BTreeSet<u64>,
    /// Blocks that could not be read when the store was opened, which may pass.
    unread: BTreeSet<u64>,
}

impl Blocks {
    /// Opens every block in `dir`. One that is corrupt is set aside with one error; one whose data is in another block
    /// (a crash came between the two) is removed.
    pub(crate) fn open(dir: Dir) -> Result<Self, DiskError> {
        dir.remove_unfinished()?;
        // What is found here is relied on, and what it replaces is removed: its names must be durable first. They are not
        // if the process died, or failed, between a rename and the sync behind it.
        dir.sync()?;
        let blocks = Blocks {
            dir,
            list: RwLock::new(Arc::new(Vec::new())),
            next: AtomicU64::new(1),
            unsettled: Mutex::default(),
            quarantined: AtomicU64::new(0),
            samples_from: AtomicI64::new(i64::MIN),
            changes: Arc::default(),
        };
        let mut found = Vec::new();
        for entry in blocks.dir.list()?.into_iter().filter(|e| e.is_dir) {
            let number = entry.name.trim_end_matches(QUARANTINED).parse::<u64>();
            let Ok(number) = number else { continue };
            blocks.next.fetch_max(number + 1, Ordering::Relaxed);
            if entry.name.ends_with(QUARANTINED) {
                continue;
            }
            match Block::open(blocks.dir.existing(&entry.name)) {
                Ok(block) => found.push(Arc::new(block)),
                Err(e) => blocks.set_aside(number, &e),
            }
        }
        let superfluous: BTreeSet<u64> = found.iter().flat_map(|b| b.meta.parents.iter().copied()).collect();
        let kept = found.into_iter().filter(|b| !superfluous.contains(&b.meta.number)).collect();
        {
            let mut unsettled = blocks.unsettled.lock();
            unsettled.unread.retain(|n| !superfluous.contains(n));
            unsettled.doomed = superfluous;
        }
        blocks.settle()?;
        blocks.set(kept);
        Ok(blocks)
    }

    /// Has a corrupt block renamed. An error of reading itself leaves it where it is: that may pass.
    fn set_aside(&self, number: u64, error: &DiskError) {
        self.quarantined.fetch_add(1, Ordering::Relaxed);
        let corrupt = matches!(error, DiskError::Corrupt { .. }) || error.is_not_found();
        tracing::error!(block = number, %error, renamed = corrupt, "block is set aside; the rest keeps working");
        let mut unsettled = self.unsettled.lock();
        if corrupt { &mut unsettled.corrupt } else { &mut unsettled.unread }.insert(number);
    }

    /// Sets aside the blocks that a read found corrupt.
    pub(crate) fn quarantine_damaged(&self) -> Result<(), DiskError> {
        let (damaged, kept): (Vec<_>, Vec<_>) =
            self.all().iter().cloned().partition(|b| b.damage().is_some());
        if damaged.is_empty() {
            return Ok(());
        }
        self.set(kept);
        for block in damaged {
            let error = DiskError::Corrupt {
                path: block.dir.path().display().to_string(),
                at: 0,
                what: block.damage().unwrap_or_default().to_owned(),
            };
            self.set_aside(block.meta.number, &error);
        }
        self.settle()
    }

    /// Makes the folder hold what the list says, durably, but for blocks that could not be read. Only for whoever holds
    /// the lock of maintenance: what is being written would go.
    pub(crate) fn settle(&self) -> Result<(), DiskError> {
        let mut unsettled = self.unsettled.lock();
        if unsettled.doomed.is_empty() && unsettled.corrupt.is_empty() {
            return Ok(());
        }
        let existing = self.dir.list()?;
        for name in unsettled.corrupt.iter().map(|n| block_name(*n)) {
            if existing.iter().any(|e| e.name == name) {
                self.dir.rename(&name, &format!("{name}{QUARANTINED}"))?;
            }
        }
        let doomed: Vec<String> = unsettled.doomed.iter().map(|n| block_name(*n)).collect();
        self.dir.remove_dirs(&doomed)?;
        unsettled.doomed.clear();
        unsettled.corrupt.clear();
        Ok(())
    }

    /// [`Blocks::settle`] for whoever has done what he was asked to, and leaves the rest for later if it fails.
    pub(crate) fn try_to_settle(&self) {
        if let Err(error) = self.settle() {
            tracing::warn!(%error, "blocks that are to go could not be removed; it is tried again");
        }
    }

    /// Sees to it that no block comes at a later start that is not in the list now; fails if one cannot be read still.
    pub(crate) fn settle_all(&self) -> Result<(), DiskError> {
        self.settle()?;
        let unread = self.unsettled.lock().unread.clone();
        for number in unread {
            match Block::open(self.dir.existing(&block_name(number))) {
                Ok(block) => {
                    self.unsettled.lock().unread.remove(&number);
                    tracing::info!(block = number, "a block that could not be read is back");
                    self.replace(&block.meta.parents.clone(), Some(Arc::new(block)));
                }
                Err(error @ DiskError::Corrupt { .. }) => {
                    self.unsettled.lock().unread.remove(&number);
                    self.set_aside(number, &error);
                }
                Err(error) => return Err(error),
            }
        }
        self.settle()
    }

    /// Removes what there may be of a block that could not be written, at once or later.
    pub(crate) fn give_up(&self, number: u64) {
        self.unsettled.lock().doomed.insert(number);
        self.try_to_settle();
    }

    /// The blocks at this moment, by start of their span.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<Block>>> {
        Arc::clone(&self.list.read())
    }

    /// Those that may hold samples of `range`.
    pub(crate) fn overlapping(&self, range: TimeRange) -> Vec<Arc<Block>> {
        self.all().iter().filter(|b| b.meta.range().overlaps(range)).cloned().collect()
    }

    fn set(&self, mut blocks: Vec<Arc<Block>>) {
        blocks.sort_by_key(|b| (b.meta.min_time, b.meta.out_of_order, b.meta.number));
        let mut list = self.list.write();
        // Most exchanges of blocks change nothing that a query sees. Some do, and none is frequent.
        let only_in = |a: &[Arc<Block>], b: &[Arc<Block>]| {
            let is_in_b = |x: &&Arc<Block>| b.iter().any(|y| Arc::ptr_eq(x, y));
            a.iter().filter(|x| !is_in_b(x)).map(|x| x.meta.min_time).min()
        };
        if let Some(oldest) = [only_in(&list, &blocks), only_in(&blocks, &list)].into_iter().flatten().min() {
            self.changes.note(oldest);
        }
        *list = Arc::new(blocks);
    }

    /// A number for a new block.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes up a block that was published, in the place of its parents, which are removed.
    pub(crate) fn add(&self, meta: &BlockMeta) -> Result<(), DiskError> {
        let block =
            Block::open(self.dir.existing(&meta.name())).inspect_err(|_| self.give_up(meta.number))?;
        self.replace(&meta.parents, Some(Arc::new(block)));
        Ok(())
    }

    /// Removes blocks, putting `new` in their place. Folders that cannot be removed now are removed later.
    pub(crate) fn replace(&self, old: &[u64], new: Option<Arc<Block>>) {
        let is_old = |b: &Arc<Block>| old.contains(&b.meta.number);
        let (gone, mut kept): (Vec<_>, Vec<_>) = self.all().iter().cloned().partition(is_old);
        kept.extend(new);
        self.set(kept);
        self.unsettled.lock().doomed.extend(gone.iter().map(|b| b.meta.number));
        self.try_to_settle();
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().iter().map(|b| b.bytes).sum()
    }

    /// First millisecond that no in-order block of samples covers; `None` if there is none.
    pub(crate) fn end(&self) -> Option<i64> {
        self.all().iter().filter(|b| !b.meta.out_of_order && b.meta.is_raw()).map(|b| b.meta.max_time).max()
    }
}
