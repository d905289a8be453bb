//! Pipelines, commands, operands.

use super::{Parsed, Parser};
use crate::{
    constant,
    lex::Kind,
    node::{Command, Operand, Pipe},
};

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_solid().pos;
        let mut pipe = Pipe { pos, declares: Vec::new(), is_assign: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let begin = self.at;
            let token = self.next_solid();
            match token.kind {
                kind if kind == end => {
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.at = begin;
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// `$x :=`, `$x =`, `$i, $x :=` at the beginning of a pipeline.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            self.peek_solid();
            let begin = self.at;
            if self.peek().kind != Kind::Variable {
                return Ok(());
            }
            let variable = self.next().text;
            let next = self.peek_solid();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next();
                    pipe.is_assign = next.kind == Kind::Assign;
                    pipe.declares.push(variable.clone());
                    self.vars.push(variable);
                    return Ok(());
                }
                Kind::Comma => {
                    self.next();
                    pipe.declares.push(variable.clone());
                    self.vars.push(variable);
                    if context != "range" || pipe.declares.len() >= 2 {
                        return self.fail(format!("too many declarations in {context}"));
                    }
                    let follows = self.peek_solid().kind;
                    if !matches!(follows, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.fail("range can only initialize variables");
                    }
                }
                _ => {
                    self.at = begin;
                    return Ok(());
                }
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            if command.args.first().is_some_and(Operand::is_literal) {
                return self.fail(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { pos: self.peek_solid().pos, args: Vec::new() };
        loop {
            self.peek_solid();
            if let Some(operand) = self.operand()? {
                command.args.push(operand);
            }
            let begin = self.at;
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.at = begin;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if command.args.is_empty() {
            return self.fail("empty command");
        }
        Ok(command)
    }

    /// A term with the fields that follow it without a blank.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut more = Vec::new();
        while self.peek().kind == Kind::Field {
            more.push(self.next().text[1..].to_owned());
        }
        let pos = first.pos;
        Ok(Some(match term {
            Operand::Field { mut names, .. } => {
                names.append(&mut more);
                Operand::Field { pos, names }
            }
            Operand::Variable { mut names, .. } => {
                names.append(&mut more);
                Operand::Variable { pos, names }
            }
            literal if literal.is_literal() => {
                let quoted = reba_model::float::go_quote(&literal.to_string());
                return self.fail(format!("unexpected . after term {quoted}"));
            }
            other => Operand::Chain { pos, of: Box::new(other), names: more },
        }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let begin = self.at;
        let token = self.next_solid();
        let pos = token.pos;
        Ok(Some(match token.kind {
            Kind::Identifier => {
                if !(self.is_function)(&token.text) {
                    let quoted = reba_model::float::go_quote(&token.text);
                    return self.fail(format!("function {quoted} not defined"));
                }
                Operand::Identifier { pos, name: token.text }
            }
            Kind::Dot => Operand::Dot { pos },
            Kind::Nil => Operand::Nil { pos },
            Kind::Variable => {
                if !self.vars.contains(&token.text) {
                    let quoted = reba_model::float::go_quote(&token.text);
                    return self.fail(format!("undefined variable {quoted}"));
                }
                Operand::Variable { pos, names: vec![token.text] }
            }
            Kind::Field => Operand::Field { pos, names: vec![token.text[1..].to_owned()] },
            Kind::Bool => Operand::Bool { pos, value: token.text == "true" },
            Kind::Char | Kind::Number => {
                let value = constant::number(&token.text).or_else(|message| self.fail(message))?;
                Operand::Number { pos, text: token.text, value }
            }
            Kind::String | Kind::RawString => {
                let text = constant::unquote(&token.text).or_else(|message| self.fail(message))?;
                Operand::String { pos, quoted: token.text, text }
            }
            Kind::LeftParen => {
                Operand::Pipe(self.deeper(|p| p.pipeline("parenthesized pipeline", Kind::RightParen))?)
            }
            _ => {
                self.at = begin;
                return Ok(None);
            }
        }))
    }
}
