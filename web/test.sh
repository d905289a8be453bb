#!/usr/bin/env bash
# Everything that is tested of the web app, on a clean Debian with Node. Ends with `web: N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --no-fund --no-audit
npm run --silent lint
npm run --silent build
npm test --silent
CHROMIUM=$(../scripts/chromium.sh)
export CHROMIUM
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
npm run --silent test:browser | tee "$out" || status=$?
count() { sed -n "s/^ℹ $1 //p" "$out"; }
echo "web: $(count pass) passed, $(count fail) failed"
exit "$status"
