//! Going through the streams of a part page by page, as merges do.

use std::{collections::VecDeque, sync::Arc};

use reba_model::Labels;

use super::{BlockRef, Part};
use crate::ColumnarError;

/// Stands at one stream of a part after another.
#[derive(Debug)]
pub(crate) struct StreamCursor {
    pub(crate) part: Arc<Part>,
    next_page: usize,
    streams: VecDeque<(Labels, Vec<BlockRef>)>,
}

impl StreamCursor {
    /// Stands at the first stream.
    pub(crate) fn new(part: Arc<Part>) -> Result<Self, ColumnarError> {
        let mut cursor = StreamCursor { part, next_page: 0, streams: VecDeque::new() };
        cursor.fill()?;
        Ok(cursor)
    }

    fn fill(&mut self) -> Result<(), ColumnarError> {
        while self.streams.is_empty() {
            let part = Arc::clone(&self.part);
            let Some(page) = part.directory.stream_pages.get(self.next_page) else { return Ok(()) };
            self.next_page += 1;
            part.each_of_page(page, None, &mut |entry| {
                let labels = Labels::from_packed(entry.packed)
                    .ok_or_else(|| part.damaged("labels of a stream are malformed"))?;
                self.streams.push_back((labels, entry.blocks.to_vec()));
                Ok::<_, ColumnarError>(())
            })?;
        }
        Ok(())
    }

    /// The labels of the stream it stands at; `None` behind the last.
    pub(crate) fn labels(&self) -> Option<&Labels> {
        self.streams.front().map(|(labels, _)| labels)
    }

    /// Takes the stream it stands at, and goes on to the next.
    pub(crate) fn take(&mut self) -> Result<Option<(Labels, Vec<BlockRef>)>, ColumnarError> {
        let taken = self.streams.pop_front();
        self.fill()?;
        Ok(taken)
    }
}
