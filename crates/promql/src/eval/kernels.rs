//! Where the kernels come from.

pub use crate::functions::{element_kernel, range_kernel, vector_kernel};
