#!/usr/bin/env bash
# Builds Reba, unpacks the peers, and measures them side by side. Arguments go to the benchmark:
#   bench/metrics/run.sh --shrink 10 --only ingest,scrape
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/peers.sh --bench
cargo build --release --locked --quiet --package reba --package bench-metrics
exec target/release/bench-metrics "$@"
