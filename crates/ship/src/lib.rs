//! Collects logs and ships them: Promtail's role.
//!
//! A line is read by a source ([`files`] and others), becomes an [`Entry`], runs through the [`Pipeline`] of its job, and is
//! written by all clients (an in-process store, or a queue on disk that is sent over HTTP). Only then, when everything made of
//! what was read is durable, the place in the source is written down: nothing is lost, and after a crash little is read twice.

mod client;
pub mod config;
mod entry;
mod files;
mod glob;
mod job;
mod marks;
mod metrics;
mod positions;
mod run;
mod sources;
mod stage;
mod status;
mod stdin;
mod tail;
mod watch;
mod yaml;

pub use client::encode;
pub use config::ShipConfig;
pub use entry::{Entry, Extracted, Mark, Marks, Value};
pub use metrics::Counters;
pub use positions::Positions;
pub use run::{IsOurs, NowNs, Shipper, StartError, Surroundings, system_now_ns};
pub use sources::PushReceiver;
#[cfg(fuzzing)]
pub use sources::fuzzing;
pub use stage::{Context, CustomMetrics, Inspector, Pipeline, StageReport, level_name};
pub use status::TargetStatus;
pub use stdin::{Print, printer};
pub use tail::Packing;
