//! Prometheus' own flags, so that a unit file can be kept: they say the same as keys of `reba.yml`, and win over them.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use reba_ingest::config::ByteSize;
use reba_model::duration;

use crate::{args::Role, settings::Settings};

/// Flags that mean the same here. `--config.file` and `--storage.tsdb.path` are other names of `--config` and `--data`.
#[derive(Clone, Debug, Default, Args)]
pub struct UpstreamFlags {
    /// `listen.prometheus`; without a host every address.
    #[arg(long = "web.listen-address", value_parser = address, hide = true)]
    pub listen: Option<SocketAddr>,
    /// `web.external_url`
    #[arg(long = "web.external-url", hide = true)]
    pub external_url: Option<String>,
    /// `web.route_prefix`
    #[arg(long = "web.route-prefix", hide = true)]
    pub route_prefix: Option<String>,
    /// `web.config_file`
    #[arg(long = "web.config.file", hide = true)]
    pub web_config_file: Option<PathBuf>,
    /// `web.cors_origin`
    #[arg(long = "web.cors.origin", value_parser = expression, hide = true)]
    pub cors_origin: Option<String>,
    /// `web.admin_api`
    #[arg(long = "web.enable-admin-api", hide = true)]
    pub admin_api: bool,
    /// `metrics.retention`
    #[arg(long = "storage.tsdb.retention.time", alias = "storage.tsdb.retention", value_parser = positive, hide = true)]
    pub retention_ms: Option<i64>,
    /// `metrics.retention_size`
    #[arg(long = "storage.tsdb.retention.size", value_parser = bytes, hide = true)]
    pub retention_bytes: Option<u64>,
    /// `query.timeout`
    #[arg(long = "query.timeout", value_parser = positive, hide = true)]
    pub query_timeout_ms: Option<i64>,
    /// `query.lookback_delta`
    #[arg(long = "query.lookback-delta", value_parser = positive, hide = true)]
    pub lookback_delta_ms: Option<i64>,
    /// `query.max_samples`
    #[arg(long = "query.max-samples", value_parser = clap::value_parser!(u64).range(1..), hide = true)]
    pub max_samples: Option<u64>,
    /// `query.max_concurrency`
    #[arg(long = "query.max-concurrency", value_parser = clap::value_parser!(u16).range(1..=1000), hide = true)]
    pub max_concurrency: Option<u16>,
    /// Always on here.
    #[arg(long = "web.enable-lifecycle", hide = true)]
    pub lifecycle: bool,
    /// Always on here.
    #[arg(long = "web.enable-remote-write-receiver", hide = true)]
    pub remote_write_receiver: bool,
    /// Always on here.
    #[arg(long = "web.enable-otlp-receiver", hide = true)]
    pub otlp_receiver: bool,
    /// What upstream has behind flags is on here, or not there.
    #[arg(long = "enable-feature", hide = true)]
    pub features: Vec<String>,
    /// Reba has no consoles.
    #[arg(long = "web.console.templates", hide = true)]
    pub console_templates: Option<PathBuf>,
    /// Reba has no consoles.
    #[arg(long = "web.console.libraries", hide = true)]
    pub console_libraries: Option<PathBuf>,
    /// The store is locked in any case.
    #[arg(long = "storage.tsdb.no-lockfile", hide = true)]
    pub no_lockfile: bool,
    /// The log is always compressed.
    #[arg(long = "storage.tsdb.wal-compression", hide = true)]
    pub wal_compression: bool,
}

