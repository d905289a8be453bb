//! Loki's API over HTTP: pushes, queries, followers, deletions, tenants, and upstream's test scripts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod answers;
mod changes;
mod conformance;
mod followers;
mod harness;
mod tenants;
