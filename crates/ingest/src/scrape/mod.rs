//! Scraping: from target groups to batches of samples.

pub mod page;
mod target;

pub use target::{Sorted, Target, sort};
