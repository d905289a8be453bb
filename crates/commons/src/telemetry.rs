//! Metrics, lines and spans of a service with one call.

use std::{
    fs,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use thiserror::Error;
use tracing::{Dispatch, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::Targets, layer::SubscriberExt};

use crate::{
    Clock, EndpointError, IdGenerator, MetricsRegistry,
    log::{LogLayer, Output, Writer},
    otlp::Sender,
    post::Endpoint,
    spans::{AttributeValue, SpanLayer},
};

/// Where spans go unless something else is said: a receiver of OTLP beside the service.
const USUAL_ENDPOINT: &str = "http://127.0.0.1:4318";
/// How long the end of a service waits for its last spans to be taken.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// Why a service could not be instrumented.
#[derive(Debug, Error)]
pub enum InitError {
    /// Spans cannot be sent to where they are to be sent.
    #[error("spans cannot be sent there")]
    Endpoint(#[from] EndpointError),
    /// Not `name=value,name=value` with names and values of HTTP headers.
    #[error("{0:?} are not headers such as x-scope-orgid=easymo")]
    Headers(String),
    /// Not a level, nor levels by target.
    #[error("{0:?} is not a level such as info, or info,hyper=warn")]
    Level(String),
    /// `tracing` has a subscriber in this process already.
    #[error("a subscriber of tracing is installed already")]
    Installed,
    /// The thread that sends spans could not be started.
    #[error("the thread that sends spans did not start")]
    Thread(#[source] io::Error),
}

/// Instruments this process as `service`: lines to the standard output, spans to a receiver of OTLP, and a registry of
/// metrics. What the environment says is in [`TelemetryBuilder::environment_variables`].
///
/// Keep what is returned until the service ends: with it go the last spans.
pub fn init(service: &str) -> Result<Telemetry, InitError> {
    Telemetry::builder(service).environment_variables(|name| std::env::var(name).ok())?.install()
}

/// A service that is instrumented. Dropped, it waits up to 5 seconds for the last spans to be sent.
#[derive(Debug)]
pub struct Telemetry {
    metrics: MetricsRegistry,
    sender: Option<Sender>,
}

impl Telemetry {
    /// Begins to instrument `service` otherwise than [`init`] does.
    pub fn builder(service: &str) -> TelemetryBuilder {
        TelemetryBuilder {
            service: service.to_owned(),
            environment: "development".to_owned(),
            version: None,
            endpoint: Some(USUAL_ENDPOINT.to_owned()),
            headers: HeaderMap::new(),
            ratio: 1.0,
            level: "info".to_owned(),
            output: Arc::new(Mutex::new(Box::new(io::stdout()))),
            clock: Clock::system(),
            ids: IdGenerator::random(),
        }
    }

    /// The service's metrics.
    pub fn metrics(&self) -> &MetricsRegistry {
        &self.metrics
    }

    /// Waits until the spans that ended before are sent, but no longer than `patience`; whether it was in time.
    pub fn flush(&self, patience: Duration) -> bool {
        self.sender.as_ref().is_none_or(|sender| sender.spans.flush(patience))
    }

    /// How many spans were lost, because there were too many or because their receiver did not take them.
    pub fn dropped_spans(&self) -> u64 {
        self.sender.as_ref().map_or(0, |sender| sender.spans.dropped())
    }

    /// Sends the last spans, and waits for that no longer than `patience`; whether it was in time.
    pub fn shutdown(mut self, patience: Duration) -> bool {
        self.sender.take().is_none_or(|mut sender| sender.stop(patience))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(mut sender) = self.sender.take() {
            sender.stop(LAST_SPANS);
        }
    }
}

/// Instruments a service with settings of its own.
#[derive(Clone)]
pub struct TelemetryBuilder {
    service: String,
    environment: String,
    version: Option<String>,
    endpoint: Option<String>,
    headers: HeaderMap,
    ratio: f64,
    level: String,
    output: Output,
    clock: Clock,
    ids: IdGenerator,
}

impl TelemetryBuilder {
    /// The label and field `environment`; `development` if left out.
    pub fn environment(self, environment: &str) -> Self {
        Self { environment: environment.to_owned(), ..self }
    }

    /// The service's version, which its spans tell.
    pub fn version(self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self }
    }

    /// Where spans are sent, with or without `/v1/traces`; `http://127.0.0.1:4318` if left out.
    pub fn endpoint(self, endpoint: &str) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), ..self }
    }

    /// Sends no spans. Lines, exemplars and requests that are sent carry ids of traces all the same.
    pub fn without_spans(self) -> Self {
        Self { endpoint: None, ..self }
    }

    /// A header of each request with spans, such as a tenant's.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The share of new traces that is recorded, 0 to 1; all if left out.
    pub fn ratio(self, ratio: f64) -> Self {
        Self { ratio, ..self }
    }

    /// The lowest level of lines, `info` if left out; also by target: `info,hyper=warn`.
    pub fn level(self, level: &str) -> Self {
        Self { level: level.to_owned(), ..self }
    }

    /// Where lines go; the standard output if left out. A line is one write.
    pub fn output(self, output: impl Write + Send + 'static) -> Self {
        Self { output: Arc::new(Mutex::new(Box::new(output))), ..self }
    }

    /// Takes the time from `clock`.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Takes trace and span ids from `ids`.
    pub fn ids(self, ids: IdGenerator) -> Self {
        Self { ids, ..self }
    }

    /// Takes from the environment, which `look` looks into, what it says; an empty value says nothing.
    ///
    /// `ENVIRONMENT`, `LOG_LEVEL` (pino's `fatal` and `silent`, too), `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER_ARG` (the share that is
    /// recorded), and `OTEL_TRACES_EXPORTER=none` or `OTEL_SDK_DISABLED=true` to send no spans.
    pub fn environment_variables(mut self, look: impl Fn(&str) -> Option<String>) -> Result<Self, InitError> {
        let look = |name: &str| look(name).filter(|value| !value.is_empty());
        let endpoint =
            look("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| look("OTEL_EXPORTER_OTLP_ENDPOINT"));
        self.endpoint = endpoint.or(self.endpoint);
        let off = look("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
        if off || look("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            self.endpoint = None;
        }
        self.environment = look("ENVIRONMENT").unwrap_or(self.environment);
        self.level = look("LOG_LEVEL").unwrap_or(self.level);
        self.ratio =
            look("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse().ok()).unwrap_or(self.ratio);
        if let Some(text) = look("OTEL_EXPORTER_OTLP_HEADERS") {
            let headers = headers(&text).ok_or(InitError::Headers(text))?;
            self.headers.extend(headers);
        }
        Ok(self)
    }

    /// Instruments the whole process. Once in a process: a second call is an error.
    pub fn install(self) -> Result<Telemetry, InitError> {
        let (telemetry, dispatch) = self.build()?;
        tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::Installed)?;
        Ok(telemetry)
    }

    /// What [`TelemetryBuilder::install`] makes, with the subscriber for whoever installs it, or for a test.
    pub fn build(self) -> Result<(Telemetry, Dispatch), InitError> {
        let levels = levels(&self.level).ok_or_else(|| InitError::Level(self.level.clone()))?;
        let resource = self.resource();
        let sender = match self.endpoint {
            None => None,
            Some(address) => {
                let endpoint: Endpoint = address.parse()?;
                Some(Sender::start(endpoint, self.headers, resource).map_err(InitError::Thread)?)
            }
        };
        let ids = self.ids.recording(self.ratio);
        let writer = Writer {
            service: self.service,
            environment: self.environment,
            hostname: hostname(),
            pid: std::process::id(),
        };
        let spans = SpanLayer::new(ids.clone(), self.clock.clone(), sender.as_ref().map(|s| s.spans.clone()));
        let lines = LogLayer::new(&writer, self.clock.clone(), self.output);
        let metrics =
            MetricsRegistry::builder(&writer.service, &writer.environment).clock(self.clock).ids(ids).build();
        let subscriber =
            Registry::default().with(spans.with_filter(LevelFilter::INFO)).with(lines.with_filter(levels));
        Ok((Telemetry { metrics, sender }, Dispatch::new(subscriber)))
    }

    /// What is true of all spans of this process, by the names of OpenTelemetry's conventions.
    fn resource(&self) -> Vec<(&'static str, AttributeValue)> {
        let text = |text: &str| AttributeValue::Text(text.to_owned());
        let mut resource = vec![
            ("service.name", text(&self.service)),
            ("deployment.environment.name", text(&self.environment)),
            ("telemetry.sdk.name", text(env!("CARGO_PKG_NAME"))),
            ("telemetry.sdk.language", text("rust")),
            ("host.name", text(&hostname())),
            ("process.pid", AttributeValue::Int(i64::from(std::process::id()))),
        ];
        resource.extend(self.version.as_deref().map(|version| ("service.version", text(version))));
        resource
    }
}

/// Reads `info`, or `info,hyper=warn`. A word that is no level would be taken for a target, and all else be silent:
/// it is refused.
fn levels(text: &str) -> Option<Targets> {
    let text = match text {
        "silent" => "off",
        "fatal" => "error",
        text => text,
    };
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let known = text.split(',').all(|part| part.contains('=') || is_level(part.trim()));
    known.then(|| text.parse().ok()).flatten()
}

/// Reads `name=value,name=value`, as the environment has headers.
fn headers(text: &str) -> Option<HeaderMap> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().parse::<HeaderName>().ok()?, value.trim().parse::<HeaderValue>().ok()?))
    };
    text.split(',').map(pair).collect()
}

/// The host's name, as Linux tells it.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

impl std::fmt::Debug for TelemetryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryBuilder").field("service", &self.service).finish_non_exhaustive()
    }
}
