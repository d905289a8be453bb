//! The kinds of sources of a job.

use std::{path::PathBuf, time::Duration};

use reba_ingest::config::KubernetesSd;
use reba_model::Labels;

use super::ignore;
use crate::{
    sources::TlsFiles,
    yaml::{Fault, Node, Section, Units as _},
};

/// Files that share labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileGroup {
    /// All of them, `__path__` too.
    pub labels: Labels,
}

/// A Docker daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfig {
    /// `unix:///var/run/docker.sock` or `tcp://host:port`.
    pub host: String,
    /// How often containers are listed.
    pub refresh: Duration,
    /// Which containers, in the daemon's own terms.
    pub filters: Vec<(String, Vec<String>)>,
}

/// The journal of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Whether a line is the whole entry, as JSON.
    pub json: bool,
    /// Older entries are not read when there is no newer cursor.
    pub max_age: Duration,
    /// Labels of all entries.
    pub labels: Labels,
    /// The folder of the journal; the system's own without it.
    pub path: Option<PathBuf>,
    /// `FIELD=value` pairs that entries must have.
    pub matches: Vec<String>,
}

/// A syslog receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Where it listens.
    pub address: String,
    /// UDP instead of TCP.
    pub udp: bool,
    /// TLS over TCP.
    pub tls: Option<TlsFiles>,
    /// A connection that is silent for so long is closed.
    pub idle_timeout: Duration,
    /// Whether structured data become labels.
    pub structured_data: bool,
    /// Labels of all messages.
    pub labels: Labels,
    /// Whether the time in the message counts.
    pub use_incoming_timestamp: bool,
    /// Whether the line is the whole message.
    pub whole_message: bool,
    /// Bytes that a message may have.
    pub max_message_length: usize,
}

/// A GELF receiver (UDP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GelfConfig {
    /// Where it listens.
    pub address: String,
    /// Labels of all messages.
    pub labels: Labels,
    /// Whether the time in the message counts.
    pub use_incoming_timestamp: bool,
}

/// A receiver of pushed entries. Its listener is opened by whoever opens listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// The address it asks for; empty for all.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Labels of all entries.
    pub labels: Labels,
    /// Whether the entries' own times count.
    pub use_incoming_timestamp: bool,
}

/// What Promtail has and we have not.
const UNSUPPORTED: [&str; 17] = [
    "kafka",
    "consul_sd_configs",
    "consulagent_sd_configs",
    "gcplog",
    "azure_event_hub",
    "cloudflare",
    "heroku_drain",
    "windows_events",
    "ec2_sd_configs",
    "dns_sd_configs",
    "http_sd_configs",
    "gce_sd_configs",
    "azure_sd_configs",
    "openstack_sd_configs",
    "digitalocean_sd_configs",
    "marathon_sd_configs",
    "triton_sd_configs",
];

pub(super) fn unsupported(s: &Section<'_>, warnings: &mut Vec<Fault>) {
    for key in UNSUPPORTED {
        if s.get(key).is_some() {
            let instead = match key {
                "kafka" => {
                    "not supported, nothing is read from there: let a consumer push its messages to loki_push_api"
                }
                _ => "not supported: nothing is read from there",
            };
            warnings.push(s.fault(key, instead));
        }
    }
}

