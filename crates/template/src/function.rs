//! The functions that templates may call, as a value.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::value::Value;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// Anything.
    Any,
    /// `string`
    Text,
    /// `int`
    Int,
    /// An object whose [`crate::Object::type_name`] is this one.
    Of(&'static str),
}

impl Param {
    /// The Go type, as error texts name it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::Text => "string",
            Param::Int => "int",
            Param::Of(name) => name,
        }
    }
}

type Body = dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync;

/// One function.
#[derive(Clone)]
pub struct Function {
    pub(crate) params: Vec<Param>,
    /// What further arguments are; `None` if there may be none.
    pub(crate) rest: Option<Param>,
    /// Steps of the budget that one call costs.
    pub(crate) cost: u64,
    pub(crate) body: Arc<Body>,
}

/// A table of functions. Cloning is cheap enough for once a template; the bodies are shared.
#[derive(Clone, Default)]
pub struct Functions {
    table: BTreeMap<&'static str, Function>,
}

impl Functions {
    /// An empty table. Go's builtins are always there besides.
    pub fn new() -> Self {
        Functions::default()
    }

    /// Adds a function of a fixed number of arguments; one of the same name is replaced.
    pub fn add(
        &mut self,
        name: &'static str,
        params: &[Param],
        body: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> &mut Self {
        let function = Function { params: params.to_vec(), rest: None, cost: 1, body: Arc::new(body) };
        self.table.insert(name, function);
        self
    }

    /// Lets the function just named take any number of further arguments of one kind.
    pub fn variadic(&mut self, name: &'static str, rest: Param) -> &mut Self {
        if let Some(f) = self.table.get_mut(name) {
            f.rest = Some(rest);
        }
        self
    }

    /// Sets how many steps of the budget one call costs (1 unless told otherwise).
    pub fn cost(&mut self, name: &'static str, steps: u64) -> &mut Self {
        if let Some(f) = self.table.get_mut(name) {
            f.cost = steps;
        }
        self
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.table.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.table.keys().copied()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.keys()).finish()
    }
}
