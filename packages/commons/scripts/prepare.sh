#!/usr/bin/env bash
# Installs what the package needs and builds it, unless both are newer than what they are made of.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-fund --no-audit --ignore-scripts --silent
fi
if [ ! -f dist/cjs/package.json ] || [ -n "$(find src scripts/build.mjs tsconfig*.json -newer dist/cjs/package.json -print -quit)" ]; then
  npm run --silent build
fi
