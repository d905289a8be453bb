#!/usr/bin/env bash
# Everything that is tested of the TypeScript library, on a machine with Node. Ends with `commons: N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --no-fund --no-audit --ignore-scripts
npm run --silent lint
npm run --silent build
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
NO_COLOR=1 npm run --silent test | tee "$out" || status=$?
npm run --silent bench
count() { sed -n "s/^ *Tests .*\b\([0-9][0-9]*\) $1.*/\1/p" "$out"; }
passed=$(count passed)
failed=$(count failed)
echo "commons: ${passed:-0} passed, ${failed:-0} failed"
exit "$status"
