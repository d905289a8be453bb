//! Names and values for whoever writes a query.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use reba_model::{
    NanoRange, Tenant,
    spans::{Attributes, Span, SpanKind, SpanStatus},
};
use reba_storage::{AttributeScope, SpanDetails, SpanField, SpanValue, SpanWant};
use reba_traceql::{
    FetchPlan, Search, Trace,
    syntax::{Field, Intrinsic, Pipeline, Query, Root, SpansetExpr, Stage, parse_field, parse_valid},
};

use super::{
    TraceError, TraceStats,
    scans::{Context, Worker},
    want,
};

/// Where a name belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the language's")]
pub enum TagScope {
    Span,
    Resource,
    Event,
    Link,
    Instrumentation,
    Intrinsic,
}

impl TagScope {
    /// All of them, in the order of answers.
    pub const ALL: [TagScope; 6] = [
        TagScope::Span,
        TagScope::Resource,
        TagScope::Event,
        TagScope::Link,
        TagScope::Instrumentation,
        TagScope::Intrinsic,
    ];

    /// As in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            TagScope::Span => "span",
            TagScope::Resource => "resource",
            TagScope::Event => "event",
            TagScope::Link => "link",
            TagScope::Instrumentation => "instrumentation",
            TagScope::Intrinsic => "intrinsic",
        }
    }

    fn of(scope: AttributeScope) -> Self {
        match scope {
            AttributeScope::Span => TagScope::Span,
            AttributeScope::Resource => TagScope::Resource,
            AttributeScope::Event => TagScope::Event,
            AttributeScope::Link => TagScope::Link,
            AttributeScope::Instrumentation => TagScope::Instrumentation,
        }
    }
}

/// Intrinsics that are offered, as upstream offers them.
const INTRINSICS: [&str; 19] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:kind",
    "span:name",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:rootName",
    "trace:rootService",
];

/// A question for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagNamesQuery {
    /// Whose.
    pub tenant: Tenant,
    /// Only of this scope.
    pub scope: Option<TagScope>,
    /// TraceQL: only names of spans that match. Empty, unfinished or not a single filter: of all spans.
    pub query: String,
    /// Of spans near this time; `None`: of all there are.
    pub range: Option<NanoRange>,
    /// Most names of each scope; 0: no limit.
    pub limit: usize,
}

/// Names by scope.
#[derive(Clone, Debug, Default)]
pub struct TagNames {
    /// Scopes that were asked for, in the order of [`TagScope::ALL`], those without names left out; names sorted.
    pub scopes: Vec<(TagScope, Vec<String>)>,
    /// Whether names were left out because of a limit.
    pub truncated: bool,
    /// What it cost.
    pub stats: TraceStats,
}

/// A question for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagValuesQuery {
    /// Whose.
    pub tenant: Tenant,
    /// Of what, as TraceQL writes it: `.a`, `resource.service.name`, `status`, `span:name`.
    pub tag: String,
    /// TraceQL: only values of spans that match. Empty, unfinished or not a single filter: of all spans.
    pub query: String,
    /// Of spans near this time; `None`: of all there are.
    pub range: Option<NanoRange>,
    /// Most values; 0: no limit.
    pub limit: usize,
}

/// A value and its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagValue {
    /// `string`, `int`, `float`, `bool`, `duration` or `keyword`.
    pub kind: &'static str,
    /// As text.
    pub value: String,
}

/// Values of a name.
#[derive(Clone, Debug, Default)]
pub struct TagValues {
    /// By type, then by text.
    pub values: Vec<TagValue>,
    /// Whether values were left out because of a limit.
    pub truncated: bool,
    /// What it cost.
    pub stats: TraceStats,
}

pub(super) fn names(asked: &TagNamesQuery, context: Context<'_>) -> Result<TagNames, TraceError> {
    let range = asked.range.unwrap_or(NanoRange::ALL);
    let mut all: BTreeMap<TagScope, BTreeSet<String>> = BTreeMap::new();
    let mut stats = TraceStats::default();
    if asked.scope != Some(TagScope::Intrinsic) {
        match filter(&asked.query) {
            None => {
                for (scope, name) in context.store.attribute_names(context.tenant, range, context.budget)? {
                    all.entry(TagScope::of(scope)).or_default().insert(name);
                }
            }
            Some(query) => {
                let (found, did) =
                    matching(&query, range, SpanDetails::All, context, &NameCollector::default)?;
                stats = did;
                for (scope, name) in found.into_iter().flat_map(|collector| collector.0) {
                    all.entry(scope).or_default().insert(name);
                }
            }
        }
    }
    all.insert(TagScope::Intrinsic, INTRINSICS.iter().map(|name| (*name).to_owned()).collect());
    let mut left = Room::new(context.limits.max_tag_bytes);
    let mut truncated = false;
    let mut scopes = Vec::new();
    for (scope, names) in all.into_iter().filter(|(scope, _)| asked.scope.is_none_or(|s| s == *scope)) {
        let before = names.len();
        let most = if asked.limit == 0 { usize::MAX } else { asked.limit };
        let names: Vec<String> =
            names.into_iter().take(most).take_while(|name| left.take(name.len())).collect();
        truncated |= names.len() < before;
        if !names.is_empty() {
            scopes.push((scope, names));
        }
    }
    Ok(TagNames { scopes, truncated, stats: context.finished(stats) })
}

