//! Discovery, relabelling, the scrape loop, exposition parsers and remote-write decoding.

pub mod config;
pub mod exposition;
mod glob;
pub mod wire;
