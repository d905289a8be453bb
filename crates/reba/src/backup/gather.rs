//! Which files a backup of a data folder takes: copies that a running Reba makes, and what no process uses.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::{fs::DirBuilderExt as _, net::UnixStream},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use reba_disk::{Env, Lock};
use reba_state::SqliteState;
use reba_transfer::backup::{self, SourceFile};

use super::{
    door::{self, Answer, Part, WORD},
    refuse_unfinished,
};

/// Stores, by their folders.
const STORES: [&str; 3] = ["metrics", "logs", "traces"];

/// Small files beside the stores, replaced as a whole when they change. What tells of deletions is copied before the logs are: a deletion
/// that ends in between is made once more after a restore, and none is forgotten.
const SMALL: [&str; 4] = ["logs/deletions.json", "logs/demoted.json", "log-rules", "promtail"];

/// Which files, and what keeps them there.
pub struct Gathered {
    /// The files.
    pub files: Vec<SourceFile>,
    /// Whether a running Reba made copies of some.
    pub from_running: bool,
    _kept: Vec<Kept>,
    _scratch: Scratch,
}

/// Held until the files are copied.
enum Kept {
    /// A running Reba keeps its copies as long as somebody is connected.
    Connection(#[expect(dead_code, reason = "held for its drop")] UnixStream),
    /// Nobody opens a store that is not in use.
    Lock(#[expect(dead_code, reason = "held for its drop")] Lock),
}

/// A folder for files that are copied before they are backed up.
struct Scratch(PathBuf);

impl Scratch {
    fn new(data: &Path) -> Result<Self> {
        let path = data.join(format!("backup-{}.tmp", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start of Reba.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gathers what there is to back up in a data folder.
pub fn gather(data: &Path) -> Result<Gathered> {
    if !data.is_dir() {
        bail!("{}: no data folder is there (--data)", data.display());
    }
    refuse_unfinished(data)?;
    let scratch = Scratch::new(data)?;
    for small in SMALL {
        copy_small(&data.join(small), &scratch.0.join(small))?;
    }
    copy_state(data, &scratch.0)?;
    let mut kept = Vec::new();
    let (mut files, mut covered) = (Vec::new(), BTreeSet::new());
    for socket in door::sockets(data) {
        let Some((connection, parts)) = ask(data, &socket)? else { continue };
        kept.push(Kept::Connection(connection));
        for part in parts {
            files.extend(backup::below(&data.join(&part.from), &part.at, &belongs)?);
            covered.insert(part.at);
        }
    }
    let from_running = !covered.is_empty();
    for store in STORES.into_iter().filter(|store| !covered.contains(*store)) {
        let folder = data.join(store);
        if folder.is_dir() {
            kept.push(Kept::Lock(lock(&folder)?));
            files.extend(backup::below(&folder, store, &belongs)?);
        }
    }
    // What was copied beforehand counts.
    let mut all = backup::below(&scratch.0, "", &|_| true)?;
    let copied: BTreeSet<String> = all.iter().map(|f| f.name.clone()).collect();
    all.extend(files.into_iter().filter(|f| !copied.contains(&f.name)));
    all.sort();
    Ok(Gathered { files: all, from_running, _kept: kept, _scratch: scratch })
}

/// Whether a file or folder of a store is its data.
fn belongs(name: &str) -> bool {
    let ends_in = |suffix| name.strip_suffix(suffix).is_some();
    !matches!(name, "lock" | "snapshots") && !ends_in(".tmp") && !ends_in(".quarantined")
}

/// Asks a running Reba for copies of its stores; nothing if it runs no more.
fn ask(data: &Path, socket: &str) -> Result<Option<(UnixStream, Vec<Part>)>> {
    let mut stream = match door::connect(data, socket) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            return Ok(None);
        }
        Err(e) => return Err(e).with_context(|| data.join(socket).display().to_string()),
    };
    stream.write_all(format!("{WORD}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    match serde_json::from_str(&line) {
        Ok(Answer::Parts(parts)) => Ok(Some((stream, parts))),
        Ok(Answer::Error(reason)) => bail!("the running Reba makes no backup: {reason}"),
        Err(_) => bail!("the running Reba ended, or does not let this user make backups"),
    }
}

fn lock(folder: &Path) -> Result<Lock> {
    let locked = Env::real().dir(folder).and_then(|dir| dir.lock("lock"));
    locked.with_context(|| format!("{}: another process uses it, and makes no backups", folder.display()))
}

/// Copies the database, whether a process uses it or not.
fn copy_state(data: &Path, scratch: &Path) -> Result<()> {
    let path = data.join("state.db");
    if !path.is_file() {
        return Ok(());
    }
    let state = SqliteState::open(&path).with_context(|| format!("open {}", path.display()))?;
    state.copy_to(&scratch.join("state.db")).with_context(|| format!("copy {}", path.display()))
}

/// Copies a file, or the files of a folder; nothing if there is none.
fn copy_small(from: &Path, to: &Path) -> Result<()> {
    let said = || from.display().to_string();
    if from.is_dir() {
        for file in backup::below(from, "", &belongs)? {
            copy_small(&file.path, &to.join(&file.name))?;
        }
        return Ok(());
    }
    let bytes = match fs::read(from) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(said),
    };
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(said)?;
    }
    fs::write(to, bytes).with_context(said)
}
