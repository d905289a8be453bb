//! File names with `*` in their last element.

pub(crate) use reba_config::glob::{expand, is_simple};
