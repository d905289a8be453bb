//! A file system in memory that fails on demand and forgets, at a power loss, what was not synced.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Component, Path},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{Entry, Fs, FsFile, Mapped, fs::Lock};

/// The operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOp {
    /// Appending.
    Write,
    /// fsync of a file.
    Sync,
    /// Reading or mapping.
    Read,
    /// Creating a file.
    Create,
    /// Renaming.
    Rename,
    /// fsync of a directory.
    SyncDir,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An I/O error; nothing is done.
    Eio,
    /// No space; nothing is done.
    Enospc,
    /// An I/O error after half of the data was written.
    Torn,
}

/// A failure that is waiting to happen.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which operation.
    pub op: FaultOp,
    /// How many of them succeed before.
    pub after: u64,
    /// How it fails.
    pub kind: FaultKind,
    /// Whether all later ones fail too.
    pub forever: bool,
}

/// The file system. Clones share their files.
#[derive(Clone)]
pub struct FaultFs(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Node>,
    faults: Vec<Fault>,
    /// Bytes that all files together may have.
    capacity: u64,
    used: u64,
}

enum Node {
    File { live: Vec<u8>, durable: Vec<u8> },
    Dir { live: BTreeMap<String, usize>, durable: BTreeMap<String, usize> },
}

const ROOT: usize = 0;

impl Default for FaultFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FaultFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultFs")
    }
}

fn error(kind: FaultKind) -> io::Error {
    // EIO has no kind of its own in the standard library.
    const EIO: i32 = 5;
    match kind {
        FaultKind::Enospc => io::Error::from(io::ErrorKind::StorageFull),
        FaultKind::Eio | FaultKind::Torn => io::Error::from_raw_os_error(EIO),
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl FaultFs {
    /// An empty file system without faults.
    pub fn new() -> Self {
        FaultFs(Arc::new(Mutex::new(State {
            nodes: vec![new_dir()],
            faults: Vec::new(),
            capacity: u64::MAX,
            used: 0,
        })))
    }

    /// Plans a failure.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().faults.push(fault);
    }

    /// Forgets all planned failures.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// Sets how many bytes fit (`u64::MAX`: no limit).
    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.0.lock().used
    }

    /// Flips the bits of `mask` at `offset` of a file, durably.
    pub fn corrupt(&self, path: &Path, offset: usize, mask: u8) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = state.find(path)?;
        let Node::File { live, durable } = &mut state.nodes[id] else { return Err(not_found()) };
        for data in [live, durable] {
            if let Some(b) = data.get_mut(offset) {
                *b ^= mask;
            }
        }
        Ok(())
    }

    /// What is there after the power went: everything that was synced; of the rest, for each file a prefix of the
    /// bytes since its last sync and for each directory some of the names, both chosen by `seed`.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> FaultFs {
        let state = self.0.lock();
        let mut rng = SplitMix(seed);
        let mut nodes = vec![new_dir()];
        survive(&state.nodes, ROOT, &mut nodes, ROOT, &mut rng);
        let used =
            nodes.iter().map(|n| if let Node::File { live, .. } = n { live.len() as u64 } else { 0 }).sum();
        FaultFs(Arc::new(Mutex::new(State { nodes, faults: Vec::new(), capacity: state.capacity, used })))
    }
}

fn new_dir() -> Node {
    Node::Dir { live: BTreeMap::new(), durable: BTreeMap::new() }
}

/// A tiny generator (Steele, Lea, Flood: SplitMix64), so that this crate needs no other.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Copies what survives of directory `from` into the directory `to` of the new file system.
fn survive(old: &[Node], from: usize, new: &mut Vec<Node>, to: usize, rng: &mut SplitMix) {
    let Node::Dir { live, durable } = &old[from] else { return };
    let mut names: BTreeMap<&String, usize> = durable.iter().map(|(n, id)| (n, *id)).collect();
    for (name, id) in live {
        // A new or changed name may or may not have reached the disk.
        if names.get(name) != Some(id) && rng.next().is_multiple_of(2) {
            names.insert(name, *id);
        }
    }
    for name in durable.keys().filter(|n| !live.contains_key(*n)) {
        if rng.next().is_multiple_of(2) {
            names.remove(name);
        }
    }
    for (name, id) in names {
        let child = new.len();
        match &old[id] {
            Node::File { live, durable } => {
                let data = surviving_bytes(live, durable, rng);
                new.push(Node::File { live: data.clone(), durable: data });
            }
            Node::Dir { .. } => {
                new.push(new_dir());
                survive(old, id, new, child, rng);
            }
        }
        if let Node::Dir { live, durable } = &mut new[to] {
            live.insert(name.clone(), child);
            durable.insert(name.clone(), child);
        }
    }
}

fn surviving_bytes(live: &[u8], durable: &[u8], rng: &mut SplitMix) -> Vec<u8> {
    let mut data = durable.to_vec();
    if live.len() > durable.len() && live.starts_with(durable) {
        let tail = &live[durable.len()..];
        let kept = (rng.next() % (tail.len() as u64 + 1)) as usize;
        data.extend_from_slice(&tail[..kept]);
        // Sometimes the length arrives before the data does.
        if rng.next().is_multiple_of(4) {
            data.resize(live.len(), 0);
        }
    }
    data
}

