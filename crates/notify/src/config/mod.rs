//! The whole `alertmanager.yml`: what it says of receivers, templates and global settings is read here, with the routing
//! parts left to `reba_alerting`.
//!
//! A receiver's integration whose secret is missing (a variable that nobody has set, a file that is not there) does not stop the
//! load: it is disabled, with the reason. Everything else that is wrong does, naming file, line and key; so does a key that nobody
//! knows, of a disabled integration as well.

mod global;
mod http;
mod secret;
mod settings;
mod shown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reba_alerting::{
    config::{InhibitSection, IntervalSection, RouteSection, Routing, Sections},
    matchers::Grammar,
};
use reba_config::{
    ConfigError, Variables, glob,
    tree::{self, Fault, Node, Section},
};
use serde::{Deserialize, de::IgnoredAny};

pub(crate) use self::{
    global::{Global, host_port},
    http::{http_config, secrets, tls_config},
    secret::{FileOrText, SecretSource},
    settings::{Settings, Tpl, Url, duration},
};
use crate::{
    receivers::{self, Kind},
    templates::Templates,
};

/// A configuration that is valid.
#[derive(Debug)]
pub struct AlertmanagerFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// How long an alert without an end counts as firing unless it is sent again.
    pub resolve_timeout: Duration,
    /// The receivers, in the order written.
    pub receivers: Vec<ReceiverConfig>,
    /// Which alerts go to which receiver, when, and which silence others.
    pub routing: Routing,
    /// Every template there is: those of Alertmanager, and over them those of the files of `templates`.
    pub(crate) templates: Templates,
    /// The file as YAML, with `<secret>` in the place of secrets; it can be loaded again.
    pub original: String,
    /// Further files that were read: whoever wants to notice changes has to watch them, too.
    pub files: Vec<PathBuf>,
}

/// One receiver.
#[derive(Debug)]
pub struct ReceiverConfig {
    /// Its name, which no other has.
    pub name: String,
    /// Its integrations: those of one kind stand together, as they are numbered.
    pub integrations: Vec<IntegrationConfig>,
}

/// One way in which a receiver is told.
#[derive(Debug)]
pub struct IntegrationConfig {
    /// `slack`, `email`, …
    pub kind: &'static str,
    /// Its number among those of its kind in its receiver, from 0.
    pub index: usize,
    /// Whether it wants to hear of alerts that are resolved.
    pub send_resolved: bool,
    /// Line and column of its settings.
    pub at: (u64, u64),
    /// Its settings, or why it is disabled.
    pub(crate) settings: Result<Kind, String>,
}

impl IntegrationConfig {
    /// Why it is disabled, if it is.
    pub fn disabled(&self) -> Option<&str> {
        self.settings.as_ref().err().map(String::as_str)
    }
}

/// Something a user should know, which stops nothing. Prints as an error does, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub ConfigError);

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What reading a section may look at.
pub(crate) struct Context<'a> {
    /// Names of variables that nobody has set, as they stand in the text: `${NAME}`.
    pub unset: BTreeSet<String>,
    /// Relative file names are relative to this folder.
    pub folder: &'a Path,
}

/// Reads the file at `path`, fills in variables and reads the templates it names.
pub fn load(path: &Path, variables: &Variables) -> Result<(AlertmanagerFile, Vec<Warning>), ConfigError> {
    let text = fs::read_to_string(path).map_err(|e| ConfigError::io(path, &e))?;
    parse(&text, path, variables)
}

/// Reads a text as if it stood in the file at `path`.
pub fn parse(
    text: &str,
    path: &Path,
    variables: &Variables,
) -> Result<(AlertmanagerFile, Vec<Warning>), ConfigError> {
    let expanded = variables.expand_leniently(text, path)?;
    let hide = |e: ConfigError| expanded.hide(e);
    let root = tree::parse(&expanded.text, path).map_err(hide)?;
    for u in &expanded.unresolved {
        // Only what tells receivers where to write may wait for its variables.
        if !u.key.starts_with("receivers[") && !u.key.starts_with("global.") {
            let reason = format!("{} is not set", describe(&u.name));
            return Err(ConfigError::invalid(path, Some(u.at), &u.key, reason));
        }
    }
    let unset = expanded.unresolved.iter().map(|u| format!("${{{}}}", u.name)).collect();
    let folder = path.parent().unwrap_or(Path::new(""));
    let context = Context { unset, folder };
    let read = read(&root, &expanded.text, &context, path);
    let mut read = read.map_err(|e| hide(at_key(e, &expanded.text, path)))?;
    let shown = shown::without_secrets(&root);
    read.0.original = reba_config::hide_in_yaml(&shown, expanded.secrets(), reba_http::SECRET_TEXT);
    read.0.files.extend(expanded.files.iter().cloned());
    Ok(read)
}

