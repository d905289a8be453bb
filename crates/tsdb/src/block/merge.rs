//! Merging sorted streams of series into one block.

use reba_model::{Chunk, Labels, SampleColumns};

use super::writer::{BlockWriter, WriteError, write_series};

/// Series in order of their labels, each once.
pub(crate) trait SeriesSource {
    /// The labels of the series the source stands at; `None` at the end.
    fn labels(&self) -> Option<&Labels>;

    /// Adds the chunks of that series to `out` and goes on to the next.
    fn take(&mut self, out: &mut Vec<Chunk>) -> Result<(), WriteError>;
}

/// Writes all series of all sources. Chunks of a later source win over those of an earlier one at equal times.
/// `between` is called now and then so that other work is not kept waiting.
pub(crate) fn merge(
    sources: &mut [Box<dyn SeriesSource + '_>],
    writer: &mut BlockWriter,
    between: &dyn Fn(),
) -> Result<(), WriteError> {
    let mut columns = SampleColumns::default();
    let mut n = 0u32;
    while let Some(next) = sources.iter().filter_map(|s| s.labels()).min().cloned() {
        let mut chunks = Vec::new();
        for source in sources.iter_mut() {
            if source.labels() == Some(&next) {
                source.take(&mut chunks)?;
            }
        }
        write_series(writer, next, chunks, &mut columns)?;
        n = n.wrapping_add(1);
        if n.is_multiple_of(1024) {
            between();
        }
    }
    Ok(())
}
