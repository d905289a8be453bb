//! The registry of one service.

use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

use axum::Router;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::text,
    registry::{Metric, Registry},
};
use thiserror::Error;

use crate::{
    BusinessMetrics, ClientMetrics, Clock, Counters, Format, Gauges, Histograms, HttpMetricsLayer,
    IdGenerator, ProcessReader, ProcessStats, TraceContextLayer, exposition,
    http::HttpMetrics,
    process::{PROCESS_NAMES, ProcessCollector},
};

/// Why a metric of one's own could not be registered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RegisterError {
    /// Names are letters, digits, `_` and `:`, and do not begin with a digit; label names have no `:`.
    #[error("{0:?} is not a metric or label name")]
    InvalidName(String),
    /// The name is taken by another family of this registry.
    #[error("metric {0:?} is registered already")]
    Duplicate(String),
    /// A counter's name must end in `_total`.
    #[error("the name of the counter {0:?} does not end in _total")]
    NoTotal(String),
}

/// All metrics of one service. Every series carries the labels `service` and `environment`. Clones share all.
#[derive(Clone)]
pub struct MetricsRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    service: String,
    registrar: Mutex<Registrar>,
    http: Arc<HttpMetrics>,
    business: BusinessMetrics,
    client: ClientMetrics,
    ids: IdGenerator,
}

/// Builds a [`MetricsRegistry`] with a clock, ids or process figures of one's own.
#[derive(Clone)]
pub struct MetricsRegistryBuilder {
    service: String,
    environment: String,
    clock: Clock,
    ids: IdGenerator,
    process: ProcessReader,
}

impl MetricsRegistryBuilder {
    /// Takes the time from `clock`.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Takes trace and span ids from `ids`.
    pub fn ids(mut self, ids: IdGenerator) -> Self {
        self.ids = ids;
        self
    }

    /// Takes the process metrics from `process`.
    pub fn process(mut self, process: ProcessReader) -> Self {
        self.process = process;
        self
    }

    /// The registry.
    pub fn build(self) -> MetricsRegistry {
        let labels = [("service", self.service.clone()), ("environment", self.environment)];
        let labels = labels.into_iter().map(|(name, value)| (Cow::Borrowed(name), Cow::Owned(value)));
        let mut registrar = Registrar { registry: Registry::with_labels(labels), names: BTreeSet::new() };
        let http = Arc::new(HttpMetrics::register(&mut registrar, self.clock.clone()));
        let business = BusinessMetrics::register(&mut registrar, self.clock.clone());
        let client = ClientMetrics::register(&mut registrar, self.clock, self.ids.clone());
        registrar.registry.register_collector(Box::new(ProcessCollector(self.process)));
        let inner = Inner {
            service: self.service,
            registrar: Mutex::new(registrar),
            http,
            business,
            client,
            ids: self.ids,
        };
        MetricsRegistry { inner: Arc::new(inner) }
    }
}

impl MetricsRegistry {
    /// The registry of `service` with the system's clock, random ids and the figures of this process.
    pub fn new(service: &str, environment: &str) -> Self {
        Self::builder(service, environment).build()
    }

    /// Begins a registry that is not the usual one.
    pub fn builder(service: &str, environment: &str) -> MetricsRegistryBuilder {
        MetricsRegistryBuilder {
            service: service.to_owned(),
            environment: environment.to_owned(),
            clock: Clock::system(),
            ids: IdGenerator::random(),
            process: ProcessStats::of_this_process(),
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.inner.service
    }

    /// The business metrics of the contract.
    pub fn business(&self) -> &BusinessMetrics {
        &self.inner.business
    }

    /// Counts the requests that this service sends.
    pub fn client(&self) -> &ClientMetrics {
        &self.inner.client
    }

    /// The generator of this service's trace and span ids.
    pub fn ids(&self) -> &IdGenerator {
        &self.inner.ids
    }

    /// The layer that measures HTTP requests.
    pub fn http_layer(&self) -> HttpMetricsLayer {
        HttpMetricsLayer::new(self.inner.http.clone())
    }

    /// Wraps all routes of `router`: every request gets a [`crate::TraceContext`] and is measured. Routes added to
    /// the result are not, which suits `/metrics`. (Where `tracing::Instrument` is in scope, too, call this on a reference
    /// such as [`crate::Telemetry::metrics`] gives: that trait has a method of the same name for all values.)
    pub fn instrument(&self, router: Router) -> Router {
        router.layer(self.http_layer()).layer(TraceContextLayer::new(self.inner.ids.clone()))
    }

    /// A counter of one's own; `name` ends in `_total`.
    pub fn counter<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Result<Counters<N>, RegisterError> {
        let stem = name.strip_suffix("_total").ok_or_else(|| RegisterError::NoTotal(name.to_owned()))?;
        let mut registrar = self.inner.registrar.lock();
        registrar.check(stem, &labels)?;
        Ok(registrar.counter(stem, help, labels))
    }

    /// A gauge of one's own.
    pub fn gauge<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Result<Gauges<N>, RegisterError> {
        let mut registrar = self.inner.registrar.lock();
        registrar.check(name, &labels)?;
        Ok(registrar.gauge(name, help, labels))
    }

    /// A histogram of one's own with the upper bounds `buckets`, in rising order; `+Inf` is added.
    pub fn histogram<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Result<Histograms<N>, RegisterError> {
        let mut registrar = self.inner.registrar.lock();
        registrar.check(name, &labels)?;
        Ok(registrar.histogram(name, help, labels, buckets))
    }

    /// Everything that was measured, as `format` writes it.
    pub fn expose(&self, format: Format) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail, and our metrics report no error of their own.
        let written = text::encode(&mut page, &self.inner.registrar.lock().registry);
        debug_assert!(written.is_ok(), "a metric failed to write itself");
        match format {
            Format::OpenMetrics => page,
            Format::Text => exposition::to_text_004(&page),
        }
    }
}

fn valid_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The encoder's registry beside the names it holds, which it does not tell; names are without `_total`, which the
/// encoder adds to those of counters.
pub(crate) struct Registrar {
    registry: Registry,
    names: BTreeSet<String>,
}

impl Registrar {
    pub(crate) fn counter<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        self.add(name, help, Counters::counters(labels))
    }

    pub(crate) fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Gauges<N> {
        self.add(name, help, Gauges::gauges(labels))
    }

    pub(crate) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        buckets: &[f64],
    ) -> Histograms<N> {
        self.add(name, help, Histograms::histograms(labels, buckets.to_vec()))
    }

    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, family: M) -> M {
        self.names.insert(name.to_owned());
        self.registry.register(name, help, family.clone());
        family
    }

    fn check(&self, name: &str, labels: &[&str]) -> Result<(), RegisterError> {
        let bad_label = labels.iter().copied().find(|label| label.contains(':') || !valid_name(label));
        if let Some(bad) = Some(name).filter(|name| !valid_name(name)).or(bad_label) {
            return Err(RegisterError::InvalidName(bad.to_owned()));
        }
        if self.names.contains(name) || PROCESS_NAMES.contains(&name) {
            return Err(RegisterError::Duplicate(name.to_owned()));
        }
        Ok(())
    }
}

impl fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRegistry").field("service", &self.inner.service).finish_non_exhaustive()
    }
}
