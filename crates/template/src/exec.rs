//! Runs a template, with the rules and the messages of Go's `text/template`.

use std::collections::BTreeMap;

use reba_model::float::go_quote;
use thiserror::Error;

use crate::{
    builtin,
    function::{Functions, Param},
    node::{Branch, Command, Node, Number, Operand, Pipe},
    parse::{self, ParseError, Tree},
    print,
    value::Value,
};

/// What a missing key of a map gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// Nothing, printed as `<no value>`, even from a map of texts.
    #[default]
    Invalid,
    /// The zero of the map's element type: empty text from a map of texts, else nothing.
    Zero,
    /// An error.
    Error,
}

/// What one execution may use. Templates come from outside: none of them may hang or explode.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of output, and of any text on the way.
    pub output_bytes: usize,
    /// Statements, calls and iterations; long arguments count more.
    pub steps: u64,
    /// Structures and templates inside each other.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { output_bytes: 1 << 20, steps: 1_000_000, depth: 100 }
    }
}

/// How to execute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Missing keys.
    pub missing_key: MissingKey,
    /// Limits.
    pub limits: Limits,
}

/// Why an execution stopped: a complete message in Go's form.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ExecError(pub String);

/// A parsed template with all the templates it defines. Immutable: parse once, execute often.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    trees: BTreeMap<String, Tree>,
}

impl Template {
    /// Parses `source`; names of functions must be in `functions` or be Go's builtins.
    pub fn parse(name: &str, source: &str, functions: &Functions) -> Result<Self, ParseError> {
        let mut template = Template { name: name.to_owned(), trees: BTreeMap::new() };
        template.add(name, source, functions)?;
        Ok(template)
    }

    /// Adds the definitions of one more text (a file of templates); they replace earlier ones of the same name.
    pub fn add(&mut self, name: &str, source: &str, functions: &Functions) -> Result<(), ParseError> {
        let known = |f: &str| functions.get(f).is_some() || builtin::signature(f).is_some();
        self.trees.extend(parse::parse(name, source, &known)?);
        Ok(())
    }

    /// Executes the template and returns its output.
    pub fn execute(
        &self,
        data: &Value,
        functions: &Functions,
        options: &Options,
    ) -> Result<String, ExecError> {
        self.execute_named(&self.name, data, functions, options)
    }

    /// Executes one of the templates defined in it.
    pub fn execute_named(
        &self,
        name: &str,
        data: &Value,
        functions: &Functions,
        options: &Options,
    ) -> Result<String, ExecError> {
        let tree = self.trees.get(name).ok_or_else(|| {
            let (this, name) = (go_quote(&self.name), go_quote(name));
            ExecError(format!("template: no template {name} associated with template {this}"))
        })?;
        let mut run = Run {
            template: self,
            functions,
            options,
            tree,
            name,
            at: At::Nothing,
            vars: vec![("$".to_owned(), data.clone())],
            out: String::new(),
            steps: options.limits.steps,
            depth: 0,
        };
        match run.list(data, &tree.root) {
            Ok(()) | Err(Stop::Break | Stop::Continue) => Ok(run.out),
            Err(Stop::Failed(message)) => Err(ExecError(message)),
        }
    }
}

/// What is being executed, for error texts.
#[derive(Clone, Copy)]
enum At<'t> {
    Nothing,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Operand(&'t Operand),
}

/// Why a list of statements was left early.
enum Stop {
    Break,
    Continue,
    Failed(String),
}

type Ran<T> = Result<T, Stop>;

/// The arguments of a call: words of the template, and the value from the pipeline.
#[derive(Clone, Copy)]
struct Args<'t, 'v> {
    words: &'t [Operand],
    last: Option<&'v Value>,
}

impl Args<'_, '_> {
    const NONE: Args<'static, 'static> = Args { words: &[], last: None };

    fn count(self) -> usize {
        self.words.len() + usize::from(self.last.is_some())
    }
}

/// What Go knows statically of a value on the way through `.a.b.c`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typing {
    /// Its own type.
    Own,
    /// Only that it is an `interface {}`: the element of a map of anything.
    Interface,
}

struct Run<'t> {
    template: &'t Template,
    functions: &'t Functions,
    options: &'t Options,
    tree: &'t Tree,
    name: &'t str,
    at: At<'t>,
    vars: Vec<(String, Value)>,
    out: String,
    steps: u64,
    depth: u32,
}

