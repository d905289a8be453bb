//! Evaluation.

pub mod annotations;
pub mod value;
