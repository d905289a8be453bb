//! What is wrong with a configuration file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

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

/// One fault of a configuration, printed in one line as `FILE:LINE:COL: key KEY: REASON`.
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
    /// The file, or one that it names, cannot be read.
    pub fn io(file: &Path, source: &std::io::Error) -> Self {
        let reason = source.to_string();
        ConfigError { kind: ConfigErrorKind::Io, file: file.to_owned(), at: None, key: String::new(), reason }
    }

    /// A value that reads well, and makes no sense.
    pub fn invalid(
        file: &Path,
        at: Option<(u64, u64)>,
        key: impl Into<String>,
        reason: impl fmt::Display,
    ) -> Self {
        let reason = reason.to_string();
        ConfigError { kind: ConfigErrorKind::Invalid, file: file.to_owned(), at, key: key.into(), reason }
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