pub(super) fn values(asked: &TagValuesQuery, context: Context<'_>) -> Result<TagValues, TraceError> {
    let field = parse_field(&asked.tag)
        .map_err(|e| {
            TraceError::BadRequest(format!("tag name is not valid intrinsic or scoped attribute: {e}"))
        })?
        .normal();
    if let Some(values) = keywords(&field) {
        return Ok(TagValues { values, ..TagValues::default() });
    }
    let (field, of_roots) = match &field {
        Field::Intrinsic { intrinsic: Intrinsic::TraceRootName, .. } => (SpanField::Name, true),
        Field::Intrinsic { intrinsic: Intrinsic::TraceRootService, .. } => (service_name(), true),
        // Times and ids are all different: nobody chooses among them.
        Field::Intrinsic { intrinsic, .. } if !is_listed(*intrinsic) => return Ok(TagValues::default()),
        field => match want::span_field(field) {
            Some(field) => (field, false),
            None => return Ok(TagValues::default()),
        },
    };
    let range = asked.range.unwrap_or(NanoRange::ALL);
    let mut distinct = Distinct::new(asked.limit, context.limits.max_tag_bytes);
    let mut stats = TraceStats::default();
    match (filter(&asked.query), of_roots) {
        (None, false) => {
            let visit = &mut |value| distinct.add(value);
            context.store.field_values(context.tenant, &field, range, context.budget, visit)?;
        }
        (query, of_roots) => {
            let make = || ValueCollector {
                field: field.clone(),
                of_roots,
                distinct: Distinct::new(asked.limit, context.limits.max_tag_bytes),
                found: Vec::new(),
            };
            let query =
                query.map_or_else(|| if of_roots { parse_valid(ROOTS) } else { parse_valid("{}") }, Ok)?;
            let details = SpanDetails::Only(vec![field.clone()]);
            let (found, did) = matching(&query, range, details, context, &make)?;
            stats = did;
            for collector in found {
                distinct.merge(collector.distinct);
            }
        }
    }
    let Distinct { values, truncated, .. } = distinct;
    Ok(TagValues { values: values.into_iter().collect(), truncated, stats: context.finished(stats) })
}

/// Spans without a parent, as a query.
const ROOTS: &str = "{ span:parentID = `` }";

fn service_name() -> SpanField {
    let name = reba_model::spans::Resource::SERVICE_NAME.to_owned();
    SpanField::Attribute { scope: Some(AttributeScope::Resource), name }
}

fn is_listed(intrinsic: Intrinsic) -> bool {
    matches!(
        intrinsic,
        Intrinsic::Name
            | Intrinsic::StatusMessage
            | Intrinsic::EventName
            | Intrinsic::InstrumentationName
            | Intrinsic::InstrumentationVersion
    )
}

/// The values of fields that can only have certain ones.
fn keywords(field: &Field) -> Option<Vec<TagValue>> {
    let keyword = |value: &str| TagValue { kind: "keyword", value: value.to_owned() };
    match field {
        Field::Intrinsic { intrinsic: Intrinsic::Status, .. } => {
            Some([SpanStatus::Error, SpanStatus::Ok, SpanStatus::Unset].map(|s| keyword(s.as_str())).to_vec())
        }
        Field::Intrinsic { intrinsic: Intrinsic::Kind, .. } => {
            let mut values = SpanKind::ALL.map(|kind| keyword(kind.as_str())).to_vec();
            values.sort();
            Some(values)
        }
        _ => None,
    }
}

/// The query by which answers are filtered, if it says of each span alone whether it matches, and not of all that it does.
fn filter(query: &str) -> Option<Query> {
    let query = parse_valid(query).ok()?;
    let Root::Search(pipeline) = &query.root else { return None };
    let says_all = *pipeline == Pipeline { stages: vec![everything()] };
    let plan = FetchPlan::of(&query).pop()?;
    (want::looks_at_each_span(pipeline) && !plan.whole_trace && !says_all).then_some(query)
}

fn everything() -> Stage {
    use reba_traceql::syntax::{FieldExpr, Static};
    Stage::Spanset(SpansetExpr::Filter(FieldExpr::Static(Static::Bool(true))))
}

