//! Filters on labels.

use super::{
    super::{
        ast::{CompareOp, Compared, LabelFilter},
        lexer::number_value,
        token::Token,
    },
    Parsed, Parser,
};

/// How tightly an operator binds: `or` less than `and`.
const OR: u8 = 1;
const AND: u8 = 2;

impl Parser<'_> {
    /// `a="b" and c > 5 or d=ip("…")`.
    ///
    /// A comma, or nothing, between two filters means both, and takes in everything to its right: `a or b, c` is
    /// `a or (b and c)`, `a, b or c` is `a and (b or c)`. Upstream's grammar does that, and people's queries rely on it.
    pub(super) fn label_filter(&mut self) -> Parsed<LabelFilter> {
        self.nested(|p| p.label_filter_above(0))
    }

    fn label_filter_above(&mut self, floor: u8) -> Parsed<LabelFilter> {
        let mut left = self.one_label_filter()?;
        loop {
            let both = |l, r| LabelFilter::And(Box::new(l), Box::new(r));
            if self.is_name("and") && floor < AND {
                self.operator()?;
                left = both(left, self.nested(|p| p.label_filter_above(AND))?);
            } else if self.is_name("or") && floor < OR {
                self.operator()?;
                let right = self.nested(|p| p.label_filter_above(OR))?;
                left = LabelFilter::Or(Box::new(left), Box::new(right));
            } else if self.is_name("and") || self.is_name("or") {
                return Ok(left);
            } else if self.accept(",") || matches!(self.peek(), Token::Ident(_)) || self.is_sign("(") {
                return Ok(both(left, self.nested(|p| p.label_filter_above(0))?));
            } else {
                return Ok(left);
            }
        }
    }

    fn one_label_filter(&mut self) -> Parsed<LabelFilter> {
        if self.accept("(") {
            let inner = self.label_filter()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if !matches!(self.peek(), Token::Ident(_)) {
            return Err(self.unexpected(&["IDENTIFIER", "("]));
        }
        let is_ip = matches!(self.peek_at(2), Token::Ident(name) if name == "ip")
            && matches!(self.peek_at(1), Token::Sign("=" | "!="));
        match self.peek_at(2) {
            Token::Text(_) => self.matcher().map(LabelFilter::Text),
            _ if is_ip => self.ip_filter(),
            _ => self.comparison(),
        }
    }

    /// `a = ip("…")`
    fn ip_filter(&mut self) -> Parsed<LabelFilter> {
        let name = self.ident()?;
        let negated = self.advance() == Token::Sign("!=");
        Ok(LabelFilter::Ip { name, negated, pattern: self.ip_pattern()? })
    }

    /// `ip("…")`
    pub(super) fn ip_pattern(&mut self) -> Parsed<String> {
        self.next += 1;
        self.expect("(")?;
        let pattern = self.text()?;
        self.expect(")")?;
        Ok(pattern)
    }

    /// `a > 5`, `a <= 10MB`, `a == 1m`
    fn comparison(&mut self) -> Parsed<LabelFilter> {
        let name = self.ident()?;
        let op = match self.advance() {
            Token::Sign("=" | "==") => CompareOp::Eq,
            Token::Sign("!=") => CompareOp::Ne,
            Token::Sign("<") => CompareOp::Lt,
            Token::Sign("<=") => CompareOp::Le,
            Token::Sign(">") => CompareOp::Gt,
            Token::Sign(">=") => CompareOp::Ge,
            Token::Sign("=~" | "!~") => return Err(self.unexpected(&["STRING"])),
            _ => return Err(self.unexpected_last(&[])),
        };
        let pos = self.pos();
        let negative = self.accept("-");
        let sign = if negative { -1.0 } else { 1.0 };
        match self.advance() {
            Token::Number(text) => {
                let value = number_value(&text).map_err(|e| super::ParseError::at(self.query, pos, e))?;
                Ok(LabelFilter::Number(Compared { name, op, value: sign * value }))
            }
            Token::Duration(ns) => {
                let value = if negative { -ns } else { ns };
                Ok(LabelFilter::Duration(Compared { name, op, value }))
            }
            Token::Bytes(value) if !negative => Ok(LabelFilter::Bytes(Compared { name, op, value })),
            _ => Err(self.unexpected_last(&["BYTES", "NUMBER", "DURATION"])),
        }
    }
}
