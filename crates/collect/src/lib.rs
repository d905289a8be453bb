//! The exporters: what a host, a PostgreSQL and a Redis tell about themselves, as pages of metrics with the names, labels and
//! types of node_exporter 1.7, postgres_exporter 0.15 and redis_exporter 1.55.
//!
//! Each exporter takes its upstream's own flags and environment variables ([`flags`]), and answers requests ([`http::Request`])
//! with pages ([`Page`]). Sockets that listen, and the store that keeps what is scraped, are somebody else's.

pub mod flags;
pub mod node;
mod own;
mod page;
pub mod postgres;
pub mod redis;
mod web;

pub use flags::{FlagError, Flags};
pub use own::{Build, Promhttp};
pub use page::{Kind, Page, Rows};
pub use web::{Answer, Question, index};
