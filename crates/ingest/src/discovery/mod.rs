//! Discovery: where targets come from.
//!
//! [`start`] runs the discovery of one section (a job, or a set of Alertmanagers) and hands out its target groups as a
//! watched value: whoever is slow misses states in between, never the last one, and nothing queues up.

mod board;
mod consul;
mod dns;
mod docker;
pub mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod group;
mod http;
mod kubernetes;
mod metrics;
mod refresh;
mod remote;
mod restart;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

pub use metrics::{DiscoveryMetrics, RefreshMetrics};
use reba_http::ProxyEnv;
use reba_model::{Labels, LabelsBuilder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::board::Board;
use self::{
    board::Slot,
    dns::DnsSource,
    docker::DockerSource,
    http::HttpSource,
    refresh::Polled,
    restart::{blocking, run_source},
};
use crate::config::{DiscoveryConfig, StaticGroup};

/// The label of a target's address.
pub const ADDRESS_LABEL: &str = "__address__";

/// Targets that share labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Where the group comes from: an index, or a file and an index.
    pub source: String,
    /// Labels of all its targets.
    pub labels: Labels,
    /// Labels of each; [`ADDRESS_LABEL`] is among them.
    pub targets: Vec<Labels>,
}

/// All groups of one section.
pub type TargetGroups = Arc<Vec<TargetGroup>>;

/// What the binary decides about discovery.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryOptions {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Proxies of the environment, for sections that ask for them.
    pub proxies: ProxyEnv,
    /// The file that says which DNS servers are asked; none means `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// How the Kubernetes cluster is reached in which we run.
    pub in_cluster: InCluster,
}

/// What a pod knows of its cluster.
#[derive(Clone, Debug)]
pub struct InCluster {
    /// The URL of the API server.
    pub server: String,
    /// The folder with `token`, `ca.crt` and `namespace`.
    pub folder: PathBuf,
}

impl Default for InCluster {
    fn default() -> Self {
        InCluster {
            // Every cluster has this name for it, and its certificate too.
            server: "https://kubernetes.default.svc".to_owned(),
            folder: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
        }
    }
}

impl TargetGroup {
    pub(crate) fn from_static(group: &StaticGroup, source: String) -> Self {
        TargetGroup {
            source,
            labels: Labels::from_pairs(&group.labels),
            targets: group
                .targets
                .iter()
                .map(|t| Labels::from_pairs([(ADDRESS_LABEL, t.as_str())]))
                .collect(),
        }
    }
}

/// The groups that the configuration names itself.
pub(crate) fn static_groups(config: &DiscoveryConfig) -> Vec<TargetGroup> {
    let group = |(i, g): (usize, &StaticGroup)| TargetGroup::from_static(g, i.to_string());
    config.statics.iter().enumerate().map(group).collect()
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Sets the label `PREFIXname`; what no label's name may hold becomes `_`.
pub(crate) fn set_sanitized(b: &mut LabelsBuilder, prefix: &str, name: &str, value: &str) {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    b.set(&prefix.chars().chain(name.chars().map(plain)).collect::<String>(), value);
}

/// A value for the query of a URL.
pub(crate) fn percent_encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Starts the discovery of one section. The value is right from the start as far as the section's own targets go;
/// all others are found at once, but by tasks. They end with `cancel` or when nobody watches any more.
pub fn start(
    config: &DiscoveryConfig,
    options: &DiscoveryOptions,
    metrics: Arc<DiscoveryMetrics>,
    cancel: &CancellationToken,
) -> watch::Receiver<TargetGroups> {
    start_on_board(config, options, metrics, cancel).1
}

/// As [`start`], with the board, which knows whether all sources have answered.
pub(crate) fn start_on_board(
    config: &DiscoveryConfig,
    options: &DiscoveryOptions,
    metrics: Arc<DiscoveryMetrics>,
    cancel: &CancellationToken,
) -> (Arc<Board>, watch::Receiver<TargetGroups>) {
    let (board, receiver) = Board::new(static_groups(config), metrics);
    if !config.files.is_empty() {
        let files = config.files.clone();
        let source = move |slot| watch_files(file::Watcher::new(files.clone()), slot);
        tokio::spawn(run_source("file", board.slot(), cancel.clone(), source));
    }
    for section in &config.dns {
        let (section, options) = (section.clone(), options.clone());
        let source = move |slot| refresh::run(Polled::Dns(DnsSource::new(section.clone(), &options)), slot);
        tokio::spawn(run_source("dns", board.slot(), cancel.clone(), source));
    }
    for section in &config.docker {
        let (section, options) = (section.clone(), options.clone());
        let docker = move || DockerSource::new(section.clone(), options.clone());
        let source = move |slot| refresh::run(Polled::Docker(docker()), slot);
        tokio::spawn(run_source("docker", board.slot(), cancel.clone(), source));
    }
    for section in &config.http {
        let (section, options) = (section.clone(), options.clone());
        let http = move || HttpSource::new(section.clone(), options.clone());
        let source = move |slot| refresh::run(Polled::Http(http()), slot);
        tokio::spawn(run_source("http", board.slot(), cancel.clone(), source));
    }
    for section in &config.consul {
        let (section, options) = (section.clone(), options.clone());
        let source = move |slot| consul::run(section.clone(), options.clone(), slot);
        tokio::spawn(run_source("consul", board.slot(), cancel.clone(), source));
    }
    for section in &config.kubernetes {
        let (section, options) = (section.clone(), options.clone());
        let source = move |slot| kubernetes::run(section.clone(), options.clone(), slot);
        tokio::spawn(run_source("kubernetes", board.slot(), cancel.clone(), source));
    }
    (board, receiver)
}

async fn watch_files(mut watcher: file::Watcher, slot: Arc<Slot>) {
    let mut ticks = tokio::time::interval(watcher.poll_interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let work = blocking(move || {
            let refresh = watcher.refresh();
            (watcher, refresh)
        });
        let Some((back, refresh)) = work.await else { return };
        watcher = back;
        for e in &refresh.errors {
            slot.metrics().file_read_errors.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %e, "reading targets from file failed, the last good ones stay");
        }
        slot.publish(watcher.groups().collect());
    }
}
