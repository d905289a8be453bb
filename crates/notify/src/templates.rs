//! All templates of a configuration: ours, over them the files', and the texts of receivers' settings on top.

use std::path::Path;

use reba_config::{ConfigError, ConfigErrorKind};
use reba_template::{Limits, MissingKey, Options, Template, Value, alertmanager};

use crate::config::Tpl;

const DEFAULTS: &str = include_str!("templates/default.tmpl");
const EMAIL: &str = include_str!("templates/email.tmpl");

/// A parsed set of templates. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    base: Template,
}

/// What one rendering may use. A notification may be of ten thousand alerts, with twenty labels each.
const LIMITS: Limits = Limits { output_bytes: 32 << 20, steps: 20_000_000, depth: 100 };

/// Why a template gave no text, in one line that names the template and the position in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub String);

impl Templates {
    /// The templates that are always there.
    pub fn new() -> Self {
        let functions = alertmanager::functions(0);
        let mut base = Template::empty();
        for (name, text) in [("default.tmpl", DEFAULTS), ("email.tmpl", EMAIL)] {
            // They are part of the program, and a test renders each of them.
            if let Err(e) = base.add(name, text, &functions) {
                debug_assert!(false, "{e}");
            }
        }
        Templates { base }
    }

    /// Adds the templates of a file; those that are there already are replaced.
    pub fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        self.base.add(&name, text, &alertmanager::functions(0)).map_err(|e| ConfigError {
            kind: ConfigErrorKind::Syntax,
            file: path.to_owned(),
            at: Some((e.line as u64, 1)),
            key: String::new(),
            reason: e.message,
        })
    }

    /// What is wrong with the texts of an integration's settings: each fault in one line.
    pub fn faults<'a>(&self, texts: impl IntoIterator<Item = &'a Tpl>) -> Vec<String> {
        let functions = alertmanager::functions(0);
        let parse = |tpl: &Tpl| self.base.clone().add(&tpl.name, &tpl.text, &functions).err();
        texts.into_iter().filter_map(parse).map(|e| e.to_string()).collect()
    }

    /// Renders a text.
    pub fn text(&self, tpl: &Tpl, data: &Value, now_ms: i64) -> Result<String, Failed> {
        self.render(tpl, data, now_ms, false)
    }

    /// Renders a page.
    pub fn html(&self, tpl: &Tpl, data: &Value, now_ms: i64) -> Result<String, Failed> {
        self.render(tpl, data, now_ms, true)
    }

    fn render(&self, tpl: &Tpl, data: &Value, now_ms: i64, html: bool) -> Result<String, Failed> {
        // Most settings are plain words.
        if !tpl.text.contains("{{") {
            return Ok(tpl.text.clone());
        }
        let functions = alertmanager::functions(now_ms);
        let mut all = self.base.clone();
        all.add(&tpl.name, &tpl.text, &functions).map_err(|e| Failed(e.to_string()))?;
        let options = Options { missing_key: MissingKey::Zero, limits: LIMITS };
        let rendered = if html {
            all.execute_html_named(&tpl.name, data, &functions, &options)
        } else {
            all.execute_named(&tpl.name, data, &functions, &options)
        };
        rendered.map_err(|e| Failed(e.0))
    }
}
