//! Secrets, given in the file or by the name of another one.

use std::path::PathBuf;

use reba_http::Secret;

/// Where a secret is had from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    /// It stands in the configuration.
    Given(Secret),
    /// A file holds it, and is read for every notification: who rotates a key rewrites the file.
    File(PathBuf),
}

/// The two keys of a secret, of which at most one is set: its own, and the one that names a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileOrText {
    pub text: Option<Secret>,
    pub file: Option<PathBuf>,
}

impl FileOrText {
    pub fn source(&self) -> Option<SecretSource> {
        let given = self.text.clone().map(SecretSource::Given);
        given.or_else(|| self.file.clone().map(SecretSource::File))
    }

    pub fn is_none(&self) -> bool {
        self.text.is_none() && self.file.is_none()
    }

    /// Itself, or the other if it says nothing.
    pub fn or(self, other: &FileOrText) -> FileOrText {
        if self.is_none() { other.clone() } else { self }
    }
}

/// No secret is longer.
const MAX_BYTES: u64 = 1 << 20;

impl SecretSource {
    /// The secret, without blanks around what a file holds.
    pub async fn read(&self) -> Result<Secret, String> {
        use tokio::io::AsyncReadExt as _;
        let path = match self {
            SecretSource::Given(secret) => return Ok(secret.clone()),
            SecretSource::File(path) => path,
        };
        let fail = |e: std::io::Error| format!("could not read {}: {e}", path.display());
        let file = tokio::fs::File::open(path).await.map_err(fail)?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).await.map_err(fail)?;
        Ok(Secret::new(text.trim()))
    }
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretSource::Given(_) => f.write_str(reba_http::SECRET_TEXT),
            SecretSource::File(path) => path.fmt(f),
        }
    }
}
