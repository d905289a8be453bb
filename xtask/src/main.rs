//! `cargo xtask`: what the compiler does not check.
//!
//! `tidy` fails when the tree leaves its plan: an arrow between crates that ARCHITECTURE.md does not allow, a
//! dependency without its line in `docs/dependencies.md`, a crate without a README, a source file that has grown
//! too long, an unfinished marker, a link in Markdown that leads nowhere.

mod links;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask <command>

  tidy    compare the tree with ARCHITECTURE.md and the house rules
";

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]
fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::check(),
        Some("help" | "--help" | "-h") | None => Ok(HELP.to_owned()),
        Some(other) => bail!("unknown command `{other}`\n\n{HELP}"),
    }
}
