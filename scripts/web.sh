#!/usr/bin/env bash
# Builds the web app into web/dist, unless it is newer than everything that it is made of.
set -euo pipefail
cd "$(dirname "$0")/../web"
if [ -f dist/index.html ] && [ -z "$(find . \( -name node_modules -o -name dist -o -path ./tests \) -prune -o -type f -newer dist/index.html -print -quit)" ]; then
  exit 0
fi
if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-fund --no-audit
fi
npm run --silent build
