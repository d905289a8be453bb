//! The RAM log store: simple and obviously right, so that it can be the oracle of every log engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use parking_lot::RwLock;
use reba_model::{Labels, LogBatch, LogBlock, Matcher, NanoRange, Tenant, TextColumn};
use reba_storage::{
    AdminError, AppendError, Budget, LogAdmin, LogAppender, LogQuerier, LogReport, LogRequest, LogRow,
    LogScan, MetadataWant, QueryError, RowFilter, ScanStats, StreamInfo,
};

/// A store of logs in plain maps. It extracts nothing and skips nothing: every condition is left to the reader.
#[derive(Debug, Default)]
pub struct MemLogStore {
    tenants: RwLock<BTreeMap<Tenant, BTreeMap<Labels, Vec<Row>>>>,
}

/// One entry; rows of a stream are sorted by time, rows of one time by arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    ns: i64,
    line: String,
    metadata: Vec<(String, String)>,
}

impl LogAppender for MemLogStore {
    fn append_logs(&self, tenant: &Tenant, batch: &LogBatch) -> Result<LogReport, AppendError> {
        let mut tenants = self.tenants.write();
        let streams = tenants.entry(tenant.clone()).or_default();
        let mut report = LogReport::default();
        for stream in batch.streams() {
            for entry in stream.entries() {
                let metadata = entry.metadata().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                let row = Row { ns: entry.ns, line: entry.line.to_owned(), metadata };
                let rows = streams.entry(stream.labels().clone()).or_default();
                let (start, end) =
                    (rows.partition_point(|r| r.ns < row.ns), rows.partition_point(|r| r.ns <= row.ns));
                if rows[start..end].contains(&row) {
                    report.duplicates += 1;
                } else {
                    rows.insert(end, row);
                    report.appended += 1;
                }
            }
        }
        Ok(report)
    }
}

impl LogQuerier for MemLogStore {
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError> {
        let tenants = self.tenants.read();
        let mut scans: Vec<Box<dyn LogScan>> = Vec::new();
        for (labels, rows) in tenants.get(request.tenant).into_iter().flatten() {
            let rows = in_range(rows, request.range);
            if rows.is_empty() || !Matcher::all(request.matchers, labels) {
                continue;
            }
            scans.push(Box::new(MemScan {
                block: block(labels, rows, &request.want.metadata),
                budget: Arc::clone(request.budget),
            }));
        }
        Ok(scans)
    }

    fn streams(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        _budget: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError> {
        let tenants = self.tenants.read();
        let wanted = |labels: &Labels| sets.is_empty() || sets.iter().any(|s| Matcher::all(s, labels));
        let streams = tenants.get(tenant).into_iter().flatten();
        Ok(streams
            .filter(|(labels, rows)| !in_range(rows, range).is_empty() && wanted(labels))
            .map(|(labels, rows)| {
                let rows = in_range(rows, range);
                StreamInfo {
                    labels: labels.clone(),
                    entries: rows.len() as u64,
                    bytes: rows.iter().map(Row::bytes).sum(),
                    blocks: 1,
                }
            })
            .collect())
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.tenants.read().keys().cloned().collect()
    }
}

impl LogAdmin for MemLogStore {
    fn delete_logs(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: NanoRange,
        doomed: Option<&RowFilter>,
    ) -> Result<u64, AdminError> {
        let mut tenants = self.tenants.write();
        let mut deleted = 0;
        for (labels, rows) in tenants.get_mut(tenant).into_iter().flatten() {
            if !Matcher::all(matchers, labels) {
                continue;
            }
            let before = rows.len();
            rows.retain(|row| {
                let metadata: Vec<_> = row.metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                let seen = LogRow { stream: labels, ns: row.ns, line: &row.line, metadata: &metadata };
                !(range.contains(row.ns) && doomed.is_none_or(|f| f(seen)))
            });
            deleted += (before - rows.len()) as u64;
        }
        Ok(deleted)
    }

