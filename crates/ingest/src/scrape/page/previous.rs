//! Finding the entries of a page in the page before.

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::draft::Line;

/// The page before, read in step with the new one.
#[derive(Debug)]
pub(super) struct Previous<'p> {
    bytes: &'p [u8],
    lines: &'p [Line],
    /// The entry that should come next, if nothing changed.
    next: usize,
    /// Series by their bytes; built when the order changes for the first time.
    index: Option<HashMap<&'p [u8], usize, Xxh3DefaultBuilder>>,
}

impl<'p> Previous<'p> {
    pub(super) fn new(bytes: &'p [u8], lines: &'p [Line]) -> Self {
        Previous { bytes, lines, next: 0, index: None }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The entry that should come next, with its bytes.
    #[inline]
    pub(super) fn expected(&self) -> Option<(&'p Line, &'p [u8])> {
        let line = self.lines.get(self.next)?;
        Some((line, &self.bytes[line.start as usize..line.end as usize]))
    }

    /// Goes to the entry behind the expected one.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    /// The entry of a series, wherever it stood, with whether it stood where it was expected. The one behind it is
    /// expected next.
    pub(super) fn find(&mut self, series: &[u8]) -> Option<(&'p Line, bool)> {
        if let Some((line, bytes)) = self.expected()
            && line.series > 0
            && &bytes[..line.series as usize] == series
        {
            self.next += 1;
            return Some((line, true));
        }
        let (bytes, lines) = (self.bytes, self.lines);
        let index = self.index.get_or_insert_with(|| {
            let mut index = HashMap::with_capacity_and_hasher(lines.len(), Xxh3DefaultBuilder::new());
            for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.series > 0) {
                index.entry(line.series_bytes(bytes)).or_insert(i);
            }
            index
        });
        let i = *index.get(series)?;
        self.next = i + 1;
        Some((&lines[i], false))
    }
}
