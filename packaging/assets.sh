#!/usr/bin/env bash
# Makes what the Debian package takes along besides the program: manual pages and completions, in target/assets.
set -euo pipefail
cd "$(dirname "$0")/.."
reba=${1:-target/dist/reba}
mkdir -p target/assets/man
"$reba" man target/assets/man
gzip -9nf target/assets/man/*.1
"$reba" completions bash >target/assets/reba.bash
