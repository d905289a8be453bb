#!/usr/bin/env bash
# Builds Reba, sets up the Python clients in target/venv, and runs the end-to-end tests against the started program.
#   tests/e2e/run.sh            all
#   tests/e2e/run.sh alerts     only test_alerts.py
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --locked --quiet --package reba
if [ ! -x target/venv/bin/python ]; then
  python3 -m venv target/venv 2>/dev/null || {
    if [ "$(id -u)" = 0 ]; then apt-get install -y -qq python3-venv; else sudo apt-get install -y -qq python3-venv; fi
    python3 -m venv target/venv
  }
fi
target/venv/bin/pip install --quiet --disable-pip-version-check -r tests/e2e/requirements.txt
exec target/venv/bin/python tests/e2e/run.py "$@"
