//! promtail-config.yml, as Promtail 2.9 reads it.
//!
//! Unknown keys are warnings with their line, where Promtail would not start; so are sources that Reba does not have.

mod client;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use client::{Backoff, ClientConfig};
use reba_config::{ConfigError, Unknown, Variables};
use reba_ingest::config::KubernetesSd;
use reba_model::{NameScheme, Relabel, RelabelAction, RelabelSpec};
pub use sources::{DockerConfig, FileGroup, GelfConfig, JournalConfig, PushConfig, SyslogConfig};

pub use crate::sources::TlsFiles;

use crate::{
    stage::{self, CustomMetrics, Pipeline},
    tail::Packing,
    yaml::{self, Fault, Kind, Node, Section, Units as _},
};

/// A valid configuration, ready to start.
#[derive(Debug)]
pub struct ShipConfig {
    /// Our own listener.
    pub server: ServerConfig,
    /// Where it is written down how far sources have been read.
    pub positions: PositionsConfig,
    /// Who gets the entries: each of them gets all.
    pub clients: Vec<ClientConfig>,
    /// What is read.
    pub jobs: Vec<JobConfig>,
    /// How much may be read.
    pub limits: LimitsConfig,
    /// How often patterns of files are looked up anew.
    pub sync_period: Duration,
    /// How often files that grow are read.
    pub poll: Duration,
    /// Where queues are kept; beside the positions file without it.
    pub queue_dir: Option<PathBuf>,
    /// The metrics that pipelines make.
    pub metrics: Vec<Arc<CustomMetrics>>,
    /// What has no effect, with file and line.
    pub warnings: Vec<ConfigError>,
    /// The file as it is understood, in YAML, without its secrets.
    pub text: String,
}

/// The listener of health checks and metrics; opening it is the binary's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Whether there is none.
    pub disable: bool,
    /// The address; empty for all.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Whether `POST /reload` is allowed.
    pub enable_reload: bool,
}

/// The positions file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionsConfig {
    /// The file.
    pub filename: PathBuf,
    /// How often it is written.
    pub sync_period: Duration,
    /// Whether a file that cannot be read is passed over.
    pub ignore_invalid_yaml: bool,
    /// Whether it is only read, for runs that only look.
    pub read_only: bool,
}

/// How much may be read.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Lines a second over all files and how many at once, if there is a limit; whether lines beyond are dropped.
    pub readline: Option<(f64, f64, bool)>,
    /// Streams that the process may make; 0 is no limit.
    pub max_streams: usize,
    /// Bytes that a line may have; 0 is no limit.
    pub max_line_size: usize,
    /// Whether longer lines are cut instead of dropped.
    pub truncate: bool,
}

/// One of `scrape_configs`.
#[derive(Debug)]
pub struct JobConfig {
    /// Its name.
    pub name: String,
    /// What is done to each line.
    pub pipeline: Pipeline,
    /// What is done to the labels of targets.
    pub relabel: Vec<Relabel>,
    /// Files that the configuration names.
    pub files: Vec<FileGroup>,
    /// Files that name more of them, and how often those are read.
    pub file_sd: Vec<(Vec<PathBuf>, Duration)>,
    /// Daemons whose containers are read.
    pub docker: Vec<DockerConfig>,
    /// The journal of systemd.
    pub journal: Option<JournalConfig>,
    /// A syslog receiver.
    pub syslog: Option<SyslogConfig>,
    /// A GELF receiver.
    pub gelf: Option<GelfConfig>,
    /// Clusters whose objects are targets of files.
    pub kubernetes: Vec<KubernetesSd>,
    /// A receiver of pushed entries.
    pub push: Option<PushConfig>,
    /// The encoding of files, `UTF-8` unless it is said.
    pub encoding: String,
    /// How files are compressed, if they are.
    pub decompress: Option<Decompress>,
    /// A label `job` with the name, if the configuration asks for it.
    pub add_job_label: bool,
}

