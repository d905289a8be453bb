//! Instrumentation for EasyMO's services in Rust.
//!
//! A service calls [`init`], wraps its router with [`MetricsRegistry::instrument`], mounts
//! [`MetricsRegistry::metrics_route`] at `/metrics` and reports what happened through [`BusinessMetrics`]. Names,
//! labels and buckets are a contract that dashboards, alerts and the TypeScript library share. Lines and spans are those
//! of `tracing`: its macros are all that the code of a service sees.
//!
//! The crate knows nothing of Reba: any scraper of the Prometheus formats can read it.

mod business;
mod client;
mod clock;
mod counter;
mod exposition;
mod family;
mod http;
mod labels;
mod log;
mod mask;
mod otlp;
mod post;
mod process;
mod registry;
mod route;
mod scope;
mod serve;
mod spans;
mod telemetry;
mod trace;

pub use business::{BusinessMetrics, DbQuery, MessageStatus, PaymentOutcome};
pub use client::{ClientLayer, ClientMetrics, ClientService};
pub use clock::Clock;
pub use counter::{Counter, TraceLabels};
pub use exposition::{Format, to_text_004};
pub use family::{Counters, Family, Gauge, Gauges, Histogram, Histograms, OTHER};
pub use http::{HttpMetricsLayer, HttpMetricsService};
pub use labels::{PaymentMethod, QueryType, RejectReason, RideStatus, UnknownName};
pub use mask::{REDACTED, mask_card, mask_email, mask_field, mask_id, mask_phone, mask_text};
pub use post::EndpointError;
pub use process::{ProcessReader, ProcessStats};
pub use registry::{MetricsRegistry, MetricsRegistryBuilder, RegisterError};
pub use route::HealthChecks;
pub use scope::Within;
pub use serve::shutdown_signal;
pub use telemetry::{InitError, Telemetry, TelemetryBuilder, init};
pub use trace::{
    IdGenerator, SpanId, TraceContext, TraceContextLayer, TraceContextService, TraceId, TraceparentError,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
