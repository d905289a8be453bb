//! What made spans, read once for all blocks that name it.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reba_model::spans::{InstrumentationScope, Resource, Span, read_source};

use super::{
    block::{SpanBlock, Strings, once},
    hash::Seeded,
};
use crate::block::BlockError;

/// What is remembered at most; then it is begun anew.
const MAX_ORIGINS: usize = 20_000;

/// A resource and a scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) resource: Arc<Resource>,
    pub(crate) scope: Arc<InstrumentationScope>,
}

impl Origin {
    /// A span of which nothing but its origin is known.
    pub(crate) fn as_span(&self) -> Span {
        Span { resource: Arc::clone(&self.resource), scope: Arc::clone(&self.scope), ..Span::default() }
    }
}

/// Origins by their bytes.
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<HashMap<Box<[u8]>, Origin, Seeded>>);

impl Origins {
    /// The origin that bytes stand for.
    pub(crate) fn of(&self, source: &[u8]) -> Option<Origin> {
        let mut known = self.0.lock();
        if let Some(origin) = known.get(source) {
            return Some(origin.clone());
        }
        let (resource, scope) = read_source(source)?;
        let origin = Origin { resource: Arc::new(resource), scope: Arc::new(scope) };
        if known.len() >= MAX_ORIGINS {
            known.clear();
        }
        known.insert(source.into(), origin.clone());
        Some(origin)
    }

    /// The origins of a block, in its order.
    pub(crate) fn of_block(&self, block: &SpanBlock<'_>) -> Result<Vec<Origin>, BlockError> {
        let table: &Strings =
            block.list(super::block::Kind::SourceTable)?.ok_or(BlockError("a column is missing"))?;
        let origin = |i| self.of(table.entry(i)).ok_or(BlockError("a source cannot be read"));
        (0..table.entries()).map(origin).collect()
    }
}

/// The origins of a block, read when somebody first asks: a block that filters refuse is left without unpacking them.
pub(crate) struct BlockOrigins<'b, 'a> {
    known: &'b Origins,
    block: &'b SpanBlock<'a>,
    read: OnceCell<Vec<Origin>>,
}

impl<'b, 'a> BlockOrigins<'b, 'a> {
    pub(crate) fn new(known: &'b Origins, block: &'b SpanBlock<'a>) -> Self {
        BlockOrigins { known, block, read: OnceCell::new() }
    }

    /// In the order of the block.
    pub(crate) fn get(&self) -> Result<&[Origin], BlockError> {
        once(&self.read, || self.known.of_block(self.block)).map(Vec::as_slice)
    }
}
