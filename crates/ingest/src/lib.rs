//! Discovery, relabelling, the scrape loop, exposition parsers and remote-write decoding.

pub mod config;
mod glob;
