//! Stages and what stands in their parentheses.

use super::{Parsed, Parser, item::Item};
use crate::syntax::{
    ast::{Aggregate, Field, FieldExpr, Pipeline, ScalarExpr, SpansetExpr, Stage, Static},
    lexer::Token,
};

/// Names of stages and functions, for error texts.
const FUNCTIONS: [&str; 9] =
    ["by", "coalesce", "select", "rate", "compare", "topk", "bottomk", "with", "count_over_time"];

pub(super) fn aggregate(word: &str) -> Option<Aggregate> {
    Some(match word {
        "count" => Aggregate::Count,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "avg" => Aggregate::Avg,
        "sum" => Aggregate::Sum,
        _ => return None,
    })
}

pub(super) fn is_function(word: &str) -> bool {
    aggregate(word).is_some() || FUNCTIONS.contains(&word) || word.ends_with("_over_time")
}

impl Parser<'_> {
    /// A query without hints, or what stands in parentheses.
    pub(super) fn sequence(&mut self) -> Parsed<Item> {
        let mut stages = Vec::new();
        match self.grouping_stage()? {
            Some(stage) => stages.push(stage),
            None => match self.item(0)? {
                Item::Metrics(metrics) => return self.second_stages(metrics).map(Item::Metrics),
                Item::Filter(filter) => stages.push(Stage::Scalar(filter)),
                Item::Spanset(spanset) => stages.push(Stage::Spanset(spanset)),
                lone => return Ok(lone),
            },
        }
        while self.eat("|") {
            if let Some(function) = self.metrics_function()? {
                let by = if self.eat_word("by") { self.fields()? } else { Vec::new() };
                let metrics = Self::aggregated(Pipeline { stages }, function, by);
                return self.second_stages(metrics).map(Item::Metrics);
            }
            if self.eat_word("coalesce") {
                self.expect("(")?;
                self.expect(")")?;
                stages.push(Stage::Coalesce);
                continue;
            }
            if let Some(stage) = self.grouping_stage()? {
                stages.push(stage);
                continue;
            }
            match self.item(0)? {
                Item::Filter(filter) => stages.push(Stage::Scalar(filter)),
                Item::Spanset(spanset) => stages.push(Stage::Spanset(spanset)),
                Item::Scalar(scalar) => {
                    return Ok(Item::Scalar(ScalarExpr::Pipeline(Pipeline { stages }, Box::new(scalar))));
                }
                _ => return Err(self.unexpected()),
            }
        }
        Ok(Item::Pipeline(Pipeline { stages }))
    }

    /// `by(…)` or `select(…)`, with which a pipeline may also begin.
    fn grouping_stage(&mut self) -> Parsed<Option<Stage>> {
        if self.eat_word("by") {
            self.expect("(")?;
            let mut keys = vec![self.deeper(|p| p.field_expr(0))?];
            while self.eat(",") {
                keys.push(self.deeper(|p| p.field_expr(0))?);
            }
            self.expect(")")?;
            return Ok(Some(Stage::By(keys)));
        }
        if self.eat_word("select") {
            return self.fields().map(|fields| Some(Stage::Select(fields)));
        }
        Ok(None)
    }

    /// Fields in parentheses; at least one.
    pub(super) fn fields(&mut self) -> Parsed<Vec<Field>> {
        self.expect("(")?;
        let mut fields = vec![self.field()?];
        while self.eat(",") {
            fields.push(self.field()?);
        }
        self.expect(")")?;
        Ok(fields)
    }

    /// `{ … }`.
    pub(super) fn filter(&mut self) -> Parsed<SpansetExpr> {
        self.braces().map(SpansetExpr::Filter)
    }

    pub(super) fn braces(&mut self) -> Parsed<FieldExpr> {
        self.expect("{")?;
        if self.eat("}") {
            return Ok(FieldExpr::Static(Static::Bool(true)));
        }
        let inner = self.deeper(|p| p.field_expr(0))?;
        self.expect("}")?;
        Ok(inner)
    }

    /// `count()`, `max(duration)`.
    pub(super) fn aggregate(&mut self) -> Parsed<ScalarExpr> {
        let Token::Ident(word) = self.peek().clone() else { return Err(self.unexpected()) };
        let aggregate = aggregate(&word).ok_or_else(|| self.unexpected())?;
        self.next += 1;
        self.expect("(")?;
        let of = match aggregate {
            Aggregate::Count => None,
            _ => Some(self.deeper(|p| p.field_expr(0))?),
        };
        self.expect(")")?;
        Ok(ScalarExpr::Aggregate(aggregate, of))
    }
}
