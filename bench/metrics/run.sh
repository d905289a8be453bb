#!/usr/bin/env bash
# Builds Reba, unpacks the peers, and measures them side by side. Arguments go to the benchmark:
#   bench/metrics/run.sh                                   everything: an hour or two on two processors
#   bench/metrics/run.sh --shrink 10 --only ingest,scrape  a tenth of the data, two scenarios
#   bench/metrics/run.sh --quick                           did this change make something slower? Two minutes
#   bench/metrics/run.sh --soak 10 --servers reba          does memory keep growing?
#   bench/metrics/run.sh --only none --merge --verdict     which promises did the last run keep?
# REBA names a binary that is already there; then none is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/peers.sh
packages=(--package bench-metrics)
[ -n "${REBA:-}" ] || packages+=(--package reba)
cargo build --release --locked --quiet "${packages[@]}"
exec target/release/bench-metrics "$@"