/// The error with the place of the key itself, where it is known; a value may begin lines below.
fn at_key(e: ConfigError, text: &str, path: &Path) -> ConfigError {
    let keys = reba_config::keys(text, path).unwrap_or_default();
    let place = keys.iter().find(|k| k.path == e.key && e.file == path).map(|k| k.at);
    ConfigError { at: place.or(e.at), ..e }
}

/// How a reference that leads nowhere is named: `the variable X`, `the file Y`.
pub(crate) fn describe(name: &str) -> String {
    match name.strip_prefix("file:") {
        Some(file) => format!("the file {file} cannot be read and so"),
        None => format!("the variable {name}"),
    }
}

const KEYS: [&str; 9] = [
    "global",
    "templates",
    "receivers",
    "route",
    "inhibit_rules",
    "time_intervals",
    "mute_time_intervals",
    "tracing",
    "event_recorder",
];

fn read(
    root: &Node,
    text: &str,
    context: &Context<'_>,
    path: &Path,
) -> Result<(AlertmanagerFile, Vec<Warning>), ConfigError> {
    let in_file = |fault: Fault| fault.in_file(path);
    let section = Section::new(root, "").map_err(in_file)?;
    if let Some((name, node)) = section.entries().iter().find(|(n, _)| !KEYS.contains(&n.as_str())) {
        return Err(Fault::unknown_key(node.at, name.as_str()).in_file(path));
    }
    let mut warnings = Vec::new();
    for key in ["tracing", "event_recorder"] {
        if section.get(key).is_some() {
            let reason =
                "not supported: it has no effect (Reba records what happens to alerts in its own log store)";
            warnings.push(Warning(section.fault(key, reason).in_file(path)));
        }
    }
    let global = Global::read(&section, context).map_err(in_file)?;
    let (templates, files) = template_files(&section, context).map_err(|e| match e {
        TemplateError::Fault(f) => f.in_file(path),
        TemplateError::File(e) => e,
    })?;
    let receivers = receivers(&section, &global, context).map_err(in_file)?;
    for receiver in &receivers {
        for i in &receiver.integrations {
            let key = format!("{}_configs[{}] of receiver {:?}", i.kind, i.index, receiver.name);
            match &i.settings {
                Err(reason) => {
                    let reason = format!("disabled: {reason}");
                    warnings.push(Warning(ConfigError::invalid(path, Some(i.at), key, reason)));
                }
                Ok(kind) => warnings.extend(templates.faults(kind.templates()).into_iter().map(|reason| {
                    let reason = format!("its notifications will fail: {reason}");
                    Warning(ConfigError::invalid(path, Some(i.at), key.clone(), reason))
                })),
            }
        }
    }
    let names: Vec<&str> = receivers.iter().map(|r| r.name.as_str()).collect();
    let (routing, more) = routing(text, &names, path)?;
    warnings.extend(more);
    let file = AlertmanagerFile {
        path: path.to_owned(),
        resolve_timeout: global.resolve_timeout,
        receivers,
        routing,
        templates,
        original: String::new(),
        files,
    };
    Ok((file, warnings))
}

/// The sections that say who hears of what; the others were read already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoutingSections {
    route: Option<RouteSection>,
    inhibit_rules: Option<Vec<InhibitSection>>,
    time_intervals: Option<Vec<IntervalSection>>,
    mute_time_intervals: Option<Vec<IntervalSection>>,
    #[serde(rename = "receivers")]
    _receivers: IgnoredAny,
}