impl<'t> Run<'t> {
    fn fail<T>(&self, message: impl AsRef<str>) -> Ran<T> {
        let message = message.as_ref();
        let (pos, context) = match self.at {
            At::Nothing => return Err(Stop::Failed(format!("template: {}: {message}", self.name))),
            At::Node(n) => (n.pos(), n.to_string()),
            At::Pipe(p) => (p.pos, p.to_string()),
            At::Command(c) => (c.pos, c.to_string()),
            At::Operand(o) => (o.pos(), o.to_string()),
        };
        let before = self.tree.source.get(..pos).unwrap_or("");
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        Err(Stop::Failed(format!(
            "template: {}:{line}:{column}: executing {} at <{context}>: {message}",
            self.tree.parse_name,
            go_quote(self.name),
        )))
    }

    fn spend(&mut self, steps: u64) -> Ran<()> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => self.fail(format!("exceeded {} steps", self.options.limits.steps)),
        }
    }

    /// Runs `f` one level deeper.
    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Ran<T>) -> Ran<T> {
        if self.depth == self.options.limits.depth {
            return self.fail(format!("exceeded maximum template depth ({})", self.options.limits.depth));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn write(&mut self, text: &str) -> Ran<()> {
        let limit = self.options.limits.output_bytes;
        if self.out.len() + text.len() > limit {
            return self.fail(format!("output is longer than {limit} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    // Statements.

    fn list(&mut self, dot: &Value, nodes: &'t [Node]) -> Ran<()> {
        nodes.iter().try_for_each(|node| self.node(dot, node))
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Ran<()> {
        self.spend(1)?;
        self.at = At::Node(node);
        match node {
            Node::Text(text) => self.write(text),
            Node::Action { pipe, .. } => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.declares.is_empty() {
                    self.at = At::Node(node);
                    self.print(&value)?;
                }
                Ok(())
            }
            Node::Break { .. } => Err(Stop::Break),
            Node::Continue { .. } => Err(Stop::Continue),
            Node::If(branch) => self.scoped(|run| run.branch(dot, branch, false)),
            Node::With(branch) => self.scoped(|run| run.branch(dot, branch, true)),
            Node::Range(branch) => self.scoped(|run| match run.range(dot, branch) {
                Err(Stop::Break) => Ok(()),
                other => other,
            }),
            Node::Template { name, pipe, .. } => {
                self.deeper(|run| run.call_template(dot, name, pipe.as_ref()))
            }
        }
    }

    fn print(&mut self, value: &Value) -> Ran<()> {
        let room = self.options.limits.output_bytes - self.out.len();
        match value {
            Value::Nil => self.write(builtin::NO_VALUE),
            Value::String(s) => self.write(s),
            other => match print::sprint(std::slice::from_ref(other), room) {
                Ok(text) => {
                    self.spend(text.len() as u64 / 64)?;
                    self.write(&text)
                }
                Err(print::TooLong) => {
                    self.fail(format!("output is longer than {} bytes", self.options.limits.output_bytes))
                }
            },
        }
    }

    /// Runs `f` one level deeper and forgets the variables it declares.
    fn scoped(&mut self, f: impl FnOnce(&mut Self) -> Ran<()>) -> Ran<()> {
        let mark = self.vars.len();
        let result = self.deeper(f);
        self.vars.truncate(mark);
        result
    }

    fn branch(&mut self, dot: &Value, branch: &'t Branch, with: bool) -> Ran<()> {
        let value = self.pipeline(dot, &branch.pipe)?;
        if value.truth() {
            self.list(if with { &value } else { dot }, &branch.list)
        } else {
            branch.otherwise.as_ref().map_or(Ok(()), |list| self.list(dot, list))
        }
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Ran<()> {
        let value = self.pipeline(dot, &branch.pipe)?;
        let mut ran = false;
        match value.plain() {
            Value::List(list) => {
                for (i, item) in list.items.iter().enumerate() {
                    ran = true;
                    self.iteration(branch, Value::Int(i as i64), item.clone())?;
                }
            }
            Value::StringMap(map) => {
                for (key, item) in map.iter() {
                    ran = true;
                    self.iteration(branch, Value::from(key.as_str()), Value::from(item.as_str()))?;
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    ran = true;
                    self.iteration(branch, Value::from(key.as_str()), item.clone())?;
                }
            }
            Value::Int(n) => {
                if branch.pipe.declares.len() > 1 {
                    return self.fail(format!("can't use {n} to iterate over more than one variable"));
                }
                for i in 0..n {
                    ran = true;
                    self.iteration(branch, Value::Nil, Value::Int(i))?;
                }
            }
            Value::Nil => {}
            other => {
                let text = print::sprint(&[other], 4096).unwrap_or_default();
                return self.fail(format!("range can't iterate over {text}"));
            }
        }
        match &branch.otherwise {
            Some(list) if !ran => self.list(dot, list),
            _ => Ok(()),
        }
    }

    fn iteration(&mut self, branch: &'t Branch, index: Value, item: Value) -> Ran<()> {
        self.spend(1)?;
        let pipe = &branch.pipe;
        let (for_index, for_item) = match pipe.declares.as_slice() {
            [] => (None, None),
            [item] => (None, Some(item)),
            [index, item, ..] => (Some(index), Some(item)),
        };
        let mark = self.vars.len();
        for (variable, value) in [(for_index, &index), (for_item, &item)] {
            match variable {
                Some(name) if pipe.is_assign => self.assign(name, value.clone())?,
                Some(name) => self.vars.push((name.clone(), value.clone())),
                None => {}
            }
        }
        let result = self.list(&item, &branch.list);
        self.vars.truncate(mark);
        match result {
            Err(Stop::Continue) => Ok(()),
            other => other,
        }
    }

    fn call_template(&mut self, dot: &Value, name: &'t str, pipe: Option<&'t Pipe>) -> Ran<()> {
        let Some(tree) = self.template.trees.get(name) else {
            return self.fail(format!("template {} not defined", go_quote(name)));
        };
        let data = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        let vars = std::mem::replace(&mut self.vars, vec![("$".to_owned(), data.clone())]);
        let outer = (self.tree, self.name);
        (self.tree, self.name) = (tree, name);
        let result = self.list(&data, &tree.root);
        (self.tree, self.name) = outer;
        self.vars = vars;
        result
    }

    // Expressions.

    fn assign(&mut self, name: &str, value: Value) -> Ran<()> {
        match self.vars.iter_mut().rev().find(|(n, _)| n == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Ran<Value> {
        self.at = At::Pipe(pipe);
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value.as_ref())?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.declares {
            if pipe.is_assign {
                self.assign(name, value.clone())?;
            } else {
                self.vars.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<&Value>) -> Ran<Value> {
        let Some((first, words)) = command.args.split_first() else { return self.fail("empty command") };
        let args = Args { words, last };
        match first {
            Operand::Field { .. } | Operand::Chain { .. } | Operand::Variable { .. } => {
                self.reference(dot, first, args)
            }
            Operand::Identifier { name, .. } => {
                self.at = At::Operand(first);
                self.function(dot, name, At::Command(command), args)
            }
            Operand::Pipe(pipe) => {
                self.no_arguments(first, args)?;
                self.deeper(|run| run.pipeline(dot, pipe))
            }
            literal => {
                self.at = At::Operand(first);
                self.no_arguments(first, args)?;
                match literal {
                    Operand::Nil { .. } => self.fail("nil is not a command"),
                    _ => self.literal(dot, literal),
                }
            }
        }
    }

    fn no_arguments(&self, first: &Operand, args: Args<'_, '_>) -> Ran<()> {
        if args.count() == 0 {
            return Ok(());
        }
        let text = match first {
            Operand::Pipe(p) => p.to_string(),
            other => other.to_string(),
        };
        self.fail(format!("can't give argument to non-function {text}"))
    }

    /// A constant, or the dot.
    fn literal(&self, dot: &Value, operand: &Operand) -> Ran<Value> {
        Ok(match operand {
            Operand::Bool { value, .. } => Value::Bool(*value),
            Operand::Dot { .. } => dot.clone(),
            Operand::Number { value: Number::Int(i), .. } => Value::Int(*i),
            Operand::Number { value: Number::Float(f), .. } => Value::Float(*f),
            Operand::Number { text, .. } => return self.fail(format!("{text} overflows int")),
            Operand::String { text, .. } => Value::from(text.as_str()),
            _ => Value::Nil,
        })
    }

    /// `.a.b`, `$x.a`, `(…).a`: the last name may be a method and takes the arguments.
    fn reference(&mut self, dot: &Value, operand: &'t Operand, args: Args<'t, '_>) -> Ran<Value> {
        self.at = At::Operand(operand);
        let (mut value, names) = match operand {
            Operand::Field { names, .. } => (dot.clone(), names.as_slice()),
            Operand::Chain { of, names, .. } => {
                if matches!(**of, Operand::Nil { .. }) {
                    return self.fail(format!("indirection through explicit nil in {operand}"));
                }
                (self.argument(dot, of, Param::Any)?, names.as_slice())
            }
            Operand::Variable { names, .. } => {
                let (variable, names) = names.split_first().map_or(("$", &[][..]), |(v, n)| (v.as_str(), n));
                let value = match self.vars.iter().rev().find(|(n, _)| n == variable) {
                    Some((_, value)) => value.clone(),
                    None => return self.fail(format!("undefined variable: {variable}")),
                };
                if names.is_empty() {
                    self.no_arguments(operand, args)?;
                }
                (value, names)
            }
            _ => return self.literal(dot, operand),
        };
        let Some((last, before)) = names.split_last() else { return Ok(value) };
        let mut typing = Typing::Own;
        for name in before {
            (value, typing) = self.field(dot, (&value, typing), name, operand, Args::NONE)?;
        }
        Ok(self.field(dot, (&value, typing), last, operand, args)?.0)
    }

    fn field(
        &mut self,
        dot: &Value,
        (receiver, typing): (&Value, Typing),
        name: &str,
        node: &'t Operand,
        args: Args<'t, '_>,
    ) -> Ran<(Value, Typing)> {
        self.spend(1)?;
        if matches!(receiver, Value::Nil) {
            if typing == Typing::Interface {
                return self.fail(format!("nil pointer evaluating interface {{}}.{name}"));
            }
            if self.options.missing_key == MissingKey::Error {
                return self.fail(format!("nil data; no entry for key {}", go_quote(name)));
            }
            return Ok((Value::Nil, Typing::Own));
        }
        if let Value::Object(object) = receiver {
            let place = self.at;
            let values = self.arguments(dot, args, &[], Some(Param::Any))?;
            if let Some(result) = object.method(name, &values) {
                return match result {
                    Ok(value) => Ok((value, Typing::Own)),
                    Err(message) => {
                        self.at = At::Operand(node);
                        self.fail(format!("error calling {name}: {message}"))
                    }
                };
            }
            self.at = place;
            if let Some(value) = object.field(name) {
                if args.count() > 0 {
                    return self.fail(format!("{name} has arguments but cannot be invoked as function"));
                }
                return Ok((value, Typing::Own));
            }
        }
        let mut element = Typing::Own;
        let found = match receiver.plain() {
            Value::StringMap(map) => map.get(name).map(|v| Value::from(v.as_str())).ok_or(Value::from("")),
            Value::Map(map) => {
                element = Typing::Interface;
                map.entries.get(name).cloned().ok_or(Value::Nil)
            }
            _ => {
                let known = if typing == Typing::Interface { "interface {}" } else { receiver.type_name() };
                return self.fail(format!("can't evaluate field {name} in type {known}"));
            }
        };
        if args.count() > 0 {
            return self.fail(format!("{name} is not a method but has arguments"));
        }
        match (found, self.options.missing_key) {
            (Ok(value), _) => Ok((value, element)),
            (Err(zero), MissingKey::Zero) => Ok((zero, element)),
            (Err(_), MissingKey::Invalid) => Ok((Value::Nil, Typing::Own)),
            (Err(_), MissingKey::Error) => self.fail(format!("map has no entry for key {}", go_quote(name))),
        }
    }

    fn function(&mut self, dot: &Value, name: &'t str, node: At<'t>, args: Args<'t, '_>) -> Ran<Value> {
        let (params, rest, cost) = if let Some(f) = self.functions.get(name) {
            (f.params.as_slice(), f.rest, f.cost)
        } else if let Some((params, rest)) = builtin::signature(name) {
            (params, rest, 1)
        } else {
            return self.fail(format!("{} is not a defined function", go_quote(name)));
        };
        let own = self.functions.get(name);
        let count = args.count();
        if rest.is_some() && count < params.len() {
            let (want, got) = (params.len(), args.words.len());
            return self.fail(format!("wrong number of args for {name}: want at least {want} got {got}"));
        }
        if rest.is_none() && count != params.len() {
            let want = params.len();
            return self.fail(format!("wrong number of args for {name}: want {want} got {count}"));
        }
        if own.is_none() && matches!(name, "and" | "or") {
            return self.short_circuit(dot, name == "or", args);
        }
        let values = self.arguments(dot, args, params, rest)?;
        self.spend(cost + values.iter().map(Value::weight).sum::<usize>() as u64 / 64)?;
        let limit = self.options.limits.output_bytes;
        let result = match own {
            Some(f) => (f.body)(&values),
            None => builtin::call(name, &values, limit),
        };
        let checked = result.and_then(|value| match &value {
            Value::String(s) if s.len() > limit => Err(builtin::too_long(limit)),
            v if v.depth() > MAX_VALUE_DEPTH => Err("value is nested too deeply".to_owned()),
            _ => Ok(value),
        });
        match checked {
            Ok(value) => Ok(value),
            Err(message) => {
                self.at = node;
                self.fail(format!("error calling {name}: {message}"))
            }
        }
    }

    /// `and` and `or` look at no more arguments than they must.
    fn short_circuit(&mut self, dot: &Value, is_or: bool, args: Args<'t, '_>) -> Ran<Value> {
        let mut value = Value::Nil;
        for word in args.words {
            value = self.argument(dot, word, Param::Any)?;
            if value.truth() == is_or {
                return Ok(value);
            }
        }
        Ok(args.last.cloned().unwrap_or(value))
    }

    fn arguments(
        &mut self,
        dot: &Value,
        args: Args<'t, '_>,
        params: &[Param],
        rest: Option<Param>,
    ) -> Ran<Vec<Value>> {
        let param = |i: usize| params.get(i).copied().or(rest).unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(args.count());
        for (i, word) in args.words.iter().enumerate() {
            values.push(self.argument(dot, word, param(i))?);
        }
        if let Some(last) = args.last {
            values.push(self.accept(last.clone(), param(values.len()))?);
        }
        Ok(values)
    }

    fn argument(&mut self, dot: &Value, word: &'t Operand, param: Param) -> Ran<Value> {
        self.spend(1)?;
        self.at = At::Operand(word);
        let value = match word {
            Operand::Field { .. } | Operand::Variable { .. } | Operand::Chain { .. } => {
                self.reference(dot, word, Args::NONE)?
            }
            Operand::Pipe(pipe) => self.deeper(|run| run.pipeline(dot, pipe))?,
            Operand::Identifier { name, .. } => self.function(dot, name, At::Operand(word), Args::NONE)?,
            Operand::Nil { .. } => match param {
                Param::Any => return Ok(Value::Nil),
                typed => return self.fail(format!("cannot assign nil to {}", typed.type_name())),
            },
            Operand::Dot { .. } => dot.clone(),
            literal => {
                let value = self.literal(dot, literal)?;
                let expected = match (param, &value) {
                    (Param::Any, _) | (Param::Text, Value::String(_)) | (Param::Int, Value::Int(_)) => None,
                    (Param::Text, _) => Some("string"),
                    (Param::Int, _) => Some("integer"),
                    (Param::Of(name), _) => {
                        return self.fail(format!("can't handle {literal} for arg of type {name}"));
                    }
                };
                return match expected {
                    None => Ok(value),
                    Some(what) => self.fail(format!("expected {what}; found {literal}")),
                };
            }
        };
        self.accept(value, param)
    }

    /// Checks a value against the type of a parameter.
    fn accept(&self, value: Value, param: Param) -> Ran<Value> {
        let fits = match param {
            Param::Any => true,
            Param::Text => matches!(value, Value::String(_)),
            Param::Int => matches!(value, Value::Int(_)),
            Param::Of(name) => value.type_name() == name,
        };
        if fits {
            return Ok(value);
        }
        let expected = param.type_name();
        match value {
            Value::Nil => self.fail(format!("invalid value; expected {expected}")),
            other => {
                self.fail(format!("wrong type for value; expected {expected}; got {}", other.type_name()))
            }
        }
    }
}

/// Lists and maps that functions build may nest as deeply.
const MAX_VALUE_DEPTH: u32 = 32;
