//! Templates as hosts see them: parse, execute, limits.

use std::{collections::BTreeMap, sync::Arc};

use reba_model::float::go_quote;
use thiserror::Error;

use crate::{
    builtin, exec,
    function::Functions,
    parse::{self, ParseError, Tree},
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

/// A parsed template with all the templates it defines: parse once, execute often. A clone shares what is parsed.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    pub(crate) trees: BTreeMap<String, Arc<Tree>>,
}

impl Template {
    /// Parses `source`; names of functions must be in `functions` or be Go's builtins.
    pub fn parse(name: &str, source: &str, functions: &Functions) -> Result<Self, ParseError> {
        let mut template = Template { name: name.to_owned(), trees: BTreeMap::new() };
        template.add(name, source, functions)?;
        Ok(template)
    }

    /// No template yet; texts are added.
    pub fn empty() -> Self {
        Template { name: String::new(), trees: BTreeMap::new() }
    }

    /// Adds the definitions of one more text (a file of templates); they replace earlier ones of the same name, except those
    /// that hold nothing but blanks, which replace nothing.
    pub fn add(&mut self, name: &str, source: &str, functions: &Functions) -> Result<(), ParseError> {
        let known = |f: &str| functions.get(f).is_some() || builtin::signature(f).is_some();
        for (name, tree) in parse::parse(name, source, &known)? {
            if !tree.is_empty() || !self.trees.contains_key(&name) {
                self.trees.insert(name, Arc::new(tree));
            }
        }
        Ok(())
    }

    /// The names of all templates it defines, its own included, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.trees.keys().map(String::as_str)
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
        self.run(name, data, functions, options, false)
    }

    /// Executes one of the templates defined in it as Go's `html/template` does: what actions print is escaped for the place
    /// where it stands.
    pub fn execute_html_named(
        &self,
        name: &str,
        data: &Value,
        functions: &Functions,
        options: &Options,
    ) -> Result<String, ExecError> {
        self.run(name, data, functions, options, true)
    }

    /// Executes the template as HTML.
    pub fn execute_html(
        &self,
        data: &Value,
        functions: &Functions,
        options: &Options,
    ) -> Result<String, ExecError> {
        self.run(&self.name, data, functions, options, true)
    }

    fn run(
        &self,
        name: &str,
        data: &Value,
        functions: &Functions,
        options: &Options,
        html: bool,
    ) -> Result<String, ExecError> {
        let tree = self.trees.get(name).ok_or_else(|| {
            let (this, name) = (go_quote(&self.name), go_quote(name));
            ExecError(format!("template: no template {name} associated with template {this}"))
        })?;
        exec::run(self, (name, tree), data, functions, options, html).map_err(ExecError)
    }
}
