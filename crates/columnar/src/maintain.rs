//! What is due from time to time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{Columnar, ColumnarError, catalog::Change, delete::Fates, retention::Watch};

/// Writing a large part only to find that it does not fit is work that need not be done every second.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(30);

/// What maintenance remembers.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    pub(crate) watch: Watch,
    /// The disk was full: nothing large is written before.
    pub(crate) not_before: Option<Duration>,
}

impl Columnar {
    /// Does what is due: fsync, retention, flush, a merge. Call it every second from one thread; it may take long, and appends
    /// and queries go on meanwhile. Returns whether there is more to do at once.
    pub fn maintain(&self, now_ms: i64) -> Result<bool, ColumnarError> {
        self.log.sync_if_due()?;
        let mut state = self.maintenance.lock();
        let state = &mut *state;
        self.catalog.settle(&self.state)?;
        self.set_damaged_aside()?;
        // Retention first: it may be what makes room for the rest.
        self.retain(now_ms, &mut state.watch)?;
        self.flush_if_due()?;
        let clock = self.env.clock.monotonic();
        if state.not_before.is_some_and(|t| clock < t) {
            return Ok(false);
        }
        let result = self.rewrite(now_ms, state);
        let is_full = result.as_ref().is_err_and(ColumnarError::is_full);
        state.not_before = is_full.then(|| clock + FULL_DISK_PAUSE);
        result
    }

    fn rewrite(&self, now_ms: i64, state: &mut Maintenance) -> Result<bool, ColumnarError> {
        self.heal()?;
        let trimmed = self.trim(now_ms, &mut state.watch);
        match trimmed.and_then(|()| self.merge_some(now_ms.saturating_mul(1_000_000))) {
            // It has been marked, and is set aside next time.
            Err(ColumnarError::Damaged { .. }) => Ok(true),
            result => result,
        }
    }

    /// Takes parts away whose index a read found damaged.
    fn set_damaged_aside(&self) -> Result<(), ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let remove: Vec<_> = parts.all().filter(|p| p.damage().is_some()).cloned().collect();
        if remove.is_empty() {
            return Ok(());
        }
        Ok(self.catalog.commit(&self.state, Change { remove, ..Change::default() })?)
    }

    /// Writes a part anew whose blocks are not all readable, if there is one; the old one is set aside.
    fn heal(&self) -> Result<(), ColumnarError> {
        let parts = Arc::clone(&self.state.read().parts);
        let Some(part) = parts.all().find(|p| p.bad_blocks() > 0) else { return Ok(()) };
        let add = match self.without(part, &Fates::new()) {
            Ok(rest) => rest.into_iter().collect(),
            Err(ColumnarError::Damaged { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        self.counters.bad_blocks.fetch_add(part.bad_blocks(), Ordering::Relaxed);
        let change = Change { add, remove: vec![Arc::clone(part)], flushed: false };
        Ok(self.catalog.commit(&self.state, change)?)
    }
}
