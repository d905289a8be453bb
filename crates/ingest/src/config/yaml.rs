//! Reading YAML into serde structs with errors that name file, line, column and key.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location, Spanned};

/// What kind of fault a configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// The file cannot be read.
    Io,
    /// It is no YAML, has an unknown key or a value of a wrong type.
    Syntax,
    /// It reads well, but makes no sense.
    Invalid,
    /// It asks for something that upstream has and Reba has not.
    Unsupported,
}

/// One fault of a configuration, printed as `FILE:LINE:COL: key KEY: REASON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What kind of fault it is.
    pub kind: ConfigErrorKind,
    /// The file.
    pub file: PathBuf,
    /// Line and column, both from 1, where they are known.
    pub at: Option<(u64, u64)>,
    /// Path of the key (`scrape_configs[0].scheme`); may be empty.
    pub key: String,
    /// What is wrong, without a full stop.
    pub reason: String,
}

impl ConfigError {
    pub(crate) fn io(file: &Path, source: &std::io::Error) -> Self {
        let reason = source.to_string();
        ConfigError { kind: ConfigErrorKind::Io, file: file.to_owned(), at: None, key: String::new(), reason }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": key {}", self.key)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// A fault of a section that has been read; [`Invalid::in_file`] completes it.
#[derive(Clone, Debug)]
pub(crate) struct Invalid {
    pub kind: ConfigErrorKind,
    pub at: Option<(u64, u64)>,
    pub key: String,
    pub reason: String,
}

impl Invalid {
    pub fn new(reason: impl Into<String>) -> Self {
        Invalid { kind: ConfigErrorKind::Invalid, at: None, key: String::new(), reason: reason.into() }
    }

    pub fn unsupported(key: &str, at: Location) -> Self {
        let reason = "not supported yet".to_owned();
        Invalid { kind: ConfigErrorKind::Unsupported, at: position(at), key: key.to_owned(), reason }
    }

    /// Puts `key` in front of the key, and fills in the position if an inner section did not know a better one.
    pub fn within(mut self, key: impl fmt::Display, at: Option<Location>) -> Self {
        self.key = if self.key.is_empty() {
            key.to_string()
        } else if self.key.starts_with('[') {
            format!("{key}{}", self.key)
        } else {
            format!("{key}.{}", self.key)
        };
        self.at = self.at.or_else(|| at.and_then(position));
        self
    }

    pub fn in_file(self, file: &Path) -> ConfigError {
        ConfigError {
            kind: self.kind,
            file: file.to_owned(),
            at: self.at,
            key: self.key,
            reason: self.reason,
        }
    }
}

impl From<reba_http::ConfigError> for Invalid {
    fn from(e: reba_http::ConfigError) -> Self {
        Invalid::new(e.0)
    }
}

impl From<reba_model::RelabelError> for Invalid {
    fn from(e: reba_model::RelabelError) -> Self {
        Invalid::new(e.to_string())
    }
}

fn position(at: Location) -> Option<(u64, u64)> {
    (at != Location::UNKNOWN).then(|| (at.line(), at.column()))
}

/// A list whose items remember where they stand and may be null, since upstream has a text of its own for that.
pub(crate) type List<T> = Option<Vec<Spanned<Option<T>>>>;

/// Turns the items of a list into their valid form; `null` is the error for an item without content.
pub(crate) fn items<T, U>(
    list: List<T>,
    key: &str,
    null: &str,
    mut convert: impl FnMut(T) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    items_with(list, key, null, &mut Vec::new(), |item, _| convert(item))
}

/// Like [`items`], for sections that may ask for what is not supported yet, which is no error of the section.
pub(crate) fn items_with<T, U>(
    list: List<T>,
    key: &str,
    null: &str,
    unsupported: &mut Vec<Invalid>,
    mut convert: impl FnMut(T, &mut Vec<Invalid>) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    let mut out = Vec::new();
    for (i, item) in list.unwrap_or_default().into_iter().enumerate() {
        let mut missing = Vec::new();
        let converted = match item.value {
            Some(v) => convert(v, &mut missing),
            None => Err(Invalid::new(null)),
        };
        let within = |e: Invalid| e.within(format_args!("{key}[{i}]"), Some(item.referenced));
        out.push(converted.map_err(within)?);
        unsupported.extend(missing.into_iter().map(within));
    }
    Ok(out)
}

/// Reads `text`, which stands in `file`. A text without any content reads as the default.
pub(crate) fn read<T: DeserializeOwned + Default>(text: &str, file: &Path) -> Result<T, ConfigError> {
    let mut path = String::new();
    let result = serde_saphyr::with_deserializer_from_str(text, |de| {
        serde_path_to_error::deserialize::<_, Option<T>>(de).map_err(|e| {
            path = e.path().to_string();
            e.into_inner()
        })
    });
    result.map(Option::unwrap_or_default).map_err(|e| explain(&e, &path, file))
}

fn explain(e: &Error, path: &str, file: &Path) -> ConfigError {
    let at = e.location().and_then(position);
    // An item of a `List` is wrapped in a struct that remembers its position, and so is its path.
    let path = path.replace("].value.", "].");
    let path = path.strip_suffix("].value").map_or(path.clone(), |p| format!("{p}]"));
    let key = path.trim_end_matches('?').trim_end_matches('.').to_owned();
    let reason = match e.without_snippet() {
        Error::SerdeUnknownField { .. } => "unknown key".to_owned(),
        e => first_line(&e.to_string()),
    };
    ConfigError { kind: ConfigErrorKind::Syntax, file: file.to_owned(), at, key, reason }
}

/// The library's text without the position, which stands in front already.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.rfind(" at line ").unwrap_or(line.len());
    line[..end].trim_start_matches("error: ").to_owned()
}
