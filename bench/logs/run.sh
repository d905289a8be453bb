#!/usr/bin/env bash
# Builds Reba and measures its logs beside the servers that VICTORIA_LOGS and LOKI name. Arguments go to the benchmark:
#   bench/logs/run.sh                                everything: ten minutes for Reba alone on two processors
#   bench/logs/run.sh --shrink 10 --only load        a tenth of the data, one scenario
#   bench/logs/run.sh --verdict                      fails if a promise was not kept
# REBA names a binary that is already there; then none is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(--package bench-logs)
[ -n "${REBA:-}" ] || packages+=(--package reba)
cargo build --release --locked --quiet "${packages[@]}"
exec target/release/bench-logs "$@"
