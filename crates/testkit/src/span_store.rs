//! The RAM span store: simple and obviously right, so that it can be the oracle of every span engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use parking_lot::RwLock;
use reba_model::{
    NanoRange, Tenant,
    spans::{Attributes, Span, SpanBatch, TraceId},
};
use reba_storage::{
    AdminError, AppendError, AttributeScope, Budget, QueryError, ScanStats, SpanAdmin, SpanAppender,
    SpanField, SpanQuerier, SpanReport, SpanRequest, SpanRows, SpanScan, SpanValue,
};

/// Traces in plain maps. It skips nothing: every condition is left to the reader.
#[derive(Debug, Default)]
pub struct MemSpanStore {
    tenants: RwLock<BTreeMap<Tenant, BTreeMap<TraceId, Vec<Span>>>>,
}

impl SpanAppender for MemSpanStore {
    fn append_spans(&self, tenant: &Tenant, batch: &SpanBatch) -> Result<SpanReport, AppendError> {
        let mut tenants = self.tenants.write();
        let traces = tenants.entry(tenant.clone()).or_default();
        let mut report = SpanReport::default();
        for group in batch.groups() {
            let Some((resource, scope)) = group.origin() else { continue };
            let (resource, scope) = (Arc::new(resource), Arc::new(scope));
            for view in group.spans() {
                let spans = traces.entry(view.trace_id).or_default();
                if spans.iter().any(|s| s.span_id == view.span_id && s.kind == view.kind) {
                    report.duplicates += 1;
                } else {
                    spans.push(view.to_span(&resource, &scope));
                    report.appended += 1;
                }
            }
        }
        Ok(report)
    }
}

impl MemSpanStore {
    /// Every span that starts in the range.
    fn each(&self, tenant: &Tenant, range: NanoRange, visit: &mut dyn FnMut(&Span)) {
        let tenants = self.tenants.read();
        let spans = tenants.get(tenant).into_iter().flat_map(BTreeMap::values).flatten();
        spans.filter(|s| range.contains(s.start_ns)).for_each(visit);
    }
}

impl SpanQuerier for MemSpanStore {
    fn trace(
        &self,
        tenant: &Tenant,
        id: TraceId,
        _range: Option<NanoRange>,
        _budget: &Budget,
    ) -> Result<Vec<Span>, QueryError> {
        let tenants = self.tenants.read();
        let mut spans = tenants.get(tenant).and_then(|t| t.get(&id)).cloned().unwrap_or_default();
        spans.sort_by_key(|s| (s.start_ns, s.span_id));
        Ok(spans)
    }

    fn scan_spans(&self, request: &SpanRequest<'_>) -> Result<Vec<Box<dyn SpanScan>>, QueryError> {
        let tenants = self.tenants.read();
        let mut rows = Vec::new();
        for spans in tenants.get(request.tenant).into_iter().flat_map(BTreeMap::values) {
            let is_wanted = |span: &&Span| request.range.contains(span.start_ns);
            if !spans.iter().any(|s| is_wanted(&s)) {
                continue;
            }
            rows.push(if request.want.whole_traces {
                SpanRows::Trace { spans: spans.clone(), again: false }
            } else {
                SpanRows::Spans(spans.iter().filter(is_wanted).cloned().collect())
            });
        }
        Ok(vec![Box::new(MemScan { rows, range: request.range, budget: Arc::clone(request.budget) })])
    }

    fn attribute_names(
        &self,
        tenant: &Tenant,
        range: NanoRange,
        _budget: &Budget,
    ) -> Result<Vec<(AttributeScope, String)>, QueryError> {
        let mut names = BTreeSet::new();
        self.each(tenant, range, &mut |span| {
            let mut all = |scope, attributes: &Attributes| {
                names.extend(attributes.iter().map(|(name, _)| (scope, name.to_owned())));
            };
            all(AttributeScope::Span, &span.attributes);
            all(AttributeScope::Resource, &span.resource.attributes);
            all(AttributeScope::Instrumentation, &span.scope.attributes);
            span.events.iter().for_each(|e| all(AttributeScope::Event, &e.attributes));
            span.links.iter().for_each(|l| all(AttributeScope::Link, &l.attributes));
        });
        Ok(names.into_iter().collect())
    }

    fn field_values(
        &self,
        tenant: &Tenant,
        field: &SpanField,
        range: NanoRange,
        _budget: &Budget,
        visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
    ) -> Result<(), QueryError> {
        let mut values = Vec::new();
        self.each(tenant, range, &mut |span| field.values(span, &mut values));
        for value in values {
            if visit(value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.tenants.read().keys().cloned().collect()
    }
}

impl SpanAdmin for MemSpanStore {
    fn flush_spans(&self) -> Result<(), AdminError> {
        Ok(())
    }
}

struct MemScan {
    rows: Vec<SpanRows>,
    range: NanoRange,
    budget: Arc<Budget>,
}

impl SpanScan for MemScan {
    fn range(&self) -> NanoRange {
        self.range
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(SpanRows) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let mut stats = ScanStats { blocks: 1, ..ScanStats::default() };
        for rows in self.rows {
            self.budget.check()?;
            stats.rows += match &rows {
                SpanRows::Trace { spans, .. } | SpanRows::Spans(spans) => spans.len() as u64,
            };
            if visit(rows).is_break() {
                break;
            }
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use reba_model::spans::{SpanId, SpanKind};

    use super::*;

    #[test]
    fn a_span_that_comes_twice_is_stored_once_and_a_shared_id_of_another_kind_is_not_the_same() {
        let store = MemSpanStore::default();
        let tenant = Tenant::single();
        let span = |kind| Span {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            name: "x".to_owned(),
            kind,
            ..Span::default()
        };
        let (server, client) = (span(SpanKind::Server), span(SpanKind::Client));
        let batch = SpanBatch::of([&server, &client, &server]).unwrap();
        let report = store.append_spans(&tenant, &batch).unwrap();
        assert_eq!(report, SpanReport { appended: 2, duplicates: 1 });
        let budget = Budget::unlimited();
        assert_eq!(store.trace(&tenant, TraceId([1; 16]), None, &budget).unwrap(), [server, client]);
        assert!(store.trace(&tenant, TraceId([9; 16]), None, &budget).unwrap().is_empty());
    }
}
