#!/usr/bin/env bash
# Formatting, clippy, the house rules, licences and bans. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

rustup component add rustfmt clippy >/dev/null 2>&1 || true

echo "== rustfmt"
cargo fmt --all --check
echo "== clippy"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
echo "== tidy"
cargo xtask tidy
echo "== licences and bans"
# Advisories need a network that a builder may not have; they are checked where they can be.
if ! command -v cargo-deny >/dev/null; then
  echo "installing cargo-deny (a few minutes, once)"
  cargo install cargo-deny --locked --quiet
fi
# Also what only other platforms need: cargo-deny looks at all of it.
cargo fetch --locked --quiet
cargo deny --offline --log-level error check bans licenses sources