/// Shows spans that match to collectors, one for each thread.
fn matching<C: Collector>(
    query: &Query,
    range: NanoRange,
    details: SpanDetails,
    context: Context<'_>,
    make: &(dyn Fn() -> C + Sync),
) -> Result<(Vec<C>, TraceStats), TraceError> {
    let options = context.options(1);
    let plans = FetchPlan::of(query);
    let mut want: SpanWant =
        plans.first().map_or_else(SpanWant::everything, |plan| want::of_search(plan, options.anchored_regex));
    want.whole_traces = false;
    want.details = match (want.details, details) {
        (SpanDetails::Only(mut fields), SpanDetails::Only(more)) => {
            fields.extend(more);
            SpanDetails::Only(fields)
        }
        _ => SpanDetails::All,
    };
    let make = || Ok(Collecting { search: Search::new(query, &options)?, collector: make() });
    let (workers, stats) = context.run(&want, range, &make)?;
    Ok((workers.into_iter().map(|worker| worker.collector).collect(), stats))
}

/// What becomes of spans that match.
trait Collector: Send {
    fn take(&mut self, span: &Span) -> ControlFlow<()>;
}

struct Collecting<C> {
    search: Search,
    collector: C,
}

impl<C: Collector> Worker for Collecting<C> {
    fn take(&mut self, trace: &Trace) -> Result<ControlFlow<()>, TraceError> {
        for span in trace.spans() {
            let alone = Trace::loose(vec![span.clone()]);
            if self.search.run(&alone)?.is_some() && self.collector.take(span).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[derive(Default)]
struct NameCollector(BTreeSet<(TagScope, String)>);

impl Collector for NameCollector {
    fn take(&mut self, span: &Span) -> ControlFlow<()> {
        let mut all = |scope, attributes: &Attributes| {
            for (name, _) in &attributes.0 {
                if !self.0.contains(&(scope, name.clone())) {
                    self.0.insert((scope, name.clone()));
                }
            }
        };
        all(TagScope::Span, &span.attributes);
        all(TagScope::Resource, &span.resource.attributes);
        all(TagScope::Instrumentation, &span.scope.attributes);
        span.events.iter().for_each(|event| all(TagScope::Event, &event.attributes));
        span.links.iter().for_each(|link| all(TagScope::Link, &link.attributes));
        ControlFlow::Continue(())
    }
}

struct ValueCollector {
    field: SpanField,
    of_roots: bool,
    distinct: Distinct,
    found: Vec<SpanValue>,
}

impl Collector for ValueCollector {
    fn take(&mut self, span: &Span) -> ControlFlow<()> {
        if self.of_roots && !span.parent_id.is_none() {
            return ControlFlow::Continue(());
        }
        self.found.clear();
        self.field.values(span, &mut self.found);
        for value in self.found.drain(..) {
            self.distinct.add(value)?;
        }
        ControlFlow::Continue(())
    }
}

/// Distinct values within limits.
struct Distinct {
    values: BTreeSet<TagValue>,
    most: usize,
    room: Room,
    truncated: bool,
}

impl Distinct {
    fn new(limit: usize, max_bytes: usize) -> Self {
        let most = if limit == 0 { usize::MAX } else { limit };
        Distinct { values: BTreeSet::new(), most, room: Room::new(max_bytes), truncated: false }
    }

    fn add(&mut self, value: SpanValue) -> ControlFlow<()> {
        self.insert(tag_value(value))
    }

    fn insert(&mut self, value: TagValue) -> ControlFlow<()> {
        if self.values.contains(&value) {
            return ControlFlow::Continue(());
        }
        if self.values.len() >= self.most || !self.room.take(value.value.len()) {
            self.truncated = true;
            return ControlFlow::Break(());
        }
        self.values.insert(value);
        ControlFlow::Continue(())
    }

    fn merge(&mut self, other: Distinct) {
        self.truncated |= other.truncated;
        for value in other.values {
            if self.insert(value).is_break() {
                return;
            }
        }
    }
}

/// Bytes that are left.
struct Room(usize);

impl Room {
    /// 0: as many as there may be.
    fn new(bytes: usize) -> Self {
        Room(if bytes == 0 { usize::MAX } else { bytes })
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

fn tag_value(value: SpanValue) -> TagValue {
    let (kind, value) = match value {
        SpanValue::Str(text) => ("string", text),
        SpanValue::Int(n) => ("int", n.to_string()),
        SpanValue::Float(v) => ("float", reba_model::float::format_g(v)),
        SpanValue::Bool(b) => ("bool", b.to_string()),
        SpanValue::Duration(ns) => ("duration", reba_traceql::units::format_duration(ns)),
        SpanValue::Status(status) => ("keyword", status.as_str().to_owned()),
        SpanValue::Kind(kind) => ("keyword", kind.as_str().to_owned()),
    };
    TagValue { kind, value }
}
