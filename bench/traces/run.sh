#!/usr/bin/env bash
# Builds Reba and measures its traces beside the Tempo that TEMPO names. Arguments go to the benchmark:
#   bench/traces/run.sh                 5 million spans
#   bench/traces/run.sh --shrink 10     a tenth of them
# REBA names a binary that is already there; then none is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(--package bench-traces)
[ -n "${REBA:-}" ] || packages+=(--package reba)
cargo build --release --locked --quiet "${packages[@]}"
exec target/release/bench-traces "$@"