impl UpstreamFlags {
    /// Puts what was said into `settings`, and tells where it belongs.
    pub fn apply(&self, settings: &mut Settings) {
        let mut listen = settings.listen.get(&Role::Prometheus).copied();
        put(&mut listen, self.listen.map(Some), "web.listen-address", "listen.prometheus");
        settings.listen.extend(listen.map(|address| (Role::Prometheus, address)));
        put(
            &mut settings.external_url,
            self.external_url.clone().map(Some),
            "web.external-url",
            "web.external_url",
        );
        put(
            &mut settings.route_prefix,
            self.route_prefix.clone().map(Some),
            "web.route-prefix",
            "web.route_prefix",
        );
        put(
            &mut settings.web_config_file,
            self.web_config_file.clone().map(Some),
            "web.config.file",
            "web.config_file",
        );
        put(&mut settings.cors_origin, self.cors_origin.clone(), "web.cors.origin", "web.cors_origin");
        put(&mut settings.admin_api, self.admin_api.then_some(true), "web.enable-admin-api", "web.admin_api");
        put(
            &mut settings.retention_ms,
            self.retention_ms,
            "storage.tsdb.retention.time",
            "metrics.retention",
        );
        put(
            &mut settings.retention_bytes,
            self.retention_bytes,
            "storage.tsdb.retention.size",
            "metrics.retention_size",
        );
        put(&mut settings.query_timeout_ms, self.query_timeout_ms, "query.timeout", "query.timeout");
        put(
            &mut settings.lookback_delta_ms,
            self.lookback_delta_ms,
            "query.lookback-delta",
            "query.lookback_delta",
        );
        put(&mut settings.query_max_samples, self.max_samples, "query.max-samples", "query.max_samples");
        put(
            &mut settings.query_max_concurrency,
            self.max_concurrency.map(usize::from),
            "query.max-concurrency",
            "query.max_concurrency",
        );
        for (flag, given) in [
            ("web.enable-lifecycle", self.lifecycle),
            ("web.enable-remote-write-receiver", self.remote_write_receiver),
            ("web.enable-otlp-receiver", self.otlp_receiver),
            ("enable-feature", !self.features.is_empty()),
            ("web.console.templates", self.console_templates.is_some()),
            ("web.console.libraries", self.console_libraries.is_some()),
            ("storage.tsdb.no-lockfile", self.no_lockfile),
            ("storage.tsdb.wal-compression", self.wal_compression),
        ] {
            if given {
                tracing::info!("--{flag} is a flag of Prometheus and has no effect here");
            }
        }
    }
}

fn put<T>(place: &mut T, value: Option<T>, flag: &str, key: &str) {
    if let Some(value) = value {
        tracing::info!("--{flag} is a flag of Prometheus; in reba.yml it is {key}");
        *place = value;
    }
}

/// `:9090` is every address, as in Go.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.clone(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "an IP address and a port are needed".to_owned())
}

fn positive(text: &str) -> Result<i64, String> {
    let ms = duration::parse(text).map_err(|e| e.to_string())?;
    if ms > 0 { Ok(ms) } else { Err("must be above zero".to_owned()) }
}

fn bytes(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(|size| size.0)
}

fn expression(text: &str) -> Result<String, String> {
    reba_model::GoRegex::anchored(text).map(|_| text.to_owned()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use reba_config::Variables;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_flags_of_a_unit_file_mean_the_same_here() {
        let line = "reba run --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path /var/lib/prometheus \
                    --storage.tsdb.retention.time=7d --storage.tsdb.retention.size 1GB --web.listen-address=:9091 \
                    --web.enable-lifecycle --web.enable-admin-api --query.timeout=1m --log.level=debug --log.format=logfmt \
                    --web.console.templates=/x --enable-feature=exemplar-storage,native-histograms \
                    --web.external-url=http://a/mon --web.cors.origin=.*";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(args.config, Path::new("/etc/prometheus/prometheus.yml"));
        assert_eq!(args.data, Path::new("/var/lib/prometheus"));
        let mut settings = Settings::read(Path::new("/nonexistent"), &Variables::default()).unwrap();
        args.upstream.apply(&mut settings);
        assert_eq!((settings.retention_ms, settings.retention_bytes), (7 * 86_400_000, 1 << 30));
        assert_eq!(
            settings.listen.get(&crate::args::Role::Prometheus),
            Some(&"0.0.0.0:9091".parse().unwrap())
        );
        assert!(settings.admin_api && settings.query_timeout_ms == 60_000);
        assert_eq!((settings.prefix().as_str(), settings.cors_origin.as_str()), ("/mon", ".*"));
        assert!(Cli::try_parse_from(["reba", "run", "--query.timeout=0s"]).is_err());
        assert!(Cli::try_parse_from(["reba", "run", "--web.cors.origin=("]).is_err());
    }
}
