//! What every log store must do, with the RAM store as the oracle.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use reba_model::{Labels, NanoRange, Tenant};
use reba_storage::{Budget, LogQuerier, LogRequest, LogWant, QueryError};

/// Times, lines and metadata of a stream, by time; rows of one time by their text, so that two stores can be compared.
pub type LogRows = BTreeMap<Labels, Vec<(i64, String, Vec<(String, String)>)>>;

/// Everything a store has in a range, as far as it lets itself be read.
pub fn log_rows(
    store: &dyn LogQuerier,
    tenant: &Tenant,
    matchers: &[reba_model::Matcher],
    range: NanoRange,
) -> Result<LogRows, QueryError> {
    let budget = Arc::new(Budget::unlimited());
    let want = LogWant::everything();
    let request = LogRequest { tenant, matchers, range, want: &want, budget: &budget };
    let mut out = LogRows::new();
    let mut wrong = None;
    for scan in store.scan_logs(&request)? {
        let reach = scan.range();
        scan.run(&mut |block| {
            if !block.times.is_sorted() {
                wrong = Some("rows of a block are not sorted by time");
            }
            if block.times.is_empty() {
                wrong = Some("a block has no rows");
            }
            if block.times.iter().any(|ns| !reach.contains(*ns)) {
                wrong = Some("a row lies outside of the range of its scan");
            }
            let Some(lines) = &block.lines else {
                wrong = Some("lines were asked for and are missing");
                return ControlFlow::Break(());
            };
            let rows = out.entry(block.stream.clone()).or_default();
            for (i, ns) in block.times.iter().enumerate().filter(|(_, ns)| range.contains(**ns)) {
                let metadata = block.metadata.iter();
                let pairs = metadata.filter_map(|(n, c)| Some((n.to_string(), c.get(i)?.to_owned())));
                rows.push((*ns, lines.get(i).unwrap_or_default().to_owned(), pairs.collect()));
            }
            ControlFlow::Continue(())
        })?;
    }
    out.retain(|_, rows| !rows.is_empty());
    for rows in out.values_mut() {
        rows.sort();
    }
    match wrong {
        Some(what) => Err(QueryError::Storage(what.into())),
        None => Ok(out),
    }
}
