//! Faults of sections, and lists whose items know where they stand.

use std::{fmt, path::Path};

use reba_config::{ConfigError, ConfigErrorKind};
use serde_saphyr::{Location, Spanned};

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