impl JobConfig {
    /// A job without sources and stages.
    pub(crate) fn named(name: &str) -> Self {
        JobConfig {
            name: name.to_owned(),
            pipeline: Pipeline::default(),
            relabel: Vec::new(),
            files: Vec::new(),
            file_sd: Vec::new(),
            docker: Vec::new(),
            journal: None,
            syslog: None,
            gelf: None,
            kubernetes: Vec::new(),
            push: None,
            encoding: String::new(),
            decompress: None,
            add_job_label: false,
        }
    }

    /// Takes its sources away; returns the files that it named.
    pub(crate) fn leave_sources(&mut self) -> Vec<FileGroup> {
        let bare = JobConfig::named(&self.name);
        let old = std::mem::replace(self, bare);
        (self.pipeline, self.add_job_label) = (old.pipeline, old.add_job_label);
        old.files
    }
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decompress {
    /// The format.
    pub packing: Packing,
    /// How long after their discovery they are read.
    pub delay: Duration,
}

impl ShipConfig {
    /// Reads a file; `variables` are what `${NAME}` may ask for (none without `-config.expand-env`).
    pub fn load(file: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|e| ConfigError::io(file, &e))?;
        Self::parse(&text, file, variables)
    }

    /// Reads a file whose text is at hand.
    pub fn parse(text: &str, file: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        // A name that nobody has set stays: without expansion Promtail leaves them all.
        let unknown = Unknown { keep: true, groups: &["replacement", "target_label", "expression", "regex"] };
        let expanded = variables.expand(text, file, &unknown)?;
        let result = yaml::parse(&expanded.text, file).and_then(|mut node| {
            if *variables != Variables::default() {
                undouble(&mut node);
            }
            let mut warnings = Vec::new();
            let config = Section::new(&node, "").and_then(|root| build(&root, &mut warnings));
            let mut config = config.map_err(|e| e.in_file(file))?;
            config.warnings = warnings.into_iter().map(|w| w.in_file(file)).collect();
            // As it was written: what variables hold may be secret anywhere.
            config.text = yaml::parse(text, file).map(|n| yaml::without_secrets(&n)).unwrap_or_default();
            Ok(config)
        });
        let mut config = result.map_err(|e| expanded.hide(e))?;
        config.warnings = config.warnings.into_iter().map(|w| expanded.hide(w)).collect();
        for u in &expanded.unresolved {
            let reason = format!("${{{}}} is not set and stays as it is", u.name);
            config.warnings.push(ConfigError::invalid(file, Some(u.at), u.key.as_str(), reason));
        }
        Ok(config)
    }
}

/// Promtail's expansion eats one backslash of two, so files that are written for it double them all; ours eats none.
fn undouble(node: &mut Node) {
    match &mut node.kind {
        Kind::Scalar { .. } => {}
        Kind::List(items) => items.iter_mut().for_each(undouble),
        Kind::Map(entries) => {
            for (key, value) in entries {
                match &mut value.kind {
                    Kind::Scalar { text, .. }
                        if matches!(key.as_str(), "expression" | "regex" | "firstline") =>
                    {
                        let halved = text.replace("\\\\", "\u{0}");
                        if !halved.contains('\\') {
                            *text = halved.replace('\u{0}', "\\");
                        }
                    }
                    _ => undouble(value),
                }
            }
        }
    }
}

/// Keys of Promtail that need no attention here: passed over without a warning.
fn ignore(section: &Section<'_>, keys: &[&str]) {
    for key in keys {
        section.get(key);
    }
}