    fn flush_logs(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

impl Row {
    fn bytes(&self) -> u64 {
        (self.line.len() + self.metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()) as u64
    }
}

fn in_range(rows: &[Row], range: NanoRange) -> &[Row] {
    if range.is_empty() {
        return &[];
    }
    &rows[rows.partition_point(|r| r.ns < range.start)..rows.partition_point(|r| r.ns < range.end)]
}

/// The rows as one block, always with lines: a store may give more than was asked for.
fn block(labels: &Labels, rows: &[Row], want: &MetadataWant) -> LogBlock {
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|r| r.metadata.iter().map(|(n, _)| n.as_str())).collect();
    let wanted = |name: &str| match want {
        MetadataWant::All => true,
        MetadataWant::Names(names) => names.iter().any(|n| n == name),
    };
    LogBlock {
        stream: labels.clone(),
        times: rows.iter().map(|r| r.ns).collect(),
        lines: Some(TextColumn::plain(rows.iter().map(|r| r.line.as_str()))),
        metadata: names
            .into_iter()
            .filter(|name| wanted(name))
            .map(|name| (Arc::from(name), metadata_column(rows, name)))
            .collect(),
        extracted: None,
    }
}

fn metadata_column(rows: &[Row], name: &str) -> TextColumn {
    let mut values = Vec::new();
    let codes = rows
        .iter()
        .map(|row| match row.metadata.iter().find(|(n, _)| n == name) {
            Some((_, value)) => {
                values.push(Arc::from(value.as_str()));
                values.len() as u32 - 1
            }
            None => TextColumn::ABSENT,
        })
        .collect();
    TextColumn::Dict { values, codes }
}

struct MemScan {
    block: LogBlock,
    budget: Arc<Budget>,
}

impl LogScan for MemScan {
    fn range(&self) -> NanoRange {
        match (self.block.times.first(), self.block.times.last()) {
            (Some(&first), Some(&last)) => NanoRange::new(first, last.saturating_add(1)),
            _ => NanoRange::new(0, 0),
        }
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        self.budget.check()?;
        let rows = self.block.times.len() as u64;
        let _ = visit(self.block);
        Ok(ScanStats { blocks: 1, rows, ..ScanStats::default() })
    }
}

#[cfg(test)]
mod tests {
    use reba_storage::LogWant;

    use super::*;

    fn store() -> MemLogStore {
        let store = MemLogStore::default();
        let mut batch = LogBatch::default();
        batch.begin_stream(Labels::from_pairs([("app", "a")]));
        batch.push(20, "late", []).unwrap();
        batch.push(10, "early", [("k", "v")]).unwrap();
        batch.push(20, "late", []).unwrap();
        batch.begin_stream(Labels::from_pairs([("app", "b")]));
        batch.push(15, "other", []).unwrap();
        let report = store.append_logs(&Tenant::single(), &batch).unwrap();
        assert_eq!(report, LogReport { appended: 3, duplicates: 1 });
        store
    }

    fn lines(store: &MemLogStore, range: NanoRange, matchers: &[Matcher]) -> Vec<String> {
        let tenant = Tenant::single();
        let budget = Arc::new(Budget::unlimited());
        let want = LogWant::everything();
        let request = LogRequest { tenant: &tenant, matchers, range, want: &want, budget: &budget };
        let mut lines = Vec::new();
        for scan in store.scan_logs(&request).unwrap() {
            scan.run(&mut |block| {
                let column = block.lines.unwrap();
                lines.extend((0..column.len()).map(|i| column.get(i).unwrap().to_owned()));
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        lines
    }

    #[test]
    fn rows_come_back_by_time_and_only_those_in_the_half_open_range() {
        let store = store();
        assert_eq!(lines(&store, NanoRange::ALL, &[Matcher::equal("app", "a")]), ["early", "late"]);
        assert_eq!(lines(&store, NanoRange::new(10, 20), &[]), ["early", "other"]);
    }

    #[test]
    fn what_was_deleted_is_gone_and_the_rest_is_not() {
        let store = store();
        let doomed: &RowFilter = &|row| row.line.contains("early");
        let tenant = Tenant::single();
        assert_eq!(store.delete_logs(&tenant, &[], NanoRange::ALL, Some(doomed)).unwrap(), 1);
        assert_eq!(lines(&store, NanoRange::ALL, &[]), ["late", "other"]);
    }
}
