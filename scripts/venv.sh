#!/usr/bin/env bash
# Sets up the Python clients and servers of the tests in target/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -x target/venv/bin/python ]; then
  python3 -m venv target/venv 2>/dev/null || {
    if [ "$(id -u)" = 0 ]; then apt-get install -y -qq python3-venv; else sudo apt-get install -y -qq python3-venv; fi
    python3 -m venv target/venv
  }
fi
target/venv/bin/pip install --quiet --disable-pip-version-check -r tests/e2e/requirements.txt
