//! The logs of containers, from Docker's API.
//!
//! A thread lists the containers of one daemon; each container has a thread that follows its log. The requests are HTTP/1.0,
//! so that answers come as they are and end with the connection.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Read, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reba_model::{Labels, LabelsBuilder, Relabel};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::frames::{DockerLine, Frames};
use crate::{
    client::wait,
    config::DockerConfig,
    entry::{Entry, Marks},
    job::Job,
    marks::Track,
    positions::Positions,
    status::TargetStatus,
};

/// How long a read waits before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(500);

/// A line that is in pieces waits so long for the rest.
const PIECES: Duration = Duration::from_secs(2);

/// How long the daemon may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Bytes of an answer that is no log.
const MAX_ANSWER: u64 = 64 << 20;

/// What a follower needs besides its container.
pub(crate) struct Daemon {
    pub config: DockerConfig,
    pub relabel: Vec<Relabel>,
    pub job: Arc<Job>,
    pub positions: Arc<Mutex<Positions>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    state: String,
    host_config: HostConfig,
    network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Network>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "NetworkID")]
    id: String,
    #[serde(rename = "IPAddress")]
    ip: String,
}

trait Connection: Read + Send {}
impl<T: Read + Send> Connection for T {}

/// Asks for a path; returns the answer's body as it comes. Any status but 200 is an error.
fn get(host: &str, path: &str, stop: &CancellationToken) -> io::Result<Box<dyn Connection>> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    let mut connection: Box<dyn Connection> = if let Some(socket) = host.strip_prefix("unix://") {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.write_all(request.as_bytes())?;
        Box::new(stream)
    } else {
        let address = host.split_once("://").map_or(host, |(_, rest)| rest).trim_end_matches('/');
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.write_all(request.as_bytes())?;
        Box::new(stream)
    };
    let mut head = Vec::new();
    let begun = Instant::now();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match connection.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if head.len() > 64 << 10 => {
                return Err(io::Error::other("the head of the answer is too long"));
            }
            Ok(_) => head.push(byte[0]),
            Err(e) if super::is_pause(&e) && begun.elapsed() < ANSWER && !stop.is_cancelled() => {}
            Err(e) => return Err(e),
        }
    }
    let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    if status.split(' ').nth(1) == Some("200") { Ok(connection) } else { Err(io::Error::other(status)) }
}

fn get_json<T: serde::de::DeserializeOwned>(
    host: &str,
    path: &str,
    stop: &CancellationToken,
) -> io::Result<T> {
    let mut body = Vec::new();
    let mut connection = get(host, path, stop)?.take(MAX_ANSWER);
    let begun = Instant::now();
    loop {
        match connection.read_to_end(&mut body) {
            Ok(_) => return serde_json::from_slice(&body).map_err(io::Error::other),
            Err(e) if super::is_pause(&e) && begun.elapsed() < ANSWER && !stop.is_cancelled() => {}
            Err(e) => return Err(e),
        }
    }
}

/// Where the containers are listed, those that have ended too: one may live shorter than it takes us to look again.
fn list_path(filters: &[(String, Vec<String>)]) -> String {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, values) in filters {
        all.entry(name).or_default().extend(values.iter().map(String::as_str));
    }
    if all.is_empty() {
        return "/containers/json?all=1".to_owned();
    }
    let mut path = "/containers/json?all=1&filters=".to_owned();
    for b in serde_json::json!(all).to_string().bytes() {
        path.push_str(&format!("%{b:02X}"));
    }
    path
}

/// Follows the containers of a daemon until the job is stopped.
pub(crate) fn run(daemon: &Arc<Daemon>) {
    let host = &daemon.config.host;
    let path = list_path(&daemon.config.filters);
    let mut followers: HashMap<String, std::thread::JoinHandle<()>> = HashMap::new();
    // Containers that had ended when we came are history, unless we know where we left them.
    let mut ended: Option<HashSet<String>> = None;
    let mut warned = false;
    // A host without containers is told so once, not four times a minute.
    let mut told = String::new();
    while !daemon.job.stop.is_cancelled() {
        match get_json::<Vec<Container>>(host, &path, &daemon.job.stop) {
            Ok(containers) => {
                told.clear();
                let is_over = |c: &Container| matches!(c.state.as_str(), "exited" | "dead");
                let known = ended.get_or_insert_with(|| {
                    let key = |c: &&Container| daemon.positions.lock().get(&cursor_key(&c.id)).is_none();
                    containers.iter().filter(|c| is_over(c)).filter(key).map(|c| c.id.clone()).collect()
                });
                if containers.is_empty() && !std::mem::replace(&mut warned, true) {
                    tracing::warn!(%host, job = %daemon.job.name, "no container matches the filters");
                }
                followers.retain(|_, thread| !thread.is_finished());
                for container in containers {
                    if followers.contains_key(&container.id) || known.contains(&container.id) {
                        continue;
                    }
                    if is_over(&container) {
                        known.insert(container.id.clone());
                    } else {
                        known.remove(&container.id);
                    }
                    let (id, daemon) = (container.id.clone(), Arc::clone(daemon));
                    let builder = std::thread::Builder::new().name("ship-docker".to_owned());
                    match builder.spawn(move || follow(&daemon, &container)) {
                        Ok(thread) => drop(followers.insert(id, thread)),
                        Err(error) => tracing::warn!(%error, "a container is not followed"),
                    }
                }
            }
            Err(error) => {
                let reason = error.to_string();
                if told != reason {
                    tracing::warn!(%host, job = %daemon.job.name, error = reason, "containers cannot be listed; it is tried again");
                    told = reason;
                }
                daemon.job.outlet.counters.add("promtail_targets_failed_total", &[("reason", "docker")], 1);
            }
        }
        changed(daemon);
    }
    for (_, thread) in followers {
        let _ = thread.join();
    }
}

