//! Builds the syntax tree, with the checks and the messages of Go's `text/template/parse`: statements here,
//! expressions in [`expr`].

mod expr;

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;

use crate::{
    constant,
    lex::{Keyword, Kind, Token, tokens},
    node::{Branch, Node},
};

/// Why a text is no template.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// The name under which the text was parsed.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, in Go's words.
    pub message: String,
}

/// One named template.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The name of the text in which it stands (for error texts).
    pub parse_name: Arc<str>,
    /// The text in which it stands; positions count from its beginning.
    pub source: Arc<str>,
    pub root: Vec<Node>,
}

impl Tree {
    /// Whether it holds nothing but blanks: such a definition gives way to any other.
    pub fn is_empty(&self) -> bool {
        self.root.iter().all(|n| matches!(n, Node::Text(t) if t.trim().is_empty()))
    }
}

/// How deeply structures and parentheses may nest.
const MAX_NESTING: usize = 64;

/// The longest text that is taken for a template.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// Parses `source` and returns all templates it defines, its own under `name`.
pub(crate) fn parse(
    name: &str,
    source: &str,
    is_function: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Tree>, ParseError> {
    if source.len() > MAX_TEMPLATE_BYTES {
        let message = format!("template is longer than {MAX_TEMPLATE_BYTES} bytes");
        return Err(ParseError { name: name.to_owned(), line: 1, message });
    }
    let mut parser = Parser {
        name: Arc::from(name),
        source: Arc::from(source),
        tokens: tokens(source),
        at: 0,
        last_line: 1,
        action_line: None,
        vars: vec!["$".to_owned()],
        range_depth: 0,
        nesting: 0,
        trees: BTreeMap::new(),
        is_function,
    };
    let root = parser.top_level()?;
    parser.add(name.to_owned(), root)?;
    Ok(parser.trees)
}

struct Parser<'a> {
    name: Arc<str>,
    source: Arc<str>,
    tokens: Vec<Token>,
    at: usize,
    last_line: usize,
    action_line: Option<usize>,
    vars: Vec<String>,
    range_depth: usize,
    nesting: usize,
    trees: BTreeMap<String, Tree>,
    is_function: &'a dyn Fn(&str) -> bool,
}

/// What ends a list of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminator {
    End,
    /// `{{else}}`, or the `else` of `{{else if …`.
    Else,
}

