//! The roles and their ports.

use clap::ValueEnum;

/// The roles that this build has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Scraping, storage, PromQL, rules and Prometheus' API, on port 9090.
    Prometheus,
    /// Log storage, LogQL, the ruler and Loki's API, on port 3100.
    Loki,
    /// The web app and Grafana's API, on port 3001.
    Grafana,
    /// Who hears of which alerts: routes, groups, silences, receivers and Alertmanager's API, on port 9093.
    Alertmanager,
    /// Following files, containers and the journal, and shipping their lines; its pages are on port 9080.
    Promtail,
    /// Taking in OpenTelemetry's logs, metrics and traces for the roles that store them: gRPC on port 4317, HTTP on port 4318.
    #[value(name = "otlp")]
    OtlpGrpc,
    /// The second port of `otlp`.
    #[value(skip)]
    OtlpHttp,
    /// Trace storage, TraceQL and Tempo's API, on port 3200.
    Tempo,
    /// Where tempo.yml has Zipkin's receiver.
    #[value(skip)]
    Zipkin,
    /// Where tempo.yml has Jaeger's receiver of Thrift over HTTP.
    #[value(skip)]
    JaegerThrift,
    /// Where tempo.yml has Jaeger's receiver of gRPC.
    #[value(skip)]
    JaegerGrpc,
    /// What this host says of itself, as node_exporter does, on port 9100.
    Node,
    /// What a PostgreSQL says of itself, as postgres_exporter does, on port 9187; runs where one is configured.
    Postgres,
    /// What a Redis says of itself, as redis_exporter does, on port 9121; runs where one is configured.
    Redis,
}

impl Role {
    /// All that can be asked for, in the order in which people read them.
    pub const ALL: [Role; 11] = [
        Role::Grafana,
        Role::Prometheus,
        Role::Loki,
        Role::Alertmanager,
        Role::Promtail,
        Role::OtlpGrpc,
        Role::OtlpHttp,
        Role::Tempo,
        Role::Node,
        Role::Postgres,
        Role::Redis,
    ];

    /// The upstream's port.
    pub fn port(self) -> u16 {
        match self {
            Role::Prometheus => 9090,
            Role::Loki => 3100,
            Role::Grafana => 3001,
            Role::Alertmanager => 9093,
            Role::Promtail => 9080,
            Role::OtlpGrpc => 4317,
            Role::OtlpHttp => 4318,
            Role::Tempo => 3200,
            Role::Zipkin => 9411,
            Role::JaegerThrift => 14268,
            Role::JaegerGrpc => 14250,
            Role::Node => 9100,
            Role::Postgres => 9187,
            Role::Redis => 9121,
        }
    }

    /// What to do if somebody else has its port: the keys that move it, and that do without it.
    pub fn elsewhere(self) -> String {
        let name = self.name().replace('-', "_");
        let without = match self {
            Role::Node | Role::Postgres | Role::Redis => {
                format!("`exporters: {{{name}: {{enabled: false}}}}` there does without it")
            }
            Role::Zipkin | Role::JaegerThrift | Role::JaegerGrpc => {
                "without this receiver in tempo.yml it is not there".to_owned()
            }
            _ => "--only with the roles that are wanted does without it".to_owned(),
        };
        format!(
            "`listen: {{{name}: HOST:PORT}}` in reba.yml moves it, --port-offset moves all ports, {without}"
        )
    }

    /// The role's name, as it stands in the log.
    pub fn name(self) -> &'static str {
        match self {
            Role::Prometheus => "prometheus",
            Role::Loki => "loki",
            Role::Grafana => "grafana",
            Role::Alertmanager => "alertmanager",
            Role::Promtail => "promtail",
            Role::OtlpGrpc => "otlp-grpc",
            Role::OtlpHttp => "otlp-http",
            Role::Tempo => "tempo",
            Role::Zipkin => "zipkin",
            Role::JaegerThrift => "jaeger-thrift",
            Role::JaegerGrpc => "jaeger-grpc",
            Role::Node => "node",
            Role::Postgres => "postgres",
            Role::Redis => "redis",
        }
    }

    /// Those that `--only` names; all, if it names none.
    pub fn wanted(only: &[Role]) -> Vec<Role> {
        let is_named = |role: Role| match role {
            Role::OtlpHttp => only.contains(&Role::OtlpGrpc),
            role => only.contains(&role),
        };
        Role::ALL.into_iter().filter(|role| only.is_empty() || is_named(*role)).collect()
    }
}
