//! Discovery, relabelling, the scrape loop, exposition parsers and remote-write decoding.

mod compressed;
pub mod config;
pub mod crc32c;
pub mod discovery;
pub mod exposition;
mod glob;
pub mod influx;
pub mod loki;
mod native_histogram;
pub mod otlp;
pub mod prometheus_chunk;
mod push;
mod pushed_metadata;
pub mod remote_read;
pub mod remote_write;
pub mod scrape;
mod series_cache;
pub mod traces;
pub mod wire;

pub use pushed_metadata::PushedMetadata;
