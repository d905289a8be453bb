//! Reads the settings of one integration, and notices what they lack.

use std::{cell::RefCell, fmt, fs, path::PathBuf, time::Duration};

use reba_config::tree::{Fault, Kind, Node, Section};
use reba_http::{HttpClientConfig, Secret};

use super::{Context, FileOrText, Global, describe, http_config};

/// The settings of one integration.
pub(crate) struct Settings<'a> {
    section: Section<'a>,
    pub global: &'a Global,
    pub context: &'a Context<'a>,
    /// Why it has to be disabled.
    missing: RefCell<Option<String>>,
}

/// A text that is a template, under the key by which errors name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tpl {
    pub name: String,
    pub text: String,
}

impl Tpl {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Tpl { name: name.into(), text: text.into() }
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// An absolute `http` or `https` URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url(String);

impl Url {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, String> {
        let url: reba_http::Url = text.parse().map_err(|_| "not a URL".to_owned())?;
        match url.uri().scheme_str() {
            Some("http" | "https") if url.uri().host().is_some_and(|h| !h.is_empty()) => {
                Ok(Url(text.to_owned()))
            }
            Some("http" | "https") => Err("missing host for URL".to_owned()),
            scheme => Err(format!("unsupported scheme {:?} for URL", scheme.unwrap_or_default())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL with more behind its path, before its query.
    pub fn with_path(&self, more: &str) -> String {
        let (path, query) = self.0.split_once('?').map_or((self.0.as_str(), None), |(p, q)| (p, Some(q)));
        let slash = if path.ends_with('/') { "" } else { "/" };
        let query = query.map(|q| format!("?{q}")).unwrap_or_default();
        format!("{path}{slash}{more}{query}")
    }
}

/// It may hold a secret.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(reba_http::SECRET_TEXT)
    }
}

/// A duration of Go (`1m30s`) or of Prometheus (`7d`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let ms = reba_model::duration::parse(text).map_err(|e| e.to_string())?;
    u64::try_from(ms).map(Duration::from_millis).map_err(|_| "must not be negative".to_owned())
}

impl<'a> Settings<'a> {
    pub fn new(section: Section<'a>, global: &'a Global, context: &'a Context<'a>) -> Self {
        Settings { section, global, context, missing: RefCell::default() }
    }

    /// The reason why the integration has to be disabled, if there is one.
    pub fn missing(&self) -> Option<String> {
        self.missing.borrow().clone()
    }

    /// Fails if there are keys that nobody has asked for.
    pub fn finish(&self) -> Result<(), Fault> {
        self.section.unknown().into_iter().next().map_or(Ok(()), Err)
    }

    pub fn fault(&self, key: &str, reason: impl fmt::Display) -> Fault {
        self.section.fault(key, reason)
    }

    /// A fault of the integration as a whole.
    pub fn refuse<T>(&self, reason: impl fmt::Display) -> Result<T, Fault> {
        Err(Fault::new(self.section.at(), self.section.path(), reason))
    }

    /// What was read. If it cannot be, perhaps because a variable that nobody has set stands in it, nothing in its place: the
    /// other settings are still to be looked at. A key that nobody knows is wrong with any variables.
    pub fn unless_missing<T: Default>(&self, read: Result<T, Fault>) -> Result<T, Fault> {
        match read {
            Err(fault) if self.missing().is_some() && !fault.is_unknown_key() => Ok(T::default()),
            read => read,
        }
    }

    /// Notes that something is missing.
    pub fn miss(&self, reason: String) {
        self.missing.borrow_mut().get_or_insert(reason);
    }

    /// Notes what a text lacks; whether it lacks something.
    fn lacks(&self, key: &str, text: &str) -> bool {
        let Some(name) = self.context.unset.iter().find(|u| text.contains(u.as_str())) else { return false };
        let name = name.trim_start_matches("${").trim_end_matches('}');
        self.miss(format!("{} is not set, which {key} needs", describe(name)));
        true
    }

    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.section.get(key)
    }

