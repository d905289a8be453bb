//! What is due from time to time.

use std::time::Duration;

use crate::{Columnar, ColumnarError, catalog::Change};

/// What maintenance remembers.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    /// The disk was full: nothing large is written before.
    not_before: Option<Duration>,
}

impl Columnar {
    /// Does what is due: fsync, flush. Call it every second from one thread; appends and queries go on meanwhile.
    pub fn maintain(&self, now_ms: i64) -> Result<(), ColumnarError> {
        let _ = now_ms;
        let mut state = self.maintenance.lock();
        self.log.sync_if_due()?;
        self.flush_if_due()?;
        self.catalog.settle(&self.state)?;
        let _ = (&mut state.not_before, Change::default());
        Ok(())
    }
}
