#!/usr/bin/env bash
# Builds Reba, sets up the Python clients in target/venv, and runs the end-to-end tests against the started program.
#   tests/e2e/run.sh            all
#   tests/e2e/run.sh alerts     only test_alerts.py
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --locked --quiet --package reba
scripts/venv.sh
exec target/venv/bin/python tests/e2e/run.py "$@"