fn build(root: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<ShipConfig, Fault> {
    let options = root.section("options")?;
    let add_job_label =
        options.as_ref().map(|o| o.bool("add_job_label")).transpose()?.flatten().unwrap_or(false);
    let mut poll = Duration::from_millis(250);
    if let Some(watch) =
        root.section("global")?.map(|g| g.section("file_watch_config")).transpose()?.flatten()
    {
        poll = watch.duration("min_poll_frequency")?.unwrap_or(poll);
        ignore(&watch, &["max_poll_frequency"]);
        watch.finish(warnings);
    }
    let target = root.section("target_config")?;
    let sync = target.as_ref().map(|t| t.duration("sync_period")).transpose()?.flatten();
    let wal = root.section("wal")?;
    let queue_dir = wal.as_ref().map(|w| w.text("dir")).transpose()?.flatten();
    ignore(root, &["tracing"]);
    let mut metrics = Vec::new();
    let mut jobs: Vec<JobConfig> = Vec::new();
    for (path, node) in root.list("scrape_configs")? {
        let section = Section::new(node, path)?;
        let mut job = job(&section, warnings, &mut metrics)?;
        if jobs.iter().any(|j| j.name == job.name) {
            return Err(section
                .fault("job_name", format!("found multiple scrape configs with job name {:?}", job.name)));
        }
        job.add_job_label = add_job_label;
        section.finish(warnings);
        jobs.push(job);
    }
    let config = ShipConfig {
        server: server(root, warnings)?,
        positions: positions(root, warnings)?,
        clients: client::clients(root, warnings)?,
        jobs,
        limits: limits(root, warnings)?,
        sync_period: sync.filter(|d| !d.is_zero()).unwrap_or(Duration::from_secs(10)),
        poll: poll.clamp(Duration::from_millis(10), Duration::from_secs(60)),
        queue_dir: queue_dir.filter(|d| !d.is_empty()).map(PathBuf::from),
        metrics,
        warnings: Vec::new(),
        text: String::new(),
    };
    for (name, _) in root.entries() {
        if !KNOWN.contains(&name.as_str()) {
            warnings.push(root.fault(name, "unknown key, which has no effect"));
        }
    }
    Ok(config)
}

/// The blocks of the file.
const KNOWN: [&str; 11] = [
    "global",
    "server",
    "client",
    "clients",
    "positions",
    "scrape_configs",
    "limits_config",
    "target_config",
    "options",
    "tracing",
    "wal",
];

fn server(root: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<ServerConfig, Fault> {
    let mut server = ServerConfig { disable: false, address: String::new(), port: 80, enable_reload: false };
    let Some(s) = root.section("server")? else { return Ok(server) };
    server.disable = s.bool("disable")?.unwrap_or(false);
    server.address = s.text("http_listen_address")?.unwrap_or_default();
    server.port = s.number("http_listen_port")?.unwrap_or(80);
    server.enable_reload = s.bool("enable_runtime_reload")?.unwrap_or(false);
    ignore(
        &s,
        &[
            "grpc_listen_port",
            "grpc_listen_address",
            "log_level",
            "log_format",
            "health_check_target",
            "profiling_enabled",
            "external_url",
            "register_instrumentation",
            "graceful_shutdown_timeout",
            "http_server_read_timeout",
            "http_server_write_timeout",
            "http_server_idle_timeout",
            "grpc_server_max_recv_msg_size",
            "grpc_server_max_send_msg_size",
            "grpc_server_max_concurrent_streams",
            "reload",
        ],
    );
    s.finish(warnings);
    Ok(server)
}

fn positions(root: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<PositionsConfig, Fault> {
    let mut positions = PositionsConfig {
        filename: PathBuf::from("/var/log/positions.yaml"),
        sync_period: Duration::from_secs(10),
        ignore_invalid_yaml: false,
        read_only: false,
    };
    if let Some(s) = root.section("positions")? {
        if let Some(name) = s.text("filename")?.filter(|n| !n.is_empty()) {
            positions.filename = PathBuf::from(name);
        }
        positions.sync_period = s.duration("sync_period")?.unwrap_or(positions.sync_period);
        positions.ignore_invalid_yaml = s.bool("ignore_invalid_yaml")?.unwrap_or(false);
        if ["/tmp", "/var/tmp", "/dev/shm", "/run"].iter().any(|dir| positions.filename.starts_with(dir)) {
            let reason = "this folder does not outlive a restart of the machine or container: everything would be read again";
            warnings.push(s.fault("filename", reason));
        }
        s.finish(warnings);
    }
    Ok(positions)
}

fn limits(root: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<LimitsConfig, Fault> {
    let mut limits = LimitsConfig { readline: None, max_streams: 0, max_line_size: 0, truncate: false };
    let Some(s) = root.section("limits_config")? else { return Ok(limits) };
    let rate: f64 = s.number("readline_rate")?.unwrap_or(10_000.0);
    let burst: f64 = s.number("readline_burst")?.unwrap_or(10_000.0);
    let drop = s.bool("readline_rate_drop")?.unwrap_or(true);
    if s.bool("readline_rate_enabled")?.unwrap_or(false) {
        if !(rate > 0.0 && burst >= 1.0) {
            return Err(s.fault("readline_rate", "rate and burst must be above 0"));
        }
        limits.readline = Some((rate, burst, drop));
    }
    limits.max_streams = s.number("max_streams")?.unwrap_or(0);
    limits.max_line_size = s.bytes("max_line_size")?.unwrap_or(0) as usize;
    limits.truncate = s.bool("max_line_size_truncate")?.unwrap_or(false);
    s.finish(warnings);
    Ok(limits)
}

fn job(
    s: &Section<'_>,
    warnings: &mut Vec<Fault>,
    metrics: &mut Vec<Arc<CustomMetrics>>,
) -> Result<JobConfig, Fault> {
    let name = s.text("job_name")?.unwrap_or_default();
    let seed = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    let pipeline = {
        let mut reading = stage::Reading::new(warnings, metrics, seed);
        stage::pipeline(s, "pipeline_stages", &mut reading)?
    };
    let encoding = s.text("encoding")?.unwrap_or_default();
    sources::check_encoding(s, &encoding)?;
    sources::unsupported(s, warnings);
    Ok(JobConfig {
        pipeline,
        relabel: relabel(s, warnings)?,
        files: sources::file_groups(s, warnings)?,
        file_sd: sources::file_sd(s, warnings)?,
        docker: sources::docker(s, warnings)?,
        journal: sources::journal(s, warnings)?,
        syslog: sources::syslog(s, warnings)?,
        gelf: sources::gelf(s, warnings)?,
        kubernetes: sources::kubernetes(s)?,
        push: sources::push(s, warnings)?,
        encoding,
        decompress: decompress(s, warnings)?,
        add_job_label: false,
        name,
    })
}

fn decompress(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<Decompress>, Fault> {
    let Some(d) = s.section("decompression")? else { return Ok(None) };
    let delay = d.duration("initial_delay")?.unwrap_or(Duration::ZERO);
    let mut out = None;
    if d.bool("enabled")?.unwrap_or(false) {
        let packing = match d.text("format")?.unwrap_or_default().as_str() {
            "gz" => Packing::Gzip,
            "z" => Packing::Zlib,
            "bz2" => Packing::Bzip2,
            other => return Err(d.fault("format", format!("{other:?} is not supported, only gz, z and bz2"))),
        };
        out = Some(Decompress { packing, delay });
    }
    d.finish(warnings);
    Ok(out)
}

fn relabel(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Vec<Relabel>, Fault> {
    let mut rules = Vec::new();
    for (path, node) in s.list("relabel_configs")? {
        let r = Section::new(node, path)?;
        let action = match r.text("action")? {
            Some(text) => text.parse::<RelabelAction>().map_err(|e| r.fault("action", e))?,
            None => RelabelAction::default(),
        };
        let source_labels = r.texts("source_labels")?;
        let spec = RelabelSpec {
            source_labels: (!source_labels.is_empty()).then_some(source_labels),
            separator: text_or_empty(&r, "separator")?,
            regex: text_or_empty(&r, "regex")?,
            modulus: r.number("modulus")?.unwrap_or(0),
            target_label: r.text("target_label")?.unwrap_or_default(),
            replacement: text_or_empty(&r, "replacement")?,
            action,
        };
        let at = (r.at(), r.path().to_owned());
        r.finish(warnings);
        let rule = Relabel::new(spec, NameScheme::Legacy).map_err(|e| Fault::new(at.0, at.1, e))?;
        rules.push(rule);
    }
    Ok(rules)
}

/// A key that is given without a value is an empty text, other than a key left out.
fn text_or_empty(s: &Section<'_>, key: &str) -> Result<Option<String>, Fault> {
    let given = s.entries().iter().any(|(n, _)| n == key);
    Ok(s.text(key)?.or(given.then(String::new)))
}
