//! Which spans of a block meet the conditions of a query.
//!
//! Every answer here may say yes too often, never too rarely: the reader looks again. A condition is first asked of what costs
//! nothing (which columns there are, the least and the greatest number, filters), then of the dictionary, then of the values.

use std::cmp::Ordering;

use reba_model::spans::{AttributeValue, Attributes, Item, SpanId, SpanView, TraceId, read_items};
use reba_storage::{AttributeScope, Comparison, SpanCondition, SpanField, SpanNeed, SpanTest, SpanValue};

use super::{
    block::{Column, Kind, SpanBlock, Strings, Type},
    origins::{BlockOrigins, Origin},
};
use crate::block::BlockError;

/// Rows that may meet a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spans) enum Mask {
    None,
    All,
    Rows(Vec<bool>),
}

impl Mask {
    fn of(rows: Vec<bool>) -> Self {
        match (rows.iter().any(|r| *r), rows.iter().all(|r| *r)) {
            (false, _) => Mask::None,
            (true, true) => Mask::All,
            (true, false) => Mask::Rows(rows),
        }
    }

    fn and(self, other: Mask) -> Mask {
        match (self, other) {
            (Mask::None, _) | (_, Mask::None) => Mask::None,
            (Mask::All, mask) | (mask, Mask::All) => mask,
            (Mask::Rows(mut a), Mask::Rows(b)) => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a &= b);
                Mask::of(a)
            }
        }
    }

    fn or(self, other: Mask) -> Mask {
        match (self, other) {
            (Mask::All, _) | (_, Mask::All) => Mask::All,
            (Mask::None, mask) | (mask, Mask::None) => mask,
            (Mask::Rows(mut a), Mask::Rows(b)) => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
                Mask::of(a)
            }
        }
    }

    pub(super) fn has(&self, row: usize) -> bool {
        match self {
            Mask::None => false,
            Mask::All => true,
            Mask::Rows(rows) => rows.get(row).copied().unwrap_or(false),
        }
    }

    /// Whether it has any of these rows.
    pub(super) fn has_any(&self, mut rows: std::ops::Range<usize>) -> bool {
        match self {
            Mask::None => false,
            Mask::All => !rows.is_empty(),
            Mask::Rows(_) => rows.any(|row| self.has(row)),
        }
    }
}

/// Whether two values stand in a relation.
fn compares(left: &SpanValue, comparison: Comparison, right: &SpanValue) -> bool {
    let order = match (left, right) {
        (SpanValue::Int(l) | SpanValue::Duration(l), SpanValue::Int(r) | SpanValue::Duration(r)) => {
            // Of different types both are floats to the language: let both ways count.
            return holds(l.partial_cmp(r), comparison)
                || holds((*l as f64).partial_cmp(&(*r as f64)), comparison);
        }
        (SpanValue::Str(l), SpanValue::Str(r)) => l.partial_cmp(r),
        (SpanValue::Bool(l), SpanValue::Bool(r)) => l.partial_cmp(r),
        (SpanValue::Status(l), SpanValue::Status(r)) => l.partial_cmp(r),
        (SpanValue::Kind(l), SpanValue::Kind(r)) => l.partial_cmp(r),
        _ => match (number(left), number(right)) {
            (Some(l), Some(r)) => l.partial_cmp(&r),
            _ => return false,
        },
    };
    holds(order, comparison)
}

fn number(value: &SpanValue) -> Option<f64> {
    match value {
        SpanValue::Int(n) | SpanValue::Duration(n) => Some(*n as f64),
        SpanValue::Float(v) => Some(*v),
        _ => None,
    }
}