    /// The text of a key; nothing if it is empty or lacks a variable.
    pub fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        let text = self.section.text(key)?.filter(|t| !t.is_empty());
        Ok(text.filter(|t| !self.lacks(key, t)))
    }

    /// A text of the global section that the integration uses, if it has none of its own.
    pub fn inherit(&self, key: &str, own: Option<String>, global: Option<&String>) -> Option<String> {
        own.or_else(|| global.filter(|g| !self.lacks(key, g)).cloned())
    }

    /// A template; an empty text if it is set to that.
    pub fn template(&self, key: &str, default: &str) -> Result<Tpl, Fault> {
        let text = self.section.text(key)?;
        let text = text.unwrap_or_else(|| default.to_owned());
        self.lacks(key, &text);
        Ok(Tpl::new(self.section.key(key), text))
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>, Fault> {
        if self.text(key)?.is_none() { Ok(None) } else { self.section.bool(key) }
    }

    pub fn flag(&self, key: &str) -> Result<bool, Fault> {
        Ok(self.bool(key)?.unwrap_or(false))
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Fault> {
        if self.text(key)?.is_none() { Ok(None) } else { self.section.number(key) }
    }

    pub fn duration(&self, key: &str) -> Result<Option<Duration>, Fault> {
        match self.text(key)? {
            Some(text) => duration(&text).map(Some).map_err(|e| self.fault(key, e)),
            None => Ok(None),
        }
    }

    /// A URL that everybody may see.
    pub fn url(&self, key: &str) -> Result<Option<Url>, Fault> {
        self.text(key)?.map(|t| Url::new(&t)).transpose().map_err(|e| self.fault(key, e))
    }

    /// A file by its name, relative to the folder of the configuration.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, Fault> {
        Ok(self.text(key)?.map(|t| self.context.folder.join(t)))
    }

    /// A secret under `key`, or in the file named under `key_file`.
    pub fn secret(&self, key: &str) -> Result<FileOrText, Fault> {
        let file_key = format!("{key}_file");
        let text = self.text(key)?.map(Secret::new);
        let file = self.path(&file_key)?;
        if text.is_some() && file.is_some() {
            return Err(
                self.fault(&file_key, format!("at most one of {key} & {file_key} must be configured"))
            );
        }
        Ok(FileOrText { text, file })
    }

    /// Looks whether a secret can be had: one that lacks its variable or its file disables the integration.
    pub fn check(&self, key: &str, secret: &FileOrText) {
        if let Some(text) = &secret.text {
            self.lacks(key, text.expose());
        }
        if let Some(file) = &secret.file
            && let Err(e) = fs::metadata(file).and_then(|_| fs::File::open(file))
        {
            self.miss(format!("the file {}, which {key} needs, cannot be read: {e}", file.display()));
        }
    }

    /// A secret that is a URL.
    pub fn secret_url(&self, key: &str) -> Result<FileOrText, Fault> {
        let secret = self.secret(key)?;
        // `<secret>` is what a configuration shows instead: it stays loadable.
        if let Some(text) = secret.text.as_ref().filter(|t| !t.expose().contains(reba_http::SECRET_TEXT)) {
            Url::new(text.expose()).map_err(|e| self.fault(key, e))?;
        }
        Ok(secret)
    }

    /// `http_config`, or the global one.
    pub fn http(&self) -> Result<HttpClientConfig, Fault> {
        let http = match self.section.get("http_config") {
            Some(node) => {
                self.lacks_anywhere("http_config", node);
                let read = http_config(node, &self.section.key("http_config"), self.context.folder);
                self.unless_missing(read)?
            }
            None => {
                if let Some(lack) = &self.global.http_lacks {
                    self.miss(lack.clone());
                }
                self.global.http.clone()
            }
        };
        for (key, file) in http.files() {
            if let Err(e) = fs::metadata(&file) {
                self.miss(format!(
                    "the file {}, which http_config.{key} needs, cannot be read: {e}",
                    file.display()
                ));
            }
        }
        Ok(http)
    }

    /// Whether there is an `http_config` of its own.
    pub fn has_own_http(&self) -> bool {
        self.section.get("http_config").is_some()
    }

    /// Notes variables that lack anywhere below a key.
    pub fn lacks_anywhere(&self, key: &str, node: &Node) {
        match &node.kind {
            Kind::Scalar { text, .. } => {
                self.lacks(key, text);
            }
            Kind::List(items) => items.iter().for_each(|n| self.lacks_anywhere(key, n)),
            Kind::Map(entries) => entries.iter().for_each(|(_, n)| self.lacks_anywhere(key, n)),
        }
    }

    /// The items of a list, each with settings of its own.
    pub fn list(&self, key: &str) -> Result<Vec<Settings<'a>>, Fault> {
        let items = self.section.list(key)?;
        items.into_iter().map(|(path, node)| Ok(self.inner(Section::new(node, path)?, key, node))).collect()
    }

    /// A map of settings.
    pub fn section(&self, key: &str) -> Result<Option<Settings<'a>>, Fault> {
        match (self.section.get(key), self.section.section(key)?) {
            (Some(node), Some(section)) => Ok(Some(self.inner(section, key, node))),
            _ => Ok(None),
        }
    }

    fn inner(&self, section: Section<'a>, key: &str, node: &Node) -> Settings<'a> {
        self.lacks_anywhere(key, node);
        Settings::new(section, self.global, self.context)
    }

    /// A map of templates, in the order written.
    pub fn templates(&self, key: &str) -> Result<Vec<(String, Tpl)>, Fault> {
        let all = self.section.text_map(key)?;
        let path = self.section.key(key);
        Ok(all
            .into_iter()
            .map(|(name, text)| {
                self.lacks(key, &text);
                let tpl = Tpl::new(format!("{path}.{name}"), text);
                (name, tpl)
            })
            .collect())
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, Fault> {
        let all = self.section.texts(key)?;
        for text in &all {
            self.lacks(key, text);
        }
        Ok(all)
    }

    /// The path of a key of these settings.
    pub fn key(&self, key: &str) -> String {
        self.section.key(key)
    }
}
