//! What appends, queries and commits share, under one lock: so that a query sees each row once, wherever it is just then.

use std::sync::Arc;

use reba_disk::Seq;

use crate::{catalog::PartSet, memory::Table};

/// The store at one moment.
#[derive(Debug)]
pub(crate) struct State {
    /// The table that is being filled.
    pub(crate) active: Table,
    /// The one that is being written to parts.
    pub(crate) frozen: Option<Arc<Frozen>>,
    pub(crate) parts: Arc<PartSet>,
    /// Number of the next batch.
    pub(crate) next_seq: u64,
    /// Where the log ended when the newest batch was pushed.
    pub(crate) pushed: Option<Seq>,
}

/// A table that takes no more rows.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) table: Table,
    /// Segments of the log before this one hold nothing newer.
    pub(crate) first_segment: u64,
}

impl State {
    /// Bytes of memory in use by rows.
    pub(crate) fn bytes(&self) -> u64 {
        self.active.bytes + self.frozen.as_ref().map_or(0, |f| f.table.bytes)
    }

    /// The tables, the older first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.frozen.iter().map(|f| &f.table).chain([&self.active])
    }
}