fn holds(order: Option<Ordering>, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// Whether a value meets a question.
fn meets(test: &SpanTest, value: &SpanValue) -> bool {
    match (test, value) {
        (SpanTest::Exists, _) => true,
        (SpanTest::Compare(comparison, other), value) => compares(value, *comparison, other),
        (SpanTest::Matches(regex), SpanValue::Str(text)) => regex.is_match(text),
        (SpanTest::NotMatches(regex), SpanValue::Str(text)) => !regex.is_match(text),
        (SpanTest::Matches(_) | SpanTest::NotMatches(_), _) => false,
    }
}

/// The same of a text that need not be owned for it.
fn text_meets(test: &SpanTest, text: &str) -> bool {
    match test {
        SpanTest::Exists => true,
        SpanTest::Compare(comparison, SpanValue::Str(other)) => {
            holds(text.partial_cmp(other.as_str()), *comparison)
        }
        SpanTest::Compare(..) => false,
        SpanTest::Matches(regex) => regex.is_match(text),
        SpanTest::NotMatches(regex) => !regex.is_match(text),
    }
}

/// Whether an attribute of any type meets a question; of an array any value.
fn attribute_meets(test: &SpanTest, value: &AttributeValue) -> bool {
    match value {
        AttributeValue::Str(text) => text_meets(test, text),
        AttributeValue::Int(n) => meets(test, &SpanValue::Int(*n)),
        AttributeValue::Float(v) => meets(test, &SpanValue::Float(*v)),
        AttributeValue::Bool(b) => meets(test, &SpanValue::Bool(*b)),
        AttributeValue::Array(values) => {
            let is_flat = |value: &&AttributeValue| !matches!(value, AttributeValue::Array(_));
            matches!(test, SpanTest::Exists)
                || values.iter().filter(is_flat).any(|v| attribute_meets(test, v))
        }
        AttributeValue::Map(_) | AttributeValue::Bytes(_) => matches!(test, SpanTest::Exists),
    }
}

fn attributes_meet(test: &SpanTest, attributes: &Attributes, name: &str) -> bool {
    attributes.get(name).is_some_and(|value| attribute_meets(test, value))
}

/// Whether the resource or the scope of a span meets a condition.
fn origin_meets(condition: &SpanCondition, origin: &Origin) -> bool {
    let test = &condition.test;
    match &condition.field {
        SpanField::InstrumentationName => text_meets(test, &origin.scope.name),
        SpanField::InstrumentationVersion => text_meets(test, &origin.scope.version),
        SpanField::Attribute { scope: Some(AttributeScope::Instrumentation), name } => {
            attributes_meet(test, &origin.scope.attributes, name)
        }
        SpanField::Attribute { scope: None | Some(AttributeScope::Resource), name } => {
            attributes_meet(test, &origin.resource.attributes, name)
        }
        _ => false,
    }
}

/// Whether an event or a link meets a condition.
fn item_meets(condition: &SpanCondition, item: &Item<'_>) -> bool {
    let test = &condition.test;
    match (&condition.field, item) {
        (SpanField::EventName, Item::Event { name, .. }) => text_meets(test, name),
        (SpanField::EventTime, Item::Event { .. }) => true,
        (SpanField::LinkTraceId, Item::Link { trace_id, .. }) => text_meets(test, &trace_id.to_string()),
        (SpanField::LinkSpanId, Item::Link { span_id, .. }) => text_meets(test, &span_id.to_string()),
        (
            SpanField::Attribute { scope: Some(AttributeScope::Event), name },
            Item::Event { attributes, .. },
        )
        | (SpanField::Attribute { scope: Some(AttributeScope::Link), name }, Item::Link { attributes, .. }) => {
            attributes.get(name).is_some_and(|value| attribute_meets(test, &value.to_owned()))
        }
        _ => false,
    }
}

/// Whether a span in memory may meet a need.
pub(super) fn may_meet(need: &SpanNeed, view: &SpanView<'_>, origin: &Origin) -> bool {
    let meets = |condition: &SpanCondition| view_meets(condition, view, origin);
    if need.all {
        need.conditions.iter().all(meets)
    } else {
        need.conditions.is_empty() || need.conditions.iter().any(meets)
    }
}

fn view_meets(condition: &SpanCondition, view: &SpanView<'_>, origin: &Origin) -> bool {
    let test = &condition.test;
    match &condition.field {
        SpanField::Name => text_meets(test, view.name),
        SpanField::StatusMessage => text_meets(test, view.status_message),
        SpanField::Kind => meets(test, &SpanValue::Kind(view.kind)),
        SpanField::Status => meets(test, &SpanValue::Status(view.status)),
        SpanField::Duration => meets(test, &SpanValue::Duration(view.duration_ns())),
        SpanField::SpanId => text_meets(test, &view.span_id.to_string()),
        SpanField::TraceId => text_meets(test, &view.trace_id.to_string()),
        SpanField::ParentId if view.parent_id.is_none() => text_meets(test, ""),
        SpanField::ParentId => text_meets(test, &view.parent_id.to_string()),
        SpanField::Attribute { scope: None | Some(AttributeScope::Span), name } => {
            let found = view.attributes().get(name);
            found.is_some_and(|value| attribute_meets(test, &value.to_owned()))
                || origin_meets(condition, origin)
        }
        SpanField::InstrumentationName
        | SpanField::InstrumentationVersion
        | SpanField::Attribute {
            scope: Some(AttributeScope::Resource | AttributeScope::Instrumentation),
            ..
        } => origin_meets(condition, origin),
        _ => view.items().any(|item| item_meets(condition, &item)),
    }
}

/// The rows of a block that may meet a need.
pub(in crate::spans) fn rows(
    need: &SpanNeed,
    block: &SpanBlock<'_>,
    origins: &BlockOrigins<'_, '_>,
) -> Result<Mask, BlockError> {
    if need.conditions.is_empty() {
        return Ok(Mask::All);
    }
    let mut conditions: Vec<&SpanCondition> = need.conditions.iter().collect();
    conditions.sort_by_key(|condition| cost(&condition.field));
    let mut out = if need.all { Mask::All } else { Mask::None };
    for condition in conditions {
        let mask = of_condition(condition, block, origins)?;
        out = if need.all { out.and(mask) } else { out.or(mask) };
        if out == if need.all { Mask::None } else { Mask::All } {
            break;
        }
    }
    Ok(out)
}

/// In which order conditions are asked.
fn cost(field: &SpanField) -> u8 {
    match field {
        SpanField::Attribute {
            scope: Some(AttributeScope::Resource | AttributeScope::Instrumentation),
            ..
        }
        | SpanField::InstrumentationName
        | SpanField::InstrumentationVersion => 0,
        SpanField::TraceId | SpanField::SpanId | SpanField::ParentId => 1,
        SpanField::Kind | SpanField::Status => 2,
        SpanField::Name => 3,
        SpanField::Attribute { scope: None | Some(AttributeScope::Span), .. } => 4,
        SpanField::Duration | SpanField::StatusMessage => 5,
        _ => 6,
    }
}

fn of_condition(
    condition: &SpanCondition,
    block: &SpanBlock<'_>,
    origins: &BlockOrigins<'_, '_>,
) -> Result<Mask, BlockError> {
    let test = &condition.test;
    match &condition.field {
        SpanField::Name => {
            let column = block.column(Kind::Names).ok_or(BlockError("a column is missing"))?;
            let Some(values) = texts(block, column, test)? else { return Ok(Mask::None) };
            Ok(Mask::of(values))
        }
        SpanField::Kind | SpanField::Status => {
            let of_code = |code: i64| {
                let (kind, status) = SpanBlock::kind_and_status(code);
                match condition.field {
                    SpanField::Kind => meets(test, &SpanValue::Kind(kind)),
                    _ => meets(test, &SpanValue::Status(status)),
                }
            };
            let by_code: Vec<bool> = (0..32).map(of_code).collect();
            let codes = block.numbers_of(Kind::KindStatus)?;
            Ok(Mask::of(codes.iter().map(|code| by_code[(code & 31) as usize]).collect()))
        }
        SpanField::Duration => {
            let column = block.column(Kind::Durations).ok_or(BlockError("a column is missing"))?;
            Ok(numbers(block, column, test, SpanValue::Duration)?.map_or(Mask::None, Mask::of))
        }
        SpanField::StatusMessage => {
            let without = text_meets(test, "");
            let mut mask = counted(block, &|column| column.kind == Kind::StatusMessage, test)?;
            if without {
                mask = mask.or(lacking(block, Kind::StatusMessage)?);
            }
            Ok(mask)
        }
        SpanField::TraceId | SpanField::SpanId | SpanField::ParentId => of_ids(condition, block),
        SpanField::InstrumentationName
        | SpanField::InstrumentationVersion
        | SpanField::Attribute {
            scope: Some(AttributeScope::Resource | AttributeScope::Instrumentation),
            ..
        } => of_origins(condition, block, origins),
        SpanField::Attribute { scope: scope @ (None | Some(AttributeScope::Span)), name } => {
            let is_it = |column: &Column<'_>| column.kind == Kind::Attribute && column.name == name;
            let mut mask = counted(block, &is_it, test)?.or(in_rest(block, name, test)?);
            if scope.is_none() {
                mask = mask.or(of_origins(condition, block, origins)?);
            }
            Ok(mask)
        }
        SpanField::EventName | SpanField::EventTime => {
            events(condition, block, Kind::Events, Kind::EventNames)
        }
        SpanField::Attribute { scope: Some(AttributeScope::Event), .. } => {
            events(condition, block, Kind::Events, Kind::EventKeys)
        }
        SpanField::LinkTraceId | SpanField::LinkSpanId => events(condition, block, Kind::Links, Kind::Links),
        SpanField::Attribute { scope: Some(AttributeScope::Link), .. } => {
            events(condition, block, Kind::Links, Kind::LinkKeys)
        }
    }
}

/// Conditions on ids: of equality only, and of being a root.
fn of_ids(condition: &SpanCondition, block: &SpanBlock<'_>) -> Result<Mask, BlockError> {
    let SpanTest::Compare(comparison, SpanValue::Str(id)) = &condition.test else { return Ok(Mask::All) };
    let is_root = |wanted| -> Result<Mask, BlockError> {
        let parents = block.numbers_of(Kind::Parents)?;
        Ok(Mask::of(parents.iter().map(|parent| (*parent == 0) == wanted).collect()))
    };
    match (&condition.field, comparison) {
        (SpanField::TraceId, Comparison::Equal) => {
            let id = (id.len() == 32).then(|| TraceId::from_hex(id)).flatten();
            let Some(trace) = id.and_then(|id| block.find(id)) else { return Ok(Mask::None) };
            let rows = block.rows_of(trace)?;
            Ok(Mask::of((0..block.rows()).map(|row| rows.contains(&row)).collect()))
        }
        (SpanField::SpanId, Comparison::Equal) => {
            let id = (id.len() == 16).then(|| SpanId::from_hex(id)).flatten();
            let Some(id) = id else { return Ok(Mask::None) };
            Ok(Mask::of((0..block.rows()).map(|row| block.span_id(row) == id).collect()))
        }
        (SpanField::ParentId, Comparison::Equal) => is_root(id.is_empty()),
        (SpanField::ParentId, Comparison::NotEqual) if id.is_empty() => is_root(false),
        _ => Ok(Mask::All),
    }
}

fn of_origins(
    condition: &SpanCondition,
    block: &SpanBlock<'_>,
    origins: &BlockOrigins<'_, '_>,
) -> Result<Mask, BlockError> {
    let by_origin: Vec<bool> = origins.get()?.iter().map(|origin| origin_meets(condition, origin)).collect();
    if !by_origin.contains(&true) {
        return Ok(Mask::None);
    }
    if !by_origin.contains(&false) {
        return Ok(Mask::All);
    }
    let is_met = |source: &i64| by_origin.get(*source as usize).copied().unwrap_or(false);
    Ok(Mask::of(block.numbers_of(Kind::Sources)?.iter().map(is_met).collect()))
}

/// Whether the texts of a column meet a question, one by one; `None` if certainly none does.
fn texts<'a>(
    block: &SpanBlock<'a>,
    column: &Column<'a>,
    test: &SpanTest,
) -> Result<Option<Vec<bool>>, BlockError> {
    match test {
        SpanTest::Compare(Comparison::Equal, SpanValue::Str(text)) if !SpanBlock::may_hold(column, text)? => {
            return Ok(None);
        }
        SpanTest::Compare(_, SpanValue::Str(_)) => {}
        SpanTest::Compare(..) => return Ok(None),
        _ => {}
    }
    let strings: &Strings = block.strings(column)?;
    if let SpanTest::Matches(regex) = test
        && !regex.required().iter().all(|texts| strings.may_contain(texts))
    {
        return Ok(None);
    }
    let of_entries: Vec<bool> =
        (0..strings.entries()).map(|i| text_meets(test, strings.entry_text(i))).collect();
    if !of_entries.contains(&true) {
        return Ok(None);
    }
    Ok(Some(match strings.codes() {
        Some(codes) => codes.iter().map(|code| of_entries[usize::from(*code)]).collect(),
        None => of_entries,
    }))
}

