//! From traces to those that match, with what is shown of them.

use std::collections::BTreeMap;

use reba_model::spans::{SpanId, SpanStatus, TraceId};

use super::{
    EvalError, EvalOptions,
    spanset::{Plan, Spanset, place},
    value::Value,
};
use crate::{
    plan::fields_shown,
    syntax::{Field, Intrinsic, Query, Root, Static},
    trace::Trace,
};

/// What stands for the root of a trace that has none yet.
const NO_ROOT: &str = "<root span not yet received>";

/// A trace with spans that match.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceMatch {
    /// Which trace.
    pub trace_id: TraceId,
    /// The service of its root.
    pub root_service: String,
    /// The name of its root.
    pub root_name: String,
    /// When it began.
    pub start_ns: i64,
    /// How long it took.
    pub duration_ns: i64,
    /// At least one.
    pub spansets: Vec<SpansetMatch>,
    /// All spans of the trace by service, not only those that match.
    pub services: BTreeMap<String, ServiceStats>,
}

/// How many spans a service has in a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// All of them.
    pub spans: u32,
    /// Those that failed.
    pub errors: u32,
}

/// Spans that match together.
#[derive(Clone, Debug, PartialEq)]
pub struct SpansetMatch {
    /// The first of them, as many as were asked for.
    pub spans: Vec<SpanMatch>,
    /// How many there are.
    pub matched: usize,
    /// What `by` and aggregates found of them: `by(name)`, `count()`.
    pub attributes: Vec<(String, Static)>,
}

/// A span that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanMatch {
    /// Which span.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// When it began.
    pub start_ns: i64,
    /// How long it took.
    pub duration_ns: i64,
    /// What the query names and the span has, under short names.
    pub attributes: Vec<(String, Static)>,
}

/// A query for traces, ready to run on one trace after another.
pub struct Search {
    plan: Plan,
    shown: Vec<(Field, String)>,
    spans_per_spanset: usize,
}

impl Search {
    /// Makes a query ready.
    ///
    /// # Errors
    /// If the query asks for series, or has something nobody evaluates.
    pub fn new(query: &Query, options: &EvalOptions) -> Result<Search, EvalError> {
        let Root::Search(pipeline) = &query.root else {
            return Err(EvalError::WrongKind(
                "metrics queries cannot be searched for: ask the metrics endpoints",
            ));
        };
        let shown = fields_shown(pipeline).into_iter().filter_map(|f| short_name(&f).map(|name| (f, name)));
        Ok(Search {
            plan: Plan::new(pipeline, options)?,
            shown: shown.collect(),
            spans_per_spanset: options.spans_per_spanset,
        })
    }

    /// What the trace has for the query; none if nothing.
    ///
    /// # Errors
    /// A structural operator beside `by()`.
    pub fn run(&self, trace: &Trace) -> Result<Option<TraceMatch>, EvalError> {
        let sets = self.plan.run(trace)?;
        if sets.is_empty() {
            return Ok(None);
        }
        let root = trace.root();
        let mut services: BTreeMap<String, ServiceStats> = BTreeMap::new();
        for span in trace.spans() {
            let stats = services.entry(span.resource.service_name().to_owned()).or_default();
            stats.spans += 1;
            stats.errors += u32::from(span.status == SpanStatus::Error);
        }
        Ok(Some(TraceMatch {
            trace_id: trace.id(),
            root_service: root
                .map_or_else(|| NO_ROOT.to_owned(), |root| root.resource.service_name().to_owned()),
            root_name: root.map_or_else(String::new, |root| root.name.clone()),
            start_ns: trace.start_ns(),
            duration_ns: trace.duration_ns(),
            spansets: sets.into_iter().map(|set| self.show(trace, set)).collect(),
            services,
        }))
    }

    fn show(&self, trace: &Trace, set: Spanset) -> SpansetMatch {
        let most = if self.spans_per_spanset == 0 { usize::MAX } else { self.spans_per_spanset };
        let places = set.spans.iter().take(most).filter_map(|&i| place(trace, i));
        let spans = places.map(|place| {
            let attribute = |(field, name): &(Field, String)| match place.field(field) {
                Value::Nil => None,
                value => Some((name.clone(), value.to_static())),
            };
            SpanMatch {
                span_id: place.span.span_id,
                name: place.span.name.clone(),
                start_ns: place.span.start_ns,
                duration_ns: place.span.duration_ns(),
                attributes: self.shown.iter().filter_map(attribute).collect(),
            }
        });
        SpansetMatch { spans: spans.collect(), matched: set.spans.len(), attributes: set.attributes }
    }
}

/// The name of a field in an answer; none of what every answer has anyway.
fn short_name(field: &Field) -> Option<String> {
    match field {
        Field::Intrinsic { intrinsic, .. } => match intrinsic {
            Intrinsic::Name
            | Intrinsic::Duration
            | Intrinsic::SpanId
            | Intrinsic::TraceId
            | Intrinsic::TraceDuration
            | Intrinsic::TraceRootName
            | Intrinsic::TraceRootService => None,
            Intrinsic::ChildCount => Some("span:childCount".to_owned()),
            _ => Some(field.clone().normal().to_string()),
        },
        Field::Attribute { name, .. } => Some(name.clone()),
    }
}
