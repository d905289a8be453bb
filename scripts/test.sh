#!/usr/bin/env bash
# Installs what the tests need, runs all of them, and ends with `N passed, N failed`.
#
# The peers (Debian's prometheus, alertmanager and victoria-metrics) are unpacked into target/peers rather than installed: nothing
# is started by a package script, no port is taken, and root is not needed.
set -uo pipefail
cd "$(dirname "$0")/.."

if ! scripts/peers.sh; then
  # On a laptop without Debian's packages the tests beside real programs say that they are skipped; CI must have them.
  echo "the real programs to compare with could not be fetched" >&2
  [ "${CI:-}" != true ] || exit 1
fi
export PROMETHEUS_DIR="${PROMETHEUS_DIR:-$PWD/target/peers/usr/bin}"
[ -x "$PROMETHEUS_DIR/prometheus" ] || unset PROMETHEUS_DIR
export DIFFERENTIAL_QUERIES="${DIFFERENTIAL_QUERIES:-2000}"

conformance=${REBA_CONFORMANCE:-../shared/conformance}
if [ "${CI:-}" = true ] && [ ! -d "$conformance" ]; then
  echo "the conformance data is missing ($conformance): its tests would be skipped unseen" >&2
  exit 1
fi

# A mail server in Python takes mails of the tests in Rust; without it they say that they are skipped.
scripts/venv.sh || [ "${CI:-}" != true ] || exit 1

# The program carries the web app along: it is built first, so that the tests in a browser find it in the program under test.
chromium=""
if command -v npm >/dev/null; then
  scripts/web.sh >/dev/null || exit 1
  chromium=$(scripts/chromium.sh) || [ "${CI:-}" != true ] || exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

passed=$(awk '/^test result:/ {n += $4} END {print n + 0}' "$log")
failed=$(awk '/^test result:/ {n += $6} END {print n + 0}' "$log")

echo "== end to end: the started program, real clients and real peers"
tests/e2e/run.sh 2>&1 | tee "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
read -r e2e_passed _ e2e_failed _ <<<"${closing/,/ }"
passed=$((passed + ${e2e_passed:-0}))
failed=$((failed + ${e2e_failed:-1}))

# The counts of node's test runner, and of what ends in the same words as this script.
add() {
  passed=$((passed + $1))
  failed=$((failed + $2))
}

echo "== the owner's testing checklist, on the program that the tests above have built (alone: make checklist)"
REBA_BIN=target/debug/reba python3 tests/checklist/run.py 2>&1 | tee "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
read -r boxes_passed _ boxes_failed _ <<<"${closing/,/ }"
add "${boxes_passed:-0}" "${boxes_failed:-1}"

echo "== the web app: types, style, build, unit tests"
if command -v npm >/dev/null; then
  (cd web && { [ -d node_modules ] || npm ci --no-fund --no-audit --silent; } && npm run --silent lint && npm run --silent build >/dev/null && npm test --silent) 2>&1 | tee "$log"
  web_status=${PIPESTATUS[0]}
  # vitest's last lines: `Tests  189 passed (189)`, coloured only on a terminal.
  web_passed=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '/^ *Tests / {for (i = 2; i < NF; i++) if ($(i + 1) == "passed") n += $i} END {print n + 0}')
  passed=$((passed + web_passed))
  if [ "$web_status" -ne 0 ]; then
    failed=$((failed + 1))
    status=1
  fi
  echo "== the web app in a browser"
  if [ -n "$chromium" ]; then
    export CHROMIUM=$chromium
    (cd web && npm run --silent test:browser) 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
    add "$(awk '$1 == "ℹ" && $2 == "pass" {n = $3} END {print n + 0}' "$log")" "$(awk '$1 == "ℹ" && $2 == "fail" {n = $3; seen = 1} END {print seen ? n : 1}' "$log")"
    echo "== the web app in a browser, on the started program with everything that its dashboards draw"
    python3 tests/browser/run.py 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
    closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    read -r real_passed _ real_failed _ <<<"${closing/,/ }"
    add "${real_passed:-0}" "${real_failed:-1}"
  else
    echo "skipped: there is no Chromium (apt-get install chromium)"
  fi
else
  echo "skipped: there is no npm"
fi

echo "== @easymo/commons: types, style, both builds, Express 4 and 5, NestJS 10 to 12, Fastify, the examples of its README"
if command -v npm >/dev/null; then
  packages/commons/test.sh 2>&1 | tee "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
  closing=$(grep -E '^commons: [0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  read -r _ commons_passed _ commons_failed _ <<<"${closing/,/ }"
  passed=$((passed + ${commons_passed:-0}))
  failed=$((failed + ${commons_failed:-1}))
else
  echo "skipped: there is no npm"
fi

if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ]
