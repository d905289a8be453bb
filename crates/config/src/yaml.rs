//! YAML into serde structs, with errors of one line.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

use crate::{ConfigError, ConfigErrorKind};

/// Reads `text`, which stands in `file`. A text without any content reads as the default.
pub fn read<T: DeserializeOwned + Default>(text: &str, file: &Path) -> Result<T, ConfigError> {
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
    // A spanned item of a list is wrapped in a struct that remembers its position, and so is its path.
    let path = path.replace("].value.", "].");
    let path = path.strip_suffix("].value").map_or(path.clone(), |p| format!("{p}]"));
    let key = path.trim_end_matches('?').trim_end_matches('.');
    let (key, reason) = match e.without_snippet() {
        Error::SerdeUnknownField { .. } => (key, "unknown key".to_owned()),
        // A spanned value by itself ends so, too.
        e => (key.strip_suffix(".value").unwrap_or(key), first_line(&e.to_string())),
    };
    let key = key.to_owned();
    ConfigError { kind: ConfigErrorKind::Syntax, file: file.to_owned(), at, key, reason }
}

fn position(at: Location) -> Option<(u64, u64)> {
    (at != Location::UNKNOWN).then(|| (at.line(), at.column()))
}

/// The library's text without the position, which stands in front already.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let end = line.rfind(" at line ").unwrap_or(line.len());
    line[..end].trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_saphyr::Spanned;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Doc {
        #[serde(rename = "list")]
        _list: Option<Vec<Spanned<Option<Item>>>>,
        #[serde(rename = "map")]
        _map: BTreeMap<String, u16>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Item {
        #[serde(rename = "n")]
        _n: Option<u16>,
    }

    #[test]
    fn an_error_is_one_line_with_file_line_column_and_key() {
        for (text, want) in [
            ("list:\n- n: 1\n- m: 2\n", "f.yml:3:3: key list[1].m: unknown key"),
            ("map: {a: x}\n", "f.yml:1:10: key map.a: invalid u16"),
            ("map: [1\n", "f.yml:1:"),
        ] {
            let error = read::<Doc>(text, Path::new("f.yml")).unwrap_err().to_string();
            assert!(error.starts_with(want) && !error.contains('\n'), "{error}");
        }
        assert!(read::<Doc>("# nothing\n", Path::new("f.yml")).unwrap()._list.is_none());
    }
}
