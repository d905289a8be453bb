//! Until the functions are there.

use super::value::{ElementKernel, RangeKernel, VectorKernel};
use crate::syntax::Func;

pub fn range_kernel(_: Func) -> Option<RangeKernel> {
    None
}
pub fn element_kernel(_: Func) -> Option<ElementKernel> {
    None
}
pub fn vector_kernel(_: Func) -> Option<VectorKernel> {
    None
}
