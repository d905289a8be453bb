//! Functions that make series, and what is done to series.

use super::item::Item;
use super::{Parsed, Parser, operator};
use crate::syntax::{
    ast::{Compare, Field, MetricsAggregate, MetricsExpr, MetricsFunction, Pipeline, SecondStage},
    lexer::Token,
};

/// Values of each attribute that `compare()` shows unless told otherwise.
const DEFAULT_TOP: i64 = 10;

impl Parser<'_> {
    pub(super) fn aggregated(pipeline: Pipeline, function: MetricsFunction, by: Vec<Field>) -> MetricsExpr {
        MetricsExpr::Aggregate(MetricsAggregate { pipeline, function, by })
    }

    /// `rate()` and its like, without `by`; none if the next word is something else.
    pub(super) fn metrics_function(&mut self) -> Parsed<Option<MetricsFunction>> {
        let Token::Ident(word) = self.peek().clone() else { return Ok(None) };
        let of: fn(Field) -> MetricsFunction = match word.as_str() {
            "rate" | "count_over_time" => {
                self.next += 1;
                self.expect("(")?;
                self.expect(")")?;
                let rate = word == "rate";
                return Ok(Some(if rate { MetricsFunction::Rate } else { MetricsFunction::CountOverTime }));
            }
            "compare" => {
                self.next += 1;
                return self.compare().map(Some);
            }
            "quantile_over_time" => {
                self.next += 1;
                return self.quantiles().map(Some);
            }
            "min_over_time" => MetricsFunction::MinOverTime,
            "max_over_time" => MetricsFunction::MaxOverTime,
            "avg_over_time" => MetricsFunction::AvgOverTime,
            "sum_over_time" => MetricsFunction::SumOverTime,
            "histogram_over_time" => MetricsFunction::HistogramOverTime,
            _ => return Ok(None),
        };
        self.next += 1;
        self.expect("(")?;
        let field = self.field()?;
        self.expect(")")?;
        Ok(Some(of(field)))
    }

    fn quantiles(&mut self) -> Parsed<MetricsFunction> {
        self.expect("(")?;
        let field = self.field()?;
        self.expect(",")?;
        let mut quantiles = Vec::new();
        loop {
            match self.peek() {
                Token::Int(n) => quantiles.push(*n as f64),
                Token::Float(v) => quantiles.push(*v),
                _ => return Err(self.unexpected()),
            }
            self.next += 1;
            if !self.eat(",") {
                self.expect(")")?;
                return Ok(MetricsFunction::QuantileOverTime(field, quantiles));
            }
        }
    }

    fn compare(&mut self) -> Parsed<MetricsFunction> {
        self.expect("(")?;
        let selection = self.braces()?;
        let mut numbers = Vec::new();
        while self.eat(",") {
            let negative = self.eat("-");
            let Token::Int(n) = *self.peek() else { return Err(self.unexpected()) };
            self.next += 1;
            numbers.push(if negative { -n } else { n });
        }
        let (top, window) = match numbers[..] {
            [] => (DEFAULT_TOP, None),
            [top] => (top, None),
            [top, start, end] => (top, Some((start, end))),
            _ => return Err(self.unexpected()),
        };
        self.expect(")")?;
        Ok(MetricsFunction::Compare(Compare { selection, top, window }))
    }

    /// `| topk(5)`, `> 10`, as many as there are.
    pub(super) fn second_stages(&mut self, mut of: MetricsExpr) -> Parsed<MetricsExpr> {
        loop {
            if self.eat("|") {
                let largest = self.eat_word("topk");
                if !largest && !self.eat_word("bottomk") {
                    return Err(self.unexpected());
                }
                self.take_depth()?;
                self.expect("(")?;
                let Token::Int(n) = *self.peek() else { return Err(self.unexpected()) };
                self.next += 1;
                self.expect(")")?;
                let stage = if largest { SecondStage::TopK(n) } else { SecondStage::BottomK(n) };
                of = MetricsExpr::Second(Box::new(of), stage);
                continue;
            }
            let comparison = self.sign().and_then(operator).filter(|op| op.is_comparison() && !op.is_regex());
            let Some(op) = comparison else { return Ok(of) };
            self.take_operator()?;
            let value = match self.deeper(|p| p.item(3))? {
                Item::Number { value, of_durations: false } => value,
                _ => return Err(self.unexpected()),
            };
            of = MetricsExpr::Second(Box::new(of), SecondStage::Filter(op, value));
        }
    }

    /// Counts a stage as an operator: it makes the tree deeper as one does.
    fn take_depth(&mut self) -> Parsed<()> {
        self.take_operator()?;
        self.next -= 1;
        Ok(())
    }
}
