//! The schema of spans: [`SpanStore`] keeps traces as [`Columnar`](crate::Columnar) keeps logs.
//!
//! What is the same is shared: the write-ahead log, the catalog of parts, flushing, retention, the choice of parts to merge.

pub mod block;
mod filter;
mod hash;
mod memory;
mod origins;
mod part;
#[cfg(test)]
mod sample;
mod scan;
mod store;
mod wal;
mod write;

pub use store::SpanStore;
