//! The syntax tree of a template, which prints as Go prints it in error texts.

use std::fmt;

/// A statement.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(String),
    Action { pos: usize, pipe: Pipe },
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: usize, name: String, quoted: String, pipe: Option<Pipe> },
    Break { pos: usize },
    Continue { pos: usize },
}

/// `if`, `with` and `range`.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub pos: usize,
    pub pipe: Pipe,
    pub list: Vec<Node>,
    pub otherwise: Option<Vec<Node>>,
}

/// `$x := a | b c`
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub pos: usize,
    pub declares: Vec<String>,
    pub is_assign: bool,
    pub commands: Vec<Command>,
}

/// A function or operand with its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub pos: usize,
    pub args: Vec<Operand>,
}

/// A constant of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
    /// Fits 64 bits, but not Go's `int`.
    Overflow,
}

/// One word of a command.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Bool { pos: usize, value: bool },
    Dot { pos: usize },
    Nil { pos: usize },
    Number { pos: usize, text: String, value: Number },
    String { pos: usize, quoted: String, text: String },
    Field { pos: usize, names: Vec<String> },
    Variable { pos: usize, names: Vec<String> },
    Identifier { pos: usize, name: String },
    Chain { pos: usize, of: Box<Operand>, names: Vec<String> },
    Pipe(Pipe),
}

impl Node {
    pub fn pos(&self) -> usize {
        match self {
            Node::Text(_) => 0,
            Node::Action { pos, .. }
            | Node::Template { pos, .. }
            | Node::Break { pos }
            | Node::Continue { pos } => *pos,
            Node::If(b) | Node::With(b) | Node::Range(b) => b.pos,
        }
    }
}

impl Operand {
    pub fn pos(&self) -> usize {
        match self {
            Operand::Bool { pos, .. }
            | Operand::Dot { pos }
            | Operand::Nil { pos }
            | Operand::Number { pos, .. }
            | Operand::String { pos, .. }
            | Operand::Field { pos, .. }
            | Operand::Variable { pos, .. }
            | Operand::Identifier { pos, .. }
            | Operand::Chain { pos, .. } => *pos,
            Operand::Pipe(p) => p.pos,
        }
    }

    /// Whether it may not stand first in a later stage of a pipeline.
    pub fn is_literal(&self) -> bool {
        matches!(
            self,
            Operand::Bool { .. }
                | Operand::Dot { .. }
                | Operand::Nil { .. }
                | Operand::Number { .. }
                | Operand::String { .. }
        )
    }
}

fn list(f: &mut fmt::Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    nodes.iter().try_for_each(|n| fmt::Display::fmt(n, f))
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let branch = |f: &mut fmt::Formatter<'_>, word: &str, b: &Branch| {
            write!(f, "{{{{{word} {}}}}}", b.pipe)?;
            list(f, &b.list)?;
            if let Some(otherwise) = &b.otherwise {
                f.write_str("{{else}}")?;
                list(f, otherwise)?;
            }
            f.write_str("{{end}}")
        };
        match self {
            Node::Text(text) => f.write_str(text),
            Node::Action { pipe, .. } => write!(f, "{{{{{pipe}}}}}"),
            Node::If(b) => branch(f, "if", b),
            Node::With(b) => branch(f, "with", b),
            Node::Range(b) => branch(f, "range", b),
            Node::Template { quoted, pipe: Some(pipe), .. } => write!(f, "{{{{template {quoted} {pipe}}}}}"),
            Node::Template { quoted, pipe: None, .. } => write!(f, "{{{{template {quoted}}}}}"),
            Node::Break { .. } => f.write_str("{{break}}"),
            Node::Continue { .. } => f.write_str("{{continue}}"),
        }
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.declares.is_empty() {
            f.write_str(&self.declares.join(", "))?;
            f.write_str(if self.is_assign { " = " } else { " := " })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match arg {
                Operand::Pipe(p) => write!(f, "({p})")?,
                other => other.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Bool { value, .. } => value.fmt(f),
            Operand::Dot { .. } => f.write_str("."),
            Operand::Nil { .. } => f.write_str("nil"),
            Operand::Number { text, .. } => f.write_str(text),
            Operand::String { quoted, .. } => f.write_str(quoted),
            Operand::Field { names, .. } => names.iter().try_for_each(|n| write!(f, ".{n}")),
            Operand::Variable { names, .. } => f.write_str(&names.join(".")),
            Operand::Identifier { name, .. } => f.write_str(name),
            Operand::Chain { of, names, .. } => {
                match of.as_ref() {
                    Operand::Pipe(p) => write!(f, "({p})")?,
                    other => other.fmt(f)?,
                }
                names.iter().try_for_each(|n| write!(f, ".{n}"))
            }
            Operand::Pipe(p) => p.fmt(f),
        }
    }
}
