//! `reba import alertmanager`: silences, and what receivers were told, out of an Alertmanager's own data folder.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, bail};
use reba_alerting::upstream::{self, Imported, UpstreamError};

use crate::{run::now_ms, state};

/// No Alertmanager's file is larger: it holds all of it in memory.
const MAX_FILE: u64 = 2 << 30;

/// Documents that are written at once.
const BATCH: usize = 1000;

/// Silences and unread reasons that are named; of more, only the number is.
const NAMED: usize = 20;

/// Reads the files below `dir` into the state store below `data`; returns what to say about it.
pub fn alertmanager(dir: &Path, data: &Path) -> Result<String> {
    let silences = file(dir, "silences", upstream::read_silences)?;
    let log = file(dir, "nflog", upstream::read_log)?;
    if silences.is_none() && log.is_none() {
        bail!(
            "{}: neither silences nor nflog is there: is this Alertmanager's --storage.path?",
            dir.display()
        );
    }
    let store = state::open_alone(data)?;
    let mut out = String::new();
    for (imported, what) in [(silences, "silences"), (log, "entries of the notification log")] {
        let Some(imported) = imported else { continue };
        let imported = imported.only_news(&*store)?;
        for batch in imported.changes.chunks(BATCH) {
            store.write(batch)?;
        }
        out.push_str(&described(&imported, what));
    }
    Ok(out.trim_end().to_owned())
}

/// Reads one of the files; none if it does not exist: an Alertmanager that knows nothing writes none.
fn file(
    dir: &Path,
    name: &str,
    read: fn(&[u8], i64) -> Result<Imported, UpstreamError>,
) -> Result<Option<Imported>> {
    let path = dir.join(name);
    let size = match fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    if size > MAX_FILE {
        bail!("{}: {size} bytes; at most {MAX_FILE} are read (MAX_FILE)", path.display());
    }
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    read(&bytes, now_ms()).map(Some).with_context(|| path.display().to_string())
}

fn described(imported: &Imported, what: &str) -> String {
    let mut out = format!("{} {what} imported", imported.taken);
    for (count, why) in [(imported.known, "were known already"), (imported.expired, "were over")] {
        if count > 0 {
            out.push_str(&format!("; {count} {why}"));
        }
    }
    out.push('\n');
    for left_out in imported.left_out.iter().take(NAMED) {
        out.push_str(&format!("left out: {left_out}\n"));
    }
    if imported.left_out.len() > NAMED {
        out.push_str(&format!("left out: {} more\n", imported.left_out.len() - NAMED));
    }
    out
}
