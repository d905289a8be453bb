//! Pipelines, commands, references, calls.

use reba_model::float::go_quote;

use super::{At, Ran, Run};
use crate::{
    builtin,
    function::Param,
    node::{Command, Number, Operand, Pipe},
    template::MissingKey,
    value::Value,
};

/// Lists and maps that functions build may nest as deeply.
const MAX_VALUE_DEPTH: u32 = 32;

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

impl<'t> Run<'t> {
    pub(super) fn assign(&mut self, name: &str, value: Value) -> Ran<()> {
        match self.vars.iter_mut().rev().find(|(n, _)| n == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    pub(super) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Ran<Value> {
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