pub(super) fn check_encoding(s: &Section<'_>, encoding: &str) -> Result<(), Fault> {
    let known = ["", "utf-8", "utf8", "us-ascii", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "latin1"];
    if known.contains(&encoding.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(s.fault(
        "encoding",
        format!("{encoding:?} is not supported (UTF-8, UTF-16, UTF-16LE, UTF-16BE, ISO-8859-1 are)"),
    ))
}

pub(super) fn file_groups(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Vec<FileGroup>, Fault> {
    let mut out = Vec::new();
    for (path, node) in s.list("static_configs")? {
        let group = Section::new(node, path)?;
        // Files are read where we are; the targets say nothing.
        ignore(&group, &["targets"]);
        out.push(FileGroup { labels: Labels::from_pairs(group.text_map("labels")?) });
        group.finish(warnings);
    }
    Ok(out)
}

pub(super) fn file_sd(
    s: &Section<'_>,
    warnings: &mut Vec<Fault>,
) -> Result<Vec<(Vec<PathBuf>, Duration)>, Fault> {
    let mut out = Vec::new();
    for (path, node) in s.list("file_sd_configs")? {
        let group = Section::new(node, path)?;
        let files = group.texts("files")?.into_iter().map(PathBuf::from).collect();
        out.push((files, group.duration("refresh_interval")?.unwrap_or(Duration::from_secs(300))));
        group.finish(warnings);
    }
    Ok(out)
}

pub(super) fn docker(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Vec<DockerConfig>, Fault> {
    let mut out = Vec::new();
    for (path, node) in s.list("docker_sd_configs")? {
        let d = Section::new(node, path)?;
        let mut filters = Vec::new();
        for (path, node) in d.list("filters")? {
            let f = Section::new(node, path)?;
            filters.push((f.text("name")?.unwrap_or_default(), f.texts("values")?));
            f.finish(warnings);
        }
        let host = d.text("host")?.unwrap_or_default();
        if !["unix://", "tcp://", "http://"].iter().any(|p| host.starts_with(p)) {
            return Err(d.fault("host", "expected unix://…, tcp://… or http://…"));
        }
        ignore(&d, &["port", "host_networking_host", "match_first_network"]);
        let refresh = d.duration("refresh_interval")?.filter(|r| !r.is_zero());
        out.push(DockerConfig { host, refresh: refresh.unwrap_or(Duration::from_secs(60)), filters });
        d.finish(warnings);
    }
    Ok(out)
}

pub(super) fn journal(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<JournalConfig>, Fault> {
    let Some(j) = s.section("journal")? else { return Ok(None) };
    let matches = j.text("matches")?.unwrap_or_default();
    let config = JournalConfig {
        json: j.bool("json")?.unwrap_or(false),
        max_age: j.duration("max_age")?.unwrap_or(Duration::from_secs(7 * 3600)),
        labels: Labels::from_pairs(j.text_map("labels")?),
        path: j.text("path")?.filter(|p| !p.is_empty()).map(PathBuf::from),
        matches: matches.split_whitespace().map(str::to_owned).collect(),
    };
    if let Some(bad) = config.matches.iter().find(|m| !m.contains('=') || m.starts_with('-')) {
        return Err(j.fault("matches", format!("{bad:?} is not of the form FIELD=value")));
    }
    j.finish(warnings);
    Ok(Some(config))
}

pub(super) fn syslog(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<SyslogConfig>, Fault> {
    let Some(l) = s.section("syslog")? else { return Ok(None) };
    let udp = match l.text("listen_protocol")?.as_deref() {
        None | Some("" | "tcp") => false,
        Some("udp") => true,
        Some(other) => return Err(l.fault("listen_protocol", format!("{other:?} is neither tcp nor udp"))),
    };
    let tls = receiver_tls(&l, warnings)?;
    if udp && tls.is_some() {
        warnings.push(l.fault("tls_config", "has no effect: TLS goes over tcp"));
    }
    let address = l.text("listen_address")?.filter(|a| !a.is_empty());
    let config = SyslogConfig {
        address: address.ok_or_else(|| l.fault("listen_address", "listen_address is required"))?,
        udp,
        tls: tls.filter(|_| !udp),
        idle_timeout: l.duration("idle_timeout")?.unwrap_or(Duration::from_secs(120)),
        structured_data: l.bool("label_structured_data")?.unwrap_or(false),
        labels: Labels::from_pairs(l.text_map("labels")?),
        use_incoming_timestamp: l.bool("use_incoming_timestamp")?.unwrap_or(false),
        whole_message: l.bool("use_rfc5424_message")?.unwrap_or(false),
        max_message_length: l.bytes("max_message_length")?.unwrap_or(8192).clamp(16, 16 << 20) as usize,
    };
    l.finish(warnings);
    Ok(Some(config))
}

/// The files of a receiver's `tls_config`. With `ca_file`, senders must show a certificate, as upstream has it.
fn receiver_tls(l: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<TlsFiles>, Fault> {
    let Some(t) = l.section("tls_config")? else { return Ok(None) };
    let file = |name: &str| Ok(t.text(name)?.filter(|f| !f.is_empty()).map(PathBuf::from));
    let (cert, key, ca) = (file("cert_file")?, file("key_file")?, file("ca_file")?);
    ignore(&t, &["server_name", "insecure_skip_verify"]);
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key, ca }),
        (None, None) if ca.is_none() => None,
        _ => return Err(l.fault("tls_config", "certificate and key files are required")),
    };
    t.finish(warnings);
    Ok(tls)
}

pub(super) fn gelf(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<GelfConfig>, Fault> {
    let Some(g) = s.section("gelf")? else { return Ok(None) };
    let address = g.text("listen_address")?.filter(|a| !a.is_empty());
    let config = GelfConfig {
        address: address.unwrap_or_else(|| "0.0.0.0:12201".to_owned()),
        labels: Labels::from_pairs(g.text_map("labels")?),
        use_incoming_timestamp: g.bool("use_incoming_timestamp")?.unwrap_or(false),
    };
    g.finish(warnings);
    Ok(Some(config))
}

pub(super) fn kubernetes(s: &Section<'_>) -> Result<Vec<KubernetesSd>, Fault> {
    let read = |(path, node): (String, &Node)| {
        KubernetesSd::from_json(node.json()).map_err(|e| Fault::new(node.at, path, e))
    };
    s.list("kubernetes_sd_configs")?.into_iter().map(read).collect()
}

pub(super) fn push(s: &Section<'_>, warnings: &mut Vec<Fault>) -> Result<Option<PushConfig>, Fault> {
    let Some(p) = s.section("loki_push_api")? else { return Ok(None) };
    let server = p.section("server")?;
    let address = server.as_ref().map(|s| s.text("http_listen_address")).transpose()?.flatten();
    let port = server.as_ref().map(|s| s.number("http_listen_port")).transpose()?.flatten();
    let config = PushConfig {
        address: address.unwrap_or_default(),
        port: port.unwrap_or(80),
        labels: Labels::from_pairs(p.text_map("labels")?),
        use_incoming_timestamp: p.bool("use_incoming_timestamp")?.unwrap_or(false),
    };
    p.finish(warnings);
    Ok(Some(config))
}
