//! What appends, queries and commits share, under one lock: so that a query sees each row once, wherever it is just then.

use std::{sync::Arc, time::Duration};

use reba_disk::Seq;

use crate::{catalog::PartSet, memory::Table, part::Part};

/// The store at one moment.
#[derive(Debug)]
pub(crate) struct State<T = Table, P = Part> {
    /// The table that is being filled.
    pub(crate) active: T,
    /// The one that is being written to parts.
    pub(crate) frozen: Option<Arc<Frozen<T>>>,
    pub(crate) parts: Arc<PartSet<P>>,
    /// Number of the next batch.
    pub(crate) next_seq: u64,
    /// Where the log ended when the newest batch was pushed.
    pub(crate) pushed: Option<Seq>,
}

/// A table that takes no more rows.
#[derive(Debug)]
pub(crate) struct Frozen<T = Table> {
    pub(crate) table: T,
    /// Segments of the log before this one hold nothing newer.
    pub(crate) first_segment: u64,
}

/// Rows in memory, whatever they are of.
pub(crate) trait Rows: Default {
    /// Memory in use, roughly.
    fn bytes(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool;

    /// Monotonic time of the first row.
    fn since(&self) -> Option<Duration>;

    /// Number of the newest batch.
    fn last_seq(&self) -> u64;
}

impl<T: Rows, P> State<T, P> {
    /// Bytes of memory in use by rows.
    pub(crate) fn bytes(&self) -> u64 {
        self.active.bytes() + self.frozen.as_ref().map_or(0, |f| f.table.bytes())
    }

    /// The tables, the older first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &T> {
        self.frozen.iter().map(|f| &f.table).chain([&self.active])
    }
}
