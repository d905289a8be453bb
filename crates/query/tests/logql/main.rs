//! Queries about logs, over the RAM store and over one that serves columns and leaves out what does not matter.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod columns;
mod conformance;
mod counting;
mod demoted;
mod engine;
mod store;
