//! The keys of a file and where they stand, for readers that pass over what they do not know, and want to say so.

use std::path::Path;

use granit_parser::{Event, Parser};

use crate::{ConfigError, ConfigErrorKind, position::Position};

/// A key of a YAML file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The path to it, itself included: `limits_config.retention_stream[0].period`.
    pub path: String,
    /// Line and column, from 1.
    pub at: (u64, u64),
}

/// All keys of `text`, which stands in `file`, in their order. What an alias stands for is not gone through again.
pub fn keys(text: &str, file: &Path) -> Result<Vec<Key>, ConfigError> {
    let mut keys = Vec::new();
    let mut position = Position::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|e| ConfigError {
            kind: ConfigErrorKind::Syntax,
            file: file.to_owned(),
            at: Some((e.marker().line() as u64, e.marker().col() as u64 + 1)),
            key: String::new(),
            reason: e.info().clone(),
        })?;
        let is_key = position.is_key() && matches!(event, Event::Scalar(..));
        position.pass(&event);
        if is_key {
            let at = (span.start.line() as u64, span.start.col() as u64 + 1);
            keys.push(Key { path: position.path(), at });
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_path_and_their_place() {
        let text = "a:\n  b: [{c: 1}, {c: 2, d: x}]\n# e: 1\nf: &x {g: 1}\nh: *x\n";
        let found: Vec<String> = keys(text, Path::new("f.yml"))
            .unwrap()
            .into_iter()
            .map(|k| format!("{}:{}:{}", k.path, k.at.0, k.at.1))
            .collect();
        assert_eq!(
            found,
            [
                "a:1:1",
                "a.b:2:3",
                "a.b[0].c:2:8",
                "a.b[1].c:2:16",
                "a.b[1].d:2:22",
                "f:4:1",
                "f.g:4:8",
                "h:5:1"
            ]
        );
        assert!(keys("a: [", Path::new("f.yml")).is_err());
    }
}