/// Waits until a container starts, or until it is time to list them again: one may live shorter than that takes.
fn changed(daemon: &Daemon) {
    let until = Instant::now() + daemon.config.refresh;
    // `{"type":["container"],"event":["start"]}`
    let path = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%5D%7D";
    let mut piece = [0; 4096];
    if let Ok(mut events) = get(&daemon.config.host, path, &daemon.job.stop) {
        while Instant::now() < until && !daemon.job.stop.is_cancelled() {
            match events.read(&mut piece) {
                Err(e) if super::is_pause(&e) => {}
                Ok(n) if n > 0 => return,
                _ => break,
            }
        }
    }
    wait(&daemon.job.stop, until.saturating_duration_since(Instant::now()).min(daemon.config.refresh));
}

const SECOND: i64 = 1_000_000_000;

/// Where a container was left, Unix nanoseconds. Promtail's seconds are right if it was here after us.
fn cursor(positions: &Positions, key: &str) -> i64 {
    let number = |key: &str| positions.get(key).and_then(|c| c.parse::<i64>().ok());
    let Some(seconds) = number(key) else { return 0 };
    let exact = number(&format!("{key}.ns")).filter(|ns| ns / SECOND == seconds);
    exact.unwrap_or_else(|| seconds.saturating_mul(SECOND)).max(0)
}

fn cursor_key(id: &str) -> String {
    format!("cursor-{id}")
}

/// Follows one container until its log ends, and shows it on the board for as long.
fn follow(daemon: &Daemon, container: &Container) {
    let (board, source) = (&daemon.job.outlet.board, format!("docker {}", container.id));
    let (discovered, mut status) = (
        labels(container),
        TargetStatus {
            job: daemon.job.name.clone(),
            kind: "docker",
            discovered: Labels::empty(),
            labels: Labels::empty(),
            details: name(container).to_owned(),
            ready: true,
        },
    );
    status.discovered = discovered.build();
    status.labels = relabelled(daemon, container, false).unwrap_or_default();
    board.set(&source, vec![status], 1);
    read_log(daemon, container);
    board.remove(&source);
}

fn read_log(daemon: &Daemon, container: &Container) {
    let terminal = get_json::<serde_json::Value>(
        &daemon.config.host,
        &format!("/containers/{}/json", container.id),
        &daemon.job.stop,
    )
    .ok()
    .and_then(|inspect| inspect.pointer("/Config/Tty")?.as_bool())
    .unwrap_or(false);
    let key = cursor_key(&container.id);
    let since = cursor(&daemon.positions.lock(), &key);
    let (seconds, ns) = (since / SECOND, since % SECOND);
    let path = format!(
        "/containers/{}/logs?follow=1&stdout=1&stderr=1&timestamps=1&since={seconds}.{ns:09}",
        container.id
    );
    let mut connection = match get(&daemon.config.host, &path, &daemon.job.stop) {
        Ok(connection) => connection,
        Err(error) => {
            let name = name(container);
            tracing::warn!(container = name, %error, "the log cannot be read: its driver may not allow it");
            return;
        }
    };
    let streams = [false, true].map(|stderr| relabelled(daemon, container, stderr));
    let (track, frames) = (Track::new(since), Frames::new(terminal));
    let mut follower = Follower { daemon, since, track, frames, key, streams };
    let mut buffer = vec![0; 64 << 10];
    let mut quiet = Duration::ZERO;
    while !daemon.job.stop.is_cancelled() {
        let mut lines = Vec::new();
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                quiet = Duration::ZERO;
                follower.frames.take(&buffer[..n], &mut lines);
            }
            Err(e) if super::is_pause(&e) => {
                quiet += LOOK;
                if quiet >= PIECES {
                    follower.frames.finish(&mut lines);
                }
            }
            Err(error) => {
                tracing::warn!(container = name(container), %error, "reading a log failed; it is read on soon");
                break;
            }
        }
        if !follower.emit(lines) {
            return;
        }
    }
    let mut lines = Vec::new();
    if !daemon.job.stop.is_cancelled() {
        follower.frames.finish(&mut lines);
    }
    follower.emit(lines);
    follower.commit();
}

