//! Names and values for whoever writes a query.

use std::{collections::BTreeMap, ops::ControlFlow};

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
    Parts, TraceError, TraceStats,
    found::{Distinct, Teller},
    scans::{Context, Onlooker, Worker},
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

/// A name where it belongs.
type Name = (TagScope, String);

/// Intrinsics that are offered, as upstream offers them.
const INTRINSICS: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
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

/// Finds names; with `parts`, those that were not told of there.
pub(super) fn names(
    asked: &TagNamesQuery,
    parts: Option<&Parts<TagNames>>,
    context: Context<'_>,
) -> Result<TagNames, TraceError> {
    let range = asked.range.unwrap_or(NanoRange::ALL);
    let max_bytes = context.limits.max_tag_bytes;
    let answer = |names, truncated, stats| {
        let (scopes, more) = by_scope(names, asked);
        TagNames { scopes, truncated: truncated || more, stats }
    };
    // Which names are the first of all is known at the end.
    let parts = parts.filter(|_| asked.limit == 0);
    let teller = Teller::new(parts, Distinct::new(0, max_bytes), &answer);
    let mut stats = TraceStats::default();
    let mut more = Vec::new();
    if asked.scope != Some(TagScope::Intrinsic) {
        match filter(&asked.query) {
            None => {
                for (scope, name) in context.store.attribute_names(context.tenant, range, context.budget)? {
                    more.push((TagScope::of(scope), name));
                }
            }
            Some(query) => {
                let make = || NameCollector { names: Distinct::new(0, max_bytes), teller: &teller };
                let asks = Asks { query: &query, range, details: SpanDetails::All };
                let (found, did) = matching(asks, context, &make, teller.onlooker())?;
                let found: Vec<_> = found.into_iter().map(|collector| collector.names).collect();
                stats = did;
                more.extend(found.into_iter().flat_map(Distinct::rest));
            }
        }
    }
    more.extend(INTRINSICS.iter().map(|name| (TagScope::Intrinsic, (*name).to_owned())));
    let mut found = teller.into_found();
    for name in more {
        // One without room is told of by `truncated`.
        let _ = found.insert(name);
    }
    let truncated = found.truncated;
    Ok(answer(found.rest(), truncated, context.finished(stats)))
}

/// Names of the scopes that were asked for, as many of each as may be; and whether some were left out.
fn by_scope(names: Vec<Name>, asked: &TagNamesQuery) -> (Vec<(TagScope, Vec<String>)>, bool) {
    let (mut all, mut truncated) = (BTreeMap::<TagScope, Vec<String>>::new(), false);
    for (scope, name) in names.into_iter().filter(|(scope, _)| asked.scope.is_none_or(|s| s == *scope)) {
        let names = all.entry(scope).or_default();
        if asked.limit == 0 || names.len() < asked.limit {
            names.push(name);
        } else {
            truncated = true;
        }
    }
    (all.into_iter().collect(), truncated)
}

/// Finds values; with `parts`, those that were not told of there.
pub(super) fn values(
    asked: &TagValuesQuery,
    parts: Option<&Parts<TagValues>>,
    context: Context<'_>,
) -> Result<TagValues, TraceError> {
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
    let empty = || Distinct::new(asked.limit, context.limits.max_tag_bytes);
    let answer = |values, truncated, stats| TagValues { values, truncated, stats };
    let teller = Teller::new(parts, empty(), &answer);
    let mut stats = TraceStats::default();
    let mut more = Vec::new();
    match (filter(&asked.query), of_roots) {
        (None, false) => {
            let visit = &mut |value| teller.insert(tag_value(value));
            context.store.field_values(context.tenant, &field, range, context.budget, visit)?;
        }
        (query, of_roots) => {
            let field = &field;
            let make =
                || ValueCollector { field, of_roots, values: empty(), teller: &teller, found: Vec::new() };
            let query =
                query.map_or_else(|| if of_roots { parse_valid(ROOTS) } else { parse_valid("{}") }, Ok)?;
            let asks = Asks { query: &query, range, details: SpanDetails::Only(vec![field.clone()]) };
            let (found, did) = matching(asks, context, &make, teller.onlooker())?;
            more = found.into_iter().map(|collector| collector.values).collect();
            stats = did;
        }
    }
    let mut found = teller.into_found();
    for values in more {
        found.merge(values);
    }
    let truncated = found.truncated;
    Ok(answer(found.rest(), truncated, context.finished(stats)))
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

/// Which spans are shown, and what of them.
struct Asks<'a> {
    query: &'a Query,
    range: NanoRange,
    details: SpanDetails,
}

