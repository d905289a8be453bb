//! Deletion: parts are written anew without the rows, and replaced in one commit.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use reba_model::{Labels, Matcher, NanoRange, Tenant};
use reba_storage::{LogRow, RowFilter};

use crate::{
    Columnar, ColumnarError,
    block::{OwnedRow, Reading},
    catalog::Change,
    duplicates::read,
    part::{BlockRef, Part, PartSpec, PartWriter, StreamCursor},
};

/// What becomes of a block when its part is written anew.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is left out.
    Dropped,
    /// The rows with these numbers are left out, rising.
    Without(Vec<u32>),
}

/// What becomes of the blocks of a part; those that are not mentioned stay as they are.
pub(crate) type Fates = HashMap<u32, Fate>;

impl Columnar {
    /// Deletes rows; returns how many.
    pub(crate) fn delete(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: NanoRange,
        doomed: Option<&RowFilter>,
    ) -> Result<u64, ColumnarError> {
        if range.is_empty() {
            return Ok(0);
        }
        // No merge must take a part away meanwhile. What comes into memory from here on came after the deletion.
        let _maintenance = self.maintenance.lock();
        self.flush_all()?;
        let parts = Arc::clone(&self.state.read().parts);
        let mut change = Change::default();
        let mut deleted = 0;
        for part in parts.overlapping(tenant, range) {
            let (fates, rows) = fates(part, matchers, range, doomed)?;
            if rows == 0 {
                continue;
            }
            deleted += rows;
            match self.without(part, &fates) {
                Ok(rest) => change.add.extend(rest),
                Err(e) => {
                    self.catalog.remove_files(&change.add);
                    return Err(e);
                }
            }
            change.remove.push(Arc::clone(part));
        }
        if deleted > 0 {
            self.catalog.commit(&self.state, change)?;
            self.counters.rows_deleted.fetch_add(deleted, Ordering::Relaxed);
        }
        Ok(deleted)
    }

    /// Writes a part anew; `None` if nothing is left.
    pub(crate) fn without(
        &self,
        part: &Arc<Part>,
        fates: &Fates,
    ) -> Result<Option<Arc<Part>>, ColumnarError> {
        let info = &part.info;
        let spec = PartSpec {
            number: self.catalog.next_number(),
            day: info.day,
            tenant: info.tenant.clone(),
            parents: vec![info.number],
        };
        self.write_part(spec, |writer| {
            let mut cursor = StreamCursor::new(Arc::clone(part))?;
            let mut reading = Reading::default();
            while let Some((labels, blocks)) = cursor.take()? {
                for block in &blocks {
                    copy_without(writer, (part, block), fates.get(&block.number), &mut reading)?;
                }
                writer.end_stream(&labels);
            }
            Ok(())
        })
    }
}

fn copy_without(
    writer: &mut PartWriter,
    (part, block): (&Part, &BlockRef),
    fate: Option<&Fate>,
    reading: &mut Reading,
) -> Result<(), ColumnarError> {
    match fate {
        Some(Fate::Dropped) => Ok(()),
        None => part.block(block).map_or(Ok(()), |bytes| Ok(writer.copy(block, bytes)?)),
        Some(Fate::Without(doomed)) => {
            let Some(mut rows) = read(part, block, reading) else { return Ok(()) };
            let mut number = 0;
            rows.retain(|_| {
                number += 1;
                doomed.binary_search(&(number - 1)).is_err()
            });
            writer.owned_rows(&rows)
        }
    }
}

/// Which rows of a part are meant, by block, and how many.
fn fates(
    part: &Part,
    matchers: &[Matcher],
    range: NanoRange,
    doomed: Option<&RowFilter>,
) -> Result<(Fates, u64), ColumnarError> {
    let wanted = part.matching(matchers)?;
    let (mut fates, mut deleted) = (Fates::new(), 0);
    let mut reading = Reading::default();
    part.each_stream(wanted.as_ref(), range, &mut |entry| {
        let labels = Labels::from_packed(entry.packed).unwrap_or_default();
        for block in entry.blocks.iter().filter(|b| b.overlaps(range)) {
            let is_whole = range.contains(block.first_ns) && range.contains(block.last_ns);
            if is_whole && doomed.is_none() {
                deleted += u64::from(block.rows);
                fates.insert(block.number, Fate::Dropped);
                continue;
            }
            let Some(rows) = read(part, block, &mut reading) else { continue };
            let numbers: Vec<u32> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| range.contains(row.ns) && is_doomed(&labels, row, doomed))
                .map(|(i, _)| i as u32)
                .collect();
            deleted += numbers.len() as u64;
            if numbers.len() == rows.len() {
                fates.insert(block.number, Fate::Dropped);
            } else if !numbers.is_empty() {
                fates.insert(block.number, Fate::Without(numbers));
            }
        }
        Ok::<_, ColumnarError>(())
    })?;
    Ok((fates, deleted))
}

fn is_doomed(stream: &Labels, row: &OwnedRow, doomed: Option<&RowFilter>) -> bool {
    let Some(doomed) = doomed else { return true };
    doomed(LogRow { stream, ns: row.ns, line: &row.line, metadata: &row.pairs() })
}
