#!/usr/bin/env bash
# Everything that is tested of the TypeScript library, on a machine with Node. Ends with `commons: N passed, N failed`.
# What runs together with Reba is tests/e2e/test_instrumentation.py.
#
#   COMMONS_FULL=1 ./test.sh     also on Node 22, with OpenTelemetry's auto-instrumentations of both generations, within a real
#                                Next.js application, and what a call costs; all of it is fetched from npm (some 700 MB)
set -euo pipefail
cd "$(dirname "$0")"

full=${COMMONS_FULL:-}
apps=(nest10 nest11)

# All at once: most of it is waiting for the registry.
installs=()
for app in "${apps[@]}"; do
  installed="tests/apps/$app/node_modules/.package-lock.json"
  if [ ! -f "$installed" ] || [ "tests/apps/$app/package-lock.json" -nt "$installed" ]; then
    npm ci --prefix "tests/apps/$app" --no-fund --no-audit --ignore-scripts --silent &
    installs+=($!)
  fi
done
scripts/prepare.sh
for install in "${installs[@]}"; do wait "$install"; done

if [ -n "$full" ]; then
  # With a copy of the package as it is now, as applications have it.
  for app in auto20 auto22; do npm ci --prefix "tests/apps/$app" --no-fund --no-audit --ignore-scripts --silent; done
  # Its binaries are other packages on other machines: there is no lock.
  rm -rf tests/apps/next/node_modules
  npm install --prefix tests/apps/next --no-package-lock --no-fund --no-audit --ignore-scripts --silent
fi

out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
npm run --silent lint || status=$?
NO_COLOR=1 npm run --silent test | tee "$out" || status=$?
if [ -n "$full" ]; then
  NO_COLOR=1 npm exec --yes --package=node@22 -- node node_modules/vitest/vitest.mjs run | tee -a "$out" || status=$?
  npm run --silent bench
fi

count() { awk -v what="$1" '/^ *Tests / {for (i = 2; i < NF; i++) if ($(i + 1) == what) n += $i} END {print n + 0}' "$out"; }
passed=$(count passed)
failed=$(count failed)
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
echo "commons: $passed passed, $failed failed"
exit "$status"
