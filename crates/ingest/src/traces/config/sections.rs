//! The sections of tempo.yml that mean something to one process.

use serde::{Deserialize, Serialize};

use super::{Bytes, Period, scalar::present};

/// `server`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Where to listen; empty: where all roles do.
    pub http_listen_address: String,
    /// The port of HTTP, and of gRPC. Upstream's own default is 80, which everybody sets to this.
    pub http_listen_port: u16,
    /// Most bytes of a message that comes in.
    pub grpc_server_max_recv_msg_size: Bytes,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            http_listen_address: String::new(),
            http_listen_port: 3200,
            grpc_server_max_recv_msg_size: Bytes(32 << 20),
        }
    }
}

/// `distributor`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistributorConfig {
    /// Who may send.
    pub receivers: Receivers,
    /// Whether what comes is logged.
    pub log_received_spans: LogReceivedSpans,
    /// Most bytes of the value of an attribute; longer ones are cut. 0: any number.
    pub max_attribute_bytes: Bytes,
}

/// `distributor.log_received_spans`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogReceivedSpans {
    /// Whether there is a line for each span.
    pub enabled: bool,
    /// Whether it has all attributes.
    pub include_all_attributes: bool,
    /// Whether only spans that failed have one.
    pub filter_by_status_error: bool,
}

/// `distributor.receivers`: a receiver is there if its key is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receivers {
    /// OpenTelemetry.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// Jaeger.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub jaeger: Option<Jaeger>,
    /// Zipkin.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub zipkin: Option<Endpoint>,
}

/// Where a receiver listens: `host:port`; an empty host is where all roles listen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// `host:port`
    pub endpoint: String,
}

/// `distributor.receivers.otlp`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Otlp {
    /// Its ports.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub protocols: Option<OtlpProtocols>,
}

/// `distributor.receivers.otlp.protocols`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpProtocols {
    /// gRPC, on 4317.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Endpoint>,
    /// HTTP, on 4318.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpEndpoint>,
}

/// `distributor.receivers.otlp.protocols.http`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpEndpoint {
    /// `host:port`
    pub endpoint: String,
    /// Pages that may send.
    pub cors: Cors,
}

/// `cors`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Origins whose pages may send; `*` stands for any text.
    pub allowed_origins: Vec<String>,
    /// Headers they may send. Reba lets them send any.
    pub allowed_headers: Vec<String>,
}

/// `distributor.receivers.jaeger`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jaeger {
    /// Its ports.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub protocols: Option<JaegerProtocols>,
}

/// `distributor.receivers.jaeger.protocols`. Those over UDP are passed over with a warning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JaegerProtocols {
    /// Thrift over HTTP, on 14268.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub thrift_http: Option<Endpoint>,
    /// gRPC, on 14250.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Endpoint>,
}

impl Receivers {
    /// All of them.
    pub(super) fn every() -> Self {
        let (endpoint, http) = (Some(Endpoint::default()), Some(HttpEndpoint::default()));
        let protocols = OtlpProtocols { grpc: endpoint.clone(), http };
        let jaeger = JaegerProtocols { thrift_http: endpoint.clone(), grpc: endpoint.clone() };
        Receivers {
            otlp: Some(Otlp { protocols: Some(protocols) }),
            jaeger: Some(Jaeger { protocols: Some(jaeger) }),
            zipkin: endpoint,
        }
    }

    /// Zipkin's.
    pub fn zipkin(&self) -> Option<&Endpoint> {
        self.zipkin.as_ref()
    }

    /// OTLP over gRPC.
    pub fn otlp_grpc(&self) -> Option<&Endpoint> {
        self.otlp.as_ref()?.protocols.as_ref()?.grpc.as_ref()
    }

    /// OTLP over HTTP.
    pub fn otlp_http(&self) -> Option<&HttpEndpoint> {
        self.otlp.as_ref()?.protocols.as_ref()?.http.as_ref()
    }

    /// Jaeger's Thrift over HTTP.
    pub fn jaeger_thrift(&self) -> Option<&Endpoint> {
        self.jaeger.as_ref()?.protocols.as_ref()?.thrift_http.as_ref()
    }

    /// Jaeger's gRPC.
    pub fn jaeger_grpc(&self) -> Option<&Endpoint> {
        self.jaeger.as_ref()?.protocols.as_ref()?.grpc.as_ref()
    }