impl State {
    fn child(&self, dir: usize, name: &str) -> Option<usize> {
        match &self.nodes[dir] {
            Node::Dir { live, .. } => live.get(name).copied(),
            Node::File { .. } => None,
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = ROOT;
        for name in names(path) {
            at = self.child(at, name).ok_or_else(not_found)?;
        }
        Ok(at)
    }

    fn parent<'a>(&self, path: &'a Path) -> io::Result<(usize, &'a str)> {
        let name = names(path).last().ok_or_else(not_found)?;
        Ok((self.find(path.parent().ok_or_else(not_found)?)?, name))
    }

    fn entries(&mut self, dir: usize) -> io::Result<&mut BTreeMap<String, usize>> {
        match &mut self.nodes[dir] {
            Node::Dir { live, .. } => Ok(live),
            Node::File { .. } => Err(not_found()),
        }
    }

    fn insert(&mut self, path: &Path, id: usize) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        self.entries(dir)?.insert(name.to_owned(), id);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<usize> {
        let (dir, name) = self.parent(path)?;
        self.entries(dir)?.remove(name).ok_or_else(not_found)
    }

    fn bytes_below(&self, id: usize) -> u64 {
        match &self.nodes[id] {
            Node::File { live, .. } => live.len() as u64,
            Node::Dir { live, .. } => live.values().map(|id| self.bytes_below(*id)).sum(),
        }
    }

    /// The fault that strikes this operation, if any.
    fn strike(&mut self, op: FaultOp) -> Option<FaultKind> {
        let mut struck = None;
        self.faults.retain_mut(|f| {
            if f.op != op || struck.is_some() {
                return true;
            }
            if f.after > 0 {
                f.after -= 1;
                return true;
            }
            struck = Some(f.kind);
            f.forever
        });
        struck
    }

    fn check(&mut self, op: FaultOp) -> io::Result<()> {
        self.strike(op).map_or(Ok(()), |kind| Err(error(kind)))
    }
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|c| match c {
        Component::Normal(n) => n.to_str(),
        _ => None,
    })
}

struct FaultFile {
    fs: FaultFs,
    id: usize,
    len: u64,
}

impl fmt::Debug for FaultFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultFile({})", self.id)
    }
}

impl FsFile for FaultFile {
    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let mut state = self.fs.0.lock();
        let struck = state.strike(FaultOp::Write);
        let fits = state.capacity.saturating_sub(state.used).min(data.len() as u64) as usize;
        let (take, fail) = match struck {
            Some(FaultKind::Torn) => (data.len() / 2, Some(FaultKind::Torn)),
            Some(kind) => (0, Some(kind)),
            None if fits < data.len() => (fits, Some(FaultKind::Enospc)),
            None => (data.len(), None),
        };
        let start = self.len as usize;
        let Node::File { live, .. } = &mut state.nodes[self.id] else { return Err(not_found()) };
        let before = live.len();
        live.resize(live.len().max(start + take), 0);
        live[start..start + take].copy_from_slice(&data[..take]);
        let grown = (live.len() - before) as u64;
        state.used += grown;
        match fail {
            Some(kind) => Err(error(kind)),
            None => {
                self.len += take as u64;
                Ok(())
            }
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.fs.0.lock();
        let Node::File { live, .. } = &mut state.nodes[self.id] else { return Err(not_found()) };
        let before = live.len() as u64;
        live.resize(len as usize, 0);
        state.used = state.used + len - before;
        self.len = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.fs.0.lock();
        state.check(FaultOp::Sync)?;
        if let Node::File { live, durable } = &mut state.nodes[self.id] {
            durable.clone_from(live);
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl Fs for FaultFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.0.lock();
        state.check(FaultOp::Create)?;
        if let Ok(old) = state.find(path) {
            state.used -= state.bytes_below(old);
        }
        let id = state.nodes.len();
        state.nodes.push(Node::File { live: Vec::new(), durable: Vec::new() });
        state.insert(path, id)?;
        Ok(Box::new(FaultFile { fs: self.clone(), id, len: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let state = self.0.lock();
        let id = state.find(path)?;
        let len = state.bytes_below(id);
        Ok(Box::new(FaultFile { fs: self.clone(), id, len }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock();
        state.check(FaultOp::Read)?;
        let id = state.find(path)?;
        match &state.nodes[id] {
            Node::File { live, .. } => Ok(live.clone()),
            Node::Dir { .. } => Err(not_found()),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.read(path).map(Mapped::from_vec)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.0.lock();
        let id = state.find(path)?;
        let Node::Dir { live, .. } = &state.nodes[id] else { return Err(not_found()) };
        let entry = |(name, id): (&String, &usize)| match &state.nodes[*id] {
            Node::File { live, .. } => Entry { name: name.clone(), is_dir: false, len: live.len() as u64 },
            Node::Dir { .. } => Entry { name: name.clone(), is_dir: true, len: 0 },
        };
        Ok(live.iter().map(entry).collect())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let mut at = ROOT;
        for name in names(path) {
            at = if let Some(id) = state.child(at, name) {
                id
            } else {
                let id = state.nodes.len();
                state.nodes.push(new_dir());
                state.entries(at)?.insert(name.to_owned(), id);
                id
            };
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(FaultOp::Rename)?;
        state.find(from)?;
        if let Ok(old) = state.find(to) {
            state.used -= state.bytes_below(old);
        }
        let id = state.remove(from)?;
        state.insert(to, id)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = state.remove(path)?;
        state.used -= state.bytes_below(id);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = state.find(from)?;
        state.used += state.bytes_below(id);
        state.insert(to, id)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(FaultOp::SyncDir)?;
        let id = state.find(path)?;
        if let Node::Dir { live, durable } = &mut state.nodes[id] {
            durable.clone_from(live);
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Lock> {
        Ok(Lock(Box::new(())))
    }
}
