//! Scraping: from target groups to batches of samples.

mod target;

pub use target::{Sorted, Target, sort};
