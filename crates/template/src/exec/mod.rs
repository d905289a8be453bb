//! Runs a template, with the rules and the messages of Go's `text/template`: statements here, expressions in [`expr`].

mod expr;

use reba_model::float::go_quote;

use crate::{
    builtin,
    function::Functions,
    html::{Content, Context},
    node::{Branch, Command, Node, Operand, Pipe},
    parse::Tree,
    print,
    template::{Options, Template},
    value::Value,
};

/// Executes one tree of `template`; the error is a complete message.
pub(crate) fn run(
    template: &Template,
    (name, tree): (&str, &Tree),
    data: &Value,
    functions: &Functions,
    options: &Options,
    html: bool,
) -> Result<String, String> {
    let mut run = Run {
        template,
        functions,
        options,
        tree,
        name,
        at: At::Nothing,
        vars: vec![("$".to_owned(), data.clone())],
        out: String::new(),
        html: html.then(Context::new),
        steps: options.limits.steps,
        depth: 0,
    };
    match run.list(data, &tree.root) {
        Ok(()) | Err(Stop::Break | Stop::Continue) => Ok(run.out),
        Err(Stop::Failed(message)) => Err(message),
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

struct Run<'t> {
    template: &'t Template,
    functions: &'t Functions,
    options: &'t Options,
    tree: &'t Tree,
    name: &'t str,
    at: At<'t>,
    vars: Vec<(String, Value)>,
    out: String,
    /// Where in the page it writes, if the output is HTML.
    html: Option<Context>,
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

    fn list(&mut self, dot: &Value, nodes: &'t [Node]) -> Ran<()> {
        nodes.iter().try_for_each(|node| self.node(dot, node))
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Ran<()> {
        self.spend(1)?;
        self.at = At::Node(node);
        match node {
            Node::Text(text) => self.text(text),
            Node::Action { pipe, .. } => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.declares.is_empty() {
                    self.at = At::Node(node);
                    if self.html.is_some() {
                        return self.print_html(&value, pipe);
                    }
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

    /// Writes a text of the template.
    fn text(&mut self, text: &str) -> Ran<()> {
        let Some(context) = &mut self.html else { return self.write(text) };
        let mut shown = String::with_capacity(text.len());
        context.text(text, &mut shown);
        self.write(&shown)
    }

    /// Prints a value into a page, made safe for the place where it stands.
    fn print_html(&mut self, value: &Value, pipe: &Pipe) -> Ran<()> {
        let limit = self.options.limits.output_bytes;
        let Ok((text, kind)) = Content::of(value, limit - self.out.len()) else {
            return self.fail(format!("output is longer than {limit} bytes"));
        };
        self.spend(text.len() as u64 / 64)?;
        let escaper = pipe.commands.last().and_then(|c| match c.args.first() {
            Some(Operand::Identifier { name, .. }) => Some(name.as_str()),
            _ => None,
        });
        let Some(context) = &mut self.html else { return Ok(()) };
        let shown = context.action(&text, kind, escaper);
        self.write(&shown)
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
}
