//! What monitoring/README.md shows of axum is an example of this crate, and so compiled and run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

const EXAMPLE: &str = include_str!("../examples/axum.rs");
const DOCUMENT: &str = include_str!("../../../monitoring/README.md");

#[test]
fn the_service_that_the_monitoring_readme_shows_is_the_example_axum() {
    let (_, from) = DOCUMENT.split_once("```rust\n").expect("a block of Rust");
    let (shown, _) = from.split_once("```\n").expect("its end");
    assert_eq!(shown, EXAMPLE, "copy crates/commons/examples/axum.rs into monitoring/README.md");
    assert_eq!(DOCUMENT.matches("```rust\n").count(), 1);
}
