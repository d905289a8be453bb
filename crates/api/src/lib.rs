//! Every listening socket: one module per upstream API.
//!
//! A handler reads its parameters, calls one part of Reba, and writes the upstream's JSON. It decides nothing.
//! This crate knows no engine, no SQL and no evaluation.

pub mod alertmanager;
pub mod answers;
mod build;
mod compress;
pub mod exporters;
pub mod exposition;
pub mod grafana;
mod json;
pub mod loki;
mod origins;
pub mod otlp;
pub mod own_spans;
pub mod prometheus;
pub mod promtail;
pub mod server;
pub mod tempo;
pub mod web;
