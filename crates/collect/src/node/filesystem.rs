//! File systems: how full they are. One that does not answer must not hold up the rest.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::fs::{StatVfs, statvfs};

use super::{Fault, Files, Node, Outcome};
use crate::page::Page;

/// Threads at most that hang in file systems that do not answer. Then these are all given up until some of them return.
const MAX_STUCK: usize = 64;

/// Kinds that know from memory how full they are: asking them waits for no disk and no server, and needs no other thread.
const PROMPT: [&str; 12] = [
    "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "overlay", "squashfs", "tmpfs", "vfat", "xfs",
];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    device: String,
    point: String,
    kind: String,
    readonly: bool,
}

impl Mount {
    /// Whether it answers at once: it is of such a kind, and the way there leads through none of `others`, which are not.
    fn is_prompt(&self, others: &BTreeSet<String>) -> bool {
        let mut way = self.point.as_str();
        PROMPT.contains(&self.kind.as_str())
            && loop {
                if others.contains(if way.is_empty() { "/" } else { way }) {
                    break false;
                }
                match way.rsplit_once('/') {
                    Some((parent, _)) => way = parent,
                    None => break true,
                }
            }
    }
}

type Job = (usize, String);
type Done = (usize, Option<StatVfs>);

/// A thread that asks file systems, one after the other.
#[derive(Debug)]
struct Asker {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
}

/// Asks file systems how full they are.
#[derive(Debug)]
pub struct Mounts {
    timeout: Duration,
    asker: Mutex<Option<Asker>>,
    /// Paths in which a thread hangs.
    stuck: Arc<Mutex<BTreeSet<String>>>,
}

impl Mounts {
    /// Waits `timeout` for each.
    pub fn new(timeout: Duration) -> Self {
        Mounts { timeout, asker: Mutex::new(None), stuck: Arc::default() }
    }

    /// What each path answers; nothing, if it fails or takes too long.
    fn ask(&self, paths: &[String]) -> Vec<Option<StatVfs>> {
        let mut answers: Vec<Option<StatVfs>> = paths.iter().map(|_| None).collect();
        // Scrapes at the same time have a thread each.
        let mut asker = self.asker.lock().take();
        for (i, path) in paths.iter().enumerate() {
            if self.stuck.lock().contains(path) || self.stuck.lock().len() >= MAX_STUCK {
                continue;
            }
            let Some(one) = asker.take().or_else(Self::start) else { continue };
            match one.ask(i, path, self.timeout) {
                Asked::Answered(answer) => {
                    if let Some(place) = answers.get_mut(i) {
                        *place = answer;
                    }
                    asker = Some(one);
                }
                Asked::Hangs => {
                    tracing::warn!(path, "this file system does not answer and is left out until it does");
                    self.stuck.lock().insert(path.clone());
                    self.wait_for(one, path.clone());
                }
                Asked::Gone => {}
            }
        }
        if asker.is_some() {
            *self.asker.lock() = asker;
        }
        answers
    }

