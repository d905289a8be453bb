//! Small files: credentials and certificates.

use std::path::Path;

use tokio::io::AsyncReadExt;

use crate::HttpError;

/// No credential and no bundle of certificates is larger.
const MAX_BYTES: u64 = 8 << 20;

/// Reads a whole file off the runtime's workers.
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, HttpError> {
    let fail = |reason: String| HttpError::File { path: path.to_owned(), reason };
    let file = tokio::fs::File::open(path).await.map_err(|e| fail(e.to_string()))?;
    let mut out = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut out).await.map_err(|e| fail(e.to_string()))?;
    if out.len() as u64 > MAX_BYTES {
        return Err(fail(format!("larger than {MAX_BYTES} bytes")));
    }
    Ok(out)
}

/// Reads a credential: the file's text without blanks around it.
pub(crate) async fn read_text(path: &Path) -> Result<String, HttpError> {
    let bytes = read(path).await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