impl Terminator {
    fn text(self) -> &'static str {
        match self {
            Terminator::End => "{{end}}",
            Terminator::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Terminator(Terminator),
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { name: self.name.to_string(), line: self.last_line, message: message.into() })
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.fail(format!("unexpected {} in {context}", token.describe()));
        }
        let mut message = token.text.clone();
        if let Some(line) = self.action_line.filter(|line| *line != token.line) {
            let extra = if message.ends_with(" action") { "" } else { " in action" };
            message.push_str(&format!("{extra} started at {}:{line}", self.name));
        }
        self.fail(message)
    }

    // The last token repeats for ever.

    fn peek(&mut self) -> Token {
        let token = self.tokens[self.at.min(self.tokens.len() - 1)].clone();
        self.last_line = token.line;
        token
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn peek_solid(&mut self) -> Token {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn next_solid(&mut self) -> Token {
        self.peek_solid();
        self.next()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_solid();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == MAX_NESTING {
            return self.fail(format!("nested more than {MAX_NESTING} levels deep"));
        }
        self.nesting += 1;
        let result = f(self);
        self.nesting -= 1;
        result
    }

    fn top_level(&mut self) -> Parsed<Vec<Node>> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            let begin = self.at;
            if self.peek().kind == Kind::LeftDelim {
                self.next();
                if self.next_solid().kind == Kind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.at = begin;
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Terminator(t) => return self.fail(format!("unexpected {}", t.text())),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let root = self.separate_body(CONTEXT)?;
        self.add(name, root)
    }

    /// The body of a `define` or `block`, which sees none of the variables around it.
    fn separate_body(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let vars = std::mem::replace(&mut self.vars, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (root, end) = self.deeper(Self::item_list)?;
        self.vars = vars;
        self.range_depth = range_depth;
        if end != Terminator::End {
            return self.fail(format!("unexpected {} in {context}", end.text()));
        }
        Ok(root)
    }

    fn add(&mut self, name: String, root: Vec<Node>) -> Parsed<()> {
        let tree = Tree { parse_name: self.name.clone(), source: self.source.clone(), root };
        match self.trees.get(&name) {
            Some(old) if !old.is_empty() => {
                if !tree.is_empty() {
                    let quoted = reba_model::float::go_quote(&name);
                    return self.fail(format!("template: multiple definition of template {quoted}"));
                }
            }
            _ => {
                self.trees.insert(name, tree);
            }
        }
        Ok(())
    }

    fn item_list(&mut self) -> Parsed<(Vec<Node>, Terminator)> {
        let mut list = Vec::new();
        while self.peek_solid().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Terminator(t) => return Ok((list, t)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_solid();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = Some(token.line);
                let item = self.action()?;
                self.action_line = None;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let begin = self.at;
        let token = self.next_solid();
        let Kind::Keyword(keyword) = token.kind else {
            self.at = begin;
            let pos = self.peek_solid().pos;
            let pipe = self.pipeline("command", Kind::RightDelim)?;
            return Ok(Item::Node(Node::Action { pos, pipe }));
        };
        Ok(match keyword {
            Keyword::Block => Item::Node(self.block(&token)?),
            Keyword::Break => {
                self.loop_control("{{break}}")?;
                Item::Node(Node::Break { pos: token.pos })
            }
            Keyword::Continue => {
                self.loop_control("{{continue}}")?;
                Item::Node(Node::Continue { pos: token.pos })
            }
            Keyword::Else => {
                let next = self.peek_solid();
                if !matches!(next.kind, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                Item::Terminator(Terminator::Else)
            }
            Keyword::End => {
                self.expect(Kind::RightDelim, "end")?;
                Item::Terminator(Terminator::End)
            }
            Keyword::If => Item::Node(Node::If(self.control("if")?)),
            Keyword::With => Item::Node(Node::With(self.control("with")?)),
            Keyword::Range => Item::Node(Node::Range(self.control("range")?)),
            Keyword::Template => Item::Node(self.template()?),
            Keyword::Define => return self.unexpected(&token, "command"),
        })
    }

    fn loop_control(&mut self, word: &str) -> Parsed<()> {
        let token = self.next_solid();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, word);
        }
        if self.range_depth == 0 {
            return self.fail(format!("{word} outside {{{{range}}}}"));
        }
        Ok(())
    }

    fn control(&mut self, context: &'static str) -> Parsed<Branch> {
        self.deeper(|p| p.control_inner(context))
    }

    fn control_inner(&mut self, context: &'static str) -> Parsed<Branch> {
        let vars = self.vars.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.range_depth += in_range;
        let (list, terminator) = self.item_list()?;
        self.range_depth -= in_range;
        let mut otherwise = None;
        if terminator == Terminator::Else {
            let chained = matches!(
                (context, self.peek().kind),
                ("if", Kind::Keyword(Keyword::If)) | ("with", Kind::Keyword(Keyword::With))
            );
            if chained {
                self.next();
                let inner = self.control(context)?;
                otherwise = Some(vec![if context == "if" { Node::If(inner) } else { Node::With(inner) }]);
            } else {
                let (list, end) = self.item_list()?;
                if end != Terminator::End {
                    return self.fail(format!("expected end; found {}", end.text()));
                }
                otherwise = Some(list);
            }
        }
        self.vars.truncate(vars);
        Ok(Branch { pos: pipe.pos, pipe, list, otherwise })
    }

    fn template(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        let begin = self.at;
        if self.next_solid().kind != Kind::RightDelim {
            self.at = begin;
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        let quoted = reba_model::float::go_quote(&name);
        Ok(Node::Template { pos: token.pos, name, quoted, pipe })
    }

    fn block(&mut self, _keyword: &Token) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_solid();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let root = self.separate_body(CONTEXT)?;
        self.add(name.clone(), root)?;
        let quoted = reba_model::float::go_quote(&name);
        Ok(Node::Template { pos: token.pos, name, quoted, pipe: Some(pipe) })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::String | Kind::RawString => {
                constant::unquote(&token.text).or_else(|message| self.fail(message))
            }
            _ => self.unexpected(token, context),
        }
    }
}