fn name(container: &Container) -> &str {
    container.names.iter().flatten().next().map_or(container.id.as_str(), String::as_str)
}

struct Follower<'a> {
    daemon: &'a Daemon,
    /// Older lines have been read before; Unix nanoseconds.
    since: i64,
    track: Track<i64>,
    frames: Frames,
    key: String,
    /// Labels of stdout and stderr.
    streams: [Option<Labels>; 2],
}

impl Follower<'_> {
    /// Hands lines on; `false` if that was aborted.
    fn emit(&mut self, lines: Vec<DockerLine>) -> bool {
        let counters = &self.daemon.job.outlet.counters;
        let errors = std::mem::take(&mut self.frames.errors);
        if errors > 0 {
            counters.add("promtail_docker_target_parsing_errors_total", &[], errors);
        }
        let Some(last) = lines.last().map(|l| l.ns) else {
            self.commit();
            return true;
        };
        counters.add("promtail_docker_target_entries_total", &[], lines.len() as u64);
        let mark = self.track.mark(last);
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines.into_iter().filter(|l| l.ns >= self.since) {
            if let Some(labels) = self.streams[usize::from(line.stderr)].clone() {
                let mut entry = Entry::new(line.ns, line.text, labels);
                entry.marks = Marks::one(mark.clone());
                entries.push(entry);
            }
        }
        drop(mark);
        let handled = self.daemon.job.handle(entries);
        self.commit();
        handled
    }

    fn commit(&mut self) {
        let done = *self.track.done();
        if done > 0 {
            let mut positions = self.daemon.positions.lock();
            positions.set(&self.key, (done / SECOND).to_string());
            positions.set(&format!("{}.ns", self.key), done.to_string());
        }
    }
}

/// The labels of a container's lines; nothing if relabelling drops them.
fn relabelled(daemon: &Daemon, container: &Container, stderr: bool) -> Option<Labels> {
    let mut builder = labels(container);
    builder.set("__meta_docker_container_log_stream", if stderr { "stderr" } else { "stdout" });
    if !Relabel::apply_all(&daemon.relabel, &mut builder) {
        return None;
    }
    builder.retain(|n, _| !n.starts_with("__"));
    if builder.is_empty() {
        builder.set("container", name(container).trim_start_matches('/'));
    }
    Some(builder.build())
}

/// What relabelling sees of a container.
fn labels(container: &Container) -> LabelsBuilder {
    let mut b = LabelsBuilder::new();
    b.set("__meta_docker_container_id", &container.id);
    b.set("__meta_docker_container_name", name(container));
    b.set("__meta_docker_container_network_mode", &container.host_config.network_mode);
    for (label, value) in container.labels.iter().flatten() {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let sanitized: String = label.chars().map(plain).collect();
        b.set(&format!("__meta_docker_container_label_{sanitized}"), value);
    }
    let networks = container.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    if let Some((name, Some(network))) = networks.and_then(|n| n.iter().next()) {
        b.set("__meta_docker_network_name", name);
        b.set("__meta_docker_network_id", &network.id);
        b.set("__meta_docker_network_ip", &network.ip);
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_the_labels_that_configurations_relabel() {
        let json = r#"{"Id":"abc","Names":["/web"],"State":"running","Labels":{"com.easymo.service":"api"},
            "HostConfig":{"NetworkMode":"n"},"NetworkSettings":{"Networks":{"n":{"NetworkID":"1","IPAddress":"10.0.0.2"}}}}"#;
        let container: Container = serde_json::from_str(json).unwrap();
        let b = labels(&container);
        for (name, value) in [
            ("__meta_docker_container_name", "/web"),
            ("__meta_docker_container_label_com_easymo_service", "api"),
            ("__meta_docker_network_ip", "10.0.0.2"),
        ] {
            assert_eq!(b.value(name), value, "{name}");
        }
        assert_eq!(
            list_path(&[("label".to_owned(), vec!["a=b".to_owned()])]),
            "/containers/json?all=1&filters=%7B%22%6C%61%62%65%6C%22%3A%5B%22%61%3D%62%22%5D%7D"
        );
    }
}
