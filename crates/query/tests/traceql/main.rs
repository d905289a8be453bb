//! Queries about traces over the stores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod differential;
mod engine;
mod parts;
mod workload;