    fn start() -> Option<Asker> {
        let (jobs, todo) = sync_channel::<Job>(1);
        let (tell, done) = sync_channel::<Done>(1);
        let work = move || {
            while let Ok((i, path)) = todo.recv() {
                if tell.send((i, statvfs(path.as_str()).ok())).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("statvfs".to_owned()).spawn(work).ok()?;
        Some(Asker { jobs, done })
    }

    /// Notes when a file system that hung answers after all; the thread that asked it ends then.
    fn wait_for(&self, asker: Asker, path: String) {
        let stuck = Arc::clone(&self.stuck);
        let work = move || {
            let _ = asker.done.recv();
            stuck.lock().remove(&path);
            tracing::info!(path, "this file system answers again");
        };
        // Without a thread it stays out for good, which is what it is now.
        let _ = thread::Builder::new().name("statvfs-wait".to_owned()).stack_size(64 << 10).spawn(work);
    }
}

enum Asked {
    Answered(Option<StatVfs>),
    Hangs,
    Gone,
}

impl Asker {
    fn ask(&self, i: usize, path: &str, timeout: Duration) -> Asked {
        if self.jobs.send((i, path.to_owned())).is_err() {
            return Asked::Gone;
        }
        let deadline = Instant::now() + timeout;
        match self.done.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((_, answer)) => Asked::Answered(answer),
            Err(RecvTimeoutError::Timeout) => Asked::Hangs,
            Err(RecvTimeoutError::Disconnected) => Asked::Gone,
        }
    }
}

/// `filesystem`
pub fn filesystem(node: &Node, files: &mut Files<'_>, page: &mut Page) -> Outcome {
    let root = files.roots().root.clone();
    let (mounts, others) = mounts(node, files)?;
    let (prompt, slow): (Vec<&Mount>, Vec<&Mount>) =
        mounts.iter().partition(|mount| mount.is_prompt(&others));
    let path = |mount: &&Mount| below(&root, &mount.point);
    let prompt_answers: Vec<_> = prompt.iter().map(|mount| statvfs(path(mount)).ok()).collect();
    let slow_answers = node.mounts.ask(&slow.iter().map(path).collect::<Vec<_>>());
    let answers = prompt.into_iter().zip(prompt_answers).chain(slow.into_iter().zip(slow_answers));
    for (mount, answer) in answers {
        let labels =
            [("device", mount.device.as_str()), ("fstype", &mount.kind), ("mountpoint", &mount.point)];
        let mut put = |name: &'static str, help: &'static str, value: f64| {
            page.gauge(name, help).with(&labels, value);
        };
        let error = if answer.is_none() { 1.0 } else { 0.0 };
        put("node_filesystem_device_error", "Whether a file system could not be asked.", error);
        let readonly = if mount.readonly { 1.0 } else { 0.0 };
        put("node_filesystem_readonly", "Whether a file system is mounted for reading only.", readonly);
        let Some(stat) = answer else { continue };
        let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
        put("node_filesystem_size_bytes", "Bytes of each file system.", bytes(stat.f_blocks));
        put("node_filesystem_free_bytes", "Bytes that are free for root.", bytes(stat.f_bfree));
        put("node_filesystem_avail_bytes", "Bytes that are free for everybody.", bytes(stat.f_bavail));
        put("node_filesystem_files", "Inodes of each file system.", stat.f_files as f64);
        put("node_filesystem_files_free", "Inodes that are free.", stat.f_ffree as f64);
    }
    Ok(())
}

/// Mounts that are shown, and mount points of all that may be slow, shown or not.
fn mounts(node: &Node, files: &mut Files<'_>) -> Result<(Vec<Mount>, BTreeSet<String>), Fault> {
    let root = files.roots().root.clone();
    let text = match files.proc("1/mounts") {
        Ok(text) => text.to_owned(),
        // Others' folders in /proc may be hidden.
        Err(_) => files.proc("mounts")?.to_owned(),
    };
    let options = &node.options;
    let excluded = |mount: &Mount| {
        options.mount_points_exclude.as_ref().is_some_and(|r| r.is_match(&mount.point))
            || options.fs_types_exclude.as_ref().is_some_and(|r| r.is_match(&mount.kind))
    };
    let (mut seen, mut slow) = (BTreeSet::new(), BTreeSet::new());
    let mut out = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [device, point, kind, flags, ..] = fields.as_slice() else {
            return Err(Fault::failed(format!("mounts: {line:?}")));
        };
        let point = unescaped(point);
        let mount = Mount {
            device: (*device).to_owned(),
            point: without(&root, &point),
            kind: (*kind).to_owned(),
            readonly: flags.split(',').any(|flag| flag == "ro"),
        };
        if !PROMPT.contains(kind) {
            slow.insert(mount.point.clone());
        }
        let labels = (mount.device.clone(), mount.point.clone(), mount.kind.clone());
        if !excluded(&mount) && seen.insert(labels) {
            out.push(mount);
        }
    }
    Ok((out, slow))
}

/// Spaces, tabs, line breaks and backslashes stand there as `\040` and so on.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = text.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    out
}

/// A mount point as its host sees it.
fn without(root: &str, point: &str) -> String {
    if root == "/" {
        return point.to_owned();
    }
    match point.strip_prefix(root.trim_end_matches('/')) {
        Some("") => "/".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => point.to_owned(),
    }
}

fn below(root: &str, point: &str) -> String {
    if root == "/" { point.to_owned() } else { format!("{}{point}", root.trim_end_matches('/')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_shown_as_the_host_sees_them() {
        assert_eq!(without("/host", "/host/var"), "/var");
        assert_eq!((without("/host", "/host"), without("/host/", "/hosts")), ("/".into(), "/hosts".into()));
        assert_eq!((below("/host", "/var"), below("/", "/var")), ("/host/var".into(), "/var".into()));
        assert_eq!(unescaped("/a\\040b\\134040"), "/a b\\040");
    }

    #[test]
    fn a_disk_behind_a_server_of_files_is_as_slow_as_that() {
        let slow = BTreeSet::from(["/mnt/nas".to_owned(), "/proc".to_owned()]);
        let prompt = |kind: &str, point: &str| {
            let (device, point, kind) = ("d".to_owned(), point.to_owned(), kind.to_owned());
            Mount { device, point, kind, readonly: false }.is_prompt(&slow)
        };
        assert!(prompt("ext4", "/") && prompt("xfs", "/mnt") && prompt("tmpfs", "/mnt/nasty"));
        assert!(!prompt("nfs4", "/x") && !prompt("ext4", "/mnt/nas/disk/a") && !prompt("ext4", "/mnt/nas"));
        let everything = BTreeSet::from(["/".to_owned()]);
        let root = Mount { device: String::new(), point: "/".into(), kind: "ext4".into(), readonly: false };
        assert!(!root.is_prompt(&everything));
    }

    #[test]
    fn a_file_system_that_is_not_there_is_an_error_of_its_own() {
        let mounts = Mounts::new(Duration::from_secs(5));
        let answers = mounts.ask(&["/".to_owned(), "/nope/nope".to_owned(), "/".to_owned()]);
        assert!(answers[0].is_some() && answers[1].is_none() && answers[2].is_some());
    }

    #[test]
    fn one_that_hangs_is_left_out_until_it_answers() {
        let mounts = Mounts::new(Duration::ZERO);
        // Nothing answers in no time, or it does: either way nobody waits.
        let first = mounts.ask(&["/".to_owned()]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !mounts.stuck.lock().is_empty() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(mounts.stuck.lock().is_empty() && first.len() == 1);
    }
}
