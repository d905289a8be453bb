//! Parse, print and evaluate PromQL over series already fetched.

pub mod eval;
pub mod functions;
pub mod syntax;
