//! Where a running Reba is asked for a backup: a Unix socket in its data folder, for whoever may read that anyway.
//!
//! What is said there is told in `docs/format/backup.md`.

use std::{
    fs, io,
    os::{fd::AsRawFd as _, unix::net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use reba_columnar::{Columnar, SpanStore};
use reba_tsdb::Tsdb;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Mutex,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::refuse_unfinished;
use crate::run::random;

/// What a client says.
pub const WORD: &str = "backup";

/// How long a client may take to say it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How names of folders begin that are there for a backup only.
const PREFIX: &str = "backup-";

/// A socket's address holds 108 bytes, and a data folder may have a longer path than that.
const LONGEST_PATH: usize = 100;

/// The stores of this process.
#[derive(Clone)]
pub struct Stores {
    /// Samples.
    pub metrics: Option<Arc<Tsdb>>,
    /// Lines.
    pub logs: Option<Arc<Columnar>>,
    /// Spans.
    pub spans: Option<Arc<SpanStore>>,
}

/// A folder that holds what belongs at a place of the backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    /// The place.
    pub at: String,
    /// The folder, relative to the data folder.
    pub from: PathBuf,
}

/// What a client is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// These folders stay until the connection ends.
    Parts(Vec<Part>),
    /// Why there are none.
    Error(String),
}

/// Removes what a kill left of backups, before anything is opened.
///
/// # Errors
/// If the folder holds a restore that did not end.
pub fn tidy(data: &Path) -> Result<()> {
    refuse_unfinished(data)?;
    for socket in sockets(data) {
        if connect(data, &socket).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(data.join(socket));
        }
    }
    for store in ["metrics", "logs", "traces"] {
        remove_left(&data.join(store).join("snapshots"), "");
    }
    remove_left(data, ".tmp");
    Ok(())
}

/// Removes folders that were there for a backup.
fn remove_left(folder: &Path, ending: &str) {
    for name in names(folder).into_iter().filter(|n| n.starts_with(PREFIX) && n.ends_with(ending)) {
        let left = folder.join(name);
        tracing::info!(folder = %left.display(), "what is left of a backup is removed");
        let _ = fs::remove_dir_all(left);
    }
}

/// Listens until `stop`. Without a socket backups are possible only when Reba is stopped, which is no reason not to start.
pub fn open(data: &Path, stores: Stores, stop: &CancellationToken, tasks: &TaskTracker) {
    if stores.metrics.is_none() && stores.logs.is_none() && stores.spans.is_none() {
        return;
    }
    let name = format!("{PREFIX}{}.sock", std::process::id());
    let listener = match listen(data, &name) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "nobody can ask for backups while this Reba runs");
            return;
        }
    };
    let (data, stop, inner) = (data.to_owned(), stop.clone(), tasks.clone());
    tasks.spawn(async move {
        let busy = Arc::new(Mutex::new(()));
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = stream else {
                // Too many files are open: it will pass.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            if !may_ask(&stream) {
                tracing::warn!("somebody else than this user or root asked for a backup");
                continue;
            }
            let (data, stores, stop, busy) = (data.clone(), stores.clone(), stop.clone(), Arc::clone(&busy));
            inner.spawn(async move {
                if let Err(error) = converse(stream, &data, stores, &stop, &busy).await {
                    tracing::warn!(%error, "a backup was not finished");
                }
            });
        }
        let _ = fs::remove_file(data.join(name));
    });
}

fn listen(data: &Path, name: &str) -> io::Result<UnixListener> {
    let _ = fs::remove_file(data.join(name));
    through(data, name, |path| UnixListener::bind(path))
}

/// Connects to a socket in a data folder.
pub fn connect(data: &Path, name: &str) -> io::Result<StdUnixStream> {
    through(data, name, |path| StdUnixStream::connect(path))
}

/// Calls `then` with a path to `name` in `folder` that is short enough for a socket.
fn through<T>(folder: &Path, name: &str, then: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(name);
    if path.as_os_str().len() <= LONGEST_PATH {
        return then(&path);
    }
    let open = fs::File::open(folder)?;
    then(Path::new(&format!("/proc/self/fd/{}/{name}", open.as_raw_fd())))
}

/// Names of sockets in a data folder: several processes may each have some of the roles.
pub fn sockets(data: &Path) -> Vec<String> {
    names(data)
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && name.strip_suffix(".sock").is_some())
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Whoever runs this process, and root, may read the data anyway.
fn may_ask(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Answers one client, and keeps what it was told of until it is gone.
async fn converse(
    stream: UnixStream,
    data: &Path,
    stores: Stores,
    stop: &CancellationToken,
    busy: &Mutex<()>,
) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut limited = (&mut stream).take(WORD.len() as u64 + 1);
    tokio::time::timeout(PATIENCE, limited.read_line(&mut line)).await??;
    if line.trim_end() != WORD {
        return Ok(());
    }
    let Ok(_one) = busy.try_lock() else {
        return answer(&mut stream, &Answer::Error("another backup is being made".to_owned())).await;
    };
    let name = format!("{PREFIX}{:016x}", random());
    let (taker, taken) = (stores.clone(), name.clone());
    let parts = tokio::task::spawn_blocking(move || taker.take(&taken)).await?;
    let told = match parts {
        Ok(parts) => answer(&mut stream, &Answer::Parts(parts)).await,
        Err(e) => answer(&mut stream, &Answer::Error(format!("{e:#}"))).await,
    };
    if told.is_ok() {
        let mut end = [0];
        tokio::select! {
            () = stop.cancelled() => {}
            _ = stream.read(&mut end) => {}
        }
    }
    let folders = stores.folders(data, &name);
    tokio::task::spawn_blocking(move || folders.iter().for_each(|f| drop(fs::remove_dir_all(f)))).await?;
    told
}

async fn answer(stream: &mut BufReader<UnixStream>, answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(stream.get_mut().write_all(&line).await?)
}

impl Stores {
    /// Copies every store under this name.
    fn take(&self, name: &str) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        let mut add = |at: &str| {
            parts.push(Part { at: at.to_owned(), from: Path::new(at).join("snapshots").join(name) });
        };
        if let Some(logs) = &self.logs {
            logs.snapshot(name).context("copy the log store")?;
            add("logs");
        }
        if let Some(spans) = &self.spans {
            spans.snapshot(name).context("copy the span store")?;
            add("traces");
        }
        if let Some(metrics) = &self.metrics {
            metrics.snapshot(name, true).context("copy the metric store")?;
            add("metrics");
        }
        Ok(parts)
    }

    /// Where the copies are, or would be.
    fn folders(&self, data: &Path, name: &str) -> Vec<PathBuf> {
        let there = [
            (self.metrics.is_some(), "metrics"),
            (self.logs.is_some(), "logs"),
            (self.spans.is_some(), "traces"),
        ];
        let there = there.into_iter().filter(|(is_there, _)| *is_there);
        there.map(|(_, store)| data.join(store).join("snapshots").join(name)).collect()
    }
}