/// Whether the numbers of a column meet a question, one by one; `None` if certainly none does.
fn numbers<'a>(
    block: &SpanBlock<'a>,
    column: &Column<'a>,
    test: &SpanTest,
    value: fn(i64) -> SpanValue,
) -> Result<Option<Vec<bool>>, BlockError> {
    if let SpanTest::Compare(comparison, other) = test
        && column.type_ == Type::Int
    {
        let (min, max) = column.range;
        let is_met = |n: i64| compares(&value(n), *comparison, other);
        // Between the least and the greatest every order holds if it holds for one of them; equality if they lie around it.
        let may = match comparison {
            Comparison::NotEqual => number(other).is_some(),
            Comparison::Equal => {
                let at_least = compares(&value(min), Comparison::LessOrEqual, other);
                at_least && compares(&value(max), Comparison::GreaterOrEqual, other)
            }
            _ => is_met(min) || is_met(max),
        };
        if !may {
            return Ok(None);
        }
    }
    let values = block.numbers(column)?;
    Ok(Some(values.iter().map(|n| meets(test, &value(*n))).collect()))
}

/// Rows of which a value in one of the columns meets a question.
fn counted(
    block: &SpanBlock<'_>,
    is_it: &dyn Fn(&Column<'_>) -> bool,
    test: &SpanTest,
) -> Result<Mask, BlockError> {
    let mut out = Mask::None;
    for (number, column) in block.counted().filter(|(_, column)| is_it(column)) {
        let values = match column.type_ {
            Type::Text => texts(block, column, test)?,
            Type::Int => numbers(block, column, test, SpanValue::Int)?,
            Type::Float => {
                numbers(block, column, test, |bits| SpanValue::Float(f64::from_bits(bits as u64)))?
            }
            Type::Bool => numbers(block, column, test, |n| SpanValue::Bool(n != 0))?,
            Type::Raw | Type::Blob => {
                let strings = block.strings(column)?;
                let is_met = |i: usize| {
                    read_items(strings.get(i)).any(|item| {
                        matches!(item, Item::Attribute(_, value) if attribute_meets(test, &value.to_owned()))
                    })
                };
                Some((0..column.count).map(is_met).collect())
            }
        };
        if let Some(values) = values.filter(|values| values.contains(&true)) {
            out = out.or(spread(block, number, &values)?);
        }
    }
    Ok(out)
}

/// From values of a column to rows.
fn spread(block: &SpanBlock<'_>, number: u32, values: &[bool]) -> Result<Mask, BlockError> {
    let shapes = block.shapes()?;
    let has: Vec<bool> = shapes.table.iter().map(|shape| shape.contains(&number)).collect();
    let mut values = values.iter().copied();
    let value = |shape: &u16| has[usize::from(*shape)] && values.next().unwrap_or(false);
    Ok(Mask::of(shapes.of.iter().map(value).collect()))
}

/// Rows without a column of that kind.
fn lacking(block: &SpanBlock<'_>, kind: Kind) -> Result<Mask, BlockError> {
    let Some((number, _)) = block.counted().find(|(_, column)| column.kind == kind) else {
        return Ok(Mask::All);
    };
    let shapes = block.shapes()?;
    let has: Vec<bool> = shapes.table.iter().map(|shape| shape.contains(&number)).collect();
    Ok(Mask::of(shapes.of.iter().map(|shape| !has[usize::from(*shape)]).collect()))
}

/// Rows of which an attribute without a column meets a question.
fn in_rest(block: &SpanBlock<'_>, name: &str, test: &SpanTest) -> Result<Mask, BlockError> {
    of_items(
        block,
        Kind::Rest,
        &|item| matches!(item, Item::Attribute(n, value) if *n == name && attribute_meets(test, &(*value).to_owned())),
    )
}

/// Rows of which an event or a link meets a condition.
fn events(
    condition: &SpanCondition,
    block: &SpanBlock<'_>,
    kind: Kind,
    list: Kind,
) -> Result<Mask, BlockError> {
    if let Some(names) = (list != kind).then(|| block.list(list)).transpose()?.flatten() {
        let mut names = (0..names.entries()).map(|i| names.entry_text(i));
        let may = match &condition.field {
            SpanField::EventName => names.any(|name| text_meets(&condition.test, name)),
            SpanField::Attribute { name: wanted, .. } => names.any(|name| name == wanted),
            _ => true,
        };
        if !may {
            return Ok(Mask::None);
        }
    }
    of_items(block, kind, &|item| item_meets(condition, item))
}

fn of_items(
    block: &SpanBlock<'_>,
    kind: Kind,
    is_met: &dyn Fn(&Item<'_>) -> bool,
) -> Result<Mask, BlockError> {
    let Some((number, column)) = block.counted().find(|(_, column)| column.kind == kind) else {
        return Ok(Mask::None);
    };
    let blobs = block.strings(column)?;
    let values: Vec<bool> =
        (0..column.count).map(|i| read_items(blobs.get(i)).any(|item| is_met(&item))).collect();
    spread(block, number, &values)
}
