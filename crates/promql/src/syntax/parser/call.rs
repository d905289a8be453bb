//! Calls of functions, and aggregations.

use reba_model::float::go_quote;

use super::{Node, Parsed, Parser};
use crate::syntax::{
    ast::{Aggregate, AggregateOp, Call, Expr, ExprKind, Span},
    function::Func,
    token::{Lexeme, Token, Word},
};

/// Arguments with the height of the highest.
struct Args {
    exprs: Vec<Expr>,
    height: u32,
}

/// `by` or `without`.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    pub(super) fn call(&mut self) -> Parsed<Node> {
        let name_span = self.advance().span;
        let args = self.args()?;
        let span = Span { start: name_span.start, end: self.last_end() };
        let name = self.text(name_span);
        let Some(func) = Func::from_name(name) else {
            return self.fail(name_span, format!("unknown function with name {}", go_quote(name)));
        };
        if func.signature().experimental && !self.options.experimental_functions {
            return self.fail(name_span, format!("function {} is not enabled", go_quote(name)));
        }
        self.node(ExprKind::Call(Call { func, args: args.exprs }), span, args.height + 1)
    }

    fn args(&mut self) -> Parsed<Args> {
        self.expect(Token::LeftParen)?;
        let mut args = Args { exprs: Vec::new(), height: 0 };
        if self.take(Token::RightParen).is_some() {
            return Ok(args);
        }
        loop {
            let node = self.expr(0)?;
            args.height = args.height.max(node.height);
            args.exprs.push(node.expr);
            let Some(comma) = self.take(Token::Comma) else { break };
            self.look_ahead()?;
            if !self.operand_follows() {
                return self.fail(comma.span, "trailing commas not allowed in function call args");
            }
        }
        self.expect(Token::RightParen)?;
        Ok(args)
    }

    /// Whether an operand may start here.
    pub(super) fn operand_follows(&self) -> bool {
        let starts = matches!(
            self.token(),
            Token::Number | Token::Duration | Token::String | Token::LeftParen | Token::LeftBrace
        );
        starts || self.sign().is_some() || self.token().is_metric_name()
    }

    /// Whether the name of an aggregation, the current token, is meant as such and not as that of a metric.
    pub(super) fn aggregation_follows(&self) -> bool {
        matches!(self.next_token(), Token::LeftParen | Token::Word(Word::By | Word::Without))
    }

    pub(super) fn aggregation(&mut self, op: AggregateOp) -> Parsed<Node> {
        let start = self.advance();
        let (args, grouping) = self.within("aggregation", "", |p| {
            if let Some(grouping) = p.grouping()? {
                return Ok((p.args()?, grouping));
            }
            let args = p.args()?;
            let grouping = p.grouping()?;
            if grouping.is_none() {
                p.look_ahead()?;
            }
            Ok((args, grouping.unwrap_or_default()))
        })?;
        self.assemble_aggregation(op, start, args, grouping)
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.take_word(Word::Without);
        if !without && !self.take_word(Word::By) {
            return Ok(None);
        }
        Ok(Some(Grouping { labels: self.label_list()?, without }))
    }

    fn assemble_aggregation(
        &self,
        op: AggregateOp,
        start: Lexeme,
        args: Args,
        grouping: Grouping,
    ) -> Parsed<Node> {
        let span = Span { start: start.span.start, end: self.last_end() };
        let found = args.exprs.len();
        if found == 0 {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let name = op.as_str();
            return self.fail(
                span,
                format!(
                    "{name}() is experimental and must be enabled with \
                     --enable-feature=promql-experimental-functions"
                ),
            );
        }
        let wanted = if op.param_type().is_some() { 2 } else { 1 };
        let mut exprs = args.exprs.into_iter();
        let param = if wanted == 2 { exprs.next() } else { None };
        let (Some(expr), None) = (exprs.next(), exprs.next()) else {
            return self.fail(
                span,
                format!(
                    "wrong number of arguments for aggregate expression provided, \
                     expected {wanted}, got {found}"
                ),
            );
        };
        let Grouping { labels: grouping, without } = grouping;
        let aggregate = Aggregate { op, expr, param, grouping, without };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span, args.height + 1)
    }
}