    /// The first endpoint that is none.
    pub(super) fn fault(&self) -> Option<(String, String)> {
        let text = |e: &Endpoint| e.endpoint.clone();
        let all = [
            ("otlp.protocols.grpc", self.otlp_grpc().map(text)),
            ("otlp.protocols.http", self.otlp_http().map(|e| e.endpoint.clone())),
            ("jaeger.protocols.thrift_http", self.jaeger_thrift().map(text)),
            ("jaeger.protocols.grpc", self.jaeger_grpc().map(text)),
            ("zipkin", self.zipkin().map(text)),
        ];
        all.into_iter().find_map(|(key, endpoint)| {
            let endpoint = endpoint.filter(|text| !text.is_empty())?;
            let reason = place(&endpoint).err()?;
            Some((format!("distributor.receivers.{key}.endpoint"), reason))
        })
    }
}

/// The host (if there is one that is an address, or `localhost`) and the port of an endpoint.
///
/// # Errors
/// If it is no endpoint, for people.
pub fn place(endpoint: &str) -> Result<(Option<std::net::IpAddr>, u16), String> {
    let Some((host, port)) = endpoint.rsplit_once(':') else {
        return Err(format!("{endpoint:?} is no host:port"));
    };
    let port = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => None,
        "localhost" => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        _ => Some(host.parse().map_err(|_| format!("{host:?} is no address of this host"))?),
    };
    Ok((ip, port))
}

/// `ingester`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngesterConfig {
    /// A trace without spans for so long is not live any more.
    pub trace_idle_period: Period,
}

impl Default for IngesterConfig {
    fn default() -> Self {
        IngesterConfig { trace_idle_period: Period::seconds(10) }
    }
}

/// `compactor`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompactorConfig {
    /// How long.
    pub compaction: Compaction,
}

/// `compactor.compaction`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// How long spans are kept; 0: for ever. Upstream's default is 14 days, that of Reba is 7.
    pub block_retention: Period,
}

impl Default for Compaction {
    fn default() -> Self {
        Compaction { block_retention: Period::hours(7 * 24) }
    }
}

/// `storage`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// Of spans.
    pub trace: TraceStorage,
}

/// `storage.trace`. Where spans are kept is said by `--data`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceStorage {
    /// `local`
    pub backend: String,
}

/// `query_frontend`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryFrontendConfig {
    /// Of searches.
    pub search: SearchFrontend,
    /// Of queries for series.
    pub metrics: MetricsFrontend,
}

/// `query_frontend.search`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchFrontend {
    /// Traces of an answer, if nobody says.
    pub default_result_limit: usize,
    /// Traces of an answer at most; 0: any number.
    pub max_result_limit: usize,
    /// Longest range of a search; 0: any.
    pub max_duration: Period,
    /// Spans shown of each spanset at most; 0: any number.
    pub max_spans_per_span_set: usize,
}

impl Default for SearchFrontend {
    fn default() -> Self {
        SearchFrontend {
            default_result_limit: 20,
            max_result_limit: 0,
            max_duration: Period::hours(168),
            max_spans_per_span_set: 0,
        }
    }
}

/// `query_frontend.metrics`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsFrontend {
    /// Longest range; 0: any, which is Reba's default.
    pub max_duration: Period,
    /// Most steps of a series.
    pub max_intervals: usize,
    /// Most exemplars of an answer.
    pub max_exemplars: usize,
    /// Most series of an answer; 0: as many as the engine allows.
    pub max_response_series: usize,
}

impl Default for MetricsFrontend {
    fn default() -> Self {
        MetricsFrontend {
            max_duration: Period::ZERO,
            max_intervals: 10_000,
            max_exemplars: 100,
            max_response_series: 0,
        }
    }
}

/// `querier`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuerierConfig {
    /// Of searches.
    pub search: QueryTimeout,
    /// Of traces by their id.
    pub trace_by_id: QueryTimeout,
    /// Queries at a time.
    pub max_concurrent_queries: usize,
}

/// How long a query may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryTimeout {
    /// At most.
    pub query_timeout: Period,
}

impl Default for QueryTimeout {
    fn default() -> Self {
        QueryTimeout { query_timeout: Period::seconds(30) }
    }
}

impl Default for QuerierConfig {
    fn default() -> Self {
        QuerierConfig {
            search: QueryTimeout::default(),
            trace_by_id: QueryTimeout { query_timeout: Period::seconds(10) },
            max_concurrent_queries: 20,
        }
    }
}
