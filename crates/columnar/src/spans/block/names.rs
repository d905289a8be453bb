//! What attributes a block has, and what values.

use std::{collections::BTreeSet, ops::ControlFlow};

use reba_model::spans::{Item, SpanKind, SpanStatus, read_items};
use reba_storage::{AttributeScope, SpanField, SpanValue};

use super::{Column, Kind, SpanBlock, Strings, Type};
use crate::{block::BlockError, spans::origins::Origin};

/// Names of attributes.
pub(crate) type FieldNames = BTreeSet<(AttributeScope, String)>;

impl<'a> SpanBlock<'a> {
    /// Adds the names of its attributes.
    pub(crate) fn names(&self, origins: &[Origin], out: &mut FieldNames) -> Result<(), BlockError> {
        let mut add = |scope, name: &str| {
            out.insert((scope, name.to_owned()));
        };
        for (_, column) in self.counted() {
            match column.kind {
                Kind::Attribute => add(AttributeScope::Span, column.name),
                Kind::Rest => self.items(column, &mut |item| {
                    if let Item::Attribute(name, _) = item {
                        add(AttributeScope::Span, name);
                    }
                })?,
                Kind::Events | Kind::Links => {
                    let (keys, scope) = match column.kind {
                        Kind::Events => (Kind::EventKeys, AttributeScope::Event),
                        _ => (Kind::LinkKeys, AttributeScope::Link),
                    };
                    if let Some(list) = self.list(keys)? {
                        (0..list.entries()).for_each(|i| add(scope, list.entry_text(i)));
                        continue;
                    }
                    self.items(column, &mut |item| {
                        if let Item::Event { attributes, .. } | Item::Link { attributes, .. } = item {
                            attributes.iter().for_each(|(name, _)| add(scope, name));
                        }
                    })?;
                }
                _ => {}
            }
        }
        for origin in origins {
            origin.resource.attributes.iter().for_each(|(name, _)| add(AttributeScope::Resource, name));
            origin.scope.attributes.iter().for_each(|(name, _)| add(AttributeScope::Instrumentation, name));
        }
        Ok(())
    }

    /// Tells distinct values of a field until the reader breaks off; `None` if they are not found without looking at spans.
    pub(crate) fn values(
        &self,
        field: &SpanField,
        origins: &[Origin],
        visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
    ) -> Result<Option<ControlFlow<()>>, BlockError> {
        let done = match field {
            SpanField::Name => each_text(self.list(Kind::Names)?, visit),
            SpanField::StatusMessage => {
                let column = self.counted().find(|(_, column)| column.kind == Kind::StatusMessage);
                let texts = column.map(|(_, column)| self.strings(column)).transpose()?;
                each_text(texts, visit)
            }
            SpanField::Kind => each(SpanKind::ALL.map(SpanValue::Kind), visit),
            SpanField::Status => each(SpanStatus::ALL.map(SpanValue::Status), visit),
            SpanField::EventName => match (self.list(Kind::EventNames)?, self.column(Kind::Events)) {
                (None, Some(_)) => return Ok(None),
                (names, _) => each_text(names, visit),
            },
            SpanField::InstrumentationName | SpanField::InstrumentationVersion => {
                each(of_origins(field, origins), visit)
            }
            SpanField::Attribute {
                scope: Some(AttributeScope::Resource | AttributeScope::Instrumentation),
                ..
            } => each(of_origins(field, origins), visit),
            SpanField::Attribute { scope: scope @ (None | Some(AttributeScope::Span)), name } => {
                if self.has_in_rest(name)? {
                    return Ok(None);
                }
                if scope.is_none() && each(of_origins(field, origins), visit).is_break() {
                    return Ok(Some(ControlFlow::Break(())));
                }
                self.attribute_values(name, visit)?
            }
            _ => return Ok(None),
        };
        Ok(Some(done))
    }

    /// Whether some span has the attribute outside of its column.
    fn has_in_rest(&self, name: &str) -> Result<bool, BlockError> {
        let mut found = false;
        if let Some(rest) = self.column(Kind::Rest) {
            self.items(rest, &mut |item| found |= matches!(item, Item::Attribute(n, _) if n == name))?;
        }
        Ok(found)
    }

    fn attribute_values(
        &self,
        name: &str,
        visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, BlockError> {
        let columns = self.counted().filter(|(_, c)| c.kind == Kind::Attribute && c.name == name);
        for (_, column) in columns {
            let done = match column.type_ {
                Type::Text => each_text(Some(self.strings(column)?), visit),
                Type::Int => each(distinct(self.numbers(column)?).map(SpanValue::Int), visit),
                Type::Float => {
                    let float = |n: i64| SpanValue::Float(f64::from_bits(n as u64));
                    each(distinct(self.numbers(column)?).map(float), visit)
                }
                Type::Bool => each(distinct(self.numbers(column)?).map(|n| SpanValue::Bool(n != 0)), visit),
                Type::Raw | Type::Blob => {
                    let mut found = Vec::new();
                    self.items(column, &mut |item| {
                        if let Item::Attribute(_, value) = item {
                            flat(&value.to_owned(), &mut found);
                        }
                    })?;
                    each(found, visit)
                }
            };
            if done.is_break() {
                return Ok(done);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Goes through the items of a column of blobs.
    pub(crate) fn items(
        &self,
        column: &Column<'a>,
        visit: &mut dyn FnMut(Item<'_>),
    ) -> Result<(), BlockError> {
        let blobs = self.strings(column)?;
        for i in 0..blobs.entries() {
            read_items(blobs.entry(i)).for_each(&mut *visit);
        }
        Ok(())
    }
}

fn of_origins(field: &SpanField, origins: &[Origin]) -> Vec<SpanValue> {
    let mut out = Vec::new();
    for origin in origins {
        field.values(&origin.as_span(), &mut out);
    }
    out
}

fn distinct(values: &[i64]) -> impl Iterator<Item = i64> {
    values.iter().copied().collect::<BTreeSet<i64>>().into_iter()
}

fn each(
    values: impl IntoIterator<Item = SpanValue>,
    visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
) -> ControlFlow<()> {
    values.into_iter().try_for_each(visit)
}

fn each_text(
    texts: Option<&Strings>,
    visit: &mut dyn FnMut(SpanValue) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(texts) = texts else { return ControlFlow::Continue(()) };
    (0..texts.entries()).try_for_each(|i| visit(SpanValue::Str(texts.entry_text(i).to_owned())))
}

/// Values of an array.
fn flat(value: &reba_model::spans::AttributeValue, out: &mut Vec<SpanValue>) {
    let field = SpanField::Attribute { scope: Some(AttributeScope::Span), name: String::new() };
    let attributes = reba_model::spans::Attributes(vec![(String::new(), value.clone())]);
    field.values(&reba_model::spans::Span { attributes, ..Default::default() }, out);
}
