#!/usr/bin/env bash
# Upstream's test data against Reba: one line a suite, `name passed N failed N skipped N`.
# The data is read from REBA_CONFORMANCE, else from ../shared/conformance beside the project.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ ! -d "${REBA_CONFORMANCE:-../shared/conformance}" ]; then
  echo "no conformance data at ${REBA_CONFORMANCE:-../shared/conformance}: set REBA_CONFORMANCE" >&2
  exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The tests that read the data; each prints its lines.
cargo test --locked --no-fail-fast --quiet --package reba-promql --package reba-ingest --package reba-rules \
  --package reba-logql --package reba-query --package reba-api --package reba-traceql --package reba-alerting --package reba-notify \
  --test conformance --test exposition --test prometheus_config --test alertmanager_config --test files --test promtool --test logql --test loki \
  -- --nocapture >"$log" 2>&1
status=$?
grep -hoE '[a-z][a-z -]* passed [0-9]+ failed [0-9]+ skipped [0-9]+' "$log" | sort -u
[ "$status" -eq 0 ] || { grep -E '^(error|test .* FAILED|thread)' "$log" | head -40 >&2; exit 1; }