fn routing(text: &str, receivers: &[&str], path: &Path) -> Result<(Routing, Vec<Warning>), ConfigError> {
    let read: RoutingSections = reba_config::read(text, path)?;
    let sections = Sections {
        route: read.route,
        inhibit_rules: read.inhibit_rules,
        time_intervals: read.time_intervals,
        mute_time_intervals: read.mute_time_intervals,
    };
    let places = reba_config::keys(text, path)?;
    let place = |key: &str| places.iter().find(|k| k.path == key).map(|k| k.at);
    let invalid =
        |e: reba_alerting::config::RoutingError| ConfigError::invalid(path, place(&e.key), e.key, e.reason);
    let checked = Routing::new(&sections, receivers, Grammar::default()).map_err(invalid)?;
    Ok((checked.routing, checked.warnings.into_iter().map(|w| Warning(invalid(w))).collect()))
}

enum TemplateError {
    Fault(Fault),
    File(ConfigError),
}

/// Reads the files that the globs of `templates` lead to; a glob that leads nowhere is fine.
fn template_files(
    root: &Section<'_>,
    context: &Context<'_>,
) -> Result<(Templates, Vec<PathBuf>), TemplateError> {
    let mut templates = Templates::new();
    let mut files = Vec::new();
    for (i, pattern) in root.texts("templates").map_err(TemplateError::Fault)?.iter().enumerate() {
        let paths = glob::expand(&context.folder.join(pattern)).map_err(|reason| {
            let fault = root.fault("templates", reason);
            TemplateError::Fault(Fault { key: format!("templates[{i}]"), ..fault })
        })?;
        for path in paths {
            let text =
                fs::read_to_string(&path).map_err(|e| TemplateError::File(ConfigError::io(&path, &e)))?;
            templates.add_file(&path, &text).map_err(TemplateError::File)?;
            files.push(path);
        }
    }
    Ok((templates, files))
}

fn receivers(
    root: &Section<'_>,
    global: &Global,
    context: &Context<'_>,
) -> Result<Vec<ReceiverConfig>, Fault> {
    let mut out: Vec<ReceiverConfig> = Vec::new();
    for (path, node) in root.list("receivers")? {
        let section = Section::new(node, path)?;
        let name = section.text("name")?.unwrap_or_default();
        if name.is_empty() {
            return Err(section.fault("name", "missing name in receiver"));
        }
        if out.iter().any(|r| r.name == name) {
            return Err(section.fault("name", format!("notification config name {name:?} is not unique")));
        }
        labels(&section, &name)?;
        let mut integrations = Vec::new();
        for kind in receivers::KINDS {
            for (index, (path, node)) in section.list(&format!("{kind}_configs"))?.into_iter().enumerate() {
                let settings = Section::new(node, path)?;
                integrations.push(integration(kind, index, settings, global, context)?);
            }
        }
        if let Some(unknown) = section.unknown().into_iter().next() {
            return Err(unknown);
        }
        out.push(ReceiverConfig { name, integrations });
    }
    Ok(out)
}

/// Labels of a receiver serve to find it; nothing of ours looks at them.
fn labels(receiver: &Section<'_>, name: &str) -> Result<(), Fault> {
    let labels: BTreeMap<String, String> = receiver.text_map("labels")?.into_iter().collect();
    match labels.get("name").filter(|v| *v != name) {
        Some(other) => {
            let text = format!("receiver label \"name\" must match receiver name {name:?}, got {other:?}");
            Err(receiver.fault("labels", text))
        }
        None => Ok(()),
    }
}

fn integration<'a>(
    kind: &'static str,
    index: usize,
    section: Section<'a>,
    global: &'a Global,
    context: &'a Context<'a>,
) -> Result<IntegrationConfig, Fault> {
    let at = section.at();
    let settings = Settings::new(section, global, context);
    let mut send_resolved = receivers::sends_resolved(kind);
    let read = settings.bool("send_resolved").and_then(|given| {
        send_resolved = given.unwrap_or(send_resolved);
        let read = Kind::read(kind, &settings)?;
        settings.finish()?;
        Ok(read)
    });
    let missing = settings.missing();
    let settings = match (read, missing) {
        // It would stop the load as soon as nothing is missing any more.
        (Err(fault), _) if fault.is_unknown_key() => return Err(fault),
        // What else is wrong may be so because of what is missing.
        (_, Some(reason)) => Err(reason),
        (Ok(kind), None) => Ok(kind),
        (Err(fault), None) => return Err(fault),
    };
    Ok(IntegrationConfig { kind, index, send_resolved, at, settings })
}
