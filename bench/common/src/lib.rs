//! What benchmarks share: processes that are watched, a client, the machine.

pub mod client;
pub mod machine;
pub mod process;
