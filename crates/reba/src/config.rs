//! Reads the configuration folder into what the parts understand.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use reba_config::Variables;
use reba_http::ProxyEnv;
use reba_ingest::{
    config::Config,
    loki::config::{LokiConfig, Warning},
    traces::config::{TempoConfig, place},
};
use reba_notify::config::AlertmanagerFile;
use reba_rules::{FileOptions, RuleFile};
use reba_ship::ShipConfig;

use crate::{
    alertmanager,
    args::Role,
    folder::{self, Folder},
    grafana,
    settings::Settings,
    shift::{self, Demo},
    tempo,
};

/// Everything that a reload reads. What belongs to a role that does not run is as if there were no file.
pub struct Loaded {
    /// prometheus.yml.
    pub prometheus: Config,
    /// Its rule files.
    pub rules: Vec<RuleFile>,
    /// loki-config.yml.
    pub loki: LokiConfig,
    /// tempo.yml.
    pub tempo: TempoConfig,
    /// promtail-config.yml, if there is one.
    pub promtail: Option<ShipConfig>,
    /// alertmanager.yml, if that role runs.
    pub alertmanager: Option<AlertmanagerFile>,
    /// grafana.ini, and variables that begin with `GF_`.
    pub grafana: reba_api::grafana::Settings,
    /// The process environment and `.env`.
    pub variables: Variables,
    /// What the demo changed.
    pub demo: Demo,
}

/// Reads and checks the files of `roles`. The error names file, line and key.
pub fn load(folder: &Folder, roles: &[Role], data: &Path, demo: &Demo) -> Result<Loaded> {
    let variables = variables(folder, data)?.with(&demo.variables);
    let wanted = |role| roles.contains(&role);
    let (mut prometheus, rules) = metrics(folder, &variables, wanted(Role::Prometheus), demo)?;
    let loki = if wanted(Role::Loki) && folder.loki.exists() {
        let (config, warnings) = LokiConfig::load(&folder.loki, &variables)?;
        tell(&folder.loki, &warnings);
        config
    } else {
        // Upstream's default is to ask for a tenant, which is nothing for whoever has not even written a file.
        let mut config = LokiConfig::default();
        config.auth_enabled = false;
        config
    };
    let traces = if wanted(Role::Tempo) && folder.tempo.exists() {
        let (config, warnings) = TempoConfig::load(&folder.tempo, &variables)?;
        tell(&folder.tempo, &warnings);
        config
    } else {
        TempoConfig::default()
    };
    if wanted(Role::Prometheus) {
        prometheus.remote_write.extend(tempo::remotes(&traces, &folder.tempo)?);
    }
    let ships = wanted(Role::Promtail) && folder.promtail.exists();
    let promtail = ships.then(|| ShipConfig::load(&folder.promtail, &variables)).transpose()?;
    let grafana = grafana::settings(&folder.grafana, &variables, wanted(Role::Grafana))?;
    let routes = wanted(Role::Alertmanager).then(|| alertmanager::read(&folder.alertmanager, &variables));
    let alertmanager = routes.transpose()?;
    Ok(Loaded {
        prometheus,
        rules,
        loki,
        tempo: traces,
        promtail,
        alertmanager,
        grafana,
        variables,
        demo: demo.clone(),
    })
}

/// Says what a file has that counts for nothing here. What somebody might rely on is a warning each; what is only about upstream's
/// way to keep data, as every file of upstream's has it, is one line.
fn tell(file: &Path, warnings: &[Warning]) {
    let (idle, others): (Vec<_>, Vec<_>) = warnings.iter().partition(|w| w.harmless);
    for warning in others {
        tracing::warn!("{warning}");
    }
    if !idle.is_empty() {
        let key = |w: &&Warning| w.place.rsplit(": key ").next().unwrap_or_default().to_owned();
        let keys = idle.iter().map(key).collect::<Vec<_>>().join(", ");
        tracing::info!(file = %file.display(), keys, "keys without effect in Reba (`reba check` says why)");
    }
}

/// The process environment, `.env`, and `REBA_DATA`: the folder of the data, so that files of the configuration can be put beside
/// it.
pub fn variables(folder: &Folder, data: &Path) -> Result<Variables> {
    let ours = data.to_str().map(|path| ("REBA_DATA".to_owned(), path.to_owned()));
    folder.variables(ours.into_iter().chain(folder::process()))
}

