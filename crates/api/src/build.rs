//! What Reba says of its build, in the shapes of the programs that it replaces.

use std::fmt::Display;

use serde_json::{Value, json};

/// The version of Reba.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What we name where upstream names a commit.
pub(crate) const REVISION: &str = concat!("reba-", env!("CARGO_PKG_VERSION"));

/// The build as JSON; `compatible` is the version whose API is answered.
pub(crate) fn info(compatible: &str) -> Value {
    json!({
        "version": compatible,
        "revision": concat!("reba-", env!("CARGO_PKG_VERSION")),
        "branch": "main",
        "buildUser": "reba",
        "buildDate": "",
        "goVersion": "none: this is Reba, in Rust",
    })
}

/// The labels of a `…_build_info`.
pub(crate) fn labels(compatible: &dyn Display) -> [(&'static str, &dyn Display); 5] {
    [
        ("version", compatible),
        ("revision", &concat!("reba-", env!("CARGO_PKG_VERSION"))),
        ("branch", &"main"),
        ("goversion", &"none"),
        ("reba", &env!("CARGO_PKG_VERSION")),
    ]
}
