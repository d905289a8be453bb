#!/usr/bin/env bash
# The long versions of what `make test` does briefly: an hour or so. Each number can be given by environment.
#   REBA_KILLS=1000     SIGKILLs under load, of each kind (tests/e2e/test_kills.py); REBA_SEED chooses the moments
#   REBA_LOG_KILLS=300  of those under load of logs and of the shipper (test_logs_kills.py, test_ship.py)
#   REBA_LOG_LINES=1000000  lines with values of their own for a label (test_logs_cardinality.py)
#   CRASH_CASES=5000    random sequences of writes, failures, kills and power losses against a disk in memory
#   REBA_CROWD=10000    clients at once
#   FUZZ_SECONDS=180    for every fuzz target
set -uo pipefail
cd "$(dirname "$0")/.."
export REBA_KILLS="${REBA_KILLS:-1000}" REBA_LOG_KILLS="${REBA_LOG_KILLS:-300}"
export REBA_LOG_LINES="${REBA_LOG_LINES:-1000000}" CRASH_CASES="${CRASH_CASES:-5000}" REBA_CROWD="${REBA_CROWD:-10000}"
export FUZZ_SECONDS="${FUZZ_SECONDS:-180}" REBA_SEED="${REBA_SEED:-$RANDOM}"
export REBA_BIN="$PWD/target/release/reba"
failed=()

echo "== release binary, REBA_SEED=$REBA_SEED"
cargo build --release --locked --quiet --package reba || exit 1
echo "== $CRASH_CASES random histories of a store"
cargo test --release --locked --quiet --package reba-tsdb --test crash --test crash_of_everything --test crash_downsampling || failed+=(crashes)
echo "== $REBA_KILLS kills of each kind, $REBA_CROWD clients"
ulimit -n "$(ulimit -Hn)"
tests/e2e/run.sh kills hostile crowds durability ship cardinality || failed+=(end-to-end)
echo "== fuzz targets, $FUZZ_SECONDS s each"
scripts/fuzz.sh || failed+=(fuzz)

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
echo "nothing broke"