/// Shows spans that match to collectors, one for each thread.
fn matching<C: Collector>(
    asks: Asks<'_>,
    context: Context<'_>,
    make: &(dyn Fn() -> C + Sync),
    onlooker: Option<&dyn Onlooker>,
) -> Result<(Vec<C>, TraceStats), TraceError> {
    let Asks { query, range, details } = asks;
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
    let (workers, stats) = context.run(&want, range, &make, onlooker)?;
    Ok((workers.into_iter().map(|worker| worker.collector).collect(), stats))
}

/// What becomes of spans that match.
trait Collector: Send {
    fn take(&mut self, span: &Span) -> ControlFlow<()>;

    /// Hands over what was found, if somebody reads parts.
    fn hand_over(&mut self);
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

    fn end_of_scan(&mut self) {
        self.collector.hand_over();
    }
}

struct NameCollector<'a> {
    names: Distinct<Name>,
    teller: &'a Teller<'a, Name, TagNames>,
}

impl Collector for NameCollector<'_> {
    fn take(&mut self, span: &Span) -> ControlFlow<()> {
        let mut all = |scope, attributes: &Attributes| {
            for (name, _) in &attributes.0 {
                // One without room is told of by `truncated`.
                let _ = self.names.insert((scope, name.clone()));
            }
        };
        all(TagScope::Span, &span.attributes);
        all(TagScope::Resource, &span.resource.attributes);
        all(TagScope::Instrumentation, &span.scope.attributes);
        span.events.iter().for_each(|event| all(TagScope::Event, &event.attributes));
        span.links.iter().for_each(|link| all(TagScope::Link, &link.attributes));
        ControlFlow::Continue(())
    }

    fn hand_over(&mut self) {
        self.teller.hand_over(&mut self.names);
    }
}

struct ValueCollector<'a> {
    field: &'a SpanField,
    of_roots: bool,
    values: Distinct<TagValue>,
    teller: &'a Teller<'a, TagValue, TagValues>,
    found: Vec<SpanValue>,
}

impl Collector for ValueCollector<'_> {
    fn take(&mut self, span: &Span) -> ControlFlow<()> {
        if self.of_roots && !span.parent_id.is_none() {
            return ControlFlow::Continue(());
        }
        self.found.clear();
        self.field.values(span, &mut self.found);
        for value in self.found.drain(..) {
            self.values.insert(tag_value(value))?;
        }
        ControlFlow::Continue(())
    }

    fn hand_over(&mut self) {
        self.teller.hand_over(&mut self.values);
    }
}

fn tag_value(value: SpanValue) -> TagValue {
    let (kind, value) = match value {
        SpanValue::Str(text) => ("string", text),
        SpanValue::Int(n) => ("int", n.to_string()),
        // Whole numbers show that they are none of integers.
        SpanValue::Float(v) if v.fract() == 0.0 && v.abs() < 1e15 => ("float", format!("{v:.1}")),
        SpanValue::Float(v) => ("float", reba_model::float::format_g(v)),
        SpanValue::Bool(b) => ("bool", b.to_string()),
        SpanValue::Duration(ns) => ("duration", reba_traceql::units::format_duration(ns)),
        SpanValue::Status(status) => ("keyword", status.as_str().to_owned()),
        SpanValue::Kind(kind) => ("keyword", kind.as_str().to_owned()),
    };
    TagValue { kind, value }
}