fn metrics(
    folder: &Folder,
    variables: &Variables,
    wanted: bool,
    demo: &Demo,
) -> Result<(Config, Vec<RuleFile>)> {
    if !wanted {
        return Ok((Config::parse("", &folder.prometheus)?, Vec::new()));
    }
    let mut config = if folder.prometheus.exists() {
        Config::load_with(&folder.prometheus, variables)?
    } else {
        tracing::info!(file = %folder.prometheus.display(), "no such file: nothing is scraped, no rule is evaluated");
        Config::parse("", &folder.prometheus)?
    };
    shift::loopback_ports(&mut config, demo.ports);
    shift::leave_out(&mut config, &demo.absent);
    for file in config.missing_rule_files() {
        tracing::warn!(file = %file.display(), "rule_files names a file that does not exist");
    }
    let paths: Vec<PathBuf> = config.rule_paths()?;
    let rules = paths.iter().map(|path| rule_file(path, variables)).collect::<Result<_>>()?;
    Ok((config, rules))
}

impl Loaded {
    /// Does without exporters that do not run, if this is a demo; then also after a reload.
    pub fn leave_out_absent(&mut self, running: &[Role]) {
        if !self.demo.is_demo() {
            return;
        }
        let absent =
            [Role::Node, Role::Postgres, Role::Redis].into_iter().filter(|role| !running.contains(role));
        self.demo.absent = absent.filter_map(|role| role.port().checked_add(self.demo.ports)).collect();
        shift::leave_out(&mut self.prometheus, &self.demo.absent);
    }

    /// Receivers of traces that are there because tempo.yml names them.
    pub fn receivers(&self) -> Vec<Role> {
        let receivers = &self.tempo.distributor.receivers;
        let all = [
            (Role::Zipkin, receivers.zipkin()),
            (Role::JaegerThrift, receivers.jaeger_thrift()),
            (Role::JaegerGrpc, receivers.jaeger_grpc()),
        ];
        all.into_iter().filter_map(|(role, endpoint)| endpoint.map(|_| role)).collect()
    }

    /// Where the role's own file wants it to listen.
    pub fn listen(&self, role: Role) -> (Option<IpAddr>, Option<u16>) {
        match role {
            Role::Grafana => (self.grafana.http_address, self.grafana.http_port),
            Role::Prometheus | Role::Alertmanager | Role::Node | Role::Postgres | Role::Redis => (None, None),
            Role::Tempo => {
                let server = &self.tempo.server;
                (server.http_listen_address.parse().ok(), Some(server.http_listen_port))
            }
            Role::OtlpGrpc => endpoint(self.tempo.distributor.receivers.otlp_grpc().map(|e| &e.endpoint)),
            Role::OtlpHttp => endpoint(self.tempo.distributor.receivers.otlp_http().map(|e| &e.endpoint)),
            Role::Zipkin => endpoint(self.tempo.distributor.receivers.zipkin().map(|e| &e.endpoint)),
            Role::JaegerThrift => {
                endpoint(self.tempo.distributor.receivers.jaeger_thrift().map(|e| &e.endpoint))
            }
            Role::JaegerGrpc => endpoint(self.tempo.distributor.receivers.jaeger_grpc().map(|e| &e.endpoint)),
            Role::Loki => {
                let server = &self.loki.server;
                (server.http_listen_address.parse().ok(), Some(server.http_listen_port))
            }
            Role::Promtail => match &self.promtail {
                // Port 0 is any in upstream's file: people want to know where it is.
                Some(config) => {
                    (config.server.address.parse().ok(), Some(config.server.port).filter(|port| *port != 0))
                }
                None => (None, None),
            },
        }
    }

    /// The path below which a role answers: empty, or with a slash at its start and none at its end.
    pub fn prefix(&self, role: Role, settings: &Settings) -> String {
        let path = match role {
            Role::Prometheus => return settings.prefix(),
            Role::Grafana => return self.grafana.prefix(),
            Role::Alertmanager => return settings.alertmanager.prefix(),
            Role::Loki => self.loki.server.http_path_prefix.trim_matches('/'),
            Role::Tempo => self.tempo.http_api_prefix.trim_matches('/'),
            _ => "",
        };
        if path.is_empty() { String::new() } else { format!("/{path}") }
    }

    /// Proxies of the environment.
    pub fn proxies(&self) -> ProxyEnv {
        let get = |upper: &str, lower: &str| {
            let value = self.variables.get(upper).or_else(|| self.variables.get(lower));
            value.map(str::to_owned)
        };
        ProxyEnv {
            http: get("HTTP_PROXY", "http_proxy"),
            https: get("HTTPS_PROXY", "https_proxy"),
            no_proxy: get("NO_PROXY", "no_proxy"),
        }
    }
}

/// Where an endpoint of tempo.yml is, as far as it says; it was checked when the file was read.
fn endpoint(text: Option<&String>) -> (Option<IpAddr>, Option<u16>) {
    let place = text.and_then(|text| place(text).ok());
    place.map_or((None, None), |(ip, port)| (ip, Some(port)))
}

fn rule_file(path: &Path, variables: &Variables) -> Result<RuleFile> {
    match RuleFile::load(path, variables, &FileOptions::default()) {
        Ok((file, _)) => Ok(file),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}
