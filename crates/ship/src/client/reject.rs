//! What a receiver has refused for good, kept for a person to look at: `rejected.ndjson`.

use reba_disk::{Dir, DiskError, FsFile};

use super::push;

const NAME: &str = "rejected.ndjson";
const OLDER: &str = "rejected.1.ndjson";

/// When the file has so many bytes, it takes the place of the older one.
const ROTATE: u64 = 64 << 20;

/// The file of one client.
#[derive(Debug)]
pub(crate) struct Rejects {
    dir: Dir,
    file: Option<Box<dyn FsFile>>,
}

impl Rejects {
    pub fn new(dir: Dir) -> Self {
        Rejects { dir, file: None }
    }

    /// Adds the entries of a request.
    pub fn add(&mut self, tenant: &str, request: &[u8], reason: &str) -> Result<(), DiskError> {
        let mut text = String::new();
        let decoded = push::decode(request, |e| {
            let metadata: serde_json::Map<String, serde_json::Value> =
                e.metadata.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
            let ns = e.ns.to_string();
            let line = serde_json::json!({
                "reason": reason, "tenant": tenant, "ns": ns, "stream": e.labels, "metadata": metadata, "line": e.line,
            });
            text.push_str(&line.to_string());
            text.push('\n');
        });
        if let Err(error) = decoded {
            tracing::error!(%error, "a request from our own queue cannot be read");
        }
        if self.file.as_ref().is_some_and(|f| f.len() >= ROTATE) {
            self.file = None;
            self.dir.rename(NAME, OLDER)?;
        }
        if self.file.is_none() {
            let opened = match self.dir.open(NAME) {
                Err(e) if e.is_not_found() => self.dir.create(NAME),
                other => other,
            };
            self.file = Some(opened?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let path = self.dir.join(NAME);
        file.append(text.as_bytes()).map_err(|e| DiskError::io("write", &path, e))?;
        file.sync().map_err(|e| DiskError::io("fsync", &path, e))
    }
}
