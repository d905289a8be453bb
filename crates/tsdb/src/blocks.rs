//! The set of blocks: opening them, setting corrupt ones aside, replacing them.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use parking_lot::RwLock;
use reba_disk::{Dir, DiskError};
use reba_model::TimeRange;
use reba_storage::ChangeLog;

use crate::block::{Block, BlockMeta};

/// Ends the name of a block that was set aside.
const QUARANTINED: &str = ".quarantined";

#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) dir: Dir,
    /// By start of their span.
    list: RwLock<Arc<Vec<Arc<Block>>>>,
    next: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    /// The retention of samples reaches back to here: what is older may be there in part.
    pub(crate) samples_from: AtomicI64,
    /// What changed when, in head and blocks.
    pub(crate) changes: Arc<ChangeLog>,
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
                Err(e) => blocks.set_aside(&entry.name, &e)?,
            }
        }
        let superfluous: Vec<u64> = found.iter().flat_map(|b| b.meta.parents.iter().copied()).collect();
        let (old, kept): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|b| superfluous.contains(&b.meta.number));
        for block in old {
            blocks.dir.remove_dir(&block.meta.name())?;
        }
        blocks.set(kept);
        Ok(blocks)
    }

    /// Renames a corrupt block. An error of reading itself leaves it where it is: that may pass.
    fn set_aside(&self, name: &str, error: &DiskError) -> Result<(), DiskError> {
        self.quarantined.fetch_add(1, Ordering::Relaxed);
        let corrupt = matches!(error, DiskError::Corrupt { .. }) || error.is_not_found();
        tracing::error!(block = name, %error, renamed = corrupt, "block is set aside; the rest keeps working");
        if corrupt {
            self.dir.rename(name, &format!("{name}{QUARANTINED}"))?;
            self.dir.sync()?;
        }
        Ok(())
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
            self.set_aside(&block.meta.name(), &error)?;
        }
        Ok(())
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
        let block = Arc::new(Block::open(self.dir.existing(&meta.name()))?);
        self.replace(&meta.parents, Some(block))
    }

    /// Removes blocks, putting `new` in their place.
    pub(crate) fn replace(&self, old: &[u64], new: Option<Arc<Block>>) -> Result<(), DiskError> {
        let is_old = |b: &Arc<Block>| old.contains(&b.meta.number);
        let (gone, mut kept): (Vec<_>, Vec<_>) = self.all().iter().cloned().partition(is_old);
        kept.extend(new);
        self.set(kept);
        for block in gone {
            self.dir.remove_dir(&block.meta.name())?;
        }
        Ok(())
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
