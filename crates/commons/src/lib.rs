//! Instrumentation for EasyMO's services in Rust.
//!
//! A service makes one [`MetricsRegistry`], wraps its router with [`MetricsRegistry::instrument`], mounts
//! [`MetricsRegistry::metrics_route`] at `/metrics` and reports what happened through [`BusinessMetrics`]. Names,
//! labels and buckets are a contract that dashboards, alerts and the TypeScript library share.
//!
//! The crate knows nothing of Reba: any scraper of the Prometheus formats can read it.

mod business;
mod client;
mod clock;
mod exposition;
mod family;
mod http;
mod process;
mod registry;
mod route;
mod trace;

pub use business::{BusinessMetrics, DbQuery, MessageStatus, PaymentOutcome, RejectReason, RideStatus};
pub use client::ClientMetrics;
pub use clock::Clock;
pub use exposition::{Format, to_text_004};
pub use family::{Counters, Family, Gauges, Histograms, OTHER};
pub use http::{HttpMetricsLayer, HttpMetricsService};
pub use process::{ProcessReader, ProcessStats};
pub use registry::{MetricsRegistry, MetricsRegistryBuilder, RegisterError};
pub use trace::{
    IdGenerator, SpanId, TraceContext, TraceContextLayer, TraceContextService, TraceId, TraceparentError,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
