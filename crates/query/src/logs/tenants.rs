//! Several tenants asked as if they were one.
//!
//! What comes from whom is told by a label. The engine knows nothing of it: it asks a store that joins.

use std::{ops::ControlFlow, sync::Arc};

use reba_model::{Labels, LogBlock, Matcher, NanoRange, Tenant};
use reba_storage::{
    Budget, LogCounter, LogHead, LogQuerier, LogRequest, LogScan, QueryError, ScanStats, StreamInfo,
};

/// The label that tells whose a stream is, if several tenants are asked.
pub(super) const TENANT_LABEL: &str = "__tenant_id__";

/// Where a label goes that a stream has under that name already.
const ORIGINAL: &str = "original___tenant_id__";

/// A store that answers for joined tenants by asking `0` about each of them.
pub(super) struct Joining(pub(super) Arc<dyn LogQuerier>);

impl LogQuerier for Joining {
    fn scan_logs(&self, request: &LogRequest<'_>) -> Result<Vec<Box<dyn LogScan>>, QueryError> {
        if !request.tenant.is_joined() {
            return self.0.scan_logs(request);
        }
        let mut scans: Vec<Box<dyn LogScan>> = Vec::new();
        for tenant in request.tenant.parts() {
            let Some(matchers) = of_tenant(&tenant, request.matchers) else { continue };
            let one = LogRequest { tenant: &tenant, matchers: &matchers, ..request.clone() };
            for scan in self.0.scan_logs(&one)? {
                scans.push(Box::new(Named { tenant: tenant.clone(), scan }));
            }
        }
        Ok(scans)
    }

    fn streams(
        &self,
        tenant: &Tenant,
        sets: &[Vec<Matcher>],
        range: NanoRange,
        budget: &Budget,
    ) -> Result<Vec<StreamInfo>, QueryError> {
        if !tenant.is_joined() {
            return self.0.streams(tenant, sets, range, budget);
        }
        let mut all = Vec::new();
        for tenant in tenant.parts() {
            let own: Vec<Vec<Matcher>> = sets.iter().filter_map(|set| of_tenant(&tenant, set)).collect();
            if own.is_empty() && !sets.is_empty() {
                continue;
            }
            let own = if own.iter().any(Vec::is_empty) { Vec::new() } else { own };
            for stream in self.0.streams(&tenant, &own, range, budget)? {
                all.push(StreamInfo { labels: named(&stream.labels, &tenant), ..stream });
            }
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(all)
    }

    fn tenants(&self) -> Vec<Tenant> {
        self.0.tenants()
    }
}

/// The matchers as the tenant's own streams have to meet them; `None` if it is not meant.
fn of_tenant(tenant: &Tenant, matchers: &[Matcher]) -> Option<Vec<Matcher>> {
    let mut own = Vec::new();
    for matcher in matchers {
        match matcher.name.as_str() {
            TENANT_LABEL if matcher.matches(tenant.as_str()) => {}
            TENANT_LABEL => return None,
            ORIGINAL => {
                let mut renamed = matcher.clone();
                TENANT_LABEL.clone_into(&mut renamed.name);
                own.push(renamed);
            }
            _ => own.push(matcher.clone()),
        }
    }
    Some(own)
}

/// The labels with the name of the tenant among them.
fn named(labels: &Labels, tenant: &Tenant) -> Labels {
    let mut builder = labels.to_builder();
    if let Some(original) = labels.get(TENANT_LABEL) {
        builder.set(ORIGINAL, original);
    }
    builder.set(TENANT_LABEL, tenant.as_str());
    builder.build()
}

/// A scan whose streams tell whose they are.
struct Named {
    tenant: Tenant,
    scan: Box<dyn LogScan>,
}

impl LogScan for Named {
    fn range(&self) -> NanoRange {
        self.scan.range()
    }

    fn run(
        self: Box<Self>,
        visit: &mut dyn FnMut(LogBlock) -> ControlFlow<()>,
    ) -> Result<ScanStats, QueryError> {
        let Named { tenant, scan } = *self;
        let mut names = Names { tenant, last: None };
        scan.run(&mut |mut block| {
            block.stream = names.of(&block.stream);
            visit(block)
        })
    }

    fn run_counting(self: Box<Self>, counter: &mut dyn LogCounter) -> Result<ScanStats, QueryError> {
        let Named { tenant, scan } = *self;
        scan.run_counting(&mut NamedCounter { counter, names: Names { tenant, last: None } })
    }
}

/// The names of streams, as the reader knows them.
struct Names {
    tenant: Tenant,
    /// The stream before: blocks of one stream follow each other.
    last: Option<(Labels, Labels)>,
}

impl Names {
    fn of(&mut self, stream: &Labels) -> Labels {
        match &self.last {
            Some((own, named)) if own == stream => named.clone(),
            _ => {
                let named = named(stream, &self.tenant);
                self.last = Some((stream.clone(), named.clone()));
                named
            }
        }
    }
}

/// A reader that is told whose the streams are.
struct NamedCounter<'c> {
    counter: &'c mut dyn LogCounter,
    names: Names,
}

impl LogCounter for NamedCounter<'_> {
    fn wants_line_bytes(&self) -> bool {
        self.counter.wants_line_bytes()
    }

    fn count(&mut self, head: &LogHead<'_>) -> bool {
        let stream = self.names.of(head.stream);
        self.counter.count(&LogHead { stream: &stream, ..*head })
    }

    fn visit(&mut self, mut block: LogBlock) -> ControlFlow<()> {
        block.stream = self.names.of(&block.stream);
        self.counter.visit(block)
    }
}
