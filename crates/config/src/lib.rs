//! Reads YAML configuration files: variables and secrets filled in, errors that name file, line and key.
//!
//! A file goes through [`Variables::expand`] and [`read`]; [`load`] does both. What was filled in is kept out of errors.

mod error;
mod expand;
pub mod glob;
mod keys;
mod position;
mod reference;
pub mod tree;
mod yaml;

use std::{fs, path::Path};

pub use error::{ConfigError, ConfigErrorKind};
pub use expand::{Expanded, MAX_FILE, Unknown, Unresolved, Variables, hide_in_yaml};
pub use keys::{Key, keys};
use serde::de::DeserializeOwned;
pub use yaml::read;

/// Reads the file at `path`, fills in variables and parses it. The error shows nothing of what was filled in.
pub fn load<T: DeserializeOwned + Default>(
    path: &Path,
    variables: &Variables,
    unknown: &Unknown<'_>,
) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|e| ConfigError::io(path, &e))?;
    let expanded = variables.expand(&text, path, unknown)?;
    read(&expanded.text, path).map_err(|e| expanded.hide(e))
}
