//! Reba's own spans: what it records of itself, on its way to its own span store.

use std::{error::Error, sync::Arc, time::Instant};

use anyhow::Result;
use arc_swap::ArcSwap;
use reba_columnar::SpanStore;
use reba_ingest::traces::{
    config::TempoConfig,
    own::{Deed, OwnSpans},
};
use reba_model::{
    Tenant,
    spans::{AttributeValue, Span, SpanKind},
};
use reba_rules::{Evaluated, GroupStatus, RuleStatus};

use crate::{
    run::{now_ns, random},
    settings::Settings,
    store::Maintenance,
};

/// Whose Reba's own spans are, where spans have owners.
const TENANT: &str = "reba";

/// The recorder, if `reba.yml` wants one.
pub fn recorder(settings: &Settings) -> Option<Arc<OwnSpans>> {
    let policy = settings.own_spans?;
    Some(Arc::new(OwnSpans::new(policy, env!("CARGO_PKG_VERSION"), random(), Arc::new(now_ns))))
}

/// The thread that stores what waits, every second.
pub struct Storing {
    flush: Arc<dyn Fn() + Send + Sync>,
    thread: Maintenance,
}

impl Storing {
    /// Starts it.
    pub fn start(
        own: Arc<OwnSpans>,
        store: Arc<SpanStore>,
        config: Arc<ArcSwap<TempoConfig>>,
    ) -> Result<Self> {
        let flush: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            let tenant = if config.load().multitenancy_enabled { Tenant::new(TENANT).ok() } else { None };
            own.flush(&*store, &tenant.unwrap_or_else(Tenant::single));
        });
        let tick = Arc::clone(&flush);
        let thread = Maintenance::start("own-spans", move || {
            tick();
            false
        })?;
        Ok(Storing { flush, thread })
    }

    /// Ends it; what waits is stored.
    pub fn stop(self) {
        self.thread.stop();
        (self.flush)();
    }
}

/// Does what is due in a store, and records it.
pub fn maintained<T, E: Error>(
    own: Option<&OwnSpans>,
    what: &'static str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let Some(own) = own else { return work() };
    let (start_ns, began) = (own.now_ns(), Instant::now());
    let result = work();
    let failure = result.as_ref().err().map(ToString::to_string);
    let duration_ns = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
    own.record(own.place(None), Deed { start_ns, duration_ns, failure }, |span| {
        span.name = format!("maintain {what}");
        span.kind = SpanKind::Internal;
    });
    result
}

/// Records evaluations of groups of rules: a span for the group, and below it those of rules that took most of it, or failed.
pub fn evaluations(own: Arc<OwnSpans>) -> Evaluated {
    Arc::new(move |group| {
        let duration_ns = nanoseconds(group.evaluation_seconds);
        let start_ns = own.now_ns().saturating_sub(duration_ns);
        let failed = group.rules.iter().find_map(|rule| rule.last_error.clone());
        let deed = Deed { start_ns, duration_ns, failure: failed };
        own.record_with(own.place(None), deed, |span| {
            describe(group, span);
            steps(group, start_ns)
        });
    })
}

fn describe(group: &GroupStatus, span: &mut Span) {
    let text = |text: &str| AttributeValue::Str(text.to_owned());
    span.name = format!("evaluate {}", group.name);
    span.kind = SpanKind::Internal;
    span.attributes.0 = vec![
        ("reba.rules.file".to_owned(), text(&group.file)),
        ("reba.rules.group".to_owned(), text(&group.name)),
        ("reba.rules.count".to_owned(), AttributeValue::Int(group.rules.len() as i64)),
    ];
}

/// The rules of a group, which are evaluated one after the other.
fn steps(group: &GroupStatus, mut start_ns: i64) -> Vec<(Deed, Span)> {
    let mut step = |rule: &RuleStatus| {
        let duration_ns = nanoseconds(rule.evaluation_seconds);
        let deed = Deed { start_ns, duration_ns, failure: rule.last_error.clone() };
        start_ns = start_ns.saturating_add(duration_ns);
        let mut span = Span { name: rule.name.clone(), kind: SpanKind::Internal, ..Span::default() };
        span.attributes.0 = vec![("reba.query".to_owned(), AttributeValue::Str(rule.query.clone()))];
        (deed, span)
    };
    group.rules.iter().map(&mut step).collect()
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}
