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
echo "== bans"
# cargo tree sees every feature combination that is really linked; cargo-deny adds licences where it is installed.
for crate in aws-lc-sys openssl-sys native-tls chrono; do
  if cargo tree --workspace --locked --edges normal --invert "$crate" >/dev/null 2>&1; then
    echo "$crate is linked; see deny.toml" >&2
    exit 1
  fi
done
if command -v cargo-deny >/dev/null; then
  cargo deny --offline --log-level error check bans licenses sources
else
  echo "cargo-deny is not installed: licences are checked where it is (cargo install cargo-deny)"
fi
